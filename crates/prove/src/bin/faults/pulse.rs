//! Whether this process ran all the time: one that was stopped, or had no processor for long,
//! found time-outs that nobody else is to blame for.
//!
//! ```text
//!   a beat every 20 ms ── one came half a second late ──▶ what was found meanwhile is not counted
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_millis(20);

/// A quarter of the waits that are not to end: see `LONG`.
const LATE: Duration = Duration::from_millis(500);

static PAUSES: AtomicU64 = AtomicU64::new(0);

/// Begins to watch, to the end of the process.
pub fn begin() {
    thread::spawn(|| {
        loop {
            let before = Instant::now();
            thread::sleep(BEAT);
            if before.elapsed() > LATE {
                PAUSES.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
}

/// How often there was a pause so far.
pub fn pauses() -> u64 {
    // What was late just now shows with the next beat.
    PAUSES.load(Ordering::Relaxed)
}

/// Does something, and again, some times at most, if there was a pause and it is not `well`.
pub fn steadily<T>(mut run: impl FnMut() -> T, well: impl Fn(&T) -> bool) -> T {
    for _ in 0..5 {
        let before = pauses();
        let outcome = run();
        if well(&outcome) {
            return outcome;
        }
        // Whatever paused us is over, and seen.
        thread::sleep(2 * BEAT);
        if pauses() == before {
            return outcome;
        }
    }
    run()
}
