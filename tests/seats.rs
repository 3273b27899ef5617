//! Seats: one live occupant each, whatever process it is in and however it came by the
//! segment; free as soon as the kernel has ended him, and not before.
#![allow(unsafe_code)]

mod ground;
mod support;

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Mutex;
use std::time::Duration;

use annulus::spsc::{Ring, Sender};
use annulus::{Error, RecvError, SeatState};
use nix::sys::signal::Signal;

use ground::{Ground, KINDS, take, until};
use support::{Child, Family, Role, Snapshot};

support::roles! {
    takes_seats, tries_the_inherited, tries_the_passed, counts, runs_out,
}

const SLICE: Duration = Duration::from_millis(5);

fn options() -> annulus::Options<Ring<u64>> {
    Ring::options().capacity(8).slice(SLICE)
}

/// Who holds the sender's seat, by the error of one who wants it.
fn holder(ring: &Ring<u64>) -> Option<u32> {
    match ring.sender() {
        Err(Error::SeatTaken { role: "sender", pid }) => pid,
        other => panic!("the sender's seat should be taken: {other:?}"),
    }
}

/// Takes both seats, keeps them, and says what its sender is told to send.
fn takes_seats(role: &mut Role) {
    let ring = ground::open(role, &options());
    let mut sender = ring.sender().unwrap();
    let _receiver = (role.argument(1) == "both").then(|| ring.receiver().unwrap());
    role.say("taken");
    loop {
        match role.hear().as_str() {
            "leave" => return,
            message => sender.send(message.parse().unwrap()).unwrap(),
        }
        role.say("sent");
    }
}

fn occupant<'a>(family: &'a Family, ground: &Ground, which: &str) -> Child<'a> {
    let mut child = ground.pass(family.child(takes_seats)).arg(which).spawn();
    child.expect("taken");
    child
}

#[test]
fn a_second_endpoint_is_refused_in_the_same_process_through_any_description() {
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options());
        let (sender, receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        let pid = Some(std::process::id());
        assert_eq!(holder(&ring), pid);
        assert_eq!(holder(&ring.clone()), pid);
        assert_eq!(holder(&ground.open(&options())), pid);
        for ring in [&ring, &ground.open(&options())] {
            let refused = ring.receiver();
            assert!(
                matches!(refused, Err(Error::SeatTaken { role: "receiver", pid: p }) if p == pid)
            );
        }
        let told = ring.sender().unwrap_err().to_string();
        assert_eq!(told, format!("the sender seat is taken by process {}", std::process::id()));
        drop((sender, receiver));
        let _again = (ring.sender().unwrap(), ring.receiver().unwrap());
    }
}

#[test]
fn a_duplicated_descriptor_does_not_let_a_second_sender_in() {
    let ring = options().create_memfd("seats").unwrap();
    let duplicate = || ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
    let others = [options().from_fd(duplicate()), options().from_fd(duplicate())];
    let _sender = ring.sender().unwrap();
    for other in others {
        assert_eq!(holder(&other.unwrap()), Some(std::process::id()));
    }
}

fn tries_the_inherited(role: &mut Role) {
    let ring = Ring::<u64>::from_fd(role.inherited()).unwrap();
    role.say(&format!("{:?}", holder(&ring)));
    role.expect("again");
    let _sender = ring.sender().unwrap();
    role.say("taken");
    role.expect("go");
}

fn tries_the_passed(role: &mut Role) {
    let (_, descriptor) = role.hear_with_fd();
    let ring = Ring::<u64>::from_fd(descriptor).unwrap();
    role.say(&format!("{:?}", holder(&ring)));
    role.expect("again");
    let _sender = ring.sender().unwrap();
    role.say("taken");
    role.expect("go");
}

#[test]
fn an_inherited_or_passed_descriptor_does_not_let_a_second_sender_in() {
    let family = Family::new();
    let ring = options().create_memfd("seats").unwrap();
    let fd = ring.segment_fd().unwrap();
    for passed in [false, true] {
        let sender = ring.sender().unwrap();
        let mut child = if passed {
            let mut child = family.child(tries_the_passed).spawn();
            child.say_with_fd("take it", fd);
            child
        } else {
            family.child(tries_the_inherited).inherit(fd).spawn()
        };
        child.expect(&format!("{:?}", Some(std::process::id())));
        drop(sender);
        child.say("again");
        child.expect("taken");
        // The other way round: through the description that it was given.
        assert_eq!(holder(&ring), Some(child.pid()));
        child.say("go");
        child.wait_ok();
    }
}

#[test]
fn a_seat_that_another_process_holds_is_refused_until_it_leaves() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options());
        let mut child = occupant(&family, &ground, "one");
        let receiver = ring.receiver().unwrap();
        assert_eq!(holder(&ring), Some(child.pid()));
        assert_eq!(receiver.peer().unwrap(), SeatState::Live);
        child.say("leave");
        child.wait_ok();
        assert_eq!(receiver.peer().unwrap(), SeatState::Closed);
        ring.sender().unwrap();
    }
}

#[test]
fn a_killed_process_frees_its_seats_while_it_is_still_a_zombie() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options());
        let mut child = occupant(&family, &ground, "both");
        child.say("7");
        child.expect("sent");
        child.signal(Signal::SIGKILL);
        let (mut sender, mut receiver) = (take(|| ring.sender()), take(|| ring.receiver()));
        // Nobody has waited for it.
        let stat = format!("/proc/{}/stat", child.pid());
        until("a zombie", || std::fs::read_to_string(&stat).unwrap().contains(") Z "));
        assert_eq!((sender.position(), receiver.position()), (1, 0));
        sender.send(8).unwrap();
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(7), Ok(8)));
        child.wait_signalled(Signal::SIGKILL);
    }
}

#[test]
fn a_stopped_process_is_never_taken_for_dead() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options());
        let mut child = occupant(&family, &ground, "one");
        let mut receiver = ring.receiver().unwrap();
        child.stop();
        // Sixty looks around.
        assert_eq!(receiver.recv_timeout(60 * SLICE), Err(RecvError::Timeout));
        assert_eq!(receiver.peer().unwrap(), SeatState::Live);
        assert_eq!(holder(&ring), Some(child.pid()));
        assert!(ground.observe().seats().unwrap()[0].held);
        child.resume();
        child.say("7");
        child.expect("sent");
        assert_eq!(receiver.recv(), Ok(7));
    }
}

static FORGOTTEN: Mutex<Vec<Sender<u64>>> = Mutex::new(Vec::new());

#[test]
fn a_seat_outlives_the_thread_that_took_it_and_dies_with_no_other() {
    for kind in KINDS {
        let (_ground, ring) = Ground::new(kind, &options());
        let (other, mut receiver) = (ring.clone(), ring.receiver().unwrap());
        let taken = std::thread::spawn(move || other.sender().unwrap());
        let mut sender = taken.join().unwrap();
        assert_eq!(holder(&ring), Some(std::process::id()));
        assert_eq!(receiver.peer().unwrap(), SeatState::Live);
        sender.send(7).unwrap();
        assert_eq!(receiver.recv(), Ok(7));
        // Forgotten, it stays as long as the process does. In a static it is no leak.
        std::thread::spawn(move || FORGOTTEN.lock().unwrap().push(sender)).join().unwrap();
        assert_eq!(receiver.recv_timeout(20 * SLICE), Err(RecvError::Timeout));
        assert_eq!(holder(&ring), Some(std::process::id()));
    }
}

/// A reader's lock on the sender's byte, as an observer with no right to write may set it.
fn read_lock(file: &std::fs::File) -> bool {
    // SAFETY: plain numbers, for which zero is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_RDLCK as libc::c_short;
    (lock.l_start, lock.l_len) = (1 << 62, 1);
    // SAFETY: reads one structure.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) == 0 }
}

#[test]
fn an_observers_read_lock_does_not_make_the_dead_look_alive() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options());
        let mut receiver = ring.receiver().unwrap();
        let file = ground.file(false);
        let mut child = occupant(&family, &ground, "one");
        assert!(!read_lock(&file), "the sender's own is there");
        child.say("7");
        child.expect("sent");
        child.kill();
        until("a read lock", || read_lock(&file));
        assert!(!ground.observe().seats().unwrap()[0].held, "a reader occupies nothing");
        // It keeps the seat from being taken (guarantee 10), not the death from being seen.
        assert!(matches!(ring.sender(), Err(Error::SeatTaken { .. })));
        assert_eq!(receiver.recv_timeout(ground::LONG), Ok(7));
        assert_eq!(receiver.recv_timeout(ground::LONG), Err(RecvError::Died));
        assert_eq!(receiver.peer().unwrap(), SeatState::Died);
        drop(file);
        let mut sender = ring.sender().unwrap();
        sender.send(8).unwrap();
        assert_eq!(receiver.recv(), Ok(8));
    }
}

fn counts(role: &mut Role) {
    let rings: Vec<_> = (0..4).map(|_| options().create_memfd("counts").unwrap()).collect();
    // The first seat of a process opens `/dev/null` too, once.
    drop(rings[0].sender().unwrap());
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let (before, held) = (open(), Snapshot::take());
    let mut seats = Vec::new();
    for (n, ring) in rings.iter().enumerate() {
        let ends = (ring.sender().unwrap(), ring.receiver().unwrap());
        // Refused, it keeps nothing.
        assert!(ring.sender().is_err() && ring.receiver().is_err());
        assert_eq!(open(), before + 2 * (n + 1), "one descriptor a seat");
        assert_eq!(ends.0.peer().unwrap(), SeatState::Live);
        seats.push(ends);
    }
    drop(seats);
    Snapshot::take().assert_no_more_than(&held);
    role.say("counted");
}

#[test]
fn a_seat_takes_one_descriptor_and_gives_it_back() {
    let family = Family::new();
    let mut child = family.child(counts).spawn();
    child.expect("counted");
    child.wait_ok();
}

fn runs_out(role: &mut Role) {
    let ring = options().create_memfd("runs out").unwrap();
    // Whoever comes first sets things up that last for the process.
    if role.argument(0) == "later" {
        drop(ring.sender().unwrap());
    }
    let mut taken = Vec::new();
    while let Ok(descriptor) = ring.segment_fd().unwrap().as_fd().try_clone_to_owned() {
        taken.push(descriptor);
    }
    for refused in [ring.sender().err(), ring.receiver().err()] {
        match refused.unwrap() {
            Error::Os { call, source } => {
                assert_eq!(source.raw_os_error(), Some(libc::EMFILE), "{call}: {source}");
            }
            other => panic!("{other:?}"),
        }
    }
    drop(taken);
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    sender.send(7).unwrap();
    assert_eq!(receiver.recv(), Ok(7));
    role.say("recovered");
}

#[test]
fn a_process_without_descriptors_is_told_and_can_try_again() {
    let family = Family::new();
    for first in ["first", "later"] {
        let mut child = family.child(runs_out).arg(first).spawn();
        child.expect("recovered");
        child.wait_ok();
    }
}
