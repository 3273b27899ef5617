//! Large messages whose writing and reading take long: media frames, batches, images.
//!
//! ```text
//!   buffers   [ free ][ held by a sender ][ sent ][ held by a receiver ][ free ] ..
//!                          │ send               │            ▲ recv
//!                          ▼                    ▼            │
//!   handles   ────────────▶ mpmc ring of { buffer, generation, length } ──▶
//! ```
//!
//! In an [`mpmc`] ring whoever takes a position stalls the others until he has
//! committed or released it. Here nobody holds a position while he writes or reads: he holds
//! a *buffer*, of which there are as many as the capacity says, and only its handle goes
//! through a ring, in a moment. Frames are received in the order in which they were *sent*,
//! not begun, and each by one receiver, who may keep it as long as it likes.
//!
//! A buffer whose holder has died comes back: free, if he was a sender that had not sent it,
//! or a receiver that had received it. So a frame is delivered at most once, but that a
//! receiver which dies in the very moment of receiving has its frame delivered to another,
//! marked.
//!
//! Why so: a copy in and out of a ring of large slots would do without buffers, but stalls
//! all others for as long as the copy takes, and a camera or an encoder writes for
//! milliseconds. A ring per sender would free the senders, not the receivers. Handles in a
//! ring of ours inherit its proof; what is new is one word a buffer.
//!
//! Promises: `try_*` allocate nothing and make no system call unless a peer sleeps, but that
//! every 4096th refusal in a row looks for the dead. Does not promise more progress than the
//! ring of handles: see [`mpmc`] and docs/guarantees.md.
//!
//! Memory: the buffers, each rounded up to 4096 bytes, with a line and a slot of 32 bytes for
//! each, and what an mpmc ring takes.
//!
//! ```
//! use annulus::frames::Ring;
//!
//! let ring = Ring::options().capacity(4).max_len(1 << 20).create_memfd("video")?;
//! let (mut camera, mut encoder) = (ring.sender()?, ring.receiver()?);
//! let mut frame = camera.take()?;
//! frame.append(b"a picture, line by line");
//! frame.send()?;
//! let frame = encoder.recv()?;
//! assert_eq!(frame.to_vec(), b"a picture, line by line");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Imports: atomic, layout, copy, segment, gate, seat, endpoint, options, lend, mpmc. Never
//! sys.

mod buffers;
mod receiver;
mod sender;
mod word;

use core::fmt;
use std::marker::PhantomData;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

pub use receiver::{Received, Receiver};
pub use sender::{Frame, SendFrameError, Sender};

use crate::atomic::{Span, relaxed};
use crate::endpoint::Patience;
use crate::error::Error;
use crate::layout::{self, FNV_OFFSET, Kind, LINE, fnv1a};
use crate::mpmc;
use crate::options::{Options, RingKind, sealed};
use crate::payload::{Copying, Trust, Trusted};
use crate::segment::{Expect, Format, Segment};

/// Buffers of a new ring.
const DEFAULT_BUFFERS: u64 = 8;

/// Seats of a new ring, of either side.
const DEFAULT_SEATS: u64 = 64;

/// Buffer, generation, length.
pub(crate) type Handle = [u64; 3];

/// An opened ring of frames; gives its endpoints.
///
/// Cheap to clone; clones share one mapping, which lives as long as any of them, any
/// endpoint, or any frame in hand.
pub struct Ring<A = Copying> {
    segment: Arc<Segment>,
    format: Format,
    handles: mpmc::Ring<Handle>,
    _trust: PhantomData<fn() -> A>,
}

impl<A> Clone for Ring<A> {
    fn clone(&self) -> Self {
        Self {
            segment: Arc::clone(&self.segment),
            handles: self.handles.clone(),
            _trust: PhantomData,
            ..*self
        }
    }
}

impl<A> fmt::Debug for Ring<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("frames::Ring").field("format", &self.format).finish_non_exhaustive()
    }
}

/// What only a ring of frames can be.
impl<A: Trust> Options<Ring<A>> {
    /// Longest frame in bytes, at most 2^30. When creating, 1024 by default; when opening, the
    /// default is to take what is there.
    pub fn max_len(mut self, bytes: u64) -> Self {
        self.set_max_len(bytes);
        self
    }

    /// How many senders there can be at once, and how many receivers: from 1 to 256. When
    /// creating, 64 by default, at 256 bytes each; when opening, the default is to take what
    /// is there.
    pub fn seats(mut self, seats: u64) -> Self {
        self.set_seats(seats.saturating_mul(2));
        self
    }
}

impl Ring {
    /// How to make or open a ring of frames. Its capacity is the number of buffers.
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

impl<A: Trust> Ring<A> {
    /// Takes a sender's seat.
    ///
    /// # Errors
    /// [`Error::NoSeat`]; [`Error::Corrupt`]; [`Error::Os`], descriptors being finite: a seat
    /// uses one.
    pub fn sender(&self) -> Result<Sender<A>, Error> {
        Sender::attach(self)
    }

    /// Takes a receiver's seat.
    ///
    /// # Errors
    /// As [`sender`](Self::sender).
    pub fn receiver(&self) -> Result<Receiver<A>, Error> {
        Receiver::attach(self)
    }

    /// Number of buffers.
    pub fn capacity(&self) -> u64 {
        self.format.capacity
    }

    /// How many senders there can be at once, and how many receivers.
    pub fn seats(&self) -> u64 {
        self.format.seats / 2
    }

    /// Longest frame in bytes.
    pub fn max_len(&self) -> usize {
        self.format.message_size as usize
    }

    /// The segment's descriptor, to be passed to another process: a memfd's for
    /// [`from_fd`](Self::from_fd). `None` on the heap.
    pub fn segment_fd(&self) -> Option<BorrowedFd<'_>> {
        self.segment.file()
    }
}

/// The format of the ring of handles, which begins the segment.
fn handles(format: &Format) -> Result<Format, Error> {
    let shape = layout::frames::HANDLE;
    let len = layout::segment_len(Kind::Mpmc, format.seats, format.capacity, shape);
    Ok(Format {
        kind: Kind::Mpmc,
        message_size: size_of::<Handle>() as u64,
        message_align: 8,
        len: len.ok_or(Error::OUT_OF_MEMORY)?,
        ..*format
    })
}

impl<A: Trust> RingKind for Ring<A> {}

impl<A: Trust> sealed::Sealed for Ring<A> {
    type Trusted = Ring<Trusted>;

    const DEFAULT_SEATS: Option<u64> = Some(2 * DEFAULT_SEATS);
    const SEMAPHORES: bool = false;

    fn expect() -> Expect {
        Expect {
            kind: Kind::Frames,
            sibling: None,
            seats: None,
            message_size: None,
            message_align: 1,
            capacity: None,
            wait_method: None,
            type_tag: fnv1a(FNV_OFFSET, b"frames"),
        }
    }

    fn default_capacity(_: u64) -> u64 {
        DEFAULT_BUFFERS
    }

    fn initialise(span: &Span, format: &Format, start: u64) {
        // Checked when the format was made.
        let handles = handles(format).expect("a format that was made");
        mpmc::Ring::<Handle>::initialise(span, &handles, start);
        let at = buffers::words_at(format);
        for index in 0..format.capacity as usize {
            // The segment is still private to its creator.
            span.word(at + index * LINE).store(word::FIRST, relaxed::SOLE_WRITER);
        }
    }

    fn assemble(segment: Arc<Segment>, format: Format, patience: Patience) -> Result<Self, Error> {
        let handles = mpmc::Ring::assemble(Arc::clone(&segment), handles(&format)?, patience)?;
        Ok(Self { segment, format, handles, _trust: PhantomData })
    }
}
