//! Seats and processes that beget others: fork, exec, spawn, pid namespaces. A handle
//! belongs to the process that opened it; a seat ends with that process, whatever it
//! has begotten.
#![allow(unsafe_code)]

mod ground;
mod support;

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use annulus::spsc::Ring;
use annulus::{
    Error, Fault, RecvError, SeatState, SendError, TryRecvError, TrySendError, WaitError,
};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use ground::{Ground, KINDS, Kind, take, until};
use support::{Family, Role, lives};

support::roles! { executes, spawns, nests, forks, forks_holding, survived_by_its_child, begets }

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

/// Runs `call` in a forked child and waits until it has ended well.
fn in_child(call: impl FnOnce()) {
    // SAFETY: of the other threads one is the watchdog, which sleeps, and one the
    // harness's, which waits: neither holds a lock that `call` needs.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
        }
        ForkResult::Child => {
            // SAFETY: touches no memory. Nobody watches this process.
            unsafe { libc::alarm(20) };
            let failed = catch_unwind(AssertUnwindSafe(call)).is_err();
            // SAFETY: ends the process at once, as a forked child of threads should.
            unsafe { libc::_exit(i32::from(failed)) };
        }
    }
}

/// Uses both ends in all ways in the child, drops them there, and goes on in the parent.
fn forks(role: &mut Role) {
    let ring = ground::open(role, &options());
    let (mut sender, receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    sender.send(1).unwrap();
    let mut ends = Some((sender, receiver));
    in_child(|| {
        let (mut sender, mut receiver) = ends.take().unwrap();
        assert_eq!(sender.try_send(9), Err(TrySendError::Fault(9, Fault::Forked)));
        assert_eq!(sender.send(9), Err(SendError::Fault(9, Fault::Forked)));
        assert_eq!(sender.send_timeout(9, SLICE), Err(SendError::Fault(9, Fault::Forked)));
        assert_eq!(sender.try_send_many(&[9]), Err(TrySendError::Fault((), Fault::Forked)));
        let failed = sender.send_many(&[9, 9]).unwrap_err();
        assert_eq!((failed.sent, failed.reason), (0, SendError::Fault((), Fault::Forked)));
        assert_eq!(sender.try_reserve().err(), Some(TrySendError::Fault((), Fault::Forked)));
        assert_eq!(sender.reserve().err(), Some(SendError::Fault((), Fault::Forked)));
        assert_eq!(sender.wait_for_peer(None), Err(WaitError::Fault(Fault::Forked)));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.recv(), Err(RecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.recv_timeout(SLICE), Err(RecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.try_recv_many(&mut [9]), Err(TryRecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.recv_many(&mut [9]), Err(RecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.try_recv_ref().err(), Some(TryRecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.recv_ref().err(), Some(RecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.wait_for_peer(None), Err(WaitError::Fault(Fault::Forked)));
        // The seats are the parent's, and look like it.
        assert!(matches!(ring.receiver(), Err(Error::SeatTaken { .. })));
        assert_eq!(sender.peer().unwrap(), SeatState::Live);
        // Dropped, they disturb nothing, not even what the child has opened since.
        let files: Vec<_> = (0..4).map(|_| File::open("/dev/zero").unwrap()).collect();
        drop((sender, receiver));
        assert!(files.iter().all(|file| file.metadata().is_ok()));
    });
    let (mut sender, mut receiver) = ends.unwrap();
    assert_eq!(sender.peer().unwrap(), SeatState::Live);
    assert_eq!(receiver.peer().unwrap(), SeatState::Live);
    assert_eq!(holder(&ring), Some(std::process::id()));
    sender.send(2).unwrap();
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
    drop(sender);
    // Free at last, for a forked child too: with handles of its own.
    in_child(|| ring.sender().unwrap().send(3).unwrap());
    assert_eq!(receiver.recv(), Ok(3));
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
    role.say("done");
}

#[test]
fn a_forked_childs_handles_refuse_and_disturb_nothing() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, _ring) = Ground::new(kind, &options());
        let mut child = ground.pass(family.child(forks)).spawn();
        child.expect("done");
        child.wait_ok();
    }
}

/// Forks with a message exposed and a slot reserved: the child ends both.
fn forks_holding(role: &mut Role) {
    let ring = ground::open(role, &options());
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    sender.send_many(&[1, 2]).unwrap();
    let mut guard = Some(receiver.recv_ref().unwrap());
    let mut slot = Some(sender.reserve().unwrap());
    slot.as_mut().unwrap().write(&3);
    let observer = ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
    let observer = annulus::Observer::from_fd(observer).unwrap();
    in_child(|| guard.take().unwrap().release());
    assert_eq!(observer.head(), 0, "still exposed");
    in_child(|| {
        let mut slot = slot.take().unwrap();
        slot.write(&9);
        slot.append(&[9]);
        slot.commit();
    });
    assert_eq!(observer.len(), 2, "not sent");
    drop(guard);
    assert_eq!(slot.unwrap().commit(), 2);
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(2), Ok(3)));
    role.say("done");
}

#[test]
fn a_forked_child_ends_neither_a_guard_nor_a_reservation_of_its_parent() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, _ring) = Ground::new(kind, &options());
        let mut child = ground.pass(family.child(forks_holding)).spawn();
        child.expect("done");
        child.wait_ok();
    }
}

/// Takes both seats, then has a child and a grandchild that do nothing.
fn survived_by_its_child(role: &mut Role) {
    let ring = ground::open(role, &options());
    // Taken by different threads, given back once, so that numbers have changed hands.
    drop(ring.receiver().unwrap());
    let other = ring.clone();
    let _sender = std::thread::spawn(move || other.sender().unwrap()).join().unwrap();
    let _receiver = ring.receiver().unwrap();
    let idle = || {
        // SAFETY: touches no memory. Nobody watches these processes.
        unsafe { libc::alarm(30) };
        loop {
            std::thread::park();
        }
    };
    // SAFETY: as in `in_child`.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => role.say(&child.to_string()),
        // SAFETY: as in `in_child`.
        ForkResult::Child => match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => {
                role.say(&child.to_string());
                idle();
            }
            ForkResult::Child => idle(),
        },
    }
    role.hear();
}

#[test]
fn a_forked_child_that_survives_its_parent_does_not_keep_the_seats() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options());
        let mut child = ground.pass(family.child(survived_by_its_child)).spawn();
        let mut heirs = || Pid::from_raw(child.hear().parse().unwrap());
        let heirs = [heirs(), heirs()];
        child.kill();
        let taken = (ring.sender(), ring.receiver());
        let alive = heirs.map(|pid| lives(pid.as_raw().unsigned_abs()));
        for heir in heirs {
            kill(heir, Signal::SIGKILL).unwrap();
        }
        assert_eq!(alive, [true; 2]);
        let (mut sender, mut receiver) = (taken.0.unwrap(), taken.1.unwrap());
        sender.send(7).unwrap();
        assert_eq!(receiver.recv(), Ok(7));
    }
}

/// Has children all the time while its threads take and leave seats.
fn begets(role: &mut Role) {
    let rings: Vec<_> = (0..3).map(|_| options().create_memfd("begets").unwrap()).collect();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for ring in &rings {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // Nobody else wants it, and no child holds it on.
                    drop(take(|| ring.sender()));
                    drop(take(|| ring.receiver()));
                }
            });
        }
        for _ in 0..80 {
            // SAFETY: the child makes system calls alone.
            match unsafe { fork() }.unwrap() {
                ForkResult::Parent { child } => {
                    assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
                    role.counter("children").add(1);
                }
                ForkResult::Child => {
                    // SAFETY: ends the process at once.
                    unsafe { libc::_exit(0) };
                }
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    role.say("done");
}

#[test]
fn forking_while_threads_take_and_leave_seats_neither_hangs_nor_keeps_a_seat() {
    let family = Family::new();
    let mut child = family.child(begets).spawn();
    child.expect("done");
    child.wait_ok();
}

fn executes(role: &mut Role) {
    let ring = ground::open(role, &options());
    let _sender = ring.sender().unwrap();
    role.say("taken");
    role.expect("go");
    panic!("not executed: {}", Command::new("sleep").arg("60").exec());
}

#[test]
fn exec_frees_the_seats_of_a_process_that_lives_on() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options());
        let mut child = ground.pass(family.child(executes)).spawn();
        child.expect("taken");
        assert_eq!(holder(&ring), Some(child.pid()));
        child.say("go");
        let _sender = take(|| ring.sender());
        assert!(lives(child.pid()));
        child.kill();
    }
}

/// Holds a seat and starts two programs, one by `posix_spawn`, one by `fork` and `exec`.
fn spawns(role: &mut Role) {
    let ring = ground::open(role, &options());
    let _sender = ring.sender().unwrap();
    let sleep = || {
        let mut command = Command::new("sleep");
        command.arg("60");
        command
    };
    let mut spawned = sleep().spawn().unwrap();
    let mut forked = sleep();
    // SAFETY: nothing is done between fork and exec; it only keeps std from posix_spawn.
    let mut forked = unsafe { forked.pre_exec(|| Ok(())) }.spawn().unwrap();
    role.say(&format!("{} {}", spawned.id(), forked.id()));
    role.hear();
    // Never come to: it is killed.
    spawned.wait().and(forked.wait()).unwrap();
}

#[test]
fn programs_that_the_occupant_started_do_not_keep_its_seat() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options());
        let mut child = ground.pass(family.child(spawns)).spawn();
        let heard = child.hear();
        let programs = heard.split(' ').map(|pid| Pid::from_raw(pid.parse().unwrap()));
        let programs: Vec<_> = programs.collect();
        child.kill();
        let sender = ring.sender();
        let alive = programs.iter().all(|pid| lives(pid.as_raw().unsigned_abs()));
        for program in programs {
            kill(program, Signal::SIGKILL).unwrap();
        }
        assert!(alive);
        sender.unwrap();
    }
}

/// In a pid namespace of its own, process 1 of it takes the sender's seat.
fn nests(role: &mut Role) {
    let ring = ground::open(role, &options());
    // SAFETY: touches no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
        role.say(&format!("no pid namespace: {}", std::io::Error::last_os_error()));
        return;
    }
    // SAFETY: the child uses nothing that another thread may have locked: the only other
    // one is the watchdog, which sleeps.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Parent { child } => {
            role.say(&format!("{child}"));
            role.hear();
        }
        nix::unistd::ForkResult::Child => {
            let _sender = ring.sender();
            // SAFETY: touches no memory. Process 1 does not outlive this, whatever happens.
            unsafe { libc::alarm(30) };
            loop {
                std::thread::park();
            }
        }
    }
}

#[test]
fn seats_are_right_across_pid_namespaces() {
    let family = Family::new();
    for kind in [Kind::Shm, Kind::Memfd] {
        let (ground, ring) = Ground::new(kind, &options());
        let mut child = ground.pass(family.child(nests)).spawn();
        let heard = child.hear();
        let Ok(pid) = heard.parse() else { support::skip!("{heard}") };
        let mut receiver = ring.receiver().unwrap();
        until("an occupant", || receiver.peer().unwrap() == SeatState::Live);
        // Its pid is that of its namespace, and decides nothing.
        assert_eq!(holder(&ring), Some(1));
        assert_eq!(receiver.recv_timeout(20 * SLICE), Err(RecvError::Timeout));
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        assert_eq!(receiver.recv(), Err(RecvError::Died));
        take(|| ring.sender());
    }
}
