//! The receiving side.

use core::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bytes::Bytes;
use super::ends::{self, Ended};
use super::{RecvRef, Ring};
use crate::atomic::{Bug, publish, relaxed, retire, seeded};
use crate::endpoint::{self, Blocked, CancelHandle, Pace, Unfinished, Waiter, deadline_after};
use crate::error::{Corrupt, Error, Fault, RecvError, TryRecvError, WaitError};
use crate::gate::Gate;
use crate::layout::{self, POSITION_LIMIT};
use crate::outcome::NoMessage;
use crate::payload::{Copying, Trust};
use crate::seat::{self, Seat, SeatState};
use crate::slots::ControlWord;
use crate::wait::{Event, ONE_SLEEPER};

/// The one receiver of a stream. Dropping it closes it, and the sender's next write fails.
///
/// It takes `&mut self` and is `Send` but not `Sync`: one thread receives at a time. It is
/// an [`io::Read`](std::io::Read).
///
/// The verbs that wait spin, then yield, then sleep, see
/// [`Options::spin`](crate::Options::spin); a sender who died is noticed within two
/// [slices](crate::Options::slice).
pub struct Receiver<A: Trust = Copying> {
    pub(super) bytes: Bytes,
    /// Open up to the first byte that was not seen committed yet.
    gate: Gate,
    /// Next position to read. The shared head is this.
    pub(super) head: u64,
    /// The tail when it was last read; `head <= tail <= head + capacity` (I2).
    cached_tail: u64,
    /// Receives since the stream was last found empty.
    streak: u64,
    pace: Pace,
    /// This side has aborted.
    aborted: bool,
    not_full: Event,
    head_word: ControlWord,
    tail_word: ControlWord,
    waiter: Arc<Waiter>,
    seat: Seat,
    _trust: core::marker::PhantomData<A>,
    /// `Send`, not `Sync`.
    _not_sync: core::marker::PhantomData<core::cell::Cell<()>>,
}

/// Long reads retire pieces of this many bytes, so that the sender has room again while the
/// next is read; shorter ones in a small ring.
const PIECE: usize = 32 << 10;

impl<A: Trust> Receiver<A> {
    pub(super) fn attach(ring: &Ring<A>) -> Result<Self, Error> {
        let segment = &ring.segment;
        let (not_full, waiter) = (ring.not_full(), ring.waiter(ring.not_empty()));
        let mut seat = match seeded(Bug::StreamSuccession) {
            true => Seat::take(segment, layout::stream::RECEIVER, "receiver")?,
            false => Seat::take_once(segment, layout::stream::RECEIVER, "receiver")?,
        };
        let bytes = Bytes::new(Arc::clone(segment), &ring.format);
        let head_word = ControlWord::new(segment, layout::stream::HEAD);
        let tail_word = ControlWord::new(segment, layout::stream::TAIL);
        // FORMAT: nobody has received: it is where the creator put it.
        let head = head_word.load(relaxed::FENCED);
        if head > POSITION_LIMIT {
            return Err(Corrupt { word: "head", value: head }.into());
        }
        let gate = Gate::new(head)?;
        seat.settle();
        let receiver = Self {
            bytes,
            gate,
            head,
            cached_tail: head,
            streak: 0,
            pace: Pace::default(),
            aborted: false,
            not_full,
            head_word,
            tail_word,
            waiter,
            seat,
            _trust: core::marker::PhantomData,
            _not_sync: core::marker::PhantomData,
        };
        // A sender may be waiting for somebody to come.
        receiver.notify();
        Ok(receiver)
    }

    /// How many bytes have been taken, from the stream's first on.
    pub fn position(&self) -> u64 {
        self.head
    }

    /// Bytes that fit.
    pub fn capacity(&self) -> u64 {
        self.bytes.capacity()
    }

    /// How the sender's seat stands. Asks the kernel whether a live-looking sender is dead,
    /// and notes it if so; makes system calls.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Os`].
    pub fn peer(&self) -> Result<SeatState, Error> {
        seat::notice_death(self.bytes.segment(), layout::stream::SENDER)
    }

    /// Waits until a sender has come, for at most `timeout` if one is given. One who has gone
    /// again, or died, has come: the next verb says so.
    ///
    /// # Errors
    /// [`WaitError::Timeout`], [`WaitError::Cancelled`], [`WaitError::Fault`].
    pub fn wait_for_peer(&mut self, timeout: Option<Duration>) -> Result<(), WaitError> {
        self.gate.check(self.head)?;
        let place = (self.bytes.segment(), layout::stream::SENDER);
        ends::wait_for(place, &self.waiter, &mut self.gate, timeout)
    }

    /// A handle by which any thread can end this receiver's waiting.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.waiter.cancel_handle()
    }

    /// How many waits for bytes, in all processes so far, only the end of a slice rescued.
    /// Stays 0 unless a notifier is killed, or stopped for long, at the wrong moment.
    pub fn rescues(&self) -> u64 {
        self.waiter.rescues()
    }

    /// Receives to the first bytes of `out`, as many as are there and fit, without waiting;
    /// says how many. Wait-free, no allocation, and no system call unless the sender
    /// sleeps. `out` of no length is always filled at once.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`]; [`TryRecvError::Closed`] at the end of the stream,
    /// [`TryRecvError::Died`] if the sender has aborted or was found dead, both after
    /// everything that it committed; [`TryRecvError::Fault`].
    #[inline]
    pub fn try_recv(&mut self, out: &mut [u8]) -> Result<usize, TryRecvError> {
        if out.is_empty() {
            return Ok(0);
        }
        if !self.gate.admits(self.head) {
            self.look_closer()?;
        }
        Ok(self.take_some(out)?)
    }

    /// As [`try_recv`](Self::try_recv), waiting while there is nothing.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv), but for `Empty`; [`RecvError::Cancelled`].
    #[inline]
    pub fn recv(&mut self, out: &mut [u8]) -> Result<usize, RecvError> {
        Ok(self.recv_until(out, None)?)
    }

    /// As [`recv`](Self::recv), for at most `timeout`. The clock is monotonic.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_timeout(&mut self, out: &mut [u8], timeout: Duration) -> Result<usize, RecvError> {
        Ok(self.recv_until(out, deadline_after(timeout))?)
    }

    /// As [`recv`](Self::recv), until `deadline` at the latest.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_deadline(&mut self, out: &mut [u8], deadline: Instant) -> Result<usize, RecvError> {
        Ok(self.recv_until(out, Some(deadline))?)
    }

    #[inline]
    pub(super) fn recv_until(
        &mut self,
        out: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<usize, NoMessage> {
        if out.is_empty() {
            return Ok(0);
        }
        if !self.gate.admits(self.head) {
            self.wait_for_bytes(deadline)?;
        }
        self.take_some(out)
    }

    /// Exposes all bytes that are there, in place, without waiting. They are received when
    /// the guard is released.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn try_recv_ref(&mut self) -> Result<RecvRef<'_, A>, TryRecvError> {
        self.look_closer()?;
        Ok(RecvRef::new(self))
    }

    /// As [`try_recv_ref`](Self::try_recv_ref), waiting while there is nothing.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_ref(&mut self) -> Result<RecvRef<'_, A>, RecvError> {
        self.recv_ref_until(None)
    }

    /// As [`recv_ref`](Self::recv_ref), for at most `timeout`.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_ref_timeout(&mut self, timeout: Duration) -> Result<RecvRef<'_, A>, RecvError> {
        self.recv_ref_until(deadline_after(timeout))
    }

    fn recv_ref_until(&mut self, deadline: Option<Instant>) -> Result<RecvRef<'_, A>, RecvError> {
        self.wait_for_bytes(deadline)?;
        Ok(RecvRef::new(self))
    }

    /// Leaves the stream as if this process had died: the sender's next write fails with
    /// *died*.
    pub fn abort(mut self) {
        if self.gate.is_own() {
            self.aborted = true;
            self.seat.abandon();
            self.notify();
        }
    }

    /// Whether this is the process that took the seat.
    #[inline(always)]
    pub(super) fn is_own(&self) -> bool {
        self.gate.is_own()
    }

    /// The handle has seen what no correct peer writes.
    #[cfg_attr(loom, expect(dead_code))]
    pub(super) fn poison(&mut self, corrupt: Corrupt) -> Fault {
        self.gate.poison(corrupt)
    }

    /// Bytes that are known to be there.
    #[inline(always)]
    pub(super) fn waiting(&self) -> usize {
        self.gate.limit().saturating_sub(self.head) as usize
    }

    /// Waits for bytes, and says how much of `most` there is, looking for more than is
    /// known of.
    #[cfg(not(loom))]
    pub(super) fn waiting_for(
        &mut self,
        most: usize,
        deadline: Option<Instant>,
    ) -> Result<usize, NoMessage> {
        if !self.gate.admits(self.head) {
            self.wait_for_bytes(deadline)?;
        } else if self.waiting() < most {
            self.see_bytes()?;
        }
        // Not all of it: the sender is to have something to do meanwhile.
        let half = self.capacity().div_ceil(2) as usize;
        Ok(most.min(self.waiting()).min(half))
    }

    /// As [`take`](Self::take), where there are bytes: nothing comes only if a fault was met,
    /// and that is no end of the stream.
    #[inline]
    fn take_some(&mut self, out: &mut [u8]) -> Result<usize, NoMessage> {
        match self.take(out) {
            0 => self.gate.check(self.head).map(|()| 0).map_err(NoMessage::Fault),
            count => Ok(count),
        }
    }

    /// Copies out and retires as many bytes as are there and fit.
    #[inline]
    pub(super) fn take(&mut self, out: &mut [u8]) -> usize {
        let piece = PIECE.min(self.capacity().div_ceil(4) as usize);
        self.streak += 1;
        let mut taken = 0;
        while taken < out.len() {
            let rest = &mut out[taken..];
            // A fault met here stays, and is the next call's.
            if self.waiting() < rest.len() && !self.see_bytes().unwrap_or(false) {
                break;
            }
            let count = rest.len().min(piece).min(self.waiting());
            if seeded(Bug::RetireBeforeCopy) {
                self.retire(count);
                self.head -= count as u64;
            }
            self.bytes.load(self.head, &mut rest[..count]);
            self.retire(count);
            taken += count;
        }
        taken
    }

    /// Retires `count` bytes: the one step by which they are received.
    #[inline(always)]
    pub(super) fn retire(&mut self, count: usize) {
        self.head += count as u64;
        // RETIRE: the reads of these bytes are over. Pairs with `Sender::see_room`.
        self.head_word.store(self.head, retire::RELEASE);
        self.notify();
    }

    /// Wakes the sender if it sleeps.
    #[inline(always)]
    fn notify(&self) {
        self.not_full.notify(ONE_SLEEPER);
    }

    /// Looks closer when no byte is known to be there: is there one, or why not?
    #[cold]
    #[inline(never)]
    fn look_closer(&mut self) -> Result<(), NoMessage> {
        self.gate.check(self.head).map_err(NoMessage::Fault)?;
        if self.see_bytes()? {
            return Ok(());
        }
        // Really empty. If the sender has left, what it did before counts.
        let ended = match ends::ended(self.bytes.segment(), layout::stream::SENDER) {
            Ok(None) => return Err(NoMessage::Empty),
            Ok(Some(Ended::Closed)) => NoMessage::Closed,
            Ok(Some(Ended::Died)) => NoMessage::Died,
            Err(corrupt) => return Err(NoMessage::Fault(self.gate.poison(corrupt))),
        };
        if !seeded(Bug::NoLookAfterClosed) && self.see_bytes()? {
            return Ok(());
        }
        Err(ended)
    }

    /// Reads the tail once and opens the gate as far as it says. False: no byte.
    fn see_bytes(&mut self) -> Result<bool, NoMessage> {
        // PUBLISH: the bytes are written. Pairs with `Sender::commit`.
        let tail = self.tail_word.load(publish::ACQUIRE);
        let most = (self.head + self.capacity()).min(POSITION_LIMIT);
        let too_far = tail > most && !seeded(Bug::TailUnchecked);
        if tail < self.cached_tail || too_far {
            let corrupt = Corrupt { word: "tail", value: tail };
            return Err(NoMessage::Fault(self.gate.poison(corrupt)));
        }
        self.cached_tail = tail;
        self.gate.open_to(tail);
        Ok(tail > self.head)
    }

    /// Waits until there is a byte.
    #[cold]
    #[inline(never)]
    fn wait_for_bytes(&mut self, deadline: Option<Instant>) -> Result<(), NoMessage> {
        let keep_off = self.pace.keeps_off(core::mem::take(&mut self.streak));
        match self.look_closer() {
            Err(NoMessage::Empty) => {}
            outcome => return outcome,
        }
        if keep_off {
            endpoint::keep_off();
        }
        if endpoint::spin(self)
            && let Some(outcome) = self.look()
        {
            return outcome;
        }
        match endpoint::wait(self, deadline) {
            Ok(outcome) => outcome,
            Err(Unfinished::TimedOut) => Err(NoMessage::Empty),
            Err(Unfinished::Cancelled) => Err(NoMessage::Cancelled),
            Err(Unfinished::Corrupt(corrupt)) => Err(NoMessage::Fault(self.gate.poison(corrupt))),
        }
    }
}

impl<A: Trust> Blocked for Receiver<A> {
    type Outcome = Result<(), NoMessage>;

    fn waiter(&self) -> &Waiter {
        &self.waiter
    }

    fn stirs(&self) -> bool {
        self.tail_word.load(relaxed::HINT) != self.cached_tail
    }

    fn look(&mut self) -> Option<Self::Outcome> {
        match self.look_closer() {
            Err(NoMessage::Empty) => None,
            outcome => Some(outcome),
        }
    }

    fn look_around(&mut self) -> Option<Self::Outcome> {
        let segment = Arc::clone(self.bytes.segment());
        endpoint::look_at_peer(self, (&segment, layout::stream::SENDER), |this, corrupt| {
            Err(corrupt.map_or(NoMessage::Died, |it| NoMessage::Fault(this.gate.poison(it))))
        })
    }
}

/// Beside others.
#[cfg(not(loom))]
impl<A: Trust> crate::waitset::sealed::Sealed for Receiver<A> {
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

impl<A: Trust> Drop for Receiver<A> {
    fn drop(&mut self) {
        if !self.aborted && self.gate.is_own() {
            self.seat.leave();
            self.notify();
        }
    }
}

impl<A: Trust> fmt::Debug for Receiver<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("stream::Receiver").field("position", &self.head).finish_non_exhaustive()
    }
}
