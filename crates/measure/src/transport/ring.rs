//! annulus's ring of one sender and one receiver, by name or by descriptor, through
//! its public interface alone.

use std::sync::atomic::{AtomicU32, Ordering};

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{RecvError, SendError};
use zerocopy::IntoBytes;

use crate::Error;
use crate::transport::{Receiving, Route, Sending, Shape, Site, Ticket, Transport};

/// A ring in named POSIX shared memory.
pub struct Named;

/// A ring in a memfd that the peer inherits.
pub struct Memfd;

/// From this many bytes on a message is written and read in place, by reserve and
/// commit and by guard, as a user would who has it in a buffer of his own.
pub const IN_PLACE: usize = 4096;

impl Transport for Named {
    type Sender<const W: usize> = RingSender<W>;
    type Receiver<const W: usize> = RingReceiver<W>;

    fn create<const W: usize>(shape: Shape) -> Result<Route, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = Name(format!("shm:annulus-measure-{}-{count}", std::process::id()));
        options::<W>(shape).create_new(&name.0).map_err(refused)?;
        let (send, recv) = (Ticket::named(&name.0), Ticket::named(&name.0));
        Ok(Route { send, recv, keep: Some(Box::new(name)) })
    }

    fn sender<const W: usize>(ticket: Ticket, _: Site) -> Result<RingSender<W>, Error> {
        take_sender(&Ring::open(&ticket.into_name()?).map_err(refused)?)
    }

    fn receiver<const W: usize>(ticket: Ticket, _: Site) -> Result<RingReceiver<W>, Error> {
        take_receiver(&Ring::open(&ticket.into_name()?).map_err(refused)?)
    }
}

impl Transport for Memfd {
    type Sender<const W: usize> = RingSender<W>;
    type Receiver<const W: usize> = RingReceiver<W>;

    fn create<const W: usize>(shape: Shape) -> Result<Route, Error> {
        let ring = options::<W>(shape).create_memfd("annulus-measure").map_err(refused)?;
        let ticket = || {
            let fd = ring.segment_fd().ok_or_else(|| Error::Spec("a memfd has no fd".into()))?;
            Ok::<_, Error>(Ticket::inherited(fd.try_clone_to_owned().map_err(Error::io("dup"))?))
        };
        Ok(Route { send: ticket()?, recv: ticket()?, keep: None })
    }

    fn sender<const W: usize>(ticket: Ticket, _: Site) -> Result<RingSender<W>, Error> {
        take_sender(&Ring::from_fd(ticket.into_fd()?).map_err(refused)?)
    }

    fn receiver<const W: usize>(ticket: Ticket, _: Site) -> Result<RingReceiver<W>, Error> {
        take_receiver(&Ring::from_fd(ticket.into_fd()?).map_err(refused)?)
    }
}

/// A name that is removed again, at the latest when the measurement fails.
struct Name(String);

impl Drop for Name {
    fn drop(&mut self) {
        // It is there unless creating it failed.
        let _ = annulus::unlink(&self.0);
    }
}

fn options<const W: usize>(shape: Shape) -> annulus::Options<Ring<[u64; W]>> {
    Ring::options().capacity(shape.capacity as u64)
}

fn refused(error: annulus::Error) -> Error {
    Error::Transport { transport: "ring", reason: error.to_string() }
}

fn take_sender<const W: usize>(ring: &Ring<[u64; W]>) -> Result<RingSender<W>, Error> {
    ring.sender().map(RingSender).map_err(refused)
}

fn take_receiver<const W: usize>(ring: &Ring<[u64; W]>) -> Result<RingReceiver<W>, Error> {
    ring.receiver().map(RingReceiver).map_err(refused)
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
