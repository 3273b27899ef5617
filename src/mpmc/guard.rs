//! A received message that still lies in the ring.
#![allow(unsafe_code)]

use core::fmt;
#[cfg(not(loom))]
use core::ops::Deref;

use super::Receiver;
use crate::lend;
use crate::message::Message;
#[cfg(not(loom))]
use crate::payload::Trusted;
use crate::payload::{Copying, Payload, Trust};

/// A received message that still lies in the ring. Dropping it releases the slot. One that is
/// forgotten (`mem::forget`) is released by the receiver's next operation, or when the
/// receiver is dropped.
///
/// If this process dies before, the message comes again, to any receiver, marked. Until it
/// is released, senders wait a lap later: keep it short.
///
/// It copies: the memory stays the peers' to write, who may be broken. Between peers that
/// trust one another, and on the heap, it dereferences to the message in place.
///
/// ```
/// let (mut sender, mut receiver) = annulus::mpmc::channel::<[u8; 1024]>(4)?;
/// sender.send([7; 1024])?;
/// let message = receiver.recv_ref()?;
/// assert!(!message.redelivered());
/// assert_eq!(message[1023], 7);
/// message.release();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a guard releases the message"]
pub struct RecvRef<'a, M: Payload + ?Sized, A: Trust = Copying> {
    receiver: &'a mut Receiver<M, A>,
    position: u64,
    redelivered: bool,
    /// The payload's length, read once.
    len: usize,
}

impl<'a, M: Payload + ?Sized, A: Trust> RecvRef<'a, M, A> {
    pub(super) fn new(
        receiver: &'a mut Receiver<M, A>,
        (position, redelivered): (u64, bool),
        len: usize,
    ) -> Self {
        Self { receiver, position, redelivered, len }
    }

    /// The message's position.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether an earlier receiver died while it held this message.
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Length of the message in bytes.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a message is no collection")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies some of its bytes out, from byte `offset` on; says how many: fewer than
    /// asked for at the message's end.
    #[inline]
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> usize {
        lend::read_at::<M>(self.receiver.area(self.position), self.len, offset, out)
    }

    /// Releases the slot, as dropping does.
    pub fn release(self) {}
}

impl<T: Message, A: Trust> RecvRef<'_, T, A> {
    /// Copies the whole message out.
    #[inline]
    pub fn read(&self) -> T {
        lend::read(self.receiver.area(self.position))
    }
}

impl<A: Trust> RecvRef<'_, [u8], A> {
    /// Copies the whole message out.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read_at(0, &mut bytes);
        bytes
    }
}

/// Between peers that trust one another, and on the heap, the message is lent in place.
#[cfg(not(loom))]
impl<T: Message> Deref for RecvRef<'_, T, Trusted> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: I3: the slot is the receiver's until released, and trusted peers keep to
        // that; aligned by the layout; any bytes are a `T`.
        unsafe { lend::payload::<T>(self.receiver.area(self.position)).cast::<T>().as_ref() }
    }
}

/// As above, for byte messages.
#[cfg(not(loom))]
impl Deref for RecvRef<'_, [u8], Trusted> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let first = lend::payload::<[u8]>(self.receiver.area(self.position));
        // SAFETY: I1, I3: as above; the length was checked when the guard was made.
        unsafe { core::slice::from_raw_parts(first.as_ptr(), self.len) }
    }
}

impl<M: Payload + ?Sized, A: Trust> Drop for RecvRef<'_, M, A> {
    #[inline]
    fn drop(&mut self) {
        // In a forked child it is the parent's, who still reads it.
        if self.receiver.is_own() {
            self.receiver.release();
        }
    }
}

impl<M: Payload + ?Sized, A: Trust> fmt::Debug for RecvRef<'_, M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpmc::RecvRef")
            .field("position", &self.position)
            .field("redelivered", &self.redelivered)
            .finish_non_exhaustive()
    }
}
