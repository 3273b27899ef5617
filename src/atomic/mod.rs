//! The only atomics of the crate: core's, or loom's when the models are built.
//!
//! ```text
//!   rings ── Word::load(retire::ACQUIRE) ──▶ [ hooks: tests only ] ──▶ core | loom
//!   rings ── Span / Origin ────────────────▶ mapped or heap bytes    | loom cells
//! ```
//!
//! Promises: every access to shared memory passes here; every ordering has a name
//! ([`edge`]); a build without `test-hooks` carries nothing but the plain operation.
//! Imports: `sys` (the mapping, the barrier).

mod edge;
#[cfg(feature = "test-hooks")]
pub mod hooks;
mod word;

#[cfg(not(loom))]
mod span;
#[cfg(loom)]
#[path = "span_loom.rs"]
mod span;

pub(crate) use edge::{format, publish, relaxed, retire, seat};
pub(crate) use span::{Area, Origin, Span};
#[cfg(loom)]
#[cfg_attr(not(feature = "test-hooks"), expect(unused_imports))]
pub use span::{Payload, set_payload};
pub(crate) use word::{Word, pause, yield_now};
