//! The receiving side.

use core::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{RecvRef, Ring};
use crate::atomic::{Bug, program_order, publish, relaxed, retire, seeded};
use crate::copy;
use crate::endpoint::{
    self, Blocked, CancelHandle, Pace, Unfinished, Waiter, deadline_after, wait_for_peer,
};
use crate::error::{Corrupt, Error, Fault, RecvError, TryRecvError, WaitError};
use crate::gate::Gate;
use crate::layout::{self, POSITION_LIMIT};
use crate::lend;
use crate::message::Message;
use crate::outcome::NoMessage;
use crate::payload::{Copying, Payload, Trust};
use crate::seat::{self, Seat, SeatState};
use crate::slots::{ControlWord, Slots, free_stamp, full_stamp};
use crate::wait::{Event, ONE_SLEEPER};

/// The one receiver of a ring. Dropping it closes it.
///
/// It takes `&mut self` and is `Send` but not `Sync`: one thread receives at a time.
///
/// `recv` and the other verbs that wait spin, then yield, then sleep, see
/// [`Options::spin`](crate::Options::spin); a sender who died is noticed within two
/// [slices](crate::Options::slice).
pub struct Receiver<M: Payload + ?Sized, A: Trust = Copying> {
    pub(super) slots: Slots<M::Shape>,
    /// Open as long as there is nothing to settle first.
    gate: Gate,
    /// Next position to receive. The shared head is this, for the sender and a successor.
    pub(super) head: u64,
    /// The position at which the ring was last found empty.
    empty_at: u64,
    pace: Pace,
    /// Messages below this were exposed by a predecessor who died before releasing them.
    in_doubt_until: u64,
    /// Messages from `head` on that a guard exposes, or exposed when it was forgotten.
    exposed: u64,
    not_full: Event,
    head_word: ControlWord,
    waiter: Arc<Waiter>,
    seat: Seat,
    _trust: core::marker::PhantomData<A>,
    /// `Send`, not `Sync`.
    _not_sync: core::marker::PhantomData<core::cell::Cell<()>>,
}

impl<M: Payload + ?Sized, A: Trust> Receiver<M, A> {
    pub(super) fn attach(ring: &Ring<M, A>) -> Result<Self, Error> {
        let segment = &ring.segment;
        let (not_full, waiter) = (ring.not_full(), ring.waiter(ring.not_empty()));
        let mut seat = Seat::take(segment, layout::spsc::RECEIVER, "receiver")?;
        let slots = Slots::new(Arc::clone(segment), &ring.format, M::shape(&ring.format));
        // SEAT: the predecessor's last words come before his leaving, or his end.
        let head_word = ControlWord::new(segment, layout::spsc::HEAD);
        let head = head_word.load(relaxed::FENCED);
        if head > POSITION_LIMIT {
            return Err(Corrupt { word: "head", value: head }.into());
        }
        // SEAT: as above. One who left in order hands on what was in doubt before him.
        let claim = seat.claim().load(relaxed::FENCED);
        if claim > head + slots.capacity() {
            return Err(Corrupt { word: "claim", value: claim }.into());
        }
        let in_doubt_until = claim.max(head);
        let head = if seeded(Bug::SkipsInDoubt) { in_doubt_until } else { head };
        let gate = Gate::new(POSITION_LIMIT)?;
        seat.settle();
        let receiver = Self {
            slots,
            gate,
            head,
            empty_at: head,
            pace: Pace::default(),
            in_doubt_until,
            exposed: 0,
            not_full,
            head_word,
            waiter,
            seat,
            _trust: core::marker::PhantomData,
            _not_sync: core::marker::PhantomData,
        };
        // A sender may be waiting for a peer, or asleep on what a dead receiver left.
        if !seeded(Bug::ComesSilently) {
            receiver.notify();
        }
        Ok(receiver)
    }

    /// Position of the next message. The one received last had one less.
    pub fn position(&self) -> u64 {
        self.head + self.exposed
    }

    /// Number of slots.
    pub fn capacity(&self) -> u64 {
        self.slots.capacity()
    }

    /// Whether the message at `position` was exposed by a guard of an earlier receiver
    /// who died before releasing it, and so comes a second time.
    pub fn is_redelivered(&self, position: u64) -> bool {
        position < self.in_doubt_until
    }

    /// How the sender's seat stands. Asks the kernel whether a live-looking sender is
    /// dead, and notes it if so; makes system calls.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Os`].
    pub fn peer(&self) -> Result<SeatState, Error> {
        seat::notice_death(self.slots.segment(), layout::spsc::SENDER)
    }

    /// Waits until a sender is there, for at most `timeout` if one is given.
    ///
    /// # Errors
    /// [`WaitError::Timeout`], [`WaitError::Cancelled`], [`WaitError::Fault`].
    pub fn wait_for_peer(&mut self, timeout: Option<Duration>) -> Result<(), WaitError> {
        self.gate_check()?;
        let segment = self.slots.segment();
        let outcome = wait_for_peer(segment, layout::spsc::SENDER, &self.waiter, timeout);
        if let Err(WaitError::Fault(Fault::Corrupt(corrupt))) = outcome {
            self.gate.poison(corrupt);
        }
        outcome
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

    /// Exposes the next message in place, without waiting. It is received when the guard
    /// is dropped, not before: if this process dies first, it comes again, marked.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    #[inline]
    pub fn try_recv_ref(&mut self) -> Result<RecvRef<'_, M, A>, TryRecvError> {
        self.ready()?;
        Ok(self.expose()?)
    }

    /// As [`try_recv_ref`](Self::try_recv_ref), waiting while the ring is empty.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    #[inline]
    pub fn recv_ref(&mut self) -> Result<RecvRef<'_, M, A>, RecvError> {
        self.ready_until(None)?;
        Ok(self.expose()?)
    }

    /// As [`recv_ref`](Self::recv_ref), for at most `timeout`.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_ref_timeout(&mut self, timeout: Duration) -> Result<RecvRef<'_, M, A>, RecvError> {
        self.ready_until(deadline_after(timeout))?;
        Ok(self.expose()?)
    }

    /// Whether the message at `head` is there and nothing has to be settled first.
    #[inline(always)]
    fn is_ready(&self) -> bool {
        // PUBLISH: the message is written. Pairs with `Sender::commit`.
        self.gate.admits(self.head)
            && self.slots.stamp(self.head).load(publish::ACQUIRE) == full_stamp(self.head)
    }

    /// Sees that the message at `head` is ready, without waiting.
    #[inline(always)]
    pub(super) fn ready(&mut self) -> Result<(), NoMessage> {
        if self.is_ready() { Ok(()) } else { self.look_closer() }
    }

    /// Sees that it is ready, waiting until `deadline` at the latest.
    #[inline(always)]
    pub(super) fn ready_until(&mut self, deadline: Option<Instant>) -> Result<(), NoMessage> {
        if self.is_ready() { Ok(()) } else { self.wait_for_message(deadline) }
    }

    /// Retires messages: the one step by which they are received.
    #[inline(always)]
    pub(super) fn retire(&mut self, count: u64) {
        self.head += count;
        // RETIRE: the reads of these slots are over. Pairs with `Sender::see_room`.
        self.head_word.store(self.head, retire::RELEASE);
        self.notify();
    }

    /// Wakes the sender if it sleeps. After the head has moved, once a batch.
    #[inline(always)]
    fn notify(&self) {
        self.not_full.notify(ONE_SLEEPER);
    }

    /// Notes in the seat, for a successor, that the message at `head` is exposed.
    #[inline(always)]
    fn expose(&mut self) -> Result<RecvRef<'_, M, A>, NoMessage> {
        let len = self.payload_len()?;
        self.exposed = 1;
        if !seeded(Bug::NoClaim) {
            // Never below what a predecessor exposed: that stays in doubt until retired.
            let claim = self.in_doubt_until.max(self.head + 1);
            self.seat.claim().store(claim, relaxed::SOLE_WRITER);
        }
        // Before anything is lent: a successor looks only after the kernel's word.
        program_order();
        // A forgotten guard is settled by the next operation.
        self.gate.shut();
        Ok(RecvRef::new(self, len))
    }

    /// Length of the ready message's payload: a constant, or what the slot says, once.
    #[inline(always)]
    pub(super) fn payload_len(&mut self) -> Result<usize, NoMessage> {
        lend::len::<M>(self.slots.message(self.head)).map_err(|value| {
            NoMessage::Fault(self.gate.poison(Corrupt { word: "message length", value }))
        })
    }

    /// Whether this is the process that took the seat.
    #[inline(always)]
    pub(super) fn is_own(&self) -> bool {
        self.gate.is_own()
    }

    /// Ends the exposure: the guard is dropped, or was forgotten.
    #[inline(always)]
    pub(super) fn release(&mut self) {
        let exposed = core::mem::take(&mut self.exposed);
        self.retire(exposed);
        self.gate.open_to(POSITION_LIMIT);
    }

    /// Whether the handle can go on at all.
    fn gate_check(&self) -> Result<(), Fault> {
        self.gate.check(self.head)
    }

    /// Looks closer when no message is ready: settle, or say why. `Ok`: one is ready.
    #[cold]
    #[inline(never)]
    fn look_closer(&mut self) -> Result<(), NoMessage> {
        self.gate_check().map_err(NoMessage::Fault)?;
        if self.exposed > 0 {
            self.release();
            self.gate_check().map_err(NoMessage::Fault)?;
        }
        if self.see_message()? {
            return Ok(());
        }
        self.empty_at = self.head;
        // Really empty. If the sender has left, what he did before counts.
        let state = seat::peek(self.slots.segment(), layout::spsc::SENDER)
            .map_err(|corrupt| NoMessage::Fault(self.gate.poison(corrupt)))?;
        let ended = match state {
            SeatState::Closed => NoMessage::Closed,
            SeatState::Died => NoMessage::Died,
            SeatState::Vacant | SeatState::Live | SeatState::Recovering => {
                return Err(NoMessage::Empty);
            }
        };
        if !seeded(Bug::NoLookAfterClosed) && self.see_message()? {
            return Ok(());
        }
        Err(ended)
    }

    /// Reads the stamp at `head` once. False: free.
    fn see_message(&mut self) -> Result<bool, NoMessage> {
        // stamp of slot i, whose next position is p:
        //   p + 1 - capacity   the lap before: free
        //   p + 1              full
        //   anything else      impossible: Corrupt
        // PUBLISH: as in `is_ready`.
        let stamp = self.slots.stamp(self.head).load(publish::ACQUIRE);
        if stamp == full_stamp(self.head) {
            Ok(true)
        } else if stamp == free_stamp(self.head, self.slots.capacity()) {
            Ok(false)
        } else {
            Err(NoMessage::Fault(self.gate.poison(Corrupt { word: "stamp", value: stamp })))
        }
    }

    /// Waits until the message at `head` is ready.
    #[cold]
    #[inline(never)]
    fn wait_for_message(&mut self, deadline: Option<Instant>) -> Result<(), NoMessage> {
        let keep_off = self.pace.keeps_off(self.head - self.empty_at);
        match self.look_closer() {
            Err(NoMessage::Empty) => {}
            outcome => return outcome,
        }
        if keep_off {
            endpoint::keep_off();
        }
        if endpoint::spin(self) {
            return Ok(());
        }
        match endpoint::wait(self, deadline) {
            Ok(outcome) => outcome,
            Err(Unfinished::TimedOut) => Err(NoMessage::Empty),
            Err(Unfinished::Cancelled) => Err(NoMessage::Cancelled),
            Err(Unfinished::Corrupt(corrupt)) => Err(NoMessage::Fault(self.gate.poison(corrupt))),
        }
    }
}

impl<M: Payload + ?Sized, A: Trust> Blocked for Receiver<M, A> {
    type Outcome = Result<(), NoMessage>;

    fn waiter(&self) -> &Waiter {
        &self.waiter
    }

    fn stirs(&self) -> bool {
        self.is_ready()
    }

    fn look(&mut self) -> Option<Self::Outcome> {
        match self.look_closer() {
            Err(NoMessage::Empty) => None,
            outcome => Some(outcome),
        }
    }

    fn look_around(&mut self) -> Option<Self::Outcome> {
        let segment = Arc::clone(self.slots.segment());
        endpoint::look_at_peer(self, (&segment, layout::spsc::SENDER), |this, corrupt| {
            Err(corrupt.map_or(NoMessage::Died, |it| NoMessage::Fault(this.gate.poison(it))))
        })
    }
}

/// Fixed-size messages.
impl<T: Message, A: Trust> Receiver<T, A> {
    /// Receives without waiting: wait-free, no allocation, and no
    /// system call unless the peer sleeps.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`]; [`TryRecvError::Closed`] and [`TryRecvError::Died`] if it
    /// is empty and the sender has left or was found dead; [`TryRecvError::Fault`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.ready()?;
        Ok(self.take())
    }

    /// Receives, waiting while the ring is empty.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv); never [`RecvError::Timeout`].
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
        self.ready_until(deadline)?;
        Ok(self.take())
    }

    /// Receives as many messages as are there and fit, without waiting, and says how
    /// many: the first of `out` are overwritten. They are retired together, in one step.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv) if there was none. `out` of no length is always
    /// filled at once.
    #[inline]
    pub fn try_recv_many(&mut self, out: &mut [T]) -> Result<usize, TryRecvError> {
        if out.is_empty() {
            return Ok(0);
        }
        self.ready()?;
        Ok(self.take_many(out))
    }

    /// Receives at least one message and at most as many as fit, waiting while the ring
    /// is empty. As [`try_recv_many`](Self::try_recv_many) otherwise.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    #[inline]
    pub fn recv_many(&mut self, out: &mut [T]) -> Result<usize, RecvError> {
        if out.is_empty() {
            return Ok(0);
        }
        self.ready_until(None)?;
        Ok(self.take_many(out))
    }

    /// Copies out and retires the message at `head`, which is ready.
    #[inline(always)]
    fn take(&mut self) -> T {
        if seeded(Bug::RetireBeforeCopy) {
            self.retire(1);
            self.head -= 1;
        }
        let message = lend::read(self.slots.message(self.head));
        self.retire(1);
        message
    }

    /// Copies out and retires a run of messages, the first of which is ready.
    #[inline(always)]
    fn take_many(&mut self, out: &mut [T]) -> usize {
        let mut count = 0;
        for message in out {
            let position = self.head + count as u64;
            // PUBLISH: as in `is_ready`. What follows the run is looked at another time.
            if position >= POSITION_LIMIT
                || self.slots.stamp(position).load(publish::ACQUIRE) != full_stamp(position)
            {
                break;
            }
            copy::load(self.slots.message(position), 0, message.as_mut_bytes());
            count += 1;
        }
        self.retire(count as u64);
        count
    }
}

/// Beside others.
#[cfg(not(loom))]
impl<M: Payload + ?Sized, A: Trust> crate::waitset::sealed::Sealed for Receiver<M, A> {
    fn how(&self) -> &Waiter {
        &self.waiter
    }

    fn is_due(&mut self) -> bool {
        self.look().is_some()
    }

    fn look_for_the_dead(&mut self) {
        // What it finds, the next look finds again.
        let _ = self.look_around();
    }
}

impl<M: Payload + ?Sized, A: Trust> Drop for Receiver<M, A> {
    /// Settles a forgotten guard, hands on what is still in doubt and leaves the seat.
    fn drop(&mut self) {
        if !self.gate.is_own() {
            return;
        }
        if self.exposed > 0 {
            self.release();
        }
        let in_doubt = self.in_doubt_until > self.head && !seeded(Bug::DropForgetsDoubt);
        let claim = if in_doubt { self.in_doubt_until } else { 0 };
        self.seat.claim().store(claim, relaxed::SOLE_WRITER);
        self.seat.leave();
        self.notify();
    }
}

impl<M: Payload + ?Sized, A: Trust> fmt::Debug for Receiver<M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("spsc::Receiver").field("position", &self.head).finish_non_exhaustive()
    }
}
