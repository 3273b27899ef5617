//! Which outcomes a target's calls have had: every variant of every error, and every word
//! that was called corrupt.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;

use annulus::{
    Corrupt, Error, Fault, Field, RecvError, SendError, TryRecvError, TrySendError, WaitError,
};

/// By kind and variant.
type Seen = RefCell<BTreeMap<(&'static str, &'static str), u64>>;

thread_local! {
    // Never dropped: a fuzzer asks when the process ends, and its thread's variables that can
    // be dropped are gone by then.
    static SEEN: ManuallyDrop<Seen> =
        const { ManuallyDrop::new(RefCell::new(BTreeMap::new())) };
}

/// How often each outcome has come so far, in this thread.
pub fn all() -> BTreeMap<(&'static str, &'static str), u64> {
    SEEN.with(|seen| seen.borrow().clone())
}

pub(super) fn note(kind: &'static str, variant: &'static str) {
    SEEN.with(|seen| *seen.borrow_mut().entry((kind, variant)).or_default() += 1);
}

fn fault(kind: &'static str, fault: Fault) {
    match fault {
        Fault::Corrupt(Corrupt { word, .. }) => {
            note(kind, "Corrupt");
            note("corrupt word", word);
        }
        Fault::PositionLimit => note(kind, "PositionLimit"),
        Fault::Forked => panic!("{kind}: nobody has forked"),
        other => panic!("{kind}: unknown: {other:?}"),
    }
}

/// An outcome that can be noted.
pub(super) trait Noted {
    fn noted(&self);
}

impl<T, E: Noted> Noted for Result<T, E> {
    fn noted(&self) {
        if let Err(error) = self {
            error.noted();
        }
    }
}

impl<T> Noted for TrySendError<T> {
    fn noted(&self) {
        let kind = "TrySendError";
        match self {
            Self::Full(_) => note(kind, "Full"),
            Self::Closed(_) => note(kind, "Closed"),
            Self::Died(_) => note(kind, "Died"),
            Self::TooLong(_) => note(kind, "TooLong"),
            Self::Fault(_, it) => fault(kind, *it),
            other => panic!("unknown: {other:?}"),
        }
    }
}

impl<T> Noted for SendError<T> {
    fn noted(&self) {
        let kind = "SendError";
        match self {
            Self::Timeout(_) => note(kind, "Timeout"),
            Self::Cancelled(_) => note(kind, "Cancelled"),
            Self::Closed(_) => note(kind, "Closed"),
            Self::Died(_) => note(kind, "Died"),
            Self::TooLong(_) => note(kind, "TooLong"),
            Self::Fault(_, it) => fault(kind, *it),
            other => panic!("unknown: {other:?}"),
        }
    }
}

impl Noted for TryRecvError {
    fn noted(&self) {
        let kind = "TryRecvError";
        match self {
            Self::Empty => note(kind, "Empty"),
            Self::Stalled => note(kind, "Stalled"),
            Self::TooSmall { .. } => note(kind, "TooSmall"),
            Self::Lagged(_) => note(kind, "Lagged"),
            Self::Closed => note(kind, "Closed"),
            Self::Died => note(kind, "Died"),
            Self::Fault(it) => fault(kind, *it),
            other => panic!("unknown: {other:?}"),
        }
    }
}

impl Noted for RecvError {
    fn noted(&self) {
        let kind = "RecvError";
        match self {
            Self::Timeout => note(kind, "Timeout"),
            Self::Cancelled => note(kind, "Cancelled"),
            Self::TooSmall { .. } => note(kind, "TooSmall"),
            Self::Lagged(_) => note(kind, "Lagged"),
            Self::Closed => note(kind, "Closed"),
            Self::Died => note(kind, "Died"),
            Self::Fault(it) => fault(kind, *it),
            other => panic!("unknown: {other:?}"),
        }
    }
}

impl Noted for WaitError {
    fn noted(&self) {
        let kind = "WaitError";
        match self {
            Self::Timeout => note(kind, "Timeout"),
            Self::Cancelled => note(kind, "Cancelled"),
            Self::Fault(it) => fault(kind, *it),
            other => panic!("unknown: {other:?}"),
        }
    }
}

/// The name of a header's field, or of what else is checked when a segment is opened.
fn field(field: Field) -> &'static str {
    match field {
        Field::Magic => "magic",
        Field::Version => "version",
        Field::Kind => "kind",
        Field::MessageSize => "message size",
        Field::MessageAlign => "message align",
        Field::Capacity => "capacity",
        Field::TypeTag => "type tag",
        Field::Seats => "seats",
        Field::WaitMethod => "wait method",
        Field::BarrierForm => "barrier form",
        Field::Length => "length",
        Field::Checksum => "checksum",
        Field::Owner => "owner",
        Field::Mode => "mode",
        Field::Seals => "seals",
        Field::FileType => "file type",
        Field::FileSystem => "file system",
        other => panic!("unknown: {other}"),
    }
}

impl Noted for Error {
    fn noted(&self) {
        let kind = "Error";
        match self {
            Self::AlreadyExists { .. } => note(kind, "AlreadyExists"),
            Self::NotFound { .. } => note(kind, "NotFound"),
            Self::InUse { .. } => note(kind, "InUse"),
            Self::Address { .. } => note(kind, "Address"),
            Self::Mismatch { field: it, .. } => {
                note(kind, "Mismatch");
                note("mismatched field", field(*it));
            }
            Self::Option { .. } => note(kind, "Option"),
            Self::SeatTaken { .. } => note(kind, "SeatTaken"),
            Self::NoSeat { .. } => note(kind, "NoSeat"),
            Self::Over { .. } => note(kind, "Over"),
            Self::Corrupt(Corrupt { word, .. }) => {
                note(kind, "Corrupt");
                note("corrupt word", word);
            }
            Self::Unsupported(_) => note(kind, "Unsupported"),
            Self::Os { .. } => note(kind, "Os"),
            other => panic!("unknown: {other:?}"),
        }
    }
}
