//! A stream's handles in a forked child: they refuse, and dropping them disturbs nothing.
#![allow(unsafe_code)]

mod streams;
mod support;

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use annulus::stream::Ring;
use annulus::{
    Error, Fault, RecvError, SeatState, SendError, TryRecvError, TrySendError, WaitError,
};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use streams::site::{SHARED, Site, open};
use support::{Family, Role};

support::roles! { forks, forks_holding }

const SLICE: Duration = Duration::from_millis(5);

fn options() -> annulus::Options<Ring> {
    Ring::options().capacity(64).slice(SLICE)
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

fn is_forked<E>(result: io::Result<usize>, fault: impl Fn(&E) -> Option<Fault>) -> bool
where
    E: std::error::Error + 'static,
{
    let error = result.unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<E>());
    inner.and_then(fault) == Some(Fault::Forked)
}

fn of_send(error: &SendError<()>) -> Option<Fault> {
    if let SendError::Fault((), fault) = error { Some(*fault) } else { None }
}

fn of_recv(error: &RecvError) -> Option<Fault> {
    if let RecvError::Fault(fault) = error { Some(*fault) } else { None }
}

/// Uses both ends in all ways in the child, drops them there, and goes on in the parent.
fn forks(role: &mut Role) {
    let ring = open(role, &options());
    let (mut sender, receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    sender.send(b"one").unwrap();
    let mut ends = Some((sender, receiver));
    in_child(|| {
        let (mut sender, mut receiver) = ends.take().unwrap();
        let full = [0; 64];
        for bytes in [&b"x"[..], &full] {
            assert_eq!(sender.try_send(bytes), Err(TrySendError::Fault((), Fault::Forked)));
            assert_eq!(sender.send(bytes), Err(SendError::Fault((), Fault::Forked)));
            let timed = sender.send_timeout(bytes, SLICE);
            assert_eq!(timed, Err(SendError::Fault((), Fault::Forked)));
            assert!(is_forked(sender.write(bytes), of_send));
            let forked = Err(TrySendError::Fault((), Fault::Forked));
            assert_eq!(sender.try_reserve(bytes.len()).map(|_| ()), forked);
        }
        assert_eq!(sender.reserve(0).err(), Some(SendError::Fault((), Fault::Forked)));
        let zero = std::fs::File::open("/dev/zero").unwrap();
        assert!(is_forked(sender.fill_from(&zero, 5), of_send));
        let waited = sender.wait_until_received(None);
        assert_eq!(waited, Err(SendError::Fault((), Fault::Forked)));
        assert_eq!(sender.wait_for_peer(None), Err(WaitError::Fault(Fault::Forked)));
        let mut out = [0; 9];
        assert_eq!(receiver.try_recv(&mut out), Err(TryRecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.recv(&mut out), Err(RecvError::Fault(Fault::Forked)));
        let timed = receiver.recv_timeout(&mut out, SLICE);
        assert_eq!(timed, Err(RecvError::Fault(Fault::Forked)));
        assert!(is_forked(receiver.read(&mut out), of_recv));
        assert_eq!(receiver.try_recv_ref().err(), Some(TryRecvError::Fault(Fault::Forked)));
        assert_eq!(receiver.recv_ref().err(), Some(RecvError::Fault(Fault::Forked)));
        assert!(is_forked(receiver.drain_to(&zero, 5), of_recv));
        assert_eq!(receiver.wait_for_peer(None), Err(WaitError::Fault(Fault::Forked)));
        // The seats are the parent's, and look like it.
        assert!(matches!(ring.receiver(), Err(Error::SeatTaken { .. })));
        assert_eq!(sender.peer().unwrap(), SeatState::Live);
        drop((sender, receiver));
    });
    for how in 0..2 {
        in_child(|| {
            let (sender, receiver) = ends.take().unwrap();
            if how == 0 {
                assert_eq!(sender.finish(), Err(SendError::Fault((), Fault::Forked)));
            } else {
                sender.abort();
            }
            receiver.abort();
        });
    }
    let (mut sender, mut receiver) = ends.unwrap();
    assert_eq!(sender.peer().unwrap(), SeatState::Live);
    assert_eq!(receiver.peer().unwrap(), SeatState::Live);
    sender.send(b", two").unwrap();
    sender.finish().unwrap();
    let mut all = String::new();
    receiver.read_to_string(&mut all).unwrap();
    assert_eq!(all, "one, two");
    role.say("done");
}

#[test]
fn a_streams_handles_in_a_forked_child_refuse_and_disturb_nothing() {
    let family = Family::new();
    for place in SHARED {
        let site = Site::new(place, &options());
        let mut child = site.pass(family.child(forks)).spawn();
        child.expect("done");
        child.wait_ok();
    }
}

/// Forks with bytes exposed and bytes reserved: the child ends both.
fn forks_holding(role: &mut Role) {
    let ring = open(role, &options());
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    sender.send(b"abcd").unwrap();
    let mut guard = Some(receiver.recv_ref().unwrap());
    let mut place = Some(sender.reserve(8).unwrap());
    place.as_mut().unwrap().append(b"ef");
    let observer = ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
    let observer = annulus::Observer::from_fd(observer).unwrap();
    in_child(|| guard.take().unwrap().release());
    in_child(|| guard.take().unwrap().release_first(1));
    in_child(|| drop(guard.take()));
    assert_eq!(observer.head(), 0, "still exposed");
    in_child(|| {
        let mut place = place.take().unwrap();
        assert_eq!(place.append(b"XX"), 0);
        place.commit();
    });
    in_child(|| assert_eq!(place.take().unwrap().commit(), 2));
    assert_eq!(observer.len(), 4, "not sent");
    guard.unwrap().release_first(3);
    let mut place = place.unwrap();
    assert_eq!((place.append(b"g"), place.commit()), (1, 3));
    let mut out = [0; 9];
    assert_eq!(receiver.recv(&mut out), Ok(4));
    assert_eq!(&out[..4], b"defg");
    role.say("done");
}

#[test]
fn a_forked_child_ends_neither_exposed_nor_reserved_bytes_of_its_parents_stream() {
    let family = Family::new();
    for place in SHARED {
        let site = Site::new(place, &options());
        let mut child = site.pass(family.child(forks_holding)).spawn();
        child.expect("done");
        child.wait_ok();
    }
}
