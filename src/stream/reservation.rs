//! Bytes that are being written.
#![allow(unsafe_code)]

use core::fmt;

use super::Sender;
#[cfg(not(loom))]
use crate::payload::Trusted;
use crate::payload::{Copying, Trust};

/// Bytes that are being written. Dropping it aborts: nothing is sent.
///
/// In a forked child it is the parent's: nothing is copied there and nothing sent.
///
/// ```
/// let (mut sender, mut receiver) = annulus::stream::channel(64)?;
/// let mut bytes = sender.reserve(16)?;
/// bytes.append(b"header ");
/// bytes.append(b"body");
/// assert_eq!(bytes.commit(), 11);
/// let mut out = [0; 64];
/// assert_eq!(receiver.recv(&mut out)?, 11);
/// assert_eq!(&out[..11], b"header body");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a reservation aborts it"]
pub struct Reservation<'a, A: Trust = Copying> {
    sender: &'a mut Sender<A>,
    /// Bytes that may be written.
    len: usize,
    /// Bytes written, from the first on.
    written: usize,
}

impl<'a, A: Trust> Reservation<'a, A> {
    pub(super) fn new(sender: &'a mut Sender<A>, len: usize) -> Self {
        Self { sender, len, written: 0 }
    }

    /// Position that the first byte will have.
    pub fn position(&self) -> u64 {
        self.sender.tail
    }

    /// Bytes that were reserved.
    pub fn capacity(&self) -> usize {
        self.len
    }

    /// Bytes written so far.
    pub fn written(&self) -> usize {
        self.written
    }

    /// Copies bytes behind those written already, as many as still fit; says how many.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        if !self.sender.is_own() {
            return 0;
        }
        let count = bytes.len().min(self.len - self.written);
        let position = self.sender.tail + self.written as u64;
        self.sender.bytes.store(position, &bytes[..count]);
        self.written += count;
        count
    }

    /// Sends what was written, in one step, and gives its length.
    #[inline]
    pub fn commit(self) -> usize {
        if self.written > 0 && self.sender.is_own() {
            self.sender.commit(self.written);
        }
        self.written
    }
}

/// Between peers that trust one another the bytes are lent: whatever an earlier lap left
/// there. [`set_written`](Self::set_written) says how many of them to send.
#[cfg(not(loom))]
impl Reservation<'_, Trusted> {
    /// All bytes that were reserved: those up to the ring's end, and those from its
    /// beginning, which may be none.
    #[inline]
    pub fn as_mut_slices(&mut self) -> (&mut [u8], &mut [u8]) {
        let parts = self.sender.bytes.parts(self.sender.tail, self.len);
        let base = self.sender.bytes.area().base();
        // SAFETY: I1: the index is within the bytes.
        let first = unsafe { base.add(parts.first.0) }.as_ptr();
        // SAFETY: I3: the bytes are the sender's until committed, and trusted peers keep to
        // that; `self` is borrowed mutably; they were zeroed when the segment was made, so
        // they are initialised.
        let first = unsafe { core::slice::from_raw_parts_mut(first, parts.first.1) };
        // SAFETY: I3: as above; the two do not overlap, being at most all bytes.
        let second = unsafe { core::slice::from_raw_parts_mut(base.as_ptr(), parts.second.1) };
        (first, second)
    }

    /// Says that the first `len` bytes have been written.
    ///
    /// # Panics
    /// If there are not so many.
    #[inline]
    pub fn set_written(&mut self, len: usize) {
        assert!(len <= self.len, "{len} bytes are more than were reserved");
        self.written = len;
    }
}

impl<A: Trust> fmt::Debug for Reservation<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("stream::Reservation")
            .field("position", &self.position())
            .field("capacity", &self.len)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}
