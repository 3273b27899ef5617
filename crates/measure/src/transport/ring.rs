//! annulus's ring of one sender and one receiver, through its public interface alone.

use std::os::fd::BorrowedFd;

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{Options, RecvError, SendError};
use zerocopy::IntoBytes;

use crate::Error;
use crate::transport::place::Family;
use crate::transport::{Receiving, Sending, Shape};

/// The ring.
pub struct Spsc;

/// From this many bytes on a message is written and read in place, by reserve and
/// commit and by guard, as a user would who has it in a buffer of his own.
pub const IN_PLACE: usize = 4096;

impl Family for Spsc {
    type Ring<const W: usize> = Ring<[u64; W]>;
    type Sender<const W: usize> = RingSender<W>;
    type Receiver<const W: usize> = RingReceiver<W>;

    const NAME: &'static str = "ring";

    fn options<const W: usize>(shape: Shape) -> Options<Ring<[u64; W]>> {
        Ring::options().capacity(shape.capacity as u64)
    }

    fn segment_fd<const W: usize>(ring: &Ring<[u64; W]>) -> Option<BorrowedFd<'_>> {
        ring.segment_fd()
    }

    fn sender<const W: usize>(ring: &Ring<[u64; W]>) -> Result<RingSender<W>, annulus::Error> {
        ring.sender().map(RingSender)
    }

    fn receiver<const W: usize>(ring: &Ring<[u64; W]>) -> Result<RingReceiver<W>, annulus::Error> {
        ring.receiver().map(RingReceiver)
    }
}

/// The sending end.
pub struct RingSender<const W: usize>(Sender<[u64; W]>);

impl<const W: usize> RingSender<W> {
    // On its own, so that a large message is on the stack in debug builds alone, and
    // there only if it is called.
    #[inline(always)]
    fn by_value(&mut self, message: &[u64; W]) -> Result<(), Error> {
        self.0.send(*message).map_err(cannot_send)
    }

    #[inline(always)]
    fn in_place(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut slot = self.0.reserve().map_err(cannot_send)?;
        slot.append(bytes);
        slot.commit();
        Ok(())
    }
}

#[cold]
fn cannot_send<T>(error: SendError<T>) -> Error {
    match error {
        SendError::Closed(_) | SendError::Died(_) => Error::Disconnected { transport: "ring" },
        other => Error::Transport { transport: "ring", reason: other.to_string() },
    }
}

impl<const W: usize> Sending<W> for RingSender<W> {
    #[inline(always)]
    fn send(&mut self, message: &[u64; W]) -> Result<(), Error> {
        if 8 * W < IN_PLACE { self.by_value(message) } else { self.in_place(message.as_bytes()) }
    }

    #[inline]
    fn send_many(&mut self, messages: &[[u64; W]]) -> Result<(), Error> {
        self.0.send_many(messages).map_err(|error| cannot_send(error.reason))
    }

    #[inline]
    fn send_part(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.in_place(bytes)
    }
}

/// The receiving end.
pub struct RingReceiver<const W: usize>(Receiver<[u64; W]>);

impl<const W: usize> RingReceiver<W> {
    #[inline(always)]
    fn by_value(&mut self, message: &mut [u64; W]) -> Result<(), Error> {
        *message = self.0.recv().map_err(cannot_recv)?;
        Ok(())
    }

    #[inline(always)]
    fn in_place(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let guard = self.0.recv_ref().map_err(cannot_recv)?;
        guard.read_at(0, bytes);
        guard.release();
        Ok(())
    }
}

#[cold]
fn cannot_recv(error: RecvError) -> Error {
    match error {
        RecvError::Closed | RecvError::Died => Error::Disconnected { transport: "ring" },
        other => Error::Transport { transport: "ring", reason: other.to_string() },
    }
}

impl<const W: usize> Receiving<W> for RingReceiver<W> {
    #[inline(always)]
    fn recv(&mut self, message: &mut [u64; W]) -> Result<(), Error> {
        if 8 * W < IN_PLACE {
            self.by_value(message)
        } else {
            self.in_place(message.as_mut_bytes())
        }
    }

    #[inline]
    fn recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize, Error> {
        self.0.recv_many(messages).map_err(cannot_recv)
    }

    #[inline]
    fn recv_part(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.in_place(bytes)
    }
}
