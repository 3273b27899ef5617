//! Making segments: by several at once, without memory, under any umask, on file systems
//! without nameless files, and cut short at any moment.
#![allow(unsafe_code)]

mod scale;
mod segments;
mod support;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use annulus::spsc::Ring;
use annulus::{Error, Observer, SeatState};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};
use segments::{Refusal, SPOTS, Spot, refusal};
use support::{Child, Family, Role, random_name};

support::roles! {
    makes, makes_or_opens, unlinks, runs_out_of_memory, makes_until_killed,
    makes_under_any_umask, makes_without_nameless_files,
}

/// The monotonic clock, which is every process's.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap().into()
}

/// Hears an address and a moment; waits for the moment. `None`: no more.
fn next_round(role: &mut Role) -> Option<String> {
    let line = role.hear();
    let (moment, address) = line.split_once(' ')?;
    let moment = Duration::from_nanos(moment.parse().unwrap());
    while now() < moment {
        std::hint::spin_loop();
    }
    Some(address.to_owned())
}

/// Says an address to all, and a moment when all should have heard it.
fn begin_round(children: &mut [Child<'_>], address: &str) {
    let moment = (now() + Duration::from_micros(300)).as_nanos();
    for child in children {
        child.say(&format!("{moment} {address}"));
    }
}

fn end(children: Vec<Child<'_>>) {
    for mut child in children {
        child.say("end");
        child.wait_ok();
    }
}

fn makes(role: &mut Role) {
    while let Some(address) = next_round(role) {
        let capacity = role.parse(0);
        match Ring::<u64>::options().capacity(capacity).create_new(&address) {
            Ok(_) => role.say("made"),
            Err(Error::AlreadyExists { .. }) => role.say("exists"),
            Err(error) => role.say(&error.to_string()),
        }
    }
}

#[test]
fn of_several_who_make_a_segment_at_once_exactly_one_does() {
    let family = Family::new();
    // Of different capacities, to see whose it is.
    let capacities = [64, 128, 256];
    let mut children: Vec<_> =
        capacities.iter().map(|capacity| family.child(makes).arg(capacity).spawn()).collect();
    for round in 0..scale::scaled(150) {
        let spot = SPOTS[round as usize % 2]();
        begin_round(&mut children, &spot.address);
        let said: Vec<_> = children.iter_mut().map(Child::hear).collect();
        let made: Vec<_> =
            said.iter().zip(capacities).filter(|(said, _)| *said == "made").collect();
        assert_eq!(made.len(), 1, "{said:?}");
        assert_eq!(said.iter().filter(|said| *said == "exists").count(), 2, "{said:?}");
        assert_eq!(spot.open().unwrap().capacity(), made[0].1, "the maker's");
        assert_eq!(spot.neighbours().len(), 1, "nothing beside it");
    }
    end(children);
}

/// Says which ring it got.
fn makes_or_opens(role: &mut Role) {
    while let Some(address) = next_round(role) {
        match Ring::<u64>::options().capacity(64).open_or_create(&address) {
            Ok(ring) => {
                let fd = ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
                let seen = Observer::from_fd(fd).unwrap();
                assert_eq!((seen.capacity(), seen.head(), seen.len()), (64, 0, 0));
                role.say(&seen.creation_id().to_string());
            }
            Err(error) => role.say(&error.to_string()),
        }
    }
}

#[test]
fn all_who_open_or_make_a_segment_at_once_get_the_same() {
    let family = Family::new();
    let mut children: Vec<_> = (0..3).map(|_| family.child(makes_or_opens).spawn()).collect();
    let mut ids = HashSet::new();
    for round in 0..scale::scaled(150) {
        let spot = SPOTS[round as usize % 2]();
        begin_round(&mut children, &spot.address);
        let id = Observer::open(&spot.address);
        let said: Vec<_> = children.iter_mut().map(Child::hear).collect();
        let is = Observer::open(&spot.address).unwrap().creation_id();
        assert_eq!(said, vec![is.to_string(); 3]);
        // Whoever looked meanwhile saw nothing, or the same.
        match id {
            Ok(id) => assert_eq!(id.creation_id(), is),
            Err(error) => assert!(matches!(error, Error::NotFound { .. }), "{error}"),
        }
        assert!(ids.insert(is), "each ring has its own");
        assert_eq!(spot.neighbours().len(), 1, "nothing beside it");
    }
    end(children);
}

fn unlinks(role: &mut Role) {
    while let Some(address) = next_round(role) {
        for _ in 0..20 {
            let _ = annulus::unlink(&address);
        }
        role.say("unlinked");
    }
}

#[test]
fn who_opens_or_makes_a_segment_that_others_remove_gets_a_whole_one() {
    let family = Family::new();
    let mut children =
        vec![family.child(makes_or_opens).spawn(), family.child(makes_or_opens).spawn()];
    children.push(family.child(unlinks).spawn());
    for round in 0..scale::scaled(100) {
        let spot = SPOTS[round as usize % 2]();
        begin_round(&mut children, &spot.address);
        for child in &mut children[..2] {
            let said = child.hear();
            assert!(said.parse::<u64>().is_ok(), "{said}");
        }
        children[2].expect("unlinked");
        assert!(spot.neighbours().len() <= 1, "nothing beside it");
    }
    end(children);
}

/// In a /dev/shm of one mebibyte.
fn runs_out_of_memory(role: &mut Role) {
    if role.argument(0) == "without nameless files"
        && let Err(error) = forbid_nameless_files()
    {
        return role.say(&format!("no filter of system calls: {error}"));
    }
    let free = || nix::sys::statvfs::statvfs("/dev/shm").unwrap().blocks_free();
    let names = || fs::read_dir("/dev/shm").unwrap().count();
    let before = (free(), names());
    for (name, prefault) in [("shm:large", true), ("file:/dev/shm/large", false)] {
        let options = Ring::<[u8; 56]>::options().prefault(prefault);
        let large = options.clone().capacity(1 << 15);
        assert_eq!(refusal(large.create_new(name)), Refusal::Os(Some(libc::ENOSPC)));
        assert_eq!(refusal(large.open_or_create(name)), Refusal::Os(Some(libc::ENOSPC)));
        assert_eq!((free(), names()), before, "nothing is left behind");
        let fits = options.clone().capacity(1 << 13).create_new(name).unwrap();
        // One more does not; the first is none the worse.
        let second = options.clone().capacity(1 << 13).create_new("shm:second");
        assert_eq!(refusal(second), Refusal::Os(Some(libc::ENOSPC)));
        let (mut sender, mut receiver) = (fits.sender().unwrap(), fits.receiver().unwrap());
        for _ in 0..3 {
            sender.send_many(&vec![[7; 56]; 1 << 13]).unwrap();
            assert_eq!(receiver.recv_many(&mut vec![[0; 56]; 1 << 13]), Ok(1 << 13));
        }
        drop((sender, receiver, fits));
        annulus::unlink(name).unwrap();
        assert_eq!((free(), names()), before);
    }
    role.say("enough");
}

#[test]
fn without_memory_nothing_is_made_and_nothing_left() {
    let family = Family::new();
    for files in ["with nameless files", "without nameless files"] {
        let child = family.child(runs_out_of_memory).arg(files).private_shm(1 << 20);
        let mut child = match child.try_spawn() {
            Ok(child) => child,
            Err(unavailable) => support::skip!("{unavailable}"),
        };
        match child.hear().as_str() {
            "enough" => child.wait_ok(),
            unavailable => support::skip!("{unavailable}"),
        }
    }
}

fn makes_until_killed(role: &mut Role) {
    let address = role.argument(0).to_owned();
    let options = Ring::<[u8; 56]>::options().capacity(1 << 12);
    let rings = role.counter("rings");
    // The first of a process takes longer.
    options.create_heap().unwrap();
    role.say("ready");
    loop {
        drop(options.create_new(&address).unwrap());
        // So that it stands there about as long as it takes to make.
        thread::sleep(Duration::from_millis(1));
        annulus::unlink(&address).unwrap();
        rings.add(1);
    }
}

#[test]
fn one_who_is_killed_while_making_leaves_a_whole_segment_or_nothing() {
    let family = Family::new();
    let (mut wholes, mut nothings) = (0, 0);
    for round in 0..scale::scaled(60) {
        let spot = SPOTS[round as usize % 2]();
        let mut child = family.child(makes_until_killed).arg(&spot.address).spawn();
        child.expect("ready");
        // Anywhere in some rounds of making, which take about a millisecond each.
        thread::sleep(Duration::from_micros(round * 7919 % 5000));
        child.kill();
        child.wait_signalled(Signal::SIGKILL);
        match Observer::open(&spot.address) {
            Ok(seen) => {
                assert_eq!((seen.capacity(), seen.head(), seen.len()), (1 << 12, 0, 0));
                assert!(seen.seats().unwrap().iter().all(|seat| seat.state == SeatState::Vacant));
                assert_eq!(spot.neighbours().len(), 1, "nothing beside it");
                wholes += 1;
            }
            Err(Error::NotFound { .. }) => {
                assert!(spot.neighbours().is_empty());
                nothings += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    println!("{wholes} whole, {nothings} nothing");
}

fn makes_under_any_umask(role: &mut Role) {
    let rounds = role.counter("rounds");
    for umask in [0o777, 0o077, 0o022, 0] {
        for spot in SPOTS {
            for mode in [0o600, 0o640, 0o666, 0o400, 0o777] {
                // Its folder is made under an ordinary one.
                nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
                let spot = spot();
                nix::sys::stat::umask(Mode::from_bits_truncate(umask));
                let options = Ring::<u64>::options().capacity(8).mode(mode);
                let ring = options.create_new(&spot.address).unwrap();
                rounds.add(1);
                assert_eq!(spot.path.metadata().unwrap().mode() & 0o7777, mode);
                drop(ring);
            }
        }
    }
    role.say("exactly");
}

#[test]
fn a_segment_has_exactly_the_mode_that_was_asked_for() {
    let family = Family::new();
    let mut child = family.child(makes_under_any_umask).spawn();
    child.expect("exactly");
    child.wait_ok();
}

/// Makes `open` with O_TMPFILE fail for this process as on file systems that lack it.
fn forbid_nameless_files() -> std::io::Result<()> {
    let load = |at| libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: at };
    let answer = |k| libc::sock_filter { code: 0x06, jt: 0, jf: 0, k };
    let tmpfile = (libc::O_TMPFILE & !libc::O_DIRECTORY) as u32;
    let mut filter = [
        // The call's number; then, of `openat`, the low half of the third argument.
        load(0),
        libc::sock_filter { code: 0x15, jt: 0, jf: 3, k: libc::SYS_openat as u32 },
        load(32),
        libc::sock_filter { code: 0x45, jt: 0, jf: 1, k: tmpfile },
        answer(libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: touches no memory.
    let quiet = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the program lives through the call, and the kernel checks it.
    let set = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    };
    if (quiet, set) == (0, 0) { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// The temporary names beside a spot.
fn temporaries(spot: &Spot) -> Vec<String> {
    let names = fs::read_dir(spot.path.parent().unwrap()).unwrap();
    let names = names.filter_map(|name| name.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with(".annulus-")).collect()
}

/// Whether a thread made it; if not, because another had.
fn ok(thread: thread::ScopedJoinHandle<'_, Result<(), Error>>) -> bool {
    match thread.join().unwrap() {
        Ok(()) => true,
        Err(Error::AlreadyExists { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn makes_without_nameless_files(role: &mut Role) {
    let rounds = role.counter("rounds");
    if let Err(error) = forbid_nameless_files() {
        return role.say(&format!("no filter of system calls: {error}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let flags = nix::fcntl::OFlag::O_TMPFILE | nix::fcntl::OFlag::O_RDWR;
    let refused = nix::fcntl::open(folder.path(), flags, Mode::S_IRUSR);
    assert_eq!(refused.unwrap_err(), nix::Error::EOPNOTSUPP);
    for spot in SPOTS {
        let spot = spot();
        let options = Ring::<u64>::options().capacity(8).mode(0o640);
        let beside = temporaries(&spot);
        let ring = options.create_new(&spot.address).unwrap();
        assert_eq!(spot.path.metadata().unwrap().mode() & 0o7777, 0o640);
        assert_eq!(spot.path.metadata().unwrap().nlink(), 1);
        ring.sender().unwrap().send(1).unwrap();
        let before = spot.traits();
        assert_eq!(refusal(options.create_new(&spot.address)), Refusal::AlreadyExists);
        assert_eq!(spot.traits(), before);
        assert_eq!(options.open(&spot.address).unwrap().receiver().unwrap().recv(), Ok(1));
        drop(ring);
        annulus::unlink(&spot.address).unwrap();
        // Two at once: one is too late to give its name.
        for _ in 0..100 {
            rounds.add(1);
            let ready = Barrier::new(2);
            let make = || {
                ready.wait();
                options.create_new(&spot.address).map(drop)
            };
            let made = thread::scope(|scope| [scope.spawn(make), scope.spawn(make)].map(ok));
            assert_ne!(made[0], made[1], "one of the two");
            annulus::unlink(&spot.address).unwrap();
        }
        assert_eq!(temporaries(&spot), beside, "nothing is left beside it");
    }
    role.say("made");
}

#[test]
fn where_files_cannot_be_nameless_a_name_still_appears_with_a_whole_segment() {
    let family = Family::new();
    let mut child = family.child(makes_without_nameless_files).spawn();
    match child.hear().as_str() {
        "made" => child.wait_ok(),
        unavailable => support::skip!("{unavailable}"),
    }
}

#[test]
fn the_name_of_a_test_leaves_with_it() {
    let name = random_name();
    Ring::<u64>::options().capacity(8).create_new(&name.shm()).unwrap();
    assert_eq!(name.leftovers().len(), 1);
}
