//! Many hand-offs with nobody killed: none is stuck, and no slice ever rescues one
//! (guarantee 6).

mod ground;
mod support;

use std::thread;
use std::time::Duration;

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{Options, Payload, Trust, WaitMethod};

use ground::{Ground, Kind, LONG};
use support::{Family, Role};

support::roles! { echoes, swallows }

/// So long that a wait which needs a look around is a hang.
const SLICE: Duration = Duration::from_secs(10);

/// Hand-offs each way.
fn hand_offs() -> u64 {
    let text = std::env::var("ANNULUS_HAND_OFFS").ok();
    text.map_or(100_000, |text| text.parse().expect("ANNULUS_HAND_OFFS is a number"))
}

/// As eager to sleep as can be.
fn options(method: WaitMethod, fenced: bool) -> Options<Ring<u64>> {
    let options = Ring::options().capacity(1).wait_method(method).fenced(fenced);
    options.slice(SLICE).spin(Duration::ZERO).yielding(Duration::ZERO)
}

fn eager() -> Options<Ring<u64>> {
    Ring::options().slice(SLICE).spin(Duration::ZERO).yielding(Duration::ZERO)
}

/// Sends back what it gets.
fn echoes(role: &mut Role) {
    let ping = ground::open(role, &eager());
    let passed = eager().from_fd(role.inherited());
    let pong = passed.unwrap_or_else(|_| ground::open_named(&eager(), role.argument(1)));
    let (mut receiver, mut sender) = (ping.receiver().unwrap(), pong.sender().unwrap());
    echo(&mut receiver, &mut sender, role.parse(2), || role.counter("echoed").add(1));
}

fn echo<A: Trust, B: Trust>(
    receiver: &mut Receiver<u64, A>,
    sender: &mut Sender<u64, B>,
    count: u64,
    mut went: impl FnMut(),
) {
    for message in 0..count {
        assert_eq!(receiver.recv_timeout(LONG), Ok(message));
        sender.send_timeout(message, LONG).unwrap();
        went();
    }
}

fn ping_pong<A: Trust, B: Trust>(
    sender: &mut Sender<u64, A>,
    receiver: &mut Receiver<u64, B>,
    count: u64,
) {
    for message in 0..count {
        sender.send_timeout(message, LONG).unwrap();
        assert_eq!(receiver.recv_timeout(LONG), Ok(message));
    }
    assert_eq!((sender.rescues(), receiver.rescues()), (0, 0));
}

fn assert_none_rescued<M: Payload + ?Sized, A: Trust>(ring: &Ring<M, A>) {
    let fd = ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
    assert_eq!(annulus::Observer::from_fd(fd).unwrap().rescues(), (0, 0));
}

/// Back and forth between two processes: each sleeps until the other has answered.
fn between_processes(method: WaitMethod, fenced: bool, kind: Kind, count: u64) {
    let family = Family::new();
    let (ground, ping) = Ground::new(kind, &options(method, fenced));
    let (other, pong) = Ground::new(kind, &options(method, fenced));
    let child = ground.pass(family.child(echoes));
    let child = if kind == Kind::Memfd {
        child.arg("").inherit(pong.segment_fd().unwrap())
    } else {
        // What stands first is no memfd, and is refused.
        child.arg(other.address()).inherit(pong.segment_fd().unwrap())
    };
    let mut child = child.arg(count).spawn();
    child.set_deadline(Duration::from_secs(120));
    let (mut sender, mut receiver) = (ping.sender().unwrap(), pong.receiver().unwrap());
    ping_pong(&mut sender, &mut receiver, count);
    child.wait_ok();
    assert_none_rescued(&ping);
    assert_none_rescued(&pong);
    if method == WaitMethod::Semaphore {
        annulus::unlink(ground.address()).unwrap();
        annulus::unlink(other.address()).unwrap();
    }
}

#[test]
fn no_hand_off_by_futex_is_stuck_or_rescued() {
    between_processes(WaitMethod::Futex, false, Kind::Memfd, hand_offs());
}

#[test]
fn no_hand_off_by_fenced_futex_is_stuck_or_rescued() {
    between_processes(WaitMethod::Futex, true, Kind::Shm, hand_offs());
}

#[test]
fn no_hand_off_by_semaphore_is_stuck_or_rescued() {
    between_processes(WaitMethod::Semaphore, false, Kind::Shm, hand_offs());
    between_processes(WaitMethod::Semaphore, true, Kind::File, hand_offs() / 4);
}

#[test]
fn no_hand_off_between_threads_is_stuck_or_rescued() {
    for fenced in [false, true] {
        let ring = || options(WaitMethod::Futex, fenced).create_heap().unwrap();
        let (ping, pong) = (ring(), ring());
        let (mut receiver, mut back) = (ping.receiver().unwrap(), pong.sender().unwrap());
        let count = hand_offs() / 4;
        let echoing = thread::spawn(move || {
            echo(&mut receiver, &mut back, count, || {});
        });
        ping_pong(&mut ping.sender().unwrap(), &mut pong.receiver().unwrap(), count);
        echoing.join().unwrap();
    }
}

/// Receives so many, as they come.
fn swallows(role: &mut Role) {
    let mut receiver = ground::open(role, &eager()).receiver().unwrap();
    for message in 0..role.parse(1) {
        assert_eq!(receiver.recv_timeout(LONG), Ok(message));
        role.counter("received").add(1);
    }
    assert_eq!(receiver.rescues(), 0);
}

/// One way, through one slot: both sides sleep in turn, on a message and on room.
#[test]
fn no_hand_off_through_one_slot_is_stuck_or_rescued() {
    let family = Family::new();
    for (fenced, kind) in [(false, Kind::File), (true, Kind::Memfd)] {
        let (ground, ring) = Ground::new(kind, &options(WaitMethod::Futex, fenced));
        let count = hand_offs() / 2;
        let mut child = ground.pass(family.child(swallows)).arg(count).spawn();
        child.set_deadline(Duration::from_secs(120));
        let mut sender = ring.sender().unwrap();
        for message in 0..count {
            sender.send_timeout(message, LONG).unwrap();
        }
        child.wait_ok();
        assert_eq!(sender.rescues(), 0);
        assert_none_rescued(&ring);
    }
}
