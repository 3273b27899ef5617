//! A stream that a peer truncates: corrupt to those who guard themselves, in whatever call;
//! and to those who move bytes by descriptors, even without the guard.

mod streams;
mod support;

use std::fs::File;
use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use annulus::stream::{Receiver, Ring, Sender};
use annulus::{Options, RecvError, SendError};
use nix::sys::signal::Signal;
use streams::site::{LONG, Place, Site, open};
use support::{Family, Role};

support::roles! { meets_truncation, moves_without_a_guard }

const CAPACITY: u64 = 1 << 16;

fn options() -> Options<Ring> {
    Ring::options().capacity(CAPACITY).slice(Duration::from_millis(30))
}

fn inner<E: Copy + std::error::Error + 'static>(error: &io::Error) -> E {
    *error.get_ref().and_then(|it| it.downcast_ref()).unwrap_or_else(|| panic!("{error}"))
}

/// What a child does when its segment is cut off.
const SCENES: &[&str] = &[
    "send",
    "write_vectored",
    "append",
    "fill",
    "recv",
    "read_at",
    "drain",
    "asks",
    "waits",
    "sleeping send",
    "sleeping recv",
    "flowing send",
    "flowing recv",
    "flowing fill",
    "flowing drain",
    "finish",
    "leaves",
];

fn corrupt<E: std::fmt::Debug>(error: E) {
    let text = format!("{error:?}");
    assert!(text.contains("Corrupt"), "{text}");
}

/// The ends of a stream in the middle of its bytes, half full.
fn ends(ring: &Ring) -> (Sender, Receiver) {
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let half = vec![1; CAPACITY as usize / 2];
    sender.send(&half).unwrap();
    receiver.read_exact(&mut half.clone()).unwrap();
    sender.send(&half[100..]).unwrap();
    (sender, receiver)
}

/// Until a fault: what is cut off reads as zeros in the guarded process, and so moves a
/// private index at most once round.
fn until_corrupt<T, E: std::fmt::Debug>(mut call: impl FnMut() -> Result<T, E>) {
    let failed = (0..200).find_map(|_| call().err());
    corrupt(failed.expect("no fault in 200 calls"));
}

fn meets_truncation(role: &mut Role) {
    let ring = open(role, &options().sigbus_guard(true));
    let (mut sender, mut receiver) = ends(&ring);
    let (zero, null) = (File::open("/dev/zero").unwrap(), File::create("/dev/null").unwrap());
    let mut out = vec![0; 3000];
    let cut = |role: &mut Role| {
        role.say("cut");
        role.expect("go");
    };
    let flow = |role: &mut Role| role.say("cut");
    let scene = role.argument(1).to_owned();
    match scene.as_str() {
        "send" => {
            cut(role);
            until_corrupt(|| sender.try_send(&[9; 3000]));
        }
        "write_vectored" => {
            cut(role);
            until_corrupt(|| sender.write_vectored(&[io::IoSlice::new(&[9; 3000])]));
        }
        "append" => {
            let mut place = sender.reserve(9000).unwrap();
            place.append(&[9; 4000]);
            cut(role);
            place.append(&[9; 5000]);
            place.commit();
        }
        "fill" => {
            cut(role);
            until_corrupt(|| sender.fill_from(&zero, 3000));
        }
        "recv" => {
            cut(role);
            until_corrupt(|| receiver.recv(&mut out));
            // It stays so.
            corrupt(receiver.recv(&mut out).unwrap_err());
        }
        "read_at" => {
            let guard = receiver.recv_ref().unwrap();
            cut(role);
            // Any bytes are bytes.
            assert_eq!(guard.read_at(0, &mut out), 3000);
            guard.release();
        }
        "drain" => {
            cut(role);
            until_corrupt(|| receiver.drain_to(&null, 3000));
        }
        "asks" => {
            cut(role);
            corrupt(sender.peer().unwrap_err());
            corrupt(receiver.peer().unwrap_err());
        }
        "waits" => {
            cut(role);
            corrupt(receiver.wait_for_peer(Some(LONG)).unwrap_err());
        }
        "sleeping send" => {
            sender.write_all(&vec![0; CAPACITY as usize / 2 + 100]).unwrap();
            flow(role);
            corrupt(sender.send(b"x").unwrap_err());
        }
        "sleeping recv" => {
            receiver.read_exact(&mut vec![0; CAPACITY as usize / 2 - 100]).unwrap();
            flow(role);
            corrupt(receiver.recv(&mut out).unwrap_err());
        }
        flowing if flowing.starts_with("flowing") => {
            flow(role);
            let receives = flowing.ends_with("drain");
            let receiving = thread::spawn(move || {
                let mut out = vec![0; 3000];
                while if receives {
                    receiver.drain_to(&null, 30_000).is_ok_and(|count| count > 0)
                } else {
                    receiver.recv_timeout(&mut out, LONG).is_ok()
                } {}
            });
            let fills = flowing.ends_with("fill");
            while if fills {
                sender.fill_from(&zero, 30_000).is_ok()
            } else {
                sender.send(&[9; 3000]).is_ok()
            } {}
            drop(sender);
            receiving.join().unwrap();
        }
        "finish" => {
            cut(role);
            corrupt(sender.finish().unwrap_err());
        }
        "leaves" => cut(role),
        other => panic!("{other:?} is no scene"),
    }
    role.say("lives");
}

#[test]
fn truncation_of_a_stream_is_corrupt_to_the_guarded_in_any_call() {
    let family = Family::new();
    for place in [Place::Shm, Place::File] {
        for scene in SCENES {
            let site = Site::new(place, &options());
            let mut child = site.pass(family.child(meets_truncation)).arg(scene).spawn();
            child.expect("cut");
            let by_itself = scene.starts_with("sleeping") || scene.starts_with("flowing");
            if by_itself {
                // Asleep, or under way.
                thread::sleep(Duration::from_millis(10));
            }
            site.file().set_len(0).unwrap();
            if !by_itself {
                child.say("go");
            }
            child.expect("lives");
            child.wait_ok();
        }
    }
}

/// Without the guard a page that is gone is a signal to who touches it. The kernel touches
/// it for those who move bytes by descriptors, and tells.
fn moves_without_a_guard(role: &mut Role) {
    let ring = open(role, &options());
    let (mut sender, mut receiver) = ends(&ring);
    let zero = File::open("/dev/zero").unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let (tail, head) = (sender.position(), receiver.position());
    role.say("cut");
    role.expect("go");
    match role.argument(1) {
        "fill" => {
            let error = sender.fill_from(&zero, 3000).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            corrupt(inner::<SendError<()>>(&error));
            assert_eq!(sender.position(), tail, "nothing was committed");
            corrupt(sender.try_send(b"x").unwrap_err());
        }
        "drain" => {
            let error = receiver.drain_to(&file, 3000).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            corrupt(inner::<RecvError>(&error));
            assert_eq!(receiver.position(), head, "nothing was retired");
            corrupt(receiver.try_recv(&mut [0]).unwrap_err());
            assert_eq!(file.read(&mut [0; 9]).unwrap(), 0);
        }
        _ => {
            let _ = receiver.recv(&mut [0; 3000]);
        }
    }
    role.say("lives");
}

#[test]
fn bytes_that_are_gone_are_an_error_to_who_fills_and_drains_even_without_a_guard() {
    let family = Family::new();
    for place in [Place::Shm, Place::File] {
        for scene in ["fill", "drain", "recv"] {
            let site = Site::new(place, &options());
            let mut child = site.pass(family.child(moves_without_a_guard)).arg(scene).spawn();
            child.expect("cut");
            // The words are still there.
            site.file().set_len(4096).unwrap();
            child.say("go");
            if scene == "recv" {
                child.wait_signalled(Signal::SIGBUS);
            } else {
                child.expect("lives");
                child.wait_ok();
            }
        }
    }
}
