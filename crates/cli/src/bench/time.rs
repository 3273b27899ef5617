//! How long a group may take.
//!
//! Imports: nothing of the command's.

use std::time::{Duration, Instant};

/// Said of a case that nothing was left for.
pub const TOO_LATE: &str = "the time was over before its turn: the machine is too busy";

/// The time of a group.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Its share is over then, but whoever has no figure yet takes one.
    pub until: Instant,
    /// Nobody takes any more.
    pub end: Instant,
    /// How long a step of two processes may stand still.
    pub patience: Duration,
}

impl Time {
    /// Whether nobody may take any more.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }
}
