//! Bytes from one process to another, as through a pipe.
//!
//! ```text
//!             head                tail
//!              v                   v
//!   [ .. taken | waiting .......... | room ........ ]      index = position & mask
//!              └─ the receiver's ──┘ └─ the sender's ─
//! ```
//!
//! Positions count bytes. The sender copies bytes behind the tail, then moves the tail:
//! that commits them. The receiver copies from the head, then moves the head. There are
//! no frames, as in a pipe: what was written in two pieces may be read in one, or in
//! three. It is Lamport's ring (1983) with each side keeping a private copy of the
//! other's index.
//!
//! Promises: order; `try_*` are wait-free, allocate nothing and make no system call
//! unless the peer sleeps; a whole prefix of what was written is delivered, whoever dies.
//! A stream has one sender and one receiver in its life. Its end is said
//! ([`Sender::finish`]); a sender that dies or aborts has not said it, and the receiver
//! gets what was committed, then *died*. Does not promise: see docs/guarantees.md.
//!
//! Memory: 896 bytes and the capacity, and one page per endpoint.
//!
//! ```
//! use std::io::{Read, Write};
//!
//! let (mut sender, mut receiver) = annulus::stream::channel(1 << 16)?;
//! let thread = std::thread::spawn(move || {
//!     sender.write_all(b"any bytes, in pieces of any length")?;
//!     sender.finish().map_err(std::io::Error::from)
//! });
//! let mut received = Vec::new();
//! receiver.read_to_end(&mut received)?;
//! assert_eq!(received, b"any bytes, in pieces of any length");
//! thread.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Imports: atomic, layout, copy, segment, gate, slots, seat, wait, endpoint, options.
//! Never sys.

mod bytes;
mod ends;
#[cfg(not(loom))]
mod fd;
mod guard;
mod io;
mod receiver;
mod reservation;
mod sender;

use core::fmt;
use std::marker::PhantomData;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

pub use guard::RecvRef;
pub use receiver::Receiver;
pub use reservation::Reservation;
pub use sender::Sender;

use crate::atomic::{Span, relaxed};
use crate::endpoint::{Patience, Waiter};
use crate::error::Error;
use crate::layout::{self, FNV_OFFSET, Kind, fnv1a};
use crate::options::{DEFAULT_BYTES, Options, RingKind, sealed};
use crate::payload::{Copying, Trust, Trusted};
use crate::segment::{Expect, Format, Segment};
use crate::wait::Event;

/// The stream's events, by number.
const NOT_EMPTY: usize = 0;
const NOT_FULL: usize = 1;

/// An opened stream; gives its two endpoints.
///
/// Cheap to clone; clones share one mapping, which lives as long as any of them or any
/// endpoint.
pub struct Ring<A = Copying> {
    segment: Arc<Segment>,
    format: Format,
    patience: Patience,
    _trust: PhantomData<fn() -> A>,
}

impl<A> Clone for Ring<A> {
    fn clone(&self) -> Self {
        Self { segment: Arc::clone(&self.segment), _trust: PhantomData, ..*self }
    }
}

impl<A> fmt::Debug for Ring<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("stream::Ring").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Ring {
    /// How to make or open a stream. Its capacity is in bytes.
    pub fn options() -> Options<Self> {
        Options::new()
    }

    /// Opens the stream under an address with the default options.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(address: &str) -> Result<Self, Error> {
        Self::options().open(address)
    }

    /// Opens the stream in a memfd that was passed to this process, with the default
    /// options.
    ///
    /// # Errors
    /// As [`Options::from_fd`].
    pub fn from_fd(memfd: OwnedFd) -> Result<Self, Error> {
        Self::options().from_fd(memfd)
    }
}

/// Needing no trust is always safe.
impl From<Ring<Trusted>> for Ring {
    fn from(ring: Ring<Trusted>) -> Self {
        Self {
            segment: ring.segment,
            format: ring.format,
            patience: ring.patience,
            _trust: PhantomData,
        }
    }
}

impl<A: Trust> Ring<A> {
    /// Takes the sender's seat: once in the stream's life.
    ///
    /// # Errors
    /// [`Error::SeatTaken`] while a sender lives, in any process; [`Error::Over`] if one
    /// has been there; [`Error::Corrupt`]; [`Error::Os`], descriptors being finite: a
    /// seat uses one.
    pub fn sender(&self) -> Result<Sender<A>, Error> {
        Sender::attach(self)
    }

    /// Takes the receiver's seat: once in the stream's life. It may come when the sender
    /// has gone already, and gets what that one committed.
    ///
    /// # Errors
    /// As [`sender`](Self::sender).
    pub fn receiver(&self) -> Result<Receiver<A>, Error> {
        Receiver::attach(self)
    }

    /// Bytes that fit.
    pub fn capacity(&self) -> u64 {
        self.format.capacity
    }

    /// The segment's descriptor, to be passed to another process: a memfd's for
    /// [`from_fd`](Self::from_fd). `None` on the heap.
    pub fn segment_fd(&self) -> Option<BorrowedFd<'_>> {
        self.segment.file()
    }

    /// The event that a sender notifies and a receiver waits on.
    fn not_empty(&self) -> Event {
        Event::new(&self.segment, &self.format, layout::stream::NOT_EMPTY, NOT_EMPTY)
    }

    /// The event that a receiver notifies and a sender waits on.
    fn not_full(&self) -> Event {
        Event::new(&self.segment, &self.format, layout::stream::NOT_FULL, NOT_FULL)
    }

    /// How an endpoint waits on an event.
    fn waiter(&self, event: Event) -> Arc<Waiter> {
        Waiter::new(event, self.patience)
    }
}

impl<A: Trust> RingKind for Ring<A> {}

impl<A: Trust> sealed::Sealed for Ring<A> {
    type Trusted = Ring<Trusted>;

    fn expect() -> Expect {
        Expect {
            kind: Kind::Stream,
            sibling: None,
            seats: None,
            message_size: Some(1),
            message_align: 1,
            capacity: None,
            wait_method: None,
            type_tag: fnv1a(FNV_OFFSET, b"bytes"),
        }
    }

    fn default_capacity(_: u64) -> u64 {
        DEFAULT_BYTES
    }

    fn initialise(span: &Span, _: &Format, start: u64) {
        // The segment is still private to its creator.
        span.word(layout::stream::HEAD).store(start, relaxed::SOLE_WRITER);
        span.word(layout::stream::TAIL).store(start, relaxed::SOLE_WRITER);
    }

    fn assemble(segment: Arc<Segment>, format: Format, patience: Patience) -> Result<Self, Error> {
        Ok(Self { segment, format, patience, _trust: PhantomData })
    }
}

/// A stream on the heap for two threads: its endpoints. `capacity` in bytes, as in
/// [`Options::capacity`].
///
/// # Errors
/// [`Error::Option`] for a capacity that is no power of two.
pub fn channel(capacity: u64) -> Result<(Sender<Trusted>, Receiver<Trusted>), Error> {
    let ring = Ring::options().capacity(capacity).create_heap()?;
    Ok((ring.sender()?, ring.receiver()?))
}
