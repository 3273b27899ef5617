//! Looking at a ring without taking part. Imports: atomic, layout, seat, segment.

use core::fmt;
use std::os::fd::OwnedFd;

use crate::atomic::{publish, relaxed, retire};
use crate::error::Error;
use crate::layout::{self, Kind, WaitMethod};
use crate::seat::{self, SeatState};
use crate::segment::{Access, Address, Format, Segment};

/// A read-only view of a segment of any kind: facts, seats and how far it has come.
///
/// It maps the segment without the right to write, needs read permission alone, and
/// changes nothing; what it sees may be out of date at once.
///
/// ```
/// # let name = format!("shm:annulus-doc-{}", std::process::id());
/// let ring = annulus::spsc::Ring::<u64>::options().capacity(8).create_new(&name)?;
/// let _sender = ring.sender()?;
/// let seen = annulus::Observer::open(&name)?;
/// assert_eq!(seen.capacity(), 8);
/// assert_eq!(seen.seats()?[0].state, annulus::SeatState::Live);
/// # annulus::unlink(&name)?;
/// # Ok::<(), annulus::Error>(())
/// ```
pub struct Observer {
    segment: Segment,
    format: Format,
}

/// One seat, as an observer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeatView {
    /// `sender` or `receiver`.
    pub role: &'static str,
    /// What the segment says.
    pub state: SeatState,
    /// What the kernel says: whether somebody holds the seat's lock now.
    pub held: bool,
    /// What the occupant noted as its process id, in its own pid namespace.
    pub pid: Option<u32>,
    /// Of a broadcast's receiver: the position that it has told, which may be 32 messages
    /// late.
    pub position: Option<u64>,
    /// The seat's claim, as docs/format.md has it, where there are such: 0 if none.
    pub claim: Option<u64>,
}

impl Observer {
    /// Opens what stands under an address, read-only, whatever its mode, if the user that
    /// this process acts as owns it: see [`open_owned_by`](Self::open_owned_by) for others.
    ///
    /// # Errors
    /// As [`Options::open`](crate::Options::open), but for the expectations.
    pub fn open(address: &str) -> Result<Self, Error> {
        Self::with(Access::OBSERVER, address)
    }

    /// As [`open`](Self::open), of a segment that another user owns.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_owned_by(address: &str, uid: u32) -> Result<Self, Error> {
        Self::with(Access { owner: Some(uid), ..Access::OBSERVER }, address)
    }

    /// As [`open`](Self::open), guarded against those who shorten the file meanwhile, as by
    /// [`Options::sigbus_guard`](crate::Options::sigbus_guard).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_guarded(address: &str) -> Result<Self, Error> {
        Self::with(Access { sigbus_guard: true, ..Access::OBSERVER }, address)
    }

    /// Observes through a descriptor, which may be open for reading alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(file: OwnedFd) -> Result<Self, Error> {
        let (segment, format) = Segment::observe_fd(file, Access::OBSERVER)?;
        Ok(Self { segment, format })
    }

    fn with(access: Access, address: &str) -> Result<Self, Error> {
        let (segment, format) = Segment::open_named(&Address::parse(address)?, access, false)?;
        Ok(Self { segment, format })
    }

    /// The kind of ring.
    pub fn kind(&self) -> Kind {
        self.format.kind
    }

    /// Number of slots, or bytes of a stream.
    pub fn capacity(&self) -> u64 {
        self.format.capacity
    }

    /// Message size in bytes: the maximum for byte messages, 1 for a stream.
    pub fn message_size(&self) -> u64 {
        self.format.message_size
    }

    /// The message type's tag.
    pub fn type_tag(&self) -> u64 {
        self.format.type_tag
    }

    /// Length of the segment in bytes.
    pub fn segment_len(&self) -> u64 {
        self.format.len
    }

    /// Random number given to the segment when it was made.
    pub fn creation_id(&self) -> u64 {
        self.format.creation_id
    }

    /// How blocked participants sleep.
    pub fn wait_method(&self) -> WaitMethod {
        self.format.wait_method
    }

    /// Waits that only the end of a slice rescued: for a message, for room. They stay 0
    /// unless a waiter is killed at the wrong moment.
    pub fn rescues(&self) -> (u64, u64) {
        let count = |at| self.segment.span().word(at + layout::event::RESCUES).load(relaxed::HINT);
        let [not_empty, not_full] = self.format.kind.events(self.format.seats);
        (count(not_empty), count(not_full))
    }

    /// Position of the next message, or byte, to be received. Of a broadcast, whose
    /// receivers have a position each, of the oldest message that is still there.
    pub fn head(&self) -> u64 {
        if self.format.kind.is_broadcast() {
            return self.tail().unwrap_or(0).saturating_sub(self.format.capacity);
        }
        let at = match self.format.kind {
            kind if kind.is_mpmc() => layout::control_at(self.format.seats) + layout::mpmc::HEAD,
            _ => layout::spsc::HEAD,
        };
        // RETIRE: so that `len` does not count what was received before.
        self.segment.span().word(at).load_fenced(retire::ACQUIRE)
    }

    /// Position behind the last committed byte of a stream, or message of a broadcast, or
    /// behind the last that was taken in an mpmc ring; an spsc ring has no such word.
    pub fn tail(&self) -> Option<u64> {
        let at = match self.format.kind {
            Kind::Stream => layout::stream::TAIL,
            kind if kind.is_broadcast() => {
                layout::control_at(self.format.seats) + layout::broadcast::TAIL
            }
            kind if kind.is_mpmc() => layout::control_at(self.format.seats) + layout::mpmc::TAIL,
            _ => return None,
        };
        // PUBLISH: what is counted is there.
        Some(self.segment.span().word(at).load_fenced(publish::ACQUIRE))
    }

    /// How many messages are there, or bytes of a stream: between 0 and the capacity. By the
    /// slots' stamps in an spsc ring; those that are being written included in an mpmc ring.
    pub fn len(&self) -> u64 {
        let head = self.head();
        if let Some(tail) = self.tail() {
            return tail.saturating_sub(head).min(self.format.capacity);
        }
        let first = layout::slots_at(self.format.kind, self.format.seats);
        let stride = self.format.shape().stride;
        let full = |n: &u64| {
            let position = head.wrapping_add(*n);
            let index = (position & (self.format.capacity - 1)) as usize;
            // Looked at, never acted upon.
            self.segment.span().word(first + index * stride).load(relaxed::HINT)
                == position.wrapping_add(1)
        };
        // Full slots are a prefix, so a binary search would do; a live ring moves on
        // meanwhile either way.
        (0..self.format.capacity).take_while(full).count() as u64
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All seats: what the segment says of them and what the kernel says.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a state that is none; [`Error::Os`].
    pub fn seats(&self) -> Result<Vec<SeatView>, Error> {
        (0..self.format.seats as usize).map(|index| self.seat(index)).collect()
    }

    fn seat(&self, index: usize) -> Result<SeatView, Error> {
        let senders = if self.format.kind.is_mpmc() { self.format.seats as usize / 2 } else { 1 };
        let role = if index < senders { "sender" } else { "receiver" };
        let tells = self.format.kind.is_broadcast() && index != layout::broadcast::SENDER;
        let at = layout::seat_line(index) + layout::seat::POSITION;
        // Looked at, never acted upon.
        let claims = self.format.kind.is_mpmc()
            || matches!(self.format.kind, Kind::Spsc | Kind::SpscBytes)
                && index == layout::spsc::RECEIVER;
        let claim_at = layout::seat_line(index) + layout::seat::CLAIM;
        let claim = claims.then(|| self.segment.span().word(claim_at).load(relaxed::HINT));
        let position = tells.then(|| self.segment.span().word(at).load(relaxed::HINT));
        Ok(SeatView {
            role,
            state: seat::peek(&self.segment, index)?,
            held: seat::is_held(&self.segment, index)?,
            pid: seat::pid(&self.segment, index),
            position,
            claim,
        })
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("format", &self.format).finish_non_exhaustive()
    }
}
