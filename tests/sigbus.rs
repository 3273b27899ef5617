//! The `SIGBUS` guard: a segment that a peer truncates is corrupt to those who guard
//! themselves, in whatever call; faults of other memory go where they went before.

mod ground;
mod support;

use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{
    Error, Fault, Options, RecvError, SendError, TryRecvError, TrySendError, WaitError, WaitMethod,
};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::signal::Signal;

use ground::{Ground, Kind, LONG};
use support::{Family, Role};

support::roles! { meets_truncation, guards_many, keeps_on }

/// Larger than a word copy, over many pages.
type Message = [u64; 1500];

const CAPACITY: u64 = 4;
const SLICE: Duration = Duration::from_millis(30);

fn options() -> Options<Ring<Message>> {
    Ring::options().capacity(CAPACITY).slice(SLICE)
}

/// What a child does when its segment is cut off.
const SCENES: &[&str] = &[
    "try_send",
    "send",
    "send_many",
    "reserve",
    "commits",
    "try_recv",
    "recv",
    "recv_many",
    "recv_ref",
    "holds",
    "waits",
    "asks",
    "blocked recv",
    "blocked send",
    "streams",
    "streams back",
    "leaves",
];

fn is_corrupt(fault: Fault) -> bool {
    matches!(fault, Fault::Corrupt(_))
}

fn assert_send_fails<T>(result: Result<T, SendError<impl Sized>>) {
    match result {
        Err(SendError::Fault(_, fault)) if is_corrupt(fault) => {}
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("sent"),
    }
}

/// Until the private copy says full, nothing shared is looked at: it may take a lap.
fn send_until_corrupt(mut send: impl FnMut() -> Result<(), TrySendError<()>>) {
    for _ in 0..=CAPACITY {
        match send() {
            Ok(()) => {}
            Err(TrySendError::Fault((), fault)) if is_corrupt(fault) => return,
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("sent more than a lap");
}

fn meets_truncation(role: &mut Role) {
    let method = if role.argument(1) == "spin" { WaitMethod::Spin } else { WaitMethod::Futex };
    let ring = ground::open(role, &options().sigbus_guard(role.argument(3) == "guarded"));
    let scene = role.argument(2).to_owned();
    assert!(method != WaitMethod::Semaphore);
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    // Not in the first lap, and with two messages there.
    for n in 0..CAPACITY + 3 {
        sender.send([n; 1500]).unwrap();
        if n > 1 {
            receiver.recv().unwrap();
        }
    }
    act(role, &scene, sender, receiver);
    role.say("lives");
}

fn act(role: &mut Role, scene: &str, mut sender: Sender<Message>, mut receiver: Receiver<Message>) {
    let cut = |role: &mut Role| {
        role.say("cut");
        role.expect("go");
    };
    let corrupt = |error: RecvError| matches!(error, RecvError::Fault(fault) if is_corrupt(fault));
    match scene {
        "try_send" => {
            cut(role);
            send_until_corrupt(|| match sender.try_send([9; 1500]) {
                Ok(()) => Ok(()),
                Err(TrySendError::Fault(_, fault)) => Err(TrySendError::Fault((), fault)),
                Err(other) => panic!("{other:?}"),
            });
        }
        "send" => {
            cut(role);
            let failed = (0..=CAPACITY).find_map(|_| sender.send([9; 1500]).err());
            assert_send_fails::<()>(Err(failed.expect("not more than a lap")));
        }
        "send_many" => {
            cut(role);
            let failed = sender.send_many(&[[9; 1500]; 9]).unwrap_err();
            assert_send_fails::<()>(Err(failed.reason));
        }
        "reserve" => {
            cut(role);
            send_until_corrupt(|| {
                let mut slot = sender.try_reserve()?;
                slot.write(&[9; 1500]);
                slot.commit();
                Ok(())
            });
        }
        "commits" => {
            let mut slot = sender.reserve().unwrap();
            slot.append(&[9; 4000]);
            cut(role);
            slot.append(&[9; 5000]);
            slot.commit();
        }
        "try_recv" => {
            cut(role);
            let Err(TryRecvError::Fault(fault)) = receiver.try_recv() else { panic!("received") };
            assert!(is_corrupt(fault));
        }
        "recv" => {
            cut(role);
            assert!(corrupt(receiver.recv().unwrap_err()));
            // It stays so.
            assert!(corrupt(receiver.recv_timeout(SLICE).unwrap_err()));
        }
        "recv_many" => {
            cut(role);
            assert!(corrupt(receiver.recv_many(&mut [[0; 1500]; 4]).unwrap_err()));
        }
        "recv_ref" => {
            cut(role);
            assert!(corrupt(receiver.recv_ref().unwrap_err()));
        }
        "holds" => {
            let guard = receiver.recv_ref().unwrap();
            cut(role);
            // Any bytes are a message.
            let _ = guard.read();
            guard.release();
            assert!(corrupt(receiver.recv().unwrap_err()));
        }
        "waits" => {
            cut(role);
            let waited = receiver.wait_for_peer(Some(LONG));
            assert!(matches!(waited, Err(WaitError::Fault(fault)) if is_corrupt(fault)));
        }
        "asks" => {
            cut(role);
            assert!(matches!(receiver.peer(), Err(Error::Corrupt(_))));
        }
        "blocked recv" => {
            while receiver.try_recv().is_ok() {}
            role.say("cut");
            assert!(corrupt(receiver.recv().unwrap_err()));
        }
        "blocked send" => {
            while sender.try_send([9; 1500]).is_ok() {}
            role.say("cut");
            assert_send_fails(sender.send([9; 1500]));
        }
        "streams" => {
            let other = thread::spawn(move || while receiver.recv_timeout(LONG).is_ok() {});
            role.say("cut");
            while sender.send([9; 1500]).is_ok() {}
            other.join().unwrap();
        }
        "streams back" => {
            let other = thread::spawn(move || while sender.send([9; 1500]).is_ok() {});
            role.say("cut");
            while receiver.recv_timeout(LONG).is_ok() {}
            other.join().unwrap();
        }
        "leaves" => cut(role),
        other => panic!("{other:?} is no scene"),
    }
}

#[test]
fn truncation_by_a_peer_is_corrupt_to_the_guarded_in_any_call() {
    let family = Family::new();
    for kind in [Kind::Shm, Kind::File] {
        for (n, scene) in SCENES.iter().enumerate() {
            // To nothing, and to where the control words are still there.
            let len = [0, 4096][n % 2];
            let (ground, ring) = Ground::new(kind, &options());
            drop(ring);
            let child = ground.pass(family.child(meets_truncation)).arg("futex");
            let mut child = child.arg(scene).arg("guarded").spawn();
            child.expect("cut");
            if scene.contains(' ') || scene.starts_with("streams") {
                // Asleep, or under way.
                thread::sleep(Duration::from_millis(10));
            }
            // Those who look at the control words alone are not touched by less.
            let len = if ["asks", "waits", "blocked send"].contains(scene) { 0 } else { len };
            ground.file(true).set_len(len).unwrap();
            if !scene.contains(' ') && !scene.starts_with("streams") {
                child.say("go");
            }
            child.expect("lives");
            child.wait_ok();
        }
    }
}

#[test]
fn without_the_guard_truncation_kills() {
    let family = Family::new();
    for kind in [Kind::Shm, Kind::File] {
        for scene in ["try_send", "recv", "streams"] {
            let (ground, ring) = Ground::new(kind, &options());
            drop(ring);
            let child = ground.pass(family.child(meets_truncation)).arg("futex");
            let mut child = child.arg(scene).arg("bare").spawn();
            child.expect("cut");
            ground.file(true).set_len(0).unwrap();
            if scene != "streams" {
                child.say("go");
            }
            child.wait_signalled(Signal::SIGBUS);
        }
    }
}

/// Uses a guarded ring to its end while another guarded segment is cut off.
fn keeps_on(role: &mut Role) {
    let guarded = options().sigbus_guard(true);
    let ring = ground::open(role, &guarded);
    let (_, lost) = (ring.sender().unwrap(), ring.receiver());
    let own = guarded.create_memfd("kept").unwrap();
    let (mut sender, mut receiver) = (own.sender().unwrap(), own.receiver().unwrap());
    role.say("cut");
    role.expect("go");
    assert!(matches!(lost.unwrap().peer(), Err(Error::Corrupt(_))));
    for n in 0..100 {
        sender.send([n; 1500]).unwrap();
        assert_eq!(receiver.recv(), Ok([n; 1500]));
    }
    // A new segment where the old one was.
    let again = guarded.create_heap().unwrap();
    drop((ring, again));
    role.say("lives");
}

#[test]
fn other_segments_of_the_process_are_not_touched() {
    let family = Family::new();
    let (ground, ring) = Ground::new(Kind::Shm, &options());
    drop(ring);
    let mut child = ground.pass(family.child(keeps_on)).spawn();
    child.expect("cut");
    ground.file(true).set_len(0).unwrap();
    child.say("go");
    child.expect("lives");
    child.wait_ok();
}

/// More guarded segments than can be.
fn guards_many(role: &mut Role) {
    let guarded = Ring::<u64>::options().capacity(1).sigbus_guard(true);
    let make = || guarded.create_memfd("many");
    for _ in 0..2 {
        let mut rings = Vec::new();
        while rings.len() < 1024 {
            match make() {
                Ok(ring) => rings.push(ring),
                Err(Error::Os { source, .. }) if source.raw_os_error() == Some(libc::EMFILE) => {
                    return role.say("fewer than 1024 descriptors");
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(matches!(make(), Err(Error::Os { .. })), "1024 at once");
        drop(rings);
        role.counter("filled").add(1);
    }
    role.say("counted");
}

#[test]
fn there_are_1024_guards_and_they_are_given_back() {
    let family = Family::new();
    let mut child = family.child(guards_many).watchdog(Duration::from_secs(60)).spawn();
    let heard = child.hear();
    child.wait_ok();
    if heard != "counted" {
        support::skip!("{heard}");
    }
}

#[test]
fn a_hole_punched_into_a_sealed_memfd_is_garbage_and_no_fault() {
    let ring = options().create_memfd("punched").unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    for n in 0..CAPACITY + 2 {
        sender.send([n; 1500]).unwrap();
        receiver.recv().unwrap();
    }
    sender.send([9; 1500]).unwrap();
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let len =
        std::fs::metadata(format!("/proc/self/fd/{}", ring.segment_fd().unwrap().as_raw_fd()));
    fallocate(ring.segment_fd().unwrap(), flags, 0, len.unwrap().len().cast_signed()).unwrap();
    let Err(TryRecvError::Fault(fault)) = receiver.try_recv() else { panic!("received") };
    assert!(is_corrupt(fault));
    send_until_corrupt(|| {
        let mut slot = sender.try_reserve()?;
        slot.write(&[9; 1500]);
        slot.commit();
        Ok(())
    });
    drop((sender, receiver));
    // Whoever opens it now finds no ring.
    let fd = ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
    assert!(options().from_fd(fd).is_err());
}
