//! One sender, one receiver, each in any process.
//!
//! ```text
//!             head          tail
//!              v             v
//!   [ free ][ full ][ full ][ free ]      index = position & mask
//! ```
//!
//! Each slot begins with a stamp that says for which position it holds a message, so the
//! receiver polls the very cache line that brings the message: one line moves per
//! message, where an index-based ring moves two. The stamp is that of Vyukov's bounded
//! queue (2010), used by one sender and one receiver who need no compare-and-exchange.
//!
//! Promises: FIFO; `try_*` are wait-free, allocate nothing and make no system call
//! unless the peer sleeps; a
//! message is committed by one store of its stamp and received by one store of the head.
//! Does not promise: see docs/guarantees.md.
//!
//! Memory: 768 bytes and a slot per message (8 bytes more than the message, rounded up
//! to 16, 32, 64 or a multiple of 64), and one page per endpoint.
//!
//! ```
//! use annulus::spsc;
//!
//! let (mut sender, mut receiver) = spsc::channel::<u64>(1024)?;
//! let thread = std::thread::spawn(move || receiver.recv());
//! sender.send(42)?;
//! assert_eq!(thread.join().unwrap()?, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Imports: atomic, layout, copy, segment, slots, gate, seat, wait, endpoint, options.
//! Never sys.

mod bytes;
mod guard;
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
use crate::message::Message;
use crate::options::{Options, RingKind, sealed};
use crate::payload::{Copying, Payload, Trust, Trusted};
use crate::segment::{Expect, Format, Segment};
use crate::slots;
use crate::wait::Event;

/// The ring's events, by number.
const NOT_EMPTY: usize = 0;
const NOT_FULL: usize = 1;

/// An opened ring of `M`; gives its two endpoints.
///
/// `M` is a [`Message`], or `[u8]` for byte messages up to a maximum
/// length. Cheap to clone; clones share one mapping, which lives as long as any of them
/// or any endpoint.
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
        f.debug_struct("spsc::Ring").field("format", &self.format).finish_non_exhaustive()
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
    /// Takes the sender's seat.
    ///
    /// The successor of a sender that left or died continues behind the last committed
    /// message; to find it, it reads as many stamps as there are messages waiting.
    ///
    /// # Errors
    /// [`Error::SeatTaken`] while another sender lives, in any process;
    /// [`Error::Corrupt`]; [`Error::Os`], descriptors being finite: a seat uses one.
    pub fn sender(&self) -> Result<Sender<M, A>, Error> {
        Sender::attach(self)
    }

    /// Takes the receiver's seat.
    ///
    /// The successor of a receiver that left or died continues at the first message that
    /// was not released.
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

    /// Message size in bytes: the maximum for byte messages.
    pub fn message_size(&self) -> usize {
        self.format.message_size as usize
    }

    /// The segment's descriptor, to be passed to another process: a memfd's for
    /// [`from_fd`](Self::from_fd). `None` on the heap.
    pub fn segment_fd(&self) -> Option<BorrowedFd<'_>> {
        self.segment.file()
    }

    /// The event that a sender notifies and a receiver waits on.
    fn not_empty(&self) -> Event {
        Event::new(&self.segment, &self.format, layout::spsc::NOT_EMPTY, NOT_EMPTY)
    }

    /// The event that a receiver notifies and a sender waits on.
    fn not_full(&self) -> Event {
        Event::new(&self.segment, &self.format, layout::spsc::NOT_FULL, NOT_FULL)
    }

    /// An event for models.
    #[cfg(feature = "test-hooks")]
    pub(crate) fn test_event(&self) -> Event {
        self.not_empty()
    }

    /// How an endpoint waits on an event.
    fn waiter(&self, event: Event) -> Arc<Waiter> {
        Waiter::new(event, self.patience)
    }
}

impl<M: Payload + ?Sized, A: Trust> RingKind for Ring<M, A> {}

impl<M: Payload + ?Sized, A: Trust> sealed::Sealed for Ring<M, A> {
    type Trusted = Ring<M, Trusted>;

    fn expect() -> Expect {
        Expect {
            kind: if M::BYTES { Kind::SpscBytes } else { Kind::Spsc },
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
        slots::initialise(span, format, start);
        // The segment is still private to its creator.
        span.word(layout::spsc::HEAD).store(start, relaxed::SOLE_WRITER);
    }

    fn assemble(segment: Arc<Segment>, format: Format, patience: Patience) -> Result<Self, Error> {
        Ok(Self { segment, format, patience, _messages: PhantomData })
    }
}

/// The two ends of a ring on the heap.
pub type Ends<T> = (Sender<T, Trusted>, Receiver<T, Trusted>);

/// A ring on the heap for two threads, and its endpoints. `capacity` as in
/// [`Options::capacity`].
///
/// # Errors
/// [`Error::Option`] for a capacity that is no power of two.
pub fn channel<T: Message>(capacity: u64) -> Result<Ends<T>, Error> {
    let ring = Ring::options().capacity(capacity).create_heap()?;
    Ok((ring.sender()?, ring.receiver()?))
}
