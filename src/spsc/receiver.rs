//! The receiving side.

use core::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::atomic::{publish, relaxed, retire};
use crate::copy;
use crate::endpoint::{self, TimedOut};
use crate::error::{Corrupt, Error, Fault, RecvError, TryRecvError};
use crate::gate::Gate;
use crate::layout::{self, POSITION_LIMIT};
use crate::message::Message;
use crate::seat::{self, Seat, SeatState};
use crate::segment::{Format, Segment};
use crate::slots::{Fixed, Slots, free_stamp, full_stamp};

/// The one receiver of a ring. Dropping it closes it.
///
/// It takes `&mut self` and is `Send` but not `Sync`: one thread receives at a time.
pub struct Receiver<T> {
    slots: Slots<Fixed<T>>,
    /// Open as long as there is nothing to settle first.
    gate: Gate,
    /// Next position to receive. The shared head is this, for the sender and a successor.
    head: u64,
    /// The position at which the ring was last found empty.
    empty_at: u64,
    /// Messages below this were exposed by a predecessor who died before releasing them.
    in_doubt_until: u64,
    /// Messages from `head` on that a guard exposes, or exposed when it was forgotten.
    exposed: u64,
    seat: Seat,
}

/// Why there is no message.
enum NoMessage {
    Empty,
    Closed,
    Died,
    Fault(Fault),
}

impl From<NoMessage> for TryRecvError {
    fn from(reason: NoMessage) -> Self {
        match reason {
            NoMessage::Empty => Self::Empty,
            NoMessage::Closed => Self::Closed,
            NoMessage::Died => Self::Died,
            NoMessage::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// For a waiting receive, in which `Empty` has become a timeout.
impl From<NoMessage> for RecvError {
    fn from(reason: NoMessage) -> Self {
        match reason {
            NoMessage::Empty => Self::Timeout,
            NoMessage::Closed => Self::Closed,
            NoMessage::Died => Self::Died,
            NoMessage::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl<T: Message> Receiver<T> {
    pub(super) fn attach(segment: &Arc<Segment>, format: &Format) -> Result<Self, Error> {
        let seat = Seat::take(segment, layout::spsc::RECEIVER, "receiver")?;
        let slots = Slots::new(Arc::clone(segment), format, Fixed::NEW);
        // SEAT: the predecessor's last words come before his leaving, or his end.
        let head = segment.span().word(layout::spsc::HEAD).load(relaxed::FENCED);
        if head > POSITION_LIMIT {
            return Err(Corrupt { word: "head", value: head }.into());
        }
        // SEAT: as above. One who left in order hands on what was in doubt before him.
        let claim = seat.claim().load(relaxed::FENCED);
        if claim > head + slots.capacity() {
            return Err(Corrupt { word: "claim", value: claim }.into());
        }
        let in_doubt_until = claim.max(head);
        let gate = Gate::new(POSITION_LIMIT)?;
        Ok(Self { slots, gate, head, empty_at: head, in_doubt_until, exposed: 0, seat })
    }

    /// Position of the next message. The one received last had one less.
    pub fn position(&self) -> u64 {
        self.head + self.exposed
    }

    /// How the sender's seat stands. Asks the kernel whether a live-looking sender is
    /// dead, and notes it if so; makes system calls.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Os`].
    pub fn peer(&self) -> Result<SeatState, Error> {
        seat::notice_death(self.slots.segment(), layout::spsc::SENDER)
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

    /// Receives without waiting: wait-free, no system call, no allocation.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`]; [`TryRecvError::Closed`] and [`TryRecvError::Died`] if it
    /// is empty and the sender has left or was found dead; [`TryRecvError::Fault`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        if !self.is_ready() {
            self.look_closer()?;
        }
        Ok(self.take())
    }

    /// Receives, waiting while the ring is empty.
    ///
    /// Waits by polling: it spins for about 20 us, then yields the processor between
    /// polls.
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
        self.recv_until(endpoint::deadline_after(timeout))
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
        if !self.is_ready() {
            self.wait_for_message(deadline)?;
        }
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
        if !self.is_ready() {
            self.look_closer()?;
        }
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
        if !self.is_ready() {
            self.wait_for_message(None)?;
        }
        Ok(self.take_many(out))
    }

    /// Exposes the next message in place, without waiting. It is received when the guard
    /// is dropped, not before: if this process dies first, it comes again, marked.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    #[inline]
    pub fn try_recv_ref(&mut self) -> Result<RecvRef<'_, T>, TryRecvError> {
        if !self.is_ready() {
            self.look_closer()?;
        }
        Ok(self.expose())
    }

    /// As [`try_recv_ref`](Self::try_recv_ref), waiting while the ring is empty.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    #[inline]
    pub fn recv_ref(&mut self) -> Result<RecvRef<'_, T>, RecvError> {
        if !self.is_ready() {
            self.wait_for_message(None)?;
        }
        Ok(self.expose())
    }

    /// As [`recv_ref`](Self::recv_ref), for at most `timeout`.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_ref_timeout(&mut self, timeout: Duration) -> Result<RecvRef<'_, T>, RecvError> {
        if !self.is_ready() {
            self.wait_for_message(endpoint::deadline_after(timeout))?;
        }
        Ok(self.expose())
    }

    /// Whether the message at `head` is there and nothing has to be settled first.
    #[inline(always)]
    fn is_ready(&self) -> bool {
        // PUBLISH: the message is written. Pairs with `Sender::commit`.
        self.gate.admits(self.head)
            && self.slots.stamp(self.head).load(publish::ACQUIRE) == full_stamp(self.head)
    }

    /// Copies out and retires the message at `head`, which is ready.
    #[inline(always)]
    fn take(&mut self) -> T {
        let mut message = T::new_zeroed();
        copy::load(self.slots.message(self.head), 0, message.as_mut_bytes());
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

    /// Retires messages: the one step by which they are received.
    #[inline(always)]
    fn retire(&mut self, count: u64) {
        self.head += count;
        // RETIRE: the reads of these slots are over. Pairs with `Sender::see_room`.
        self.slots.segment().span().word(layout::spsc::HEAD).store(self.head, retire::RELEASE);
    }

    /// Notes in the seat, for a successor, that the message at `head` is exposed.
    #[inline(always)]
    fn expose(&mut self) -> RecvRef<'_, T> {
        self.exposed = 1;
        // Never below what a predecessor exposed: that stays in doubt until retired.
        let claim = self.in_doubt_until.max(self.head + 1);
        // A dead writer's stores are all there, in program order, once the kernel has
        // released his lock; the fence keeps the compiler to that order too.
        self.seat.claim().store(claim, relaxed::SOLE_WRITER);
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
        // A forgotten guard is settled by the next operation.
        self.gate.shut();
        RecvRef { receiver: self }
    }

    /// Ends the exposure: the guard is dropped, or was forgotten.
    #[inline(always)]
    fn release(&mut self) {
        let exposed = core::mem::take(&mut self.exposed);
        self.retire(exposed);
        self.gate.open_to(POSITION_LIMIT);
    }

    /// Looks closer when no message is ready: settle, or say why. `Ok`: one is ready.
    #[cold]
    #[inline(never)]
    fn look_closer(&mut self) -> Result<(), NoMessage> {
        self.gate.check(self.head).map_err(NoMessage::Fault)?;
        if self.exposed > 0 {
            self.release();
            self.gate.check(self.head).map_err(NoMessage::Fault)?;
        }
        if self.see_message()? {
            return Ok(());
        }
        self.empty_at = self.head;
        // Really empty. If the sender has left, what he did before counts.
        let state = seat::peek(self.slots.segment(), layout::spsc::SENDER)
            .map_err(|corrupt| NoMessage::Fault(self.gate.poison(corrupt.word, corrupt.value)))?;
        let ended = match state {
            SeatState::Closed => NoMessage::Closed,
            SeatState::Died => NoMessage::Died,
            SeatState::Vacant | SeatState::Live | SeatState::Recovering => {
                return Err(NoMessage::Empty);
            }
        };
        if self.see_message()? { Ok(()) } else { Err(ended) }
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
            Err(NoMessage::Fault(self.gate.poison("stamp", stamp)))
        }
    }

    /// Waits until the message at `head` is ready.
    #[cold]
    #[inline(never)]
    fn wait_for_message(&mut self, deadline: Option<Instant>) -> Result<(), NoMessage> {
        let streak = self.head - self.empty_at.min(self.head);
        let attempt = |receiver: &mut Self| match receiver.look_closer() {
            Err(NoMessage::Empty) => None,
            outcome => Some(outcome),
        };
        if let Some(outcome) = attempt(self) {
            return outcome;
        }
        let first_pauses = if streak >= 2 { endpoint::PAUSES_AFTER_STREAK } else { 1 };
        match endpoint::poll(deadline, first_pauses, || attempt(self)) {
            Ok(outcome) => outcome,
            Err(TimedOut) => Err(NoMessage::Empty),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.gate.is_own() {
            self.leave();
        }
    }
}

impl<T> Receiver<T> {
    /// Settles a forgotten guard, hands on what is still in doubt and leaves the seat.
    fn leave(&mut self) {
        let head = self.head + self.exposed;
        // RETIRE: as in `retire`.
        self.slots.segment().span().word(layout::spsc::HEAD).store(head, retire::RELEASE);
        let claim = if self.in_doubt_until > head { self.in_doubt_until } else { 0 };
        self.seat.claim().store(claim, relaxed::SOLE_WRITER);
        self.seat.leave();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("spsc::Receiver").field("position", &self.head).finish_non_exhaustive()
    }
}

/// A received message that still lies in the ring. Dropping it releases the slot.
///
/// It copies: the memory stays the peer's to write, who may be broken.
///
/// ```
/// let (mut sender, mut receiver) = annulus::spsc::channel::<[u8; 1024]>(4)?;
/// sender.send([7; 1024])?;
/// let message = receiver.recv_ref()?;
/// let mut first = [0; 16];
/// message.read_at(0, &mut first);
/// assert_eq!(first, [7; 16]);
/// message.release();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a guard releases the message"]
pub struct RecvRef<'a, T: Message> {
    receiver: &'a mut Receiver<T>,
}

impl<T: Message> RecvRef<'_, T> {
    /// The message's position.
    pub fn position(&self) -> u64 {
        self.receiver.head
    }

    /// Whether an earlier receiver died while it held this message.
    pub fn redelivered(&self) -> bool {
        self.receiver.is_redelivered(self.receiver.head)
    }

    /// Copies the whole message out.
    #[inline]
    pub fn read(&self) -> T {
        let mut message = T::new_zeroed();
        copy::load(self.receiver.slots.message(self.receiver.head), 0, message.as_mut_bytes());
        message
    }

    /// Copies some of its bytes out, from byte `offset` on; says how many: fewer than
    /// asked for at the message's end.
    #[inline]
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> usize {
        let area = self.receiver.slots.message(self.receiver.head);
        let count = out.len().min(area.len().saturating_sub(offset));
        copy::load(area, offset.min(area.len()), &mut out[..count]);
        count
    }

    /// Releases the slot, as dropping does.
    pub fn release(self) {}
}

impl<T: Message> Drop for RecvRef<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.receiver.release();
    }
}

impl<T: Message> fmt::Debug for RecvRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("spsc::RecvRef").field("position", &self.position()).finish_non_exhaustive()
    }
}
