//! The receiving side.

use core::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::post::{Court, EVERYBODY, Post, Refused, Run, Side};
use super::recover::Estate;
use super::words::Slot;
use super::{RecvRef, Ring};
use crate::atomic::{Area, Bug, publish, relaxed, retire, seeded};
use crate::endpoint::{self, Blocked, CancelHandle, Pace, Unfinished, Waiter, deadline_after};
use crate::error::{Corrupt, Error, RecvError, TryRecvError, WaitError};
use crate::lend;
use crate::message::Message;
use crate::outcome::NoMessage;
use crate::payload::{Copying, Payload, Trust};
use crate::seat::SeatState;

/// One of a ring's receivers. Dropping it gives its seat back.
///
/// It takes `&mut self` and is `Send` but not `Sync`: one thread receives at a time;
/// [`try_clone`](Self::try_clone) makes one for another.
///
/// `recv` and the other verbs that wait spin, then yield, then sleep, see
/// [`Options::spin`](crate::Options::spin); a participant who died is noticed within two
/// [slices](crate::Options::slice), and what it had taken and not released comes again.
pub struct Receiver<M: Payload + ?Sized, A: Trust = Copying> {
    pub(super) post: Post<M>,
    /// A message in hand: a guard's, forgotten or not, or one that was too long.
    held: Option<Taken>,
    /// The message in hand is still to be received.
    kept: bool,
    last: Delivery,
    /// The position behind the last message when there was last nothing to take.
    empty_at: u64,
    pace: Pace,
    pub(super) waiter: Arc<Waiter>,
    ring: Ring<M, A>,
    /// `Send`, not `Sync`.
    _not_sync: core::marker::PhantomData<core::cell::Cell<()>>,
}

/// Where a message stood, and whether it comes a second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The message's position. Positions count from the ring's first message.
    pub position: u64,
    /// Whether an earlier receiver died while it held the message. It comes out of order.
    pub redelivered: bool,
}

/// Runs of tombs, or of what others were quicker to take, that one call passes over.
const TOMBS: u32 = 1024;

/// A message that is ours to receive.
pub(super) struct Taken {
    pub(super) position: u64,
    /// The dead one's whose it was.
    estate: Option<Estate>,
}

impl Taken {
    fn again(estate: Estate) -> Self {
        Self { position: estate.position, estate: Some(estate) }
    }

    /// Whether it is to be marked as one that comes again.
    fn is_marked(&self) -> bool {
        self.estate.is_some() && !seeded(Bug::RedeliveredUnmarked)
    }
}

impl<M: Payload + ?Sized, A: Trust> Receiver<M, A> {
    pub(super) fn attach(ring: &Ring<M, A>) -> Result<Self, Error> {
        let post = Post::take(ring, Side::Receivers, "receiver")?;
        // Senders may be waiting for somebody to come.
        post.court.not_full.notify(EVERYBODY);
        Ok(Self {
            post,
            held: None,
            kept: false,
            last: Delivery::default(),
            empty_at: 0,
            pace: Pace::default(),
            waiter: ring.waiter(ring.event(super::NOT_EMPTY)),
            ring: ring.clone(),
            _not_sync: core::marker::PhantomData,
        })
    }

    /// Another receiver of the same ring, in a seat of its own.
    ///
    /// # Errors
    /// As [`Ring::receiver`].
    pub fn try_clone(&self) -> Result<Self, Error> {
        self.ring.receiver()
    }

    /// Number of slots.
    pub fn capacity(&self) -> u64 {
        self.post.court.slots.capacity()
    }

    /// Number of this receiver's seat.
    pub fn seat(&self) -> usize {
        self.post.seat.index()
    }

    /// Where the message that was received last by copy stood, and whether it came a second
    /// time; of a batch, the last of it.
    pub fn last(&self) -> Delivery {
        self.last
    }

    /// Waits until a sender is there, for at most `timeout` if one is given.
    ///
    /// # Errors
    /// [`WaitError::Timeout`], [`WaitError::Cancelled`], [`WaitError::Fault`].
    pub fn wait_for_peer(&mut self, timeout: Option<Duration>) -> Result<(), WaitError> {
        self.post.gate.check(0)?;
        if !self.settle() {
            // Whoever died unnoticed is not there.
            let looked = self.post.look_around(false);
            looked.map_err(|corrupt| WaitError::Fault(self.post.gate.poison(corrupt)))?;
        }
        self.post.wait_for_company(Side::Senders, &self.waiter, timeout)
    }

    /// A handle by which any thread can end this receiver's waiting.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.waiter.cancel_handle()
    }

    /// How many waits for a message, in all processes so far, only the end of a slice
    /// rescued. Stays 0 unless a notifier is killed, or stopped for long, at the wrong
    /// moment.
    pub fn rescues(&self) -> u64 {
        self.waiter.rescues()
    }

    /// Takes the next message and exposes it in place, without waiting. It is received when
    /// the guard is dropped, not before: if this process dies first, it comes again, marked.
    ///
    /// # Errors
    /// As `try_recv`.
    #[inline]
    pub fn try_recv_ref(&mut self) -> Result<RecvRef<'_, M, A>, TryRecvError> {
        let taken = self.take()?;
        Ok(self.expose(taken)?)
    }

    /// As [`try_recv_ref`](Self::try_recv_ref), waiting while there is none.
    ///
    /// # Errors
    /// As `recv`.
    #[inline]
    pub fn recv_ref(&mut self) -> Result<RecvRef<'_, M, A>, RecvError> {
        let taken = self.take_until(None)?;
        Ok(self.expose(taken)?)
    }

    /// As [`recv_ref`](Self::recv_ref), for at most `timeout`.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_ref_timeout(&mut self, timeout: Duration) -> Result<RecvRef<'_, M, A>, RecvError> {
        let taken = self.take_until(deadline_after(timeout))?;
        Ok(self.expose(taken)?)
    }

    /// As [`recv_ref`](Self::recv_ref), until `deadline` at the latest.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_ref_deadline(&mut self, deadline: Instant) -> Result<RecvRef<'_, M, A>, RecvError> {
        let taken = self.take_until(Some(deadline))?;
        Ok(self.expose(taken)?)
    }

    fn expose(&mut self, taken: Taken) -> Result<RecvRef<'_, M, A>, NoMessage> {
        let (taken, len) = self.measured(taken)?;
        let seen = (taken.position, taken.is_marked());
        self.held = Some(taken);
        Ok(RecvRef::new(self, seen, len))
    }

    /// The message's length, checked; one that can't be is released and poisons the handle.
    pub(super) fn measured(&mut self, taken: Taken) -> Result<(Taken, usize), NoMessage> {
        match lend::len::<M>(self.area(taken.position)) {
            Ok(len) => Ok((taken, len)),
            Err(value) => {
                self.retire(taken);
                Err(self.poison(Corrupt { word: "message length", value }))
            }
        }
    }

    /// The message of a position that is ours.
    #[inline(always)]
    pub(super) fn area(&self, position: u64) -> Area<'_> {
        self.post.court.slots.message(position)
    }

    /// Whether this is the process that took the seat.
    #[inline(always)]
    pub(super) fn is_own(&self) -> bool {
        self.post.gate.is_own()
    }

    /// Keeps a message that was too long for the caller: the next receive gets it.
    pub(super) fn keep(&mut self, taken: Taken) {
        self.held = Some(taken);
        self.kept = true;
    }

    /// Ends a guard.
    pub(super) fn release(&mut self) {
        if let Some(taken) = self.held.take() {
            self.retire(taken);
        }
    }

    /// Notes which message was received.
    #[inline(always)]
    pub(super) fn note(&mut self, taken: &Taken) {
        self.last = Delivery { position: taken.position, redelivered: taken.is_marked() };
    }

    /// Releases the slot of a message that is ours: the one step by which it is received.
    #[inline(always)]
    pub(super) fn retire(&mut self, taken: Taken) {
        match taken.estate {
            None => {
                self.free(taken.position);
                self.post.court.not_full.notify(1);
            }
            Some(estate) => self.retire_estate(estate),
        }
    }

    #[cold]
    fn retire_estate(&mut self, estate: Estate) {
        if let Err(corrupt) = self.post.release(estate) {
            self.post.gate.poison(corrupt);
        }
    }

    #[inline(always)]
    fn free(&mut self, position: u64) {
        let word = self.post.court.free(position);
        // RETIRE: the reads of this slot are over. Pairs with `Court::is_free`.
        self.post.court.slots.stamp(position).store(word, retire::RELEASE);
    }

    /// Settles what the last operation left. True: a message is in hand, to be received.
    #[inline(always)]
    fn settle(&mut self) -> bool {
        if self.held.is_some() && !self.kept && self.is_own() {
            self.release();
        }
        self.kept
    }

    /// Takes the next message, without waiting.
    #[inline(always)]
    pub(super) fn take(&mut self) -> Result<Taken, NoMessage> {
        if self.settle() {
            return self.take_kept();
        }
        for _ in 0..TOMBS {
            match self.claim(1) {
                Ok(run) if self.is_message(run.start) => {
                    return Ok(Taken { position: run.start, estate: None });
                }
                Ok(run) => self.pass_over(run.start),
                Err(refused) => {
                    if let Some(taken) = self.refuse(refused)? {
                        return Ok(taken);
                    }
                }
            }
        }
        self.post.withdraw();
        Err(NoMessage::Stalled)
    }

    /// The same, waiting until `deadline` at the latest.
    #[inline(always)]
    pub(super) fn take_until(&mut self, deadline: Option<Instant>) -> Result<Taken, NoMessage> {
        // Models go without: polling adds states and no behaviour.
        if !cfg!(loom) && !self.kept && !self.stirs() {
            // A peer that runs answers within a few looks at the slot alone. What `take` looks at
            // besides is in the senders' hands: the tail, and their seats.
            let next = self.last.position.wrapping_add(1);
            if self.pace.keeps_off(next.saturating_sub(self.empty_at)) {
                endpoint::keep_off();
            }
            self.empty_at = next;
            endpoint::spin(&Waiting { receiver: self });
        }
        match self.take() {
            Err(NoMessage::Empty | NoMessage::Stalled) => self.wait(deadline),
            outcome => outcome,
        }
    }

    #[cold]
    fn take_kept(&mut self) -> Result<Taken, NoMessage> {
        // In a forked child it is the parent's.
        self.post.gate.check(0).map_err(NoMessage::Fault)?;
        self.kept = false;
        self.held.take().ok_or(NoMessage::Empty)
    }

    #[inline(always)]
    fn claim(&mut self, most: u64) -> Result<Run, Refused> {
        self.post.claim(Side::Receivers, most, |court, position| court.is_there(position))
    }

    /// Whether a position that was taken has a message, or is a tomb.
    #[inline(always)]
    fn is_message(&self, position: u64) -> bool {
        // Ours, and seen before with its edge.
        let word = self.post.court.slots.stamp(position).load(relaxed::FENCED);
        word != Slot::Tomb(position).word()
    }

    /// Frees a tomb's slot.
    #[cold]
    fn pass_over(&mut self, position: u64) {
        self.free(position);
        self.post.court.not_full.notify(1);
    }

    /// Why there was nothing to take. `None`: there may be now.
    #[cold]
    #[inline(never)]
    fn refuse(&mut self, refused: Refused) -> Result<Option<Taken>, NoMessage> {
        let (word, at) = match refused {
            Refused::Fault(fault) => return Err(NoMessage::Fault(fault)),
            Refused::Contended => {
                self.post.withdraw();
                return Err(NoMessage::Stalled);
            }
            Refused::Heir => {
                return match self.look_around() {
                    // His own now, like any other.
                    Ok(None) if !self.post.heir => Ok(None),
                    // What he inherited may be somebody's who is stopped.
                    Ok(None) => Err(NoMessage::Stalled),
                    outcome => outcome,
                };
            }
            Refused::NotReady { word, at } => (word, at),
        };
        // PUBLISH: if a position is taken, so far at least. A later one is seen another time.
        let none = self.post.court.tail.load(publish::ACQUIRE) <= at;
        if none || seeded(Bug::StalledIsEmpty) {
            return self.empty();
        }
        if self.post.court.is_there(at) != Err(word) {
            return Ok(None);
        }
        if self.post.refused() {
            return self.look_around();
        }
        Err(NoMessage::Stalled)
    }

    /// Nothing was sent that is not received. Have all senders gone?
    fn empty(&mut self) -> Result<Option<Taken>, NoMessage> {
        let look = self.post.refused();
        let ended = match self.post.ended(Side::Senders) {
            Ok(Some(SeatState::Closed)) => NoMessage::Closed,
            Ok(Some(_)) => NoMessage::Died,
            Ok(None) if look => return self.look_around(),
            Ok(None) => return Err(NoMessage::Empty),
            Err(corrupt) => return Err(self.poison(corrupt)),
        };
        // What they did before they left counts, and what dead receivers had in hand.
        if !seeded(Bug::NoLookAfterClosed) {
            // PUBLISH: a position that is taken, and has no message yet, may be followed by
            // one that has.
            let tail = self.post.court.tail.load(publish::ACQUIRE);
            if tail > self.post.court.head.load(relaxed::VALIDATED) {
                return Ok(None);
            }
            if let Some(taken) = self.look_around()? {
                return Ok(Some(taken));
            }
        }
        Err(ended)
    }

    /// Looks for the dead, and receives what comes again.
    fn look_around(&mut self) -> Result<Option<Taken>, NoMessage> {
        match self.post.look_around(true) {
            Ok(Some(estate)) => Ok(Some(Taken::again(estate))),
            Ok(None) => Ok(None),
            Err(corrupt) => Err(self.poison(corrupt)),
        }
    }

    pub(super) fn poison(&mut self, corrupt: Corrupt) -> NoMessage {
        NoMessage::Fault(self.post.gate.poison(corrupt))
    }

    /// Waits until there is something to take.
    #[cold]
    #[inline(never)]
    fn wait(&mut self, deadline: Option<Instant>) -> Result<Taken, NoMessage> {
        let mut waiting = Waiting { receiver: self };
        let outcome = match endpoint::wait(&mut waiting, deadline) {
            Ok(outcome) => outcome,
            Err(Unfinished::TimedOut) => Err(NoMessage::Empty),
            Err(Unfinished::Cancelled) => Err(NoMessage::Cancelled),
            Err(Unfinished::Corrupt(corrupt)) => Err(self.poison(corrupt)),
        };
        if !seeded(Bug::WaiterKeepsWake) {
            self.pass_on();
        }
        outcome
    }

    /// Passes a wake-up on that was meant for one, if there is another message: messages are
    /// committed out of order, and the one who is woken for the second finds none before
    /// the first.
    fn pass_on(&self) {
        if self.stirs() {
            self.post.court.not_empty.notify(1);
        }
    }

    fn stirs(&self) -> bool {
        let court = &self.post.court;
        court.is_there(court.head.load(relaxed::HINT)).is_ok()
    }

    /// Whether a receive would end at once without a message.
    #[cfg(not(loom))]
    fn has_ended(&mut self) -> bool {
        self.post.gate.check(0).is_err() || !matches!(self.post.ended(Side::Senders), Ok(None))
    }
}

/// A receiver that waits.
struct Waiting<'a, M: Payload + ?Sized, A: Trust> {
    receiver: &'a mut Receiver<M, A>,
}

impl<M: Payload + ?Sized, A: Trust> Blocked for Waiting<'_, M, A> {
    type Outcome = Result<Taken, NoMessage>;

    fn waiter(&self) -> &Waiter {
        &self.receiver.waiter
    }

    fn stirs(&self) -> bool {
        self.receiver.stirs()
    }

    fn look(&mut self) -> Option<Self::Outcome> {
        match self.receiver.take() {
            Err(NoMessage::Empty | NoMessage::Stalled) => None,
            outcome => Some(outcome),
        }
    }

    fn look_around(&mut self) -> Option<Self::Outcome> {
        match self.receiver.look_around() {
            Ok(Some(taken)) => Some(Ok(taken)),
            Err(reason @ NoMessage::Fault(_)) => Some(Err(reason)),
            _ => self.look(),
        }
    }
}

/// Fixed-size messages.
impl<T: Message, A: Trust> Receiver<T, A> {
    /// Receives without waiting: no allocation, and no system call unless a sender sleeps,
    /// but that every 4096th refusal in a row asks the kernel for the dead.
    /// [`last`](Self::last) says whether the message came a second time.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`]; [`TryRecvError::Stalled`] if the next position is taken and
    /// not committed, also if others were first 128 times in a row;
    /// [`TryRecvError::Closed`] and [`TryRecvError::Died`] if it is empty and no sender is
    /// left, `Died` if one of the last ones has died; [`TryRecvError::Fault`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        if let Some(message) = self.recv_at_once() {
            return Ok(message);
        }
        let taken = self.take()?;
        Ok(self.copy_out(taken))
    }

    /// Receives, waiting while there is no message.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv), but for `Empty` and `Stalled`;
    /// [`RecvError::Cancelled`].
    #[inline]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        self.recv_until(None)
    }

    /// As [`recv`](Self::recv), for at most `timeout`. The clock is monotonic.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvError> {
        self.recv_until(deadline_after(timeout))
    }

    /// As [`recv`](Self::recv), until `deadline` at the latest.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvError> {
        self.recv_until(Some(deadline))
    }

    #[inline]
    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<T, RecvError> {
        if let Some(message) = self.recv_at_once() {
            return Ok(message);
        }
        let taken = self.take_until(deadline)?;
        Ok(self.copy_out(taken))
    }

    /// Receives, if nothing speaks against it.
    #[inline(always)]
    fn recv_at_once(&mut self) -> Option<T> {
        if self.held.is_some() {
            return None;
        }
        let position = self.post.grab(Side::Receivers, Court::is_full)?;
        if seeded(Bug::FreesBeforeCopy) {
            self.free(position);
        }
        let message = lend::read(self.area(position));
        self.last = Delivery { position, redelivered: false };
        if !seeded(Bug::FreesBeforeCopy) {
            self.free(position);
        }
        self.post.court.not_full.notify(1);
        Some(message)
    }

    #[inline(always)]
    fn copy_out(&mut self, taken: Taken) -> T {
        let message = lend::read(self.area(taken.position));
        self.note(&taken);
        self.retire(taken);
        message
    }

    /// Receives as many messages as are there and fit, 256 at most, without waiting, and
    /// says how many: the first of `out` are overwritten. Their positions are taken in one
    /// step.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv) if there was none. `out` of no length is always
    /// filled at once.
    pub fn try_recv_many(&mut self, out: &mut [T]) -> Result<usize, TryRecvError> {
        let Some(first) = out.first_mut() else { return Ok(0) };
        if self.settle() {
            *first = self.try_recv()?;
            return Ok(1);
        }
        for _ in 0..TOMBS {
            match self.claim(self.post.court.most(out.len())) {
                Ok(run) => match self.copy_run(run, out) {
                    0 => {}
                    count => return Ok(count),
                },
                Err(refused) => {
                    if let Some(taken) = self.refuse(refused)? {
                        out[0] = self.copy_out(taken);
                        return Ok(1);
                    }
                }
            }
        }
        self.post.withdraw();
        Err(TryRecvError::Stalled)
    }

    /// Receives at least one message and at most as many as fit, waiting while there is
    /// none. As [`try_recv_many`](Self::try_recv_many) otherwise: a message
    /// that comes again comes alone.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_many(&mut self, out: &mut [T]) -> Result<usize, RecvError> {
        if let Ok(count) = self.try_recv_many(out) {
            return Ok(count);
        }
        // Whatever it was, it is met again.
        out[0] = self.recv()?;
        let rest = &mut out[1..];
        // What comes again comes alone, so that its mark is not taken for another's.
        if self.last.redelivered || rest.is_empty() {
            return Ok(1);
        }
        match self.claim(self.post.court.most(rest.len())) {
            Ok(run) => Ok(1 + self.copy_run(run, rest)),
            Err(_) => {
                self.post.withdraw();
                Ok(1)
            }
        }
    }

    /// Receives a run of positions; says how many were messages.
    fn copy_run(&mut self, run: Run, out: &mut [T]) -> usize {
        let mut count = 0;
        for position in run.start..run.start + run.count {
            if self.is_message(position) {
                let gap = seeded(Bug::TombLeavesGap);
                let at = if gap { (position - run.start) as usize } else { count };
                out[at] = lend::read(self.area(position));
                count += 1;
                self.last = Delivery { position, redelivered: false };
            }
            self.free(position);
        }
        self.post.court.not_full.notify(run.count as u32);
        count
    }
}

/// Beside others.
#[cfg(not(loom))]
impl<M: Payload + ?Sized, A: Trust> crate::waitset::sealed::Sealed for Receiver<M, A> {
    fn how(&self) -> &Waiter {
        &self.waiter
    }

    fn pass_on(&self) {
        Self::pass_on(self);
    }

    fn is_due(&mut self) -> bool {
        self.settle() || self.stirs() || self.has_ended()
    }

    fn look_for_the_dead(&mut self) {
        if !self.settle()
            && let Ok(Some(taken)) = self.look_around()
        {
            self.keep(taken);
        }
    }
}

impl<M: Payload + ?Sized, A: Trust> Drop for Receiver<M, A> {
    /// Settles a forgotten guard and leaves the seat; hands a message on that was too long.
    fn drop(&mut self) {
        if !self.is_own() {
            return;
        }
        if self.settle() && !seeded(Bug::KeptIsDropped) {
            // Whoever looks for the dead finds the claim, and gets the message.
            self.post.hand_on();
        } else {
            self.post.leave();
        }
        self.post.court.not_full.notify(EVERYBODY);
        // No wake-up of its own is left to be passed on: each wait did that at its end.
    }
}

impl<M: Payload + ?Sized, A: Trust> fmt::Debug for Receiver<M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpmc::Receiver").field("seat", &self.seat()).finish_non_exhaustive()
    }
}
