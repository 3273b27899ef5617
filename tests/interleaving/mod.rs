//! One call in the midst of another, at every moment, in one process.
//!
//! ```text
//!   Scene: who is there, one call, what another does ──▶ at every moment of the call
//!                                 │                            what all of them say
//!                                 └──▶ in every sequence ──▶   must be one of these
//! ```
//!
//! There is no second spelling of the rings here: what may come of a scene is what comes of
//! its steps one after the other.

// Each test binary uses its own part of this.
#![allow(dead_code, unused_imports)]

mod actor;
mod kinds;
mod moment;
mod scene;

pub use actor::{Actor, Kind, Op};
pub use kinds::Cast;
pub use moment::in_midst;
pub use scene::{Scene, Tally};
