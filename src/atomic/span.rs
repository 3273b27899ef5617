//! A span of shared memory, by address: the only place that turns bytes into words.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::any::Any;

use super::{Futex, Word};
use crate::sys::Mapping;

/// Alignment of every span: a line, so that header and slots are aligned too.
const ALIGN: usize = 128;

/// A contiguous span of zeroed or mapped memory, kept for as long as it is looked at (I4).
pub struct Span {
    base: NonNull<u8>,
    len: usize,
    keep: Keep,
}

/// What holds the memory.
enum Keep {
    Heap(Layout),
    Mapping(Mapping),
    Foreign { _owner: Box<dyn Any + Send + Sync> },
}

// SAFETY: I5: the span is reached through atomic words and through copies that assume
// nothing of what they find, both of which any thread may do.
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

impl Span {
    /// Zeroed private memory for rings between threads.
    ///
    /// `None`: there is not so much.
    pub(crate) fn heap(len: usize) -> Option<Self> {
        let layout = Layout::from_size_align(len.max(1), ALIGN).ok()?;
        // SAFETY: I1: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout) };
        Some(Self { base: NonNull::new(memory)?, len, keep: Keep::Heap(layout) })
    }

    /// A mapping that this process made.
    pub(crate) fn mapped(mapping: Mapping) -> Self {
        let base = mapping.base();
        let len = mapping.len();
        assert!(base.addr().get().is_multiple_of(ALIGN), "pages are aligned to lines");
        Self { base, len, keep: Keep::Mapping(mapping) }
    }

    /// Memory that somebody else mapped.
    ///
    /// # Safety
    /// `base..base + len` stays mapped readable and writable for as long as `owner`
    /// lives, is aligned to 128 bytes, and no reference into it exists or is made.
    pub(crate) unsafe fn foreign(
        base: NonNull<u8>,
        len: usize,
        owner: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self { base, len, keep: Keep::Foreign { _owner: owner } }
    }

    /// The mapping behind it, if this process made it.
    pub(crate) fn mapping(&self) -> Option<&Mapping> {
        match &self.keep {
            Keep::Mapping(mapping) => Some(mapping),
            Keep::Heap(_) | Keep::Foreign { .. } => None,
        }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The word at a byte offset.
    ///
    /// # Panics
    /// If the offset is unaligned or outside: offsets come from private geometry.
    pub(crate) fn word(&self, offset: usize) -> &Word {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len);
        // SAFETY: I4, I5: just checked to lie inside the span.
        unsafe { self.origin(0).word(offset) }
    }

    /// The futex at a byte offset: the low half of a word. `_event` tells models apart.
    ///
    /// # Panics
    /// As [`Span::word`].
    pub(crate) fn futex(&self, offset: usize, _event: usize) -> Futex<'_> {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len);
        // SAFETY: I4: inside the span, just checked.
        let word = unsafe { self.base.add(offset) }.cast::<AtomicU32>();
        // SAFETY: I4, I5: in the span, aligned, reached through atomics alone.
        Futex::new(unsafe { word.as_ref() })
    }

    /// A place in the span from which words are reached without a check.
    ///
    /// # Panics
    /// If the offset lies outside.
    pub(crate) fn origin(&self, offset: usize) -> Origin {
        assert!(offset <= self.len);
        // SAFETY: I4: inside the span, just checked.
        Origin(unsafe { self.base.add(offset) })
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Keep::Heap(layout) = self.keep {
            // SAFETY: I4: allocated with this layout in `heap`, and the last view is gone.
            unsafe { dealloc(self.base.as_ptr(), layout) }
        }
    }
}

/// An unchecked place in a span, for the hot paths. Whoever holds one keeps the span.
#[derive(Clone, Copy)]
pub(crate) struct Origin(NonNull<u8>);

// SAFETY: I5: as for `Span`; the holder keeps the span alive (I4).
unsafe impl Send for Origin {}
// SAFETY: as above.
unsafe impl Sync for Origin {}

impl Origin {
    /// The word `offset` bytes further.
    ///
    /// # Safety
    /// The offset is a multiple of eight, the word lies in the span, and the span
    /// lives for `'a` (I1, I4).
    #[inline(always)]
    pub(crate) unsafe fn word<'a>(self, offset: usize) -> &'a Word {
        // SAFETY: I1: promised by the caller.
        let word = unsafe { self.0.add(offset) }.cast::<Word>();
        // SAFETY: I4, I5: in the span, aligned, reached through atomics alone, and
        // every bit pattern is a `u64`.
        unsafe { word.as_ref() }
    }

    /// The message bytes from `offset`.
    ///
    /// # Safety
    /// As [`Origin::word`], for all of `offset..offset + len` rounded up to eight.
    #[inline(always)]
    pub(crate) unsafe fn area<'a>(self, offset: usize, len: usize) -> Area<'a> {
        // SAFETY: I1: promised by the caller.
        let base = unsafe { self.0.add(offset) };
        Area { base, len, _span: core::marker::PhantomData }
    }
}

/// Message bytes in a span: `len` of them from an address divisible by eight, in a
/// stretch that is whole words long. Only `copy` reads and writes them.
#[derive(Clone, Copy)]
pub(crate) struct Area<'a> {
    base: NonNull<u8>,
    len: usize,
    _span: core::marker::PhantomData<&'a Span>,
}

impl<'a> Area<'a> {
    /// Length in bytes.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// First byte, for the opaque copies and trusted views.
    #[inline(always)]
    pub(crate) fn base(self) -> NonNull<u8> {
        self.base
    }

    /// Stores word `index` relaxed.
    ///
    /// # Safety
    /// The word begins within the area (I1).
    #[inline(always)]
    pub(crate) unsafe fn store_word(self, index: usize, value: u64) {
        // SAFETY: I1: promised by the caller.
        let word = unsafe { Origin(self.base).word(index * 8) };
        word.store_bytes(value);
    }

    /// Loads word `index` relaxed.
    ///
    /// # Safety
    /// As [`Area::store_word`].
    #[inline(always)]
    pub(crate) unsafe fn load_word(self, index: usize) -> u64 {
        // SAFETY: I1: promised by the caller.
        let word = unsafe { Origin(self.base).word(index * 8) };
        word.load_bytes()
    }
}
