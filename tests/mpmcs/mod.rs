//! What the tests of the mpmc ring share.
//!
//! ```text
//!   site ──▶ world (kills before any access, one process) ──▶ tests/mpmc_hooks.rs
//!       └──▶ life + journal ──▶ campaign (kills of processes) ──▶ tests/mpmc_kills.rs
//! ```

// Each test binary uses its own part of this.
#![allow(dead_code, unused_imports)]

pub mod campaign;
pub mod journal;
pub mod life;
pub mod site;
#[cfg(feature = "test-hooks")]
pub mod verb;
#[cfg(feature = "test-hooks")]
pub mod world;

/// The messages of these tests: four words, all told by the message's number.
pub type Words = [u64; 4];

/// The message of a number.
pub fn words(number: u64) -> Words {
    [number, !number, mix(number), number ^ 0x5555]
}

/// The number of a message, if it is whole.
pub fn number_of(message: &Words) -> Option<u64> {
    (*message == words(message[0])).then_some(message[0])
}

/// A number told by another.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

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
