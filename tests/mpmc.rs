//! The mpmc ring's verbs, one by one, in one process.

use std::collections::BTreeSet;
use std::time::Duration;

use annulus::mpmc::{Receiver, Ring, Sender};
use annulus::{
    Error, RecvError, SendError, TryRecvError, TrySendError, WaitError, WaitMethod, mpmc,
};

fn ring(capacity: u64) -> Ring<u64> {
    Ring::options().capacity(capacity).seats(4).create_memfd("work").unwrap()
}

fn pair(capacity: u64) -> (Sender<u64>, Receiver<u64>) {
    let ring = ring(capacity);
    (ring.sender().unwrap(), ring.receiver().unwrap())
}

#[test]
fn messages_come_in_the_order_of_their_positions() {
    for capacity in [1, 2, 4, 16] {
        let ring = ring(capacity);
        let mut senders = [ring.sender().unwrap(), ring.sender().unwrap()];
        let mut receivers = [ring.receiver().unwrap(), ring.receiver().unwrap()];
        let mut next = 0;
        for lap in 0..5_usize {
            for message in 0..capacity {
                senders[(lap + message as usize) % 2].try_send(next + message).unwrap();
            }
            assert_eq!(senders[lap % 2].try_send(9), Err(TrySendError::Full(9)));
            for message in 0..capacity {
                let receiver = &mut receivers[(lap / 2 + message as usize) % 2];
                assert_eq!(receiver.try_recv(), Ok(next + message));
                assert_eq!(receiver.last().position, next + message);
                assert!(!receiver.last().redelivered);
            }
            assert_eq!(receivers[lap % 2].try_recv(), Err(TryRecvError::Empty));
            next += capacity;
        }
    }
}

#[test]
fn batches_take_several_positions_at_once() {
    let (mut sender, mut receiver) = pair(8);
    assert_eq!(sender.try_send_many(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), Ok(8));
    assert_eq!(sender.try_send_many(&[8]), Err(TrySendError::Full(())));
    let mut out = [0; 5];
    assert_eq!((receiver.try_recv_many(&mut out), out), (Ok(5), [0, 1, 2, 3, 4]));
    sender.send_many(&[8, 9, 10]).unwrap();
    assert_eq!((receiver.recv_many(&mut out), out), (Ok(5), [5, 6, 7, 8, 9]));
    assert_eq!((receiver.recv_many(&mut out), out[0]), (Ok(1), 10));
    assert_eq!(receiver.try_recv_many(&mut out), Err(TryRecvError::Empty));
    assert_eq!((receiver.try_recv_many(&mut []), sender.try_send_many(&[])), (Ok(0), Ok(0)));
    assert_eq!((receiver.recv_many(&mut []), sender.send_many(&[])), (Ok(0), Ok(())));
}

#[test]
fn a_reservation_stalls_receivers_until_it_is_committed_or_given_up() {
    let ring = ring(4);
    let (mut one, mut two) = (ring.sender().unwrap(), ring.sender().unwrap());
    let mut receiver = ring.receiver().unwrap();
    let mut slot = one.reserve().unwrap();
    two.try_send(1).unwrap();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Stalled));
    assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvError::Timeout));
    slot.write(&0);
    assert_eq!(slot.commit(), 0);
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(0), Ok(1)));
    let slot = one.try_reserve().unwrap();
    two.try_send(3).unwrap();
    drop(slot);
    assert_eq!((receiver.try_recv(), receiver.last().position), (Ok(3), 3));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_forgotten_reservation_is_given_up_by_the_next_operation_or_by_leaving() {
    for leave in [false, true] {
        let ring = ring(4);
        let (mut one, mut two) = (ring.sender().unwrap(), ring.sender().unwrap());
        let mut receiver = ring.receiver().unwrap();
        std::mem::forget(one.reserve().unwrap());
        two.try_send(1).unwrap();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Stalled));
        if leave {
            drop(one);
        } else {
            one.try_send(2).unwrap();
        }
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(receiver.try_recv().ok(), (!leave).then_some(2));
    }
}

#[test]
fn a_guard_stalls_senders_a_lap_later() {
    let ring = ring(2);
    let mut sender = ring.sender().unwrap();
    let (mut one, mut two) = (ring.receiver().unwrap(), ring.receiver().unwrap());
    sender.try_send_many(&[0, 1]).unwrap();
    let guard = one.recv_ref().unwrap();
    assert_eq!((guard.read(), guard.position(), guard.redelivered()), (0, 0, false));
    assert_eq!(two.try_recv(), Ok(1));
    assert_eq!(two.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    let timeout = Duration::from_millis(1);
    assert_eq!(sender.send_timeout(2, timeout), Err(SendError::Timeout(2)));
    guard.release();
    sender.try_send_many(&[2, 3]).unwrap();
    std::mem::forget(one.recv_ref().unwrap());
    assert_eq!((two.try_recv(), sender.try_send(4)), (Ok(3), Err(TrySendError::Full(4))));
    assert_eq!(one.try_recv(), Err(TryRecvError::Empty));
    sender.try_send(4).unwrap();
    std::mem::forget(one.recv_ref().unwrap());
    drop(one);
    sender.try_send_many(&[5, 6]).unwrap();
    assert_eq!((two.try_recv(), two.try_recv()), (Ok(5), Ok(6)));
}

#[test]
fn byte_messages_have_their_lengths_and_one_too_long_stays() {
    let ring = Ring::<[u8]>::options().capacity(4).max_len(10).create_memfd("work").unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let mut other = receiver.try_clone().unwrap();
    for message in [&b""[..], b"0123456789", b"abc"] {
        sender.try_send(message).unwrap();
    }
    assert_eq!((sender.max_len(), receiver.max_len()), (10, 10));
    assert_eq!(sender.try_send(b"0123456789x"), Err(TrySendError::TooLong(())));
    let mut out = [0; 10];
    assert_eq!(receiver.try_recv(&mut out), Ok(0));
    assert_eq!(receiver.try_recv(&mut out[..9]), Err(TryRecvError::TooSmall { needed: 10 }));
    assert_eq!((other.try_recv(&mut out), &out[..3]), (Ok(3), &b"abc"[..]));
    assert_eq!((receiver.try_recv(&mut out), &out), (Ok(10), b"0123456789"));
    assert!(!receiver.last().redelivered);
    // Left behind, it comes to another, marked.
    sender.try_send(b"again").unwrap();
    assert_eq!(receiver.recv(&mut out[..1]), Err(RecvError::TooSmall { needed: 5 }));
    drop(receiver);
    assert_eq!((other.recv(&mut out), &out[..5]), (Ok(5), &b"again"[..]));
    assert!(other.last().redelivered);
}

#[test]
fn the_end_is_known_when_nobody_of_the_other_side_is_left() {
    let ring = ring(4);
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let other = sender.try_clone().unwrap();
    sender.try_send(1).unwrap();
    drop(sender);
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(other);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
    // Somebody may come again.
    let mut sender = ring.sender().unwrap();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(receiver);
    assert_eq!(sender.try_send_many(&[0, 1, 2, 3]), Ok(4));
    assert_eq!(sender.try_send(4), Err(TrySendError::Closed(4)));
    assert_eq!(sender.send(4), Err(SendError::Closed(4)));
}

#[test]
fn seats_are_finite_and_given_back() {
    let ring = ring(4);
    let mut senders: Vec<_> = (0..4).map(|_| ring.sender().unwrap()).collect();
    let mut receivers: Vec<_> = (0..4).map(|_| ring.receiver().unwrap()).collect();
    assert_eq!(senders.iter().map(Sender::seat).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(receivers.iter().map(Receiver::seat).collect::<Vec<_>>(), [4, 5, 6, 7]);
    assert!(matches!(ring.sender(), Err(Error::NoSeat { role: "sender", seats: 4 })));
    assert!(matches!(receivers[0].try_clone(), Err(Error::NoSeat { role: "receiver", seats: 4 })));
    for _ in 0..10 {
        senders.remove(1);
        receivers.remove(2);
        senders.insert(1, ring.sender().unwrap());
        receivers.insert(2, ring.receiver().unwrap());
    }
    assert_eq!(senders[0].wait_for_peer(None), Ok(()));
    drop(receivers);
    let timeout = Some(Duration::from_millis(1));
    assert_eq!(senders[0].wait_for_peer(timeout), Err(WaitError::Timeout));
}

#[test]
fn options_that_cannot_be_are_refused() {
    let refused = |options: annulus::Options<Ring<u64>>| options.create_heap().map(drop);
    for seats in [0, 257, u64::MAX] {
        let refused = refused(Ring::options().seats(seats));
        assert!(matches!(refused, Err(Error::Option { option: "seats", .. })));
    }
    assert_eq!(Ring::<u64>::options().create_heap().unwrap().seats(), 64);
    let semaphores = Ring::<u64>::options().wait_method(WaitMethod::Semaphore);
    assert!(matches!(semaphores.create_new("shm:no"), Err(Error::Unsupported(_))));
}

/// Every message once, and those of each sender in its order.
fn everything_arrives_once(send: impl Fn(&mut Sender<u64>, &[u64]) + Send + Copy + 'static) {
    let options = Ring::<u64>::options().capacity(8).seats(4).slice(Duration::from_secs(600));
    let ring = options.create_memfd("work").unwrap();
    const EACH: u64 = 20_000;
    let senders: Vec<_> = (0..3)
        .map(|number| {
            let mut sender = ring.sender().unwrap();
            std::thread::spawn(move || {
                let messages: Vec<_> = (0..EACH).map(|n| number << 32 | n).collect();
                send(&mut sender, &messages);
                assert_eq!(sender.rescues(), 0);
            })
        })
        .collect();
    let receivers: Vec<_> = (0..3)
        .map(|number| {
            let mut receiver = ring.receiver().unwrap();
            std::thread::spawn(move || {
                let (mut got, mut out) = (Vec::new(), [0; 5]);
                loop {
                    let count = match number {
                        0 => receiver.recv().map(|message| {
                            out[0] = message;
                            1
                        }),
                        1 => receiver.recv_many(&mut out),
                        _ => receiver.recv_ref().map(|guard| {
                            out[0] = guard.read();
                            1
                        }),
                    };
                    match count {
                        Ok(count) => got.extend_from_slice(&out[..count]),
                        Err(RecvError::Closed) => break,
                        Err(other) => panic!("{other}"),
                    }
                }
                assert_eq!(receiver.rescues(), 0);
                got
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    let mut all = BTreeSet::new();
    for receiver in receivers {
        let got = receiver.join().unwrap();
        for sender in 0..3 {
            let own: Vec<_> = got.iter().filter(|message| **message >> 32 == sender).collect();
            assert!(own.is_sorted(), "those of one sender, in order");
        }
        for message in got {
            assert!(all.insert(message), "{message:#x} came twice");
        }
    }
    assert_eq!(all.len() as u64, 3 * EACH);
}

#[test]
fn every_message_arrives_once_one_by_one() {
    everything_arrives_once(|sender, messages| {
        for message in messages {
            sender.send(*message).unwrap();
        }
    });
}

#[test]
fn every_message_arrives_once_in_batches() {
    everything_arrives_once(|sender, messages| sender.send_many(messages).unwrap());
}

#[test]
fn every_message_arrives_once_by_reservation() {
    everything_arrives_once(|sender, messages| {
        for message in messages {
            if message % 7 == 0 {
                drop(sender.reserve().unwrap());
            }
            let mut slot = sender.reserve().unwrap();
            slot.write(message);
            slot.commit();
        }
    });
}

#[test]
fn trusted_peers_are_lent_the_slot() {
    let (mut sender, mut receiver) = mpmc::channel::<[u64; 4]>(4).unwrap();
    let mut slot = sender.reserve().unwrap();
    slot[2] = 7;
    slot.commit();
    assert_eq!(receiver.recv_ref().unwrap()[2], 7);
}
