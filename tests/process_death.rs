//! What a killed process leaves, verb by verb, to its peer, its successor and whoever
//! looks on; and two processes that answer one another.

mod ground;
mod scale;
mod support;

use annulus::spsc::{Receiver, Ring};
use annulus::{Options, RecvError, SeatState, SeatView, TryRecvError, TrySendError};
use ground::{Ground, KINDS, Kind};
use support::{Child, Family, Role};

support::roles! { sends_and_stays, receives_and_stays, answers }

type Message = [u64; 5];

const CAPACITY: u64 = 8;

fn options() -> Options<Ring<Message>> {
    Ring::options().capacity(CAPACITY)
}

/// The message at a position: no word is zero.
fn message(position: u64) -> Message {
    [1, 2, 3, 4, 5].map(|n| (position + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 + n) | 1)
}

/// Sends so many, begins one more in the way it is told, and stays.
#[allow(clippy::drop_non_drop, reason = "it is kept until then")]
fn sends_and_stays(role: &mut Role) {
    let mut sender = ground::open(role, &options()).sender().unwrap();
    for _ in 0..role.parse(1) {
        sender.send(message(sender.position())).unwrap();
    }
    let slot = match role.argument(2) {
        "idle" => None,
        "reserved" => Some(sender.reserve().unwrap()),
        "begun" => {
            let mut slot = sender.reserve().unwrap();
            slot.append(&[0xff; 25]);
            Some(slot)
        }
        "written" => {
            let mut slot = sender.reserve().unwrap();
            slot.write(&[u64::MAX; 5]);
            Some(slot)
        }
        other => panic!("{other}"),
    };
    role.say("here");
    role.hear();
    drop(slot);
}

/// Receives so many by copy, does what it is told, and stays.
fn receives_and_stays(role: &mut Role) {
    let mut receiver = ground::open(role, &options()).receiver().unwrap();
    for _ in 0..role.parse(1) {
        let position = receiver.position();
        assert_eq!(receiver.recv().unwrap(), message(position));
    }
    let position = receiver.position();
    let guard = match role.argument(2) {
        "idle" => None,
        "exposes" => Some(receiver.recv_ref().unwrap()),
        "exposes and reads" => {
            let guard = receiver.recv_ref().unwrap();
            assert_eq!((guard.position(), guard.read()), (position, message(position)));
            Some(guard)
        }
        "releases" => {
            receiver.recv_ref().unwrap().release();
            None
        }
        "forgets" => {
            std::mem::forget(receiver.recv_ref().unwrap());
            None
        }
        "forgets and goes on" => {
            std::mem::forget(receiver.recv_ref().unwrap());
            receiver.recv().unwrap();
            None
        }
        other => panic!("{other}"),
    };
    role.say("here");
    role.hear();
    drop(guard);
}

fn start<'a>(
    family: &'a Family,
    ground: &Ground,
    role: impl Fn(&mut Role),
    count: u64,
    then: &str,
) -> Child<'a> {
    let mut child = ground.pass(family.child(role)).arg(count).arg(then).spawn();
    child.expect("here");
    child
}

fn seats(ground: &Ground) -> [(SeatState, bool, Option<u32>); 2] {
    let seen: [SeatView; 2] = ground.observe().seats().unwrap().try_into().unwrap();
    seen.map(|seat| (seat.state, seat.held, seat.pid))
}

#[test]
fn what_a_killed_sender_did_not_commit_does_not_exist() {
    let family = Family::new();
    for kind in KINDS {
        for (count, then) in
            [(0, "idle"), (3, "idle"), (0, "reserved"), (3, "begun"), (7, "written")]
        {
            let (ground, ring) = Ground::new(kind, &options());
            let mut receiver = ring.receiver().unwrap();
            let mut child = start(&family, &ground, sends_and_stays, count, then);
            let pid = Some(child.pid());
            assert_eq!(receiver.peer().unwrap(), SeatState::Live);
            assert_eq!(seats(&ground)[0], (SeatState::Live, true, pid));
            child.kill();
            // The kernel knows at once; the segment when somebody has asked.
            assert_eq!(seats(&ground)[0], (SeatState::Live, false, pid));
            assert_eq!(receiver.peer().unwrap(), SeatState::Died);
            assert_eq!(seats(&ground)[0], (SeatState::Died, false, pid));
            // All that was committed, then the death.
            for position in 0..count {
                assert_eq!(receiver.position(), position);
                assert_eq!(receiver.try_recv(), Ok(message(position)));
            }
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Died));
            assert_eq!(receiver.recv(), Err(RecvError::Died));
            // The successor goes on there, and nothing of what was begun shows through.
            let mut sender = ring.sender().unwrap();
            assert_eq!(sender.position(), count);
            assert_eq!(receiver.peer().unwrap(), SeatState::Live);
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            let mut slot = sender.reserve().unwrap();
            slot.append(&7u64.to_le_bytes());
            slot.commit();
            assert_eq!(receiver.recv(), Ok([7, 0, 0, 0, 0]));
        }
    }
}

#[test]
fn a_killed_senders_successor_continues_behind_what_waits() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options());
        for lap in 0..3 {
            let mut child = start(&family, &ground, sends_and_stays, 5, "begun");
            child.kill();
            let mut sender = ring.sender().unwrap();
            assert_eq!(sender.position(), lap * CAPACITY + 5);
            for position in lap * CAPACITY + 5..(lap + 1) * CAPACITY {
                sender.try_send(message(position)).unwrap();
            }
            let refused = sender.try_send(message(0));
            // The first lap's receiver has not come yet; later ones have left.
            let full = TrySendError::Full(message(0));
            assert_eq!(
                refused,
                Err(if lap == 0 { full } else { TrySendError::Closed(message(0)) })
            );
            let mut receiver = ring.receiver().unwrap();
            for position in lap * CAPACITY..(lap + 1) * CAPACITY {
                assert_eq!(receiver.recv(), Ok(message(position)));
                assert!(!receiver.is_redelivered(position));
            }
        }
    }
}

/// Receives everything; gives the positions that were said to come again.
fn marks(receiver: &mut Receiver<Message>) -> Vec<u64> {
    let mut marked = Vec::new();
    loop {
        let position = receiver.position();
        // By turns by copy and under a guard.
        let (found, mark) = if position.is_multiple_of(2) {
            let mark = receiver.is_redelivered(position);
            match receiver.try_recv() {
                Ok(found) => (found, mark),
                Err(_) => return marked,
            }
        } else {
            match receiver.try_recv_ref() {
                Ok(guard) => (guard.read(), guard.redelivered()),
                Err(_) => return marked,
            }
        };
        assert_eq!(found, message(position));
        marked.extend(mark.then_some(position));
    }
}

/// A ring in which a process has received and was killed; 6 messages were sent.
fn after_a_killed_receiver(
    family: &Family,
    kind: Kind,
    copied: u64,
    then: &str,
) -> (Ground, Ring<Message>) {
    let (ground, ring) = Ground::new(kind, &options());
    let mut sender = ring.sender().unwrap();
    (0..6).for_each(|position| sender.send(message(position)).unwrap());
    let mut child = start(family, &ground, receives_and_stays, copied, then);
    let pid = Some(child.pid());
    assert_eq!(sender.peer().unwrap(), SeatState::Live);
    assert_eq!(seats(&ground)[1], (SeatState::Live, true, pid));
    child.kill();
    assert_eq!(sender.peer().unwrap(), SeatState::Died);
    assert_eq!(seats(&ground)[1], (SeatState::Died, false, pid));
    (ground, ring)
}

#[test]
fn what_a_killed_receiver_copied_is_gone_and_what_it_exposed_comes_again_marked() {
    let family = Family::new();
    for kind in KINDS {
        for (copied, then, next, marked) in [
            (0, "idle", 0, None),
            (3, "idle", 3, None),
            (0, "exposes", 0, Some(0)),
            (3, "exposes and reads", 3, Some(3)),
            (2, "releases", 3, None),
            (2, "forgets", 2, Some(2)),
            (2, "forgets and goes on", 4, None),
        ] {
            let (_ground, ring) = after_a_killed_receiver(&family, kind, copied, then);
            let mut receiver = ring.receiver().unwrap();
            assert_eq!(receiver.position(), next, "{then}");
            assert_eq!(marks(&mut receiver), Vec::from_iter(marked), "{then}");
            assert_eq!(receiver.position(), 6);
        }
    }
}

#[test]
fn a_message_in_doubt_stays_so_until_somebody_has_received_it() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = after_a_killed_receiver(&family, kind, 2, "exposes and reads");
        // One who comes and leaves; one who comes and is killed; one who exposes it too.
        drop(ring.receiver().unwrap());
        start(&family, &ground, receives_and_stays, 0, "idle").kill();
        drop(ring.receiver().unwrap());
        start(&family, &ground, receives_and_stays, 0, "exposes and reads").kill();
        let mut receiver = ring.receiver().unwrap();
        assert_eq!(marks(&mut receiver), [2]);
        drop(receiver);
        let mut sender = ring.sender().unwrap();
        sender.send(message(6)).unwrap();
        assert!(marks(&mut ring.receiver().unwrap()).is_empty());
    }
}

#[test]
fn a_sender_whose_receiver_was_killed_fills_the_ring_and_is_told() {
    let family = Family::new();
    for kind in KINDS {
        let (_ground, ring) = after_a_killed_receiver(&family, kind, 6, "idle");
        let mut sender = ring.sender().unwrap();
        for position in 6..6 + CAPACITY {
            sender.try_send(message(position)).unwrap();
        }
        assert_eq!(sender.try_send(message(0)), Err(TrySendError::Died(message(0))));
        let mut receiver = ring.receiver().unwrap();
        assert_eq!(sender.try_send(message(0)), Err(TrySendError::Full(message(0))));
        assert!(marks(&mut receiver).is_empty());
        sender.try_send(message(6 + CAPACITY)).unwrap();
    }
}

/// Sends back what it gets, its words turned round.
fn answers(role: &mut Role) {
    let asked = ground::open(role, &options());
    let answered = match role.argument(1) {
        "passed" => options().from_fd(role.inherited()).unwrap(),
        address => options().open(address).unwrap(),
    };
    let (mut receiver, mut sender) = (asked.receiver().unwrap(), answered.sender().unwrap());
    let done = role.counter("answers");
    loop {
        match receiver.recv() {
            Ok(message) => sender.send(message.map(u64::swap_bytes)).unwrap(),
            Err(error) => return assert_eq!(error, RecvError::Closed),
        }
        done.add(1);
    }
}

#[test]
fn two_processes_answer_one_another() {
    let family = Family::new();
    for kind in KINDS {
        let ((there, asks), (back, answered)) =
            (Ground::new(kind, &options()), Ground::new(kind, &options()));
        let (mut sender, mut receiver) = (asks.sender().unwrap(), answered.receiver().unwrap());
        let mut child = back.pass(there.pass(family.child(answers))).spawn();
        let rounds = if cfg!(feature = "test-hooks") { 1_000 } else { 5_000 };
        for position in 0..scale::scaled(rounds) {
            sender.send(message(position)).unwrap();
            assert_eq!(receiver.recv(), Ok(message(position).map(u64::swap_bytes)));
        }
        drop(sender);
        child.wait_ok();
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
    }
}
