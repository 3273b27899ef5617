//! The sending side.

use core::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Ring;
use super::reader::{full_stamp, never_stamp, writing_stamp};
use crate::atomic::{Bug, Join, fence, publish, relaxed, seeded, tear};
use crate::copy;
use crate::endpoint::{self, Blocked, CancelHandle, Unfinished, Waiter, deadline_after};
use crate::error::{Corrupt, Error, SendError, SendManyError, TrySendError, WaitError};
use crate::gate::Gate;
use crate::layout::{self, POSITION_LIMIT, broadcast};
use crate::message::Message;
use crate::outcome::NoRoom;
use crate::payload::Payload;
use crate::seat::Seat;
use crate::slots::{ControlWord, Slots};
use crate::wait::Event;

/// Wakes all who sleep.
const EVERYBODY: u32 = u32::MAX;

/// The one sender of a broadcast. Dropping it closes it.
///
/// It takes `&mut self` and is `Send` but not `Sync`: one thread sends at a time.
///
/// In overwrite mode it never waits. In a lossless ring the verbs that wait spin, then yield,
/// then sleep, see [`Options::spin`](crate::Options::spin); a receiver who died is noticed
/// within two [slices](crate::Options::slice) and holds nobody back any more.
pub struct Sender<M: Payload + ?Sized> {
    pub(super) slots: Slots<M::Shape>,
    /// Open up to the first position that a receiver may still read a lap below.
    pub(super) gate: Gate,
    /// Next position to send.
    pub(super) tail: u64,
    /// What the receivers were told of the gate, in a lossless ring.
    pub(super) limit: u64,
    pub(super) limit_word: ControlWord,
    tail_word: ControlWord,
    /// Seats of the ring.
    pub(super) seats: usize,
    /// The receiver that holds us back, and its position.
    pub(super) slowest: Option<(usize, u64)>,
    lossless: bool,
    not_empty: Event,
    waiter: Arc<Waiter>,
    seat: Seat,
    /// `Send`, not `Sync`.
    _not_sync: core::marker::PhantomData<core::cell::Cell<()>>,
}

impl<M: Payload + ?Sized> Sender<M> {
    pub(super) fn attach(ring: &Ring<M>) -> Result<Self, Error> {
        let (segment, format) = (&ring.segment, &ring.format);
        let (not_empty, waiter) = (ring.not_empty(), ring.waiter(ring.not_full()));
        let mut seat = Seat::take(segment, broadcast::SENDER, "sender")?;
        let slots = Slots::new(Arc::clone(segment), format, M::shape(format));
        let at = layout::control_at(format.seats);
        let tail_word = ControlWord::new(segment, at + broadcast::TAIL);
        let limit_word = ControlWord::new(segment, at + broadcast::LIMIT);
        // SEAT: the predecessor's last words come before his leaving, or his end.
        let tail = tail_word.load(relaxed::FENCED);
        if tail > POSITION_LIMIT {
            return Err(Corrupt { word: "tail", value: tail }.into());
        }
        // Behind the last committed message, which the predecessor may not have noted.
        // SEAT: as above.
        let stamp = slots.stamp(tail).load(relaxed::FENCED);
        let tail = if stamp == full_stamp(tail) { tail + 1 } else { tail };
        let stamp = slots.stamp(tail).load(relaxed::FENCED);
        let half = stamp == writing_stamp(tail) && seeded(Bug::SkipsHalfWritten);
        let (tail, stamp) = match half {
            true => (tail + 1, slots.stamp(tail + 1).load(relaxed::FENCED)),
            false => (tail, stamp),
        };
        let before = full_stamp(tail).wrapping_sub(slots.capacity() << 1);
        // Free, never used, or left by one who died writing.
        let never = never_stamp(tail, slots.capacity());
        if ![before, never, writing_stamp(tail)].contains(&stamp) {
            return Err(Corrupt { word: "stamp", value: stamp }.into());
        }
        let lossless = format.kind.is_lossless();
        // SEAT: as above.
        let limit = limit_word.load(relaxed::FENCED);
        if limit > POSITION_LIMIT {
            return Err(Corrupt { word: "limit", value: limit }.into());
        }
        let gate = Gate::new(if lossless { tail } else { POSITION_LIMIT })?;
        if lossless {
            // JOIN: the predecessor may have died between his limit and his second look.
            // Pairs with `Receiver::attach`.
            Join::Sender.fence();
        }
        // A successor looks one further, so two messages must never be un-noted.
        if !seeded(Bug::TailUnnoted) {
            // PUBLISH: what lies below is there. Pairs with `Reader::newest`.
            tail_word.store(tail, publish::RELEASE);
        }
        seat.settle();
        let sender = Self {
            slots,
            gate,
            tail,
            limit,
            limit_word,
            tail_word,
            seats: format.seats as usize,
            slowest: None,
            lossless,
            not_empty,
            waiter,
            seat,
            _not_sync: core::marker::PhantomData,
        };
        // Receivers may be waiting for a sender.
        sender.notify();
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

    /// How many receivers there are, those that died unnoticed included: the kernel is not
    /// asked.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn receivers(&self) -> Result<usize, Error> {
        Ok(self.count()?)
    }

    /// Waits until a receiver is there, for at most `timeout` if one is given.
    ///
    /// # Errors
    /// [`WaitError::Timeout`], [`WaitError::Cancelled`], [`WaitError::Fault`].
    pub fn wait_for_peer(&mut self, timeout: Option<Duration>) -> Result<(), WaitError> {
        self.gate.check(0)?;
        // Whoever died unnoticed is not there.
        let noticed = self.notice_deaths();
        noticed.map_err(|corrupt| WaitError::Fault(self.gate.poison(corrupt)))?;
        let deadline = timeout.and_then(deadline_after);
        let waiting = Until { sender: self, what: What::Company };
        match waiting.wait(deadline) {
            Ok(()) => Ok(()),
            Err(NoRoom::Cancelled) => Err(WaitError::Cancelled),
            Err(NoRoom::Fault(fault)) => Err(WaitError::Fault(fault)),
            Err(NoRoom::Full | NoRoom::Closed | NoRoom::Died) => Err(WaitError::Timeout),
        }
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

    /// Writes and commits the message at `tail`, which the gate admits: its parts one behind
    /// the other.
    #[inline(always)]
    pub(super) fn put(&mut self, parts: [&[u8]; 2]) {
        let stamp = self.slots.stamp(self.tail);
        if !seeded(Bug::NoWritingMark) {
            // Ordered by the fence.
            stamp.store(writing_stamp(self.tail), relaxed::FENCED);
        }
        // TEAR: between the mark and the words. Pairs with `Reader::read`.
        fence(tear::MARK);
        let area = self.slots.message(self.tail);
        let [first, second] = parts;
        if !first.is_empty() {
            copy::store(area, 0, first);
        }
        copy::store(area, first.len(), second);
        // PUBLISH: the message is written. Pairs with `Reader::stamp`.
        stamp.store(full_stamp(self.tail), publish::RELEASE);
        self.tail += 1;
        // For those who come, and for a successor, who looks one further.
        // PUBLISH: the stamp, for one who begins at the tail. Pairs with `Reader::newest`.
        self.tail_word.store(self.tail, publish::RELEASE);
    }

    /// Wakes the receivers that sleep. After a commit, once a batch.
    #[inline(always)]
    pub(super) fn notify(&self) {
        self.not_empty.notify(EVERYBODY);
    }

    /// Looks closer when the gate is shut at `tail`: how far have the receivers come?
    #[cold]
    #[inline(never)]
    fn make_room(&mut self) -> Result<(), NoRoom> {
        self.gate.check(self.tail).map_err(NoRoom::Fault)?;
        match self.raise() {
            Ok(true) => Ok(()),
            Ok(false) => Err(NoRoom::Full),
            Err(corrupt) => Err(NoRoom::Fault(self.gate.poison(corrupt))),
        }
    }

    /// Waits until the gate admits `tail`.
    #[cold]
    #[inline(never)]
    fn wait_for_room(&mut self, deadline: Option<Instant>) -> Result<(), NoRoom> {
        match self.make_room() {
            Err(NoRoom::Full) => {}
            outcome => return outcome,
        }
        Until { sender: self, what: What::Room }.wait(deadline)
    }
}

/// What a sender waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Room for a message.
    Room,
    /// A receiver.
    Company,
}

/// A waiting sender.
struct Until<'a, M: Payload + ?Sized> {
    sender: &'a mut Sender<M>,
    what: What,
}

impl<M: Payload + ?Sized> Until<'_, M> {
    fn wait(mut self, deadline: Option<Instant>) -> Result<(), NoRoom> {
        if endpoint::spin(&self)
            && let Some(outcome) = self.look()
        {
            return outcome;
        }
        match endpoint::wait(&mut self, deadline) {
            Ok(outcome) => outcome,
            Err(Unfinished::TimedOut) => Err(NoRoom::Full),
            Err(Unfinished::Cancelled) => Err(NoRoom::Cancelled),
            Err(Unfinished::Corrupt(corrupt)) => {
                Err(NoRoom::Fault(self.sender.gate.poison(corrupt)))
            }
        }
    }
}

impl<M: Payload + ?Sized> Blocked for Until<'_, M> {
    type Outcome = Result<(), NoRoom>;

    fn waiter(&self) -> &Waiter {
        &self.sender.waiter
    }

    fn stirs(&self) -> bool {
        match self.what {
            What::Room => self.sender.slowest_stirs(),
            What::Company => !matches!(self.sender.count(), Ok(0)),
        }
    }

    fn look(&mut self) -> Option<Self::Outcome> {
        if self.what == What::Room {
            return match self.sender.make_room() {
                Err(NoRoom::Full) => None,
                outcome => Some(outcome),
            };
        }
        match self.sender.count() {
            Ok(0) => None,
            Ok(_) => Some(Ok(())),
            Err(corrupt) => Some(Err(NoRoom::Fault(self.sender.gate.poison(corrupt)))),
        }
    }

    fn look_around(&mut self) -> Option<Self::Outcome> {
        match self.sender.notice_deaths() {
            Ok(()) => self.look(),
            Err(corrupt) => Some(Err(NoRoom::Fault(self.sender.gate.poison(corrupt)))),
        }
    }
}

/// Fixed-size messages.
impl<T: Message> Sender<T> {
    /// Sends without waiting: no allocation, and no system call unless a receiver sleeps.
    /// In overwrite mode wait-free. It notices no death: one who only tries calls
    /// [`wait_for_peer`](Self::wait_for_peer) with no time while a lossless ring is full.
    ///
    /// # Errors
    /// Gives the message back: [`TrySendError::Full`], in a lossless ring, while a receiver
    /// that lives, as far as is known, has not taken what lies a lap below;
    /// [`TrySendError::Fault`].
    #[inline]
    pub fn try_send(&mut self, message: T) -> Result<(), TrySendError<T>> {
        if let Err(no_room) = self.admit() {
            return Err(no_room.at_once(message));
        }
        self.put([&[], message.as_bytes()]);
        self.notify();
        Ok(())
    }

    /// Sends; in a lossless ring, waiting while it is full.
    ///
    /// # Errors
    /// Gives the message back as [`try_send`](Self::try_send) does, but for `Full`;
    /// [`SendError::Cancelled`].
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
        self.put([&[], message.as_bytes()]);
        self.notify();
        Ok(())
    }

    /// Sends as many of the messages as there is room for, without waiting. Each commits on
    /// its own, in order; receivers are woken once.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send) if there was room for none. No messages are always
    /// sent at once.
    pub fn try_send_many(&mut self, messages: &[T]) -> Result<usize, TrySendError<()>> {
        let mut sent = 0;
        for message in messages {
            match self.admit() {
                Ok(()) => self.put([&[], message.as_bytes()]),
                Err(_) if sent > 0 => break,
                Err(no_room) => return Err(no_room.at_once(())),
            }
            sent += 1;
        }
        if sent > 0 {
            self.notify();
        }
        Ok(sent)
    }

    /// Sends all of the messages, in order; in a lossless ring, waiting while it is full.
    /// Each commits on its own.
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
}

/// Beside others.
#[cfg(not(loom))]
impl<M: Payload + ?Sized> crate::waitset::sealed::Sealed for Sender<M> {
    fn how(&self) -> &Waiter {
        &self.waiter
    }

    fn is_due(&mut self) -> bool {
        self.gate.admits(self.tail) || !matches!(self.make_room(), Err(NoRoom::Full))
    }

    fn look_for_the_dead(&mut self) {
        // What it finds, the next look finds again.
        let _ = self.notice_deaths();
    }
}

impl<M: Payload + ?Sized> Drop for Sender<M> {
    fn drop(&mut self) {
        if self.gate.is_own() {
            self.seat.leave();
            self.notify();
        }
    }
}

impl<M: Payload + ?Sized> fmt::Debug for Sender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("broadcast::Sender")
            .field("position", &self.tail)
            .field("lossless", &self.lossless)
            .finish_non_exhaustive()
    }
}
