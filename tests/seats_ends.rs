//! How the other side stands: not there yet, live, closed, died; and waiting for it.

mod ground;
mod support;

use std::thread;
use std::time::{Duration, Instant};

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{RecvError, SeatState, SendError, TryRecvError, TrySendError, WaitError, WaitMethod};

use ground::{Ground, KINDS, Kind, LONG};
use support::{Family, Role};

support::roles! { sends_and_stays, receives_and_stays, comes_when_told }

const CAPACITY: u64 = 4;
const SLICE: Duration = Duration::from_millis(5);

fn options() -> annulus::Options<Ring<u64>> {
    Ring::options().capacity(CAPACITY).slice(SLICE)
}

/// Sends so many messages from 0 on, and stays.
fn sends_and_stays(role: &mut Role) {
    let ring = ground::open(role, &options());
    let mut sender = ring.sender().unwrap();
    for message in 0..role.parse(1) {
        sender.send(message).unwrap();
    }
    role.say("sent");
    if role.hear() == "leave" {
        drop(sender);
        role.say("left");
        role.hear();
    }
}

/// Receives so many, and stays.
fn receives_and_stays(role: &mut Role) {
    let ring = ground::open(role, &options());
    let mut receiver = ring.receiver().unwrap();
    for message in 0..role.parse(1) {
        assert_eq!(receiver.recv(), Ok(message));
    }
    role.say("received");
    if role.hear() == "leave" {
        drop(receiver);
        role.say("left");
        role.hear();
    }
}

#[test]
fn a_receiver_gets_all_that_was_sent_and_then_how_the_sender_ended() {
    let family = Family::new();
    for kind in KINDS {
        for leaves in [true, false] {
            let (ground, ring) = Ground::new(kind, &options());
            let mut receiver = ring.receiver().unwrap();
            assert_eq!(receiver.peer().unwrap(), SeatState::Vacant);
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "nobody has come yet");
            let mut child = ground.pass(family.child(sends_and_stays)).arg(3).spawn();
            child.expect("sent");
            assert_eq!(receiver.peer().unwrap(), SeatState::Live);
            if leaves {
                child.say("leave");
                child.expect("left");
            } else {
                child.kill();
            }
            assert_eq!((receiver.recv(), receiver.try_recv()), (Ok(0), Ok(1)));
            assert_eq!(receiver.recv_timeout(LONG), Ok(2));
            if leaves {
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
                assert_eq!(receiver.recv(), Err(RecvError::Closed));
                assert_eq!(receiver.recv_ref().err(), Some(RecvError::Closed));
                assert_eq!(receiver.peer().unwrap(), SeatState::Closed);
            } else {
                // Only who waits or asks looks for the dead; then everybody knows.
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
                assert_eq!(receiver.recv(), Err(RecvError::Died));
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Died));
                assert_eq!(receiver.recv_many(&mut [0]), Err(RecvError::Died));
                assert_eq!(receiver.peer().unwrap(), SeatState::Died);
                let view = ground.observe().seats().unwrap()[0];
                assert_eq!((view.state, view.held), (SeatState::Died, false));
                assert_eq!(view.pid, Some(child.pid()));
            }
            // A successor makes it all forgotten.
            let mut sender = ring.sender().unwrap();
            assert_eq!((sender.position(), receiver.peer().unwrap()), (3, SeatState::Live));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            sender.send(3).unwrap();
            assert_eq!(receiver.recv(), Ok(3));
        }
    }
}

#[test]
fn a_sender_fills_the_ring_and_then_is_told_how_the_receiver_ended() {
    let family = Family::new();
    for kind in KINDS {
        for leaves in [true, false] {
            let (ground, ring) = Ground::new(kind, &options());
            let mut sender = ring.sender().unwrap();
            assert_eq!(sender.peer().unwrap(), SeatState::Vacant);
            sender.send(0).unwrap();
            let mut child = ground.pass(family.child(receives_and_stays)).arg(1).spawn();
            child.expect("received");
            assert_eq!(sender.peer().unwrap(), SeatState::Live);
            if leaves {
                child.say("leave");
                child.expect("left");
            } else {
                child.kill();
            }
            for message in 1..=CAPACITY {
                sender.send(message).unwrap();
            }
            if leaves {
                assert_eq!(sender.try_send(9), Err(TrySendError::Closed(9)));
                assert_eq!(sender.send(9), Err(SendError::Closed(9)));
                assert_eq!(sender.reserve().err(), Some(SendError::Closed(())));
                assert_eq!(sender.peer().unwrap(), SeatState::Closed);
            } else {
                assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
                assert_eq!(sender.send(9), Err(SendError::Died(9)));
                assert_eq!(sender.try_send(9), Err(TrySendError::Died(9)));
                let failed = sender.send_many(&[9]).unwrap_err();
                assert_eq!((failed.sent, failed.reason), (0, SendError::Died(())));
                assert_eq!(sender.peer().unwrap(), SeatState::Died);
            }
            let mut receiver = ring.receiver().unwrap();
            assert_eq!((receiver.position(), sender.peer().unwrap()), (1, SeatState::Live));
            for message in 1..=CAPACITY {
                assert_eq!(receiver.recv(), Ok(message));
            }
            sender.send(9).unwrap();
            assert_eq!(receiver.recv(), Ok(9));
        }
    }
}

/// Rings of each wait method, on ground where it can be had.
fn of_each_method() -> Vec<(Ground, Ring<u64>)> {
    let methods = [WaitMethod::Futex, WaitMethod::Semaphore, WaitMethod::Spin];
    let ring = |method| Ground::new(Kind::Shm, &options().wait_method(method));
    methods.map(ring).into()
}

fn unlink(ground: &Ground) {
    annulus::unlink(ground.address()).unwrap();
}

#[test]
fn who_waits_for_a_peer_that_does_not_come_times_out() {
    for (ground, ring) in of_each_method() {
        let (mut sender, start) = (ring.sender().unwrap(), Instant::now());
        let timeout = 4 * SLICE;
        assert_eq!(sender.wait_for_peer(Some(timeout)), Err(WaitError::Timeout));
        assert!(start.elapsed() >= timeout);
        assert_eq!(sender.wait_for_peer(Some(Duration::ZERO)), Err(WaitError::Timeout));
        drop(sender);
        let mut receiver = ring.receiver().unwrap();
        // One that has left is not there either.
        assert_eq!(receiver.peer().unwrap(), SeatState::Closed);
        assert_eq!(receiver.wait_for_peer(Some(timeout)), Err(WaitError::Timeout));
        unlink(&ground);
    }
}

/// Takes the seat named by argument 1 when told.
fn comes_when_told(role: &mut Role) {
    let ring = ground::open(role, &options());
    role.expect("come");
    let _seat: Box<dyn std::any::Any> = match role.argument(1) {
        "sender" => Box::new(ring.sender().unwrap()),
        _ => Box::new(ring.receiver().unwrap()),
    };
    role.say("here");
    role.hear();
}

#[test]
fn who_waits_for_a_peer_is_woken_when_it_comes() {
    let family = Family::new();
    for (ground, ring) in of_each_method() {
        // So long a slice that only a wake-up ends the wait in time.
        let ring_of_sleepers = ground.open(&Ring::<u64>::options().slice(Duration::from_secs(600)));
        let mut child = ground.pass(family.child(comes_when_told)).arg("receiver").spawn();
        let mut sender = ring_of_sleepers.sender().unwrap();
        let waiting = thread::spawn(move || (sender.wait_for_peer(Some(LONG)), sender));
        thread::sleep(Duration::from_millis(20));
        child.say("come");
        child.expect("here");
        let (waited, mut sender) = waiting.join().unwrap();
        assert_eq!(waited, Ok(()));
        // At once, if it is there already.
        assert_eq!(sender.wait_for_peer(Some(Duration::ZERO)), Ok(()));
        child.kill();
        drop(sender);

        let mut child = ground.pass(family.child(comes_when_told)).arg("sender").spawn();
        let mut receiver = ring_of_sleepers.receiver().unwrap();
        let waiting = thread::spawn(move || (receiver.wait_for_peer(None), receiver));
        thread::sleep(Duration::from_millis(20));
        child.say("come");
        child.expect("here");
        let (waited, mut receiver) = waiting.join().unwrap();
        assert_eq!(waited, Ok(()));
        // The dead are not there, noticed or not.
        child.kill();
        let waited = receiver.wait_for_peer(Some(4 * SLICE));
        assert_eq!(waited, Err(WaitError::Timeout));
        drop(ring);
        unlink(&ground);
    }
}

#[test]
fn a_cancellation_ends_the_wait_for_a_peer() {
    for (ground, _ring) in of_each_method() {
        let ring = ground.open(&Ring::<u64>::options().slice(Duration::from_secs(600)));
        let (mut sender, mut receiver): (Sender<u64>, Receiver<u64>);
        sender = ring.sender().unwrap();
        let cancel = sender.cancel_handle();
        let waiting = thread::spawn(move || sender.wait_for_peer(None));
        thread::sleep(Duration::from_millis(20));
        cancel.cancel();
        assert_eq!(waiting.join().unwrap(), Err(WaitError::Cancelled));
        receiver = ring.receiver().unwrap();
        // Beforehand: it ends one wait, and no more.
        receiver.cancel_handle().cancel();
        assert_eq!(receiver.wait_for_peer(None), Err(WaitError::Cancelled));
        assert_eq!(receiver.wait_for_peer(Some(SLICE)), Err(WaitError::Timeout));
        unlink(&ground);
    }
}
