//! Byte messages under the hooks: their accesses, their kills, lies about their lengths.

mod hooks;
mod oracles;
mod scale;
mod support;

use annulus::hooks::{Liar, Op, budget, count, kill_before, lie, trace};
use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{Corrupt, Fault, SeatState, TryRecvError, TrySendError};
use oracles::message::bytes;
use oracles::place::{PLACES, Place, Site};

const CAPACITY: u64 = 4;
const MAX: usize = 20;

/// The message at a position.
fn message(position: u64) -> Vec<u8> {
    bytes(position as usize * 7 % (MAX + 1), position)
}

type Ends = (Site<[u8]>, Sender<[u8]>, Receiver<[u8]>);

/// A ring in which so many messages wait after a lap, and its ends.
fn site(place: Place, waiting: u64) -> Ends {
    let options = Ring::<[u8]>::options().capacity(CAPACITY).max_len(MAX as u64);
    let site = Site::new(place, &options);
    let (mut sender, mut receiver) = (site.one.sender().unwrap(), site.other.receiver().unwrap());
    for position in 0..CAPACITY + 1 + waiting {
        sender.try_send(&message(position)).unwrap();
        if position <= CAPACITY {
            receiver.try_recv(&mut [0; MAX]).unwrap();
        }
    }
    (site, sender, receiver)
}

/// Position of the first message that waits.
const FIRST: u64 = CAPACITY + 1;

#[test]
fn a_byte_message_takes_one_access_more_each_way_for_its_length() {
    for place in PLACES {
        let (_site, mut sender, mut receiver) = site(place, 0);
        let mut out = [0; MAX];
        // The look at the head for the fifth message found room for some more.
        // Length, bytes, stamp, flag; stamp, length, bytes, head, flag.
        assert_eq!(count(|| sender.try_send(b"abc").unwrap()), ((), 4));
        assert_eq!(count(|| receiver.try_recv(&mut out).unwrap()), (3, 5));
        assert_eq!(count(|| sender.try_send(&[0; MAX + 1])), (Err(TrySendError::TooLong(())), 0));
        let mut slot = sender.try_reserve().unwrap();
        assert_eq!(count(|| slot.append(b"abcd")), (4, 1));
        // Length, stamp, flag.
        assert_eq!(count(|| slot.commit()).1, 3);
        // Stamp, length: it stays.
        let small = Err(TryRecvError::TooSmall { needed: 4 });
        assert_eq!(count(|| receiver.try_recv(&mut out[..3])), (small, 2));
        // Stamp, length, claim.
        let (guard, exposing) = count(|| receiver.try_recv_ref().unwrap());
        assert_eq!((guard.len(), exposing), (4, 3));
        assert_eq!(count(|| guard.release()), ((), 2));
    }
}

#[test]
fn a_sender_killed_in_a_byte_message_leaves_it_whole_or_not_at_all() {
    hooks::quiet();
    type Send = fn(&mut Sender<[u8]>, &[u8]);
    let verbs: [Send; 2] = [
        |sender, message| sender.try_send(message).unwrap(),
        |sender, message| {
            let mut slot = sender.try_reserve().unwrap();
            slot.append(&message[..message.len() / 2]);
            slot.append(&message[message.len() / 2..]);
            slot.commit();
        },
    ];
    for place in [Place::Heap, Place::Memfd] {
        for (verb, waiting) in verbs.into_iter().flat_map(|verb| [(verb, 0), (verb, 3)]) {
            for k in 1.. {
                let (site, mut sender, mut receiver) = site(place, waiting);
                let next = message(FIRST + waiting);
                let (lived, steps) = trace(|| {
                    kill_before(k, move || {
                        verb(&mut sender, &next);
                        sender
                    })
                });
                let stamped = |step: &&annulus::hooks::Access| step.edge == "publish::RELEASE";
                let committed = steps.iter().filter(stamped).count() as u64;
                let lived = lived.map(drop).is_some();
                assert_eq!(receiver.peer().unwrap() == SeatState::Closed, lived);
                let mut sender = site.one.sender().unwrap();
                assert_eq!(sender.position(), FIRST + waiting + committed);
                while sender.position() < FIRST + CAPACITY {
                    sender.try_send(&message(sender.position())).unwrap();
                }
                for position in FIRST..FIRST + CAPACITY {
                    let mut out = [0; MAX];
                    let len = receiver.try_recv(&mut out).unwrap();
                    assert_eq!(out[..len], message(position));
                }
                if lived {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_receiver_killed_in_a_byte_message_leaves_what_it_did_not_retire() {
    hooks::quiet();
    type Recv = fn(&mut Receiver<[u8]>) -> Vec<u8>;
    let verbs: [Recv; 3] = [
        |receiver| {
            let mut out = [0; MAX];
            let len = receiver.try_recv(&mut out).unwrap();
            out[..len].to_vec()
        },
        |receiver| receiver.try_recv_ref().unwrap().to_vec(),
        |receiver| {
            // One that does not fit stays.
            let _ = receiver.try_recv(&mut []);
            receiver.try_recv_ref().unwrap().to_vec()
        },
    ];
    for (place, verb) in [Place::Heap, Place::Memfd].into_iter().flat_map(|p| verbs.map(|v| (p, v)))
    {
        for k in 1.. {
            let (site, sender, mut receiver) = site(place, 3);
            let (lived, steps) = trace(|| {
                kill_before(k, move || {
                    assert_eq!(verb(&mut receiver), message(FIRST));
                    receiver
                })
            });
            let retired = steps.iter().any(|step| step.edge == "retire::RELEASE");
            let claim = Some(FIRST + 1);
            let claimed = steps.iter().any(|step| {
                step.op == Op::Store
                    && step.edge == "relaxed::SOLE_WRITER"
                    && Some(step.value) == claim
            });
            let lived = lived.map(drop).is_some();
            assert_eq!(sender.peer().unwrap() == SeatState::Closed, lived);
            let mut receiver = site.other.receiver().unwrap();
            assert_eq!(receiver.position(), FIRST + u64::from(retired));
            for position in receiver.position()..FIRST + 3 {
                let again = position == FIRST && claimed;
                assert_eq!(receiver.is_redelivered(position), again);
                let guard = receiver.try_recv_ref().unwrap();
                assert_eq!((guard.redelivered(), guard.to_vec()), (again, message(position)));
            }
            if lived {
                break;
            }
        }
    }
}

#[test]
fn a_length_that_is_a_lie_is_refused_or_within_the_maximum() {
    for lied in [0, 1, MAX as u64, MAX as u64 + 1, 1 << 32, u64::MAX - 7, u64::MAX] {
        for verb in 0..3 {
            let (_site, mut sender, mut receiver) = site(Place::Memfd, 2);
            // The first copy out is the length's.
            let mut told = false;
            let liar: Liar = Box::new(move |edge, truth| {
                if edge == "payload" && !std::mem::replace(&mut told, true) { lied } else { truth }
            });
            let mut out = [0; 64];
            let said = lie(liar, || {
                budget(8, || match verb {
                    0 => receiver.try_recv(&mut out),
                    1 => receiver.try_recv_ref().map(|guard| guard.to_vec().len()),
                    _ => receiver.try_recv_ref().map(|guard| guard.read_at(0, &mut out)),
                })
            });
            if lied <= MAX as u64 {
                assert_eq!(said, Ok(lied as usize));
                continue;
            }
            let fault = Fault::Corrupt(Corrupt { word: "message length", value: lied });
            assert_eq!(said, Err(TryRecvError::Fault(fault)));
            assert_eq!(receiver.try_recv(&mut out), Err(TryRecvError::Fault(fault)));
            // The handle's alone.
            assert_eq!(sender.peer().unwrap(), SeatState::Live);
            sender.try_send(b"on").unwrap();
        }
    }
}
