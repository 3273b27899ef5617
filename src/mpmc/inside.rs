//! What a room above needs to know of a ring that it keeps its handles in.

use std::sync::Arc;

use super::post::{Court, Post};
use super::words::Slot;
use super::{Receiver, Sender};
use crate::atomic::{Area, publish, relaxed};
use crate::endpoint::Waiter;
use crate::error::{Corrupt, Fault};
use crate::lend;
use crate::message::Message;
use crate::payload::{Payload, Trust};

impl<M: Payload + ?Sized, A: Trust> Sender<M, A> {
    /// The seat, and which stay in it this is.
    pub(crate) fn stay(&self) -> (usize, u64) {
        self.post.stay()
    }

    /// How it waits for room.
    pub(crate) fn share_waiter(&self) -> Arc<Waiter> {
        Arc::clone(&self.waiter)
    }

    /// Why the handle can't go on, if that is so.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.post.gate.check(0)
    }

    /// The handle has seen what no correct peer writes.
    pub(crate) fn poison_handle(&mut self, corrupt: Corrupt) -> Fault {
        self.post.gate.poison(corrupt)
    }

    /// Settles what the dead left.
    pub(crate) fn settle_the_dead(&mut self) -> Result<(), Corrupt> {
        self.post.look_around(false).map(drop)
    }

    /// How the receivers have ended, if nobody of them is left: by death?
    pub(crate) fn receivers_died(&mut self) -> Result<Option<bool>, Corrupt> {
        let ended = self.post.ended(super::post::Side::Receivers)?;
        Ok(ended.map(|state| state == crate::seat::SeatState::Died))
    }
}

impl<T: Message, A: Trust> Sender<T, A> {
    /// Whether any message in the ring, received or not, passes a test.
    pub(crate) fn any_message(&self, test: impl Fn(T) -> bool) -> bool {
        self.post.court.any_message(|area| test(lend::read(area)))
    }
}

impl<M: Payload + ?Sized, A: Trust> Receiver<M, A> {
    /// The seat, and which stay in it this is.
    pub(crate) fn stay(&self) -> (usize, u64) {
        self.post.stay()
    }

    /// The handle has seen what no correct peer writes.
    pub(crate) fn poison_handle(&mut self, corrupt: Corrupt) -> Fault {
        self.post.gate.poison(corrupt)
    }

    /// Takes a cancellation, if there is one.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.waiter.is_cancelled()
    }
}

impl<M: Payload + ?Sized> Post<M> {
    fn stay(&self) -> (usize, u64) {
        (self.seat.index(), self.seat.incarnation())
    }
}

impl<M: Payload + ?Sized> Court<M> {
    /// Whether any message in the ring passes a test: those to be received, being received,
    /// and of the dead. What changes meanwhile is not looked for.
    fn any_message(&self, test: impl Fn(Area<'_>) -> bool) -> bool {
        (0..self.slots.capacity()).any(|index| {
            let stamp = self.slots.stamp(index);
            // PUBLISH: the message is written. Pairs with `Sender::put`.
            let before = stamp.load(publish::ACQUIRE);
            matches!(Slot::of(before), Slot::Full(_) | Slot::Recl(..))
                && test(self.slots.message(index))
                // A word that has moved on was not one of a dead sender's.
                && stamp.load(relaxed::VALIDATED) == before
        })
    }
}
