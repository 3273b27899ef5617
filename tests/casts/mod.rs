//! Broadcasts for tests, on ground of any kind.

// Each test binary uses its own part of this.
#![allow(dead_code, unused_imports)]

pub mod campaign;
pub mod carried;
pub mod lives;
pub mod oracle;
pub mod site;

use std::panic;
use std::sync::Once;
use std::time::{Duration, Instant};

/// Long enough for anything that does not hang.
pub const LONG: Duration = Duration::from_secs(20);

/// Keeps the kills, which unwind, from being printed as panics.
pub fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            if payload.is::<&str>() || payload.is::<String>() {
                print(info);
            }
        }));
    });
}

/// Waits until something is so.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}
