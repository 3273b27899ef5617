//! Every verb of the two endpoints that ends by itself, as a value.

use annulus::mpmc::{Receiver, Sender};
use annulus::{TryRecvError, TrySendError};

use super::{Words, number_of, words};

/// What a sender does in one call, or in one reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendVerb {
    /// `try_send`.
    Try,
    /// `send`; for one that would wait, `try_send`.
    Send,
    /// `try_send_many` of so many.
    TryMany(usize),
    /// `send_many` of as many as there is room for.
    Many(usize),
    /// `try_reserve`, two `append`s, `commit`.
    Append,
    /// `try_reserve`, `write`, `commit`.
    Write,
    /// `try_reserve`, `write`, dropped.
    Abort,
    /// `try_reserve`, `write`, given to `mem::forget`.
    Forget,
}

/// All of them.
pub const SEND_VERBS: [SendVerb; 8] = [
    SendVerb::Try,
    SendVerb::Send,
    SendVerb::TryMany(3),
    SendVerb::Many(3),
    SendVerb::Append,
    SendVerb::Write,
    SendVerb::Abort,
    SendVerb::Forget,
];

impl SendVerb {
    /// How many messages it sends where there is so much room.
    pub fn sends(self, room: usize) -> usize {
        match self {
            Self::Abort | Self::Forget => 0,
            Self::TryMany(count) | Self::Many(count) => count.min(room),
            _ => room.min(1),
        }
    }

    /// How many positions it takes.
    pub fn takes(self, room: usize) -> usize {
        if matches!(self, Self::Abort | Self::Forget) { room.min(1) } else { self.sends(room) }
    }

    /// Does it, with messages from number `first` on; says how many were sent.
    pub fn run(
        self,
        sender: &mut Sender<Words>,
        first: u64,
        room: usize,
    ) -> Result<usize, TrySendError<()>> {
        let batch = |count: usize| (first..first + count as u64).map(words).collect::<Vec<_>>();
        let one = words(first);
        match self {
            Self::Send if room > 0 => {
                sender.send(one).expect("there is room");
                Ok(1)
            }
            Self::Try | Self::Send => match sender.try_send(one) {
                Ok(()) => Ok(1),
                Err(TrySendError::Full(message)) => {
                    assert_eq!(message, one, "another message came back");
                    Err(TrySendError::Full(()))
                }
                Err(TrySendError::Closed(_)) => Err(TrySendError::Closed(())),
                Err(TrySendError::Died(_)) => Err(TrySendError::Died(())),
                Err(other) => panic!("{other:?}"),
            },
            Self::TryMany(count) => sender.try_send_many(&batch(count)),
            Self::Many(count) if room == 0 => sender.try_send_many(&batch(count)),
            Self::Many(count) => {
                sender.send_many(&batch(count.min(room))).expect("there is room");
                Ok(count.min(room))
            }
            Self::Append => {
                let mut slot = sender.try_reserve()?;
                let bytes = zerocopy::IntoBytes::as_bytes(&one);
                assert_eq!((slot.append(&bytes[..20]), slot.append(&bytes[20..])), (20, 12));
                slot.commit();
                Ok(1)
            }
            Self::Write => {
                let mut slot = sender.try_reserve()?;
                slot.write(&one);
                slot.commit();
                Ok(1)
            }
            Self::Abort => {
                sender.try_reserve()?.write(&words(u64::MAX));
                Ok(0)
            }
            Self::Forget => {
                let mut slot = sender.try_reserve()?;
                slot.write(&words(u64::MAX));
                std::mem::forget(slot);
                Ok(0)
            }
        }
    }
}

/// What a receiver does in one call, or with one guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvVerb {
    /// `try_recv`.
    Try,
    /// `try_recv_many` of so many.
    TryMany(usize),
    /// `try_recv_ref`, `read`, released.
    Guard,
    /// `try_recv_ref`, `read`, given to `mem::forget`.
    Forget,
    /// `recv_timeout`, of so many milliseconds: what comes again is found by one who waits.
    Wait(u64),
    /// The same by `recv_ref_timeout`.
    WaitGuard(u64),
}

/// Those that do not wait.
pub const RECV_VERBS: [RecvVerb; 4] =
    [RecvVerb::Try, RecvVerb::TryMany(3), RecvVerb::Guard, RecvVerb::Forget];

/// One message, as the application got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where.
    pub position: u64,
    /// Its number.
    pub number: u64,
    /// Whether it was said to come again.
    pub marked: bool,
}

impl RecvVerb {
    /// Does it, and shows `see` each message as soon as the application has it. `None`:
    /// there was none.
    pub fn run(
        self,
        receiver: &mut Receiver<Words>,
        mut see: impl FnMut(Seen),
    ) -> Result<usize, TryRecvError> {
        use std::time::Duration;
        let whole = |message: &Words| number_of(message).expect("torn");
        let time = |millis| Duration::from_millis(millis);
        let waited = |error| match error {
            annulus::RecvError::Timeout => TryRecvError::Empty,
            annulus::RecvError::Died => TryRecvError::Died,
            annulus::RecvError::Closed => TryRecvError::Closed,
            other => panic!("{other:?}"),
        };
        match self {
            Self::Try | Self::Wait(_) => {
                let message = match self {
                    Self::Wait(millis) => receiver.recv_timeout(time(millis)).map_err(waited)?,
                    _ => receiver.try_recv()?,
                };
                let annulus::mpmc::Delivery { position, redelivered: marked, .. } = receiver.last();
                see(Seen { position, number: whole(&message), marked });
                Ok(1)
            }
            Self::TryMany(count) => {
                let mut out = vec![Words::default(); count];
                let count = receiver.try_recv_many(&mut out)?;
                for message in &out[..count] {
                    // Of a batch the position of the last one is known, and its mark, which
                    // is that of all.
                    let marked = receiver.last().redelivered;
                    see(Seen { position: u64::MAX, number: whole(message), marked });
                }
                Ok(count)
            }
            Self::Guard | Self::Forget | Self::WaitGuard(_) => {
                let guard = match self {
                    Self::WaitGuard(millis) => {
                        receiver.recv_ref_timeout(time(millis)).map_err(waited)?
                    }
                    _ => receiver.try_recv_ref()?,
                };
                let (position, marked) = (guard.position(), guard.redelivered());
                see(Seen { position, number: whole(&guard.read()), marked });
                if self == Self::Forget {
                    std::mem::forget(guard);
                }
                Ok(1)
            }
        }
    }

    /// Whether it lends what it receives.
    pub fn lends(self) -> bool {
        matches!(self, Self::Guard | Self::Forget | Self::WaitGuard(_))
    }
}
