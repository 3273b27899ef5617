//! Everything that can go wrong, by name. Imports: nothing.

use std::io;

/// Why a segment could not be created, opened or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something stands under that name already, of whatever kind. Nothing was changed.
    #[error("{address}: exists already")]
    AlreadyExists {
        /// The address that was asked for.
        address: String,
    },
    /// Nothing stands under that name.
    #[error("{address}: no such segment")]
    NotFound {
        /// The address that was asked for.
        address: String,
    },
    /// The segment can't be removed, since somebody has it open; or it can't be opened,
    /// since somebody has been about to remove it, or replacing it, all the time.
    #[error("{address}: in use")]
    InUse {
        /// The address that was asked for.
        address: String,
    },
    /// An address of no known form, or a name that no segment can have.
    #[error("{address:?} is no address: {reason}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The segment is not the one that was expected.
    #[error("the segment's {field} is {found}, expected {expected}")]
    Mismatch {
        /// What differs.
        field: Field,
        /// What the segment says.
        found: Found,
        /// What the caller, this version or safety asks for.
        expected: Found,
    },
    /// An option has a value that no ring can have.
    #[error("{option} {value} is out of range: {reason}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What was given.
        value: u64,
        /// What would do.
        reason: String,
    },
    /// Another live endpoint has this role, in this process or another.
    #[error("the {role} seat is taken{}", .pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    SeatTaken {
        /// `sender` or `receiver`.
        role: &'static str,
        /// What the occupant noted as its process id. For people; decides nothing.
        pid: Option<u32>,
    },
    /// Every seat of that sort is taken.
    #[error("all {seats} seats for a {role} are taken")]
    NoSeat {
        /// `receiver`, or what else was asked for.
        role: &'static str,
        /// How many there are.
        seats: u64,
    },
    /// A stream has one sender and one receiver in its life, and this one has come and
    /// gone.
    #[error("the stream is over: its {role} has come and gone")]
    Over {
        /// `sender` or `receiver`.
        role: &'static str,
    },
    /// A shared word holds what no correct peer writes.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// This can't be done to a segment of this sort, or on this machine.
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    /// The operating system refused.
    #[error("{call}: {source}")]
    Os {
        /// What was being done.
        call: &'static str,
        /// Its answer; `ENOSPC` when the memory for a new segment can't be had.
        source: io::Error,
    },
}

impl Error {
    /// No memory for a ring on the heap.
    pub(crate) const OUT_OF_MEMORY: Self = Self::Unsupported("more memory than there is");
}

/// A fact that is checked when a segment is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// The first eight bytes.
    Magic,
    /// The layout's version.
    Version,
    /// The kind of ring.
    Kind,
    /// Message size in bytes.
    MessageSize,
    /// Message alignment in bytes.
    MessageAlign,
    /// Number of slots.
    Capacity,
    /// The tag of the message type.
    TypeTag,
    /// Number of seats.
    Seats,
    /// How blocked participants sleep.
    WaitMethod,
    /// How sleepers and notifiers are ordered.
    BarrierForm,
    /// Length in bytes.
    Length,
    /// The header's checksum.
    Checksum,
    /// The file's owner.
    Owner,
    /// The file's permission bits.
    Mode,
    /// The memfd's seals.
    Seals,
    /// What sort of file it is.
    FileType,
    /// What sort of file system it is on.
    FileSystem,
}

impl core::fmt::Display for Field {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Magic => "magic",
            Self::Version => "version",
            Self::Kind => "kind",
            Self::MessageSize => "message size",
            Self::MessageAlign => "message align",
            Self::Capacity => "capacity",
            Self::TypeTag => "type tag",
            Self::Seats => "seats",
            Self::WaitMethod => "wait method",
            Self::BarrierForm => "barrier form",
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::Owner => "owner",
            Self::Mode => "mode",
            Self::Seals => "seals",
            Self::FileType => "file type",
            Self::FileSystem => "file system",
        })
    }
}

/// A value in an error, with the base that people expect to read it in.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// A count, size or number.
    Number(u64),
    /// A bit pattern: magic, tag, checksum, seals.
    Bits(u64),
    /// Permission bits.
    Octal(u32),
    /// A word of ours.
    Text(&'static str),
    /// At most this.
    AtMost(u64),
}

impl core::fmt::Display for Found {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Number(n) => write!(f, "{n}"),
            Self::Bits(n) => write!(f, "{n:#x}"),
            Self::Octal(n) => write!(f, "{n:#05o}"),
            Self::Text(text) => f.write_str(text),
            Self::AtMost(n) => write!(f, "at most {n}"),
        }
    }
}

impl core::fmt::Debug for Found {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// A shared word that no correct peer can have written. It poisons the handle that
/// saw it, and that handle alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("corrupt segment: {word} is {value:#x}, which no correct peer writes")]
pub struct Corrupt {
    /// Which word.
    pub word: &'static str,
    /// What it held.
    pub value: u64,
}

/// Why a handle can't go on, whatever the peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A shared word holds what no correct peer writes. The handle stays poisoned.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The handle came through `fork`: it belongs to the parent.
    #[error("this handle belongs to the process that opened it, not to its forked child")]
    Forked,
    /// The ring has come to its last position, 2^62.
    #[error("the ring has come to its last position")]
    PositionLimit,
}

/// Why [`try_send`](crate::spsc::Sender::try_send) gave the message back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError<T> {
    /// No free slot now.
    #[error("the ring is full")]
    Full(T),
    /// No free slot, and the receiver has left.
    #[error("the receiver has closed")]
    Closed(T),
    /// No free slot, and the receiver was found dead.
    #[error("the receiver has died")]
    Died(T),
    /// The message is longer than the ring's maximum.
    #[error("the message is longer than the ring's maximum")]
    TooLong(T),
    /// The handle can't go on.
    #[error("{1}")]
    Fault(T, Fault),
}

/// Why a waiting send gave the message back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError<T> {
    /// The deadline passed.
    #[error("timed out while the ring was full")]
    Timeout(T),
    /// A cancel handle ended the wait.
    #[error("the wait was cancelled")]
    Cancelled(T),
    /// The message is longer than the ring's maximum.
    #[error("the message is longer than the ring's maximum")]
    TooLong(T),
    /// No free slot, and the receiver has left.
    #[error("the receiver has closed")]
    Closed(T),
    /// No free slot, and the receiver was found dead.
    #[error("the receiver has died")]
    Died(T),
    /// The handle can't go on.
    #[error("{1}")]
    Fault(T, Fault),
}

/// Why [`try_recv`](crate::spsc::Receiver::try_recv) brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// No message now.
    #[error("the ring is empty")]
    Empty,
    /// The next position of an mpmc ring is taken by a sender that lives and has not
    /// committed its message; messages behind it have to wait.
    #[error("the next message is being written")]
    Stalled,
    /// The next message is longer than the buffer; it stays in the ring.
    #[error("the next message has {needed} bytes, more than the buffer")]
    TooSmall {
        /// The message's length in bytes.
        needed: usize,
    },
    /// So many messages of a broadcast were overwritten before this receiver came to them.
    /// It goes on behind them.
    #[error("{0} messages were overwritten before they were received")]
    Lagged(u64),
    /// No message, and the sender has left.
    #[error("the sender has closed")]
    Closed,
    /// No message, and the sender was found dead.
    #[error("the sender has died")]
    Died,
    /// The handle can't go on.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a waiting receive brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The deadline passed.
    #[error("timed out while the ring was empty")]
    Timeout,
    /// A cancel handle ended the wait.
    #[error("the wait was cancelled")]
    Cancelled,
    /// The next message is longer than the buffer; it stays in the ring.
    #[error("the next message has {needed} bytes, more than the buffer")]
    TooSmall {
        /// The message's length in bytes.
        needed: usize,
    },
    /// So many messages of a broadcast were overwritten before this receiver came to them.
    /// It goes on behind them.
    #[error("{0} messages were overwritten before they were received")]
    Lagged(u64),
    /// No message, and the sender has left.
    #[error("the sender has closed")]
    Closed,
    /// No message, and the sender was found dead.
    #[error("the sender has died")]
    Died,
    /// The handle can't go on.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why [`send_many`](crate::spsc::Sender::send_many) stopped early, and after how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("after {sent} messages: {reason}")]
pub struct SendManyError {
    /// How many of the messages were sent, from the first on.
    pub sent: usize,
    /// Why the next was not.
    pub reason: SendError<()>,
}

macro_rules! debug_without_message {
    ($($name:ident { $($variant:ident),* })*) => {$(
        // Messages need not be `Debug`, and may be secret.
        impl<T> core::fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    $(Self::$variant(_) => f.write_str(concat!(stringify!($variant), "(..)")),)*
                    Self::Fault(_, fault) => write!(f, "Fault(.., {fault:?})"),
                }
            }
        }
    )*};
}

debug_without_message! {
    TrySendError { Full, Closed, Died, TooLong }
    SendError { Timeout, Cancelled, Closed, Died, TooLong }
}

impl<T> TrySendError<T> {
    /// The message that was not sent.
    pub fn into_message(self) -> T {
        match self {
            Self::Full(message)
            | Self::Closed(message)
            | Self::Died(message)
            | Self::TooLong(message)
            | Self::Fault(message, _) => message,
        }
    }
}

impl<T> SendError<T> {
    /// The message that was not sent.
    pub fn into_message(self) -> T {
        match self {
            Self::Timeout(message)
            | Self::Cancelled(message)
            | Self::Closed(message)
            | Self::Died(message)
            | Self::TooLong(message)
            | Self::Fault(message, _) => message,
        }
    }
}

/// For a stream, which is a writer. The kind is as for a pipe where that has one; the
/// error itself is inside.
impl From<SendError<()>> for io::Error {
    fn from(error: SendError<()>) -> Self {
        let kind = match error {
            SendError::Timeout(()) => io::ErrorKind::TimedOut,
            SendError::Closed(()) => io::ErrorKind::BrokenPipe,
            SendError::Died(()) => io::ErrorKind::ConnectionReset,
            SendError::Cancelled(()) | SendError::TooLong(()) => io::ErrorKind::Other,
            SendError::Fault((), _) => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// For a stream, which is a reader. As above.
impl From<RecvError> for io::Error {
    fn from(error: RecvError) -> Self {
        let kind = match error {
            RecvError::Timeout => io::ErrorKind::TimedOut,
            RecvError::Closed => io::ErrorKind::UnexpectedEof,
            RecvError::Died => io::ErrorKind::ConnectionReset,
            RecvError::Cancelled | RecvError::TooSmall { .. } | RecvError::Lagged(_) => {
                io::ErrorKind::Other
            }
            RecvError::Fault(_) => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Why waiting for a peer ended without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The deadline passed.
    #[error("timed out while no peer was there")]
    Timeout,
    /// A cancel handle ended the wait.
    #[error("the wait was cancelled")]
    Cancelled,
    /// The handle can't go on.
    #[error(transparent)]
    Fault(#[from] Fault),
}
