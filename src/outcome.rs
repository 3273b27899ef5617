//! Why an operation can't go on now, before a verb makes its own error of it.
//!
//! Imports: nothing.

use crate::error::{Fault, RecvError, SendError, TryRecvError, TrySendError};

/// Why there is no room.
pub(crate) enum NoRoom {
    Full,
    Cancelled,
    Closed,
    Died,
    Fault(Fault),
}

impl NoRoom {
    /// For a send that does not wait, and so is never cancelled.
    pub(crate) fn at_once<T>(self, message: T) -> TrySendError<T> {
        match self {
            Self::Full | Self::Cancelled => TrySendError::Full(message),
            Self::Closed => TrySendError::Closed(message),
            Self::Died => TrySendError::Died(message),
            Self::Fault(fault) => TrySendError::Fault(message, fault),
        }
    }

    /// For a waiting send, in which `Full` has become a timeout.
    pub(crate) fn after_waiting<T>(self, message: T) -> SendError<T> {
        match self {
            Self::Full => SendError::Timeout(message),
            Self::Cancelled => SendError::Cancelled(message),
            Self::Closed => SendError::Closed(message),
            Self::Died => SendError::Died(message),
            Self::Fault(fault) => SendError::Fault(message, fault),
        }
    }
}

/// Why there is no message.
pub(crate) enum NoMessage {
    Empty,
    Cancelled,
    TooSmall { needed: usize },
    Lagged(u64),
    Stalled,
    Closed,
    Died,
    Fault(Fault),
}

/// For a receive that does not wait, and so is never cancelled.
impl From<NoMessage> for TryRecvError {
    fn from(reason: NoMessage) -> Self {
        match reason {
            NoMessage::Empty | NoMessage::Cancelled => Self::Empty,
            NoMessage::TooSmall { needed } => Self::TooSmall { needed },
            NoMessage::Lagged(positions) => Self::Lagged(positions),
            NoMessage::Stalled => Self::Stalled,
            NoMessage::Closed => Self::Closed,
            NoMessage::Died => Self::Died,
            NoMessage::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// For a waiting receive, in which `Empty` and `Stalled` have become a timeout.
impl From<NoMessage> for RecvError {
    fn from(reason: NoMessage) -> Self {
        match reason {
            NoMessage::Empty | NoMessage::Stalled => Self::Timeout,
            NoMessage::Cancelled => Self::Cancelled,
            NoMessage::TooSmall { needed } => Self::TooSmall { needed },
            NoMessage::Lagged(positions) => Self::Lagged(positions),
            NoMessage::Closed => Self::Closed,
            NoMessage::Died => Self::Died,
            NoMessage::Fault(fault) => Self::Fault(fault),
        }
    }
}
