//! annulus's broadcast with one receiver, through its public interface alone.

use std::os::fd::BorrowedFd;

use annulus::Options;
use annulus::broadcast::{Receiver, Ring, Sender};
use zerocopy::{FromBytes, IntoBytes};

use crate::Error;
use crate::payload::Aligned;
use crate::transport::place::Family;
use crate::transport::ring::{IN_PLACE, cannot_recv, cannot_send};
use crate::transport::{Receiving, Sending, Shape};

/// The broadcast that overwrites what its receiver has not come to: for round trips. A
/// receiver that falls behind in a one-way run ends it.
pub struct Broadcast;

/// The broadcast whose receiver holds the sender back.
pub struct Lossless;

const NAME: &str = "broadcast";

macro_rules! family {
    ($family:ident, $name:expr, $lossless:literal) => {
        impl Family for $family {
            type Ring<const W: usize> = Ring<[u64; W]>;
            type Sender<const W: usize> = BroadcastSender<W>;
            type Receiver<const W: usize> = BroadcastReceiver<W>;

            const NAME: &'static str = $name;

            fn options<const W: usize>(shape: Shape) -> Options<Ring<[u64; W]>> {
                Ring::options().capacity(shape.capacity as u64).lossless($lossless)
            }

            fn segment_fd<const W: usize>(ring: &Ring<[u64; W]>) -> Option<BorrowedFd<'_>> {
                ring.segment_fd()
            }

            fn sender<const W: usize>(
                ring: &Ring<[u64; W]>,
            ) -> Result<BroadcastSender<W>, annulus::Error> {
                Ok(BroadcastSender { sender: ring.sender()?, whole: None })
            }

            fn receiver<const W: usize>(
                ring: &Ring<[u64; W]>,
            ) -> Result<BroadcastReceiver<W>, annulus::Error> {
                ring.receiver().map(BroadcastReceiver)
            }
        }
    };
}

family!(Broadcast, NAME, false);
family!(Lossless, "lossless broadcast", true);

/// The sending end.
pub struct BroadcastSender<const W: usize> {
    sender: Sender<[u64; W]>,
    /// Where the end of a file becomes a whole message.
    whole: Option<Box<Aligned<W>>>,
}

impl<const W: usize> BroadcastSender<W> {
    #[inline(always)]
    fn by_value(&mut self, message: &[u64; W]) -> Result<(), Error> {
        self.sender.send(*message).map_err(|error| cannot_send(NAME, error))
    }
}

impl<const W: usize> Sending<W> for BroadcastSender<W> {
    #[inline(always)]
    fn send(&mut self, message: &[u64; W]) -> Result<(), Error> {
        // It reserves nothing; a long message goes by reference.
        if 8 * W < IN_PLACE {
            self.by_value(message)
        } else {
            self.send_many(std::slice::from_ref(message))
        }
    }

    #[inline]
    fn send_many(&mut self, messages: &[[u64; W]]) -> Result<(), Error> {
        self.sender.send_many(messages).map_err(|error| cannot_send(NAME, error.reason))
    }

    fn send_part(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Ok(message) = <[u64; W]>::ref_from_bytes(bytes) {
            return self.send(message);
        }
        let mut whole = self.whole.take().unwrap_or_else(Aligned::boxed);
        let len = bytes.len().min(8 * W);
        whole.bytes_mut()[..len].copy_from_slice(&bytes[..len]);
        let sent = self.send(&whole.0);
        self.whole = Some(whole);
        sent
    }
}

/// The receiving end.
pub struct BroadcastReceiver<const W: usize>(Receiver<[u64; W]>);

impl<const W: usize> BroadcastReceiver<W> {
    #[inline(always)]
    fn by_value(&mut self, message: &mut [u64; W]) -> Result<(), Error> {
        *message = self.0.recv().map_err(|error| cannot_recv(NAME, error))?;
        Ok(())
    }
}

impl<const W: usize> Receiving<W> for BroadcastReceiver<W> {
    #[inline(always)]
    fn recv(&mut self, message: &mut [u64; W]) -> Result<(), Error> {
        if 8 * W < IN_PLACE {
            self.by_value(message)
        } else {
            Receiving::<W>::recv_part(self, message.as_mut_bytes())
        }
    }

    #[inline]
    fn recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize, Error> {
        let Some((first, rest)) = messages.split_first_mut() else { return Ok(0) };
        self.recv(first)?;
        // What ends the run comes again with the next call.
        Ok(1 + self.0.try_recv_many(rest).unwrap_or(0))
    }

    #[inline]
    fn recv_part(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.0
            .recv_with(|view| {
                view.read_at(0, bytes);
            })
            .map_err(|error| cannot_recv(NAME, error))
    }
}
