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

/// A received message that still lies in the ring. Dropping it releases the slot.
///
/// It copies: the memory stays the peer's to write, who may be broken. Between peers that
/// trust one another, and on the heap, it dereferences to the message in place.
///
/// ```
/// let (mut sender, mut receiver) = annulus::spsc::channel::<[u8; 1024]>(4)?;
/// sender.send([7; 1024])?;
/// let message = receiver.recv_ref()?;
/// let mut first = [0; 16];
/// message.read_at(0, &mut first);
/// assert_eq!(first, [7; 16]);
/// assert_eq!(message[1023], 7);
/// message.release();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Between peers that need not trust one another it lends nothing:
///
/// ```compile_fail,E0614
/// let ring = annulus::spsc::Ring::<u64>::options().capacity(4).create_memfd("copies")?;
/// let (mut sender, mut receiver) = (ring.sender()?, ring.receiver()?);
/// sender.send(7)?;
/// let message = receiver.recv_ref()?;
/// assert_eq!(*message, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a guard releases the message"]
pub struct RecvRef<'a, M: Payload + ?Sized, A: Trust = Copying> {
    receiver: &'a mut Receiver<M, A>,
    /// The payload's length, read once.
    len: usize,
}

impl<'a, M: Payload + ?Sized, A: Trust> RecvRef<'a, M, A> {
    pub(super) fn new(receiver: &'a mut Receiver<M, A>, len: usize) -> Self {
        Self { receiver, len }
    }

    /// The message's position.
    pub fn position(&self) -> u64 {
        self.receiver.head
    }

    /// Whether an earlier receiver died while it held this message.
    pub fn redelivered(&self) -> bool {
        self.receiver.is_redelivered(self.receiver.head)
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
        let area = self.receiver.slots.message(self.receiver.head);
        lend::read_at::<M>(area, self.len, offset, out)
    }

    /// Releases the slot, as dropping does.
    pub fn release(self) {}

    /// The payload's bytes, for peers that trust one another.
    #[cfg(not(loom))]
    #[inline]
    fn payload(&self) -> core::ptr::NonNull<u8> {
        lend::payload::<M>(self.receiver.slots.message(self.receiver.head))
    }
}

impl<T: Message, A: Trust> RecvRef<'_, T, A> {
    /// Copies the whole message out.
    #[inline]
    pub fn read(&self) -> T {
        lend::read(self.receiver.slots.message(self.receiver.head))
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
        unsafe { self.payload().cast::<T>().as_ref() }
    }
}

/// As above, for byte messages.
#[cfg(not(loom))]
impl Deref for RecvRef<'_, [u8], Trusted> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: I1, I3: as above; the length was checked when the guard was made.
        unsafe { core::slice::from_raw_parts(self.payload().as_ptr(), self.len) }
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
        f.debug_struct("spsc::RecvRef").field("position", &self.position()).finish_non_exhaustive()
    }
}
