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

mod barrier;
mod bug;
mod edge;
#[cfg(feature = "test-hooks")]
pub mod hooks;
mod word;

#[cfg(not(loom))]
mod futex;
#[cfg(loom)]
#[path = "futex_loom.rs"]
mod futex;

#[cfg(not(loom))]
mod span;
#[cfg(loom)]
#[path = "span_loom.rs"]
mod span;

pub(crate) use barrier::{Barrier, Join, fence, program_order};
pub use bug::Bug;
pub(crate) use bug::seeded;
pub(crate) use edge::{claim, format, publish, relaxed, retire, seat, tear, wake};
#[cfg(loom)]
use futex::Parking;
pub(crate) use futex::{Futex, Slept};
#[cfg(feature = "test-hooks")]
pub(crate) use hooks::as_the_kernel;
pub use span::Span;
pub(crate) use span::{Area, Origin};
#[cfg(loom)]
#[cfg_attr(not(feature = "test-hooks"), expect(unused_imports))]
pub use span::{Payload, set_payload};
pub(crate) use word::{Word, pause, yield_now};

/// Does what the kernel does for a process that has ended, where a test has killed one.
#[cfg(not(feature = "test-hooks"))]
#[inline(always)]
pub(crate) fn as_the_kernel(work: impl FnOnce() + 'static) {
    if cfg!(loom) && std::thread::panicking() {
        return;
    }
    work();
}

/// Whether the caller may make an access: tests can have killed it; and in a model that
/// has failed loom can't run anybody's last words.
#[cfg(any(loom, feature = "test-hooks"))]
fn may_access() -> bool {
    #[cfg(feature = "test-hooks")]
    return hooks::enter();
    #[cfg(not(feature = "test-hooks"))]
    !is_inert()
}

/// Whether this thread makes no accesses any more.
#[cfg(any(loom, feature = "test-hooks"))]
fn is_inert() -> bool {
    #[cfg(feature = "test-hooks")]
    return hooks::is_inert();
    #[cfg(not(feature = "test-hooks"))]
    std::thread::panicking()
}
