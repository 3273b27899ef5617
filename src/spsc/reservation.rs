//! A slot that is being written.
#![allow(unsafe_code)]

use core::fmt;
#[cfg(not(loom))]
use core::ops::{Deref, DerefMut};

use super::Sender;
use crate::atomic::{Bug, seeded};
use crate::lend::{self, Pen};
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
    pen: Pen<M>,
}

impl<'a, M: Payload + ?Sized, A: Trust> Reservation<'a, M, A> {
    pub(super) fn new(sender: &'a mut Sender<M, A>) -> Self {
        Self { sender, pen: Pen::new() }
    }

    /// Position that the message will have.
    pub fn position(&self) -> u64 {
        self.sender.tail
    }

    /// Bytes written so far.
    pub fn written(&self) -> usize {
        self.pen.written()
    }

    /// Most bytes that the message can have.
    #[inline]
    pub fn capacity(&self) -> usize {
        lend::capacity::<M>(self.sender.slots.message(self.sender.tail))
    }

    /// Copies bytes behind those written already, as many as still fit; says how many.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        if !self.sender.is_own() {
            return 0;
        }
        self.pen.append(self.sender.slots.message(self.sender.tail), bytes)
    }

    /// Sends the message and gives its position. A byte message has the length that was
    /// written; of a fixed-size one, bytes that were not written are zero.
    #[inline]
    pub fn commit(mut self) -> u64 {
        if !self.sender.is_own() {
            return self.position();
        }
        self.pen.seal(self.sender.slots.message(self.sender.tail));
        if seeded(Bug::NotifiesBeforeCommit) {
            self.sender.notify();
            self.sender.commit();
            return self.sender.tail - 1;
        }
        self.sender.commit();
        self.sender.notify();
        self.sender.tail - 1
    }

    /// The payload's bytes, for peers that trust one another.
    #[cfg(not(loom))]
    #[inline]
    fn payload(&self) -> core::ptr::NonNull<u8> {
        lend::payload::<M>(self.sender.slots.message(self.sender.tail))
    }
}

impl<T: Message, A: Trust> Reservation<'_, T, A> {
    /// Writes the whole message, in place of anything written before.
    #[inline]
    pub fn write(&mut self, message: &T) -> &mut Self {
        if !self.sender.is_own() {
            return self;
        }
        self.pen.write(self.sender.slots.message(self.sender.tail), message);
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
        let area = self.sender.slots.message(self.sender.tail);
        self.pen.set_written(area, size_of::<T>());
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
        self.pen.set_written(self.sender.slots.message(self.sender.tail), len);
    }
}

impl<M: Payload + ?Sized, A: Trust> fmt::Debug for Reservation<'_, M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("spsc::Reservation")
            .field("position", &self.position())
            .field("written", &self.written())
            .finish_non_exhaustive()
    }
}
