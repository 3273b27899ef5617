//! iceoryx2: one publisher and one subscriber of a service that holds the publisher back
//! instead of overwriting; samples are loaned, so blocks lie where they were written.

use ::iceoryx2::port::publisher::Publisher;
use ::iceoryx2::port::subscriber::Subscriber;
use ::iceoryx2::prelude::*;
use ::iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use anyhow::{Context, Result, anyhow};

use crate::rival::{BlockReceiving, BlockSending, Blocks, Place, Processes, Receiving, Sending};

/// The service.
pub struct Iceoryx2;

type Kind = ipc::Service;

/// An end, and what it must outlive not.
pub struct Sender<P: std::fmt::Debug + IceoryxSend + ?Sized + 'static> {
    port: Publisher<Kind, P, ()>,
    _node: Node<Kind>,
}

/// The other one.
pub struct Receiver<P: std::fmt::Debug + IceoryxSend + ?Sized + 'static> {
    port: Subscriber<Kind, P, ()>,
    _node: Node<Kind>,
}

fn refused(error: impl std::fmt::Debug) -> anyhow::Error {
    anyhow!("iceoryx2: {error:?}")
}

fn node() -> Result<Node<Kind>> {
    set_log_level(LogLevel::Fatal);
    NodeBuilder::new().create::<Kind>().map_err(refused)
}

/// The service of this place: made by whoever comes first.
macro_rules! service {
    ($node:expr, $place:expr, $payload:ty) => {{
        let name = $place.name();
        let name = ServiceName::new(&name).map_err(refused)?;
        let builder = $node.service_builder(&name).publish_subscribe::<$payload>();
        let service: PortFactory<Kind, $payload, ()> = builder
            .enable_safe_overflow(false)
            .history_size(0)
            .max_publishers(1)
            .max_subscribers(1)
            .subscriber_max_buffer_size($place.shape.capacity)
            .subscriber_max_borrowed_samples(2)
            .open_or_create()
            .map_err(refused)?;
        service
    }};
}

impl Processes for Iceoryx2 {
    type Sender<const W: usize> = Sender<[u64; W]>;
    type Receiver<const W: usize> = Receiver<[u64; W]>;

    fn sender<const W: usize>(place: &Place) -> Result<Self::Sender<W>> {
        let node = node()?;
        let service = service!(node, place, [u64; W]);
        let builder = service.publisher_builder();
        let builder = builder.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
        let port = builder.create().map_err(refused)?;
        place.publish("made", "")?;
        Ok(Sender { port, _node: node })
    }

    fn receiver<const W: usize>(place: &Place) -> Result<Self::Receiver<W>> {
        place.published("made")?;
        let node = node()?;
        let service = service!(node, place, [u64; W]);
        let port = service.subscriber_builder().create().map_err(refused)?;
        Ok(Receiver { port, _node: node })
    }
}

impl<const W: usize> Sending<W> for Sender<[u64; W]> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        let sample = self.port.loan_uninit().map_err(refused)?;
        let reached = sample.write_payload(*message).send().map_err(refused)?;
        (reached == 1).then_some(true).context("iceoryx2: sent to nobody")
    }

    #[inline(always)]
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        Ok(usize::from(self.try_send(&messages[0])?))
    }
}

impl<const W: usize> Receiving<W> for Receiver<[u64; W]> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        let sample = self.port.receive().map_err(refused)?;
        Ok(sample.map(|sample| *message = *sample).is_some())
    }

    #[inline(always)]
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        Ok(usize::from(self.try_recv(&mut messages[0])?))
    }
}

impl Blocks for Iceoryx2 {
    type Sender = Sender<[u8]>;
    type Receiver = Receiver<[u8]>;

    fn sender(place: &Place, size: usize) -> Result<Sender<[u8]>> {
        let node = node()?;
        let service = service!(node, place, [u8]);
        let builder = service.publisher_builder().initial_max_slice_len(size);
        let builder = builder.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
        let port = builder.create().map_err(refused)?;
        place.publish("made", "")?;
        Ok(Sender { port, _node: node })
    }

    fn receiver(place: &Place, _: usize) -> Result<Receiver<[u8]>> {
        place.published("made")?;
        let node = node()?;
        let service = service!(node, place, [u8]);
        let port = service.subscriber_builder().create().map_err(refused)?;
        Ok(Receiver { port, _node: node })
    }
}

impl BlockSending for Sender<[u8]> {
    fn try_send(&mut self, block: &[u8]) -> Result<bool> {
        let sample = self.port.loan_slice_uninit(block.len()).map_err(refused)?;
        let reached = sample.write_from_slice(block).send().map_err(refused)?;
        (reached == 1).then_some(true).context("iceoryx2: sent to nobody")
    }
}

impl BlockReceiving for Receiver<[u8]> {
    fn try_recv(&mut self, look: impl FnOnce(&[u8])) -> Result<bool> {
        let sample = self.port.receive().map_err(refused)?;
        Ok(sample.map(|sample| look(sample.payload())).is_some())
    }
}
