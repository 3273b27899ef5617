//! The sending side.

use core::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::atomic::{publish, relaxed, retire};
use crate::copy;
use crate::endpoint::{self, TimedOut};
use crate::error::{Corrupt, Error, Fault, SendError, SendManyError, TrySendError};
use crate::gate::Gate;
use crate::layout::{self, POSITION_LIMIT};
use crate::message::Message;
use crate::seat::{self, Seat, SeatState};
use crate::segment::{Format, Segment};
use crate::slots::{Fixed, Slots, free_stamp, full_stamp};

/// The one sender of a ring. Dropping it closes it.
///
/// It takes `&mut self` and is `Send` but not `Sync`: one thread sends at a time.
pub struct Sender<T> {
    slots: Slots<Fixed<T>>,
    /// Open up to the first position whose slot was not seen free yet.
    gate: Gate,
    /// Next position to send. Private: the stamps tell a successor.
    tail: u64,
    /// The head when it was last read; `head <= tail <= head + capacity` (I2).
    cached_head: u64,
    seat: Seat,
}

/// Why there is no room.
enum NoRoom {
    Full,
    Closed,
    Died,
    Fault(Fault),
}

impl NoRoom {
    fn with<T>(self, message: T) -> TrySendError<T> {
        match self {
            Self::Full => TrySendError::Full(message),
            Self::Closed => TrySendError::Closed(message),
            Self::Died => TrySendError::Died(message),
            Self::Fault(fault) => TrySendError::Fault(message, fault),
        }
    }

    /// For a waiting send, in which `Full` has become a timeout.
    fn after_waiting<T>(self, message: T) -> SendError<T> {
        match self {
            Self::Full => SendError::Timeout(message),
            Self::Closed => SendError::Closed(message),
            Self::Died => SendError::Died(message),
            Self::Fault(fault) => SendError::Fault(message, fault),
        }
    }
}

impl<T: Message> Sender<T> {
    pub(super) fn attach(segment: &Arc<Segment>, format: &Format) -> Result<Self, Error> {
        let seat = Seat::take(segment, layout::spsc::SENDER, "sender")?;
        let slots = Slots::new(Arc::clone(segment), format, Fixed::NEW);
        // RETIRE: the reads of all slots below are over. Pairs with `Receiver::retire`.
        let head = segment.span().word(layout::spsc::HEAD).load(retire::ACQUIRE);
        if head > POSITION_LIMIT {
            return Err(Corrupt { word: "head", value: head }.into());
        }
        // Behind the last committed message: the first slot not stamped for its position.
        let mut tail = head;
        while tail < head + slots.capacity() {
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
        Ok(Self { slots, gate, tail, cached_head: head, seat })
    }

    /// Position that the next message will have. Positions count from the ring's first
    /// message and only grow.
    pub fn position(&self) -> u64 {
        self.tail
    }

    /// How the receiver's seat stands. Asks the kernel whether a live-looking receiver is
    /// dead, and notes it if so; makes system calls.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Os`].
    pub fn peer(&self) -> Result<SeatState, Error> {
        seat::notice_death(self.slots.segment(), layout::spsc::RECEIVER)
    }

    /// Number of slots.
    pub fn capacity(&self) -> u64 {
        self.slots.capacity()
    }

    /// Sends without waiting: wait-free, no system call, no allocation.
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
        if !self.gate.admits(self.tail)
            && let Err(no_room) = self.make_room()
        {
            return Err(no_room.with(message));
        }
        self.put(&message);
        Ok(())
    }

    /// Sends, waiting while the ring is full.
    ///
    /// Waits by polling: it spins for about 20 us, then yields the processor between
    /// polls.
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
        self.send_until(message, endpoint::deadline_after(timeout))
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
        if !self.gate.admits(self.tail)
            && let Err(no_room) = self.wait_for_room(deadline)
        {
            return Err(no_room.after_waiting(message));
        }
        self.put(&message);
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
            return Err(no_room.with(()));
        }
        let room = usize::try_from(self.gate.limit() - self.tail).unwrap_or(usize::MAX);
        let sent = room.min(messages.len());
        for message in &messages[..sent] {
            self.put(message);
        }
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

    /// Reserves the next slot, to be written in place and committed; without waiting.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    #[inline]
    pub fn try_reserve(&mut self) -> Result<Reservation<'_, T>, TrySendError<()>> {
        if !self.gate.admits(self.tail)
            && let Err(no_room) = self.make_room()
        {
            return Err(no_room.with(()));
        }
        Ok(Reservation { sender: self, written: 0 })
    }

    /// As [`try_reserve`](Self::try_reserve), waiting while the ring is full.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn reserve(&mut self) -> Result<Reservation<'_, T>, SendError<()>> {
        self.reserve_until(None)
    }

    /// As [`reserve`](Self::reserve), for at most `timeout`.
    ///
    /// # Errors
    /// [`SendError::Timeout`] too.
    pub fn reserve_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Reservation<'_, T>, SendError<()>> {
        self.reserve_until(endpoint::deadline_after(timeout))
    }

    #[inline]
    fn reserve_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Reservation<'_, T>, SendError<()>> {
        if !self.gate.admits(self.tail)
            && let Err(no_room) = self.wait_for_room(deadline)
        {
            return Err(no_room.after_waiting(()));
        }
        Ok(Reservation { sender: self, written: 0 })
    }

    /// Writes and commits at `tail`, which the gate admits.
    #[inline(always)]
    fn put(&mut self, message: &T) {
        copy::store(self.slots.message(self.tail), 0, message.as_bytes());
        self.commit();
    }

    /// Commits the message at `tail`: the one step before which it does not exist.
    #[inline(always)]
    fn commit(&mut self) {
        // PUBLISH: the message is written. Pairs with `Receiver`'s load of the stamp.
        self.slots.stamp(self.tail).store(full_stamp(self.tail), publish::RELEASE);
        self.tail += 1;
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
            .map_err(|corrupt| NoRoom::Fault(self.gate.poison(corrupt.word, corrupt.value)))?;
        let ended = match state {
            SeatState::Closed => NoRoom::Closed,
            SeatState::Died => NoRoom::Died,
            SeatState::Vacant | SeatState::Live | SeatState::Recovering => {
                return Err(NoRoom::Full);
            }
        };
        if self.see_room()? { Ok(()) } else { Err(ended) }
    }

    /// Reads the head once and opens the gate as far as it says. False: full.
    fn see_room(&mut self) -> Result<bool, NoRoom> {
        // RETIRE: the reads of the freed slots are over. Pairs with `Receiver::retire`.
        let head = self.slots.segment().span().word(layout::spsc::HEAD).load(retire::ACQUIRE);
        if head < self.cached_head || head > self.tail {
            return Err(NoRoom::Fault(self.gate.poison("head", head)));
        }
        self.cached_head = head;
        self.gate.open_to(head + self.slots.capacity());
        Ok(self.gate.admits(self.tail))
    }

    /// Waits until the gate admits `tail`.
    #[cold]
    #[inline(never)]
    fn wait_for_room(&mut self, deadline: Option<Instant>) -> Result<(), NoRoom> {
        let attempt = |sender: &mut Self| match sender.make_room() {
            Err(NoRoom::Full) => None,
            outcome => Some(outcome),
        };
        if let Some(outcome) = attempt(self) {
            return outcome;
        }
        match endpoint::poll(deadline, endpoint::PAUSES_AFTER_STREAK, || attempt(self)) {
            Ok(outcome) => outcome,
            Err(TimedOut) => Err(NoRoom::Full),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.gate.is_own() {
            self.seat.leave();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("spsc::Sender").field("position", &self.tail).finish_non_exhaustive()
    }
}

/// A slot that is being written. Dropping it aborts: nothing is sent.
///
/// ```
/// let (mut sender, mut receiver) = annulus::spsc::channel::<[u8; 1024]>(4)?;
/// let mut slot = sender.reserve()?;
/// slot.append(b"header ");
/// slot.append(b"body");
/// assert_eq!(slot.commit(), 0);
/// assert!(receiver.recv()?.starts_with(b"header body\0"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a reservation aborts it"]
pub struct Reservation<'a, T: Message> {
    sender: &'a mut Sender<T>,
    /// Bytes written, from the message's first on.
    written: usize,
}

impl<T: Message> Reservation<'_, T> {
    /// Position that the message will have.
    pub fn position(&self) -> u64 {
        self.sender.tail
    }

    /// Bytes written so far.
    pub fn written(&self) -> usize {
        self.written
    }

    /// Copies bytes behind those written already, as many as still fit; says how many.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let area = self.sender.slots.message(self.sender.tail);
        let count = bytes.len().min(area.len() - self.written);
        copy::store(area, self.written, &bytes[..count]);
        self.written += count;
        count
    }

    /// Writes the whole message, in place of anything written before.
    #[inline]
    pub fn write(&mut self, message: &T) -> &mut Self {
        copy::store(self.sender.slots.message(self.sender.tail), 0, message.as_bytes());
        self.written = size_of::<T>();
        self
    }

    /// Sends the message and gives its position. Bytes that were not written are zero.
    #[inline]
    pub fn commit(mut self) -> u64 {
        if self.written < size_of::<T>() {
            self.clear_rest();
        }
        self.sender.commit();
        self.sender.tail - 1
    }

    /// Zeroes what was not written, so that no older message shows through.
    #[cold]
    fn clear_rest(&mut self) {
        const ZEROS: [u8; 256] = [0; 256];
        while self.append(&ZEROS) > 0 {}
    }
}

impl<T: Message> fmt::Debug for Reservation<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("spsc::Reservation")
            .field("position", &self.position())
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}
