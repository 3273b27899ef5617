//! Every verb of the two endpoints that ends by itself, as a value.

use annulus::spsc::{Receiver, Sender};
use annulus::{Message, TryRecvError, TrySendError};

use super::{Words, words};

/// What a sender does in one call, or in one reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendVerb {
    /// `try_send`.
    Try,
    /// `send`; for one that would wait, `try_send`.
    Send,
    /// `try_send_many` of so many.
    TryMany(usize),
    /// `send_many` of so many; of as many as there is room for.
    Many(usize),
    /// `try_reserve`, two `append`s, `commit`.
    Append,
    /// `try_reserve`, `append` of a part, `commit`: zeros follow.
    AppendPart,
    /// `try_reserve`, `write`, `commit`.
    Write,
    /// `try_reserve`, `write`, dropped.
    Abort,
}

/// All of them.
pub const SEND_VERBS: [SendVerb; 9] = [
    SendVerb::Try,
    SendVerb::Send,
    SendVerb::TryMany(1),
    SendVerb::TryMany(3),
    SendVerb::Many(3),
    SendVerb::Append,
    SendVerb::AppendPart,
    SendVerb::Write,
    SendVerb::Abort,
];

impl SendVerb {
    /// How many messages it sends where there is so much room.
    pub fn sends(self, room: usize) -> usize {
        match self {
            Self::Abort => 0,
            Self::TryMany(count) | Self::Many(count) => count.min(room),
            _ => room.min(1),
        }
    }

    /// Does it; says how many were sent, or why none.
    pub fn run(self, sender: &mut Sender<Words>, room: usize) -> Result<usize, TrySendError<()>> {
        let tail = sender.position();
        let batch = |count: usize| (0..count as u64).map(|n| words(tail + n)).collect::<Vec<_>>();
        let one = words(tail);
        match self {
            Self::Send if room > 0 => {
                sender.send(one).expect("there is room");
                Ok(1)
            }
            Self::Try | Self::Send => sender
                .try_send(one)
                .map(|()| 1)
                .map_err(|error| {
                    // The message came back.
                    match error {
                        TrySendError::Full(message) => (message == one, TrySendError::Full(())),
                        TrySendError::Closed(message) => (message == one, TrySendError::Closed(())),
                        TrySendError::Died(message) => (message == one, TrySendError::Died(())),
                        TrySendError::Fault(message, fault) => {
                            (message == one, TrySendError::Fault((), fault))
                        }
                        other => panic!("{other:?}"),
                    }
                })
                .map_err(|(same, error)| {
                    assert!(same, "another message came back");
                    error
                }),
            Self::TryMany(count) => sender.try_send_many(&batch(count)),
            Self::Many(count) if room == 0 => sender.try_send_many(&batch(count)),
            Self::Many(count) => {
                let count = count.min(room);
                sender.send_many(&batch(count)).expect("there is room");
                Ok(count)
            }
            Self::Append => {
                let (first, second) = (words(tail), sender.try_reserve()?);
                let (bytes, mut slot) = (zerocopy::IntoBytes::as_bytes(&first), second);
                assert_eq!((slot.append(&bytes[..20]), slot.append(&bytes[20..])), (20, 12));
                assert_eq!(slot.commit(), tail);
                Ok(1)
            }
            Self::AppendPart => {
                let mut slot = sender.try_reserve()?;
                slot.append(&tail.to_le_bytes());
                assert_eq!(slot.commit(), tail);
                Ok(1)
            }
            Self::Write => {
                let mut slot = sender.try_reserve()?;
                slot.write(&one);
                assert_eq!(slot.commit(), tail);
                Ok(1)
            }
            Self::Abort => {
                sender.try_reserve()?.write(&[u64::MAX; 4]);
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
    /// `try_recv_ref`, `read_at` twice, given to `mem::forget`.
    Forget,
}

/// All of them.
pub const RECV_VERBS: [RecvVerb; 5] =
    [RecvVerb::Try, RecvVerb::TryMany(1), RecvVerb::TryMany(3), RecvVerb::Guard, RecvVerb::Forget];

/// One message, as the application got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where.
    pub position: u64,
    /// What.
    pub message: Words,
    /// Whether it was said to come again.
    pub marked: bool,
}

impl RecvVerb {
    /// Does it, and shows `see` each message as soon as the application has it.
    pub fn run(
        self,
        receiver: &mut Receiver<Words>,
        mut see: impl FnMut(Seen),
    ) -> Result<usize, TryRecvError> {
        let position = receiver.position();
        match self {
            Self::Try => {
                let marked = receiver.is_redelivered(position);
                receiver.try_recv().map(|message| see(Seen { position, message, marked }))?;
                Ok(1)
            }
            Self::TryMany(count) => {
                let mut out = vec![Words::new_zeroed(); count];
                let count = receiver.try_recv_many(&mut out)?;
                for (position, message) in (position..).zip(out.into_iter().take(count)) {
                    let marked = receiver.is_redelivered(position);
                    see(Seen { position, message, marked });
                }
                Ok(count)
            }
            Self::Guard => {
                let guard = receiver.try_recv_ref()?;
                let (position, marked) = (guard.position(), guard.redelivered());
                see(Seen { position, message: guard.read(), marked });
                Ok(1)
            }
            Self::Forget => {
                let guard = receiver.try_recv_ref()?;
                let (position, marked) = (guard.position(), guard.redelivered());
                let mut bytes = [0; 32];
                let (first, second) = bytes.split_at_mut(12);
                assert_eq!((guard.read_at(0, first), guard.read_at(12, second)), (12, 20));
                let message = Words::read_from(bytes);
                see(Seen { position, message, marked });
                std::mem::forget(guard);
                Ok(1)
            }
        }
    }
}

/// `zerocopy` by the trait that messages need.
trait ReadFrom {
    fn read_from(bytes: [u8; 32]) -> Self;
    fn new_zeroed() -> Self;
}

impl<T: Message> ReadFrom for T {
    fn read_from(bytes: [u8; 32]) -> Self {
        T::read_from_bytes(&bytes).expect("32 bytes")
    }

    fn new_zeroed() -> Self {
        <T as zerocopy::FromZeros>::new_zeroed()
    }
}
