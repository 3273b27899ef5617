//! disruptor: one producer, and a consumer that polls in a thread of its own; batches are
//! published and taken at once.

use ::disruptor::{
    BusySpin, EventPoller, Polling, Producer, SingleConsumerBarrier, SingleProducer,
    SingleProducerBarrier, build_single_producer,
};
use anyhow::{Result, bail};

use crate::rival::{Receiving, Sending, Shape, Threads};

/// The ring buffer.
pub struct Disruptor;

impl Threads for Disruptor {
    type Sender<const W: usize> = SingleProducer<[u64; W], SingleConsumerBarrier>;
    type Receiver<const W: usize> = EventPoller<[u64; W], SingleProducerBarrier>;

    fn make<const W: usize>(
        shape: Shape,
    ) -> Result<(Vec<Self::Sender<W>>, Vec<Self::Receiver<W>>)> {
        let builder = build_single_producer(shape.capacity, || [0; W], BusySpin);
        let (poller, builder) = builder.new_event_poller();
        Ok((vec![builder.build()], vec![poller]))
    }
}

impl<const W: usize> Sending<W> for SingleProducer<[u64; W], SingleConsumerBarrier> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        Ok(self.try_publish(|slot| *slot = *message).is_ok())
    }

    /// All of them or none.
    #[inline(always)]
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        let published = self.try_batch_publish(messages.len(), |slots| {
            for (slot, message) in slots.zip(messages) {
                *slot = *message;
            }
        });
        Ok(if published.is_ok() { messages.len() } else { 0 })
    }
}

impl<const W: usize> Receiving<W> for EventPoller<[u64; W], SingleProducerBarrier> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        Ok(self.try_recv_many(std::slice::from_mut(message))? == 1)
    }

    #[inline(always)]
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        match self.take(messages.len() as u64) {
            Ok(mut events) => {
                let mut got = 0;
                for (event, message) in (&mut events).zip(messages) {
                    *message = *event;
                    got += 1;
                }
                Ok(got)
            }
            Err(Polling::NoEvents) => Ok(0),
            Err(Polling::Shutdown) => bail!("disruptor: shut down"),
        }
    }
}
