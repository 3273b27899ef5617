//! A broadcast between processes that are stopped, killed and asleep.

mod casts;
mod support;

use std::time::Duration;

use annulus::broadcast::{Receiver, Ring, Sender, Start};
use annulus::{Options, RecvError, SeatState, SendError, TryRecvError, TrySendError};
use casts::lives::{Told, take};
use casts::{LONG, until};
use support::{Child, Family, Role};

support::roles! { receives, sends, sleeps }

type Words = [u64; 4];

const CAPACITY: u64 = 8;

fn options(lossless: bool) -> Options<Ring<Words>> {
    Ring::options().capacity(CAPACITY).lossless(lossless).slice(Duration::from_millis(2)).seats(5)
}

fn open(role: &mut Role) -> Ring<Words> {
    Ring::options().slice(Duration::from_millis(2)).from_fd(role.inherited()).unwrap()
}

/// Receives as long as it lives, and says how far it has come when it is asked to.
fn receives(role: &mut Role) {
    let mut receiver = open(role).receiver_from(Start::Oldest).unwrap();
    role.say("here");
    let progress = role.counter("messages");
    let mut next = receiver.position();
    loop {
        match receiver.recv() {
            Ok(message) => assert_eq!(message, Words::told(next)),
            Err(RecvError::Closed) => break,
            other => panic!("{other:?}"),
        }
        progress.add(1);
        next += 1;
    }
    role.say(&next.to_string());
}

/// Sends as many as it is told to, then stays.
fn sends(role: &mut Role) {
    let ring = open(role);
    let mut sender = take(|| ring.sender());
    loop {
        let count: u64 = role.hear().parse().unwrap();
        for _ in 0..count {
            sender.send(Words::told(sender.position())).unwrap();
        }
        role.say("sent");
    }
}

fn child<'a>(family: &'a Family, ring: &Ring<Words>, role: impl Fn(&mut Role)) -> Child<'a> {
    family.child(role).inherit(ring.segment_fd().unwrap()).spawn()
}

fn send(sender: &mut Sender<Words>) -> Result<(), TrySendError<Words>> {
    sender.try_send(Words::told(sender.position()))
}

/// Sends until the ring is full and stays so.
fn fill(sender: &mut Sender<Words>) {
    while sender.send_timeout(Words::told(sender.position()), Duration::from_millis(20)).is_ok() {}
}

#[test]
fn a_stopped_receiver_holds_a_lossless_sender_back_and_is_never_passed() {
    let family = Family::new();
    let ring = options(true).create_memfd("cast").unwrap();
    let mut sender = ring.sender().unwrap();
    let mut stopped = child(&family, &ring, receives);
    stopped.expect("here");
    let mut killed = child(&family, &ring, receives);
    killed.expect("here");
    stopped.stop();
    fill(&mut sender);
    let position = sender.position();
    assert!(position <= CAPACITY);
    // Another's death changes nothing, though it is noticed; nor does time.
    killed.kill();
    until("the death is noticed", || {
        let _ = sender.wait_for_peer(Some(Duration::ZERO));
        sender.receivers().unwrap() == 1
    });
    let waited = sender.send_timeout(Words::told(position), Duration::from_millis(20));
    assert_eq!(waited, Err(SendError::Timeout(Words::told(position))));
    // One who comes does not pass it either.
    let late = ring.receiver().unwrap();
    assert!(send(&mut sender).is_err());
    drop(late);
    stopped.resume();
    for position in position..position + 100 {
        sender.send_timeout(Words::told(position), LONG).unwrap();
    }
    drop(sender);
    stopped.expect(&(position + 100).to_string());
    stopped.wait_ok();
}

#[test]
fn a_killed_receiver_holds_a_lossless_sender_back_no_longer_than_its_lock() {
    let family = Family::new();
    let ring = options(true).create_memfd("cast").unwrap();
    let mut sender = ring.sender().unwrap();
    for _ in 0..20 {
        let mut one = child(&family, &ring, receives);
        one.expect("here");
        one.stop();
        fill(&mut sender);
        one.kill();
        for _ in 0..3 * CAPACITY {
            sender.send_timeout(Words::told(sender.position()), LONG).unwrap();
        }
    }
}

#[test]
fn a_stopped_sender_is_alive_and_a_killed_one_is_succeeded() {
    for lossless in [false, true] {
        let family = Family::new();
        let ring = options(lossless).create_memfd("cast").unwrap();
        let mut receiver = ring.receiver().unwrap();
        let mut sending = child(&family, &ring, sends);
        sending.say("3");
        sending.expect("sent");
        sending.stop();
        for position in 0..3 {
            assert_eq!(receiver.recv(), Ok(Words::told(position)));
        }
        assert_eq!(receiver.recv_timeout(Duration::from_millis(20)), Err(RecvError::Timeout));
        assert_eq!(receiver.peer().unwrap(), SeatState::Live);
        assert!(ring.sender().is_err());
        sending.kill();
        // Asleep until a slice ends, then told.
        assert_eq!(receiver.recv_timeout(LONG), Err(RecvError::Died));
        let mut sender = take(|| ring.sender());
        assert_eq!(sender.position(), 3);
        send(&mut sender).unwrap();
        assert_eq!(receiver.try_recv(), Ok(Words::told(3)));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
}

/// Receives until the end, asleep in between, with slices that nobody lives to see, and
/// says how many waits one rescued.
fn sleeps(role: &mut Role) {
    let options = Ring::<Words>::options().spin(Duration::ZERO).yielding(Duration::ZERO);
    let ring = options.slice(60 * LONG).from_fd(role.inherited()).unwrap();
    let mut receiver: Receiver<Words> = ring.receiver().unwrap();
    role.say("here");
    let progress = role.counter("messages");
    let mut next = receiver.position();
    loop {
        progress.add(1);
        match receiver.recv() {
            Ok(message) => assert_eq!(message, Words::told(next)),
            Err(RecvError::Lagged(missed)) => {
                assert!(!ring.is_lossless());
                next += missed;
                continue;
            }
            Err(RecvError::Closed) => break,
            other => panic!("{other:?}"),
        }
        next += 1;
    }
    role.say(&format!("{next} {}", receiver.rescues()));
}

#[test]
fn several_sleepers_in_other_processes_all_wake_and_no_slice_rescues_them() {
    const COUNT: u64 = 3000;
    for lossless in [false, true] {
        let family = Family::new();
        let options = options(lossless).spin(Duration::ZERO).yielding(Duration::ZERO);
        let ring = options.slice(60 * LONG).create_memfd("cast").unwrap();
        let mut sender = ring.sender().unwrap();
        let mut sleepers: Vec<_> = (0..4).map(|_| child(&family, &ring, sleeps)).collect();
        sleepers.iter_mut().for_each(|sleeper| sleeper.expect("here"));
        for position in 0..COUNT {
            sender.send(Words::told(position)).unwrap();
            if position % 64 == 0 {
                // So that they come to the end, and fall asleep.
                std::thread::sleep(Duration::from_micros(300));
            }
        }
        let rescues = sender.rescues();
        drop(sender);
        for sleeper in &mut sleepers {
            sleeper.expect(&format!("{COUNT} 0"));
            sleeper.wait_ok();
        }
        assert_eq!(rescues, 0);
    }
}
