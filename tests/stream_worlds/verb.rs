//! Every verb of a stream's endpoints that ends by itself, as a value.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Seek, Write};
use std::time::Duration;

use annulus::stream::{Receiver, Sender};
use annulus::{RecvError, SendError, TryRecvError, TrySendError};

/// What a sender does in one call, or in one reservation. Lengths in quarters of the ring,
/// less a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendVerb {
    /// `try_send`.
    Try(usize),
    /// `write_vectored` of two slices; `try_send` where it would wait.
    Vectored,
    /// `try_reserve` of three bytes, two `append`s, `commit`.
    Append,
    /// The same, dropped.
    Abandon,
    /// `fill_from` a file; `try_send` where it would wait.
    Fill,
    /// `wait_until_received`, for no time.
    Received,
    /// `peer`.
    Peer,
    /// `finish`.
    Finish,
    /// Dropped.
    Drop,
    /// `abort`.
    Abort,
}

/// All of them.
pub const SEND_VERBS: [SendVerb; 13] = [
    SendVerb::Try(1),
    SendVerb::Try(2),
    SendVerb::Try(5),
    SendVerb::Try(12),
    SendVerb::Vectored,
    SendVerb::Append,
    SendVerb::Abandon,
    SendVerb::Fill,
    SendVerb::Received,
    SendVerb::Peer,
    SendVerb::Finish,
    SendVerb::Drop,
    SendVerb::Abort,
];

fn quarters(count: usize, capacity: u64) -> usize {
    count * capacity as usize / 4 - 1
}

impl SendVerb {
    /// Whether there is no sender afterwards.
    pub fn ends(self) -> bool {
        matches!(self, Self::Finish | Self::Drop | Self::Abort)
    }

    /// How many bytes it would send.
    pub fn len(self, capacity: u64, room: usize) -> usize {
        match self {
            Self::Try(count) => quarters(count, capacity),
            Self::Vectored => quarters(3, capacity),
            Self::Fill if room > 0 => room.min(capacity as usize / 2),
            Self::Fill => 1,
            Self::Append => 3,
            _ => 0,
        }
    }

    /// Whether it finds too little room, where there is so much.
    pub fn refused(self, capacity: u64, room: usize) -> bool {
        match self {
            Self::Append | Self::Abandon => room < 3,
            _ => room == 0 && self.len(capacity, room) > 0,
        }
    }

    /// Does it; says how many were sent, or why none.
    pub fn run(
        self,
        sender: &mut Sender,
        bytes: &[u8],
        room: usize,
    ) -> Result<usize, TrySendError<()>> {
        match self {
            Self::Vectored if room > 0 => {
                let (one, other) = bytes.split_at(bytes.len() / 3);
                let slices = [IoSlice::new(one), IoSlice::new(other)];
                sender.write_vectored(&slices).map_err(|error| untyped(&error))
            }
            Self::Try(_) | Self::Vectored => sender.try_send(bytes),
            Self::Fill if room > 0 => {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(bytes).unwrap();
                file.rewind().unwrap();
                sender.fill_from(&file, usize::MAX).map_err(|error| untyped(&error))
            }
            Self::Fill => sender.try_send(bytes),
            Self::Append => {
                let mut place = sender.try_reserve(3)?;
                assert_eq!((place.append(&bytes[..1]), place.append(&bytes[1..])), (1, 2));
                Ok(place.commit())
            }
            Self::Abandon => {
                sender.try_reserve(3)?.append(b"???");
                Ok(0)
            }
            Self::Received => match sender.wait_until_received(Some(Duration::ZERO)) {
                Ok(()) => Ok(0),
                Err(error) => Err(tried(error)),
            },
            Self::Peer => Ok(sender.peer().map(|_| 0).unwrap()),
            Self::Finish | Self::Drop | Self::Abort => panic!("{self:?} has no sender left"),
        }
    }

    /// Ends with the sender.
    pub fn end(self, sender: Sender) -> Result<(), SendError<()>> {
        match self {
            Self::Finish => return sender.finish(),
            Self::Abort => sender.abort(),
            _ => drop(sender),
        }
        Ok(())
    }
}

fn tried(error: SendError<()>) -> TrySendError<()> {
    match error {
        SendError::Timeout(()) => TrySendError::Full(()),
        SendError::Closed(()) => TrySendError::Closed(()),
        SendError::Died(()) => TrySendError::Died(()),
        other => panic!("{other:?}"),
    }
}

fn untyped(error: &std::io::Error) -> TrySendError<()> {
    tried(*error.get_ref().and_then(|inner| inner.downcast_ref()).expect("a SendError"))
}

/// What a receiver does in one call, or with one guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvVerb {
    /// `try_recv` to so many quarters of the ring, less a byte.
    Try(usize),
    /// `read_vectored` to two slices; `try_recv` where it would wait.
    Vectored,
    /// `try_recv_ref`, `read_at`, released.
    Guard,
    /// The same, half of it released.
    Half,
    /// The same, given to `mem::forget`.
    Forget,
    /// `drain_to` a file; `try_recv` where it would wait.
    Drain(usize),
    /// `peer`.
    Peer,
    /// Dropped.
    Drop,
    /// `abort`.
    Abort,
}

/// All of them.
pub const RECV_VERBS: [RecvVerb; 12] = [
    RecvVerb::Try(1),
    RecvVerb::Try(2),
    RecvVerb::Try(5),
    RecvVerb::Vectored,
    RecvVerb::Guard,
    RecvVerb::Half,
    RecvVerb::Forget,
    RecvVerb::Drain(1),
    RecvVerb::Drain(4),
    RecvVerb::Peer,
    RecvVerb::Drop,
    RecvVerb::Abort,
];

impl RecvVerb {
    /// Whether there is no receiver afterwards.
    pub fn ends(self) -> bool {
        matches!(self, Self::Drop | Self::Abort)
    }

    /// The length of its buffer.
    pub fn len(self, capacity: u64) -> usize {
        match self {
            Self::Try(count) | Self::Drain(count) => quarters(count, capacity),
            _ => quarters(3, capacity),
        }
    }

    /// Does it; says how many were received, or why none.
    pub fn run(
        self,
        receiver: &mut Receiver,
        out: &mut [u8],
        sink: &File,
        here: usize,
    ) -> Result<usize, TryRecvError> {
        let position = receiver.position();
        match self {
            Self::Vectored if here > 0 => {
                let (one, other) = out.split_at_mut(out.len() / 3);
                let mut slices = [IoSliceMut::new(one), IoSliceMut::new(other)];
                receiver.read_vectored(&mut slices).map_err(|error| untyped_recv(&error))
            }
            Self::Drain(_) if here > 0 => {
                let most = out.len();
                receiver.drain_to(sink, most).map_err(|error| untyped_recv(&error))
            }
            Self::Try(_) | Self::Vectored | Self::Drain(_) => {
                let count = receiver.try_recv(out)?;
                crate::streams::check(position, &out[..count]);
                Ok(count)
            }
            Self::Guard | Self::Half | Self::Forget => {
                let guard = receiver.try_recv_ref()?;
                let (len, count) = (guard.len(), guard.read_at(0, out));
                crate::streams::check(position, &out[..count]);
                match self {
                    Self::Guard => guard.release(),
                    Self::Half => guard.release_first(len / 2),
                    _ => std::mem::forget(guard),
                }
                Ok(match self {
                    Self::Guard => len,
                    Self::Half => len / 2,
                    _ => 0,
                })
            }
            Self::Peer => Ok(receiver.peer().map(|_| 0).unwrap()),
            Self::Drop | Self::Abort => panic!("{self:?} has no receiver left"),
        }
    }

    /// Ends with the receiver.
    pub fn end(self, receiver: Receiver) {
        if self == Self::Abort { receiver.abort() } else { drop(receiver) }
    }
}

fn untyped_recv(error: &std::io::Error) -> TryRecvError {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(RecvError::Closed) => TryRecvError::Closed,
        Some(RecvError::Died) => TryRecvError::Died,
        other => panic!("{other:?}"),
    }
}
