//! How far the sender of a lossless ring may go.
//!
//! ```text
//!   sender:  limit := lowest + capacity · fence · look at all positions again
//!   joiner:  position := low · fence · look at the limit · begin at limit - capacity or above
//! ```
//!
//! A receiver that comes is not overrun, by cases. 1. Its fence came first: the sender's
//! second look sees its position, and it writes no further than a lap beyond that. 2. The
//! sender's came first: the joiner sees the limit, and begins where even a sender that goes
//! up to it does not come. A sender that dies between its limit and its fence leaves that
//! fence to its successor, in `Sender::attach`.

use super::sender::Sender;
use crate::atomic::{Bug, Join, relaxed, retire, seeded};
use crate::error::{Corrupt, Error};
use crate::layout::{self, POSITION_LIMIT, broadcast::SENDER};
use crate::payload::Payload;
use crate::seat::{self, SeatState};

impl<M: Payload + ?Sized> Sender<M> {
    /// Opens the gate as far as the slowest receiver allows. False: the ring is full.
    pub(super) fn raise(&mut self) -> Result<bool, Corrupt> {
        let capacity = self.slots.capacity();
        let mut limit = (self.scan()? + capacity).min(POSITION_LIMIT);
        // Below what was said before, whoever has come since begins beyond.
        if limit > self.limit {
            self.limit = limit;
            // The sole writer, ordered by the fence.
            self.limit_word.store(limit, relaxed::SOLE_WRITER);
            // JOIN: between the limit and the second look. Pairs with `Receiver::attach`.
            Join::Sender.fence();
            if !seeded(Bug::NoLookAfterLimit) {
                limit = limit.min(self.scan()? + capacity);
            }
        }
        self.gate.open_to(limit);
        Ok(self.gate.admits(self.tail))
    }

    /// The lowest position of all receivers that live, as far as the segment says; the tail
    /// if there are none. Notes whose it is.
    fn scan(&mut self) -> Result<u64, Corrupt> {
        self.slowest = None;
        let mut lowest = self.tail;
        for index in self.receiver_seats() {
            let Some(position) = self.position_of(index)? else { continue };
            if position > self.tail {
                return Err(Corrupt { word: "position", value: position });
            }
            if position < lowest {
                lowest = position;
                self.slowest = Some((index, position));
            }
        }
        Ok(lowest)
    }

    /// Where the receiver in a seat has come to, if one lives there.
    fn position_of(&self, index: usize) -> Result<Option<u64>, Corrupt> {
        let segment = self.slots.segment();
        // SEAT: whoever has left has read what it will.
        if !matches!(seat::peek(segment, index)?, SeatState::Live | SeatState::Recovering) {
            return Ok(None);
        }
        let at = layout::seat_line(index) + layout::seat::POSITION;
        // RETIRE: the reads of all messages below are over. Pairs with `Receiver::tell`.
        Ok(Some(segment.span().word(at).load(retire::ACQUIRE)))
    }

    /// Whether the receiver that held us back has moved, or has gone.
    pub(super) fn slowest_stirs(&self) -> bool {
        let Some((index, position)) = self.slowest else { return true };
        !matches!(self.position_of(index), Ok(Some(now)) if now == position)
    }

    /// Asks the kernel for the death of every receiver, and notes it.
    pub(super) fn notice_deaths(&self) -> Result<(), Corrupt> {
        for index in self.receiver_seats() {
            let lived = seeded(Bug::OneDeathASlice)
                && seat::peek(self.slots.segment(), index)? == SeatState::Live;
            match seat::notice_death(self.slots.segment(), index) {
                Err(Error::Corrupt(corrupt)) => return Err(corrupt),
                Ok(SeatState::Died) if lived => return Ok(()),
                _ => {}
            }
            // What else went wrong: the kernel did not say; it is asked again.
        }
        Ok(())
    }

    /// How many receivers there are, as far as the segment says.
    pub(super) fn count(&self) -> Result<usize, Corrupt> {
        let mut count = 0;
        for index in self.receiver_seats() {
            count += usize::from(seat::peek(self.slots.segment(), index)? == SeatState::Live);
        }
        Ok(count)
    }

    /// The receivers' seats.
    fn receiver_seats(&self) -> core::ops::Range<usize> {
        SENDER + 1..self.seats
    }
}
