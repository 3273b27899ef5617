//! ringbuf: one sender and one receiver, two threads; slices at once.

use ::ringbuf::traits::{Consumer, Producer, Split};
use ::ringbuf::{HeapCons, HeapProd, HeapRb};
use anyhow::Result;

use crate::rival::{Receiving, Sending, Shape, Threads};

/// The ring on the heap.
pub struct Ringbuf;

impl Threads for Ringbuf {
    type Sender<const W: usize> = HeapProd<[u64; W]>;
    type Receiver<const W: usize> = HeapCons<[u64; W]>;

    fn make<const W: usize>(
        shape: Shape,
    ) -> Result<(Vec<Self::Sender<W>>, Vec<Self::Receiver<W>>)> {
        let (producer, consumer) = HeapRb::new(shape.capacity).split();
        Ok((vec![producer], vec![consumer]))
    }
}

impl<const W: usize> Sending<W> for HeapProd<[u64; W]> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        Ok(self.try_push(*message).is_ok())
    }

    #[inline(always)]
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        Ok(self.push_slice(messages))
    }
}

impl<const W: usize> Receiving<W> for HeapCons<[u64; W]> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        Ok(self.try_pop().map(|got| *message = got).is_some())
    }

    #[inline(always)]
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        Ok(self.pop_slice(messages))
    }
}
