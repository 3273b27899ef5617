//! A slot that is being written.
#![allow(unsafe_code)]

use core::fmt;
#[cfg(not(loom))]
use core::ops::{Deref, DerefMut};

use super::Sender;
use crate::copy;
use crate::message::Message;
#[cfg(not(loom))]
use crate::payload::Trusted;
use crate::payload::{Copying, Payload, Trust};

/// A slot that is being written. Dropping it aborts: nothing is sent.
///
/// In a forked child it is the parent's: nothing is copied there and nothing sent.
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
pub struct Reservation<'a, M: Payload + ?Sized, A: Trust = Copying> {
    sender: &'a mut Sender<M, A>,
    /// Bytes written, from the message's first on.
    written: usize,
}

impl<'a, M: Payload + ?Sized, A: Trust> Reservation<'a, M, A> {
    /// Bytes before the payload: the length of a byte message.
    const PREFIX: usize = M::PREFIX;

    pub(super) fn new(sender: &'a mut Sender<M, A>) -> Self {
        Self { sender, written: 0 }
    }

    /// Position that the message will have.
    pub fn position(&self) -> u64 {
        self.sender.tail
    }

    /// Bytes written so far.
    pub fn written(&self) -> usize {
        self.written
    }

    /// Most bytes that the message can have.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.sender.slots.message(self.sender.tail).len() - Self::PREFIX
    }

    /// Copies bytes behind those written already, as many as still fit; says how many.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        if !self.sender.is_own() {
            return 0;
        }
        let count = bytes.len().min(self.capacity() - self.written);
        let area = self.sender.slots.message(self.sender.tail);
        copy::store_within(area, Self::PREFIX + self.written, &bytes[..count]);
        self.written += count;
        count
    }

    /// Sends the message and gives its position. A byte message has the length that was
    /// written; of a fixed-size one, bytes that were not written are zero.
    #[inline]
    pub fn commit(mut self) -> u64 {
        if !self.sender.is_own() {
            return self.position();
        }
        if Self::PREFIX > 0 {
            let area = self.sender.slots.message(self.sender.tail);
            copy::store(area, 0, &(self.written as u64).to_le_bytes());
        } else if self.written < self.capacity() {
            self.clear_rest();
        }
        self.sender.commit();
        self.sender.notify();
        self.sender.tail - 1
    }

    /// Zeroes what was not written, so that no older message shows through.
    #[cold]
    fn clear_rest(&mut self) {
        const ZEROS: [u8; 256] = [0; 256];
        while self.append(&ZEROS) > 0 {}
    }

    /// The payload's bytes, for peers that trust one another.
    #[cfg(not(loom))]
    #[inline]
    fn payload(&self) -> core::ptr::NonNull<u8> {
        let area = self.sender.slots.message(self.sender.tail);
        // SAFETY: I1: the prefix is within the message.
        unsafe { area.base().add(Self::PREFIX) }
    }
}

impl<T: Message, A: Trust> Reservation<'_, T, A> {
    /// Writes the whole message, in place of anything written before.
    #[inline]
    pub fn write(&mut self, message: &T) -> &mut Self {
        if !self.sender.is_own() {
            return self;
        }
        copy::store(self.sender.slots.message(self.sender.tail), 0, message.as_bytes());
        self.written = size_of::<T>();
        self
    }
}

/// Between peers that trust one another the slot is lent. It holds what an earlier lap
/// left, or zeros; it counts as written once it was borrowed mutably.
#[cfg(not(loom))]
impl<T: Message> Deref for Reservation<'_, T, Trusted> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: I3: the slot is the sender's until committed, and trusted peers keep to
        // that; aligned by the layout; any bytes are a `T`.
        unsafe { self.payload().cast::<T>().as_ref() }
    }
}

#[cfg(not(loom))]
impl<T: Message> DerefMut for Reservation<'_, T, Trusted> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.written = size_of::<T>();
        // SAFETY: I3: as in `deref`; `self` is borrowed mutably.
        unsafe { self.payload().cast::<T>().as_mut() }
    }
}

/// Between peers that trust one another the slot is lent: all of it, whatever an earlier
/// lap left there. [`set_written`](Self::set_written) says how much of it to send.
#[cfg(not(loom))]
impl Reservation<'_, [u8], Trusted> {
    /// All bytes that the message can have.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let len = self.capacity();
        // SAFETY: I3: the slot is the sender's until committed, and trusted peers keep to
        // that; `self` is borrowed mutably; the bytes were zeroed when the segment was
        // made, so they are initialised.
        unsafe { core::slice::from_raw_parts_mut(self.payload().as_ptr(), len) }
    }

    /// Says that the first `len` bytes have been written.
    ///
    /// # Panics
    /// If there are not so many.
    #[inline]
    pub fn set_written(&mut self, len: usize) {
        assert!(len <= self.capacity(), "{len} bytes do not fit the message");
        self.written = len;
    }
}

impl<M: Payload + ?Sized, A: Trust> fmt::Debug for Reservation<'_, M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("spsc::Reservation")
            .field("position", &self.position())
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}
