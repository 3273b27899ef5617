//! The slots of a ring, by position.
//!
//! ```text
//!   index = position & mask       slot = first + index * stride
//!   [ stamp ][ message .......... ][ pad ]
//! ```
//!
//! Promises: every index is masked with private geometry (I1), so no value that a peer
//! writes can lead outside. Imports: atomic, layout, segment.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use std::sync::Arc;

use crate::atomic::{Area, Bug, Origin, Span, Word, relaxed, seeded};
use crate::layout::{self, SlotShape};
use crate::segment::{Format, Segment};

/// The slots' shape where it is a constant of the message type, so that the compiler
/// multiplies by it and copies of its size at no cost.
pub trait Shape: Copy {
    /// The shape.
    fn shape(self) -> SlotShape;
}

/// Slots of fixed-size messages.
pub struct Fixed<T>(PhantomData<fn() -> T>);

impl<T> Fixed<T> {
    /// The shape of `T`'s slots.
    pub(crate) const SHAPE: SlotShape = SlotShape::new(0, size_of::<T>(), align_of::<T>());
    /// The only value.
    pub(crate) const NEW: Self = Self(PhantomData);
}

impl<T> Clone for Fixed<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Fixed<T> {}

impl<T> Shape for Fixed<T> {
    #[inline(always)]
    fn shape(self) -> SlotShape {
        Self::SHAPE
    }
}

/// Slots of byte messages: a length, and bytes up to a maximum.
#[derive(Clone, Copy)]
pub struct Bytes(SlotShape);

impl Bytes {
    /// The shape that a checked format gives.
    pub(crate) fn new(shape: SlotShape) -> Self {
        Self(shape)
    }
}

impl Shape for Bytes {
    #[inline(always)]
    fn shape(self) -> SlotShape {
        self.0
    }
}

/// All slots of a segment, which is kept for as long (I4).
pub(crate) struct Slots<S> {
    first: Origin,
    mask: u64,
    shape: S,
    segment: Arc<Segment>,
}

impl<S: Shape> Slots<S> {
    /// The slots of a checked segment.
    ///
    /// # Panics
    /// If the format is not that of the segment and shape: a mistake in this crate.
    pub(crate) fn new(segment: Arc<Segment>, format: &Format, shape: S) -> Self {
        assert_eq!(format.shape(), shape.shape());
        assert!(format.capacity.is_power_of_two());
        assert!(format.len <= segment.span().len() as u64);
        assert_eq!(
            layout::segment_len(format.kind, format.seats, format.capacity, format.shape()),
            Some(format.len)
        );
        let first = segment.span().origin(layout::slots_at(format.kind, format.seats));
        Self { first, mask: format.capacity - 1, shape, segment }
    }

    /// Number of slots.
    #[inline(always)]
    pub(crate) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// The segment.
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Byte offset of a position's slot from the first.
    #[inline(always)]
    fn offset(&self, position: u64) -> usize {
        if seeded(Bug::CapacityReread) {
            let capacity = self.segment.span().word(layout::header::CAPACITY);
            let mask = capacity.load(relaxed::VALIDATED).wrapping_sub(1);
            return ((position & mask) as usize).wrapping_mul(self.shape.shape().stride);
        }
        (position & self.mask) as usize * self.shape.shape().stride
    }

    /// The stamp of a position's slot.
    #[inline(always)]
    pub(crate) fn stamp(&self, position: u64) -> &Word {
        // SAFETY: I1, I4: the masked index is below the capacity, and `new` checked
        // that so many slots lie in the segment, which lives as long as `self`.
        unsafe { self.first.word(self.offset(position)) }
    }

    /// The message of a position's slot.
    #[inline(always)]
    pub(crate) fn message(&self, position: u64) -> Area<'_> {
        let SlotShape { message_at, message_size, .. } = self.shape.shape();
        // SAFETY: I1, I4: as in `stamp`; a message and its padding end within the slot.
        unsafe { self.first.area(self.offset(position) + message_at, message_size) }
    }
}

/// One control word, reached without a check; it keeps its segment (I4).
pub(crate) struct ControlWord {
    place: Origin,
    _segment: Arc<Segment>,
}

impl ControlWord {
    /// The word at a byte offset of the control area.
    ///
    /// # Panics
    /// If the offset is unaligned or outside: a mistake in this crate.
    pub(crate) fn new(segment: &Arc<Segment>, offset: usize) -> Self {
        let span = segment.span();
        assert!(offset.is_multiple_of(8) && offset + 8 <= span.len());
        Self { place: span.origin(offset), _segment: Arc::clone(segment) }
    }
}

impl core::ops::Deref for ControlWord {
    type Target = Word;

    #[inline(always)]
    fn deref(&self) -> &Word {
        // SAFETY: I1, I4: checked by `new`; the segment lives as long as `self`.
        unsafe { self.place.word(0) }
    }
}

/// Stamps all slots for a first position: each with "the lap before" (format.md).
pub(crate) fn initialise(span: &Span, format: &Format, start: u64) {
    initialise_with(span, format, start, |position| free_stamp(position, format.capacity));
}

/// The same with another ring's stamps.
pub(crate) fn initialise_with(
    span: &Span,
    format: &Format,
    start: u64,
    stamp: impl Fn(u64) -> u64,
) {
    let first = layout::slots_at(format.kind, format.seats);
    let stride = format.shape().stride;
    for position in start..start + format.capacity {
        let index = (position & (format.capacity - 1)) as usize;
        // The segment is still private to its creator.
        span.word(first + index * stride).store(stamp(position), relaxed::SOLE_WRITER);
    }
}

/// The stamp of a slot that is free for `position`: as the lap before left it.
#[inline(always)]
pub(crate) const fn free_stamp(position: u64, capacity: u64) -> u64 {
    full_stamp(position).wrapping_sub(capacity)
}

/// The stamp of a slot that holds the message of `position`.
#[inline(always)]
pub(crate) const fn full_stamp(position: u64) -> u64 {
    position + 1
}
