//! ringfire: one producer that waits for its slowest registered reader; and many producers
//! with competing readers, which overwrites what was not read in time, by design.

use ::ringfire::{
    FlowControl, MpmcProducer, MpmcQueueConsumer, RingConsumer, RingProducer, RingProducerBuilder,
};
use anyhow::{Result, anyhow};

use crate::rival::{Place, Processes, Receiving, Sending};

/// One sender, one receiver.
pub struct Spmc;

/// Many of both.
pub struct Mpmc;

fn refused(error: impl std::fmt::Debug) -> anyhow::Error {
    anyhow!("ringfire: {error:?}")
}

impl Processes for Spmc {
    type Sender<const W: usize> = RingProducer<[u64; W]>;
    type Receiver<const W: usize> = RingConsumer<[u64; W]>;

    fn sender<const W: usize>(place: &Place) -> Result<Self::Sender<W>> {
        let builder = RingProducerBuilder::new(place.shape.capacity as u64);
        let builder = builder.flow_control(FlowControl::LosslessBackpressure);
        let made = builder.build(place.path("ringfire")).map_err(refused)?;
        place.publish("made", "")?;
        Ok(made)
    }

    fn receiver<const W: usize>(place: &Place) -> Result<Self::Receiver<W>> {
        place.published("made")?;
        let builder = RingConsumer::builder().start_from_oldest().consumer_name("reader");
        builder.attach(place.path("ringfire")).map_err(refused)
    }
}

impl<const W: usize> Sending<W> for RingProducer<[u64; W]> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        Ok(self.try_push(message).is_ok())
    }

    /// It waits by itself until there is room for all.
    #[inline(always)]
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        self.push_batch(messages);
        Ok(messages.len())
    }
}

impl<const W: usize> Receiving<W> for RingConsumer<[u64; W]> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        Ok(RingConsumer::try_recv(self).map(|got| *message = got).is_some())
    }

    #[inline(always)]
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        Ok(self.recv_batch(messages))
    }
}

impl Processes for Mpmc {
    type Sender<const W: usize> = MpmcProducer<[u64; W]>;
    type Receiver<const W: usize> = MpmcQueueConsumer<[u64; W]>;

    fn sender<const W: usize>(place: &Place) -> Result<Self::Sender<W>> {
        let path = place.path("ringfire");
        if !place.first() {
            place.published("made")?;
            return MpmcProducer::attach(path).map_err(refused);
        }
        let made = MpmcProducer::create(path, place.shape.capacity as u64).map_err(refused)?;
        place.publish("made", "")?;
        Ok(made)
    }

    fn receiver<const W: usize>(place: &Place) -> Result<Self::Receiver<W>> {
        place.published("made")?;
        MpmcQueueConsumer::attach(place.path("ringfire")).map_err(refused)
    }
}

impl<const W: usize> Sending<W> for MpmcProducer<[u64; W]> {
    /// There is always room: it overwrites.
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        self.push(message);
        Ok(true)
    }

    #[inline(always)]
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        self.push(&messages[0]);
        Ok(1)
    }
}

impl<const W: usize> Receiving<W> for MpmcQueueConsumer<[u64; W]> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        Ok(MpmcQueueConsumer::try_recv(self).map(|got| *message = got).is_some())
    }

    #[inline(always)]
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        Ok(usize::from(Receiving::<W>::try_recv(self, &mut messages[0])?))
    }
}
