//! The sending side.

use core::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bytes::Bytes;
use super::ends::{self, Ended};
use super::{Reservation, Ring};
use crate::atomic::{Bug, publish, relaxed, retire, seeded};
use crate::endpoint::{self, Blocked, CancelHandle, Unfinished, Waiter, deadline_after};
use crate::error::{Corrupt, Error, Fault, SendError, TrySendError, WaitError};
use crate::gate::Gate;
use crate::layout::{self, POSITION_LIMIT};
use crate::outcome::NoRoom;
use crate::payload::{Copying, Trust};
use crate::seat::{self, Seat, SeatState};
use crate::slots::ControlWord;
use crate::wait::{Event, ONE_SLEEPER};

/// The one sender of a stream. Dropping it ends the stream, as [`finish`](Self::finish)
/// does; dropping it while unwinding from a panic, or after a [`Fault::Corrupt`], aborts it.
///
/// It takes `&mut self` and is `Send` but not `Sync`: one thread sends at a time. It is
/// an [`io::Write`](std::io::Write).
///
/// The verbs that wait spin, then yield, then sleep, see
/// [`Options::spin`](crate::Options::spin); a receiver who died is noticed within two
/// [slices](crate::Options::slice).
pub struct Sender<A: Trust = Copying> {
    pub(super) bytes: Bytes,
    /// Open up to the first byte that was not seen free yet.
    gate: Gate,
    /// Next position to write. The shared tail is this.
    pub(super) tail: u64,
    /// The head when it was last read; `head <= tail <= head + capacity` (I2).
    cached_head: u64,
    /// The end was said, one way or the other.
    ended: bool,
    not_empty: Event,
    head_word: ControlWord,
    tail_word: ControlWord,
    waiter: Arc<Waiter>,
    seat: Seat,
    _trust: core::marker::PhantomData<A>,
    /// `Send`, not `Sync`.
    _not_sync: core::marker::PhantomData<core::cell::Cell<()>>,
}

/// Long writes are committed in pieces of this many bytes, so that the receiver copies one
/// while the next is written; shorter ones in a small ring.
const PIECE: usize = 32 << 10;

/// How often a sender keeps off the line of the head before it takes what room there is.
const ROUNDS_FOR_ROOM: u32 = 8;

impl<A: Trust> Sender<A> {
    pub(super) fn attach(ring: &Ring<A>) -> Result<Self, Error> {
        let segment = &ring.segment;
        let (not_empty, waiter) = (ring.not_empty(), ring.waiter(ring.not_full()));
        let mut seat = match seeded(Bug::StreamSuccession) {
            true => Seat::take(segment, layout::stream::SENDER, "sender")?,
            false => Seat::take_once(segment, layout::stream::SENDER, "sender")?,
        };
        let bytes = Bytes::new(Arc::clone(segment), &ring.format);
        let head_word = ControlWord::new(segment, layout::stream::HEAD);
        let tail_word = ControlWord::new(segment, layout::stream::TAIL);
        // FORMAT: nobody has sent: both are where the creator put them.
        let (head, tail) = (head_word.load(relaxed::FENCED), tail_word.load(relaxed::FENCED));
        if head > POSITION_LIMIT {
            return Err(Corrupt { word: "head", value: head }.into());
        }
        if tail != head && !seeded(Bug::StreamSuccession) {
            return Err(Corrupt { word: "tail", value: tail }.into());
        }
        let gate = Gate::new(head + bytes.capacity())?;
        seat.settle();
        let sender = Self {
            bytes,
            gate,
            tail,
            cached_head: head,
            ended: false,
            not_empty,
            head_word,
            tail_word,
            waiter,
            seat,
            _trust: core::marker::PhantomData,
            _not_sync: core::marker::PhantomData,
        };
        // A receiver may be waiting for somebody to come.
        sender.notify();
        Ok(sender)
    }

    /// How many bytes have been committed, from the stream's first on.
    pub fn position(&self) -> u64 {
        self.tail
    }

    /// Bytes that fit.
    pub fn capacity(&self) -> u64 {
        self.bytes.capacity()
    }

    /// How the receiver's seat stands. Asks the kernel whether a live-looking receiver is
    /// dead, and notes it if so; makes system calls.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Os`].
    pub fn peer(&self) -> Result<SeatState, Error> {
        seat::notice_death(self.bytes.segment(), layout::stream::RECEIVER)
    }

    /// Waits until a receiver has come, for at most `timeout` if one is given. One who has gone
    /// again, or died, has come: the next verb says so.
    ///
    /// # Errors
    /// [`WaitError::Timeout`], [`WaitError::Cancelled`], [`WaitError::Fault`].
    pub fn wait_for_peer(&mut self, timeout: Option<Duration>) -> Result<(), WaitError> {
        self.gate.check(self.tail)?;
        let place = (self.bytes.segment(), layout::stream::RECEIVER);
        ends::wait_for(place, &self.waiter, &mut self.gate, timeout)
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

    /// Sends the first of the bytes, as many as there is room for, without waiting; says
    /// how many. Wait-free, no allocation, and no system call unless the receiver sleeps.
    /// No bytes are always sent at once.
    ///
    /// While there is room they are accepted whether or not a receiver has come yet.
    ///
    /// # Errors
    /// [`TrySendError::Full`]; [`TrySendError::Closed`] and [`TrySendError::Died`] as soon
    /// as the receiver is known to be gone, room or not; [`TrySendError::Fault`].
    #[inline]
    pub fn try_send(&mut self, bytes: &[u8]) -> Result<usize, TrySendError<()>> {
        self.receiver_remains().map_err(|reason| reason.at_once(()))?;
        if bytes.is_empty() {
            return Ok(0);
        }
        if !self.gate.admits(self.tail) {
            self.make_room(1).map_err(|reason| reason.at_once(()))?;
        }
        self.put_some(bytes).map_err(|fault| TrySendError::Fault((), fault))
    }

    /// As [`try_send`](Self::try_send), waiting while there is room for nothing.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), but for `Full`; [`SendError::Cancelled`].
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, SendError<()>> {
        self.send_until(bytes, None)
    }

    /// As [`send`](Self::send), for at most `timeout`. The clock is monotonic.
    ///
    /// # Errors
    /// [`SendError::Timeout`] too.
    pub fn send_timeout(
        &mut self,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<usize, SendError<()>> {
        self.send_until(bytes, deadline_after(timeout))
    }

    /// As [`send`](Self::send), until `deadline` at the latest.
    ///
    /// # Errors
    /// [`SendError::Timeout`] too.
    pub fn send_deadline(
        &mut self,
        bytes: &[u8],
        deadline: Instant,
    ) -> Result<usize, SendError<()>> {
        self.send_until(bytes, Some(deadline))
    }

    #[inline]
    fn send_until(
        &mut self,
        bytes: &[u8],
        deadline: Option<Instant>,
    ) -> Result<usize, SendError<()>> {
        self.receiver_remains().map_err(|reason| reason.after_waiting(()))?;
        if bytes.is_empty() {
            return Ok(0);
        }
        if !self.gate.admits(self.tail) {
            self.wait_for_room(1, deadline).map_err(|reason| reason.after_waiting(()))?;
        }
        self.put_some(bytes).map_err(|fault| SendError::Fault((), fault))
    }

    /// Reserves `len` bytes, to be written in place and committed; without waiting.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), `Full` if there is not room for all of them;
    /// [`TrySendError::TooLong`] if there never will be.
    pub fn try_reserve(&mut self, len: usize) -> Result<Reservation<'_, A>, TrySendError<()>> {
        if len as u64 > self.capacity() {
            return Err(TrySendError::TooLong(()));
        }
        self.receiver_remains()
            .and_then(|()| if self.has_room(len) { Ok(()) } else { self.make_room(len as u64) })
            .map_err(|reason| reason.at_once(()))?;
        Ok(Reservation::new(self, len))
    }

    /// As [`try_reserve`](Self::try_reserve), waiting until there is room for all.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`SendError::TooLong`].
    pub fn reserve(&mut self, len: usize) -> Result<Reservation<'_, A>, SendError<()>> {
        self.reserve_until(len, None)
    }

    /// As [`reserve`](Self::reserve), for at most `timeout`.
    ///
    /// # Errors
    /// [`SendError::Timeout`] too.
    pub fn reserve_timeout(
        &mut self,
        len: usize,
        timeout: Duration,
    ) -> Result<Reservation<'_, A>, SendError<()>> {
        self.reserve_until(len, deadline_after(timeout))
    }

    fn reserve_until(
        &mut self,
        len: usize,
        deadline: Option<Instant>,
    ) -> Result<Reservation<'_, A>, SendError<()>> {
        if len as u64 > self.capacity() {
            return Err(SendError::TooLong(()));
        }
        self.receiver_remains()
            .and_then(|()| match self.has_room(len) {
                true => Ok(()),
                false => self.wait_for_room(len as u64, deadline),
            })
            .map_err(|reason| reason.after_waiting(()))?;
        Ok(Reservation::new(self, len))
    }

    /// Waits until the receiver has taken all that was sent, for at most `timeout` if one
    /// is given.
    ///
    /// # Errors
    /// [`SendError::Closed`] and [`SendError::Died`] if it is gone and has not;
    /// [`SendError::Timeout`], [`SendError::Cancelled`], [`SendError::Fault`].
    pub fn wait_until_received(&mut self, timeout: Option<Duration>) -> Result<(), SendError<()>> {
        let deadline = timeout.and_then(deadline_after);
        let outcome = match self.see_received() {
            Err(NoRoom::Full) => Until { sender: self, what: What::Received }.wait(deadline),
            outcome => outcome,
        };
        outcome.map_err(|reason| reason.after_waiting(()))
    }

    /// Says that this was all: the receiver gets what was sent, then the end. Does not wait
    /// until it has, see [`wait_until_received`](Self::wait_until_received).
    ///
    /// # Errors
    /// [`SendError::Closed`] and [`SendError::Died`] if the receiver is known to have gone
    /// without taking all; [`SendError::Fault`]. One who is poisoned does not say it, and
    /// leaves as by [`abort`](Self::abort).
    pub fn finish(mut self) -> Result<(), SendError<()>> {
        if let Err(fault) = self.gate.check(0) {
            return Err(SendError::Fault((), fault));
        }
        self.end();
        match self.see_received() {
            Ok(()) | Err(NoRoom::Full) => Ok(()),
            Err(reason) => Err(reason.after_waiting(())),
        }
    }

    /// Ends the stream without saying that this was all: the receiver gets what was sent,
    /// then an error, as if this process had died.
    pub fn abort(mut self) {
        if self.gate.is_own() {
            self.ended = true;
            self.seat.abandon();
            self.notify();
        }
    }

    /// Leaves the seat in order, which is the end.
    fn end(&mut self) {
        self.ended = true;
        self.seat.leave();
        self.notify();
    }

    /// Whether this is the process that took the seat.
    #[inline(always)]
    pub(super) fn is_own(&self) -> bool {
        self.gate.is_own()
    }

    /// The handle has seen what no correct peer writes.
    pub(super) fn poison(&mut self, corrupt: Corrupt) -> Fault {
        self.gate.poison(corrupt)
    }

    /// Room that is known of.
    #[inline(always)]
    fn room(&self) -> u64 {
        self.gate.limit().saturating_sub(self.tail)
    }

    /// Whether there is known to be room for `len` bytes.
    fn has_room(&self, len: usize) -> bool {
        self.gate.is_own() && self.room() >= len as u64 && self.gate.check(self.tail).is_ok()
    }

    /// Waits for room, and says how much of `most` there is, looking for more than is known
    /// of.
    #[cfg(not(loom))]
    pub(super) fn room_for(
        &mut self,
        most: usize,
        deadline: Option<Instant>,
    ) -> Result<usize, NoRoom> {
        self.receiver_remains()?;
        if !self.gate.admits(self.tail) {
            self.wait_for_room(1, deadline)?;
        } else if self.room() < most as u64 {
            self.see_room(1)?;
        }
        // Not all of it: the receiver is to have something to do meanwhile.
        let half = self.capacity().div_ceil(2);
        Ok(most.min(self.room().min(half) as usize))
    }

    /// As [`put`](Self::put), where there is room: nothing goes only if a fault was met.
    #[inline]
    fn put_some(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match self.put(bytes) {
            0 => self.gate.check(self.tail).map(|()| 0),
            count => Ok(count),
        }
    }

    /// Writes and commits as many of the bytes as there is room for.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) -> usize {
        let piece = PIECE.min(self.capacity().div_ceil(4) as usize);
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = &bytes[sent..];
            // A fault met here stays, and is the next call's.
            if self.room() < rest.len() as u64 && !self.see_room(1).unwrap_or(false) {
                break;
            }
            let count = rest.len().min(piece).min(self.room() as usize);
            if count == 0 {
                // Room, but no more positions.
                break;
            }
            if seeded(Bug::PublishBeforeCopy) {
                self.commit(count);
                self.tail -= count as u64;
            }
            if seeded(Bug::CommitBeforeWrap) {
                let (start, first) = (self.tail, self.bytes.parts(self.tail, count).first.1);
                self.bytes.store(start, &rest[..first]);
                self.commit(count);
                self.bytes.store(start + first as u64, &rest[first..count]);
                sent += count;
                continue;
            }
            self.bytes.store(self.tail, &rest[..count]);
            self.commit(count);
            sent += count;
        }
        sent
    }

    /// Commits `count` bytes: the one step before which they do not exist.
    #[inline(always)]
    pub(super) fn commit(&mut self, count: usize) {
        let nothing_to_read = self.tail == self.cached_head;
        self.tail += count as u64;
        // PUBLISH: the bytes are written. Pairs with `Receiver::see_bytes`.
        self.tail_word.store(self.tail, publish::RELEASE);
        if seeded(Bug::NotifiesIfEmpty) && !nothing_to_read {
            return;
        }
        self.notify();
    }

    /// Wakes the receiver if it sleeps.
    #[inline(always)]
    fn notify(&self) {
        self.not_empty.notify(ONE_SLEEPER);
    }

    /// Says so if the receiver is known to be gone.
    #[inline(always)]
    fn receiver_remains(&mut self) -> Result<(), NoRoom> {
        match ends::ended(self.bytes.segment(), layout::stream::RECEIVER) {
            Ok(None) => Ok(()),
            Ok(Some(Ended::Closed)) => Err(NoRoom::Closed),
            Ok(Some(Ended::Died)) => Err(NoRoom::Died),
            Err(corrupt) => Err(NoRoom::Fault(self.poison(corrupt))),
        }
    }

    /// Looks closer when too little room is known of: how far has the receiver come?
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, need: u64) -> Result<(), NoRoom> {
        self.gate.check(self.tail).map_err(NoRoom::Fault)?;
        if self.tail + need > POSITION_LIMIT {
            return Err(NoRoom::Fault(Fault::PositionLimit));
        }
        if self.see_room(need)? {
            return Ok(());
        }
        self.receiver_remains()?;
        Err(NoRoom::Full)
    }

    /// Whether the receiver has taken everything; `Full`: not yet.
    fn see_received(&mut self) -> Result<(), NoRoom> {
        self.gate.check(0).map_err(NoRoom::Fault)?;
        let remains = self.receiver_remains();
        // What it did before it left counts.
        if self.see_room(self.capacity())? {
            return Ok(());
        }
        remains.and(Err(NoRoom::Full))
    }

    /// Reads the head once and opens the gate as far as it says. False: less than `need`.
    fn see_room(&mut self, need: u64) -> Result<bool, NoRoom> {
        // RETIRE: the reads of the freed bytes are over. Pairs with `Receiver::retire`.
        let head = self.head_word.load(retire::ACQUIRE);
        let possible = (self.cached_head..=self.tail).contains(&head);
        if !possible && !seeded(Bug::HeadUnchecked) {
            return Err(NoRoom::Fault(self.poison(Corrupt { word: "head", value: head })));
        }
        self.cached_head = head;
        self.gate.open_to(head + self.capacity());
        Ok(self.capacity() - (self.tail - head) >= need)
    }

    /// Bytes that have come free since the head was last read closely: a hint.
    #[inline(always)]
    fn seen_free(&self) -> u64 {
        self.head_word.load(relaxed::HINT).wrapping_sub(self.cached_head)
    }

    /// Waits until there is room for `need` bytes.
    #[cold]
    #[inline(never)]
    fn wait_for_room(&mut self, need: u64, deadline: Option<Instant>) -> Result<(), NoRoom> {
        match self.make_room(need) {
            Err(NoRoom::Full) => {}
            outcome => return outcome,
        }
        // Room for more: a sender that takes each byte as it comes free takes the head's
        // line from the receiver's hands each time. A full ring is in no hurry.
        let enough = self.capacity().div_ceil(8);
        let rounds = if cfg!(loom) { 0 } else { ROUNDS_FOR_ROOM };
        for _ in 0..rounds {
            if self.seen_free() >= enough {
                break;
            }
            endpoint::keep_off();
        }
        Until { sender: self, what: What::Room(need) }.wait(deadline)
    }
}

/// What a sender waits for.
#[derive(Clone, Copy)]
enum What {
    /// Room for so many bytes.
    Room(u64),
    /// That the receiver has taken everything.
    Received,
}

/// A waiting sender.
struct Until<'a, A: Trust> {
    sender: &'a mut Sender<A>,
    what: What,
}

impl<A: Trust> Until<'_, A> {
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), NoRoom> {
        if endpoint::spin(self)
            && let Some(outcome) = self.look()
        {
            return outcome;
        }
        match endpoint::wait(self, deadline) {
            Ok(outcome) => outcome,
            Err(Unfinished::TimedOut) => Err(NoRoom::Full),
            Err(Unfinished::Cancelled) => Err(NoRoom::Cancelled),
            Err(Unfinished::Corrupt(corrupt)) => Err(NoRoom::Fault(self.sender.poison(corrupt))),
        }
    }
}

impl<A: Trust> Blocked for Until<'_, A> {
    type Outcome = Result<(), NoRoom>;

    fn waiter(&self) -> &Waiter {
        &self.sender.waiter
    }

    fn stirs(&self) -> bool {
        self.sender.seen_free() != 0
    }

    fn look(&mut self) -> Option<Self::Outcome> {
        let outcome = match self.what {
            What::Room(need) => self.sender.make_room(need),
            What::Received => self.sender.see_received(),
        };
        match outcome {
            Err(NoRoom::Full) => None,
            outcome => Some(outcome),
        }
    }

    fn look_around(&mut self) -> Option<Self::Outcome> {
        let segment = Arc::clone(self.sender.bytes.segment());
        endpoint::look_at_peer(self, (&segment, layout::stream::RECEIVER), |this, corrupt| {
            Err(corrupt.map_or(NoRoom::Died, |it| NoRoom::Fault(this.sender.poison(it))))
        })
    }
}

/// Beside others.
#[cfg(not(loom))]
impl<A: Trust> crate::waitset::sealed::Sealed for Sender<A> {
    fn how(&self) -> &Waiter {
        &self.waiter
    }

    fn is_due(&mut self) -> bool {
        !matches!(self.make_room(1), Err(NoRoom::Full))
    }

    fn look_for_the_dead(&mut self) {
        // What it finds, the next look finds again.
        let _ = Until { sender: self, what: What::Room(1) }.look_around();
    }
}

impl<A: Trust> Drop for Sender<A> {
    fn drop(&mut self) {
        if self.ended || !self.gate.is_own() {
            return;
        }
        // One who has seen garbage can't say that this was all.
        let unwinds = std::thread::panicking() && !seeded(Bug::UnwindIsEnd);
        if unwinds || self.gate.check(0).is_err() {
            self.seat.abandon();
            self.notify();
        } else {
            self.end();
        }
    }
}

impl<A: Trust> fmt::Debug for Sender<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("stream::Sender").field("position", &self.tail).finish_non_exhaustive()
    }
}
