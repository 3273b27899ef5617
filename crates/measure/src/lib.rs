//! Measurements of annulus and its rivals against the physical limits of the same run.
//!
//! A figure in nanoseconds says little on a machine whose cores move about while it
//! is taken. So every figure here comes from two pinned processes, is bracketed by a
//! probe of the bare cache line between them, and is quoted as a ratio to a raw limit
//! that was measured in the same two processes a moment before or after.
//!
//! ```text
//!   this process                 control                    the peer process
//!   ┌──────────┐   go, args   ┌───────────┐  go, args   ┌──────────┐
//!   │  Pair    │ ───────────> │  memfd    │ ──────────> │  peer    │
//!   │          │ <─────────── │           │ <────────── │          │
//!   └──────────┘  done, error └───────────┘  done, error└──────────┘
//!     lanes: sender ═══════════ transport ═══════════> receiver
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`pair`] | the two processes and the steps they take together |
//! | [`transport`] | the small trait, and one file for each transport |
//! | [`raw`] | the limits: line round trips, memcpy stream, shared fetch-add |
//! | [`placement`], [`sample`] | brackets, and which samples are thrown away |
//! | [`compare`] | a lane's figure against its raw partner |
//! | [`stats`], [`latency`], [`table`] | medians, spread, histograms, text tables |
//! | [`clock`], [`cores`] | time stamps and pinning |
//! | [`crowd`] | several senders and receivers at once |
//! | [`machine`] | what it all was taken on |
//!
//! A binary that measures calls [`peer::enter`] first thing in `main`: the peer is
//! the same executable, started again.

mod child;
pub mod clock;
pub mod compare;
mod control;
pub mod cores;
pub mod crowd;
mod ends;
mod error;
pub mod lane;
pub mod latency;
pub mod machine;
pub mod pair;
pub mod payload;
pub mod peer;
pub mod placement;
pub mod raw;
pub mod sample;
mod shared;
mod spin;
pub mod stats;
pub mod table;
pub mod transport;
mod watchdog;

pub use error::Error;
pub use lane::{Kind, Lane, SIZES, WaitMethod};
pub use pair::Pair;
