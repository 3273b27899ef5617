//! Observers: they need the right to read and no more, see what is there, and can't
//! change it.

mod segments;
mod support;

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};

use annulus::spsc::Ring;
use annulus::{Kind, Observer, SeatState, SeatView, WaitMethod};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid};
use segments::{Refusal, SPOTS, Spot, refusal};
use support::{Family, Role, Snapshot};

support::roles! { looks_as_nobody, looks_and_leaks_nothing }

/// The shared mappings of a file in this process: access, by its inode.
fn mappings(inode: u64) -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let fields = maps.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let own = fields.filter(|fields| fields[4] == inode.to_string());
    own.map(|fields| fields[1].to_owned()).collect()
}

/// A descriptor of the same file that can be read alone.
fn read_only(fd: &impl AsRawFd) -> OwnedFd {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    nix::fcntl::open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).unwrap()
}

fn seats(observer: &Observer) -> [SeatView; 2] {
    observer.seats().unwrap().try_into().unwrap()
}

#[test]
fn an_observer_sees_the_facts() {
    for spot in SPOTS {
        let spot = spot();
        let options = Ring::<[u8; 12]>::options().capacity(16).type_tag(0xfeed);
        options.create_new(&spot.address).unwrap();
        let seen = Observer::open(&spot.address).unwrap();
        assert_eq!(seen.kind(), Kind::Spsc);
        assert_eq!((seen.capacity(), seen.message_size()), (16, 12));
        assert_eq!(seen.type_tag(), 0xfeed);
        assert_eq!(seen.segment_len(), options.segment_len().unwrap());
        assert_eq!(seen.segment_len(), spot.path.metadata().unwrap().len());
        assert_eq!(seen.wait_method(), WaitMethod::Futex);
        assert_eq!((seen.head(), seen.len(), seen.is_empty()), (0, 0, true));
        assert_eq!(seen.rescues(), (0, 0));
        let vacant = seats(&seen);
        assert_eq!(vacant.map(|seat| seat.role), ["sender", "receiver"]);
        for seat in vacant {
            assert_eq!((seat.state, seat.held, seat.pid), (SeatState::Vacant, false, None));
        }
    }
}

#[test]
fn an_observer_sees_every_message_and_who_comes_and_goes() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        let seen = Observer::open(&spot.address).unwrap();
        let ring = spot.open().unwrap();
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        let own = Some(std::process::id());
        for seat in seats(&seen) {
            assert_eq!((seat.state, seat.held, seat.pid), (SeatState::Live, true, own));
        }
        for lap in 0..3 {
            for n in 1..=8 {
                sender.try_send(n).unwrap();
                assert_eq!((seen.head(), seen.len()), (lap * 8, n));
            }
            for n in 1..=8 {
                receiver.try_recv().unwrap();
                assert_eq!((seen.head(), seen.len()), (lap * 8 + n, 8 - n));
            }
        }
        drop(sender);
        let [sender, receiver] = seats(&seen);
        assert_eq!((sender.state, sender.held), (SeatState::Closed, false));
        assert_eq!((receiver.state, receiver.held), (SeatState::Live, true));
    }
}

#[test]
fn an_observer_of_a_busy_ring_never_sees_more_than_it_holds() {
    let ring = Ring::<u64>::options().capacity(8).create_memfd("busy").unwrap();
    let seen = Observer::from_fd(read_only(&ring.segment_fd().unwrap())).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..10_000).for_each(|n| sender.send(n).unwrap()));
        scope.spawn(|| {
            (0..10_000).for_each(|n| assert_eq!(receiver.recv(), Ok(n)));
            done.store(true, Ordering::SeqCst);
        });
        let mut before = 0;
        while !done.load(Ordering::SeqCst) {
            let head = seen.head();
            assert!(head >= before && head <= 10_000);
            assert!(seen.len() <= 8);
            before = head;
        }
    });
}

#[test]
fn an_observer_maps_without_the_right_to_write() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        let inode = spot.path.metadata().unwrap().ino();
        let before = spot.traits();
        let seen = Observer::open(&spot.address).unwrap();
        assert_eq!(mappings(inode), ["r--s"]);
        let through = Observer::from_fd(read_only(&File::open(&spot.path).unwrap())).unwrap();
        // Even through a descriptor that could.
        let open = File::options().read(true).write(true).open(&spot.path).unwrap();
        let able = Observer::from_fd(open.into()).unwrap();
        assert_eq!(mappings(inode), ["r--s", "r--s", "r--s"]);
        for seen in [&seen, &through, &able] {
            assert_eq!((seen.head(), seen.len()), (0, 0));
            seats(seen);
        }
        assert_eq!(spot.traits(), before, "nothing is changed");
        drop((seen, through, able));
        assert!(mappings(inode).is_empty());
        assert_eq!(spot.traits(), before, "nothing is changed");
    }
}

#[test]
fn an_observer_holds_no_seat_and_keeps_nobody_from_one() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        let _observers: Vec<_> = (0..10).map(|_| Observer::open(&spot.address).unwrap()).collect();
        let ring = spot.open().unwrap();
        for _ in 0..3 {
            let (sender, receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
            assert_eq!(sender.peer().unwrap(), SeatState::Live);
            drop(receiver);
            assert_eq!(sender.peer().unwrap(), SeatState::Closed);
        }
    }
}

#[test]
fn a_descriptor_for_reading_is_enough_for_a_memfd() {
    let ring = Ring::<u64>::options().capacity(8).create_memfd("seen").unwrap();
    let fd = ring.segment_fd().unwrap();
    let seen = Observer::from_fd(read_only(&fd)).unwrap();
    ring.sender().unwrap().send(1).unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seats(&seen)[0].state, SeatState::Closed);
    // And not for more.
    assert_eq!(refusal(Ring::<u64>::from_fd(read_only(&fd))), Refusal::Os(Some(libc::EACCES)));
}

/// An unprivileged user's file that he himself may only read.
fn looks_as_nobody(role: &mut Role) {
    if nix::unistd::geteuid().is_root() {
        nix::unistd::setresgid(Gid::from_raw(65_534), Gid::from_raw(65_534), Gid::from_raw(65_534))
            .unwrap();
        nix::unistd::setresuid(Uid::from_raw(65_534), Uid::from_raw(65_534), Uid::from_raw(65_534))
            .unwrap();
    }
    let address = format!("file:{}/segment", role.argument(0));
    let made = Ring::<u64>::options().capacity(8).mode(0o400).create_new(&address).unwrap();
    // He made it, and so has it open.
    let mut sender = made.sender();
    assert!(sender.is_err(), "a seat needs the right to write");
    assert_eq!(refusal(Ring::<u64>::open(&address)), Refusal::Os(Some(libc::EACCES)));
    let seen = Observer::open(&address).unwrap();
    assert_eq!((seen.capacity(), seen.len()), (8, 0));
    fs::set_permissions(&address["file:".len()..], fs::Permissions::from_mode(0o600)).unwrap();
    sender = made.sender();
    sender.unwrap().send(1).unwrap();
    assert_eq!(seen.len(), 1);
    role.say("seen");
}

#[test]
fn a_file_of_mode_0400_can_be_observed_and_not_opened() {
    let family = Family::new();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let mut child = family.child(looks_as_nobody).arg(folder.path().display()).spawn();
    child.expect("seen");
    child.wait_ok();
}

fn looks_and_leaks_nothing(role: &mut Role) {
    let (spot, bad) = (Spot::shm().with_ring(), Spot::shm().with_bytes(&[1; 4096]));
    let round = || {
        let seen = Observer::open(&spot.address).unwrap();
        seats(&seen);
        refusal(Observer::open(&bad.address));
        refusal(bad.open());
        let ring = spot.open().unwrap();
        drop((ring.sender().unwrap(), ring.receiver().unwrap()));
    };
    round();
    let before = Snapshot::take();
    (0..100).for_each(|_| round());
    Snapshot::take().assert_no_more_than(&before);
    role.say("nothing");
}

#[test]
fn opening_and_being_refused_leaks_nothing() {
    let family = Family::new();
    let mut child = family.child(looks_and_leaks_nothing).spawn();
    child.expect("nothing");
    child.wait_ok();
}
