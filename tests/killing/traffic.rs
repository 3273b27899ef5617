//! What is sent and received, by which verbs: fixed-size messages and byte messages.

use std::time::Duration;

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{Options, Payload, RecvError, SendError, TryRecvError, TrySendError};

use super::journal::Journal;
use super::{Random, mix};

/// The fixed-size message of these campaigns: more than one store, less than a line.
pub type Words = [u64; 6];

/// The longest byte message.
const MAX_LEN: u64 = 200;

/// How long blocking verbs with a timeout wait.
const TIMEOUT: Duration = Duration::from_millis(1);

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did something, or there was nothing to do for now.
    Went,
    /// The other side has closed or died.
    Ended,
}

/// A kind of message, and what can be done with it.
pub trait Traffic: Payload {
    /// Options for a ring of it.
    fn options() -> Options<Ring<Self>>;
    /// Sends the message of a position: there is room.
    fn put(sender: &mut Sender<Self>, p: u64);
    /// Receives the message of a position, which is there.
    fn take(receiver: &mut Receiver<Self>, p: u64);
    /// One verb of the sender; the next position is `p`. Notes how far it may come.
    fn send(sender: &mut Sender<Self>, p: u64, random: &mut Random, notes: &Journal) -> Outcome;
    /// One verb of the receiver, likewise; notes and checks what it gets.
    fn recv(receiver: &mut Receiver<Self>, random: &mut Random, notes: &Journal) -> Outcome;
}

/// The message of a position.
pub fn words(position: u64) -> Words {
    [position, !position, mix(position), position ^ 0x5555, mix(!position), position]
}

/// The byte message of a position.
pub fn bytes(position: u64) -> Vec<u8> {
    let len = mix(position) % (MAX_LEN + 1);
    (0..len).map(|at| mix(position ^ (at << 48)) as u8).collect()
}

fn sent<T>(result: Result<T, SendError<impl Sized>>) -> Outcome {
    match result {
        Ok(_) | Err(SendError::Timeout(_)) => Outcome::Went,
        Err(SendError::Closed(_) | SendError::Died(_)) => Outcome::Ended,
        Err(other) => panic!("{other:?}"),
    }
}

fn sent_at_once<T>(result: Result<T, TrySendError<impl Sized>>) -> Outcome {
    match result {
        Ok(_) | Err(TrySendError::Full(_)) => Outcome::Went,
        Err(TrySendError::Closed(_) | TrySendError::Died(_)) => Outcome::Ended,
        Err(other) => panic!("{other:?}"),
    }
}

fn received<T>(result: Result<T, RecvError>) -> Result<T, Outcome> {
    result.map_err(|error| match error {
        RecvError::Timeout => Outcome::Went,
        RecvError::Closed | RecvError::Died => Outcome::Ended,
        other => panic!("{other:?}"),
    })
}

fn received_at_once<T>(result: Result<T, TryRecvError>) -> Result<T, Outcome> {
    result.map_err(|error| match error {
        TryRecvError::Empty => Outcome::Went,
        TryRecvError::Closed | TryRecvError::Died => Outcome::Ended,
        other => panic!("{other:?}"),
    })
}

/// Some time with a guard or a reservation in hand.
fn dawdle(random: &mut Random) {
    for _ in 0..random.below(200) {
        std::hint::spin_loop();
    }
    if random.once_in(16) {
        std::thread::sleep(Duration::from_micros(random.below(200)));
    }
}

impl Traffic for Words {
    fn options() -> Options<Ring<Self>> {
        Ring::options()
    }

    fn put(sender: &mut Sender<Self>, p: u64) {
        assert_eq!(sender.position(), p);
        sender.try_send(words(p)).unwrap();
    }

    fn take(receiver: &mut Receiver<Self>, p: u64) {
        assert_eq!((receiver.position(), receiver.try_recv()), (p, Ok(words(p))));
    }

    fn send(sender: &mut Sender<Self>, p: u64, random: &mut Random, notes: &Journal) -> Outcome {
        let count = 1 + random.below(5);
        let verb = random.below(8);
        notes.may_reach.set(p + if verb < 2 { count } else { 1 });
        let batch = || (p..p + count).map(words).collect::<Vec<_>>();
        match verb {
            0 => match sender.send_many(&batch()) {
                Ok(()) => Outcome::Went,
                Err(error) => sent::<()>(Err(error.reason)),
            },
            1 => sent_at_once(sender.try_send_many(&batch())),
            2 => sent(sender.send(words(p))),
            3 => sent(sender.send_timeout(words(p), TIMEOUT)),
            4 => sent_at_once(sender.try_send(words(p))),
            5 | 6 => {
                let slot = if verb == 5 {
                    sender.reserve_timeout(TIMEOUT).map_err(|error| sent::<()>(Err(error)))
                } else {
                    sender.try_reserve().map_err(|error| sent_at_once::<()>(Err(error)))
                };
                slot.map_or_else(
                    |outcome| outcome,
                    |mut slot| {
                        slot.write(&words(p));
                        dawdle(random);
                        assert_eq!(slot.commit(), p);
                        Outcome::Went
                    },
                )
            }
            _ => match sender.reserve() {
                Ok(mut slot) => {
                    // Given up, or half of it at a time.
                    let message = words(p);
                    let message = zerocopy::IntoBytes::as_bytes(&message);
                    slot.append(&message[..20]);
                    if random.once_in(2) {
                        slot.append(&message[20..]);
                        slot.commit();
                    }
                    Outcome::Went
                }
                Err(error) => sent::<()>(Err(error)),
            },
        }
    }

    fn recv(receiver: &mut Receiver<Self>, random: &mut Random, notes: &Journal) -> Outcome {
        let p = receiver.position();
        let (verb, count) = (random.below(9), 1 + random.below(5));
        notes.asks(p, if (3..5).contains(&verb) { count } else { 1 }, verb >= 5);
        let copied = match verb {
            0 => received(receiver.recv()),
            1 => received(receiver.recv_timeout(TIMEOUT)),
            2 => received_at_once(receiver.try_recv()),
            3 | 4 => {
                let mut out = vec![[0; 6]; count as usize];
                let got = if verb == 3 {
                    received(receiver.recv_many(&mut out))
                } else {
                    received_at_once(receiver.try_recv_many(&mut out))
                };
                return got.map_or_else(
                    |outcome| outcome,
                    |got| {
                        let right = (p..).zip(&out[..got]).all(|(at, out)| *out == words(at));
                        assert!(right, "torn or out of order: {out:?} at {p}");
                        notes.has(p + got as u64);
                        Outcome::Went
                    },
                );
            }
            _ => {
                let guard = match verb {
                    5 => received(receiver.recv_ref()),
                    6 => received(receiver.recv_ref_timeout(TIMEOUT)),
                    _ => received_at_once(receiver.try_recv_ref()),
                };
                return guard.map_or_else(
                    |outcome| outcome,
                    |guard| {
                        assert_eq!(guard.position(), p);
                        assert_eq!(guard.redelivered(), p < notes.marked_until.get());
                        assert_eq!(guard.read(), words(p), "torn or out of order at {p}");
                        notes.got.set(p + 1);
                        dawdle(random);
                        if verb == 8 {
                            // Settled by the next verb.
                            std::mem::forget(guard);
                        } else {
                            guard.release();
                            notes.has(p + 1);
                        }
                        Outcome::Went
                    },
                );
            }
        };
        copied.map_or_else(
            |outcome| outcome,
            |message| {
                assert_eq!(message, words(p), "torn or out of order at {p}");
                notes.has(p + 1);
                Outcome::Went
            },
        )
    }
}

impl Traffic for [u8] {
    fn options() -> Options<Ring<Self>> {
        Ring::options().max_len(MAX_LEN)
    }

    fn put(sender: &mut Sender<Self>, p: u64) {
        assert_eq!(sender.position(), p);
        sender.try_send(&bytes(p)).unwrap();
    }

    fn take(receiver: &mut Receiver<Self>, p: u64) {
        let mut out = [0; MAX_LEN as usize];
        assert_eq!(receiver.position(), p);
        let len = receiver.try_recv(&mut out).unwrap();
        assert_eq!(out[..len], bytes(p));
    }

    fn send(sender: &mut Sender<Self>, p: u64, random: &mut Random, notes: &Journal) -> Outcome {
        notes.may_reach.set(p + 1);
        let message = bytes(p);
        match random.below(4) {
            0 => sent(sender.send(&message)),
            1 => sent(sender.send_timeout(&message, TIMEOUT)),
            2 => sent_at_once(sender.try_send(&message)),
            _ => match sender.reserve() {
                Ok(mut slot) => {
                    let half = message.len() / 2;
                    slot.append(&message[..half]);
                    dawdle(random);
                    slot.append(&message[half..]);
                    assert_eq!(slot.commit(), p);
                    Outcome::Went
                }
                Err(error) => sent::<()>(Err(error)),
            },
        }
    }

    fn recv(receiver: &mut Receiver<Self>, random: &mut Random, notes: &Journal) -> Outcome {
        let p = receiver.position();
        let verb = random.below(6);
        notes.asks(p, 1, verb >= 3);
        let mut out = [0; MAX_LEN as usize];
        let copied = match verb {
            0 => received(receiver.recv(&mut out)),
            1 => received(receiver.recv_timeout(&mut out, TIMEOUT)),
            2 => received_at_once(receiver.try_recv(&mut out)),
            _ => {
                let guard = match verb {
                    3 => received(receiver.recv_ref()),
                    4 => received(receiver.recv_ref_timeout(TIMEOUT)),
                    _ => received_at_once(receiver.try_recv_ref()),
                };
                return guard.map_or_else(
                    |outcome| outcome,
                    |guard| {
                        assert_eq!(guard.redelivered(), p < notes.marked_until.get());
                        assert_eq!(guard.to_vec(), bytes(p), "torn or out of order at {p}");
                        notes.got.set(p + 1);
                        dawdle(random);
                        guard.release();
                        notes.has(p + 1);
                        Outcome::Went
                    },
                );
            }
        };
        copied.map_or_else(
            |outcome| outcome,
            |len| {
                assert_eq!(out[..len], bytes(p), "torn or out of order at {p}");
                notes.has(p + 1);
                Outcome::Went
            },
        )
    }
}
