//! rtrb: one sender and one receiver, two threads; slices by its chunks.

use ::rtrb::{Consumer, Producer, RingBuffer};
use anyhow::Result;

use crate::rival::{Receiving, Sending, Shape, Threads};

/// The ring buffer.
pub struct Rtrb;

impl Threads for Rtrb {
    type Sender<const W: usize> = Producer<[u64; W]>;
    type Receiver<const W: usize> = Consumer<[u64; W]>;

    fn make<const W: usize>(
        shape: Shape,
    ) -> Result<(Vec<Self::Sender<W>>, Vec<Self::Receiver<W>>)> {
        let (producer, consumer) = RingBuffer::new(shape.capacity);
        Ok((vec![producer], vec![consumer]))
    }
}

impl<const W: usize> Sending<W> for Producer<[u64; W]> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        Ok(self.push(*message).is_ok())
    }

    #[inline(always)]
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        Ok(self.push_partial_slice(messages).0.len())
    }
}

impl<const W: usize> Receiving<W> for Consumer<[u64; W]> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        Ok(self.pop().map(|got| *message = got).is_ok())
    }

    #[inline(always)]
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        Ok(self.pop_partial_slice(messages).0.len())
    }
}
