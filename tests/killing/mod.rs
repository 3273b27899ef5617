//! Campaigns of kills: a sender and a receiver, each a process, killed at random moments
//! and succeeded at once, with an exact account of every message by guarantee 2.
//!
//! ```text
//!   test ── campaign (a role) ─┬─ fork ─▶ sender   ─▶ journal ─┐
//!                              ├─ fork ─▶ receiver ─▶ journal ─┤ in memory that outlives them
//!                              └─ SIGKILL · successor · account ◀┘
//! ```
//!
//! What a message says is told by its position, so that a life checks what it gets by
//! itself; the journals tell how far it had come when it was killed.
#![allow(dead_code)]

pub mod account;
pub mod campaign;
pub mod journal;
pub mod life;
pub mod traffic;

/// A generator of numbers that need not be good: splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A number told by another.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
