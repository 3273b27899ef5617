//! One sender, many receivers, each in any process; every receiver gets every message.
//!
//! ```text
//!   a receiver     another          tail
//!       v             v              v
//!   [ full ][ full ][ full ][ full ][ writing ]      index = position & mask
//! ```
//!
//! The sender writes each message once, and each receiver copies it out for itself. A slot's
//! stamp says which position it holds and whether it is being written, so that a receiver
//! which the sender has lapped finds out: it copies between two looks at the stamp, as
//! readers of a sequence lock do (Boehm 2012).
//!
//! *Overwrite* (the default): the sender never waits. A receiver that is too slow is told
//! exactly how many messages it has missed ([`Lagged`](crate::TryRecvError::Lagged)).
//! *Lossless* ([`Options::lossless`](Options::lossless)): the slowest live receiver holds
//! the sender back, a dead one does not, and nobody misses anything.
//!
//! Promises: order; no torn message, ever; receivers come and go; a sender that restarts
//! goes on behind the last committed message; in overwrite mode the sender is wait-free.
//! Does not promise redelivery: see docs/guarantees.md. There is no guard: what a receiver
//! would look at in place may be overwritten meanwhile ([`Receiver::recv_with`]).
//!
//! Memory: 512 bytes, 128 for each seat (64 unless the options say another number), a slot
//! per message, as of an spsc ring, and one page per endpoint.
//!
//! ```
//! use annulus::TryRecvError;
//! use annulus::broadcast::Ring;
//!
//! let ring = Ring::<u64>::options().capacity(4).create_memfd("ticks")?;
//! let (mut sender, mut fast, mut slow) = (ring.sender()?, ring.receiver()?, ring.receiver()?);
//! for tick in 0..6 {
//!     sender.send(tick)?;
//!     assert_eq!(fast.recv()?, tick);
//! }
//! assert_eq!(slow.try_recv(), Err(TryRecvError::Lagged(3)));
//! assert_eq!(slow.recv()?, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Imports: atomic, layout, copy, segment, gate, slots, seat, wait, endpoint, options.
//! Never sys.

mod bytes;
mod observer;
mod reader;
mod receiver;
mod room;
mod sender;

use core::fmt;
use std::marker::PhantomData;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

pub use observer::Observer;
pub use reader::View;
pub use receiver::Receiver;
pub use sender::Sender;

use crate::atomic::{Span, relaxed};
use crate::endpoint::{Patience, Waiter};
use crate::error::Error;
use crate::layout::{self, FNV_OFFSET, Kind, fnv1a};
use crate::options::{Options, RingKind, sealed};
use crate::payload::Payload;
use crate::segment::{Expect, Format, Segment};
use crate::slots;
use crate::wait::Event;

/// The ring's events, by number.
const NOT_EMPTY: usize = 0;
const NOT_FULL: usize = 1;

/// Seats of a new ring: the sender's, and the receivers'.
const DEFAULT_SEATS: u64 = 64;

/// Where a receiver begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the next message to be sent.
    #[default]
    Newest,
    /// With the oldest message that is still there; of a lossless ring, with the oldest that
    /// its sender has not been allowed to write over.
    Oldest,
    /// With the message of that position; what is not there any more, or of a lossless ring
    /// was given up, is [`Lagged`](crate::TryRecvError::Lagged).
    Position(u64),
}

/// An opened broadcast of `M`; gives its endpoints.
///
/// `M` is a [`Message`](crate::Message), or `[u8]` for byte messages up to a maximum length.
/// Cheap to clone; clones share one mapping, which lives as long as any of them or any
/// endpoint.
pub struct Ring<M: ?Sized> {
    segment: Arc<Segment>,
    format: Format,
    patience: Patience,
    _messages: PhantomData<fn() -> M>,
}

impl<M: ?Sized> Clone for Ring<M> {
    fn clone(&self) -> Self {
        Self { segment: Arc::clone(&self.segment), _messages: PhantomData, ..*self }
    }
}

impl<M: ?Sized> fmt::Debug for Ring<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("broadcast::Ring").field("format", &self.format).finish_non_exhaustive()
    }
}

/// What only a broadcast can be.
impl<M: Payload + ?Sized> Options<Ring<M>> {
    /// Whether the slowest receiver holds the sender back (`true`), or is overwritten
    /// (`false`). When creating, overwritten by default; when opening, the default is to
    /// take what is there.
    pub fn lossless(mut self, lossless: bool) -> Self {
        self.set_kind(kind::<M>(lossless));
        self
    }

    /// Number of seats, the sender's included: from 2 to 512. When creating, 64 by default,
    /// at 128 bytes each; when opening, the default is to take what is there.
    pub fn seats(mut self, seats: u64) -> Self {
        self.set_seats(seats);
        self
    }
}

/// The kind of a broadcast of `M`.
fn kind<M: Payload + ?Sized>(lossless: bool) -> Kind {
    match (M::BYTES, lossless) {
        (false, false) => Kind::Broadcast,
        (true, false) => Kind::BroadcastBytes,
        (false, true) => Kind::Lossless,
        (true, true) => Kind::LosslessBytes,
    }
}

impl<M: Payload + ?Sized> Ring<M> {
    /// How to make or open a broadcast of `M`.
    pub fn options() -> Options<Self> {
        Options::new()
    }

    /// Opens the broadcast under an address with the default options.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(address: &str) -> Result<Self, Error> {
        Self::options().open(address)
    }

    /// Opens the broadcast in a memfd that was passed to this process, with the default
    /// options.
    ///
    /// # Errors
    /// As [`Options::from_fd`].
    pub fn from_fd(memfd: OwnedFd) -> Result<Self, Error> {
        Self::options().from_fd(memfd)
    }

    /// Takes the sender's seat. The successor of a sender that left or died goes on behind
    /// the last committed message.
    ///
    /// # Errors
    /// [`Error::SeatTaken`] while another sender lives, in any process;
    /// [`Error::Corrupt`]; [`Error::Os`], descriptors being finite: a seat uses one.
    pub fn sender(&self) -> Result<Sender<M>, Error> {
        Sender::attach(self)
    }

    /// Takes a receiver's seat, to begin with the next message that is sent.
    ///
    /// # Errors
    /// [`Error::NoSeat`]; otherwise as [`sender`](Self::sender).
    pub fn receiver(&self) -> Result<Receiver<M>, Error> {
        self.receiver_from(Start::Newest)
    }

    /// Takes a receiver's seat, to begin where `start` says.
    ///
    /// # Errors
    /// As [`receiver`](Self::receiver); [`Error::Option`] for a position that nothing has
    /// been sent at yet, but for the very next.
    pub fn receiver_from(&self, start: Start) -> Result<Receiver<M>, Error> {
        Receiver::attach(self, start)
    }

    /// Number of slots.
    pub fn capacity(&self) -> u64 {
        self.format.capacity
    }

    /// Number of seats, the sender's included.
    pub fn seats(&self) -> u64 {
        self.format.seats
    }

    /// Whether the slowest receiver holds the sender back.
    pub fn is_lossless(&self) -> bool {
        self.format.kind.is_lossless()
    }

    /// Message size in bytes: the maximum for byte messages.
    pub fn message_size(&self) -> usize {
        self.format.message_size as usize
    }

    /// The segment's descriptor, to be passed to another process: a memfd's for
    /// [`from_fd`](Self::from_fd). `None` on the heap.
    pub fn segment_fd(&self) -> Option<BorrowedFd<'_>> {
        self.segment.file()
    }

    /// The event that the sender notifies and receivers wait on.
    fn not_empty(&self) -> Event {
        self.event(NOT_EMPTY)
    }

    /// The event that receivers notify and the sender of a lossless ring waits on.
    fn not_full(&self) -> Event {
        self.event(NOT_FULL)
    }

    fn event(&self, which: usize) -> Event {
        let at = self.format.kind.events(self.format.seats)[which];
        Event::new(&self.segment, &self.format, at, which)
    }

    /// How an endpoint waits on an event.
    fn waiter(&self, event: Event) -> Arc<Waiter> {
        Waiter::new(event, self.patience)
    }
}

impl<M: Payload + ?Sized> RingKind for Ring<M> {}

impl<M: Payload + ?Sized> sealed::Sealed for Ring<M> {
    /// Nothing is lent, so nobody need be trusted.
    type Trusted = Self;

    const DEFAULT_SEATS: Option<u64> = Some(DEFAULT_SEATS);
    const SEMAPHORES: bool = false;

    fn expect() -> Expect {
        Expect {
            kind: kind::<M>(false),
            sibling: Some(kind::<M>(true)),
            seats: None,
            message_size: M::SIZE.map(|size| size as u64),
            message_align: M::ALIGN as u64,
            capacity: None,
            wait_method: None,
            type_tag: fnv1a(FNV_OFFSET, std::any::type_name::<M>().as_bytes()),
        }
    }

    fn initialise(span: &Span, format: &Format, start: u64) {
        slots::initialise_with(span, format, start, |position| {
            reader::never_stamp(position, format.capacity)
        });
        let at = layout::control_at(format.seats);
        // The segment is still private to its creator.
        span.word(at + layout::broadcast::TAIL).store(start, relaxed::SOLE_WRITER);
        span.word(at + layout::broadcast::LIMIT).store(start, relaxed::SOLE_WRITER);
    }

    fn assemble(segment: Arc<Segment>, format: Format, patience: Patience) -> Result<Self, Error> {
        Ok(Self { segment, format, patience, _messages: PhantomData })
    }
}
