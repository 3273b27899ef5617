//! The one loop of every ring: try, spin, yield, until done or the deadline passes.
//!
//! Imports: atomic.

use std::time::{Duration, Instant};

use crate::atomic::{pause, yield_now};

/// Polls between two looks at the clock, so that looking (about 25 ns) costs little.
const POLLS_A_LOOK: u32 = 32;

/// How long to poll before giving the processor away between polls.
const SPIN: Duration = Duration::from_micros(20);

/// Pauses on the first empty poll after a streak: keeps a fast receiver off the line
/// that is being written.
pub(crate) const PAUSES_AFTER_STREAK: u32 = 16;

/// What a blocked operation was told.
pub(crate) struct TimedOut;

/// Polls until `attempt` gives something or the deadline passes.
///
/// `first_pauses`: pauses before the first poll; one before each later poll.
#[cold]
#[inline(never)]
pub(crate) fn poll<R>(
    deadline: Option<Instant>,
    first_pauses: u32,
    mut attempt: impl FnMut() -> Option<R>,
) -> Result<R, TimedOut> {
    for _ in 1..first_pauses {
        pause();
    }
    let mut began = None;
    loop {
        for _ in 0..POLLS_A_LOOK {
            pause();
            if let Some(result) = attempt() {
                return Ok(result);
            }
        }
        if cfg!(loom) {
            continue;
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| now >= deadline) {
            return Err(TimedOut);
        }
        if now.duration_since(*began.get_or_insert(now)) >= SPIN {
            yield_now();
        }
    }
}

/// The deadline that is `timeout` from now; `None` if it is further than time goes.
pub(crate) fn deadline_after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
