//! Whole messages of a length that is known when a lane is made: for mechanisms beside
//! whose cost an indirect call is nothing. They are compiled once and not for each size.

use std::marker::PhantomData;

use zerocopy::IntoBytes;

use crate::Error;
use crate::transport::{Receiving, Route, Sending, Shape, Site, Ticket, Transport};

/// A mechanism that moves messages.
pub trait Mechanism {
    /// As [`Transport::create`], for messages of `size` bytes.
    fn create(size: usize, shape: Shape) -> Result<Route, Error>;
    /// As [`Transport::sender`].
    fn sender(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Sends>, Error>;
    /// As [`Transport::receiver`].
    fn receiver(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Receives>, Error>;
}

/// Where messages go in. None is longer than the lane's.
pub trait Sends {
    /// Sends one message; waits while there is no room.
    fn send(&mut self, message: &[u8]) -> Result<(), Error>;

    /// Sends messages of `size` bytes each.
    fn send_all(&mut self, messages: &[u8], size: usize) -> Result<(), Error> {
        messages.chunks_exact(size).try_for_each(|message| self.send(message))
    }
}

/// Where messages come out.
pub trait Receives {
    /// Copies out the next message, which has this length; waits while there is none.
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error>;

    /// Copies out messages of `size` bytes each: at least one, at most all that there is
    /// room for. Says how many bytes.
    fn recv_some(&mut self, messages: &mut [u8], size: usize) -> Result<usize, Error> {
        messages.chunks_exact_mut(size).try_for_each(|message| self.recv(message))?;
        Ok(messages.len())
    }
}

/// Such a mechanism as a transport.
pub struct Whole<M>(PhantomData<M>);

/// Its sending end.
pub struct AnySender(Box<dyn Sends>);

/// Its receiving end.
pub struct AnyReceiver(Box<dyn Receives>);

impl<M: Mechanism> Transport for Whole<M> {
    type Sender<const W: usize> = AnySender;
    type Receiver<const W: usize> = AnyReceiver;

    fn create<const W: usize>(shape: Shape) -> Result<Route, Error> {
        M::create(8 * W, shape)
    }

    fn sender<const W: usize>(ticket: Ticket, site: Site) -> Result<AnySender, Error> {
        M::sender(ticket, &site, 8 * W).map(AnySender)
    }

    fn receiver<const W: usize>(ticket: Ticket, site: Site) -> Result<AnyReceiver, Error> {
        M::receiver(ticket, &site, 8 * W).map(AnyReceiver)
    }
}

impl<const W: usize> Sending<W> for AnySender {
    #[inline(always)]
    fn send(&mut self, message: &[u64; W]) -> Result<(), Error> {
        self.0.send(message.as_bytes())
    }

    #[inline]
    fn send_many(&mut self, messages: &[[u64; W]]) -> Result<(), Error> {
        self.0.send_all(messages.as_bytes(), 8 * W)
    }

    #[inline]
    fn send_part(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.send(bytes)
    }
}

impl<const W: usize> Receiving<W> for AnyReceiver {
    #[inline(always)]
    fn recv(&mut self, message: &mut [u64; W]) -> Result<(), Error> {
        self.0.recv(message.as_mut_bytes())
    }

    #[inline]
    fn recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize, Error> {
        Ok(self.0.recv_some(messages.as_mut_bytes(), 8 * W)? / (8 * W))
    }

    #[inline]
    fn recv_part(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.recv(bytes)
    }
}
