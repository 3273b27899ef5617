//! The buffers: their words, their bytes, and those of the dead.
#![allow(unsafe_code)]

use std::sync::Arc;

use super::word::{Holder, State, Word};
use super::{Handle, Ring};
use crate::atomic::{Area, Bug, Origin, claim, relaxed, retire, seeded};
use crate::error::Corrupt;
use crate::layout::{self, LINE};
use crate::seat::{self, SeatState};
use crate::segment::{Format, Segment};
use crate::slots::ControlWord;

/// Where the buffers' words begin, in a format that was checked.
pub(super) fn words_at(format: &Format) -> usize {
    layout::frames::words_at(format.seats, format.capacity).expect("a checked format") as usize
}

/// All buffers of a segment, which is kept for as long (I4).
#[derive(Clone)]
pub(crate) struct Buffers {
    first: Origin,
    words: usize,
    stride: usize,
    size: usize,
    count: usize,
    /// Of both sides.
    seats: usize,
    segment: Arc<Segment>,
}

/// A buffer in hand.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) index: usize,
    pub(super) word: Word,
}

impl Held {
    /// What goes through the ring.
    pub(super) fn handle(self, len: usize) -> Handle {
        [self.index as u64, self.word.generation, len as u64]
    }
}

impl Buffers {
    pub(super) fn new<A>(ring: &Ring<A>) -> Self {
        let (segment, format) = (&ring.segment, &ring.format);
        let at = layout::frames::buffers_at(format.seats, format.capacity);
        let at = at.expect("a checked format") as usize;
        let shape = format.shape();
        assert!(at + format.capacity as usize * shape.stride <= segment.span().len());
        Self {
            first: segment.span().origin(at),
            words: words_at(format),
            stride: shape.stride,
            size: shape.message_size,
            count: format.capacity as usize,
            seats: format.seats as usize,
            segment: Arc::clone(segment),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// A buffer's word.
    fn word(&self, index: usize) -> ControlWord {
        ControlWord::new(&self.segment, self.words + index * LINE)
    }

    /// A buffer's bytes.
    ///
    /// # Panics
    /// If there is no such buffer.
    pub(super) fn area(&self, index: usize) -> Area<'_> {
        assert!(index < self.count);
        // SAFETY: I1, I4: just checked; `new` checked that so many lie in the segment, which
        // lives as long as `self`, and a stride is whole pages.
        unsafe { self.first.area(index * self.stride, self.size) }
    }

    /// Reads a buffer's word.
    fn read(&self, index: usize) -> Result<Word, Corrupt> {
        // RETIRE: who had it before has read it. Pairs with `free`. PUBLISH: who sent it has
        // written it, which the ring of handles says too.
        let value = self.word(index).load(retire::ACQUIRE);
        Word::of(value).ok_or(Corrupt { word: "buffer", value })
    }

    /// Moves a buffer from one state to another; false: somebody else did.
    fn exchange(&self, index: usize, from: Word, to: Word) -> bool {
        // CLAIM: what was read of it comes before, what is done with it after.
        let word = self.word(index);
        word.compare_exchange(from.word(), to.word(), claim::SETTLE, relaxed::HINT).is_ok()
    }

    /// Takes a free buffer, looking from number `from` on.
    pub(super) fn take(&self, from: usize, holder: Holder) -> Result<Option<Held>, Corrupt> {
        for n in 0..self.count {
            let index = (from + n) % self.count;
            let word = self.read(index)?;
            if word.state == State::Free {
                let held = word.with(State::Held(holder));
                if self.exchange(index, word, held) {
                    return Ok(Some(Held { index, word: held }));
                }
            }
        }
        Ok(None)
    }

    /// Whether any buffer looks free.
    pub(super) fn any_free(&self) -> bool {
        (0..self.count).any(|index| matches!(self.read(index), Ok(Word { state: State::Free, .. })))
    }

    /// Says that a buffer's handle is in the ring, unless a receiver has it already.
    pub(super) fn sent(&self, held: Held) {
        self.exchange(held.index, held.word, held.word.with(State::Sent));
    }

    /// Gives a buffer back that is in our hands.
    pub(super) fn free(&self, held: Held) {
        // RETIRE: the reads of it are over. Pairs with `read`.
        self.word(held.index).store(held.word.freed().word(), retire::RELEASE);
    }

    /// Takes the buffer of a handle that came out of the ring. `None`: it is not that
    /// handle's any more.
    pub(super) fn receive(
        &self,
        [index, generation, _]: Handle,
        holder: Holder,
    ) -> Result<Option<Held>, Corrupt> {
        let value = index;
        let possible = |index: &usize| *index < self.count || seeded(Bug::HandleUnchecked);
        let index = usize::try_from(value).ok().filter(possible);
        let index = index.ok_or(Corrupt { word: "handle", value })?;
        // Sent, still in the hands of the sender who has just sent it, or in those of one who
        // died while he received it: at most these, one after the other.
        for _ in 0..4 {
            let word = self.read(index)?;
            if word.generation != generation || word.state == State::Free {
                return Ok(None);
            }
            let held = word.with(State::Held(holder));
            if self.exchange(index, word, held) {
                return Ok(Some(Held { index, word: held }));
            }
        }
        Ok(None)
    }

    /// Frees the buffers of holders who have died. `in_ring` says whether a handle is in the
    /// ring, by what is committed there. True: there were such.
    pub(super) fn reclaim(&self, in_ring: impl Fn(Handle) -> bool) -> Result<bool, Corrupt> {
        let mut any = false;
        for index in 0..self.count {
            let word = self.read(index)?;
            let State::Held(holder) = word.state else { continue };
            if holder.seat >= self.seats {
                return Err(Corrupt { word: "buffer", value: word.word() });
            }
            if !self.is_dead(holder)? {
                continue;
            }
            // His seat has been settled: what he committed is in the ring, and nothing else.
            let sent = in_ring([index as u64, word.generation, 0]);
            let next = match sent && !seeded(Bug::ReclaimsSentFrames) {
                true => word.with(State::Sent),
                false => word.freed(),
            };
            any |= self.exchange(index, word, next);
        }
        Ok(any)
    }

    /// Whether a stay in a seat has ended, and what was left there was settled.
    fn is_dead(&self, holder: Holder) -> Result<bool, Corrupt> {
        let (state, incarnation) = seat::stay(&self.segment, holder.seat)?;
        Ok(state != SeatState::Live && state != SeatState::Recovering
            || Holder::new(holder.seat, incarnation) != holder)
    }
}

/// Whether a slot of the ring of handles holds this buffer's handle.
pub(super) fn is_of([index, generation, _]: Handle, found: Handle) -> bool {
    found[0] == index && found[1] == generation
}
