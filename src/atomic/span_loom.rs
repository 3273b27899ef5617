//! A span of loom's own words: the models' stand-in for shared memory.
//!
//! loom's atomics can't live in mapped memory, so a heap segment stores them in a
//! vector, one per eight bytes. Message bytes are either such words too, as in the
//! shipped code, or loom's cells, which report any access that no edge orders.
#![allow(unsafe_code)]

use core::cell::Cell;
use core::marker::PhantomData;
use std::sync::Arc;

use loom::cell::UnsafeCell;

use super::{Futex, Parking, Word};

/// How models represent message bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Relaxed words, as in the shipped code: stale values can be read.
    Words,
    /// Cells: an unordered access is an error by itself.
    Cells,
}

std::thread_local! {
    static PAYLOAD: Cell<Payload> = const { Cell::new(Payload::Words) };
}

/// Chooses the representation for the heap segments that this thread makes from now on.
pub fn set_payload(payload: Payload) {
    PAYLOAD.set(payload);
}

/// A span of words, and of cells beside them if messages are modelled so. Clones are
/// further mappings of the same memory.
#[derive(Clone)]
pub struct Span {
    words: Arc<[Word]>,
    cells: Option<Arc<[UnsafeCell<u64>]>>,
    /// One for each event of a ring.
    parking: Arc<[Parking; 2]>,
}

// SAFETY: I5: words are atomics; loom itself checks every access to a cell.
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

impl Span {
    /// A zeroed span.
    pub(crate) fn heap(len: usize) -> Option<Self> {
        let words = len.div_ceil(8);
        let cells = (PAYLOAD.get() == Payload::Cells)
            .then(|| (0..words).map(|_| UnsafeCell::new(0)).collect());
        Some(Self {
            words: (0..words).map(|_| Word::new(0)).collect(),
            cells,
            parking: Default::default(),
        })
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.words.len() * 8
    }

    /// The word at a byte offset.
    pub(crate) fn word(&self, offset: usize) -> &Word {
        assert!(offset.is_multiple_of(8));
        &self.words[offset / 8]
    }

    /// The futex at a byte offset, and where its sleepers wait.
    pub(crate) fn futex(&self, offset: usize, event: usize) -> Futex<'_> {
        Futex::new(self.word(offset), &self.parking[event])
    }

    /// A place in the span.
    pub(crate) fn origin(&self, offset: usize) -> Origin {
        Origin { span: self, offset }
    }
}

/// A place in a span. Whoever holds one keeps the span.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    span: *const Span,
    offset: usize,
}

// SAFETY: I4: the holder keeps the span, which is `Sync`.
unsafe impl Send for Origin {}
// SAFETY: as above.
unsafe impl Sync for Origin {}

impl Origin {
    /// The word `offset` bytes further.
    ///
    /// # Safety
    /// The span lives for `'a` (I4).
    pub(crate) unsafe fn word<'a>(self, offset: usize) -> &'a Word {
        // SAFETY: I4: promised by the caller.
        let span = unsafe { &*self.span };
        span.word(self.offset + offset)
    }

    /// The message bytes from `offset`.
    ///
    /// # Safety
    /// As [`Origin::word`].
    pub(crate) unsafe fn area<'a>(self, offset: usize, len: usize) -> Area<'a> {
        let first = (self.offset + offset) / 8;
        Area { span: self.span, first, len, _span: PhantomData }
    }
}

/// Message bytes in a span.
#[derive(Clone, Copy)]
pub(crate) struct Area<'a> {
    span: *const Span,
    first: usize,
    len: usize,
    _span: PhantomData<&'a Span>,
}

impl<'a> Area<'a> {
    /// Length in bytes.
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// Stores word `index`.
    ///
    /// # Safety
    /// The word begins within the area (I1).
    pub(crate) unsafe fn store_word(self, index: usize, value: u64) {
        // SAFETY: I4: `'a` is within the span's life.
        let span = unsafe { &*self.span };
        match &span.cells {
            // SAFETY: I3: one owner; loom reports it if there are two.
            Some(cells) => cells[self.first + index].with_mut(|cell| unsafe { *cell = value }),
            None => span.words[self.first + index].store_bytes(value),
        }
    }

    /// Loads word `index`.
    ///
    /// # Safety
    /// As [`Area::store_word`].
    pub(crate) unsafe fn load_word(self, index: usize) -> u64 {
        // SAFETY: I4: `'a` is within the span's life.
        let span = unsafe { &*self.span };
        match &span.cells {
            // SAFETY: I3: one owner; loom reports it if there are two.
            Some(cells) => cells[self.first + index].with(|cell| unsafe { *cell }),
            None => span.words[self.first + index].load_bytes(),
        }
    }
}
