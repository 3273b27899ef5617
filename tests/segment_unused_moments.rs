//! Opening against removing, step by step: what happens to a name between two system calls
//! of one who opens, makes or removes it.
#![allow(unsafe_code)]

mod moments;
mod segments;
mod support;

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use annulus::spsc::Ring;
use annulus::{Error, Observer};
use moments::{LINK, LOCK, UNLINK, right_before};
use nix::sys::signal::Signal;
use segments::{Refusal, SPOTS, Spot, refusal};
use support::{Family, Role, random_name};

support::roles! { meets_a_remover, is_killed_removing }

/// The result, or leaves the test out where there are no filters of system calls.
macro_rules! or_skip {
    ($result:expr) => {
        match $result {
            Ok(done) => done,
            Err(error) => support::skip!("no filter of system calls: {error}"),
        }
    };
}

/// A name beside a spot, which goes when the spot does.
struct Beside {
    path: PathBuf,
    address: String,
}

impl Beside {
    fn new(spot: &Spot, what: &str) -> Self {
        let mut path = spot.path.clone().into_os_string();
        path.push(what);
        let address = format!("file:{}", path.display());
        Self { path: path.into(), address }
    }

    fn make(&self) -> Ring<u64> {
        Ring::<u64>::options().capacity(8).create_new(&self.address).unwrap()
    }
}

fn id(address: &str) -> u64 {
    Observer::open(address).unwrap().creation_id()
}

fn is_in_use(result: Result<(), Error>) -> bool {
    matches!(result, Err(Error::InUse { .. }))
}

#[test]
fn a_name_that_is_removed_before_its_opener_is_noticed_is_not_found() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        let remove = || annulus::unlink_unused(&spot.address).unwrap();
        let opened = or_skip!(right_before(LOCK, || spot.open(), remove));
        assert_eq!(refusal(opened), Refusal::NotFound);
    }
}

#[test]
fn a_name_that_is_removed_before_its_opener_is_noticed_is_made_again() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        let first = id(&spot.address);
        let make = || Ring::<u64>::options().capacity(8).open_or_create(&spot.address).unwrap();
        let remove = || annulus::unlink_unused(&spot.address).unwrap();
        let ring = or_skip!(right_before(LOCK, make, remove));
        assert_ne!(id(&spot.address), first);
        ring.sender().unwrap().send(7).unwrap();
        assert_eq!(spot.open().unwrap().receiver().unwrap().recv(), Ok(7), "the same");
    }
}

#[test]
fn a_name_that_moves_to_another_ring_before_its_opener_is_noticed_leads_there() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        let other = Beside::new(&spot, "-second");
        drop(other.make());
        let second = id(&other.address);
        // The first one lives on under a third name: links alone tell nothing.
        let third = Beside::new(&spot, "-third");
        fs::hard_link(&spot.path, &third.path).unwrap();
        let move_over = || fs::rename(&other.path, &spot.path).unwrap();
        let opened = or_skip!(right_before(LOCK, || spot.open().unwrap(), move_over));
        opened.sender().unwrap().send(7).unwrap();
        assert_eq!(id(&spot.address), second);
        assert_eq!(Observer::open(&spot.address).unwrap().len(), 1, "it was opened");
        // And the other one was let go.
        assert!(is_in_use(annulus::unlink_unused(&spot.address)));
        annulus::unlink_unused(&third.address).unwrap();
    }
}

#[test]
fn a_name_that_moves_to_a_used_ring_before_its_removal_stays() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        let other = Beside::new(&spot, "-second");
        let used = other.make();
        let second = id(&other.address);
        let move_over = || fs::rename(&other.path, &spot.path).unwrap();
        let remove = || annulus::unlink_unused(&spot.address);
        assert!(is_in_use(or_skip!(right_before(LOCK, remove, move_over))));
        assert_eq!(id(&spot.address), second);
        drop(used);
        annulus::unlink_unused(&spot.address).unwrap();
        assert!(!spot.path.exists());
    }
}

#[test]
fn a_name_that_is_gone_before_its_removal_is_not_found() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        let remove = || annulus::unlink_unused(&spot.address);
        let first = || fs::remove_file(&spot.path).unwrap();
        assert_eq!(refusal(or_skip!(right_before(LOCK, remove, first))), Refusal::NotFound);
    }
}

/// Meets a remover who goes no further. The watchdog ends one who waits for him.
fn meets_a_remover(role: &mut Role) {
    let (spot, answers) = (Spot::lent(role.argument(0)), role.counter("answers"));
    let in_use = Refusal::Other(format!("{}: in use", spot.address));
    assert_eq!(refusal(spot.open()), in_use);
    answers.add(1);
    let made = Ring::<u64>::options().open_or_create(&spot.address);
    assert_eq!(refusal(made), in_use);
    answers.add(1);
    assert!(is_in_use(annulus::unlink_unused(&spot.address)), "it is another's to remove");
    Observer::open(&spot.address).unwrap();
    role.say("not kept");
}

#[test]
fn while_a_remover_is_stopped_openers_give_up_and_observers_do_not_care() {
    let family = Family::new();
    for spot in SPOTS {
        let spot = spot().with_ring();
        let remove = || annulus::unlink_unused(&spot.address);
        let meanwhile = || {
            let mut child = family.child(meets_a_remover).arg(&spot.address).spawn();
            child.expect("not kept");
            child.wait_ok();
        };
        or_skip!(right_before(UNLINK, remove, meanwhile)).unwrap();
        assert_eq!(refusal(spot.open()), Refusal::NotFound);
    }
}

/// Comes to the very call that removes the name, and no further.
fn is_killed_removing(role: &mut Role) {
    let address = role.argument(0).to_owned();
    let removed = right_before(
        UNLINK,
        || annulus::unlink_unused(&address),
        || {
            role.say("locked");
            role.hear();
        },
    );
    role.say(&format!("no filter of system calls: {removed:?}"));
}

#[test]
fn a_remover_killed_with_the_lock_in_hand_leaves_the_ring_as_it_was() {
    let family = Family::new();
    for spot in SPOTS {
        let spot = spot().with_ring();
        let before = spot.traits();
        let mut child = family.child(is_killed_removing).arg(&spot.address).spawn();
        match child.hear().as_str() {
            "locked" => {}
            unavailable => support::skip!("{unavailable}"),
        }
        assert!(is_in_use(annulus::unlink_unused(&spot.address)));
        child.kill();
        child.wait_signalled(Signal::SIGKILL);
        assert_eq!(spot.traits(), before);
        let ring = spot.open().unwrap();
        ring.sender().unwrap().send(7).unwrap();
        assert_eq!(ring.receiver().unwrap().recv(), Ok(7));
        drop(ring);
        annulus::unlink_unused(&spot.address).unwrap();
    }
}

/// What sort of lock would keep others from removing the name of a file as unused.
fn attached(file: &File) -> libc::c_int {
    // SAFETY: plain numbers, for which zero is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    (lock.l_start, lock.l_len) = ((1 << 62) - 1, 1);
    // SAFETY: `lock` lives through the call.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    assert_eq!(asked, 0, "{}", io::Error::last_os_error());
    i32::from(lock.l_type)
}

#[test]
fn the_attach_byte_is_the_documented_one() {
    assert!(include_str!("../docs/format.md").contains("byte 2^62 - 1, the attach byte"));
    for spot in SPOTS {
        let spot = spot().with_ring();
        let file = File::open(&spot.path).unwrap();
        assert_eq!(attached(&file), libc::F_UNLCK);
        let ring = spot.open().unwrap();
        assert_eq!(attached(&file), libc::F_RDLCK);
        drop(ring);
        assert_eq!(attached(&file), libc::F_UNLCK);
    }
}

/// The nameless file in a folder that this process has open.
fn nameless(folder: &Path) -> Option<File> {
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let mut files = open.filter(|path| {
        let target = fs::read_link(path).unwrap_or_default();
        target.starts_with(folder) && target.to_string_lossy().ends_with("(deleted)")
    });
    files.next().map(|path| File::open(path).unwrap())
}

#[test]
fn a_maker_uses_the_ring_before_the_name_appears() {
    let spot = Spot::file();
    let make = || Ring::<u64>::options().capacity(8).create_new(&spot.address).unwrap();
    let look = || {
        assert!(!spot.path.exists());
        let file = nameless(spot.path.parent().unwrap()).expect("a nameless file");
        assert_eq!(attached(&file), libc::F_RDLCK);
    };
    let _ring = or_skip!(right_before(LINK, make, look));
    assert!(is_in_use(annulus::unlink_unused(&spot.address)));
}

#[test]
fn a_maker_who_comes_too_late_keeps_nothing() {
    let name = random_name();
    let make = || Ring::<u64>::options().capacity(8).create_new(&name.shm()).map(drop);
    let first = || make().unwrap();
    assert_eq!(refusal(or_skip!(right_before(LINK, make, first))), Refusal::AlreadyExists);
    annulus::unlink_unused(&name.shm()).unwrap();
    assert!(name.leftovers().is_empty());
}
