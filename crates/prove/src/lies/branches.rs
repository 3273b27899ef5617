//! Which error branches a target can reach, and why it can't reach the others.
//!
//! Nowhere: `Forked`, since nobody forks here; the corrupt words `event` and `bytes`, which
//! say that the memory itself is gone; `Os`, since there is no system call to fail. Those are
//! for the live attacker, and for the tests that fork.

const SEND: &[&str] = &[
    "TrySendError::Corrupt",
    "TrySendError::PositionLimit",
    "SendError::Corrupt",
    "SendError::PositionLimit",
];

/// Of rings that can be full.
const FULL: &[&str] = &["TrySendError::Full", "SendError::Timeout", "SendError::Cancelled"];

/// Of rings whose sender is told that nobody receives: in a broadcast nobody need.
const LEFT: &[&str] =
    &["TrySendError::Closed", "TrySendError::Died", "SendError::Closed", "SendError::Died"];

const RECEIVE: &[&str] = &[
    "TryRecvError::Empty",
    "TryRecvError::Closed",
    "TryRecvError::Died",
    "TryRecvError::Corrupt",
    "TryRecvError::PositionLimit",
    "RecvError::Timeout",
    "RecvError::Cancelled",
    "RecvError::Closed",
    "RecvError::Died",
    "RecvError::Corrupt",
    "RecvError::PositionLimit",
    "Error::Corrupt",
    "corrupt word::seat state",
];

const WAIT: &[&str] = &["WaitError::Timeout", "WaitError::Corrupt"];

/// Byte messages have lengths.
const BYTES: &[&str] = &[
    "TrySendError::TooLong",
    "SendError::TooLong",
    "TryRecvError::TooSmall",
    "RecvError::TooSmall",
    "corrupt word::message length",
];

const SPSC: &[&str] = &[
    "Error::SeatTaken",
    "WaitError::Cancelled",
    "WaitError::PositionLimit",
    "corrupt word::head",
    "corrupt word::stamp",
    "corrupt word::claim",
];

/// A stream has one sender and one receiver in its life; lengths are of no message.
const STREAM: &[&str] = &[
    "Error::SeatTaken",
    "Error::Over",
    "WaitError::Cancelled",
    "WaitError::PositionLimit",
    "corrupt word::head",
    "corrupt word::tail",
];

/// Who waits for company is at no position.
const MPMC: &[&str] =
    &["Error::NoSeat", "TryRecvError::Stalled", "corrupt word::counter", "corrupt word::slot"];

const CAST: &[&str] = &[
    "Error::SeatTaken",
    "Error::NoSeat",
    "Error::Option",
    "TryRecvError::Lagged",
    "RecvError::Lagged",
    "WaitError::Cancelled",
    "WaitError::PositionLimit",
    "corrupt word::stamp",
    "corrupt word::tail",
    "corrupt word::limit",
];

/// Buffers are taken at no position, and nobody waits for a peer.
const FRAMES: &[&str] = &[
    "TrySendError::Full",
    "TrySendError::Closed",
    "TrySendError::Died",
    "TrySendError::Corrupt",
    "SendError::Timeout",
    "SendError::Cancelled",
    "SendError::Closed",
    "SendError::Died",
    "SendError::Corrupt",
    "SendError::PositionLimit",
    "corrupt word::buffer",
    "corrupt word::handle",
    "corrupt word::frame length",
];

/// What a header can be refused for.
const HEADER: &[&str] = &[
    "Error::Mismatch",
    "Error::Corrupt",
    "corrupt word::capacity",
    "corrupt word::length",
    "corrupt word::message align",
    "corrupt word::message size",
    "mismatched field::barrier form",
    "mismatched field::capacity",
    "mismatched field::checksum",
    "mismatched field::kind",
    "mismatched field::length",
    "mismatched field::magic",
    "mismatched field::message align",
    "mismatched field::message size",
    "mismatched field::seats",
    "mismatched field::type tag",
    "mismatched field::version",
    "mismatched field::wait method",
];

/// What the use of a ring meets whose header was accepted, and whose memory lies.
const USE: &[&str] = &[
    "Error::Over",
    "Error::SeatTaken",
    "Error::NoSeat",
    "corrupt word::claim",
    "corrupt word::counter",
    "corrupt word::head",
    "corrupt word::limit",
    "corrupt word::seat state",
    "corrupt word::stamp",
    "corrupt word::tail",
];

/// What a file can be refused for. Not here: another owner and a network file system, which
/// take more than a file of one's own; and `InUse`, which takes somebody else.
const FILE: &[&str] = &[
    "Error::Address",
    "Error::NotFound",
    "Error::AlreadyExists",
    // Of one who would make a ring of three.
    "Error::Option",
    "mismatched field::file type",
    "mismatched field::mode",
    "mismatched field::seals",
];

/// Every branch that a target can reach, as `kind::variant`.
pub fn branches(target: &str) -> Vec<&'static str> {
    let cancelled: &[&str] = &["WaitError::Cancelled"];
    let lossless: &[&str] = &["corrupt word::position"];
    let parts: &[&[&str]] = match target {
        "spsc" => &[SEND, FULL, LEFT, RECEIVE, WAIT, SPSC],
        "spsc_bytes" => &[SEND, FULL, LEFT, RECEIVE, WAIT, SPSC, BYTES],
        "stream" => &[SEND, FULL, LEFT, RECEIVE, WAIT, STREAM],
        "mpmc" => &[SEND, FULL, LEFT, RECEIVE, WAIT, MPMC, cancelled],
        "mpmc_bytes" => &[SEND, FULL, LEFT, RECEIVE, WAIT, MPMC, cancelled, BYTES],
        "broadcast_overwrite" => &[SEND, RECEIVE, WAIT, CAST],
        "broadcast_lossless" => &[SEND, FULL, RECEIVE, WAIT, CAST, lossless],
        "broadcast_bytes" => &[SEND, FULL, RECEIVE, WAIT, CAST, BYTES, lossless],
        "frames" => &[RECEIVE, MPMC, FRAMES],
        "header" => &[HEADER, USE],
        "open" => &[HEADER, FILE],
        _ => &[],
    };
    parts.concat()
}
