//! The sending side.
#![allow(unsafe_code)]

use core::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::buffers::{Buffers, Held, is_of};
use super::word::Holder;
use super::{Handle, Ring};
use crate::atomic::{Area, Bug, seeded};
use crate::endpoint::{self, Blocked, CancelHandle, Unfinished, Waiter, deadline_after};
use crate::error::{Corrupt, Error, Fault, SendError, TrySendError};
use crate::gate::Gate;
#[cfg(not(loom))]
use crate::lend;
use crate::lend::Pen;
use crate::mpmc;
use crate::outcome::NoRoom;
#[cfg(not(loom))]
use crate::payload::Trusted;
use crate::payload::{Copying, Trust};
use crate::wait::Event;

/// One of a ring's senders. Dropping it gives its seat back, once no frame of it is in hand.
///
/// It takes `&mut self` and is `Send` but not `Sync`. The verbs that wait spin, then yield,
/// then sleep, see [`Options::spin`](crate::Options::spin).
pub struct Sender<A: Trust = Copying> {
    desk: Arc<Desk>,
    ring: Ring<A>,
    /// Where the next look for a free buffer begins.
    next: usize,
    /// Refusals in a row.
    refusals: u32,
    /// `Send`, not `Sync`.
    _not_sync: core::marker::PhantomData<core::cell::Cell<()>>,
}

/// A sender's seat, kept by it and by every frame in hand.
struct Desk {
    handles: Mutex<mpmc::Sender<Handle>>,
    buffers: Buffers,
    holder: Holder,
    not_full: Event,
    /// Tells a forked child from its parent.
    gate: Gate,
}

/// So many refusals in a row make one who never waits look for the dead.
const PATIENCE: u32 = 4096;

impl Desk {
    fn handles(&self) -> MutexGuard<'_, mpmc::Sender<Handle>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a buffer back that was not sent.
    fn free(&self, held: Held) {
        // In a forked child it is the parent's.
        if self.gate.is_own() {
            self.buffers.free(held);
            self.not_full.notify(1);
        }
    }
}

impl<A: Trust> Sender<A> {
    pub(super) fn attach(ring: &Ring<A>) -> Result<Self, Error> {
        // What can fail comes before the seat, so that nobody has to leave it again.
        let gate = Gate::new(1)?;
        let handles = ring.handles.sender()?;
        let (seat, incarnation) = handles.stay();
        let buffers = Buffers::new(ring);
        let next = seat % buffers.count();
        let desk = Desk {
            handles: Mutex::new(handles),
            buffers,
            holder: Holder::new(seat, incarnation),
            not_full: ring.handles.not_full(),
            gate,
        };
        Ok(Self {
            desk: Arc::new(desk),
            ring: ring.clone(),
            next,
            refusals: 0,
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

    /// Longest frame in bytes.
    pub fn max_len(&self) -> usize {
        self.ring.max_len()
    }

    /// A handle by which any thread can end this sender's waiting.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.desk.handles().cancel_handle()
    }

    /// Takes a free buffer, to be written and sent, without waiting. Several may be in hand
    /// at once.
    ///
    /// # Errors
    /// [`TrySendError::Full`]: all buffers are in use; [`TrySendError::Closed`] and
    /// [`TrySendError::Died`] if so, and no receiver is left; [`TrySendError::Fault`].
    pub fn try_take(&mut self) -> Result<Frame<A>, TrySendError<()>> {
        self.look().map_err(|no_room| no_room.at_once(()))
    }

    /// As [`try_take`](Self::try_take), waiting while all buffers are in use.
    ///
    /// # Errors
    /// As [`try_take`](Self::try_take), but for `Full`; [`SendError::Cancelled`].
    pub fn take(&mut self) -> Result<Frame<A>, SendError<()>> {
        self.take_until(None)
    }

    /// As [`take`](Self::take), for at most `timeout`. The clock is monotonic.
    ///
    /// # Errors
    /// [`SendError::Timeout`] too.
    pub fn take_timeout(&mut self, timeout: Duration) -> Result<Frame<A>, SendError<()>> {
        self.take_until(deadline_after(timeout))
    }

    fn take_until(&mut self, deadline: Option<Instant>) -> Result<Frame<A>, SendError<()>> {
        let outcome = match self.look() {
            Err(NoRoom::Full) => self.wait(deadline),
            outcome => outcome,
        };
        outcome.map_err(|no_room| no_room.after_waiting(()))
    }

    /// Looks for a free buffer.
    fn look(&mut self) -> Result<Frame<A>, NoRoom> {
        self.desk.handles().check().map_err(NoRoom::Fault)?;
        match self.grab()? {
            Some(frame) => Ok(frame),
            None => self.refuse(),
        }
    }

    /// A free buffer, if there is one.
    fn grab(&mut self) -> Result<Option<Frame<A>>, NoRoom> {
        let held = self.desk.buffers.take(self.next, self.desk.holder);
        let Some(held) = held.map_err(|corrupt| self.poison(corrupt))? else {
            return Ok(None);
        };
        self.refusals = 0;
        self.next = held.index + 1;
        Ok(Some(Frame {
            desk: Arc::clone(&self.desk),
            held: Some(held),
            pen: Pen::new(),
            _trust: core::marker::PhantomData,
        }))
    }

    #[cold]
    fn refuse(&mut self) -> Result<Frame<A>, NoRoom> {
        self.refusals += 1;
        if self.refusals >= PATIENCE {
            self.refusals = 0;
            self.reclaim().map_err(|corrupt| self.poison(corrupt))?;
        }
        let ended = self.desk.handles().receivers_died();
        let ended = match ended {
            Ok(None) => return Err(NoRoom::Full),
            Ok(Some(false)) => NoRoom::Closed,
            Ok(Some(true)) => NoRoom::Died,
            Err(corrupt) => return Err(self.poison(corrupt)),
        };
        // What they gave back before they left is free.
        self.grab()?.ok_or(ended)
    }

    /// Frees what the dead had in hand.
    fn reclaim(&self) -> Result<(), Corrupt> {
        let mut handles = self.desk.handles();
        // First the ring: then what they committed is there, and nothing else comes.
        handles.settle_the_dead()?;
        let in_ring = |handle| handles.any_message(|found| is_of(handle, found));
        if self.desk.buffers.reclaim(in_ring)? {
            self.desk.not_full.notify(u32::MAX);
        }
        Ok(())
    }

    fn poison(&self, corrupt: Corrupt) -> NoRoom {
        NoRoom::Fault(self.desk.handles().poison_handle(corrupt))
    }

    #[cold]
    fn wait(&mut self, deadline: Option<Instant>) -> Result<Frame<A>, NoRoom> {
        let waiter = self.desk.handles().share_waiter();
        let mut waiting = Waiting { sender: self, waiter: &waiter };
        match endpoint::wait(&mut waiting, deadline) {
            Ok(outcome) => outcome,
            Err(Unfinished::TimedOut) => Err(NoRoom::Full),
            Err(Unfinished::Cancelled) => Err(NoRoom::Cancelled),
            Err(Unfinished::Corrupt(corrupt)) => Err(self.poison(corrupt)),
        }
    }
}

/// A sender that waits for a buffer.
struct Waiting<'a, A: Trust> {
    sender: &'a mut Sender<A>,
    waiter: &'a Waiter,
}

impl<A: Trust> Blocked for Waiting<'_, A> {
    type Outcome = Result<Frame<A>, NoRoom>;

    fn waiter(&self) -> &Waiter {
        self.waiter
    }

    fn stirs(&self) -> bool {
        self.sender.desk.buffers.any_free()
    }

    fn look(&mut self) -> Option<Self::Outcome> {
        match self.sender.look() {
            Err(NoRoom::Full) => None,
            outcome => Some(outcome),
        }
    }

    fn look_around(&mut self) -> Option<Self::Outcome> {
        match self.sender.reclaim() {
            Ok(()) => self.look(),
            Err(corrupt) => Some(Err(self.sender.poison(corrupt))),
        }
    }
}

/// A buffer that is being written. It may be kept as long as it takes, moved to another
/// thread, and outlive its [`Sender`]. Dropping it gives the buffer back: nothing is sent.
///
/// In a forked child it is the parent's: nothing is copied there and nothing sent.
#[must_use = "dropping a frame gives its buffer back"]
pub struct Frame<A: Trust = Copying> {
    desk: Arc<Desk>,
    /// Until it is sent or given back.
    held: Option<Held>,
    pen: Pen<[u8]>,
    _trust: core::marker::PhantomData<fn() -> A>,
}

/// Why a frame was not sent: it comes back.
pub struct SendFrameError<A: Trust = Copying> {
    /// The frame.
    pub frame: Frame<A>,
    /// Why: [`SendError::Closed`] or [`SendError::Died`] if nobody is left to receive,
    /// [`SendError::Cancelled`], [`SendError::Fault`].
    pub reason: SendError<()>,
}

impl<A: Trust> fmt::Debug for SendFrameError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendFrameError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<A: Trust> fmt::Display for SendFrameError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<A: Trust> std::error::Error for SendFrameError<A> {}

impl<A: Trust> Frame<A> {
    fn held(&self) -> Held {
        self.held.expect("in hand until it is sent")
    }

    fn area(&self) -> Area<'_> {
        self.desk.buffers.area(self.held().index)
    }

    /// Bytes written so far.
    pub fn written(&self) -> usize {
        self.pen.written()
    }

    /// Most bytes that it can have.
    pub fn capacity(&self) -> usize {
        self.area().len()
    }

    /// Copies bytes behind those written already, as many as still fit; says how many.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        if !self.desk.gate.is_own() {
            return 0;
        }
        let held = self.held();
        self.pen.append_raw(self.desk.buffers.area(held.index), bytes)
    }

    /// Sends the frame, with the length that was written. Takes a moment; waits only while a
    /// receiver is in the middle of taking the frame of a lap before. A hostile peer can make
    /// that look so for ever: [`send_timeout`](Self::send_timeout), or the sender's cancel
    /// handle.
    ///
    /// # Errors
    /// Gives the frame back.
    pub fn send(self) -> Result<(), SendFrameError<A>> {
        self.send_by(|handles, handle| handles.send(handle))
    }

    /// As [`send`](Self::send), for at most `timeout`. The clock is monotonic.
    ///
    /// # Errors
    /// Gives the frame back; [`SendError::Timeout`] too.
    pub fn send_timeout(self, timeout: Duration) -> Result<(), SendFrameError<A>> {
        self.send_by(|handles, handle| handles.send_timeout(handle, timeout))
    }

    fn send_by(
        mut self,
        send: impl FnOnce(&mut mpmc::Sender<Handle>, Handle) -> Result<(), SendError<Handle>>,
    ) -> Result<(), SendFrameError<A>> {
        let held = self.held();
        let handle = held.handle(self.pen.written());
        if seeded(Bug::SendErrorLosesBuffer) {
            self.held = None;
        }
        let sent = send(&mut self.desk.handles(), handle);
        match sent {
            Ok(()) => {
                self.held = None;
                self.desk.buffers.sent(held);
                Ok(())
            }
            Err(error) => Err(SendFrameError { frame: self, reason: without(error) }),
        }
    }
}

/// The same reason, without the handle.
fn without(error: SendError<Handle>) -> SendError<()> {
    match error {
        SendError::Timeout(_) => SendError::Timeout(()),
        SendError::Cancelled(_) => SendError::Cancelled(()),
        SendError::TooLong(_) => SendError::TooLong(()),
        SendError::Closed(_) => SendError::Closed(()),
        SendError::Died(_) => SendError::Died(()),
        SendError::Fault(_, fault) => SendError::Fault((), fault),
    }
}

/// Between peers that trust one another the buffer is lent: all of it, whatever was there
/// before. [`set_written`](Self::set_written) says how much of it to send.
#[cfg(not(loom))]
impl Frame<Trusted> {
    /// All bytes that it can have.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let len = self.capacity();
        // SAFETY: I3: the buffer is its holder's until sent, and trusted peers keep to that;
        // `self` is borrowed mutably; the bytes were zeroed when the segment was made.
        unsafe { core::slice::from_raw_parts_mut(lend::first(self.area()).as_ptr(), len) }
    }

    /// Says that the first `len` bytes have been written.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn set_written(&mut self, len: usize) {
        assert!(len <= self.capacity(), "{len} bytes do not fit the frame");
        self.pen.set_raw(len);
    }
}

impl<A: Trust> Drop for Frame<A> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.desk.free(held);
        }
    }
}

impl<A: Trust> fmt::Debug for Frame<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("frames::Frame").field("written", &self.written()).finish_non_exhaustive()
    }
}

impl<A: Trust> fmt::Debug for Sender<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("frames::Sender").finish_non_exhaustive()
    }
}

/// A fault, as a send's error.
impl<A: Trust> SendFrameError<A> {
    /// The fault, if it is one.
    pub fn fault(&self) -> Option<Fault> {
        match self.reason {
            SendError::Fault((), fault) => Some(fault),
            _ => None,
        }
    }
}
