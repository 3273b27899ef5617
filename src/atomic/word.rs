//! One shared word: a fixed-width atomic that tests can watch, cut short or lie about.

#[cfg(not(loom))]
use core::sync::atomic::AtomicU64;
#[cfg(loom)]
use loom::sync::atomic::AtomicU64;

use super::edge::{Edge, relaxed};
#[cfg(feature = "test-hooks")]
use super::hooks::{self, Op};

/// A `u64` that several processes read and write.
///
/// In shared memory it is eight little-endian bytes at an address divisible by eight.
#[cfg_attr(not(loom), repr(transparent))]
pub(crate) struct Word(AtomicU64);

impl Word {
    /// A word with a first value. In mapped memory words are found, not made.
    #[cfg(not(loom))]
    pub(crate) const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// As above; loom's are not constants.
    #[cfg(loom)]
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Reads the word. Read once, keep the value: a peer may change it at any time.
    #[inline(always)]
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn load(&self, edge: Edge) -> u64 {
        #[cfg(any(loom, feature = "test-hooks"))]
        if !super::may_access() {
            return 0;
        }
        let value = self.0.load(edge.ordering());
        #[cfg(feature = "test-hooks")]
        let value = hooks::loaded(edge.name(), self.address(), value);
        value
    }

    /// As `load`, by a relaxed load and a fence: the one form that is defined on pages
    /// that can only be read.
    #[inline(always)]
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn load_fenced(&self, edge: Edge) -> u64 {
        let value = self.load(edge.relaxed());
        edge.fence();
        value
    }

    /// Writes the word.
    #[inline(always)]
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn store(&self, value: u64, edge: Edge) {
        #[cfg(any(loom, feature = "test-hooks"))]
        if !super::may_access() {
            return;
        }
        #[cfg(feature = "test-hooks")]
        let Some(value) = hooks::storing(edge.name(), self.address(), value) else { return };
        self.0.store(value, edge.ordering());
    }

    /// Writes `new` if the word holds `current`; gives what it held.
    #[inline(always)]
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Edge,
        failure: Edge,
    ) -> Result<u64, u64> {
        #[cfg(any(loom, feature = "test-hooks"))]
        if !super::may_access() {
            return Err(!current);
        }
        let outcome = self.0.compare_exchange(current, new, success.ordering(), failure.ordering());
        #[cfg(feature = "test-hooks")]
        hooks::record(Op::Exchange, success.name(), self.address(), new);
        outcome
    }

    /// Adds one, in one step; for the futex of the models.
    #[cfg(loom)]
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(super) fn add_one(&self, edge: Edge) {
        #[cfg(any(loom, feature = "test-hooks"))]
        if !super::may_access() {
            return;
        }
        self.0.fetch_add(1, edge.ordering());
    }

    /// The kernel's own look at a futex, under its lock.
    #[cfg(loom)]
    pub(super) fn peek(&self) -> u64 {
        self.0.load(relaxed::FENCED.plain())
    }

    /// A store that no hook sees: the kernel's, which no crash switch stops, or one to
    /// private memory.
    #[inline(always)]
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn unwatched_store(&self, value: u64, edge: Edge) {
        #[cfg(feature = "test-hooks")]
        hooks::unlocked(self.address());
        self.0.store(value, edge.ordering());
    }

    /// A load that no hook sees, of private memory.
    #[cfg_attr(loom, expect(dead_code))]
    #[inline(always)]
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn unwatched_load(&self, edge: Edge) -> u64 {
        self.0.load(edge.ordering())
    }

    /// A copy's relaxed store of eight message bytes, hooked once per copy by its caller,
    /// ordered by the stamp beside them.
    #[inline(always)]
    pub(crate) fn store_bytes(&self, value: u64) {
        self.0.store(value, relaxed::FENCED.plain());
    }

    /// A copy's relaxed load of eight message bytes, hooked once per copy by its caller,
    /// ordered by the stamp beside them.
    #[inline(always)]
    pub(crate) fn load_bytes(&self) -> u64 {
        self.0.load(relaxed::FENCED.plain())
    }

    #[cfg(feature = "test-hooks")]
    fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }
}

/// One pause between two polls; under loom, a chance for the others to run.
#[inline(always)]
pub(crate) fn pause() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// Gives the processor to whoever else can run.
pub(crate) fn yield_now() {
    #[cfg(not(loom))]
    std::thread::yield_now();
    #[cfg(loom)]
    loom::thread::yield_now();
}
