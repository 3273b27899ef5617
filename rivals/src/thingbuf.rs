//! thingbuf: a queue of many senders and many receivers, all in threads; one by one, written
//! and read in place.

use std::sync::Arc;

use ::thingbuf::ThingBuf;
use anyhow::Result;

use crate::rival::{Receiving, Sending, Shape, Threads};

/// The queue.
pub struct Thingbuf;

/// Both ends are the queue itself.
#[derive(Clone)]
pub struct End<const W: usize>(Arc<ThingBuf<Message<W>>>);

/// What it holds must have a default.
#[derive(Clone)]
pub struct Message<const W: usize>([u64; W]);

impl<const W: usize> Default for Message<W> {
    fn default() -> Message<W> {
        Message([0; W])
    }
}

impl Threads for Thingbuf {
    type Sender<const W: usize> = End<W>;
    type Receiver<const W: usize> = End<W>;

    fn make<const W: usize>(shape: Shape) -> Result<(Vec<End<W>>, Vec<End<W>>)> {
        let queue = End(Arc::new(ThingBuf::new(shape.capacity)));
        Ok((vec![queue.clone(); shape.senders], vec![queue; shape.receivers]))
    }
}

impl<const W: usize> Sending<W> for End<W> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        Ok(self.0.push_with(|slot| slot.0 = *message).is_ok())
    }

    #[inline(always)]
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        Ok(usize::from(self.try_send(&messages[0])?))
    }
}

impl<const W: usize> Receiving<W> for End<W> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        Ok(self.0.pop_with(|slot| *message = slot.0).is_some())
    }

    #[inline(always)]
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        Ok(usize::from(self.try_recv(&mut messages[0])?))
    }
}
