//! The mpmc ring among processes: the stopped, the forked, the dead by the hundred.
#![allow(unsafe_code)]

mod mpmcs;
mod scale;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use annulus::mpmc::Ring;
use annulus::{Fault, RecvError, SendError, TryRecvError, TrySendError, WaitError};
use mpmcs::site::{Place, Site};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use support::{Child, Family, Role, Snapshot};

support::roles! { holds, forks, dies_and_comes_again }

const SLICE: Duration = Duration::from_millis(2);
const SOON: Duration = Duration::from_millis(20);

fn options() -> annulus::Options<Ring<u64>> {
    Ring::options().capacity(2).seats(2).slice(SLICE)
}

/// Takes a position as argument 0 says, tells, and goes on when it is told.
fn holds(role: &mut Role) {
    let ring = options().from_fd(role.inherited()).unwrap();
    if role.argument(0) == "sends" {
        let mut sender = ring.sender().unwrap();
        let mut slot = sender.reserve().unwrap();
        role.say("holds");
        role.expect("go on");
        slot.write(&7);
        slot.commit();
        role.say("done");
        role.expect("enough");
    } else {
        let mut receiver = ring.receiver().unwrap();
        let guard = receiver.recv_ref().unwrap();
        role.say("holds");
        role.expect("go on");
        assert_eq!(guard.read(), 0);
        guard.release();
        role.say("done");
        role.expect("enough");
    }
}

fn holder<'a>(family: &'a Family, site: &Site<u64>, what: &str) -> Child<'a> {
    let memfd = site.memfd();
    let child = family.child(holds).arg(what).inherit(std::os::fd::AsFd::as_fd(&memfd));
    let mut child = child.watchdog(Duration::ZERO).spawn();
    child.expect("holds");
    child
}

#[test]
fn a_stopped_senders_position_stalls_receivers_until_it_goes_on() {
    let family = Family::new();
    let site = Site::new(Place::Memfd, &options());
    let mut stopped = holder(&family, &site, "sends");
    let (mut sender, mut receiver) = (site.one.sender().unwrap(), site.one.receiver().unwrap());
    stopped.stop();
    sender.try_send(1).unwrap();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Stalled));
    // Many slices: he is looked at each time, and lives.
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvError::Timeout));
    assert_eq!(sender.send_timeout(2, SOON), Err(SendError::Timeout(2)));
    assert_eq!(site.seat(0).state, 1, "nobody takes him for dead");
    stopped.resume();
    stopped.say("go on");
    stopped.expect("done");
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(7), Ok(1)));
    stopped.say("enough");
    stopped.wait_ok();
}

#[test]
fn a_stopped_receivers_position_stalls_senders_a_lap_later_until_it_goes_on() {
    let family = Family::new();
    let site = Site::new(Place::Memfd, &options());
    let (mut sender, mut receiver) = (site.one.sender().unwrap(), site.one.receiver().unwrap());
    sender.try_send_many(&[0, 1]).unwrap();
    let mut stopped = holder(&family, &site, "receives");
    stopped.stop();
    assert_eq!(receiver.try_recv(), Ok(1), "others go on behind it");
    assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!(sender.send_timeout(2, SOON), Err(SendError::Timeout(2)));
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvError::Timeout), "it is not taken from him");
    assert_eq!(site.seat(3).state, 1, "nobody takes him for dead");
    stopped.resume();
    stopped.say("go on");
    stopped.expect("done");
    sender.send(2).unwrap();
    assert_eq!((receiver.recv(), receiver.last().redelivered), (Ok(2), false));
    stopped.say("enough");
    stopped.wait_ok();
}

#[test]
fn one_who_is_stopped_and_then_killed_is_settled_then() {
    let family = Family::new();
    let site = Site::new(Place::Memfd, &options());
    let mut stopped = holder(&family, &site, "sends");
    let (mut sender, mut receiver) = (site.one.sender().unwrap(), site.one.receiver().unwrap());
    stopped.stop();
    sender.try_send(1).unwrap();
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvError::Timeout));
    stopped.kill();
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!((site.seat(0).state, site.seat(0).claim), (4, 0));
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

fn forks(role: &mut Role) {
    let options = Ring::<[u8]>::options().capacity(4).max_len(8).seats(2).slice(SLICE);
    let site = Site::new(Place::Memfd, &options);
    let mut sender = site.one.sender().unwrap();
    let mut receiver = site.other.receiver().unwrap();
    let mut guarded = site.other.receiver().unwrap();
    sender.try_send(b"kept").unwrap();
    sender.try_send(b"lent").unwrap();
    assert_eq!(receiver.try_recv(&mut []), Err(TryRecvError::TooSmall { needed: 4 }));
    let guard = guarded.recv_ref().unwrap();
    std::mem::forget(sender.try_reserve().unwrap());
    let before: Vec<_> = (0..4).map(|seat| site.seat(seat)).collect();
    let len = site.file.as_ref().unwrap().metadata().unwrap().len() / 8 * 8;
    let slots: Vec<_> = (0..len).step_by(8).map(|at| site.word(at)).collect();
    let mut ends = Some((sender, receiver, guard));
    in_child(|| {
        let (mut sender, mut receiver, guard) = ends.take().unwrap();
        let mut out = [0; 8];
        assert_eq!(sender.try_send(b"x"), Err(TrySendError::Fault((), Fault::Forked)));
        assert_eq!(sender.send(b"x"), Err(SendError::Fault((), Fault::Forked)));
        assert_eq!(sender.try_reserve().err(), Some(TrySendError::Fault((), Fault::Forked)));
        assert_eq!(sender.wait_for_peer(None), Err(WaitError::Fault(Fault::Forked)));
        // What is kept is the parent's.
        assert_eq!(receiver.try_recv(&mut out), Err(TryRecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.recv(&mut out), Err(RecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.try_recv_ref().err(), Some(TryRecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.wait_for_peer(None), Err(WaitError::Fault(Fault::Forked)));
        drop(guard);
        drop((sender, receiver));
    });
    let after: Vec<_> = (0..4).map(|seat| site.seat(seat)).collect();
    assert_eq!(before, after, "no seat has changed");
    let now: Vec<_> = (0..len).step_by(8).map(|at| site.word(at)).collect();
    assert!(slots == now, "no word has changed");
    let (mut sender, mut receiver, guard) = ends.unwrap();
    assert_eq!(guard.to_vec(), b"lent");
    drop(guard);
    sender.try_send(b"more").unwrap();
    let mut out = [0; 8];
    assert_eq!((receiver.try_recv(&mut out), &out[..4]), (Ok(4), &b"kept"[..]));
    assert_eq!((receiver.try_recv(&mut out), &out[..4]), (Ok(4), &b"more"[..]));
    // Its own handles are another matter.
    in_child(|| site.one.sender().unwrap().send(b"child").unwrap());
    assert_eq!(receiver.recv(&mut out), Ok(5));
    role.say("done");
}

#[test]
fn an_mpmc_rings_handles_in_a_forked_child_refuse_and_change_no_word() {
    let family = Family::new();
    let mut child = family.child(forks).spawn();
    child.expect("done");
    child.wait_ok();
}

/// Deaths of forked children at a ring of one seat a side, and their successors.
fn dies_and_comes_again(role: &mut Role) {
    let cycles = role.parse::<u64>(0);
    let options = Ring::<u64>::options().capacity(2).seats(1).slice(SLICE);
    let site = Site::new(Place::Shm, &options);
    let progress = role.counter("cycles");
    let mut before = None;
    for cycle in 0..cycles {
        in_child(|| {
            let ring = site.open(&options);
            let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
            let mut out = 0;
            while receiver.try_recv().is_ok() {
                out += 1;
            }
            assert!(out <= 2);
            sender.try_send_many(&[cycle, cycle]).unwrap();
            let _guard = receiver.recv_ref().unwrap();
            std::mem::forget(sender.try_reserve());
            // SAFETY: ends the process with everything in hand.
            unsafe { libc::_exit(0) };
        });
        progress.add(1);
        if cycle == 2 {
            before = Some(Snapshot::take());
        }
    }
    Snapshot::take().assert_no_more_than(&before.unwrap());
    let (mut sender, mut receiver) = (site.one.sender().unwrap(), site.one.receiver().unwrap());
    assert_eq!((receiver.try_recv(), receiver.last().redelivered), (Ok(cycles - 1), true));
    assert_eq!(receiver.try_recv(), Ok(cycles - 1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.try_send_many(&[0, 1, 2]), Ok(2));
    drop((sender, receiver));
    for seat in 0..2 {
        assert_eq!((site.seat(seat).state, site.seat(seat).claim), (3, 0));
    }
    role.say("done");
}

#[test]
fn crashes_and_newcomers_by_the_hundred_leak_no_seats_descriptors_or_files() {
    let family = Family::new();
    let start = Instant::now();
    let cycles = scale::scaled(300);
    let child = family.child(dies_and_comes_again).arg(cycles);
    let mut child = child.watchdog(Duration::from_secs(20)).spawn();
    child.set_deadline(Duration::from_secs(600));
    child.expect("done");
    child.wait_ok();
    println!("{cycles} cycles in {:?}", start.elapsed());
}
