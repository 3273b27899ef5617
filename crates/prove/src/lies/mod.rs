//! Lying memory: what a program of verbs does when each load from the segment returns what
//! a fuzzer chose, another value at each fetch.
//!
//! ```text
//!   bytes ──▶ Target::run ──▶ a ring, a script of lies, a program of verbs
//!                              │ every call: hooks::lie · hooks::budget
//!                              └ a fault, a panic or an overrun is a finding
//! ```
//!
//! `fuzz/` drives the same targets by cargo-fuzz, under AddressSanitizer; src/bin/lies by a
//! random generator, on any machine. Shows guarantee 7, and 8 in part.

mod branches;
mod broadcast;
mod frames;
mod mpmc;
mod opening;
mod report;
mod script;
pub mod seen;
mod spsc;
mod stream;
mod world;

pub use branches::branches;
pub use opening::clean_up;
pub use report::fuzzed;

/// One thing to be lied to.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, here and in `fuzz/`.
    pub name: &'static str,
    /// One execution.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "spsc", run: spsc::words },
    Target { name: "spsc_bytes", run: spsc::bytes },
    Target { name: "stream", run: stream::stream },
    Target { name: "mpmc", run: mpmc::words },
    Target { name: "mpmc_bytes", run: mpmc::bytes },
    Target { name: "broadcast_overwrite", run: broadcast::overwrite },
    Target { name: "broadcast_lossless", run: broadcast::lossless },
    Target { name: "broadcast_bytes", run: broadcast::bytes },
    Target { name: "frames", run: frames::frames },
    Target { name: "header", run: opening::header },
    Target { name: "open", run: opening::open },
];
