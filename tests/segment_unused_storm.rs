//! Many who come to one name, go and remove it if it is unused: all who are there at a time
//! are in one ring, and they leave nothing behind.

mod scale;
mod segments;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use annulus::spsc::Ring;
use annulus::{Error, Observer, RecvError};
use segments::{Refusal, SPOTS, Spot, refusal};
use support::{Family, Role, Snapshot};

support::roles! { churns, sends, receives, comes_and_goes }

/// How long one waits for another, who may be long without a processor.
const PATIENCE: Duration = Duration::from_secs(15);

/// What ends the storm.
const END: u64 = u64::MAX;

/// The file of a ring, by its path and by what is open.
fn file_of(ring: &Ring<u64>) -> (u64, u64) {
    let fd = ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
    let metadata = fs::File::from(fd).metadata().unwrap();
    (metadata.dev(), metadata.ino())
}

/// The ring under a name, which is this ring's as long as it is open: so all who are there
/// at a time are in the same.
fn come(role: &Role) -> Ring<u64> {
    let options = Ring::<u64>::options().capacity(8).slice(Duration::from_millis(5));
    let ring = options.open_or_create(role.argument(0)).unwrap();
    assert_is_named(role, &ring, "on coming");
    ring
}

fn assert_is_named(role: &Role, ring: &Ring<u64>, when: &str) {
    let named = fs::symlink_metadata(role.argument(1)).map(|named| (named.dev(), named.ino()));
    assert_eq!(named.ok(), Some(file_of(ring)), "{when}");
}

/// Goes, and removes what it was the last to use.
fn go(role: &Role, ring: Ring<u64>) -> bool {
    assert_is_named(role, &ring, "on going");
    drop(ring);
    match annulus::unlink_unused(role.argument(0)) {
        Ok(()) => true,
        Err(Error::InUse { .. } | Error::NotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Comes and goes until it is told not to.
fn churns(role: &mut Role) {
    let (rounds, end) = (role.counter("rounds"), role.argument(2).to_owned());
    let mut removed = 0_u64;
    while !Path::new(&end).exists() {
        let ring = come(role);
        removed += u64::from(go(role, ring));
        rounds.add(1);
    }
    role.say(&removed.to_string());
}

/// Sends a number a stay, and goes when it was received.
fn sends(role: &mut Role) {
    let (sent, most) = (role.counter("sent"), role.parse::<u64>(2));
    for n in (0..most).chain([END]) {
        let ring = come(role);
        let mut sender = ring.sender().unwrap();
        sender.send_timeout(n, PATIENCE).unwrap();
        let fd = ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
        let observer = Observer::from_fd(fd).unwrap();
        let begun = Instant::now();
        while !observer.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "{n} is in a ring that nobody receives from");
            std::thread::yield_now();
        }
        drop(sender);
        go(role, ring);
        sent.add(1);
    }
    role.say("sent");
}

/// Receives a number a stay: each, in order.
fn receives(role: &mut Role) {
    let received = role.counter("received");
    for expected in 0.. {
        let ring = come(role);
        let mut receiver = ring.receiver().unwrap();
        let begun = Instant::now();
        let n = loop {
            match receiver.recv_timeout(PATIENCE) {
                // The sender's last stay is over, the next one has not begun.
                Err(RecvError::Closed) if begun.elapsed() < PATIENCE => std::thread::yield_now(),
                outcome => break outcome.unwrap(),
            }
        };
        drop(receiver);
        go(role, ring);
        received.add(1);
        if n == END {
            break;
        }
        assert_eq!(n, expected);
    }
    role.say("received");
}

#[test]
fn all_who_come_to_a_name_and_remove_it_unused_meet_in_one_ring() {
    let family = Family::new();
    for spot in SPOTS {
        let (spot, end) = (spot(), Spot::file());
        let path = spot.path.display().to_string();
        let churner = || {
            let child = family.child(churns).arg(&spot.address).arg(&path);
            child.arg(end.path.display()).spawn()
        };
        let mut churners = [churner(), churner()];
        let messages = scale::scaled(400);
        let sender = family.child(sends).arg(&spot.address).arg(&path).arg(messages);
        let (mut sender, receiver) = (sender.spawn(), family.child(receives));
        let mut receiver = receiver.arg(&spot.address).arg(&path).spawn();
        // Each is watched by what it has done.
        for child in churners.iter_mut().chain([&mut sender, &mut receiver]) {
            child.set_deadline(Duration::from_secs(200));
        }
        sender.expect("sent");
        receiver.expect("received");
        fs::write(&end.path, "").unwrap();
        let removed: Vec<u64> =
            churners.iter_mut().map(|child| child.hear().parse().unwrap()).collect();
        for child in churners.iter_mut().chain([&mut sender, &mut receiver]) {
            child.wait_ok();
        }
        println!("removed by those who only come and go: {removed:?}");
        let last = refusal(annulus::unlink_unused(&spot.address));
        assert_eq!(last, Refusal::NotFound, "the last one out removed it");
        assert!(spot.neighbours().is_empty());
    }
}

#[test]
fn of_those_who_come_and_go_the_last_removes_the_name() {
    let family = Family::new();
    for spot in SPOTS {
        let (spot, end) = (spot(), Spot::file());
        let churner = || {
            let child = family.child(churns).arg(&spot.address).arg(spot.path.display());
            child.arg(end.path.display()).spawn()
        };
        let mut churners = [churner(), churner(), churner()];
        std::thread::sleep(Duration::from_millis(scale::scaled(1000)));
        fs::write(&end.path, "").unwrap();
        for child in &mut churners {
            println!("removed by one of three: {}", child.hear());
            child.wait_ok();
        }
        let last = refusal(annulus::unlink_unused(&spot.address));
        assert_eq!(last, Refusal::NotFound, "the last one out removed it");
        assert!(spot.neighbours().is_empty());
    }
}

/// In all ways, many times.
fn comes_and_goes(role: &mut Role) {
    let address = role.argument(0).to_owned();
    let options = Ring::<u64>::options().capacity(8);
    let stay = || {
        let ring = options.open_or_create(&address).unwrap();
        let again = options.open(&address).unwrap();
        assert!(options.clone().capacity(16).open(&address).is_err());
        assert!(options.create_new(&address).is_err());
        assert!(matches!(annulus::unlink_unused(&address), Err(Error::InUse { .. })));
        drop((ring, again));
        annulus::unlink_unused(&address).unwrap();
        assert!(matches!(annulus::unlink_unused(&address), Err(Error::NotFound { .. })));
        assert!(matches!(options.open(&address), Err(Error::NotFound { .. })));
    };
    let stays = role.counter("stays");
    // The first of a process opens what it keeps.
    stay();
    let before = Snapshot::take();
    for _ in 0..200 {
        stay();
        stays.add(1);
    }
    Snapshot::take().assert_no_more_than(&before);
    role.say("nothing");
}

#[test]
fn coming_and_going_leaves_nothing_behind() {
    let family = Family::new();
    for spot in SPOTS {
        let spot = spot();
        let mut child = family.child(comes_and_goes).arg(&spot.address).spawn();
        child.set_deadline(Duration::from_secs(100));
        child.expect("nothing");
        child.wait_ok();
    }
}
