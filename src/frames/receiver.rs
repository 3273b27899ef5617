//! The receiving side.
#![allow(unsafe_code)]

use core::fmt;
#[cfg(not(loom))]
use core::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::buffers::{Buffers, Held};
use super::word::Holder;
use super::{Handle, Ring};
use crate::atomic::{Bug, seeded};
use crate::endpoint::{CancelHandle, deadline_after};
use crate::error::{Corrupt, Error, RecvError, TryRecvError};
use crate::gate::Gate;
use crate::lend;
use crate::mpmc;
#[cfg(not(loom))]
use crate::payload::Trusted;
use crate::payload::{Copying, Trust};
use crate::wait::Event;

/// One of a ring's receivers. Dropping it gives its seat back, once no frame of it is in hand.
///
/// It takes `&mut self` and is `Send` but not `Sync`. The verbs that wait spin, then yield,
/// then sleep, see [`Options::spin`](crate::Options::spin).
pub struct Receiver<A: Trust = Copying> {
    desk: Arc<Desk>,
    ring: Ring<A>,
    /// `Send`, not `Sync`.
    _not_sync: core::marker::PhantomData<core::cell::Cell<()>>,
}

/// A receiver's seat, kept by it and by every frame in hand.
struct Desk {
    handles: Mutex<mpmc::Receiver<Handle>>,
    buffers: Buffers,
    holder: Holder,
    not_full: Event,
    /// Tells a forked child from its parent.
    gate: Gate,
}

impl Desk {
    fn handles(&self) -> MutexGuard<'_, mpmc::Receiver<Handle>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Trust> Receiver<A> {
    pub(super) fn attach(ring: &Ring<A>) -> Result<Self, Error> {
        // What can fail comes before the seat, so that nobody has to leave it again.
        let gate = Gate::new(1)?;
        let handles = ring.handles.receiver()?;
        let (seat, incarnation) = handles.stay();
        let desk = Desk {
            handles: Mutex::new(handles),
            buffers: Buffers::new(ring),
            holder: Holder::new(seat, incarnation),
            not_full: ring.handles.not_full(),
            gate,
        };
        Ok(Self { desk: Arc::new(desk), ring: ring.clone(), _not_sync: core::marker::PhantomData })
    }

    /// Another receiver of the same ring, in a seat of its own.
    ///
    /// # Errors
    /// As [`Ring::receiver`].
    pub fn try_clone(&self) -> Result<Self, Error> {
        self.ring.receiver()
    }

    /// A handle by which any thread can end this receiver's waiting.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.desk.handles().cancel_handle()
    }

    /// Receives the next frame, without waiting. It stalls nobody, however long it is kept.
    ///
    /// # Errors
    /// As [`mpmc::Receiver::try_recv`].
    pub fn try_recv(&mut self) -> Result<Received<A>, TryRecvError> {
        // No more can lie in the ring at once.
        for _ in 0..=self.desk.buffers.count() {
            let mut handles = self.desk.handles();
            let guard = handles.try_recv_ref()?;
            let (handle, redelivered) = (guard.read(), guard.redelivered());
            let guard = (!seeded(Bug::HandleReleasedFirst)).then_some(guard);
            let taken = self.desk.buffers.receive(handle, self.desk.holder);
            // Only now is the handle received: see `Buffers::receive`.
            drop(guard);
            match taken.and_then(|held| self.received(held, handle, redelivered)) {
                Ok(Some(frame)) => return Ok(frame),
                // A handle whose buffer came back after a death.
                Ok(None) => {}
                Err(corrupt) => return Err(handles.poison_handle(corrupt).into()),
            }
        }
        Err(TryRecvError::Stalled)
    }

    /// Receives the next frame, waiting while there is none.
    ///
    /// # Errors
    /// As [`mpmc::Receiver::recv`].
    pub fn recv(&mut self) -> Result<Received<A>, RecvError> {
        self.recv_for(None)
    }

    /// As [`recv`](Self::recv), for at most `timeout`. The clock is monotonic.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Received<A>, RecvError> {
        self.recv_for(Some(timeout))
    }

    fn recv_for(&mut self, timeout: Option<Duration>) -> Result<Received<A>, RecvError> {
        let deadline = timeout.and_then(deadline_after);
        for passed in 0_usize.. {
            let mut handles = self.desk.handles();
            // No more can lie in the ring at once: somebody plays, and may go on for ever.
            if passed > self.desk.buffers.count() {
                if handles.is_cancelled() {
                    return Err(RecvError::Cancelled);
                }
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    break;
                }
            }
            let guard = match deadline {
                None => handles.recv_ref()?,
                Some(deadline) => handles.recv_ref_deadline(deadline)?,
            };
            let (handle, redelivered) = (guard.read(), guard.redelivered());
            let guard = (!seeded(Bug::HandleReleasedFirst)).then_some(guard);
            let taken = self.desk.buffers.receive(handle, self.desk.holder);
            // As in `try_recv`.
            drop(guard);
            match taken.and_then(|held| self.received(held, handle, redelivered)) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(corrupt) => return Err(handles.poison_handle(corrupt).into()),
            }
        }
        Err(RecvError::Timeout)
    }

    /// The frame of a buffer that is ours. One that is longer than its buffer is given back.
    fn received(
        &self,
        held: Option<Held>,
        [_, _, len]: Handle,
        redelivered: bool,
    ) -> Result<Option<Received<A>>, Corrupt> {
        let Some(held) = held else { return Ok(None) };
        let frame = Received {
            desk: Arc::clone(&self.desk),
            held,
            len: len as usize,
            redelivered,
            _trust: core::marker::PhantomData,
        };
        let fits = len <= self.desk.buffers.area(held.index).len() as u64;
        if !fits && !seeded(Bug::FrameLengthUnchecked) {
            return Err(Corrupt { word: "frame length", value: len });
        }
        Ok(Some(frame))
    }
}

/// A frame that was received. It may be kept, moved to another thread, and outlive its
/// [`Receiver`]; dropping it gives the buffer back.
///
/// It copies: the memory stays the peers' to write, who may be broken. Between peers that
/// trust one another, and on the heap, it dereferences to the bytes in place.
#[must_use = "dropping a frame gives its buffer back"]
pub struct Received<A: Trust = Copying> {
    desk: Arc<Desk>,
    held: Held,
    len: usize,
    redelivered: bool,
    _trust: core::marker::PhantomData<fn() -> A>,
}

impl<A: Trust> Received<A> {
    /// Length of the frame in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a frame is no collection")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether a receiver died in the moment of receiving it.
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Copies some of its bytes out, from byte `offset` on; says how many: fewer than asked
    /// for at the frame's end.
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> usize {
        lend::read_raw(self.desk.buffers.area(self.held.index), self.len, offset, out)
    }

    /// Copies the whole frame out.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read_at(0, &mut bytes);
        bytes
    }
}

/// Between peers that trust one another, and on the heap, the frame is lent in place.
#[cfg(not(loom))]
impl Deref for Received<Trusted> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let first = lend::first(self.desk.buffers.area(self.held.index));
        // SAFETY: I1, I3: the buffer is its holder's until given back, and trusted peers keep
        // to that; the length was checked when it was received.
        unsafe { core::slice::from_raw_parts(first.as_ptr(), self.len) }
    }
}

impl<A: Trust> Drop for Received<A> {
    fn drop(&mut self) {
        // In a forked child it is the parent's.
        if self.desk.gate.is_own() {
            self.desk.buffers.free(self.held);
            if !seeded(Bug::BufferFreedSilently) {
                self.desk.not_full.notify(1);
            }
        }
    }
}

impl<A: Trust> fmt::Debug for Received<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("frames::Received").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<A: Trust> fmt::Debug for Receiver<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("frames::Receiver").finish_non_exhaustive()
    }
}
