//! The sending side.

use core::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Reservation, Ring};
use crate::atomic::{Bug, publish, relaxed, retire, seeded};
use crate::copy;
use crate::endpoint::{
    self, Blocked, CancelHandle, Unfinished, Waiter, deadline_after, wait_for_peer,
};
use crate::error::{Corrupt, Error, Fault, SendError, SendManyError, TrySendError, WaitError};
use crate::gate::Gate;
use crate::layout::{self, POSITION_LIMIT};
use crate::message::Message;
use crate::outcome::NoRoom;
use crate::payload::{Copying, Payload, Trust};
use crate::seat::{self, Seat, SeatState};
use crate::slots::{ControlWord, Fixed, Slots, free_stamp, full_stamp};
use crate::wait::{Event, ONE_SLEEPER};

/// The one sender of a ring. Dropping it closes it.
///
/// It takes `&mut self` and is `Send` but not `Sync`: one thread sends at a time.
///
/// `send` and the other verbs that wait spin, then yield, then sleep, see
/// [`Options::spin`](crate::Options::spin); a receiver who died is noticed within two
/// [slices](crate::Options::slice).
pub struct Sender<M: Payload + ?Sized, A: Trust = Copying> {
    pub(super) slots: Slots<M::Shape>,
    /// Open up to the first position whose slot was not seen free yet.
    gate: Gate,
    /// Next position to send. Private: the stamps tell a successor.
    pub(super) tail: u64,
    /// The head when it was last read; `head <= tail <= head + capacity` (I2).
    cached_head: u64,
    not_empty: Event,
    head_word: ControlWord,
    waiter: Arc<Waiter>,
    seat: Seat,
    _trust: core::marker::PhantomData<A>,
    /// `Send`, not `Sync`.
    _not_sync: core::marker::PhantomData<core::cell::Cell<()>>,
}

/// How often a sender keeps off the line of the head before it takes what room there is.
const ROUNDS_FOR_ROOM: u32 = 8;

impl<M: Payload + ?Sized, A: Trust> Sender<M, A> {
    pub(super) fn attach(ring: &Ring<M, A>) -> Result<Self, Error> {
        let segment = &ring.segment;
        let (not_empty, waiter) = (ring.not_empty(), ring.waiter(ring.not_full()));
        let mut seat = Seat::take(segment, layout::spsc::SENDER, "sender")?;
        let slots = Slots::new(Arc::clone(segment), &ring.format, M::shape(&ring.format));
        // RETIRE: the reads of all slots below are over. Pairs with `Receiver::retire`.
        let head_word = ControlWord::new(segment, layout::spsc::HEAD);
        let head = head_word.load(retire::ACQUIRE);
        if head > POSITION_LIMIT {
            return Err(Corrupt { word: "head", value: head }.into());
        }
        // Behind the last committed message: the first slot not stamped for its position.
        let mut tail = head;
        let end = head + slots.capacity() - u64::from(seeded(Bug::FullRingOffByOne));
        while tail < end {
            // SEAT: the predecessor's stamps come before his leaving, or his end.
            let stamp = slots.stamp(tail).load(relaxed::FENCED);
            if stamp == free_stamp(tail, slots.capacity()) {
                break;
            }
            if stamp != full_stamp(tail) {
                return Err(Corrupt { word: "stamp", value: stamp }.into());
            }
            tail += 1;
        }
        let gate = Gate::new(head + slots.capacity())?;
        seat.settle();
        let sender = Self {
            slots,
            gate,
            tail,
            cached_head: head,
            not_empty,
            head_word,
            waiter,
            seat,
            _trust: core::marker::PhantomData,
            _not_sync: core::marker::PhantomData,
        };
        // A receiver may be waiting for a peer, or asleep on what a dead sender left.
        if !seeded(Bug::ComesSilently) {
            sender.notify();
        }
        Ok(sender)
    }

    /// Position that the next message will have. Positions count from the ring's first
    /// message and only grow.
    pub fn position(&self) -> u64 {
        self.tail
    }

    /// Number of slots.
    pub fn capacity(&self) -> u64 {
        self.slots.capacity()
    }

    /// How the receiver's seat stands. Asks the kernel whether a live-looking receiver is
    /// dead, and notes it if so; makes system calls.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Os`].
    pub fn peer(&self) -> Result<SeatState, Error> {
        seat::notice_death(self.slots.segment(), layout::spsc::RECEIVER)
    }

    /// Waits until a receiver is there, for at most `timeout` if one is given.
    ///
    /// # Errors
    /// [`WaitError::Timeout`], [`WaitError::Cancelled`], [`WaitError::Fault`].
    pub fn wait_for_peer(&mut self, timeout: Option<Duration>) -> Result<(), WaitError> {
        self.gate.check(self.tail)?;
        let segment = self.slots.segment();
        let outcome = wait_for_peer(segment, layout::spsc::RECEIVER, &self.waiter, timeout);
        if let Err(WaitError::Fault(Fault::Corrupt(corrupt))) = outcome {
            self.gate.poison(corrupt);
        }
        outcome
    }

    /// A handle by which any thread can end this sender's waiting.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.waiter.cancel_handle()
    }

    /// How many waits for room, in all processes so far, only the end of a slice rescued.
    /// Stays 0 unless a notifier is killed, or stopped for long, at the wrong moment.
    pub fn rescues(&self) -> u64 {
        self.waiter.rescues()
    }

    /// Reserves the next slot, to be written in place and committed; without waiting.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    #[inline]
    pub fn try_reserve(&mut self) -> Result<Reservation<'_, M, A>, TrySendError<()>> {
        if let Err(no_room) = self.admit() {
            return Err(no_room.at_once(()));
        }
        Ok(Reservation::new(self))
    }

    /// As [`try_reserve`](Self::try_reserve), waiting while the ring is full.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn reserve(&mut self) -> Result<Reservation<'_, M, A>, SendError<()>> {
        self.reserve_until(None)
    }

    /// As [`reserve`](Self::reserve), for at most `timeout`.
    ///
    /// # Errors
    /// [`SendError::Timeout`] too.
    pub fn reserve_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Reservation<'_, M, A>, SendError<()>> {
        self.reserve_until(deadline_after(timeout))
    }

    #[inline]
    fn reserve_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Reservation<'_, M, A>, SendError<()>> {
        if let Err(no_room) = self.admit_until(deadline) {
            return Err(no_room.after_waiting(()));
        }
        Ok(Reservation::new(self))
    }

    /// Admits the next position, without waiting.
    #[inline(always)]
    pub(super) fn admit(&mut self) -> Result<(), NoRoom> {
        if self.gate.admits(self.tail) { Ok(()) } else { self.make_room() }
    }

    /// Admits the next position, waiting until `deadline` at the latest.
    #[inline(always)]
    pub(super) fn admit_until(&mut self, deadline: Option<Instant>) -> Result<(), NoRoom> {
        if self.gate.admits(self.tail) { Ok(()) } else { self.wait_for_room(deadline) }
    }

    /// Whether this is the process that took the seat.
    #[inline(always)]
    pub(super) fn is_own(&self) -> bool {
        self.gate.is_own()
    }

    /// Commits the message at `tail`: the one step before which it does not exist.
    #[inline(always)]
    pub(super) fn commit(&mut self) {
        // PUBLISH: the message is written. Pairs with `Receiver`'s load of the stamp.
        self.slots.stamp(self.tail).store(full_stamp(self.tail), publish::RELEASE);
        self.tail += 1;
    }

    /// Wakes the receiver if it sleeps. After a commit, once a batch.
    #[inline(always)]
    pub(super) fn notify(&self) {
        self.not_empty.notify(ONE_SLEEPER);
    }

    /// Looks closer when the gate is shut at `tail`: how far has the receiver come?
    #[cold]
    #[inline(never)]
    fn make_room(&mut self) -> Result<(), NoRoom> {
        self.gate.check(self.tail).map_err(NoRoom::Fault)?;
        if self.see_room()? {
            return Ok(());
        }
        // Really full. If the receiver has left, what he did before counts.
        let state = seat::peek(self.slots.segment(), layout::spsc::RECEIVER)
            .map_err(|corrupt| NoRoom::Fault(self.gate.poison(corrupt)))?;
        let ended = match state {
            SeatState::Closed => NoRoom::Closed,
            SeatState::Died => NoRoom::Died,
            SeatState::Vacant | SeatState::Live | SeatState::Recovering => {
                return Err(NoRoom::Full);
            }
        };
        if !seeded(Bug::GoneBeforeRoom) && self.see_room()? { Ok(()) } else { Err(ended) }
    }

    /// Reads the head once and opens the gate as far as it says. False: full.
    fn see_room(&mut self) -> Result<bool, NoRoom> {
        // RETIRE: the reads of the freed slots are over. Pairs with `Receiver::retire`.
        let head = self.head_word.load(retire::ACQUIRE);
        let possible = (self.cached_head..=self.tail).contains(&head);
        if !possible && !seeded(Bug::HeadUnchecked) {
            return Err(NoRoom::Fault(self.gate.poison(Corrupt { word: "head", value: head })));
        }
        self.cached_head = head;
        self.gate.open_to(head + self.slots.capacity());
        Ok(self.gate.admits(self.tail))
    }

    /// Slots that have come free since the head was last read closely: a hint.
    #[inline(always)]
    fn seen_free(&self) -> u64 {
        self.head_word.load(relaxed::HINT).wrapping_sub(self.cached_head)
    }

    /// Waits until the gate admits `tail`.
    #[cold]
    #[inline(never)]
    fn wait_for_room(&mut self, deadline: Option<Instant>) -> Result<(), NoRoom> {
        match self.make_room() {
            Err(NoRoom::Full) => {}
            outcome => return outcome,
        }
        // Room for several: a sender that takes each slot as it comes free takes the head's
        // line from the receiver's hands each time. A full ring is in no hurry.
        let enough = self.capacity().div_ceil(8);
        let rounds = if cfg!(loom) { 0 } else { ROUNDS_FOR_ROOM };
        for _ in 0..rounds {
            if self.seen_free() >= enough {
                break;
            }
            endpoint::keep_off();
        }
        if endpoint::spin(self)
            && let outcome @ (Ok(()) | Err(NoRoom::Closed | NoRoom::Died | NoRoom::Fault(_))) =
                self.make_room()
        {
            return outcome;
        }
        match endpoint::wait(self, deadline) {
            Ok(outcome) => outcome,
            Err(Unfinished::TimedOut) => Err(NoRoom::Full),
            Err(Unfinished::Cancelled) => Err(NoRoom::Cancelled),
            Err(Unfinished::Corrupt(corrupt)) => Err(NoRoom::Fault(self.gate.poison(corrupt))),
        }
    }
}

impl<M: Payload + ?Sized, A: Trust> Blocked for Sender<M, A> {
    type Outcome = Result<(), NoRoom>;

    fn waiter(&self) -> &Waiter {
        &self.waiter
    }

    fn stirs(&self) -> bool {
        self.seen_free() != 0
    }

    fn look(&mut self) -> Option<Self::Outcome> {
        match self.make_room() {
            Err(NoRoom::Full) => None,
            outcome => Some(outcome),
        }
    }

    fn look_around(&mut self) -> Option<Self::Outcome> {
        let segment = Arc::clone(self.slots.segment());
        endpoint::look_at_peer(self, (&segment, layout::spsc::RECEIVER), |this, corrupt| {
            Err(corrupt.map_or(NoRoom::Died, |it| NoRoom::Fault(this.gate.poison(it))))
        })
    }
}

/// Fixed-size messages.
impl<T: Message, A: Trust> Sender<T, A> {
    /// Sends without waiting: wait-free, no allocation, and no
    /// system call unless the peer sleeps.
    ///
    /// While there is room a message is accepted whether or not a receiver is there: it
    /// waits for one.
    ///
    /// # Errors
    /// Gives the message back: [`TrySendError::Full`]; [`TrySendError::Closed`] and
    /// [`TrySendError::Died`] if it is full and the receiver has left or was found dead;
    /// [`TrySendError::Fault`].
    #[inline]
    pub fn try_send(&mut self, message: T) -> Result<(), TrySendError<T>> {
        if let Err(no_room) = self.admit() {
            return Err(no_room.at_once(message));
        }
        self.put(&message);
        self.notify();
        Ok(())
    }

    /// Sends, waiting while the ring is full.
    ///
    /// # Errors
    /// Gives the message back as [`try_send`](Self::try_send) does; never
    /// [`SendError::Timeout`].
    #[inline]
    pub fn send(&mut self, message: T) -> Result<(), SendError<T>> {
        self.send_until(message, None)
    }

    /// As [`send`](Self::send), for at most `timeout`. The clock is monotonic.
    ///
    /// # Errors
    /// [`SendError::Timeout`] too.
    pub fn send_timeout(&mut self, message: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.send_until(message, deadline_after(timeout))
    }

    /// As [`send`](Self::send), until `deadline` at the latest.
    ///
    /// # Errors
    /// [`SendError::Timeout`] too.
    pub fn send_deadline(&mut self, message: T, deadline: Instant) -> Result<(), SendError<T>> {
        self.send_until(message, Some(deadline))
    }

    #[inline]
    fn send_until(&mut self, message: T, deadline: Option<Instant>) -> Result<(), SendError<T>> {
        if let Err(no_room) = self.admit_until(deadline) {
            return Err(no_room.after_waiting(message));
        }
        self.put(&message);
        self.notify();
        Ok(())
    }

    /// Sends as many of the messages as there is room for, without waiting. Each commits
    /// on its own, in order.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send) if there was room for none. No messages are
    /// always sent at once.
    #[inline]
    pub fn try_send_many(&mut self, messages: &[T]) -> Result<usize, TrySendError<()>> {
        if messages.is_empty() {
            return Ok(0);
        }
        if !self.gate.admits(self.tail + (messages.len() as u64 - 1))
            && let Err(no_room) = self.make_room()
        {
            return Err(no_room.at_once(()));
        }
        let room = usize::try_from(self.gate.limit() - self.tail).unwrap_or(usize::MAX);
        let sent = room.min(messages.len());
        if seeded(Bug::BatchBackwards) {
            let first = self.tail;
            for (n, message) in messages[..sent].iter().enumerate().rev() {
                self.tail = first + n as u64;
                self.put(message);
            }
            self.tail = first + sent as u64;
        } else {
            for run in messages[..sent].chunks(const { copy::run_of(Fixed::<T>::SHAPE.stride) }) {
                self.put_run(run);
            }
        }
        self.notify();
        Ok(sent)
    }

    /// Sends all of the messages, in order, waiting while the ring is full. Each commits
    /// on its own.
    ///
    /// # Errors
    /// How many were sent, and why not the next one.
    pub fn send_many(&mut self, messages: &[T]) -> Result<(), SendManyError> {
        let mut sent = 0;
        while sent < messages.len() {
            match self.try_send_many(&messages[sent..]) {
                Ok(more) => sent += more,
                Err(_) => {
                    if let Err(no_room) = self.wait_for_room(None) {
                        return Err(SendManyError { sent, reason: no_room.after_waiting(()) });
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes messages and then commits each, in order: the receiver, who follows the
    /// stamps, keeps off the lines while they are written.
    #[inline(always)]
    fn put_run(&mut self, messages: &[T]) {
        for (position, message) in (self.tail..).zip(messages) {
            copy::store(self.slots.message(position), 0, message.as_bytes());
        }
        for _ in messages {
            self.commit();
        }
    }

    /// Writes and commits at `tail`, which the gate admits.
    #[inline(always)]
    fn put(&mut self, message: &T) {
        if seeded(Bug::PublishBeforeCopy) {
            self.commit();
            self.tail -= 1;
        }
        copy::store(self.slots.message(self.tail), 0, message.as_bytes());
        self.commit();
    }
}

/// Beside others.
#[cfg(not(loom))]
impl<M: Payload + ?Sized, A: Trust> crate::waitset::sealed::Sealed for Sender<M, A> {
    fn how(&self) -> &Waiter {
        &self.waiter
    }

    fn is_due(&mut self) -> bool {
        self.gate.admits(self.tail) || self.look().is_some()
    }

    fn look_for_the_dead(&mut self) {
        // What it finds, the next look finds again.
        let _ = self.look_around();
    }
}

impl<M: Payload + ?Sized, A: Trust> Drop for Sender<M, A> {
    fn drop(&mut self) {
        if self.gate.is_own() {
            self.seat.leave();
            if !seeded(Bug::LeavesSilently) {
                self.notify();
            }
        }
    }
}

impl<M: Payload + ?Sized, A: Trust> fmt::Debug for Sender<M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("spsc::Sender").field("position", &self.tail).finish_non_exhaustive()
    }
}
