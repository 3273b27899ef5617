//! The bytes of a stream, by position.
//!
//! Promises: every index is masked with private geometry (I1), so no value that a peer
//! writes can lead outside; a run that passes the end goes on at the beginning.
#![allow(unsafe_code)]

use std::sync::Arc;

use crate::atomic::{Area, Origin};
use crate::copy;
use crate::layout;
use crate::segment::{Format, Segment};

/// All bytes of a segment, which is kept for as long (I4).
pub(super) struct Bytes {
    first: Origin,
    mask: u64,
    segment: Arc<Segment>,
}

/// A run of bytes as two stretches, each an index and a length; the second may be empty
/// and begins at index 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) first: (usize, usize),
    pub(super) second: (usize, usize),
}

impl Bytes {
    /// The bytes of a checked segment.
    ///
    /// # Panics
    /// If the format is not that of the segment: a mistake in this crate.
    pub(super) fn new(segment: Arc<Segment>, format: &Format) -> Self {
        assert!(format.capacity.is_power_of_two() && format.capacity >= layout::STREAM_MIN);
        let at = layout::slots_at(format.kind, format.seats);
        assert!(at as u64 + format.capacity <= segment.span().len() as u64);
        Self { first: segment.span().origin(at), mask: format.capacity - 1, segment }
    }

    /// How many there are.
    #[inline(always)]
    pub(super) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// The segment.
    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// All of them.
    #[inline(always)]
    pub(super) fn area(&self) -> Area<'_> {
        // SAFETY: I1, I4: `new` checked that so many lie in the segment, which lives as
        // long as `self`; the capacity is whole words.
        unsafe { self.first.area(0, self.capacity() as usize) }
    }

    /// The `len` bytes from a position on.
    ///
    /// # Panics
    /// If they are more than there are: lengths come from private geometry (I1).
    #[inline(always)]
    pub(super) fn parts(&self, position: u64, len: usize) -> Parts {
        assert!(len as u64 <= self.capacity());
        let index = (position & self.mask) as usize;
        let first = len.min(self.capacity() as usize - index);
        Parts { first: (index, first), second: (0, len - first) }
    }

    /// Copies in, from a position on.
    #[inline(always)]
    pub(super) fn store(&self, position: u64, bytes: &[u8]) {
        let Parts { first, second } = self.parts(position, bytes.len());
        let (head, rest) = bytes.split_at(first.1);
        copy::store_anywhere(self.area(), first.0, head);
        if second.1 > 0 {
            copy::store_anywhere(self.area(), 0, rest);
        }
    }

    /// Copies out, from a position on.
    #[inline(always)]
    pub(super) fn load(&self, position: u64, out: &mut [u8]) {
        let Parts { first, second } = self.parts(position, out.len());
        let (head, rest) = out.split_at_mut(first.1);
        copy::load(self.area(), first.0, head);
        if second.1 > 0 {
            copy::load(self.area(), 0, rest);
        }
    }
}
