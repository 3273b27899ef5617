//! Processes of a stream killed at random moments: the survivor gets a whole prefix, each
//! byte told by its position, then is told.
//!
//! ```text
//!   feeder ─ pipe ─▶ sender process ══ stream ══▶ receiver process ─ pipe ─▶ the test
//!            (or its own bytes)    SIGKILL, by turns     (or checks itself)
//! ```
//!
//! `ANNULUS_KILLS` says how many kills each test has, 48 by default.
#![allow(unsafe_code)]

mod streams;
mod support;

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use annulus::stream::{Receiver, Ring, Sender};
use annulus::{Error, Options, RecvError, SeatState, SendError};
use nix::sys::signal::Signal;
use streams::site::{LONG, Place, SHARED, Site, open};
use streams::{bytes, check, mix, piece};
use support::{Child, Family, Role, Snapshot};

support::roles! { sends, receives, cycles }

/// How both sides move bytes.
const VERBS: [&str; 3] = ["copies", "in place", "descriptors"];

const CAPACITIES: [u64; 4] = [8, 64, 4096, 1 << 17];

/// What every participant asks for.
fn options() -> Options<Ring> {
    let options = Ring::options().slice(Duration::from_millis(10));
    options.spin(Duration::from_nanos(200)).yielding(Duration::from_micros(5))
}

/// How many kills a test has, and where its choices begin.
fn plan() -> (u64, u64) {
    let kills = std::env::var("ANNULUS_KILLS").ok().map(|text| text.parse().unwrap());
    let seed = std::env::var("ANNULUS_SEED").ok().map(|text| text.parse().unwrap());
    (kills.unwrap_or(48), seed.unwrap_or_else(|| RandomState::new().hash_one(0)))
}

/// Lengths from a few bytes to more than the ring.
fn most(capacity: u64, position: u64) -> usize {
    [7, capacity as usize / 3 + 1, 2 * capacity as usize + 5][(mix(position) % 3) as usize]
}

fn send_some(sender: &mut Sender, verb: &str) -> Result<(), SendError<()>> {
    let (position, capacity) = (sender.position(), sender.capacity());
    let len = piece(position, most(capacity, position).min(1 << 15));
    if verb == "copies" {
        return sender.send(&bytes(position, len)).map(|_| ());
    }
    let mut place = sender.reserve(len.min(capacity as usize))?;
    let all = bytes(position, place.capacity());
    let (one, other) = all.split_at(all.len() / 3);
    place.append(one);
    place.append(other);
    place.commit();
    Ok(())
}

/// Sends until the receiver is gone, and says how far it came and why.
fn sends(role: &mut Role) {
    let mut sender = open(role, &options()).sender().unwrap();
    let (verb, progress) = (role.argument(1).to_owned(), role.counter("sent"));
    role.say("here");
    let ended = if verb == "descriptors" {
        let (reader, mut writer) = io::pipe().unwrap();
        // Ends with the pipe, or the process.
        thread::spawn(move || {
            let mut position = 0;
            loop {
                let bytes = bytes(position, piece(position, 5000));
                if writer.write_all(&bytes).is_err() {
                    break;
                }
                position += bytes.len() as u64;
            }
        });
        loop {
            let most = most(sender.capacity(), sender.position());
            match sender.fill_from(&reader, most) {
                Ok(count) => assert!(count > 0, "the pipe has no end"),
                Err(error) => break *error.get_ref().unwrap().downcast_ref().unwrap(),
            }
            progress.add(1);
        }
    } else {
        loop {
            if let Err(error) = send_some(&mut sender, &verb) {
                break error;
            }
            progress.add(1);
        }
    };
    assert_eq!(sender.peer().unwrap(), SeatState::Died);
    role.say(&format!("{ended:?} {}", sender.position()));
}

fn receive_some(receiver: &mut Receiver, verb: &str, out: &mut Vec<u8>) -> Result<(), RecvError> {
    let position = receiver.position();
    let len = piece(!position, most(receiver.capacity(), position));
    if verb == "copies" {
        out.resize(len, 0);
        let got = receiver.recv(out)?;
        check(position, &out[..got]);
        return Ok(());
    }
    let guard = receiver.recv_ref()?;
    out.resize(guard.len(), 0);
    assert_eq!(guard.read_at(0, out), guard.len());
    check(position, out);
    // Some of them come again.
    guard.release_first(len.min(out.len()));
    Ok(())
}

/// Receives until the end, checks all, and says how far it came and which end it was. To
/// descriptors it writes without a look: the other end of its pipe checks.
fn receives(role: &mut Role) {
    let ring = open(role, &options());
    let verb = role.argument(1).to_owned();
    let pipe: OwnedFd = role.inherited();
    let (mut receiver, progress) = (ring.receiver().unwrap(), role.counter("received"));
    role.say("here");
    let mut out = Vec::new();
    let ended = if verb == "descriptors" {
        loop {
            match receiver.drain_to(&pipe, most(receiver.capacity(), receiver.position())) {
                Ok(count) => assert!(count > 0, "nobody says the end"),
                Err(error) => break *error.get_ref().unwrap().downcast_ref().unwrap(),
            }
            progress.add(1);
        }
    } else {
        loop {
            if let Err(error) = receive_some(&mut receiver, &verb, &mut out) {
                break error;
            }
            progress.add(1);
        }
    };
    drop(pipe);
    role.say(&format!("{ended:?} {}", receiver.position()));
}

/// Two processes and what comes out of the receiver's pipe.
struct Scene<'a> {
    site: Site,
    sender: Child<'a>,
    receiver: Child<'a>,
    out: thread::JoinHandle<Vec<u8>>,
}

fn scene<'a>(family: &'a Family, place: Place, capacity: u64, verb: &str) -> Scene<'a> {
    let site = Site::new(place, &options().capacity(capacity));
    let (reader, writer) = io::pipe().unwrap();
    let receiver = site.pass(family.child(receives)).arg(verb).inherit(writer.as_fd());
    let mut receiver = receiver.spawn();
    drop(writer);
    let mut sender = site.pass(family.child(sends)).arg(verb).spawn();
    receiver.expect("here");
    sender.expect("here");
    let out = thread::spawn(move || {
        let mut out = Vec::new();
        File::from(OwnedFd::from(reader)).read_to_end(&mut out).unwrap();
        out
    });
    Scene { site, sender, receiver, out }
}

impl Scene<'_> {
    /// The shared head and tail.
    fn ends(&self) -> (u64, u64) {
        let observer = self.site.observe();
        (observer.head(), observer.head() + observer.len())
    }

    /// What came out of the pipe, if the verb brings it there; nobody comes after the dead.
    fn finish(self, verb: &str) {
        let (head, tail) = self.ends();
        for error in [self.site.one.sender().err(), self.site.one.receiver().err()] {
            assert!(matches!(error, Some(Error::Over { .. })), "{error:?}");
        }
        let Self { sender, receiver, out, .. } = self;
        drop((sender, receiver));
        let out = out.join().unwrap();
        check(0, &out);
        if verb == "descriptors" {
            // What was written is out, retired or not.
            let len = out.len() as u64;
            assert!((head..=tail).contains(&len), "{head} <= {len} <= {tail}");
        }
    }
}

fn rounds(mut kill: impl FnMut(&mut Scene<'_>)) {
    let (kills, seed) = plan();
    let family = Family::new();
    let mut moved = 0;
    for round in 0..kills {
        let random = mix(seed ^ round);
        let place = SHARED[round as usize % 3];
        let capacity = CAPACITIES[(random % 4) as usize];
        let verb = VERBS[(random >> 8) as usize % 3];
        let mut scene = scene(&family, place, capacity, verb);
        thread::sleep(Duration::from_micros((random >> 16) % 6000));
        kill(&mut scene);
        moved += scene.ends().1;
        scene.finish(verb);
    }
    println!("{kills} kills, seed {seed}, {moved} bytes");
}

fn heard(child: &mut Child<'_>) -> (String, u64) {
    let heard = child.hear();
    child.wait_ok();
    let (ended, position) = heard.rsplit_once(' ').unwrap();
    (ended.to_owned(), position.parse().unwrap())
}

#[test]
fn the_receiver_of_a_killed_process_gets_its_whole_prefix_and_then_died() {
    rounds(|scene| {
        scene.sender.kill();
        let (ended, position) = heard(&mut scene.receiver);
        assert_eq!(ended, "Died");
        // Everything that was committed, to the byte.
        assert_eq!((position, position), scene.ends());
    });
}

#[test]
fn the_sender_to_a_killed_process_is_told_that_it_died() {
    rounds(|scene| {
        scene.receiver.kill();
        let (ended, position) = heard(&mut scene.sender);
        assert_eq!(ended, "Died(..)");
        assert_eq!(position, scene.ends().1);
    });
}

#[test]
fn two_processes_killed_at_once_leave_a_stream_that_is_over() {
    rounds(|scene| {
        scene.sender.signal(Signal::SIGKILL);
        scene.receiver.kill();
        scene.sender.wait();
    });
}

#[test]
fn one_who_comes_after_the_senders_death_gets_its_whole_prefix() {
    let (kills, seed) = plan();
    let family = Family::new();
    for round in 0..kills.div_ceil(4) {
        let random = mix(seed ^ round);
        let site = Site::new(SHARED[round as usize % 3], &options().capacity(1 << 17));
        let mut child = site.pass(family.child(sends)).arg(VERBS[round as usize % 3]).spawn();
        child.expect("here");
        thread::sleep(Duration::from_micros(random % 1000));
        child.kill();
        let committed = site.observe().len();
        let mut receiver = site.other.receiver().unwrap();
        let mut all = Vec::new();
        let error = receiver.read_to_end(&mut all).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(all.len() as u64, committed);
        check(0, &all);
    }
}

#[test]
fn processes_that_are_stopped_by_turns_lose_nothing_and_are_not_taken_for_dead() {
    let (_, seed) = plan();
    let family = Family::new();
    for (n, verb) in VERBS.into_iter().enumerate() {
        let mut scene = scene(&family, SHARED[n], 4096, verb);
        for round in 0..12 {
            let stopped = if round % 2 == 0 { &scene.sender } else { &scene.receiver };
            thread::sleep(Duration::from_micros(mix(seed ^ round) % 2000));
            stopped.stop();
            // Many slices of the other one.
            thread::sleep(Duration::from_millis(25));
            stopped.resume();
        }
        scene.sender.kill();
        let (ended, position) = heard(&mut scene.receiver);
        assert_eq!((ended.as_str(), (position, position)), ("Died", scene.ends()));
        scene.finish(verb);
    }
}

/// Streams made and given up by the hundred, whose senders are killed in forked children.
fn cycles(role: &mut Role) {
    let progress = role.counter("cycles");
    let cycle = |n: u64| {
        let site = Site::new(SHARED[n as usize % 3], &options().capacity(64));
        let mut receiver = site.other.receiver().unwrap();
        // SAFETY: the only other threads are the watchdog and the harness's, which sleep;
        // the child sends and waits for its end.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                let mut sender = site.one.sender().unwrap();
                while send_some(&mut sender, "copies").is_ok() {}
                // SAFETY: ends the process at once, as a forked child should.
                unsafe { libc::_exit(1) };
            }
            nix::unistd::ForkResult::Parent { child } => {
                let mut out = Vec::new();
                for _ in 0..mix(n) % 20 {
                    receive_some(&mut receiver, "copies", &mut out).unwrap();
                }
                nix::sys::signal::kill(child, Signal::SIGKILL).unwrap();
                nix::sys::wait::waitpid(child, None).unwrap();
                // One who was killed before it came is no death.
                if receiver.peer().unwrap() != SeatState::Vacant {
                    let ended = (0..999)
                        .find_map(|_| receive_some(&mut receiver, "copies", &mut out).err());
                    assert_eq!(ended, Some(RecvError::Died));
                }
            }
        }
        progress.add(1);
    };
    (0..6).for_each(cycle);
    let before = Snapshot::take();
    (0..role.parse(0)).for_each(cycle);
    Snapshot::take().assert_no_more_than(&before);
    role.say("done");
}

#[test]
fn streams_whose_senders_were_killed_leak_nothing() {
    let family = Family::new();
    let mut child = family.child(cycles).arg(4 * plan().0).spawn();
    child.set_deadline(6 * LONG);
    child.expect("done");
    child.wait_ok();
}
