//! Writing and reading one message in its slot, for reservations and guards of any ring.
//!
//! Promises: what is written stays within the slot's message (I1); nothing of an older
//! message shows through. Imports: atomic, copy, payload.

use core::marker::PhantomData;
#[cfg(not(loom))]
use core::ptr::NonNull;

use crate::atomic::{Area, Bug, seeded};
use crate::copy;
use crate::message::Message;
use crate::payload::Payload;

/// A message that is being written from its first byte on.
pub(crate) struct Pen<M: ?Sized> {
    written: usize,
    _message: PhantomData<fn() -> M>,
}

impl<M: Payload + ?Sized> Pen<M> {
    /// Nothing is written yet.
    pub(crate) fn new() -> Self {
        Self { written: 0, _message: PhantomData }
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// Says that so many have been written.
    ///
    /// # Panics
    /// If they do not fit.
    #[cfg_attr(loom, expect(dead_code))]
    pub(crate) fn set_written(&mut self, area: Area<'_>, len: usize) {
        assert!(len <= capacity::<M>(area), "{len} bytes do not fit the message");
        self.written = len;
    }

    /// Copies bytes behind those written already, as many as still fit; says how many.
    #[inline]
    pub(crate) fn append(&mut self, area: Area<'_>, bytes: &[u8]) -> usize {
        let count = bytes.len().min(capacity::<M>(area) - self.written);
        copy::store_within(area, M::PREFIX + self.written, &bytes[..count]);
        self.written += count;
        count
    }

    /// As `append`, to a buffer that has nothing before the payload.
    pub(crate) fn append_raw(&mut self, area: Area<'_>, bytes: &[u8]) -> usize {
        let count = bytes.len().min(area.len() - self.written);
        copy::store_anywhere(area, self.written, &bytes[..count]);
        self.written += count;
        count
    }

    /// As `set_written`, of such a buffer; checked by the caller.
    #[cfg(not(loom))]
    pub(crate) fn set_raw(&mut self, len: usize) {
        self.written = len;
    }

    /// Completes the message: a byte message's length; of a fixed-size one, zeros where
    /// nothing was written.
    #[inline]
    pub(crate) fn seal(&mut self, area: Area<'_>) {
        if M::BYTES {
            copy::store(area, 0, &(self.written as u64).to_le_bytes());
        } else if self.written < capacity::<M>(area) {
            self.clear_rest(area);
        }
    }

    #[cold]
    fn clear_rest(&mut self, area: Area<'_>) {
        const ZEROS: [u8; 256] = [0; 256];
        while self.append(area, &ZEROS) > 0 {}
    }
}

impl<T: Message> Pen<T> {
    /// Writes the whole message, in place of anything written before.
    #[inline]
    pub(crate) fn write(&mut self, area: Area<'_>, message: &T) {
        copy::store(area, 0, message.as_bytes());
        self.written = size_of::<T>();
    }
}

/// Most bytes that the message can have.
#[inline(always)]
pub(crate) fn capacity<M: Payload + ?Sized>(area: Area<'_>) -> usize {
    area.len() - M::PREFIX
}

/// Copies some of a message's `len` bytes out, from byte `offset` on; says how many.
#[inline]
pub(crate) fn read_at<M: Payload + ?Sized>(
    area: Area<'_>,
    len: usize,
    offset: usize,
    out: &mut [u8],
) -> usize {
    read_behind(area, M::PREFIX, len, offset, out)
}

/// The same of a buffer that has nothing before the payload.
pub(crate) fn read_raw(area: Area<'_>, len: usize, offset: usize, out: &mut [u8]) -> usize {
    read_behind(area, 0, len, offset, out)
}

#[inline(always)]
fn read_behind(area: Area<'_>, prefix: usize, len: usize, offset: usize, out: &mut [u8]) -> usize {
    let offset = offset.min(len);
    let count = out.len().min(len - offset);
    copy::load(area, prefix + offset, &mut out[..count]);
    count
}

/// The whole message.
#[inline(always)]
pub(crate) fn read<T: Message>(area: Area<'_>) -> T {
    let mut message = T::new_zeroed();
    copy::load(area, 0, message.as_mut_bytes());
    message
}

/// Length of a message: a constant, or what the slot says, read once. `Err`: too long.
#[inline(always)]
pub(crate) fn len<M: Payload + ?Sized>(area: Area<'_>) -> Result<usize, u64> {
    if !M::BYTES {
        return Ok(area.len());
    }
    let mut word = [0; 8];
    copy::load(area, 0, &mut word);
    let len = u64::from_le_bytes(word);
    if len > capacity::<M>(area) as u64 {
        return Err(len);
    }
    if seeded(Bug::LengthTwice) {
        copy::load(area, 0, &mut word);
        return Ok(u64::from_le_bytes(word) as usize);
    }
    Ok(len as usize)
}

/// The first byte of a buffer that has nothing before the payload.
#[cfg(not(loom))]
pub(crate) fn first(area: Area<'_>) -> NonNull<u8> {
    copy::at(area, 0)
}

/// The payload's first byte, for peers that trust one another.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn payload<M: Payload + ?Sized>(area: Area<'_>) -> NonNull<u8> {
    copy::at(area, M::PREFIX)
}
