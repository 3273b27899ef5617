//! The receiving side.

use core::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reader::{Reader, View};
use super::{Ring, Start};
use crate::atomic::{Bug, Join, relaxed, retire, seeded};
use crate::endpoint::{
    self, Blocked, CancelHandle, Pace, Unfinished, Waiter, deadline_after, wait_for_peer,
};
use crate::error::{Corrupt, Error, Fault, RecvError, TryRecvError, WaitError};
use crate::layout::{self, POSITION_LIMIT, broadcast::SENDER};
use crate::message::Message;
use crate::outcome::NoMessage;
use crate::payload::Payload;
use crate::seat::{self, Seat, SeatState};
use crate::slots::ControlWord;
use crate::wait::{Event, ONE_SLEEPER};

/// One of a broadcast's receivers. Dropping it gives its seat back.
///
/// It takes `&mut self` and is `Send` but not `Sync`: one thread receives at a time.
///
/// The verbs that wait spin, then yield, then sleep, see
/// [`Options::spin`](crate::Options::spin); a sender who died is noticed within two
/// [slices](crate::Options::slice).
pub struct Receiver<M: Payload + ?Sized> {
    reader: Reader<M>,
    /// The position that the sender and people have been told.
    told: u64,
    /// How far that may lag behind.
    cadence: u64,
    /// Positions that are gone, to be told first of all: the gate is shut meanwhile.
    missed: u64,
    /// The position at which the ring was last found empty.
    empty_at: u64,
    pace: Pace,
    position_word: ControlWord,
    /// Of a lossless ring: where its sender may sleep.
    not_full: Option<Event>,
    waiter: Arc<Waiter>,
    seat: Seat,
    /// `Send`, not `Sync`.
    _not_sync: core::marker::PhantomData<core::cell::Cell<()>>,
}

/// A receiver tells its position at least this often, and whenever it finds the ring empty;
/// of a small ring more often, so that it never keeps an eighth of it to itself.
const CADENCE: u64 = 32;

impl<M: Payload + ?Sized> Receiver<M> {
    pub(super) fn attach(ring: &Ring<M>, start: Start) -> Result<Self, Error> {
        let joined = Self::join(ring, start);
        // The sender may be waiting for us, or asleep on a position that we have raised
        // since, or taken back with our seat.
        ring.not_full().notify(ONE_SLEEPER);
        joined
    }

    fn join(ring: &Ring<M>, start: Start) -> Result<Self, Error> {
        let (segment, format) = (&ring.segment, &ring.format);
        let waiter = ring.waiter(ring.not_empty());
        let mut seat = Seat::take_any(segment, SENDER + 1..format.seats as usize, "receiver")?;
        let at = layout::seat_line(seat.index()) + layout::seat::POSITION;
        let position_word = ControlWord::new(segment, at);
        let mut reader = Reader::new(segment, format)?;
        let lossless = format.kind.is_lossless();
        // So low that the sender, if it sees it, writes over nothing that we might begin with.
        let low = reader.position.saturating_sub(format.capacity);
        // RETIRE: nothing of this stay has been read. Pairs with `Sender::scan`.
        if !seeded(Bug::JoinsLate) {
            position_word.store(low, retire::RELEASE);
        }
        let mut least = 0;
        if lossless {
            // JOIN: between our position and the look at the limit. Pairs with `Sender::raise`
            // and `Sender::attach`.
            Join::Receiver.fence();
            let at = layout::control_at(format.seats) + layout::broadcast::LIMIT;
            let limit = segment.span().word(at).load(relaxed::FENCED);
            if limit > POSITION_LIMIT {
                return Err(Corrupt { word: "limit", value: limit }.into());
            }
            // A sender that has not seen us writes no further than that.
            least = limit.saturating_sub(format.capacity);
        }
        let newest = reader.newest()?;
        let asked = match start {
            Start::Newest => newest,
            Start::Oldest => reader.oldest(least)?,
            Start::Position(position) if position <= newest => position,
            Start::Position(position) => {
                let reason = format!("the next message is {newest}");
                return Err(Error::Option { option: "position", value: position, reason });
            }
        };
        reader.position = asked.max(least);
        let position = reader.position;
        // Only who says a position can miss what is there no more.
        let missed = if let Start::Position(_) = start { position - asked } else { 0 };
        // RETIRE: as above, from here on.
        position_word.store(position, retire::RELEASE);
        seat.settle();
        if missed > 0 {
            reader.gate.shut();
        }
        Ok(Self {
            reader,
            told: position,
            cadence: (format.capacity / 8).clamp(1, CADENCE),
            missed,
            empty_at: position,
            pace: Pace::default(),
            position_word,
            not_full: lossless.then(|| ring.not_full()),
            waiter,
            seat,
            _not_sync: core::marker::PhantomData,
        })
    }

    /// Position of the next message.
    pub fn position(&self) -> u64 {
        self.reader.position
    }

    /// Number of slots.
    pub fn capacity(&self) -> u64 {
        self.reader.slots.capacity()
    }

    /// Number of this receiver's seat.
    pub fn seat(&self) -> usize {
        self.seat.index()
    }

    /// How the sender's seat stands. Asks the kernel whether a live-looking sender is dead,
    /// and notes it if so; makes system calls.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Os`].
    pub fn peer(&self) -> Result<SeatState, Error> {
        seat::notice_death(self.reader.slots.segment(), SENDER)
    }

    /// Waits until a sender is there, for at most `timeout` if one is given.
    ///
    /// # Errors
    /// [`WaitError::Timeout`], [`WaitError::Cancelled`], [`WaitError::Fault`].
    pub fn wait_for_peer(&mut self, timeout: Option<Duration>) -> Result<(), WaitError> {
        self.reader.gate.check(self.reader.position)?;
        let segment = self.reader.slots.segment();
        let outcome = wait_for_peer(segment, SENDER, &self.waiter, timeout);
        if let Err(WaitError::Fault(Fault::Corrupt(corrupt))) = outcome {
            self.reader.poison(corrupt);
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

    /// Looks at the next message in place, without waiting, and takes it: `look` reads what
    /// it needs of it. The sender may overwrite the message meanwhile: then what `look` made
    /// of it is dropped.
    ///
    /// # Errors
    /// As `try_recv`.
    #[inline]
    pub fn try_recv_with<R>(
        &mut self,
        look: impl FnOnce(View<'_, M>) -> R,
    ) -> Result<R, TryRecvError> {
        self.ready()?;
        Ok(self.take(look)?)
    }

    /// As [`try_recv_with`](Self::try_recv_with), waiting while there is no message.
    ///
    /// # Errors
    /// As `recv`.
    #[inline]
    pub fn recv_with<R>(&mut self, look: impl FnOnce(View<'_, M>) -> R) -> Result<R, RecvError> {
        Ok(self.recv_with_until(None, look)?)
    }

    #[inline]
    pub(super) fn recv_with_until<R>(
        &mut self,
        deadline: Option<Instant>,
        look: impl FnOnce(View<'_, M>) -> R,
    ) -> Result<R, NoMessage> {
        self.ready_until(deadline)?;
        self.take(look)
    }

    /// Looks at the newest message, wherever this receiver has come to, and takes nothing.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none, or if the sender overwrote the newest again
    /// and again, a hundred times; [`TryRecvError::Fault`].
    pub fn latest_with<R>(
        &mut self,
        look: impl FnMut(View<'_, M>) -> R,
    ) -> Result<R, TryRecvError> {
        Ok(self.reader.latest(look)?)
    }

    /// Goes on with the next message to be sent, and says how many that skips: for one who is
    /// late and has seen the [`latest`](Self::latest_with). What a lag has lost counts too.
    ///
    /// # Errors
    /// [`TryRecvError::Fault`].
    pub fn skip_to_newest(&mut self) -> Result<u64, TryRecvError> {
        self.reader.gate.check(0)?;
        let newest = self.reader.newest();
        let newest = newest.map_err(|it| TryRecvError::Fault(self.reader.poison(it)))?;
        let missed = core::mem::take(&mut self.missed);
        self.reader.gate.open_to(POSITION_LIMIT);
        let skipped = newest.saturating_sub(self.reader.position);
        self.reader.position += skipped;
        self.tell();
        Ok(missed + skipped)
    }

    #[inline(always)]
    pub(super) fn ready(&mut self) -> Result<(), NoMessage> {
        if self.reader.is_ready() { Ok(()) } else { self.look_closer() }
    }

    #[inline(always)]
    pub(super) fn ready_until(&mut self, deadline: Option<Instant>) -> Result<(), NoMessage> {
        if self.reader.is_ready() { Ok(()) } else { self.wait_for_message(deadline) }
    }

    /// Reads the message at the position, which is ready, and goes on to the next.
    #[inline(always)]
    pub(super) fn take<R>(&mut self, look: impl FnOnce(View<'_, M>) -> R) -> Result<R, NoMessage> {
        let taken = self.reader.read(look)?;
        self.advance();
        Ok(taken)
    }

    /// Goes on to the next message.
    #[inline(always)]
    fn advance(&mut self) {
        self.reader.position += 1;
        if self.reader.position - self.told >= self.cadence {
            self.tell();
        }
    }

    /// As `take`, of a message that stays if `look` says how much room it would need.
    #[inline(always)]
    pub(super) fn take_if<R>(
        &mut self,
        look: impl FnOnce(View<'_, M>) -> Result<R, usize>,
    ) -> Result<R, NoMessage> {
        match self.reader.read(look)? {
            Err(needed) => Err(NoMessage::TooSmall { needed }),
            Ok(taken) => {
                self.advance();
                Ok(taken)
            }
        }
    }

    /// Tells the sender, and people, how far we have come.
    fn tell(&mut self) {
        self.told = self.reader.position;
        // RETIRE: the reads of all messages below are over. Pairs with `Sender::scan`.
        self.position_word.store(self.told, retire::RELEASE);
        if let Some(not_full) = &self.not_full {
            not_full.notify(ONE_SLEEPER);
        }
    }

    /// Looks closer when no message is ready: say why. `Ok`: one is ready.
    #[cold]
    #[inline(never)]
    fn look_closer(&mut self) -> Result<(), NoMessage> {
        if self.missed > 0 && self.reader.gate.check(0).is_ok() {
            self.reader.gate.open_to(POSITION_LIMIT);
            return Err(NoMessage::Lagged(core::mem::take(&mut self.missed)));
        }
        let outcome = self.reader.look_closer();
        let Err(NoMessage::Empty) = outcome else { return outcome };
        self.empty_at = self.reader.position;
        if self.told != self.reader.position {
            self.tell();
        }
        // Really empty. If the sender has left, what it did before counts.
        let ended = match seat::peek(self.reader.slots.segment(), SENDER) {
            Ok(SeatState::Closed) => NoMessage::Closed,
            Ok(SeatState::Died) => NoMessage::Died,
            Ok(_) => return Err(NoMessage::Empty),
            Err(corrupt) => return Err(NoMessage::Fault(self.reader.poison(corrupt))),
        };
        match self.reader.look_closer() {
            Err(NoMessage::Empty) => Err(ended),
            outcome => outcome,
        }
    }

    /// Waits until the next message is there.
    #[cold]
    #[inline(never)]
    fn wait_for_message(&mut self, deadline: Option<Instant>) -> Result<(), NoMessage> {
        let keep_off = self.pace.keeps_off(self.reader.position.saturating_sub(self.empty_at));
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
            Err(Unfinished::Corrupt(corrupt)) => Err(NoMessage::Fault(self.reader.poison(corrupt))),
        }
    }
}

impl<M: Payload + ?Sized> Blocked for Receiver<M> {
    type Outcome = Result<(), NoMessage>;

    fn waiter(&self) -> &Waiter {
        &self.waiter
    }

    fn stirs(&self) -> bool {
        self.reader.is_ready()
    }

    fn look(&mut self) -> Option<Self::Outcome> {
        match self.look_closer() {
            Err(NoMessage::Empty) => None,
            outcome => Some(outcome),
        }
    }

    fn look_around(&mut self) -> Option<Self::Outcome> {
        let segment = Arc::clone(self.reader.slots.segment());
        endpoint::look_at_peer(self, (&segment, SENDER), |this, corrupt| {
            Err(corrupt.map_or(NoMessage::Died, |it| NoMessage::Fault(this.reader.poison(it))))
        })
    }
}

/// Fixed-size messages.
impl<T: Message> Receiver<T> {
    /// Receives without waiting: no allocation, and no system call unless the sender of a
    /// lossless ring sleeps.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`]; [`TryRecvError::Lagged`] if messages were overwritten before
    /// this receiver came to them, once, after which it goes on behind them;
    /// [`TryRecvError::Closed`] and [`TryRecvError::Died`] if there is none and the sender
    /// has left or was found dead; [`TryRecvError::Fault`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.ready()?;
        Ok(self.take(copied)?)
    }

    /// Receives, waiting while there is no message.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv), but for `Empty`; [`RecvError::Cancelled`].
    #[inline]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        Ok(self.recv_with_until(None, copied)?)
    }

    /// As [`recv`](Self::recv), for at most `timeout`. The clock is monotonic.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvError> {
        Ok(self.recv_with_until(deadline_after(timeout), copied)?)
    }

    /// As [`recv`](Self::recv), until `deadline` at the latest.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvError> {
        Ok(self.recv_with_until(Some(deadline), copied)?)
    }

    /// Receives as many messages as are there and fit, without waiting, and says how many:
    /// the first of `out` are overwritten. They are those from the [`position`](Self::position)
    /// before the call on. If the next one was overwritten meanwhile the batch ends there: the
    /// position is behind the gap already, and the next call tells of it.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv) if there was none. `out` of no length is always
    /// filled at once.
    pub fn try_recv_many(&mut self, out: &mut [T]) -> Result<usize, TryRecvError> {
        let mut count = 0;
        for message in out {
            // What ends the run is looked at another time.
            if count > 0 && !self.reader.is_ready() {
                break;
            }
            match self.ready().and_then(|()| self.take(copied)) {
                Ok(taken) => *message = taken,
                Err(NoMessage::Lagged(missed)) if count > 0 => {
                    // To be told by the next call.
                    self.missed = missed;
                    self.reader.gate.shut();
                    break;
                }
                Err(reason) => return Err(reason.into()),
            }
            count += 1;
        }
        Ok(count)
    }

    /// The newest message, wherever this receiver has come to; takes nothing.
    ///
    /// # Errors
    /// As [`latest_with`](Self::latest_with).
    pub fn latest(&mut self) -> Result<T, TryRecvError> {
        Ok(self.reader.latest(copied)?)
    }
}

/// The whole message.
#[inline(always)]
pub(super) fn copied<T: Message>(view: View<'_, T>) -> T {
    let mut message = T::new_zeroed();
    view.read_at(0, message.as_mut_bytes());
    message
}

/// Beside others.
#[cfg(not(loom))]
impl<M: Payload + ?Sized> crate::waitset::sealed::Sealed for Receiver<M> {
    fn how(&self) -> &Waiter {
        &self.waiter
    }

    fn is_due(&mut self) -> bool {
        if self.missed > 0 || !self.reader.would_wait() {
            return true;
        }
        if self.told != self.reader.position {
            self.tell();
        }
        let sender = seat::peek(self.reader.slots.segment(), SENDER);
        !matches!(sender, Ok(SeatState::Vacant | SeatState::Live | SeatState::Recovering))
    }

    fn look_for_the_dead(&mut self) {
        // What it finds, the next look finds again.
        let _ = self.peer();
    }
}

impl<M: Payload + ?Sized> Drop for Receiver<M> {
    fn drop(&mut self) {
        if !self.reader.gate.is_own() {
            return;
        }
        self.seat.leave();
        if let Some(not_full) = &self.not_full {
            not_full.notify(ONE_SLEEPER);
        }
    }
}

impl<M: Payload + ?Sized> fmt::Debug for Receiver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("broadcast::Receiver")
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
