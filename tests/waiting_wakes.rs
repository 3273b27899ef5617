//! Waiting while a stranger wakes everybody all the time, for nothing.
#![allow(unsafe_code)]

mod ground;
mod support;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use annulus::spsc::Ring;
use annulus::{Options, RecvError, SendError};
use memmap2::MmapRaw;
use nix::sys::signal::Signal;

use ground::{Ground, KINDS, LONG};
use support::{Family, Role};

support::roles! { stays }

/// Longer than any wait here should take, and than all of them together.
const STORM: Duration = Duration::from_secs(12);
const SLICE: Duration = Duration::from_millis(50);

fn options() -> Options<Ring<u64>> {
    Ring::options().capacity(2).slice(SLICE)
}

/// Takes a seat and stays.
fn stays(role: &mut Role) {
    let ring = ground::open(role, &options());
    let _ends = match role.argument(1) {
        "sender" => (Some(ring.sender().unwrap()), None),
        _ => (None, Some(ring.receiver().unwrap())),
    };
    role.say("here");
    role.hear();
}

/// Wakes whoever sleeps on any word that can be an event's generation, until told to stop.
/// How many were woken. Says at its end if nobody told it: then all were too late.
fn wakes_all(memory: &MmapRaw, stop: &AtomicBool) -> u64 {
    let began = Instant::now();
    let mut woken = 0;
    while !stop.load(SeqCst) {
        assert!(began.elapsed() < STORM, "somebody waits for the end of the storm");
        for at in (64..memory.len()).step_by(128) {
            let word = memory.as_mut_ptr().wrapping_add(at);
            // SAFETY: the mapping outlives the call, which reads nothing of it.
            let count = unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, i32::MAX) };
            woken += u64::try_from(count).expect("it can't fail");
        }
        thread::sleep(Duration::from_micros(200));
    }
    woken
}

/// Calls it in a storm; how many were woken, and what came of it.
fn in_a_storm<R>(ground: &Ground, call: impl FnOnce() -> R) -> (u64, R) {
    let memory = MmapRaw::map_raw(&ground.file(true)).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let storm = scope.spawn(|| wakes_all(&memory, &stop));
        let result = call();
        stop.store(true, SeqCst);
        (storm.join().unwrap(), result)
    })
}

#[test]
fn wakes_for_nothing_do_not_put_a_deadline_off() {
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options());
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        let (woken, _) = in_a_storm(&ground, || {
            assert_eq!(receiver.recv_timeout(4 * SLICE), Err(RecvError::Timeout));
            sender.send_many(&[0, 1]).unwrap();
            assert_eq!(sender.send_timeout(2, 4 * SLICE), Err(SendError::Timeout(2)));
        });
        println!("{kind:?}: woken {woken} times");
        assert!(woken > 2, "there was a storm");
    }
}

#[test]
fn wakes_for_nothing_do_not_keep_a_death_unseen() {
    let family = Family::new();
    for (kind, role) in KINDS.into_iter().flat_map(|kind| [(kind, "sender"), (kind, "receiver")]) {
        let (ground, ring) = Ground::new(kind, &options());
        let mut child = ground.pass(family.child(stays)).arg(role).spawn();
        child.expect("here");
        let (woken, ()) = in_a_storm(&ground, || {
            thread::scope(|scope| {
                scope.spawn(|| match role {
                    "sender" => {
                        let mut receiver = ring.receiver().unwrap();
                        assert_eq!(receiver.recv_timeout(LONG), Err(RecvError::Died));
                    }
                    _ => {
                        let mut sender = ring.sender().unwrap();
                        sender.send_many(&[0, 1]).unwrap();
                        assert_eq!(sender.send_timeout(2, LONG), Err(SendError::Died(2)));
                    }
                });
                // Asleep, most likely.
                thread::sleep(SLICE);
                child.signal(Signal::SIGKILL);
            });
        });
        println!("{kind:?}, {role}: woken {woken} times");
        assert!(woken > 0, "there was a storm");
    }
}
