//! The operations of a script, on an spsc ring.

use annulus::spsc::{Receiver, Ring, Sender};

use crate::model::{Cast, Notes, attach, no_message, no_room, seat};
use crate::spec::{Do, Got, Role, Saw};

/// The endpoints of one thread, for messages of `W` words.
pub(crate) struct Messages<const W: usize> {
    ring: Ring<[u64; W]>,
    sender: Option<Sender<[u64; W]>>,
    receiver: Option<Receiver<[u64; W]>>,
}

impl<const W: usize> Cast for Messages<W> {
    type Ring = Ring<[u64; W]>;

    fn ring(capacity: u64) -> Self::Ring {
        Ring::options().capacity(capacity).create_heap().expect("a ring").into()
    }

    fn begin(ring: &Self::Ring, role: Option<Role>) -> Self {
        Self {
            ring: ring.clone(),
            sender: (role == Some(Role::Sender)).then(|| ring.sender().expect("the first")),
            receiver: (role == Some(Role::Receiver)).then(|| ring.receiver().expect("the first")),
        }
    }

    fn act(&mut self, operation: Do, notes: &Notes) -> Option<Saw> {
        Some(match operation {
            Do::Attach(Role::Sender) => {
                let sender = attach(|| self.ring.sender());
                Saw::Attached(self.sender.insert(sender).position())
            }
            Do::Attach(Role::Receiver) => {
                let receiver = attach(|| self.ring.receiver());
                Saw::Attached(self.receiver.insert(receiver).position())
            }
            Do::Send(message) => match self.sender().try_send(words(message)) {
                Ok(()) => Saw::Sent(1),
                Err(error) => Saw::Not(no_room(&error)),
            },
            Do::SendMany(messages) => {
                let messages: Vec<_> = messages.iter().map(|message| words(*message)).collect();
                match self.sender().try_send_many(&messages) {
                    Ok(count) => Saw::Sent(count),
                    Err(error) => Saw::Not(no_room(&error)),
                }
            }
            Do::Commit(message) => match self.sender().try_reserve() {
                Ok(mut slot) => {
                    slot.write(&words(message));
                    slot.commit();
                    Saw::Sent(1)
                }
                Err(error) => Saw::Not(no_room(&error)),
            },
            Do::Abort(message) => match self.sender().try_reserve() {
                Ok(mut slot) => {
                    slot.write(&words(message));
                    Saw::Aborted
                }
                Err(error) => Saw::Not(no_room(&error)),
            },
            Do::Recv => match self.receiver().try_recv() {
                Ok(message) => {
                    let position = self.receiver().position() - 1;
                    Saw::Got(vec![self.got(position, &message)])
                }
                Err(error) => Saw::Not(no_message(error)),
            },
            Do::RecvMany(most) => {
                let mut out = vec![[0; W]; most];
                match self.receiver().try_recv_many(&mut out) {
                    Ok(count) => {
                        let first = self.receiver().position() - count as u64;
                        let got = (first..).zip(&out[..count]);
                        Saw::Got(
                            got.map(|(position, message)| self.got(position, message)).collect(),
                        )
                    }
                    Err(error) => Saw::Not(no_message(error)),
                }
            }
            Do::Guard | Do::Forget => {
                match self.receiver().try_recv_ref() {
                    Ok(guard) => {
                        let message = message(&guard.read());
                        let got =
                            Got { position: guard.position(), message, again: guard.redelivered() };
                        // Before the drop: one who dies in it has seen the message.
                        notes.add(Saw::Got(vec![got]));
                        match operation {
                            Do::Forget => std::mem::forget(guard),
                            _ => drop(guard),
                        }
                        return None;
                    }
                    Err(error) => Saw::Not(no_message(error)),
                }
            }
            Do::Peer => {
                let state = match &self.sender {
                    Some(sender) => sender.peer(),
                    None => self.receiver().peer(),
                };
                Saw::Peer(seat(state.expect("nobody writes garbage")))
            }
            Do::Leave => {
                self.sender = None;
                self.receiver = None;
                return None;
            }
            operation => unreachable!("{operation:?} is of a stream"),
        })
    }
}

impl<const W: usize> Messages<W> {
    fn sender(&mut self) -> &mut Sender<[u64; W]> {
        self.sender.as_mut().expect("the script's thread is a sender")
    }

    fn receiver(&mut self) -> &mut Receiver<[u64; W]> {
        self.receiver.as_mut().expect("the script's thread is a receiver")
    }

    fn got(&mut self, position: u64, words: &[u64; W]) -> Got {
        let again = self.receiver().is_redelivered(position);
        Got { position, message: message(words), again }
    }
}

/// A message of `W` words, all of which depend on the number.
fn words<const W: usize>(message: u64) -> [u64; W] {
    core::array::from_fn(|i| message << i)
}

/// The number that the words stand for.
fn message<const W: usize>(words: &[u64; W]) -> u64 {
    assert_eq!(*words, self::words(words[0]), "a torn message");
    words[0]
}
