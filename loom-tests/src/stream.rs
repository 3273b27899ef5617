//! The operations of a script, on a stream of bytes.

use annulus::Error;
use annulus::stream::{Receiver, Reservation, Ring, Sender};

use crate::model::{Cast, Notes, attach, no_message, no_room, seat};
use crate::spec::{Do, Role, Saw, Why};

/// The endpoints of one thread.
pub(crate) struct Bytes {
    ring: Ring,
    sender: Option<Sender>,
    receiver: Option<Receiver>,
}

impl Cast for Bytes {
    type Ring = Ring;

    fn ring(capacity: u64) -> Ring {
        Ring::options().capacity(capacity).create_heap().expect("a ring").into()
    }

    fn begin(ring: &Ring, role: Option<Role>) -> Self {
        Self {
            ring: ring.clone(),
            sender: (role == Some(Role::Sender)).then(|| ring.sender().expect("the first")),
            receiver: (role == Some(Role::Receiver)).then(|| ring.receiver().expect("the first")),
        }
    }

    fn act(&mut self, operation: Do, notes: &Notes) -> Option<Saw> {
        let is_outside = self.sender.is_none() && self.receiver.is_none();
        if is_outside && !matches!(operation, Do::Join(_)) {
            return None;
        }
        Some(match operation {
            Do::Join(Role::Sender) => match join(|| self.ring.sender()) {
                Some(sender) => Saw::Attached(self.sender.insert(sender).position()),
                None => Saw::Over,
            },
            Do::Join(Role::Receiver) => match join(|| self.ring.receiver()) {
                Some(receiver) => Saw::Attached(self.receiver.insert(receiver).position()),
                None => Saw::Over,
            },
            Do::SendBytes(bytes) => match self.sender().try_send(bytes) {
                Ok(count) => Saw::Sent(count),
                Err(error) => Saw::Not(no_room(&error)),
            },
            Do::CommitBytes(bytes) => match self.sender().try_reserve(bytes.len()) {
                Ok(mut reserved) => {
                    append(&mut reserved, bytes);
                    Saw::Sent(reserved.commit())
                }
                Err(error) => Saw::Not(no_room(&error)),
            },
            Do::AbortBytes(bytes) => match self.sender().try_reserve(bytes.len()) {
                Ok(mut reserved) => {
                    append(&mut reserved, bytes);
                    Saw::Aborted
                }
                Err(error) => Saw::Not(no_room(&error)),
            },
            Do::RecvBytes(most) => {
                let mut out = vec![0; most];
                match self.receiver().try_recv(&mut out) {
                    Ok(count) => {
                        let first = self.receiver().position() - count as u64;
                        out.truncate(count);
                        Saw::Bytes(first, out)
                    }
                    Err(error) => Saw::Not(no_message(error)),
                }
            }
            Do::GuardBytes(release) => match self.receiver().try_recv_ref() {
                Ok(guard) => {
                    let mut out = vec![0; guard.len()];
                    assert_eq!(guard.read_at(0, &mut out), guard.len());
                    // Before the drop: one who dies in it has seen the bytes.
                    notes.add(Saw::Bytes(guard.position(), out));
                    match release.min(guard.len()) {
                        0 => std::mem::forget(guard),
                        release => guard.release_first(release),
                    }
                    return None;
                }
                Err(error) => Saw::Not(no_message(error)),
            },
            Do::Peer => {
                let state = match &self.sender {
                    Some(sender) => sender.peer(),
                    None => self.receiver().peer(),
                };
                Saw::Peer(seat(state.expect("nobody writes garbage")))
            }
            Do::Finish => match self.sender.take().expect("a sender").finish() {
                Ok(()) => Saw::Finished,
                Err(annulus::SendError::Closed(())) => Saw::Not(Why::Closed),
                Err(annulus::SendError::Died(())) => Saw::Not(Why::Died),
                Err(error) => panic!("finishing: {error}"),
            },
            Do::Abandon => {
                match self.sender.take() {
                    Some(sender) => sender.abort(),
                    None => self.receiver.take().expect("a receiver").abort(),
                }
                return None;
            }
            Do::Leave => {
                self.sender = None;
                self.receiver = None;
                return None;
            }
            operation => unreachable!("{operation:?} is of an spsc ring"),
        })
    }
}

impl Bytes {
    fn sender(&mut self) -> &mut Sender {
        self.sender.as_mut().expect("the script's thread is a sender")
    }

    fn receiver(&mut self) -> &mut Receiver {
        self.receiver.as_mut().expect("the script's thread is a receiver")
    }
}

/// Takes a seat as soon as it is free; `None`: somebody has been there.
fn join<E>(take: impl Fn() -> Result<E, Error>) -> Option<E> {
    attach(|| match take() {
        Err(Error::Over { .. }) => Ok(None),
        result => result.map(Some),
    })
}

/// In two parts, so that the second is behind the first.
fn append(reserved: &mut Reservation<'_>, bytes: &[u8]) {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    assert_eq!(reserved.append(first), first.len());
    assert_eq!(reserved.append(second), second.len());
}
