//! Removing the name of a segment that nobody uses: who counts as a user, and for how long.
#![allow(unsafe_code)]

mod segments;
mod support;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::ptr::NonNull;
use std::time::Duration;

use annulus::spsc::Ring;
use annulus::{Error, Observer, RecvError, Segment, WaitMethod};
use memmap2::MmapMut;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, Uid, fork};
use segments::{Refusal, SPOTS, Spot, no_file, refusal};
use support::{Family, Role, lives};

support::roles! {
    opens, makes, has_a_child, is_survived, is_nobody_special,
}

fn options() -> annulus::Options<Ring<u64>> {
    Ring::options().capacity(8).slice(Duration::from_millis(5))
}

/// `unlink_unused`: whether it removed the name. If not, it was in use.
fn removed(address: &str) -> bool {
    match annulus::unlink_unused(address) {
        Ok(()) => true,
        Err(Error::InUse { address: named }) => {
            assert_eq!(named, address);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn opens(role: &mut Role) {
    let _ring = options().open(role.argument(0)).unwrap();
    role.say("in");
    role.hear();
}

fn makes(role: &mut Role) {
    let _ring = options().create_new(role.argument(0)).unwrap();
    role.say("in");
    role.hear();
}

#[test]
fn a_ring_that_another_process_has_open_is_in_use_until_that_is_killed() {
    let family = Family::new();
    for (spot, is_made) in SPOTS.into_iter().flat_map(|spot| [(spot, false), (spot, true)]) {
        let spot = if is_made { spot() } else { spot().with_ring() };
        let child = if is_made { family.child(makes) } else { family.child(opens) };
        let mut child = child.arg(&spot.address).spawn();
        child.expect("in");
        let before = spot.traits();
        assert!(!removed(&spot.address));
        assert_eq!(spot.traits(), before, "nothing has changed");
        // Stopped is not dead.
        child.stop();
        assert!(!removed(&spot.address));
        child.kill();
        assert!(removed(&spot.address));
        assert!(spot.neighbours().is_empty());
    }
}

#[test]
fn own_handles_count_down_to_the_last() {
    for spot in SPOTS {
        let spot = spot();
        let ring = options().open_or_create(&spot.address).unwrap();
        assert!(!removed(&spot.address));
        let again = spot.open().unwrap();
        let clone = ring.clone();
        drop(ring);
        assert!(!removed(&spot.address), "opened again, and cloned");
        drop(again);
        assert!(!removed(&spot.address), "the clone");
        let (sender, receiver) = (clone.sender().unwrap(), clone.receiver().unwrap());
        drop((clone, sender));
        assert!(!removed(&spot.address), "an endpoint alone");
        drop(receiver);
        assert!(removed(&spot.address));
        assert_eq!(refusal(annulus::unlink_unused(&spot.address)), Refusal::NotFound);
    }
}

#[test]
fn what_is_still_in_a_ring_does_not_keep_it() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        spot.open().unwrap().sender().unwrap().send(7).unwrap();
        assert!(removed(&spot.address));
        let anew = options().open_or_create(&spot.address).unwrap();
        assert_eq!(anew.receiver().unwrap().recv_timeout(Duration::ZERO), Err(RecvError::Timeout));
    }
}

#[test]
fn an_observer_is_no_user() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        let observer = Observer::open(&spot.address).unwrap();
        assert!(removed(&spot.address));
        assert_eq!(observer.capacity(), 8, "but keeps what it sees");
    }
}

#[test]
fn one_who_was_refused_is_no_user() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        assert!(Ring::<u64>::options().capacity(16).open(&spot.address).is_err());
        assert!(Ring::<u32>::open(&spot.address).is_err());
        assert!(options().create_new(&spot.address).is_err());
        assert!(removed(&spot.address));
    }
}

#[test]
fn a_ring_is_in_use_under_all_of_its_names() {
    let spot = Spot::file().with_ring();
    let other = spot.path.with_file_name("other");
    fs::hard_link(&spot.path, &other).unwrap();
    let other = format!("file:{}", other.display());
    let ring = Ring::<u64>::open(&other).unwrap();
    assert!(!removed(&spot.address));
    // A name that was removed all the same does not end the use under the other.
    annulus::unlink(&spot.address).unwrap();
    assert!(!removed(&other));
    drop(ring);
    assert!(removed(&other));
}

/// The memory of a file, as another library maps it.
fn map(path: &Path) -> Segment {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    // SAFETY: nobody shortens it.
    let mut memory = unsafe { MmapMut::map_mut(&file) }.unwrap();
    let (base, len) = (NonNull::new(memory.as_mut_ptr()).unwrap(), memory.len());
    // SAFETY: the mapping lives in the owner, and nothing else uses it.
    unsafe { Segment::from_mapping(base, len, Some(file.into()), Box::new(memory)) }.unwrap()
}

#[test]
fn whoever_holds_a_seat_is_a_user_however_he_came_by_it() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        let ring = options().open_in(map(&spot.path)).unwrap();
        let receiver = ring.receiver().unwrap();
        assert!(!removed(&spot.address));
        drop(receiver);
        assert!(removed(&spot.address), "mapped by another library, and no seat taken");
    }
}

/// Forks a child that does nothing but hold what this process holds.
fn forks_an_idler() -> Pid {
    // SAFETY: the child makes system calls alone.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            // SAFETY: touches no memory. Nobody watches this process.
            unsafe { libc::alarm(30) };
            loop {
                // SAFETY: touches no memory.
                unsafe { libc::pause() };
            }
        }
    }
}

/// Drops its ring while a forked child lives.
fn has_a_child(role: &mut Role) {
    let address = role.argument(0);
    let ring = options().open(address).unwrap();
    let child = forks_an_idler();
    assert!(!removed(address), "the parent's");
    drop(ring);
    assert!(removed(address), "the child has no part in it");
    assert!(lives(child.as_raw().unsigned_abs()));
    kill(child, Signal::SIGKILL).unwrap();
    role.say("done");
}

#[test]
fn a_forked_child_does_not_keep_a_ring_in_use() {
    let family = Family::new();
    for spot in SPOTS {
        let spot = spot().with_ring();
        let mut child = family.child(has_a_child).arg(&spot.address).spawn();
        child.expect("done");
        child.wait_ok();
    }
}

/// Is killed while a forked child lives.
fn is_survived(role: &mut Role) {
    let _ring = options().create_new(role.argument(0)).unwrap();
    let child = forks_an_idler();
    role.say(&child.to_string());
    role.hear();
}

#[test]
fn a_forked_child_that_survives_its_parent_does_not_keep_a_ring_in_use() {
    let family = Family::new();
    for spot in SPOTS {
        let spot = spot();
        let mut child = family.child(is_survived).arg(&spot.address).spawn();
        let heir = Pid::from_raw(child.hear().parse().unwrap());
        let before = removed(&spot.address);
        child.kill();
        let after = removed(&spot.address);
        let alive = lives(heir.as_raw().unsigned_abs());
        kill(heir, Signal::SIGKILL).unwrap();
        assert_eq!((before, after, alive), (false, true, true));
    }
}

#[test]
fn the_semaphores_of_an_unused_ring_go_with_it() {
    for spot in SPOTS {
        let spot = spot();
        let ring = options().wait_method(WaitMethod::Semaphore).create_new(&spot.address).unwrap();
        let id = Observer::open(&spot.address).unwrap().creation_id();
        let names = [0, 1].map(|event| format!("/dev/shm/sem.annulus-{id:016x}-{event}"));
        let there = || names.each_ref().map(|name| Path::new(name).exists());
        assert!(!removed(&spot.address));
        assert_eq!(there(), [true; 2]);
        drop(ring);
        assert!(removed(&spot.address));
        assert_eq!(there(), [false; 2]);
    }
}

#[test]
fn what_is_no_segment_is_not_removed() {
    let said = |spot: &Spot| refusal(annulus::unlink_unused(&spot.address));
    for spot in SPOTS {
        let spot = spot();
        assert_eq!(said(&spot), Refusal::NotFound);

        nix::unistd::mkfifo(&spot.path, Mode::S_IRWXU).unwrap();
        assert_eq!(said(&spot), no_file("not a regular file"));
        fs::remove_file(&spot.path).unwrap();

        let socket = UnixListener::bind(&spot.path).unwrap();
        assert_eq!(said(&spot), no_file("a directory, socket or device"));
        fs::remove_file(&spot.path).unwrap();
        drop(socket);

        let there = Spot::file().with_ring();
        std::os::unix::fs::symlink(&there.path, &spot.path).unwrap();
        assert_eq!(said(&spot), no_file("a symbolic link"));
        assert!(there.path.exists());
        fs::remove_file(&spot.path).unwrap();

        for bytes in [&b""[..], b"annulus", b"annulus!", &[0; 4096]] {
            let spot = Spot::file().with_bytes(bytes);
            assert!(matches!(said(&spot), Refusal::Mismatch(annulus::Field::Magic, ..)));
            assert_eq!(spot.bytes(), bytes);
        }
        // As `unlink`: a broken one can be removed.
        let broken = spot.with_bytes(b"annulus\0 and nothing more");
        assert!(removed(&broken.address));
    }
    assert!(matches!(annulus::unlink_unused("nowhere"), Err(Error::Address { .. })));
}

/// Without the privileges that go past modes, under a umask that forbids everything.
fn is_nobody_special(role: &mut Role) {
    if Uid::effective().is_root() {
        nix::unistd::setuid(Uid::from_raw(65_534)).unwrap();
    }
    nix::sys::stat::umask(Mode::from_bits_truncate(0o777));
    let address = role.argument(0);
    for mode in [0o200, 0o400] {
        drop(options().mode(mode).create_new(address).unwrap());
        let refused = refusal(annulus::unlink_unused(address));
        assert_eq!(refused, Refusal::Os(Some(libc::EACCES)), "it can't be locked");
        let path = address.replace("shm:", "/dev/shm/");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode);
        fs::remove_file(path).unwrap();
    }
    let ring = options().create_new(address).unwrap();
    drop(options().open(address).unwrap());
    assert!(!removed(address));
    drop(ring);
    assert!(removed(address));
    role.say("done");
}

#[test]
fn removing_needs_the_right_to_write_and_making_no_more_than_before() {
    let family = Family::new();
    let name = support::random_name();
    let mut child = family.child(is_nobody_special).arg(name.shm()).spawn();
    child.expect("done");
    child.wait_ok();
}
