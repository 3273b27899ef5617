//! The futex word: the one 32-bit atomic, since the kernel knows no other.

use core::sync::atomic::AtomicU32;
use std::io;

use super::edge::Edge;
use crate::sys::{self, Until};

pub(crate) use crate::sys::futex::Slept;

/// A generation that sleepers wait on. The low half of an eight-byte word, whose high
/// half stays zero.
#[derive(Clone, Copy)]
pub(crate) struct Futex<'a>(&'a AtomicU32);

impl<'a> Futex<'a> {
    /// The futex that a word in a span is.
    pub(super) fn new(word: &'a AtomicU32) -> Self {
        Self(word)
    }

    /// Reads the generation.
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn load(self, edge: Edge) -> u32 {
        #[cfg(feature = "test-hooks")]
        if !super::hooks::enter() {
            return 0;
        }
        self.0.load(edge.ordering())
    }

    /// Starts a new generation.
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn bump(self, edge: Edge) {
        #[cfg(feature = "test-hooks")]
        if !super::hooks::enter() {
            return;
        }
        self.0.fetch_add(1, edge.ordering());
    }

    /// Sleeps while the generation is `expected`, until `until` at the latest.
    pub(crate) fn wait(self, expected: u32, until: Until) -> io::Result<Slept> {
        #[cfg(feature = "test-hooks")]
        if !super::hooks::enter() {
            return Ok(Slept::Changed);
        }
        sys::futex::wait(self.0.as_ptr(), expected, until)
    }

    /// Sleeps while each of several holds what is expected of it; see
    /// [`WAIT_MOST`](sys::futex::WAIT_MOST).
    pub(crate) fn wait_any(futexes: &[(Self, u32)], until: Until) -> io::Result<Slept> {
        #[cfg(feature = "test-hooks")]
        if !super::hooks::enter() {
            return Ok(Slept::Changed);
        }
        let mut words = [(core::ptr::null(), 0); sys::futex::WAIT_MOST];
        let words = &mut words[..futexes.len()];
        for (word, (futex, expected)) in words.iter_mut().zip(futexes) {
            *word = (futex.0.as_ptr().cast_const(), *expected);
        }
        sys::futex::wait_any(words, until)
    }

    /// Wakes at most `count` sleepers; says how many.
    pub(crate) fn wake(self, count: u32) -> io::Result<u32> {
        #[cfg(feature = "test-hooks")]
        if !super::hooks::enter() {
            return Ok(0);
        }
        sys::futex::wake(self.0.as_ptr(), count)
    }
}
