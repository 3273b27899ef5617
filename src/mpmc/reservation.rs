//! A slot that is being written.
#![allow(unsafe_code)]

use core::fmt;
#[cfg(not(loom))]
use core::ops::{Deref, DerefMut};

use super::Sender;
use crate::atomic::Area;
use crate::lend::{self, Pen};
use crate::message::Message;
#[cfg(not(loom))]
use crate::payload::Trusted;
use crate::payload::{Copying, Payload, Trust};

/// A slot that is being written, at a position that was taken. Dropping it gives the
/// position up: nothing is sent, and receivers pass over it. One that is forgotten
/// (`mem::forget`) is given up by the sender's next operation, or when the sender is dropped.
///
/// In a forked child it is the parent's: nothing is copied there and nothing sent.
///
/// ```
/// let (mut sender, mut receiver) = annulus::mpmc::channel::<[u8; 1024]>(4)?;
/// let mut slot = sender.reserve()?;
/// slot.append(b"header ");
/// slot.append(b"body");
/// assert_eq!(slot.commit(), 0);
/// assert!(receiver.recv()?.starts_with(b"header body\0"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a reservation gives its position up"]
pub struct Reservation<'a, M: Payload + ?Sized, A: Trust = Copying> {
    sender: &'a mut Sender<M, A>,
    position: u64,
    pen: Pen<M>,
}

impl<'a, M: Payload + ?Sized, A: Trust> Reservation<'a, M, A> {
    pub(super) fn new(sender: &'a mut Sender<M, A>, position: u64) -> Self {
        Self { sender, position, pen: Pen::new() }
    }

    /// Position that the message will have.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes written so far.
    pub fn written(&self) -> usize {
        self.pen.written()
    }

    /// Most bytes that the message can have.
    pub fn capacity(&self) -> usize {
        lend::capacity::<M>(self.area())
    }

    /// Copies bytes behind those written already, as many as still fit; says how many.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        if !self.sender.is_own() {
            return 0;
        }
        self.pen.append(self.sender.post.court.slots.message(self.position), bytes)
    }

    /// Sends the message and gives its position. A byte message has the length that was
    /// written; of a fixed-size one, bytes that were not written are zero.
    #[inline]
    pub fn commit(mut self) -> u64 {
        if self.sender.is_own() {
            self.pen.seal(self.sender.post.court.slots.message(self.position));
            self.sender.held = None;
            self.sender.put(self.position);
            self.sender.notify(1);
        }
        self.position
    }

    fn area(&self) -> Area<'_> {
        self.sender.post.court.slots.message(self.position)
    }
}

impl<T: Message, A: Trust> Reservation<'_, T, A> {
    /// Writes the whole message, in place of anything written before.
    #[inline]
    pub fn write(&mut self, message: &T) -> &mut Self {
        if self.sender.is_own() {
            self.pen.write(self.sender.post.court.slots.message(self.position), message);
        }
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
        unsafe { lend::payload::<T>(self.area()).cast::<T>().as_ref() }
    }
}

#[cfg(not(loom))]
impl<T: Message> DerefMut for Reservation<'_, T, Trusted> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let area = self.sender.post.court.slots.message(self.position);
        self.pen.set_written(area, size_of::<T>());
        // SAFETY: I3: as in `deref`; `self` is borrowed mutably.
        unsafe { lend::payload::<T>(area).cast::<T>().as_mut() }
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
        unsafe { core::slice::from_raw_parts_mut(lend::payload::<[u8]>(self.area()).as_ptr(), len) }
    }

    /// Says that the first `len` bytes have been written.
    ///
    /// # Panics
    /// If there are not so many.
    #[inline]
    pub fn set_written(&mut self, len: usize) {
        self.pen.set_written(self.sender.post.court.slots.message(self.position), len);
    }
}

impl<M: Payload + ?Sized, A: Trust> Drop for Reservation<'_, M, A> {
    fn drop(&mut self) {
        // Committed ones are held no more. In a forked child it is the parent's.
        if self.sender.is_own() && self.sender.held.take().is_some() {
            self.sender.bury(self.position);
        }
    }
}

impl<M: Payload + ?Sized, A: Trust> fmt::Debug for Reservation<'_, M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpmc::Reservation")
            .field("position", &self.position)
            .field("written", &self.written())
            .finish_non_exhaustive()
    }
}
