//! Memory that lies to a broadcast's endpoints: whatever a load returns, a call ends within
//! its accesses, with a message, a refusal or a typed fault, and a fault is the handle's
//! alone; and a memfd that somebody scribbles over.

mod casts;
mod scale;
mod support;

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annulus::broadcast::{Receiver, Ring, Sender, Start};
use annulus::hooks::{Liar, budget, lie};
use annulus::{Corrupt, Error, Fault, RecvError, SendError, TryRecvError, TrySendError, WaitError};
use casts::site::{PLACES, Place, Site};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const CAPACITY: u64 = 4;
const SEATS: u64 = 5;

/// More accesses than any call makes that waits for no time at all: 32 polls, each with two
/// scans of all seats if a lie makes it worth them; or a hundred looks at the newest.
const ACCESSES: u64 = 34 * (4 * SEATS + 8) + 100 * 8 + 64;

/// How a value is told instead of the true one, and at which loads.
#[derive(Clone, Copy, Debug)]
struct Lie {
    from: u64,
    count: u64,
    how: u8,
    value: u64,
}

impl Lie {
    fn tell(self, truth: u64, nth: u64) -> u64 {
        match self.how {
            0 => self.value,
            1 => truth.wrapping_add(self.value),
            2 => truth.wrapping_sub(self.value),
            3 => truth ^ self.value,
            4 => truth.wrapping_add(self.value.wrapping_mul(nth)),
            _ => (self.value ^ nth).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }
}

fn any_lie() -> impl Strategy<Value = Lie> {
    let value = prop_oneof![
        2 => 0..=4 * CAPACITY + 4,
        1 => (0..=16u64).prop_map(|near| (1u64 << 62) - 8 + near),
        1 => (0..=32u64).prop_map(|near| (1u64 << 63) - 16 + near),
        1 => (0..64u32).prop_map(|bit| 1u64 << bit),
        1 => (0..64u32).prop_map(|bit| u64::MAX << bit),
        // Seat states, of some incarnation.
        1 => (0..6u64, 0..3u64).prop_map(|(state, incarnation)| incarnation << 8 | state),
        1 => any::<u64>(),
    ];
    let count = prop_oneof![Just(1), Just(2), Just(u64::MAX)];
    (0..12u64, count, 0..6u8, value).prop_map(|(from, count, how, value)| Lie {
        from,
        count,
        how,
        value,
    })
}

/// Runs `call` within the budget, its loads lied to.
fn lied_to<R>(how: Lie, call: impl FnOnce() -> R) -> R {
    let mut nth = 0;
    let liar: Liar = Box::new(move |_, truth| {
        let now = nth >= how.from && nth - how.from < how.count;
        nth += 1;
        if now { how.tell(truth, nth) } else { truth }
    });
    lie(liar, || budget(ACCESSES, call))
}

fn known(corrupt: Corrupt) {
    let words = ["tail", "stamp", "limit", "position", "message length", "seat state", "event"];
    assert!(words.contains(&corrupt.word), "{corrupt}");
}

/// The fault that a call ended with, if it did.
fn fault(fault: Fault) -> Option<Fault> {
    match fault {
        Fault::Corrupt(corrupt) => known(corrupt),
        Fault::PositionLimit => {}
        other => panic!("{other}"),
    }
    Some(fault)
}

fn send(sender: &mut Sender<[u8]>, verb: u8) -> Option<Fault> {
    let said = match verb % 3 {
        0 => sender.try_send(b"abc"),
        1 => match sender.send_timeout(b"0123456789", Duration::ZERO) {
            Ok(()) => Ok(()),
            Err(SendError::Timeout(()) | SendError::Cancelled(())) => Err(TrySendError::Full(())),
            Err(SendError::Fault((), it)) => Err(TrySendError::Fault((), it)),
            Err(other) => panic!("{other}"),
        },
        _ => match sender.wait_for_peer(Some(Duration::ZERO)) {
            Err(WaitError::Fault(it)) => Err(TrySendError::Fault((), it)),
            _ => Ok(()),
        },
    };
    match said {
        Ok(()) | Err(TrySendError::Full(())) => None,
        Err(TrySendError::Fault((), it)) => fault(it),
        Err(other) => panic!("{other}"),
    }
}

fn receive(receiver: &mut Receiver<[u8]>, verb: u8) -> Option<Fault> {
    let mut out = [0; 10];
    let said = match verb % 5 {
        0 => receiver.try_recv(&mut out),
        1 => receiver.try_recv(&mut out[..2]),
        2 => receiver.try_recv_with(|view| {
            assert!(view.len() <= 10);
            view.read_at(3, &mut out)
        }),
        3 => receiver.latest(&mut out),
        _ => match receiver.recv_timeout(&mut out, Duration::ZERO) {
            Ok(len) => Ok(len),
            Err(RecvError::Fault(it)) => Err(TryRecvError::Fault(it)),
            Err(_) => Err(TryRecvError::Empty),
        },
    };
    match said {
        Ok(len) => {
            assert!(len <= 10);
            None
        }
        Err(TryRecvError::Fault(it)) => fault(it),
        Err(_) => None,
    }
}

fn came<E>(outcome: Result<E, Error>) {
    match outcome {
        Ok(_) | Err(Error::SeatTaken { .. } | Error::NoSeat { .. } | Error::Option { .. }) => {}
        Err(Error::Corrupt(corrupt)) => known(corrupt),
        Err(other) => panic!("{other}"),
    }
}

fn options(lossless: bool) -> annulus::Options<Ring<[u8]>> {
    Ring::options().capacity(CAPACITY).lossless(lossless).seats(SEATS).max_len(10)
}

#[test]
fn whoever_is_lied_to_goes_on_refuses_or_faults_and_is_alone_in_it() {
    let cases = scale::scaled(600) as u32;
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let place = prop::sample::select(PLACES.as_slice());
    let calls = prop::collection::vec((0..15_u8, any_lie()), 1..12);
    TestRunner::new(config)
        .run(&(place, any::<bool>(), 0..9_u64, calls), |(place, lossless, sent, calls)| {
            let site = Site::new(place, &options(lossless));
            let (mut sender, mut receiver) =
                (site.ring.sender().unwrap(), site.open().receiver().unwrap());
            for _ in 0..sent {
                let _ = sender.try_send(b"xyz");
            }
            let mut faults = [None; 2];
            for (verb, how) in calls {
                let fault = lied_to(how, || send(&mut sender, verb));
                faults[0] = faults[0].or(fault);
                let fault = lied_to(how, || receive(&mut receiver, verb));
                faults[1] = faults[1].or(fault);
                came(lied_to(how, || site.ring.receiver_from(Start::Oldest)));
                came(lied_to(how, || site.ring.receiver_from(Start::Position(1))));
                came(lied_to(how, || site.ring.sender()));
                let _ = lied_to(how, || receiver.peer());
            }
            // A fault stays, and is of that handle alone.
            if let Some(Fault::Corrupt(_)) = faults[0] {
                assert_eq!(send(&mut sender, 0), faults[0]);
            }
            if let Some(Fault::Corrupt(_)) = faults[1] {
                assert_eq!(receive(&mut receiver, 0), faults[1]);
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn whoever_comes_and_is_lied_to_gets_a_seat_or_a_typed_error() {
    let cases = scale::scaled(300) as u32;
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let start = prop_oneof![
        Just(Start::Newest),
        Just(Start::Oldest),
        any::<u64>().prop_map(Start::Position)
    ];
    let comers = prop::collection::vec((start, any_lie()), 1..8);
    TestRunner::new(config)
        .run(&(any::<bool>(), 0..9_u64, comers), |(lossless, sent, comers)| {
            for (start, how) in comers {
                let site = Site::new(Place::Memfd, &options(lossless));
                let mut sender = site.ring.sender().unwrap();
                for _ in 0..sent {
                    sender.try_send(b"xyz").unwrap();
                }
                drop(sender);
                came(lied_to(how, || site.ring.sender()));
                if let Ok(mut receiver) = lied_to(how, || site.ring.receiver_from(start)) {
                    for verb in 0..5 {
                        receive(&mut receiver, verb);
                    }
                }
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_segment_that_is_scribbled_over_gives_typed_errors_alone() {
    let (mut good, mut faults) = (0, 0);
    for round in 0..scale::scaled(200) {
        let site = Site::new(Place::Memfd, &options(round % 2 == 1));
        let (mut sender, mut receiver) =
            (site.ring.sender().unwrap(), site.open().receiver().unwrap());
        let fd = site.ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
        let (file, ended) = (std::fs::File::from(fd), Arc::new(AtomicBool::new(false)));
        let (len, done) = (file.metadata().unwrap().len(), Arc::clone(&ended));
        let scribbler = std::thread::spawn(move || {
            let mut random = casts::lives::Random(round);
            while !done.load(Ordering::Relaxed) {
                // Behind the header.
                let at = 128 + 8 * random.below((len - 128) / 8);
                let value = match random.below(4) {
                    0 => random.next(),
                    1 => random.below(64),
                    2 => random.below(6),
                    _ => (1 << 62) - 4 + random.below(8),
                };
                file.write_all_at(&value.to_le_bytes(), at).unwrap();
            }
        });
        for verb in 0..60 {
            for fault in [send(&mut sender, verb), receive(&mut receiver, verb)] {
                *(if fault.is_some() { &mut faults } else { &mut good }) += 1;
            }
            came(site.ring.receiver_from(Start::Oldest));
        }
        ended.store(true, Ordering::Relaxed);
        scribbler.join().unwrap();
    }
    println!("{good} calls without a fault, {faults} with one");
    assert!(good > 0 && faults > 0);
}
