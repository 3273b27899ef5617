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
//! Promises: FIFO; `try_*` are wait-free, allocate nothing and make no system call; a
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
//! Imports: layout, copy, segment, slots, gate, seat, endpoint, options. Never sys.

mod receiver;
mod sender;

use core::fmt;
use std::marker::PhantomData;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

pub use receiver::{Receiver, RecvRef};
pub use sender::{Reservation, Sender};

use crate::atomic::relaxed;
use crate::error::Error;
use crate::layout::{self, FNV_OFFSET, Kind, fnv1a};
use crate::message::Message;
use crate::options::{Options, RingKind, sealed};
use crate::segment::{Expect, Format, Segment};

/// An opened ring; gives its two endpoints.
///
/// Cheap to clone; clones share one mapping, which lives as long as any of them or any
/// endpoint.
pub struct Ring<T> {
    segment: Arc<Segment>,
    format: Format,
    _messages: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        Self { segment: Arc::clone(&self.segment), format: self.format, _messages: PhantomData }
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("spsc::Ring").field("format", &self.format).finish_non_exhaustive()
    }
}

impl<T: Message> Ring<T> {
    /// How to make or open a ring of `T`.
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

    /// Takes the sender's seat.
    ///
    /// The successor of a sender that left or died continues behind the last committed
    /// message; to find it, it reads as many stamps as there are messages waiting.
    ///
    /// # Errors
    /// [`Error::SeatTaken`] while another sender lives, in any process;
    /// [`Error::Corrupt`]; [`Error::Os`], descriptors being finite: a seat uses one.
    pub fn sender(&self) -> Result<Sender<T>, Error> {
        Sender::attach(&self.segment, &self.format)
    }

    /// Takes the receiver's seat.
    ///
    /// The successor of a receiver that left or died continues at the first message that
    /// was not released.
    ///
    /// # Errors
    /// As [`sender`](Self::sender).
    pub fn receiver(&self) -> Result<Receiver<T>, Error> {
        Receiver::attach(&self.segment, &self.format)
    }

    /// Number of slots.
    pub fn capacity(&self) -> u64 {
        self.format.capacity
    }

    /// The segment's descriptor, to be passed to another process: a memfd's for
    /// [`from_fd`](Self::from_fd). `None` on the heap.
    pub fn segment_fd(&self) -> Option<BorrowedFd<'_>> {
        self.segment.file()
    }
}

impl<T: Message> RingKind for Ring<T> {}

impl<T: Message> sealed::Sealed for Ring<T> {
    fn expect() -> sealed::ExpectOf {
        sealed::ExpectOf(Expect {
            kind: Kind::Spsc,
            message_size: size_of::<T>() as u64,
            message_align: align_of::<T>() as u64,
            capacity: None,
            type_tag: fnv1a(FNV_OFFSET, std::any::type_name::<T>().as_bytes()),
        })
    }

    fn initialise(sealed::SpanOf(span): sealed::SpanOf<'_>, start: u64) {
        // The segment is still private to its creator.
        span.word(layout::spsc::HEAD).store(start, relaxed::SOLE_WRITER);
    }

    fn assemble(sealed::SegmentOf(segment, format): sealed::SegmentOf) -> Result<Self, Error> {
        Ok(Self { segment, format, _messages: PhantomData })
    }
}

/// A ring on the heap for two threads, and its endpoints. `capacity` as in
/// [`Options::capacity`].
///
/// # Errors
/// [`Error::Option`] for a capacity that is no power of two.
pub fn channel<T: Message>(capacity: u64) -> Result<(Sender<T>, Receiver<T>), Error> {
    let ring = Ring::options().capacity(capacity).create_heap()?;
    Ok((ring.sender()?, ring.receiver()?))
}
