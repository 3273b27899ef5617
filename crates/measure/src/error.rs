//! What can go wrong in a measurement.

use std::io;

/// Why a measurement ended without a figure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// The call, or what it was for.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A message arrived with other words than were sent.
    #[error("message {message}: word {word} is {found:#x}, expected {expected:#x}")]
    Payload {
        /// Which message, counted from the lane's first.
        message: u64,
        /// Which 8-byte word of it.
        word: usize,
        /// What the receiver read.
        found: u64,
        /// What the sender wrote.
        expected: u64,
    },
    /// The checksum of what arrived differs from that of what was sent.
    #[error("checksum of what arrived is {found:#018x}, of what was sent {expected:#018x}")]
    Checksum {
        /// Computed by the receiver.
        found: u64,
        /// Computed by the sender.
        expected: u64,
    },
    /// The transport's other end is gone.
    #[error("the other end of the {transport} is gone")]
    Disconnected {
        /// Which transport.
        transport: &'static str,
    },
    /// The transport itself refused.
    #[error("{transport}: {reason}")]
    Transport {
        /// Which transport.
        transport: &'static str,
        /// In its own words.
        reason: String,
    },
    /// The peer process reported a failure.
    #[error("the peer process: {0}")]
    Peer(String),
    /// The peer process ended or was killed by the watchdog.
    #[error("the peer process is gone: {0}")]
    PeerGone(String),
    /// This machine lacks what the transport needs, or it can't carry such messages.
    #[error("not available: {0}")]
    Unavailable(String),
    /// No such message size in [`crate::SIZES`].
    #[error("no lane for messages of {0} bytes")]
    Size(usize),
    /// The peer was started with a description it can't read.
    #[error("cannot read the peer's description: {0}")]
    Spec(String),
}

impl Error {
    /// Wraps an [`io::Error`] or an errno with the name of what failed.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(nix::Error) -> Error {
        move |errno| Error::System { what, source: errno.into() }
    }

    /// Like [`Error::system`], for a call without which there is no such transport here.
    pub(crate) fn lacking<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Error {
        move |error| Error::Unavailable(format!("{what}: {}", error.into()))
    }

    /// Like [`Error::system`] for std's calls.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::System { what, source }
    }
}
