//! The operations of a script, on an mpmc ring.

use annulus::mpmc::{Receiver, Ring, Sender};
use annulus::{Error, TryRecvError, TrySendError};
use loom::thread;

use super::Notes;
use super::spec::{Do, Saw, UNTOLD, Why};
use crate::spec::{Got, Role};

/// The endpoints of one thread, for messages of `W` words.
pub(super) struct Cast<const W: usize> {
    ring: Ring<[u64; W]>,
    sender: Option<Sender<[u64; W]>>,
    receiver: Option<Receiver<[u64; W]>>,
}

/// A ring on the heap.
pub(super) fn ring<const W: usize>(capacity: u64, seats: u64) -> Ring<[u64; W]> {
    Ring::options().capacity(capacity).seats(seats).create_heap().expect("a ring").into()
}

/// Takes a seat as soon as there is one.
pub(super) fn attach<E>(take: impl Fn() -> Result<E, Error>) -> E {
    loop {
        match take() {
            Ok(endpoint) => return endpoint,
            Err(Error::NoSeat { .. }) => thread::yield_now(),
            Err(error) => panic!("attaching: {error}"),
        }
    }
}

impl<const W: usize> Cast<W> {
    pub(super) fn begin(ring: &Ring<[u64; W]>, role: Option<Role>) -> Self {
        Self {
            ring: ring.clone(),
            sender: (role == Some(Role::Sender)).then(|| ring.sender().expect("a seat")),
            receiver: (role == Some(Role::Receiver)).then(|| ring.receiver().expect("a seat")),
        }
    }

    /// Does it, and gives what it came to unless that is noted already.
    pub(super) fn act(&mut self, operation: Do, notes: &Notes) -> Option<Saw> {
        Some(match operation {
            Do::Attach(Role::Sender) => {
                self.sender = Some(attach(|| self.ring.sender()));
                return None;
            }
            Do::Attach(Role::Receiver) => {
                self.receiver = Some(attach(|| self.ring.receiver()));
                return None;
            }
            Do::Leave => {
                self.sender = None;
                self.receiver = None;
                return None;
            }
            Do::Impatient => {
                match &mut self.receiver {
                    Some(receiver) => receiver.lose_patience(),
                    None => self.sender().lose_patience(),
                }
                return None;
            }
            Do::Send(message) => match self.sender().try_send(words(message)) {
                Ok(()) => Saw::Sent(1),
                Err(error) => no_room(&error),
            },
            Do::SendMany(messages) => {
                let messages: Vec<_> = messages.iter().map(|message| words(*message)).collect();
                match self.sender().try_send_many(&messages) {
                    Ok(count) => Saw::Sent(count),
                    Err(error) => no_room(&error),
                }
            }
            Do::Commit(_) | Do::Abort | Do::Reserve => match self.sender().try_reserve() {
                Ok(mut slot) => match operation {
                    Do::Commit(message) => {
                        slot.write(&words(message));
                        slot.commit();
                        Saw::Sent(1)
                    }
                    Do::Reserve => {
                        slot.write(&words(u64::MAX));
                        std::mem::forget(slot);
                        Saw::Reserved
                    }
                    _ => {
                        slot.write(&words(u64::MAX));
                        Saw::Reserved
                    }
                },
                Err(error) => no_room(&error),
            },
            Do::Recv => match self.receiver().try_recv() {
                Ok(received) => {
                    let last = self.receiver().last();
                    let (position, again) = (last.position, last.redelivered);
                    Saw::Got(vec![Got { position, message: message(&received), again }])
                }
                Err(error) => no_message(error),
            },
            Do::RecvMany(most) => {
                let mut out = vec![[0; W]; most];
                match self.receiver().try_recv_many(&mut out) {
                    Ok(count) => {
                        let last = self.receiver().last();
                        let got =
                            |words| Got { position: UNTOLD, message: message(words), again: false };
                        let mut got: Vec<_> = out[..count].iter().map(got).collect();
                        let end = got.last_mut().expect("some");
                        (end.position, end.again) = (last.position, last.redelivered);
                        Saw::Got(got)
                    }
                    Err(error) => no_message(error),
                }
            }
            Do::Guard | Do::Forget => match self.receiver().try_recv_ref() {
                Ok(guard) => {
                    let (position, again) = (guard.position(), guard.redelivered());
                    let got = Got { position, message: message(&guard.read()), again };
                    // Before the drop: one who dies in it has seen the message.
                    notes.add(Saw::Got(vec![got]));
                    match operation {
                        Do::Forget => std::mem::forget(guard),
                        _ => drop(guard),
                    }
                    return None;
                }
                Err(error) => no_message(error),
            },
        })
    }

    fn sender(&mut self) -> &mut Sender<[u64; W]> {
        self.sender.as_mut().expect("the script's thread is a sender")
    }

    fn receiver(&mut self) -> &mut Receiver<[u64; W]> {
        self.receiver.as_mut().expect("the script's thread is a receiver")
    }
}

fn no_room<T>(error: &TrySendError<T>) -> Saw {
    Saw::Not(match error {
        TrySendError::Full(_) => Why::Full,
        TrySendError::Closed(_) => Why::Closed,
        TrySendError::Died(_) => Why::Died,
        TrySendError::Fault(_, fault) => panic!("sending: {fault}"),
        _ => unreachable!("all that there is"),
    })
}

fn no_message(error: TryRecvError) -> Saw {
    Saw::Not(match error {
        TryRecvError::Empty => Why::Empty,
        TryRecvError::Stalled => Why::Stalled,
        TryRecvError::Closed => Why::Closed,
        TryRecvError::Died => Why::Died,
        TryRecvError::Fault(fault) => panic!("receiving: {fault}"),
        _ => unreachable!("all that there is"),
    })
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
