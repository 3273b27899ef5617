//! Byte messages: any length up to the maximum, whole, in order, by every verb; what does
//! not fit is refused and changes nothing; a length that is none is corrupt.

mod ground;
mod support;

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{
    Error, Fault, Field, Options, RecvError, SendError, Trust, TryRecvError, TrySendError,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use ground::{Ground, KINDS, LONG, take};
use support::{Family, Role};

support::roles! { sends_all_lengths, dies_holding }

fn options(max_len: u64, capacity: u64) -> Options<Ring<[u8]>> {
    Ring::options().max_len(max_len).capacity(capacity)
}

/// Bytes told by a number.
fn bytes(number: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number as usize * 31 + at * 7 + at / 256) as u8).collect()
}

/// One step of a walk.
#[derive(Clone, Debug)]
enum Step {
    /// By `try_send`.
    Send(usize),
    /// By `try_reserve`, appended in pieces of the second length; committed or not.
    Reserve(usize, usize, bool),
    /// By `try_recv`, to a buffer of so many bytes.
    Recv(usize),
    /// By `try_recv_ref`, read from an offset; released or forgotten.
    Guard(usize, bool),
    /// The sender leaves and one comes.
    TurnSender,
    /// The receiver leaves and one comes.
    TurnReceiver,
}

fn steps(max: usize) -> impl Strategy<Value = Vec<Step>> {
    let len = move || prop_oneof![3 => 0..=max, 1 => Just(max), 1 => max + 1..=max + 9];
    let step = prop_oneof![
        4 => len().prop_map(Step::Send),
        3 => (len(), 1..=max.max(1), prop::bool::weighted(0.8))
            .prop_map(|(len, piece, commits)| Step::Reserve(len, piece, commits)),
        4 => prop_oneof![Just(max), 0..=max].prop_map(Step::Recv),
        3 => (0..=max + 3, any::<bool>()).prop_map(|(at, forgets)| Step::Guard(at, forgets)),
        1 => Just(Step::TurnSender),
        1 => Just(Step::TurnReceiver),
    ];
    prop::collection::vec(step, 1..60)
}

type Ends<A> = (Sender<[u8], A>, Receiver<[u8], A>);

/// A ring beside a queue that says what must be in it.
struct Model<A: Trust> {
    ring: Ring<[u8], A>,
    ends: Option<Ends<A>>,
    queue: VecDeque<Vec<u8>>,
    /// The first of the queue was exposed and forgotten.
    forgotten: bool,
    sent: u64,
}

impl<A: Trust> Model<A> {
    fn new(ring: Ring<[u8], A>) -> Self {
        let ends = Some((ring.sender().unwrap(), ring.receiver().unwrap()));
        Self { ring, ends, queue: VecDeque::new(), forgotten: false, sent: 0 }
    }

    /// What a verb of the receiver does first.
    fn settle(&mut self) {
        if std::mem::take(&mut self.forgotten) {
            self.queue.pop_front();
        }
    }

    fn step(&mut self, step: &Step) {
        let (max, capacity) = (self.ring.message_size(), self.ring.capacity() as usize);
        let full = self.queue.len() == capacity;
        let (sender, _) = self.ends.as_mut().unwrap();
        match *step {
            Step::Send(len) => {
                let message = bytes(self.sent, len);
                let expected = match (len > max, full) {
                    (true, _) => Err(TrySendError::TooLong(())),
                    (_, true) => Err(TrySendError::Full(())),
                    _ => Ok(()),
                };
                assert_eq!(sender.try_send(&message), expected);
                if expected.is_ok() {
                    self.queue.push_back(message);
                    self.sent += 1;
                }
            }
            Step::Reserve(len, piece, commits) => {
                let mut slot = match sender.try_reserve() {
                    Ok(slot) => slot,
                    Err(error) => {
                        assert!(full && error == TrySendError::Full(()));
                        return;
                    }
                };
                assert!(!full);
                assert_eq!((slot.capacity(), slot.written(), slot.position()), (max, 0, self.sent));
                let message = bytes(self.sent, len);
                let pieces: usize = message.chunks(piece).map(|piece| slot.append(piece)).sum();
                assert_eq!((pieces, slot.written()), (len.min(max), len.min(max)));
                if commits {
                    assert_eq!(slot.commit(), self.sent);
                    self.queue.push_back(message[..len.min(max)].to_vec());
                    self.sent += 1;
                }
            }
            Step::Recv(room) => {
                self.settle();
                let mut out = vec![0xee; room];
                let (_, receiver) = self.ends.as_mut().unwrap();
                match (receiver.try_recv(&mut out), self.queue.front()) {
                    (Err(TryRecvError::Empty), None) => {}
                    (Err(TryRecvError::TooSmall { needed }), Some(first)) => {
                        assert!(needed == first.len() && needed > room);
                        assert!(out.iter().all(|byte| *byte == 0xee), "untouched");
                    }
                    (Ok(len), Some(first)) => {
                        assert_eq!(out[..len], first[..]);
                        assert!(out[len..].iter().all(|byte| *byte == 0xee), "and no more");
                        self.queue.pop_front();
                    }
                    other => panic!("{other:?}"),
                }
            }
            Step::Guard(at, forgets) => {
                self.settle();
                let (_, receiver) = self.ends.as_mut().unwrap();
                match (receiver.try_recv_ref(), self.queue.front()) {
                    (Err(error), None) => assert_eq!(error, TryRecvError::Empty),
                    (Ok(guard), Some(first)) => {
                        assert_eq!((guard.len(), guard.redelivered()), (first.len(), false));
                        assert_eq!(guard.to_vec(), *first);
                        let mut some = [0; 5];
                        let count = guard.read_at(at, &mut some);
                        assert_eq!(count, first.len().saturating_sub(at).min(5));
                        assert!(count == 0 || some[..count] == first[at..at + count]);
                        if forgets {
                            std::mem::forget(guard);
                            self.forgotten = true;
                        } else {
                            drop(guard);
                            self.queue.pop_front();
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
            Step::TurnSender => {
                let (sender, receiver) = self.ends.take().unwrap();
                drop(sender);
                let sender = self.ring.sender().unwrap();
                assert_eq!(sender.position(), self.sent);
                self.ends = Some((sender, receiver));
            }
            Step::TurnReceiver => {
                self.settle();
                let (sender, receiver) = self.ends.take().unwrap();
                drop(receiver);
                let receiver = self.ring.receiver().unwrap();
                assert_eq!(receiver.position(), self.sent - self.queue.len() as u64);
                self.ends = Some((sender, receiver));
            }
        }
    }
}

#[test]
fn byte_messages_behave_as_a_queue_of_byte_strings() {
    let maxima = prop::sample::select(&[0usize, 1, 7, 8, 9, 48, 56, 255, 256, 257, 1000][..]);
    let walks = maxima.prop_flat_map(|max| {
        (Just(max as u64), (0..4u32).prop_map(|log| 1 << log), any::<bool>(), steps(max))
    });
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() };
    TestRunner::new(config)
        .run(&walks, |(max, capacity, heap, steps)| {
            if heap {
                let mut model = Model::new(options(max, capacity).create_heap().unwrap());
                steps.iter().for_each(|step| model.step(step));
            } else {
                let mut model = Model::new(options(max, capacity).create_memfd("bytes").unwrap());
                steps.iter().for_each(|step| model.step(step));
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn what_is_too_long_is_refused_by_every_verb_and_nothing_is_sent() {
    let ring = options(8, 2).create_memfd("bytes").unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    assert_eq!((sender.max_len(), receiver.max_len(), ring.message_size()), (8, 8, 8));
    assert_eq!(sender.try_send(&[1; 9]), Err(TrySendError::TooLong(())));
    assert_eq!(sender.send(&[1; 9]), Err(SendError::TooLong(())));
    assert_eq!(sender.send_timeout(&[1; 9], LONG), Err(SendError::TooLong(())));
    let mut slot = sender.reserve().unwrap();
    assert_eq!((slot.append(&[1; 9]), slot.append(&[1])), (8, 0));
    drop(slot);
    assert_eq!(receiver.try_recv(&mut [0; 8]), Err(TryRecvError::Empty));
}

#[test]
fn a_buffer_that_is_too_small_leaves_the_message_for_a_larger_one() {
    let ring = options(100, 2).create_memfd("bytes").unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    sender.send(&bytes(1, 50)).unwrap();
    let mut out = [0; 100];
    for _ in 0..2 {
        let needed = 50;
        assert_eq!(receiver.recv(&mut out[..49]), Err(RecvError::TooSmall { needed }));
        let small = receiver.try_recv(&mut []);
        assert_eq!(small, Err(TryRecvError::TooSmall { needed }));
        let small = receiver.recv_timeout(&mut out[..10], LONG);
        assert_eq!(small, Err(RecvError::TooSmall { needed }));
    }
    assert_eq!(receiver.recv(&mut out[..50]), Ok(50));
    assert_eq!(out[..50], bytes(1, 50));
}

#[test]
fn a_maximum_that_is_not_the_rings_is_refused_and_none_takes_what_is_there() {
    for kind in KINDS {
        let (ground, _ring) = Ground::new(kind, &options(100, 2));
        assert_eq!(ground.open(&Ring::<[u8]>::options()).message_size(), 100);
        assert_eq!(ground.open(&Ring::<[u8]>::options().max_len(100)).message_size(), 100);
        let fd = ground.file(true).into();
        let other = Ring::<[u8]>::options().max_len(101);
        let refused = match kind {
            ground::Kind::Memfd => other.from_fd(fd),
            _ => other.open(ground.address()),
        };
        let field = match refused {
            Err(Error::Mismatch { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field, Field::MessageSize);
        // Nor is a ring of byte messages one of arrays.
        if kind != ground::Kind::Memfd {
            let arrays = Ring::<[u8; 100]>::open(ground.address());
            assert!(matches!(arrays, Err(Error::Mismatch { field: Field::Kind, .. })));
        }
    }
    let too_large = Ring::<[u8]>::options().max_len((1 << 30) + 1).capacity(1).create_heap();
    assert!(matches!(too_large, Err(Error::Option { .. })), "{too_large:?}");
}

/// Where the length of the first slot's message lies: behind the stamp.
const LENGTH_AT: u64 = 768 + 8;

#[test]
fn a_length_beyond_the_maximum_is_corrupt_and_poisons_the_receiver_alone() {
    for kind in KINDS {
        for hostile in [101, 1 << 20, u64::MAX, 1 << 63, u64::MAX - 7] {
            let (ground, ring) = Ground::new(kind, &options(100, 2));
            let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
            sender.send(b"message").unwrap();
            ground.file(true).write_all_at(&u64::to_le_bytes(hostile), LENGTH_AT).unwrap();
            let mut out = [0; 200];
            let Err(TryRecvError::Fault(Fault::Corrupt(corrupt))) = receiver.try_recv(&mut out)
            else {
                panic!("{hostile:#x} is no length");
            };
            assert_eq!((corrupt.word, corrupt.value), ("message length", hostile));
            assert_eq!(out, [0; 200]);
            let again = receiver.recv_ref().err();
            assert_eq!(again, Some(RecvError::Fault(Fault::Corrupt(corrupt))));
            sender.send(b"goes on").unwrap();
            drop(receiver);
            // Put right, the message is there for a successor.
            ground.file(true).write_all_at(&7_u64.to_le_bytes(), LENGTH_AT).unwrap();
            let mut receiver = ring.receiver().unwrap();
            let guard = receiver.recv_ref().unwrap();
            assert_eq!((guard.to_vec(), guard.redelivered()), (b"message".to_vec(), false));
        }
    }
}

/// Sends a message of each length.
fn sends_all_lengths(role: &mut Role) {
    let mut sender = ground::open(role, &Ring::<[u8]>::options()).sender().unwrap();
    for len in 0..=sender.max_len() {
        let message = bytes(len as u64, len);
        if len % 2 == 0 {
            sender.send(&message).unwrap();
        } else {
            let mut slot = sender.reserve().unwrap();
            let (first, rest) = message.split_at(len / 3);
            assert_eq!(slot.append(first) + slot.append(rest), len);
            slot.commit();
        }
        role.counter("sent").add(1);
    }
}

#[test]
fn messages_of_every_length_cross_between_processes() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options(700, 4));
        let mut child = ground.pass(family.child(sends_all_lengths)).spawn();
        let mut receiver = ring.receiver().unwrap();
        let mut out = [0; 700];
        for len in 0..=700 {
            let got = receiver.recv_timeout(&mut out, LONG);
            assert_eq!(got, Ok(len));
            assert_eq!(out[..len], bytes(len as u64, len));
        }
        child.wait_ok();
        assert_eq!(receiver.recv(&mut out), Err(RecvError::Closed));
    }
}

/// Exposes the first message, and stays until killed.
fn dies_holding(role: &mut Role) {
    let mut receiver = ground::open(role, &Ring::<[u8]>::options()).receiver().unwrap();
    let guard = receiver.recv_ref().unwrap();
    role.say(&format!("{} {}", guard.len(), guard.redelivered()));
    role.hear();
    drop(guard);
}

#[test]
fn a_byte_message_whose_guard_died_comes_again_marked() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options(100, 4));
        let mut sender = ring.sender().unwrap();
        sender.send(&bytes(1, 33)).unwrap();
        sender.send(&bytes(2, 0)).unwrap();
        for again in [false, true] {
            let mut child = ground.pass(family.child(dies_holding)).spawn();
            child.expect(&format!("33 {again}"));
            child.kill();
        }
        let mut receiver = take(|| ring.receiver());
        let guard = receiver.recv_ref().unwrap();
        assert_eq!((guard.redelivered(), guard.to_vec()), (true, bytes(1, 33)));
        drop(guard);
        let guard = receiver.recv_ref().unwrap();
        assert_eq!((guard.redelivered(), guard.len()), (false, 0));
    }
}
