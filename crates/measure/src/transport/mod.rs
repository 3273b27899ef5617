//! What every transport must be able to do, and one file for each.
//!
//! A transport moves fixed-size messages of `W` words one way; a round trip uses two
//! of them. To add one: implement [`Transport`] in a file of its own, and give it a
//! name in [`crate::lane::Kind`].

pub mod broadcast;
pub(crate) mod bytes;
pub mod eventfd;
pub mod fifo;
pub mod futex;
mod many;
pub mod mmap_file;
pub mod mutex_condvar;
mod name;
pub mod packets;
pub mod pipe;
pub(crate) mod place;
pub mod posix_mq;
pub mod raw;
#[cfg(feature = "raw-sync")]
pub mod raw_sync;
#[cfg(not(feature = "raw-sync"))]
#[path = "no_raw_sync.rs"]
pub mod raw_sync;
pub mod ring;
pub mod semaphore;
pub mod signal;
mod slots;
pub mod stdio;
pub mod stream;
pub mod sysv_mq;
pub mod tcp;
pub(crate) mod ticket;
pub mod unix;
pub mod whole;

use std::sync::Arc;

use annulus::WaitMethod;

use crate::Error;
use crate::control::Control;
use crate::spin::Spin;
pub use ticket::Ticket;

/// The sending end of one direction.
pub trait Sending<const W: usize> {
    /// Sends one message; waits while there is no room.
    fn send(&mut self, message: &[u64; W]) -> Result<(), Error>;

    /// Sends all of these messages, in order, with as little ado as the transport can.
    fn send_many(&mut self, messages: &[[u64; W]]) -> Result<(), Error>;

    /// Sends one message whose first bytes are these; at most `8 * W`.
    fn send_part(&mut self, bytes: &[u8]) -> Result<(), Error>;
}

/// The receiving end of one direction.
pub trait Receiving<const W: usize> {
    /// Copies the next message out; waits while there is none.
    fn recv(&mut self, message: &mut [u64; W]) -> Result<(), Error>;

    /// Copies out at least one message and at most all there is room for.
    fn recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize, Error>;

    /// Copies out the first bytes of the next message, as many as were given to
    /// [`Sending::send_part`].
    fn recv_part(&mut self, bytes: &mut [u8]) -> Result<(), Error>;
}

/// A way to move messages from one process to another.
pub trait Transport {
    /// Its sending end, for messages of `W` words.
    type Sender<const W: usize>: Sending<W> + 'static;
    /// Its receiving end.
    type Receiver<const W: usize>: Receiving<W> + 'static;

    /// Makes one direction, before the peer is started.
    fn create<const W: usize>(shape: Shape) -> Result<Route, Error>;
    /// Takes the sending end, in either process.
    fn sender<const W: usize>(ticket: Ticket, site: Site) -> Result<Self::Sender<W>, Error>;
    /// Takes the receiving end, in either process.
    fn receiver<const W: usize>(ticket: Ticket, site: Site) -> Result<Self::Receiver<W>, Error>;
}

/// How a direction is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Messages it holds, where that can be chosen.
    pub capacity: usize,
    /// Poll instead of blocking in the kernel, where there is a choice.
    pub polling: bool,
    /// How annulus's rings wait.
    pub wait: WaitMethod,
}

/// One direction, made but not yet taken.
pub struct Route {
    /// For the sender.
    pub send: Ticket,
    /// For the receiver.
    pub recv: Ticket,
    /// What keeps it alive, or removes its name, until both ends are taken.
    pub keep: Option<Box<dyn std::any::Any>>,
}

/// Where an end lives: the shape it was made with, and how to wait there.
#[derive(Clone)]
pub struct Site {
    /// As given to [`Transport::create`].
    pub shape: Shape,
    pub(crate) control: Arc<Control>,
}

impl Site {
    pub(crate) fn spin(&self) -> Spin {
        Spin::new(&self.control)
    }
}
