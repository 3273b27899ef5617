//! A ring of byte messages is a queue too, whatever their lengths.

mod oracles;
mod scale;
mod support;

use std::time::Duration;

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{Fault, RecvError, SeatState, SendError, TryRecvError, TrySendError};
use oracles::message::bytes;
use oracles::model::{Model, Why};
use oracles::op::{End, capacity};
use oracles::place::{Place, Site, any_place, any_waiting};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// One operation; lengths may be beyond the maximum, or what is needed.
#[derive(Clone, Copy, Debug)]
enum Op {
    TrySend(usize),
    /// By `send` if there is room, with a timeout otherwise.
    Send(usize),
    /// Appended in two parts.
    Reserve(usize, usize, End),
    /// To a buffer of that length.
    TryRecv(usize),
    Recv(usize),
    /// `read_at` of so many bytes from there on, then `to_vec`.
    RecvRef(usize, usize, End),
    TurnSender,
    TurnReceiver,
}

fn op(max: usize) -> impl Strategy<Value = Op> {
    let len = || prop_oneof![4 => 0..=max, 1 => Just(max), 1 => max + 1..=max + 9];
    let end =
        || prop::sample::select([End::Said, End::Said, End::Dropped, End::Forgotten].as_slice());
    prop_oneof![
        3 => len().prop_map(Op::TrySend),
        3 => len().prop_map(Op::Send),
        3 => (len(), len(), end()).prop_map(|(one, two, end)| Op::Reserve(one, two, end)),
        3 => len().prop_map(Op::TryRecv),
        3 => len().prop_map(Op::Recv),
        3 => (len(), len(), end()).prop_map(|(at, len, end)| Op::RecvRef(at, len, end)),
        1 => Just(Op::TurnSender),
        1 => Just(Op::TurnReceiver),
    ]
}

struct Runner {
    model: Model,
    max: usize,
    site: Site<[u8]>,
    sender: Option<Sender<[u8]>>,
    receiver: Option<Receiver<[u8]>>,
    seed: u64,
}

/// What a verb says, waiting or not.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Not(Why),
    TooLong,
    TooSmall(usize),
}

impl From<TrySendError<()>> for Said {
    fn from(error: TrySendError<()>) -> Self {
        match error {
            TrySendError::Full(()) => Self::Not(Why::NotNow),
            TrySendError::Closed(()) => Self::Not(Why::Closed),
            TrySendError::TooLong(()) => Self::TooLong,
            other => panic!("{other:?}"),
        }
    }
}

impl From<SendError<()>> for Said {
    fn from(error: SendError<()>) -> Self {
        match error {
            SendError::Timeout(()) => Self::Not(Why::Timeout),
            SendError::Closed(()) => Self::Not(Why::Closed),
            SendError::TooLong(()) => Self::TooLong,
            other => panic!("{other:?}"),
        }
    }
}

impl From<TryRecvError> for Said {
    fn from(error: TryRecvError) -> Self {
        match error {
            TryRecvError::Empty => Self::Not(Why::NotNow),
            TryRecvError::Closed => Self::Not(Why::Closed),
            TryRecvError::TooSmall { needed } => Self::TooSmall(needed),
            other => panic!("{other:?}"),
        }
    }
}

impl From<RecvError> for Said {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Timeout => Self::Not(Why::Timeout),
            RecvError::Closed => Self::Not(Why::Closed),
            RecvError::TooSmall { needed } => Self::TooSmall(needed),
            other => panic!("{other:?}"),
        }
    }
}

fn waited(why: Why) -> Why {
    if why == Why::NotNow { Why::Timeout } else { why }
}

impl Runner {
    fn fresh(&mut self, len: usize) -> Vec<u8> {
        self.seed += 1;
        bytes(len, self.seed)
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::TurnSender => {
                self.model.sender = match self.sender.take() {
                    Some(_) => SeatState::Closed,
                    None => {
                        self.sender = Some(self.site.one.sender().unwrap());
                        SeatState::Live
                    }
                };
            }
            Op::TurnReceiver => {
                self.model.receiver = match self.receiver.take() {
                    Some(receiver) => {
                        drop(receiver);
                        self.model.settle();
                        SeatState::Closed
                    }
                    None => {
                        self.receiver = Some(self.site.other.receiver().unwrap());
                        SeatState::Live
                    }
                };
            }
            Op::TrySend(_) | Op::Send(_) | Op::Reserve(..) => self.send(op),
            Op::TryRecv(_) | Op::Recv(_) | Op::RecvRef(..) => self.recv(op),
        }
        if let Some(sender) = &self.sender {
            assert_eq!((sender.position(), sender.max_len()), (self.model.tail(), self.max));
        }
        if let Some(receiver) = &self.receiver {
            let position = self.model.head() + u64::from(self.model.forgotten);
            assert_eq!((receiver.position(), receiver.max_len()), (position, self.max));
        }
        if let Some(observer) = &self.site.observer {
            assert_eq!(
                (observer.head(), observer.len()),
                (self.model.head(), self.model.len() as u64)
            );
        }
    }

    #[allow(clippy::forget_non_drop, reason = "that is what is tested")]
    fn send(&mut self, op: Op) {
        let (Op::TrySend(len) | Op::Send(len) | Op::Reserve(len, ..)) = op else { unreachable!() };
        let (max, refusal) = (self.max, self.model.refuses_send());
        let message = self.fresh(len);
        let more = self.fresh(if let Op::Reserve(_, more, _) = op { more } else { 0 });
        let Some(sender) = &mut self.sender else { return };
        let said: Result<(), Said> = match op {
            Op::TrySend(_) => sender.try_send(&message).map_err(Said::from),
            Op::Send(_) if refusal == Some(Why::NotNow) => {
                sender.send_timeout(&message, Duration::ZERO).map_err(Said::from)
            }
            Op::Send(_) => sender.send(&message).map_err(Said::from),
            Op::Reserve(_, _, end) => {
                let reserved = sender.try_reserve();
                let Ok(mut slot) = reserved else {
                    let said = Said::from(reserved.unwrap_err());
                    return assert_eq!(Some(said), refusal.map(Said::Not));
                };
                assert_eq!((slot.capacity(), slot.position()), (max, self.model.tail()));
                let mut truth = message;
                truth.extend(more);
                truth.truncate(max);
                let first = len.min(max);
                assert_eq!(slot.append(&truth[..first]), first);
                assert_eq!(slot.append(&truth[first..]), truth.len() - first);
                assert_eq!(slot.written(), truth.len());
                if truth.len() == max {
                    assert_eq!(slot.append(&[1; 9]), 0, "nothing fits beyond the maximum");
                }
                match end {
                    End::Said => {
                        slot.commit();
                        self.model.send(truth);
                    }
                    End::Dropped => drop(slot),
                    End::Forgotten => std::mem::forget(slot),
                }
                return;
            }
            _ => unreachable!(),
        };
        let refusal = match op {
            Op::Send(_) => refusal.map(waited),
            _ => refusal,
        };
        if len > max {
            assert_eq!(said, Err(Said::TooLong));
        } else if let Some(why) = refusal {
            assert_eq!(said, Err(Said::Not(why)));
        } else {
            assert_eq!(said, Ok(()));
            self.model.send(message);
        }
    }

    fn recv(&mut self, op: Op) {
        let Some(receiver) = &mut self.receiver else { return };
        self.model.settle();
        let refusal = self.model.refuses_recv();
        if let Op::RecvRef(at, len, end) = op {
            let exposed = receiver.try_recv_ref();
            let Ok(guard) = exposed else {
                let said = Said::from(exposed.unwrap_err());
                return assert_eq!(Some(said), refusal.map(Said::Not));
            };
            let truth = self.model.front();
            assert_eq!((guard.position(), guard.len()), (self.model.head(), truth.len()));
            let mut out = vec![0xa5; len];
            let count = len.min(truth.len().saturating_sub(at));
            assert_eq!(guard.read_at(at, &mut out), count);
            assert_eq!(out[..count], truth[at.min(truth.len())..][..count]);
            assert!(out[count..].iter().all(|byte| *byte == 0xa5));
            assert_eq!(guard.to_vec(), truth);
            match end {
                End::Forgotten => {
                    std::mem::forget(guard);
                    self.model.forgotten = true;
                }
                End::Said | End::Dropped => {
                    guard.release();
                    self.model.recv();
                }
            }
            return;
        }
        let (Op::TryRecv(len) | Op::Recv(len)) = op else { unreachable!() };
        let mut out = vec![0xa5; len];
        let (said, refusal): (Result<usize, Said>, _) = match op {
            Op::TryRecv(_) => (receiver.try_recv(&mut out).map_err(Said::from), refusal),
            _ if refusal == Some(Why::NotNow) => {
                let said = receiver.recv_timeout(&mut out, Duration::ZERO);
                (said.map_err(Said::from), refusal.map(waited))
            }
            _ => (receiver.recv(&mut out).map_err(Said::from), refusal),
        };
        match refusal {
            Some(why) => assert_eq!(said, Err(Said::Not(why))),
            // It stays where it is.
            None if self.model.front().len() > len => {
                assert_eq!(said, Err(Said::TooSmall(self.model.front().len())));
                assert!(out.iter().all(|byte| *byte == 0xa5));
            }
            None => {
                let truth = self.model.recv();
                assert_eq!(said, Ok(truth.len()));
                assert_eq!(out[..truth.len()], truth);
                assert!(out[truth.len()..].iter().all(|byte| *byte == 0xa5));
            }
        }
    }
}

fn a_ring_of_bytes_is_a_queue(max: usize) {
    let cases = u32::try_from(scale::scaled(64)).unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let rings = (any_place(), capacity()).prop_flat_map(move |(place, capacity)| {
        let ops = prop::collection::vec(op(max), 1..80);
        (Just(place), Just(capacity), any_waiting(place), ops)
    });
    TestRunner::new(config)
        .run(&rings, |(place, capacity, waiting, ops)| {
            let options = Ring::<[u8]>::options().capacity(capacity as u64).max_len(max as u64);
            let site = Site::new(place, &waiting.ask(options));
            let model = Model::new(capacity, 0);
            let mut runner = Runner { model, max, site, sender: None, receiver: None, seed: 0 };
            runner.run(Op::TurnSender);
            runner.run(Op::TurnReceiver);
            ops.into_iter().for_each(|op| runner.run(op));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_ring_of_empty_messages_is_a_queue() {
    a_ring_of_bytes_is_a_queue(0);
}

#[test]
fn a_ring_of_up_to_7_bytes_is_a_queue() {
    a_ring_of_bytes_is_a_queue(7);
}

#[test]
fn a_ring_of_up_to_48_bytes_is_a_queue() {
    a_ring_of_bytes_is_a_queue(48);
}

#[test]
fn a_ring_of_up_to_1000_bytes_is_a_queue() {
    a_ring_of_bytes_is_a_queue(1000);
}

#[test]
fn a_message_that_is_too_long_is_too_long_even_for_a_full_ring() {
    let site = Site::new(Place::Memfd, &Ring::<[u8]>::options().capacity(1).max_len(4));
    let mut sender = site.one.sender().unwrap();
    sender.send(b"four").unwrap();
    assert_eq!(sender.try_send(b"five "), Err(TrySendError::TooLong(())));
    assert_eq!(sender.send(b"five "), Err(SendError::TooLong(())));
    assert_eq!(sender.try_send(b"four"), Err(TrySendError::Full(())));
}

#[test]
fn a_length_that_no_correct_peer_writes_poisons_the_receiver() {
    use std::os::unix::fs::FileExt;
    for lied in [5, 1 << 32, u64::MAX] {
        let site = Site::new(Place::Memfd, &Ring::<[u8]>::options().capacity(1).max_len(4));
        let file =
            std::fs::File::from(site.one.segment_fd().unwrap().try_clone_to_owned().unwrap());
        site.one.sender().unwrap().send(b"four").unwrap();
        // The first slot's message begins behind its stamp.
        file.write_all_at(&lied.to_le_bytes(), 768 + 8).unwrap();
        let mut receiver = site.other.receiver().unwrap();
        let fault = Fault::Corrupt(annulus::Corrupt { word: "message length", value: lied });
        let mut out = [0; 100];
        assert_eq!(receiver.try_recv(&mut out), Err(TryRecvError::Fault(fault)));
        assert_eq!(receiver.recv(&mut out), Err(RecvError::Fault(fault)));
        assert_eq!(receiver.try_recv_ref().unwrap_err(), TryRecvError::Fault(fault));
        assert_eq!(out, [0; 100]);
    }
}
