//! Rings whose endpoints are killed between any two accesses to shared memory.
//!
//! ```text
//!   verb ──▶ trace(kill_before(k, verb)) ──▶ the accesses made ──▶ Account
//!                                             what the successor finds ── equal
//! ```

// Each test binary uses its own part of this.
#![allow(dead_code, unused_imports)]

pub mod account;
pub mod verb;
pub mod world;

pub use account::Account;
pub use verb::{RecvVerb, SendVerb};
pub use world::World;

use std::panic;
use std::sync::Once;

/// The messages of these tests: four words, all told by the position.
pub type Words = [u64; 4];

/// The message that is sent at a position.
pub fn words(position: u64) -> Words {
    [position, !position, position.wrapping_mul(0x9e37_79b9_7f4a_7c15), position ^ 0x5555]
}

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
