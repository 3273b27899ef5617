//! The campaigns of `cargo xtask prove`: one program each, in `src/bin`.
//!
//! ```text
//!   xtask prove ── runs ──▶ campaign [--quick | --full] [--bug NAME] [--seed N]
//!        ▲                     │ stdout: figure: · found: · skipped:
//!        └──── collects ◀──────┘ exit code: 0 nothing found · 1 found · 2 could not run
//! ```
//!
//! A campaign's processes are its own program again, each for one role: [`child`]. What it
//! has to say goes through one [`Report`], so that the figures of
//! docs/verification.md are the program's own words.

pub mod child;
pub mod fleet;
pub mod ground;
#[cfg(feature = "seeded")]
pub mod lies;
pub mod options;
pub mod report;
pub mod rings;
pub mod step;
pub mod wgl;

pub use options::{Depth, Options};
pub use report::Report;
