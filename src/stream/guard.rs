//! Received bytes that still lie in the ring.
#![allow(unsafe_code)]

use core::fmt;

use super::Receiver;
#[cfg(not(loom))]
use crate::payload::Trusted;
use crate::payload::{Copying, Trust};

/// Received bytes that still lie in the ring. Dropping it releases them all;
/// [`release_first`](Self::release_first) some of them. One that is forgotten
/// (`mem::forget`) has released nothing: the same receiver gets the bytes again.
///
/// It copies: the memory stays the peer's to write, who may be broken. Between peers that
/// trust one another, and on the heap, [`as_slices`](Self::as_slices) lends it.
///
/// ```
/// let (mut sender, mut receiver) = annulus::stream::channel(64)?;
/// sender.send(b"line one\nline")?;
/// let bytes = receiver.recv_ref()?;
/// let mut line = [0; 9];
/// bytes.read_at(0, &mut line);
/// assert_eq!(&line, b"line one\n");
/// bytes.release_first(9);
/// assert_eq!(receiver.recv_ref()?.as_slices().0, b"line");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a guard releases the bytes"]
pub struct RecvRef<'a, A: Trust = Copying> {
    receiver: &'a mut Receiver<A>,
    /// Bytes exposed, read once.
    len: usize,
    /// Bytes to release.
    release: usize,
}

impl<'a, A: Trust> RecvRef<'a, A> {
    pub(super) fn new(receiver: &'a mut Receiver<A>) -> Self {
        let len = receiver.waiting();
        Self { receiver, len, release: len }
    }

    /// Position of the first byte.
    pub fn position(&self) -> u64 {
        self.receiver.head
    }

    /// How many there are: at least one.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies some of them out, from byte `offset` on; says how many: fewer than asked for
    /// at their end.
    #[inline]
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> usize {
        let offset = offset.min(self.len);
        let count = out.len().min(self.len - offset);
        self.receiver.bytes.load(self.receiver.head + offset as u64, &mut out[..count]);
        count
    }

    /// Releases them all, as dropping does.
    pub fn release(self) {}

    /// Releases the first `len` of them. The others stay for the next receive.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn release_first(mut self, len: usize) {
        assert!(len <= self.len, "{len} bytes are more than there are");
        self.release = len;
    }
}

/// Between peers that trust one another, and on the heap, the bytes are lent in place.
#[cfg(not(loom))]
impl RecvRef<'_, Trusted> {
    /// All of them: those up to the ring's end, and those from its beginning, which may be
    /// none.
    #[inline]
    pub fn as_slices(&self) -> (&[u8], &[u8]) {
        let parts = self.receiver.bytes.parts(self.receiver.head, self.len);
        let base = self.receiver.bytes.area().base();
        // SAFETY: I1: the index is within the bytes.
        let first = unsafe { base.add(parts.first.0) }.as_ptr();
        // SAFETY: I3: the bytes are the receiver's until released, and trusted peers keep to
        // that; `parts` are within the ring.
        let first = unsafe { core::slice::from_raw_parts(first, parts.first.1) };
        // SAFETY: I3: as above.
        let second = unsafe { core::slice::from_raw_parts(base.as_ptr(), parts.second.1) };
        (first, second)
    }
}

impl<A: Trust> Drop for RecvRef<'_, A> {
    #[inline]
    fn drop(&mut self) {
        // In a forked child they are the parent's, who still reads them.
        if self.release > 0 && self.receiver.is_own() {
            self.receiver.retire(self.release);
        }
    }
}

impl<A: Trust> fmt::Debug for RecvRef<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("stream::RecvRef")
            .field("position", &self.position())
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
