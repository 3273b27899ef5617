//! The wire format of version 1: where every shared word lies and what it may say.
//!
//! ```text
//!   0      header: facts that never change, magic written last
//!   128    seat line 0, 1, ..: state, pid, claim
//!          control lines: one writer each (spsc: head; stream: head, tail; broadcast: tail)
//!          wait lines: one per event (generation, flag, rescues)
//!   slots  [ stamp | length? | message .. ] x capacity
//!   bytes  capacity of them (stream)
//! ```
//!
//! Everything is a little-endian `u64` unless it is message bytes. docs/format.md
//! has the same table; a test compares the two. Imports: nothing.

/// Bytes between words that different participants write.
///
/// Two 64-byte cache lines, since processors fetch them in pairs. The same on every
/// target, unlike `crossbeam_utils::CachePadded`, for it is part of the format.
pub(crate) const LINE: usize = 128;

/// `annulus\0`, as the eight bytes stand in memory.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"annulus\0");

/// Version of this layout; not the crate's.
pub(crate) const VERSION: u64 = 1;

/// Positions stay below this. At 10^9 messages a second it lasts 146 years.
pub(crate) const POSITION_LIMIT: u64 = 1 << 62;

/// Most slots a ring can have, and bytes a stream.
pub(crate) const CAPACITY_MAX: u64 = 1 << 32;

/// Fewest bytes a stream can have: a word, so that all of them are words.
pub(crate) const STREAM_MIN: u64 = 8;

/// Most seats a ring can have.
pub(crate) const SEATS_MAX: u64 = 512;

/// Largest message, in bytes.
pub(crate) const MESSAGE_MAX: u64 = 1 << 30;

/// Largest segment, in bytes: one that can be mapped on every target.
pub(crate) const SEGMENT_MAX: u64 = 1 << 46;

/// Largest alignment of a message: the line's, which is that of the slots.
pub(crate) const ALIGN_MAX: u64 = LINE as u64;

/// Byte offsets of the header's words.
pub(crate) mod header {
    /// [`MAGIC`](super::MAGIC), stored last of all.
    pub(crate) const MAGIC: usize = 0;
    /// [`VERSION`](super::VERSION).
    pub(crate) const VERSION: usize = 8;
    /// A [`Kind`](super::Kind).
    pub(crate) const KIND: usize = 16;
    /// Message size in bytes; the maximum for byte messages.
    pub(crate) const MESSAGE_SIZE: usize = 24;
    /// Message alignment in bytes.
    pub(crate) const MESSAGE_ALIGN: usize = 32;
    /// Slots, or bytes of a stream; a power of two.
    pub(crate) const CAPACITY: usize = 40;
    /// Tells one message type from another of the same size.
    pub(crate) const TYPE_TAG: usize = 48;
    /// Number of seat lines.
    pub(crate) const SEATS: usize = 56;
    /// How blocked participants sleep.
    pub(crate) const WAIT_METHOD: usize = 64;
    /// How a sleeper's flag and a notifier's change are ordered.
    pub(crate) const BARRIER_FORM: usize = 72;
    /// Length of the whole segment in bytes.
    pub(crate) const LENGTH: usize = 80;
    /// Random, to tell one segment of a name from the next.
    pub(crate) const CREATION_ID: usize = 88;
    /// Over all words between version and creation id.
    pub(crate) const CHECKSUM: usize = 96;
    /// The header's words, in order, and their names in errors and in docs/format.md.
    #[cfg(feature = "test-hooks")]
    pub(crate) const TABLE: &[(usize, &str)] = &[
        (MAGIC, "magic"),
        (VERSION, "version"),
        (KIND, "kind"),
        (MESSAGE_SIZE, "message size"),
        (MESSAGE_ALIGN, "message align"),
        (CAPACITY, "capacity"),
        (TYPE_TAG, "type tag"),
        (SEATS, "seats"),
        (WAIT_METHOD, "wait method"),
        (BARRIER_FORM, "barrier form"),
        (LENGTH, "length"),
        (CREATION_ID, "creation id"),
        (CHECKSUM, "checksum"),
    ];
}

/// Byte offsets within a seat's line.
pub(crate) mod seat {
    /// `incarnation << 8 | state`. Written by whoever holds the seat's lock.
    pub(crate) const STATE: usize = 0;
    /// Process id of the occupant, for people to read. Decides nothing.
    pub(crate) const PID: usize = 8;
    /// Of an spsc receiver: end of the run of positions exposed by a guard; 0 if none. Of
    /// an mpmc participant: the positions that it takes, see `mpmc/words.rs`. Written by the
    /// occupant, and by whoever recovers.
    pub(crate) const CLAIM: usize = 16;
    /// Of a broadcast's receiver: the position that it has come to. Written by it alone.
    pub(crate) const POSITION: usize = 64;
}

/// Byte offsets within an event's line.
pub(crate) mod event {
    /// `arrivals << 1 | set`. Set by sleepers, cleared by notifiers; never reset.
    pub(crate) const FLAG: usize = 0;
    /// The futex: a 32-bit generation, and 32 bits that stay zero. Bumped by notifiers.
    pub(crate) const GENERATION: usize = 64;
    /// How many sleeps only the end of a slice rescued. Written by sleepers, for people.
    pub(crate) const RESCUES: usize = 72;
}

/// Kinds of ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
#[non_exhaustive]
pub enum Kind {
    /// One sender, one receiver, fixed-size messages.
    Spsc = 1,
    /// One sender, one receiver, byte messages up to a maximum length.
    SpscBytes = 2,
    /// One sender, one receiver, bytes without boundaries.
    Stream = 3,
    /// Many senders, many receivers, each message for one of them; fixed-size messages.
    Mpmc = 4,
    /// The same with byte messages up to a maximum length.
    MpmcBytes = 5,
    /// One sender, many receivers, each of whom gets every message, or is told how many
    /// were overwritten before it came to them; fixed-size messages.
    Broadcast = 6,
    /// The same with byte messages up to a maximum length.
    BroadcastBytes = 7,
    /// One sender, many receivers, each of whom gets every message: the slowest holds the
    /// sender back; fixed-size messages.
    Lossless = 8,
    /// The same with byte messages up to a maximum length.
    LosslessBytes = 9,
    /// Many senders, many receivers, large buffers that change hands by an mpmc ring of
    /// handles.
    Frames = 10,
}

impl Kind {
    /// The kind of that number, if there is one.
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        match word {
            1 => Some(Self::Spsc),
            2 => Some(Self::SpscBytes),
            3 => Some(Self::Stream),
            4 => Some(Self::Mpmc),
            5 => Some(Self::MpmcBytes),
            6 => Some(Self::Broadcast),
            7 => Some(Self::BroadcastBytes),
            8 => Some(Self::Lossless),
            9 => Some(Self::LosslessBytes),
            10 => Some(Self::Frames),
            _ => None,
        }
    }

    /// Its name, as docs/format.md has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spsc => "spsc",
            Self::SpscBytes => "spsc bytes",
            Self::Stream => "stream",
            Self::Mpmc => "mpmc",
            Self::MpmcBytes => "mpmc bytes",
            Self::Broadcast => "broadcast",
            Self::BroadcastBytes => "broadcast bytes",
            Self::Lossless => "lossless",
            Self::LosslessBytes => "lossless bytes",
            Self::Frames => "frames",
        }
    }

    /// Whether it is a broadcast, of whatever sort.
    pub(crate) const fn is_broadcast(self) -> bool {
        matches!(
            self,
            Self::Broadcast | Self::BroadcastBytes | Self::Lossless | Self::LosslessBytes
        )
    }

    /// Whether the slowest receiver of a broadcast holds the sender back.
    pub(crate) const fn is_lossless(self) -> bool {
        matches!(self, Self::Lossless | Self::LosslessBytes)
    }

    /// Whether it is an mpmc ring, of whatever sort, or has one.
    pub(crate) const fn is_mpmc(self) -> bool {
        matches!(self, Self::Mpmc | Self::MpmcBytes | Self::Frames)
    }

    /// Most seats that a ring of this kind can have. Two is the least.
    pub(crate) const fn seats_max(self) -> u64 {
        if self.is_broadcast() || self.is_mpmc() { SEATS_MAX } else { 2 }
    }

    /// Whether a ring of this kind can have so many seats: of an mpmc ring half of them are
    /// senders'.
    pub(crate) const fn can_seat(self, seats: u64) -> bool {
        seats >= 2 && seats <= self.seats_max() && (!self.is_mpmc() || seats.is_multiple_of(2))
    }

    /// Fewest slots, or bytes, that a ring of this kind can have.
    pub(crate) const fn capacity_min(self) -> u64 {
        match self {
            Self::Stream => STREAM_MIN,
            // One is being written while others are read.
            Self::Broadcast | Self::BroadcastBytes | Self::Lossless | Self::LosslessBytes => 2,
            Self::Spsc | Self::SpscBytes | Self::Mpmc | Self::MpmcBytes | Self::Frames => 1,
        }
    }

    /// Bytes in a slot's message before the payload: the length of a byte message.
    pub(crate) const fn prefix(self) -> u64 {
        match self {
            Self::Spsc
            | Self::Stream
            | Self::Mpmc
            | Self::Broadcast
            | Self::Lossless
            | Self::Frames => 0,
            Self::SpscBytes | Self::MpmcBytes | Self::BroadcastBytes | Self::LosslessBytes => 8,
        }
    }

    /// Offsets of the lines of the two events, "not empty" and "not full".
    pub(crate) const fn events(self, seats: u64) -> [usize; 2] {
        let first = control_at(seats);
        [first + LINE, first + 2 * LINE]
    }

    /// Number of control lines after the seats.
    const fn control_lines(self) -> usize {
        match self {
            Self::Spsc | Self::SpscBytes => spsc::CONTROL_LINES,
            Self::Stream => stream::CONTROL_LINES,
            Self::Mpmc | Self::MpmcBytes | Self::Frames => mpmc::CONTROL_LINES,
            Self::Broadcast | Self::BroadcastBytes | Self::Lossless | Self::LosslessBytes => {
                broadcast::CONTROL_LINES
            }
        }
    }
}

/// How blocked participants sleep; fixed when a segment is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u64)]
#[non_exhaustive]
pub enum WaitMethod {
    /// They don't: they spin, then yield the processor between polls.
    Spin = 1,
    /// By a futex in the segment.
    #[default]
    Futex = 2,
    /// By POSIX named semaphores, which programs in other languages can post and wait
    /// for. Their memory is the C library's: for cooperating peers with the same one.
    Semaphore = 3,
}

/// The header's barrier form in which the sleeper alone pays.
pub(crate) const ASYMMETRIC: u64 = 1;
/// The header's barrier form with a fence on both sides.
pub(crate) const FENCED: u64 = 2;

impl WaitMethod {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::Futex => "futex",
            Self::Semaphore => "semaphore",
        }
    }

    pub(crate) fn from_word(word: u64) -> Option<Self> {
        match word {
            1 => Some(Self::Spin),
            2 => Some(Self::Futex),
            3 => Some(Self::Semaphore),
            _ => None,
        }
    }
}

/// The control lines of an spsc ring, counted from the end of the seats.
pub(crate) mod spsc {
    use super::LINE;

    /// The sender's seat.
    pub(crate) const SENDER: usize = 0;
    /// The receiver's seat.
    pub(crate) const RECEIVER: usize = 1;
    /// Next position to receive; written by the receiver alone.
    pub(crate) const HEAD: usize = super::seat_line(2);
    /// Where a receiver sleeps until there is a message.
    pub(crate) const NOT_EMPTY: usize = HEAD + LINE;
    /// Where a sender sleeps until there is room.
    pub(crate) const NOT_FULL: usize = NOT_EMPTY + LINE;
    /// Lines from `HEAD` on.
    pub(crate) const CONTROL_LINES: usize = 3;
}

/// The control lines of a stream: those of an spsc ring, and one more.
pub(crate) mod stream {
    use super::LINE;
    pub(crate) use super::spsc::{HEAD, NOT_EMPTY, NOT_FULL, RECEIVER, SENDER};

    /// Position behind the last committed byte; written by the sender alone.
    pub(crate) const TAIL: usize = NOT_FULL + LINE;
    /// Lines from `HEAD` on.
    pub(crate) const CONTROL_LINES: usize = 4;
}

/// The control lines of a broadcast, counted from the end of the seats.
pub(crate) mod broadcast {
    /// The sender's seat. All others are receivers'.
    pub(crate) const SENDER: usize = 0;
    /// Position behind the last committed message, a hint; written by the sender alone.
    pub(crate) const TAIL: usize = 0;
    /// Beside it, of a lossless one: the sender writes no position from this one on.
    pub(crate) const LIMIT: usize = 8;
    /// Lines: tail, not empty, not full.
    pub(crate) const CONTROL_LINES: usize = 3;
}

/// The control lines of an mpmc ring, counted from the end of the seats.
pub(crate) mod mpmc {
    use super::LINE;

    /// Next position to send; moved by senders.
    pub(crate) const TAIL: usize = 0;
    /// Next position to receive; moved by receivers.
    pub(crate) const HEAD: usize = 3 * LINE;
    /// Lines: tail, not empty, not full, head.
    pub(crate) const CONTROL_LINES: usize = 4;
}

/// A segment of frames: an mpmc ring of handles, then a word for each buffer, then the
/// buffers.
pub(crate) mod frames {
    use super::{Kind, LINE, SlotShape, segment_len, slots_at};

    /// Slots of handles: index, generation, length.
    pub(crate) const HANDLE: SlotShape = SlotShape::new(0, 24, 8);
    /// Bytes from one buffer to the next are a multiple of this, and the first begins at one.
    pub(crate) const PAGE: usize = 4096;

    /// Length of the ring of handles: where the buffers' words begin, a line each.
    pub(crate) fn words_at(seats: u64, capacity: u64) -> Option<u64> {
        let end = segment_len(Kind::Mpmc, seats, capacity, HANDLE)?;
        Some(end.next_multiple_of(LINE as u64))
    }

    /// Where the first buffer begins.
    pub(crate) fn buffers_at(seats: u64, capacity: u64) -> Option<u64> {
        let words = capacity.checked_mul(LINE as u64)?;
        let end = words_at(seats, capacity)?.checked_add(words)?;
        end.checked_next_multiple_of(PAGE as u64)
    }

    const _: () =
        assert!(HANDLE.stride == 32 && slots_at(Kind::Frames, 2) == slots_at(Kind::Mpmc, 2));
}

/// Offset of the control lines.
pub(crate) const fn control_at(seats: u64) -> usize {
    seat_line(seats as usize)
}

/// Offset of a seat's line.
pub(crate) const fn seat_line(seat: usize) -> usize {
    LINE * (1 + seat)
}

/// Offset of the first slot of a ring of this kind.
pub(crate) const fn slots_at(kind: Kind, seats: u64) -> usize {
    control_at(seats) + LINE * kind.control_lines()
}

/// The shape of a slot: `[ stamp: 8 ][ message ]`, a power of two up to a cache line
/// so that no small slot straddles two, and whole cache lines above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotShape {
    /// Bytes from one slot to the next.
    pub(crate) stride: usize,
    /// Bytes from a slot's start to its message.
    pub(crate) message_at: usize,
    /// Bytes of a message, its prefix included.
    pub(crate) message_size: usize,
}

impl SlotShape {
    /// Buffers of so many bytes: whole pages.
    pub(crate) const fn buffer(size: usize) -> Self {
        let stride = size.next_multiple_of(frames::PAGE);
        Self { stride, message_at: 0, message_size: size }
    }

    /// A stream's bytes: there are no slots.
    pub(crate) const BYTE: Self = Self { stride: 1, message_at: 0, message_size: 1 };

    /// The shape for payloads of this size and alignment behind a prefix, all within the
    /// format's bounds.
    pub(crate) const fn new(prefix: usize, size: usize, align: usize) -> Self {
        let near = if align > 8 + prefix { align } else { 8 + prefix };
        // Long copies are fastest to where a cache line begins.
        let payload_at = if size >= LONG && near < 64 { 64 } else { near };
        let message_at = payload_at - prefix;
        let size = prefix + size;
        let words = (message_at + size).next_multiple_of(8);
        let stride = match words {
            0..=64 => words.next_power_of_two(),
            // Short ones lie close: two neighbours share the line between them, and a batch
            // takes few lines.
            65..LONG => words,
            _ => words.next_multiple_of(64),
        };
        // A multiple of the alignment, so that every message is aligned.
        let stride = stride.next_multiple_of(if align > 8 { align } else { 8 });
        Self { stride, message_at, message_size: size }
    }
}

/// Payloads from this many bytes up begin on a cache line of their own.
pub(crate) const LONG: usize = 1024;

/// Length of a segment, or `None` beyond [`SEGMENT_MAX`].
pub(crate) fn segment_len(kind: Kind, seats: u64, capacity: u64, shape: SlotShape) -> Option<u64> {
    let slots = capacity.checked_mul(shape.stride as u64)?;
    let first = match kind {
        Kind::Frames => frames::buffers_at(seats, capacity)?,
        _ => slots_at(kind, seats) as u64,
    };
    let len = slots.checked_add(first)?;
    (len <= SEGMENT_MAX && usize::try_from(len).is_ok_and(|len| isize::try_from(len).is_ok()))
        .then_some(len)
}

/// FNV-1a over bytes: type tags and the header's checksum. Finds accidents, not forgers.
pub(crate) const fn fnv1a(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// First value for [`fnv1a`].
pub(crate) const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

const _: () = {
    assert!(header::CHECKSUM + 8 <= LINE, "the header is one line");
    assert!(slots_at(Kind::Spsc, 2).is_multiple_of(LINE), "slots begin on a line");
    assert!(slots_at(Kind::Spsc, 2) == 768);
    assert!(slots_at(Kind::Stream, 2) == 896);
    let [not_empty, not_full] = Kind::Spsc.events(2);
    assert!(not_empty == spsc::NOT_EMPTY && not_full == spsc::NOT_FULL);
    assert!(SlotShape::new(0, 8, 8).stride == 16);
    assert!(SlotShape::new(0, 24, 8).stride == 32);
    assert!(SlotShape::new(0, 56, 8).stride == 64);
    assert!(SlotShape::new(0, 57, 1).stride == 72);
    assert!(SlotShape::new(0, 0, 1).stride == 8);
    assert!(SlotShape::new(0, 128, 128).stride == 256);
    assert!(SlotShape::new(8, 1024, 8).message_at == 56);
    assert!(SlotShape::new(0, 1024, 8).stride == 1088);
};
