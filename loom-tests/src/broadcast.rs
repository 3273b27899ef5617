//! Models of the broadcast: a slot that is overwritten while it is read, a receiver that
//! comes while the sender raises its limit, and deaths in between.
//!
//! A message is two words that its position tells, so whoever gets one knows whether it is
//! whole and the right one. What a receiver sees is checked as it comes (order, exact lags)
//! and, where the set is small, compared with what a specification permits.

use std::collections::BTreeSet;

use annulus::broadcast::{Receiver, Ring, Sender, Start};
use annulus::hooks::{Payload, kill_before, set_payload, weaken};
use annulus::{RecvError, TryRecvError, TrySendError};
use loom::thread;

use crate::model::attach;

type Message = [u64; 2];

/// Slots of every ring here: the fewest that can be.
const CAPACITY: u64 = 2;

fn message(position: u64) -> Message {
    [position + 1, !position]
}

/// A ring, without the notifier's fence: as in `Model`.
fn ring(payload: Payload, lossless: bool) -> Ring<Message> {
    set_payload(payload);
    weaken(Some("wake::NOTIFIER"));
    let options = Ring::options().capacity(CAPACITY).lossless(lossless).seats(3);
    options.create_heap().expect("a ring")
}

fn send(sender: &mut Sender<Message>) -> bool {
    let position = sender.position();
    match sender.try_send(message(position)) {
        Ok(()) => true,
        Err(TrySendError::Full(_)) => false,
        Err(error) => panic!("sending: {error}"),
    }
}

/// What a receive came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Saw {
    /// The message of that position.
    Got(u64),
    /// Nothing yet.
    Empty,
    /// Went on at that position.
    LaggedTo(u64),
    /// The sender has left, or died.
    Over,
}

fn receive(receiver: &mut Receiver<Message>) -> Saw {
    let position = receiver.position();
    match receiver.try_recv() {
        Ok(got) => {
            assert_eq!(got, message(position), "torn, stale or another, at {position}");
            assert_eq!(receiver.position(), position + 1);
            Saw::Got(position)
        }
        Err(TryRecvError::Empty) => Saw::Empty,
        Err(TryRecvError::Lagged(missed)) => {
            assert_eq!(receiver.position(), position + missed);
            Saw::LaggedTo(position + missed)
        }
        Err(TryRecvError::Closed | TryRecvError::Died) => Saw::Over,
        Err(error) => panic!("receiving: {error}"),
    }
}

/// Guards TEAR and PUBLISH: positions 0 and 1 are there, 2 and 3 come over them while a
/// receiver looks twice, and the newest is looked at.
///
/// # Panics
/// If a message is torn.
pub fn no_torn_message_is_returned(payload: Payload) -> Vec<Saw> {
    let ring = ring(payload, false);
    let (mut sender, mut receiver) =
        (ring.sender().expect("the first"), ring.receiver().expect("the first"));
    assert!(send(&mut sender) && send(&mut sender));
    let sending = thread::spawn(move || {
        assert!(send(&mut sender) && send(&mut sender));
        sender
    });
    let saw = vec![receive(&mut receiver), receive(&mut receiver)];
    drop(sending.join().expect("it would have failed"));
    saw
}

/// What may be seen. The sender's steps: marks 2, commits 2, marks 3, commits 3. A look may
/// miss the newest of them, but never what was known before.
pub fn seen_by_one_who_is_lapped() -> BTreeSet<Vec<Saw>> {
    let mut permitted = BTreeSet::new();
    let mut states = vec![(0_u64, 0_u64, Vec::new())];
    while let Some((at, known, saw)) = states.pop() {
        if saw.len() == 2 {
            permitted.insert(saw);
            continue;
        }
        let mut then = |at, known, what| {
            states.push((at, known, saw.iter().copied().chain([what]).collect()));
        };
        for known in known..=4 {
            let (marked, committed) =
                (2 + u64::from(known > 0) + u64::from(known > 2), 2 + known / 2);
            if at + CAPACITY < marked {
                // Behind what came over this, which was marked alone; or as far as the tail
                // says, and whoever sees that sees what is below.
                then(at + 1, known, Saw::LaggedTo(at + 1));
                for tail in at + CAPACITY + 1..=4 {
                    let next = tail + 1 - CAPACITY;
                    then(next, known.max((tail - CAPACITY) * 2), Saw::LaggedTo(next));
                }
            } else if at < committed {
                then(at + 1, known, Saw::Got(at));
            } else {
                then(at, known, Saw::Empty);
            }
        }
    }
    permitted
}

/// Guards TEAR for one who looks at the newest again and again, and for an overrun `latest`.
///
/// # Panics
/// If a message is torn.
pub fn the_newest_is_whole(payload: Payload) -> Option<u64> {
    let ring = ring(payload, false);
    let (mut sender, mut receiver) =
        (ring.sender().expect("the first"), ring.receiver().expect("the first"));
    assert!(send(&mut sender));
    let sending = thread::spawn(move || {
        assert!(send(&mut sender) && send(&mut sender));
        sender
    });
    let newest = receiver.latest_with(|view| {
        let (position, mut got) = (view.position(), [0; 16]);
        assert_eq!(view.read_at(0, &mut got), 16);
        (position, got)
    });
    let newest = match newest {
        Ok((position, got)) => {
            let words = message(position).map(u64::to_le_bytes).concat();
            assert_eq!(got[..], words, "torn, stale or another, at {position}");
            Some(position)
        }
        Err(TryRecvError::Empty) => None,
        Err(error) => panic!("looking: {error}"),
    };
    drop(sending.join().expect("it would have failed"));
    newest
}

/// Guards RETIRE and PUBLISH: the slowest of two holds a lossless sender back.
///
/// # Panics
/// If a message is overwritten before both have read it.
pub fn the_slowest_is_not_passed(payload: Payload) -> (u64, Vec<Saw>, Vec<Saw>) {
    let ring = ring(payload, true);
    let mut sender = ring.sender().expect("the first");
    let [mut one, mut other] = [(); 2].map(|()| ring.receiver().expect("there are two seats"));
    assert!(send(&mut sender) && send(&mut sender));
    let sending = thread::spawn(move || {
        send(&mut sender);
        sender
    });
    let receiving = thread::spawn(move || (vec![receive(&mut other)], other));
    let saw = vec![receive(&mut one), receive(&mut one)];
    let mut sender = sending.join().expect("it would have failed");
    let sent = sender.position();
    let (seen, mut other) = receiving.join().expect("it would have failed");
    // Everybody knows everything now: there is room, and both get all.
    assert_eq!(sent == 2, send(&mut sender));
    for receiver in [&mut one, &mut other] {
        for position in receiver.position()..3 {
            assert_eq!(receive(receiver), Saw::Got(position));
        }
        assert_eq!(receive(receiver) == Saw::Empty, sender.position() == 3);
    }
    (sent, saw, seen)
}

/// Guards JOIN: positions 0 and 1 are there, nobody receives; one comes and begins with the
/// oldest it may, while the sender raises its limit and writes over 0, and then 1.
///
/// # Panics
/// If one who has come is overrun.
pub fn whoever_comes_is_not_overrun(payload: Payload) -> (u64, Vec<Saw>) {
    let ring = ring(payload, true);
    let mut sender = ring.sender().expect("the first");
    assert!(send(&mut sender) && send(&mut sender));
    let sending = thread::spawn(move || {
        let _ = send(&mut sender) && send(&mut sender);
        sender
    });
    let mut receiver = ring.receiver_from(Start::Oldest).expect("there are two seats");
    let first = receiver.position();
    let saw = vec![receive(&mut receiver)];
    drop(sending.join().expect("it would have failed"));
    assert!(!saw.iter().any(|saw| matches!(saw, Saw::LaggedTo(_))));
    (first, saw)
}

/// The same with two who come, one of whom was there before and had another position.
///
/// # Panics
/// If one who has come is overrun.
pub fn whoever_takes_a_used_seat_is_not_overrun(payload: Payload) -> (u64, Saw) {
    let ring = ring(payload, true);
    let mut sender = ring.sender().expect("the first");
    let mut before = ring.receiver().expect("there are two seats");
    assert!(send(&mut sender) && send(&mut sender));
    assert_eq!([receive(&mut before), receive(&mut before)], [Saw::Got(0), Saw::Got(1)]);
    // What it leaves in its seat is the newest position.
    drop(before);
    let sending = thread::spawn(move || {
        send(&mut sender);
        sender
    });
    let mut receiver = ring.receiver_from(Start::Oldest).expect("there are two seats");
    let first = receiver.position();
    let saw = receive(&mut receiver);
    drop(sending.join().expect("it would have failed"));
    assert!(!matches!(saw, Saw::LaggedTo(_)));
    (first, saw)
}

/// Whether the sender was killed, where one who comes began, and what it got.
pub type Joined = (bool, u64, Saw);

/// Guards JOIN across a death: the sender is killed before its access number `kill`, and its
/// successor goes on at once.
///
/// # Panics
/// As [`whoever_comes_is_not_overrun`].
pub fn whoever_comes_while_a_sender_dies_is_not_overrun(payload: Payload, kill: u64) -> Joined {
    let ring = ring(payload, true);
    let mut sender = ring.sender().expect("the first");
    assert!(send(&mut sender) && send(&mut sender));
    let same = ring.clone();
    let sending = thread::spawn(move || {
        let killed = kill_before(kill, move || {
            send(&mut sender);
            // Its leaving is another's business.
            std::mem::forget(sender);
        });
        let Ok(mut successor) = same.sender() else { return (killed.is_none(), None) };
        send(&mut successor);
        (killed.is_none(), Some(successor))
    });
    let mut receiver = ring.receiver_from(Start::Oldest).expect("there are two seats");
    let first = receiver.position();
    let saw = receive(&mut receiver);
    let (killed, successor) = sending.join().expect("it would have failed");
    drop(successor);
    assert!(!matches!(saw, Saw::LaggedTo(_)));
    (killed, first, saw)
}

/// Guards the successor's side of JOIN: a sender dies between its limit and its fence. Kills
/// come before accesses, so the fence itself must have been taken from `Sender::raise`.
///
/// # Panics
/// If one who has come is overrun.
pub fn whoever_comes_when_a_limit_was_left_is_not_overrun(payload: Payload) -> Joined {
    set_payload(payload);
    weaken(Some("wake::NOTIFIER"));
    let options = Ring::options().capacity(CAPACITY).lossless(true).seats(2);
    let ring = options.create_heap().expect("a ring");
    let mut sender = ring.sender().expect("the first");
    assert!(send(&mut sender) && send(&mut sender));
    let same = ring.clone();
    let sending = thread::spawn(move || {
        // Before the access behind the seat's state and the limit.
        let killed = kill_before(3, move || {
            assert!(!send(&mut sender), "it can't go on");
            sender
        });
        let is_killed = killed.is_none();
        drop(killed);
        let mut successor = attach(|| same.sender());
        send(&mut successor);
        (is_killed, successor)
    });
    let mut receiver = ring.receiver_from(Start::Oldest).expect("there is a seat");
    let first = receiver.position();
    let saw = receive(&mut receiver);
    let (killed, successor) = sending.join().expect("it would have failed");
    drop(successor);
    assert!(!matches!(saw, Saw::LaggedTo(_)));
    (killed, first, saw)
}

/// Guards TEAR, PUBLISH and SEAT: a sender is killed before its access number `kill` while
/// it writes over what is read, and its successor sends what was not committed.
///
/// # Panics
/// If a message is torn, or one that was committed is written again.
pub fn a_sender_takes_over(payload: Payload, kill: u64) -> (bool, Vec<Saw>) {
    let ring = ring(payload, false);
    let (mut sender, mut receiver) =
        (ring.sender().expect("the first"), ring.receiver().expect("the first"));
    assert!(send(&mut sender) && send(&mut sender));
    let same = ring.clone();
    let sending = thread::spawn(move || {
        let killed = kill_before(kill, move || {
            assert!(send(&mut sender));
            sender
        });
        let is_killed = killed.is_none();
        drop(killed);
        let mut successor = attach(|| same.sender());
        assert!(successor.position() <= 3);
        while successor.position() < 4 {
            assert!(send(&mut successor));
        }
        (is_killed, successor)
    });
    let mut saw = vec![receive(&mut receiver), receive(&mut receiver)];
    let (killed, successor) = sending.join().expect("it would have failed");
    // Whatever was seen before, the end is the same.
    loop {
        match receive(&mut receiver) {
            Saw::Empty => break,
            more => saw.push(more),
        }
    }
    assert_eq!(receiver.position(), 4);
    drop(successor);
    assert_eq!(receive(&mut receiver), Saw::Over);
    (killed, saw)
}

/// Guards WAKE for several sleepers: each receives until the end, asleep while there is
/// nothing; the sender of a lossless ring sleeps while there is no room.
///
/// # Panics
/// If anybody gets something else than all. A lost wake-up is a deadlock.
pub fn everybody_is_woken(payload: Payload, count: u64, inattentive: bool) {
    set_payload(payload);
    weaken(None);
    let options = Ring::<Message>::options().capacity(CAPACITY).lossless(true).seats(3);
    let ring = options.create_heap().expect("a ring");
    let mut sender = ring.sender().expect("the first");
    let receivers = [(); 2].map(|()| ring.receiver().expect("there are two seats"));
    let receiving = receivers.map(|mut receiver| {
        thread::spawn(move || {
            let mut next = 0;
            loop {
                match receiver.recv() {
                    Ok(got) => assert_eq!(got, message(next)),
                    Err(RecvError::Closed) => return next,
                    Err(error) => panic!("receiving: {error}"),
                }
                next += 1;
            }
        })
    });
    crate::waiting::attentive_unless(inattentive, || {
        for position in 0..count {
            sender.send(message(position)).expect("they stay");
        }
        drop(sender);
    });
    for receiving in receiving {
        assert_eq!(receiving.join().expect("it would have failed"), count);
    }
}

/// Guards SEAT: whoever sees the sender gone has got all.
///
/// # Panics
/// If the end comes before the last message.
pub fn everything_is_received_before_closed(payload: Payload) -> Vec<Saw> {
    let ring = ring(payload, false);
    let (mut sender, mut receiver) =
        (ring.sender().expect("the first"), ring.receiver().expect("the first"));
    let sending = thread::spawn(move || {
        assert!(send(&mut sender));
        drop(sender);
    });
    let saw: Vec<_> = (0..2).map(|_| receive(&mut receiver)).collect();
    sending.join().expect("it would have failed");
    assert!(saw[0] != Saw::Over);
    saw
}
