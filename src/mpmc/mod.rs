//! Many senders, many receivers, each in any process; each message goes to one receiver.
//!
//! ```text
//!                 head                    tail
//!                  v                       v
//!   [ free ][ full* ][ full ][ full ][ free* ][ free ]      index = position & mask
//!              └ being received          └ being written
//! ```
//!
//! Vyukov's bounded queue (2010) with two additions that let it survive any death. Before a
//! participant takes a position with its compare-and-exchange, it notes the position in its
//! own seat's line: the *claim*. And whoever meets a position that does not move asks the
//! kernel which seats' owners have died, and settles what those had claimed: a message that
//! was never committed becomes a *tomb*, which receivers pass over; one that was taken and
//! not released comes again, marked *redelivered*.
//!
//! Promises: positions are taken in order, and each message is received once (by copy), or
//! at least once and marked (if its receiver died); a dead peer blocks nobody for longer
//! than two slices. `try_*` allocate nothing and make no system call unless a peer sleeps,
//! but that every 4096th refusal in a row looks for the dead. Does not promise: progress past
//! a peer that *lives* and is stopped in the middle of an operation. A sender stopped between
//! taking a position and committing it stalls all receivers at that position
//! ([`Stalled`](crate::TryRecvError::Stalled)); a receiver stopped between taking and
//! releasing stalls all senders a lap later. So does a long reservation or guard: messages that
//! take long to write or to read go by their handles, see [`frames`](crate::frames). More in
//! docs/guarantees.md.
//!
//! `Closed` and `Died` speak of *now*: nobody of the other side is there. Somebody may come
//! later, and a message that a living receiver holds under a guard comes again only if there
//! is somebody left when he dies. A program in which all must be done keeps an endpoint of its
//! own until it is, as `examples/work_queue.rs` does.
//!
//! Memory: 640 bytes, 256 for each seat of one side (64 unless the options say another
//! number), a slot per message, as of an spsc ring, and one page per endpoint.
//!
//! ```
//! use annulus::mpmc::Ring;
//!
//! let ring = Ring::<u64>::options().capacity(1024).create_memfd("work")?;
//! let mut sender = ring.sender()?;
//! let mut other = sender.try_clone()?;
//! let mut receiver = ring.receiver()?;
//! sender.send(1)?;
//! other.send(2)?;
//! assert_eq!(receiver.recv()? + receiver.recv()?, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Imports: atomic, layout, copy, segment, gate, slots, seat, wait, endpoint, options, lend.
//! Never sys.

mod bytes;
#[cfg(feature = "test-hooks")]
mod doors;
mod guard;
mod inside;
mod post;
mod receiver;
mod recover;
mod reservation;
mod sender;
mod words;

use core::fmt;
use std::marker::PhantomData;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

pub use guard::RecvRef;
pub use receiver::{Delivery, Receiver};
pub use reservation::Reservation;
pub use sender::Sender;

use crate::atomic::{Span, relaxed};
use crate::endpoint::{Patience, Waiter};
use crate::error::Error;
use crate::layout::{self, FNV_OFFSET, Kind, fnv1a};
use crate::message::Message;
use crate::options::{Options, RingKind, sealed};
use crate::payload::{Copying, Payload, Trust, Trusted};
use crate::segment::{Expect, Format, Segment};
use crate::slots;
use crate::wait::Event;
use words::Slot;

/// The ring's events, by number.
const NOT_EMPTY: usize = 0;
const NOT_FULL: usize = 1;

/// Seats of a new ring, of either side.
const DEFAULT_SEATS: u64 = 64;

/// An opened ring of `M`; gives its endpoints.
///
/// `M` is a [`Message`], or `[u8]` for byte messages up to a maximum length. Cheap to clone;
/// clones share one mapping, which lives as long as any of them or any endpoint.
pub struct Ring<M: ?Sized, A = Copying> {
    segment: Arc<Segment>,
    format: Format,
    patience: Patience,
    _messages: PhantomData<fn(A) -> M>,
}

impl<M: ?Sized, A> Clone for Ring<M, A> {
    fn clone(&self) -> Self {
        Self { segment: Arc::clone(&self.segment), _messages: PhantomData, ..*self }
    }
}

impl<M: ?Sized, A> fmt::Debug for Ring<M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpmc::Ring").field("format", &self.format).finish_non_exhaustive()
    }
}

/// What only an mpmc ring can be.
impl<M: Payload + ?Sized, A: Trust> Options<Ring<M, A>> {
    /// How many senders there can be at once, and how many receivers: from 1 to 256. When
    /// creating, 64 by default, at 256 bytes each; when opening, the default is to take what
    /// is there.
    pub fn seats(mut self, seats: u64) -> Self {
        self.set_seats(seats.saturating_mul(2));
        self
    }
}

impl<M: Payload + ?Sized> Ring<M> {
    /// How to make or open a ring of `M`.
    pub fn options() -> Options<Self> {
        Options::new()
    }

    /// Opens the ring under an address with the default options.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(address: &str) -> Result<Self, Error> {
        Self::options().open(address)
    }

    /// Opens the ring in a memfd that was passed to this process, with the default options.
    ///
    /// # Errors
    /// As [`Options::from_fd`].
    pub fn from_fd(memfd: OwnedFd) -> Result<Self, Error> {
        Self::options().from_fd(memfd)
    }
}

/// Needing no trust is always safe.
impl<M: ?Sized> From<Ring<M, Trusted>> for Ring<M> {
    fn from(ring: Ring<M, Trusted>) -> Self {
        Self {
            segment: ring.segment,
            format: ring.format,
            patience: ring.patience,
            _messages: PhantomData,
        }
    }
}

impl<M: Payload + ?Sized, A: Trust> Ring<M, A> {
    /// Takes a sender's seat.
    ///
    /// # Errors
    /// [`Error::NoSeat`]; [`Error::Corrupt`]; [`Error::Os`], descriptors being finite: a seat
    /// uses one.
    pub fn sender(&self) -> Result<Sender<M, A>, Error> {
        Sender::attach(self)
    }

    /// Takes a receiver's seat.
    ///
    /// # Errors
    /// As [`sender`](Self::sender).
    pub fn receiver(&self) -> Result<Receiver<M, A>, Error> {
        Receiver::attach(self)
    }

    /// Number of slots.
    pub fn capacity(&self) -> u64 {
        self.format.capacity
    }

    /// How many senders there can be at once, and how many receivers.
    pub fn seats(&self) -> u64 {
        self.format.seats / 2
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

    /// The event that receivers notify and senders wait on.
    pub(crate) fn not_full(&self) -> Event {
        self.event(NOT_FULL)
    }

    /// The event that senders notify and receivers wait on, or the converse.
    fn event(&self, which: usize) -> Event {
        let at = self.format.kind.events(self.format.seats)[which];
        Event::new(&self.segment, &self.format, at, which)
    }

    /// How an endpoint waits on an event.
    fn waiter(&self, event: Event) -> Arc<Waiter> {
        Waiter::new(event, self.patience)
    }
}

impl<M: Payload + ?Sized, A: Trust> RingKind for Ring<M, A> {}

impl<M: Payload + ?Sized, A: Trust> sealed::Sealed for Ring<M, A> {
    type Trusted = Ring<M, Trusted>;

    const DEFAULT_SEATS: Option<u64> = Some(2 * DEFAULT_SEATS);
    const SEMAPHORES: bool = false;

    fn expect() -> Expect {
        Expect {
            kind: if M::BYTES { Kind::MpmcBytes } else { Kind::Mpmc },
            sibling: None,
            seats: None,
            message_size: M::SIZE.map(|size| size as u64),
            message_align: M::ALIGN as u64,
            capacity: None,
            wait_method: None,
            type_tag: fnv1a(FNV_OFFSET, std::any::type_name::<M>().as_bytes()),
        }
    }

    fn initialise(span: &Span, format: &Format, start: u64) {
        slots::initialise_with(span, format, start, |position| Slot::Free(position).word());
        let at = layout::control_at(format.seats);
        // The segment is still private to its creator.
        span.word(at + layout::mpmc::TAIL).store(start, relaxed::SOLE_WRITER);
        span.word(at + layout::mpmc::HEAD).store(start, relaxed::SOLE_WRITER);
    }

    fn assemble(segment: Arc<Segment>, format: Format, patience: Patience) -> Result<Self, Error> {
        Ok(Self { segment, format, patience, _messages: PhantomData })
    }
}

/// The first two ends of a ring on the heap; clones make more.
pub type Ends<T> = (Sender<T, Trusted>, Receiver<T, Trusted>);

/// A ring on the heap for threads, and its first endpoints. `capacity` as in
/// [`Options::capacity`].
///
/// # Errors
/// [`Error::Option`] for a capacity that is no power of two.
pub fn channel<T: Message>(capacity: u64) -> Result<Ends<T>, Error> {
    let ring = Ring::options().capacity(capacity).create_heap()?;
    Ok((ring.sender()?, ring.receiver()?))
}
