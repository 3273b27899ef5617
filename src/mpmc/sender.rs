//! The sending side.

use core::fmt;
use std::time::{Duration, Instant};

use super::post::{Court, Post, Refused, Run, Side};
use super::words::Slot;
use super::{Reservation, Ring};
use crate::atomic::{Bug, claim, publish, relaxed, seeded};
use crate::copy;
use crate::endpoint::{self, Blocked, CancelHandle, Unfinished, Waiter, deadline_after};
use crate::error::{Corrupt, Error, SendError, SendManyError, TrySendError, WaitError};
use crate::message::Message;
use crate::outcome::NoRoom;
use crate::payload::{Copying, Payload, Trust};
use crate::seat::SeatState;
use crate::slots::Fixed;
use std::sync::Arc;

/// One of a ring's senders. Dropping it gives its seat back.
///
/// It takes `&mut self` and is `Send` but not `Sync`: one thread sends at a time;
/// [`try_clone`](Self::try_clone) makes one for another.
///
/// `send` and the other verbs that wait spin, then yield, then sleep, see
/// [`Options::spin`](crate::Options::spin); a participant who died is noticed within two
/// [slices](crate::Options::slice).
pub struct Sender<M: Payload + ?Sized, A: Trust = Copying> {
    pub(super) post: Post<M>,
    /// A reservation's position, until it is committed or given up.
    pub(super) held: Option<u64>,
    pub(super) waiter: Arc<Waiter>,
    ring: Ring<M, A>,
    /// `Send`, not `Sync`.
    _not_sync: core::marker::PhantomData<core::cell::Cell<()>>,
}

/// How often a sender keeps off a full ring before it takes what room there is.
const ROUNDS_FOR_ROOM: u32 = 8;

impl<M: Payload + ?Sized, A: Trust> Sender<M, A> {
    pub(super) fn attach(ring: &Ring<M, A>) -> Result<Self, Error> {
        let post = Post::take(ring, Side::Senders, "sender")?;
        // Receivers may be waiting for somebody to come.
        post.court.not_empty.notify(super::post::EVERYBODY);
        Ok(Self {
            post,
            held: None,
            waiter: ring.waiter(ring.event(super::NOT_FULL)),
            ring: ring.clone(),
            _not_sync: core::marker::PhantomData,
        })
    }

    /// Another sender of the same ring, in a seat of its own.
    ///
    /// # Errors
    /// As [`Ring::sender`].
    pub fn try_clone(&self) -> Result<Self, Error> {
        self.ring.sender()
    }

    /// Number of slots.
    pub fn capacity(&self) -> u64 {
        self.post.court.slots.capacity()
    }

    /// Number of this sender's seat.
    pub fn seat(&self) -> usize {
        self.post.seat.index()
    }

    /// Waits until a receiver is there, for at most `timeout` if one is given.
    ///
    /// # Errors
    /// [`WaitError::Timeout`], [`WaitError::Cancelled`], [`WaitError::Fault`].
    pub fn wait_for_peer(&mut self, timeout: Option<Duration>) -> Result<(), WaitError> {
        self.post.gate.check(0)?;
        self.settle();
        // Whoever died unnoticed is not there.
        let looked = self.post.look_around(false);
        looked.map_err(|corrupt| WaitError::Fault(self.post.gate.poison(corrupt)))?;
        self.post.wait_for_company(Side::Receivers, &self.waiter, timeout)
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

    /// Takes the next position and reserves its slot, to be written in place and committed;
    /// without waiting.
    ///
    /// Until it is committed or dropped, receivers wait at this position: keep it short.
    ///
    /// # Errors
    /// As `try_send`.
    #[inline]
    pub fn try_reserve(&mut self) -> Result<Reservation<'_, M, A>, TrySendError<()>> {
        let run = self.take(1).map_err(|no_room| no_room.at_once(()))?;
        Ok(self.reserved(run))
    }

    /// As [`try_reserve`](Self::try_reserve), waiting while the ring is full.
    ///
    /// # Errors
    /// As `send`.
    #[inline]
    pub fn reserve(&mut self) -> Result<Reservation<'_, M, A>, SendError<()>> {
        let run = self.take_until(1, None).map_err(|no_room| no_room.after_waiting(()))?;
        Ok(self.reserved(run))
    }

    /// As [`reserve`](Self::reserve), for at most `timeout`.
    ///
    /// # Errors
    /// [`SendError::Timeout`] too.
    pub fn reserve_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Reservation<'_, M, A>, SendError<()>> {
        let run = self.take_until(1, deadline_after(timeout));
        let run = run.map_err(|no_room| no_room.after_waiting(()))?;
        Ok(self.reserved(run))
    }

    fn reserved(&mut self, run: Run) -> Reservation<'_, M, A> {
        self.held = Some(run.start);
        Reservation::new(self, run.start)
    }

    /// Whether this is the process that took the seat.
    #[inline(always)]
    pub(super) fn is_own(&self) -> bool {
        self.post.gate.is_own()
    }

    /// Commits the message of a position that is ours: the one step before which it does
    /// not exist.
    #[inline(always)]
    pub(super) fn put(&mut self, position: u64) {
        // PUBLISH: the message is written. Pairs with `Court::is_there`.
        let word = Slot::Full(position).word();
        self.post.court.slots.stamp(position).store(word, publish::RELEASE);
    }

    /// Gives a position that is ours up: it can't be given back.
    #[cold]
    pub(super) fn bury(&mut self, position: u64) {
        if seeded(Bug::PositionGivenBack) {
            let tail = &self.post.court.tail;
            if tail.compare_exchange(position + 1, position, claim::TAKE, relaxed::HINT).is_ok() {
                return;
            }
        }
        // PUBLISH: as in `put`: there is nothing to wait for here.
        let word = Slot::Tomb(position).word();
        self.post.court.slots.stamp(position).store(word, publish::RELEASE);
        self.notify(1);
    }

    /// Gives a reservation up that was forgotten.
    #[inline(always)]
    fn settle(&mut self) {
        if let Some(position) = self.held
            && self.is_own()
        {
            self.held = None;
            if !seeded(Bug::ForgottenStays) {
                self.bury(position);
            }
        }
    }

    /// Wakes receivers that sleep. After a commit, once a batch.
    #[inline(always)]
    pub(super) fn notify(&self, count: u64) {
        self.post.court.not_empty.notify(count as u32);
    }

    /// Takes up to `most` positions, without waiting.
    #[inline(always)]
    pub(super) fn take(&mut self, most: u64) -> Result<Run, NoRoom> {
        self.settle();
        match self.claim(most) {
            Ok(run) => Ok(run),
            Err(refused) => self.refuse(refused, most),
        }
    }

    #[inline(always)]
    fn claim(&mut self, most: u64) -> Result<Run, Refused> {
        self.post.claim(Side::Senders, most, |court, position| court.is_free(position))
    }

    /// The same, waiting until `deadline` at the latest.
    #[inline(always)]
    pub(super) fn take_until(
        &mut self,
        most: u64,
        deadline: Option<Instant>,
    ) -> Result<Run, NoRoom> {
        match self.take(most) {
            Err(NoRoom::Full) => self.wait(most, deadline),
            outcome => outcome,
        }
    }

    /// Why there was nothing to take.
    #[cold]
    #[inline(never)]
    fn refuse(&mut self, refused: Refused, most: u64) -> Result<Run, NoRoom> {
        if let Refused::Fault(fault) = refused {
            return Err(NoRoom::Fault(fault));
        }
        let look = self.post.refused();
        let outcome = self.post.ended(Side::Receivers).and_then(|ended| {
            if look && ended.is_none() {
                self.post.look_around(false)?;
            }
            Ok(ended)
        });
        let ended = match outcome {
            Ok(None) => return Err(NoRoom::Full),
            // Others were first, and so somebody got on.
            Ok(_) if matches!(refused, Refused::Contended) => return Err(NoRoom::Full),
            Ok(Some(SeatState::Closed)) => NoRoom::Closed,
            Ok(Some(_)) => NoRoom::Died,
            Err(corrupt) => return Err(self.poison(corrupt)),
        };
        // What they received before they left has made room.
        self.claim(most).map_err(|refused| match refused {
            Refused::Fault(fault) => NoRoom::Fault(fault),
            Refused::Contended => NoRoom::Full,
            Refused::NotReady { .. } | Refused::Heir => ended,
        })
    }

    fn poison(&mut self, corrupt: Corrupt) -> NoRoom {
        NoRoom::Fault(self.post.gate.poison(corrupt))
    }

    /// Waits until there is something to take.
    #[cold]
    #[inline(never)]
    fn wait(&mut self, most: u64, deadline: Option<Instant>) -> Result<Run, NoRoom> {
        self.stand_back();
        let mut waiting = Waiting { sender: self, most };
        if endpoint::spin(&waiting)
            && let Some(outcome) = waiting.look()
        {
            return outcome;
        }
        let outcome = match endpoint::wait(&mut waiting, deadline) {
            Ok(outcome) => outcome,
            Err(Unfinished::TimedOut) => Err(NoRoom::Full),
            Err(Unfinished::Cancelled) => Err(NoRoom::Cancelled),
            Err(Unfinished::Corrupt(corrupt)) => Err(self.poison(corrupt)),
        };
        if !seeded(Bug::WaiterKeepsWake) {
            self.pass_on();
        }
        outcome
    }

    /// Keeps off a full ring until there is room for several, or for a while: a sender that
    /// takes each slot as it comes free takes its line from the receiver's hands each time.
    fn stand_back(&self) {
        let court = &self.post.court;
        let enough = court.slots.capacity() / 8;
        let rounds = if cfg!(loom) { 0 } else { ROUNDS_FOR_ROOM };
        for _ in 0..rounds {
            if court.is_free(court.tail.load(relaxed::HINT).wrapping_add(enough)).is_ok() {
                break;
            }
            endpoint::keep_off();
        }
    }

    /// Passes a wake-up on that was meant for one, if there is room for another: slots come
    /// free out of order, and the one who is woken for the second finds the first taken.
    fn pass_on(&self) {
        if self.stirs() {
            self.post.court.not_full.notify(1);
        }
    }

    fn stirs(&self) -> bool {
        let court = &self.post.court;
        court.is_free(court.tail.load(relaxed::HINT)).is_ok()
    }

    /// Whether a send would end at once without room.
    #[cfg(not(loom))]
    fn has_ended(&mut self) -> bool {
        self.post.gate.check(0).is_err() || !matches!(self.post.ended(Side::Receivers), Ok(None))
    }
}

/// A sender that waits.
struct Waiting<'a, M: Payload + ?Sized, A: Trust> {
    sender: &'a mut Sender<M, A>,
    most: u64,
}

impl<M: Payload + ?Sized, A: Trust> Blocked for Waiting<'_, M, A> {
    type Outcome = Result<Run, NoRoom>;

    fn waiter(&self) -> &Waiter {
        &self.sender.waiter
    }

    fn stirs(&self) -> bool {
        self.sender.stirs()
    }

    fn look(&mut self) -> Option<Self::Outcome> {
        match self.sender.take(self.most) {
            Err(NoRoom::Full) => None,
            outcome => Some(outcome),
        }
    }

    fn look_around(&mut self) -> Option<Self::Outcome> {
        match self.sender.post.look_around(false) {
            Ok(_) => self.look(),
            Err(corrupt) => Some(Err(self.sender.poison(corrupt))),
        }
    }
}

/// Fixed-size messages.
impl<T: Message, A: Trust> Sender<T, A> {
    /// Sends without waiting: no allocation, and no system call unless a receiver sleeps, but
    /// that every 4096th refusal in a row asks the kernel for the dead.
    ///
    /// # Errors
    /// Gives the message back: [`TrySendError::Full`], also if others were first 128 times
    /// in a row; [`TrySendError::Closed`] and [`TrySendError::Died`] if it is full and no
    /// receiver is left; [`TrySendError::Fault`].
    #[inline]
    pub fn try_send(&mut self, message: T) -> Result<(), TrySendError<T>> {
        if self.send_at_once(&message) {
            return Ok(());
        }
        match self.take(1) {
            Ok(run) => {
                self.write(run.start, &message);
                self.notify(1);
                Ok(())
            }
            Err(no_room) => Err(no_room.at_once(message)),
        }
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
        if self.send_at_once(&message) {
            return Ok(());
        }
        match self.take_until(1, deadline) {
            Ok(run) => {
                self.write(run.start, &message);
                self.notify(1);
                Ok(())
            }
            Err(no_room) => Err(no_room.after_waiting(message)),
        }
    }

    /// Sends as many of the messages as there is room for, 256 at most, without waiting.
    /// Their positions are taken in one step, one behind the other; each commits on its own,
    /// in order.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send) if there was room for none. No messages are always
    /// sent at once.
    pub fn try_send_many(&mut self, messages: &[T]) -> Result<usize, TrySendError<()>> {
        if messages.is_empty() {
            return Ok(0);
        }
        let most = self.post.court.most(messages.len());
        let run = self.take(most).map_err(|no_room| no_room.at_once(()))?;
        Ok(self.write_run(run, messages))
    }

    /// Sends all of the messages, in order among themselves, waiting while the ring is full.
    /// Each commits on its own.
    ///
    /// # Errors
    /// How many were sent, and why not the next one.
    pub fn send_many(&mut self, messages: &[T]) -> Result<(), SendManyError> {
        let mut sent = 0;
        while sent < messages.len() {
            let most = self.post.court.most(messages.len() - sent);
            match self.take_until(most, None) {
                Ok(run) => sent += self.write_run(run, &messages[sent..]),
                Err(no_room) => {
                    return Err(SendManyError { sent, reason: no_room.after_waiting(()) });
                }
            }
        }
        Ok(())
    }

    /// Sends, if nothing speaks against it.
    #[inline(always)]
    fn send_at_once(&mut self, message: &T) -> bool {
        if self.held.is_some() {
            return false;
        }
        let free = |court: &Court<T>, position| court.is_free(position).is_ok();
        let Some(position) = self.post.grab(Side::Senders, free) else { return false };
        self.write(position, message);
        self.notify(1);
        true
    }

    /// Writes and commits a run of messages.
    fn write_run(&mut self, run: Run, messages: &[T]) -> usize {
        let ours = &messages[..run.count as usize];
        let mut position = run.start;
        // The receivers, who follow the slots' words, keep off the lines while they are written.
        for part in ours.chunks(const { copy::run_of(Fixed::<T>::SHAPE.stride) }) {
            let slots = &self.post.court.slots;
            for (position, message) in (position..).zip(part) {
                copy::store(slots.message(position), 0, message.as_bytes());
            }
            for _ in part {
                self.put(position);
                position += 1;
            }
        }
        if seeded(Bug::PartialBatchSilent) && (run.count as usize) < messages.len() {
            return run.count as usize;
        }
        self.notify(run.count);
        run.count as usize
    }

    /// Writes and commits at a position that is ours.
    #[inline(always)]
    fn write(&mut self, position: u64, message: &T) {
        copy::store(self.post.court.slots.message(position), 0, message.as_bytes());
        self.put(position);
    }
}

/// Beside others.
#[cfg(not(loom))]
impl<M: Payload + ?Sized, A: Trust> crate::waitset::sealed::Sealed for Sender<M, A> {
    fn how(&self) -> &Waiter {
        &self.waiter
    }

    fn pass_on(&self) {
        Self::pass_on(self);
    }

    fn is_due(&mut self) -> bool {
        self.settle();
        self.stirs() || self.has_ended()
    }

    fn look_for_the_dead(&mut self) {
        self.settle();
        // What it finds, the next look finds again.
        let _ = self.post.look_around(false);
    }
}

impl<M: Payload + ?Sized, A: Trust> Drop for Sender<M, A> {
    fn drop(&mut self) {
        if !self.is_own() {
            return;
        }
        self.settle();
        self.post.leave();
        self.post.court.not_empty.notify(super::post::EVERYBODY);
        // No wake-up of its own is left to be passed on: each wait did that at its end.
    }
}

impl<M: Payload + ?Sized, A: Trust> fmt::Debug for Sender<M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpmc::Sender").field("seat", &self.seat()).finish_non_exhaustive()
    }
}
