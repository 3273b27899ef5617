//! A stream whose memory somebody else writes to: typed errors, no panic, no endless call.

mod streams;
mod support;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use annulus::stream::{Receiver, Ring, Sender};
use annulus::{Error, Fault, RecvError, SendError, TryRecvError, TrySendError, WaitError};
use streams::mix;
use support::{Family, Role};

support::roles! { scribbles }

const SLICE: Duration = Duration::from_millis(5);

/// Bytes before those of the stream: header, seats, words.
const CONTROL: u64 = 896;

/// Scribbles over each memfd that it is passed, until the next; header or not.
fn scribbles(role: &mut Role) {
    let progress = role.counter("scribbled");
    let mut random = role.parse::<u64>(0);
    loop {
        let (line, memfd) = role.hear_with_fd();
        if line == "enough" {
            return;
        }
        let (file, until) = (File::from(memfd), Instant::now() + Duration::from_millis(12));
        let len = file.metadata().unwrap().len();
        let mut wrote = 0_u64;
        while Instant::now() < until {
            random = mix(random);
            // Mostly the words that both sides read: seats, indices, events.
            let at = if random.is_multiple_of(4) { random >> 8 } else { (random >> 8) % CONTROL };
            let value = [0, 1, random, random % 64, (1 << 62) + random % 5 - 2, u64::MAX]
                [(random >> 40) as usize % 6];
            file.write_all_at(&value.to_le_bytes(), at / 8 * 8 % len).unwrap();
            wrote += 1;
            progress.add(1);
            if wrote.is_multiple_of(3) {
                thread::yield_now();
            }
        }
        role.say(&format!("{wrote}"));
    }
}

fn fault_of_send(error: SendError<()>) -> Option<Fault> {
    match error {
        SendError::Fault((), fault) => Some(fault),
        SendError::Timeout(()) | SendError::Closed(()) | SendError::Died(()) => None,
        other => panic!("{other:?}"),
    }
}

fn fault_of_recv(error: RecvError) -> Option<Fault> {
    match error {
        RecvError::Fault(fault) => Some(fault),
        RecvError::Timeout | RecvError::Closed | RecvError::Died => None,
        other => panic!("{other:?}"),
    }
}

fn inner<E: Copy + std::error::Error + 'static>(error: &io::Error) -> E {
    *error.get_ref().and_then(|it| it.downcast_ref()).unwrap_or_else(|| panic!("{error}"))
}

/// Sends in all ways until it has met a fault or `over`; which.
fn sends_on(mut sender: Sender, over: Instant) -> Option<Fault> {
    let zero = File::open("/dev/zero").unwrap();
    let bytes = [7; 700];
    for n in 0.. {
        if Instant::now() > over {
            break;
        }
        let len = 1 + mix(n) as usize % bytes.len();
        let said = match n % 5 {
            0 => sender.send_timeout(&bytes[..len], SLICE).map(|count| assert!(count > 0)),
            1 => sender.try_send(&bytes[..len]).map(|_| ()).map_err(|error| match error {
                TrySendError::Fault((), fault) => SendError::Fault((), fault),
                _ => SendError::Timeout(()),
            }),
            2 => sender.reserve_timeout(len % 256, SLICE).map(|mut place| {
                place.append(&bytes[..len]);
                place.commit();
            }),
            // Only with room: it would wait for ever.
            3 if sender.try_reserve(1).is_ok() => match sender.fill_from(&zero, len) {
                Ok(count) => {
                    assert!(count > 0);
                    Ok(())
                }
                Err(error) => Err(inner(&error)),
            },
            _ => sender.wait_until_received(Some(SLICE)),
        };
        if let Some(fault) = said.err().and_then(fault_of_send) {
            // It stays, and names a word.
            assert!(matches!(fault, Fault::Corrupt(_) | Fault::PositionLimit), "{fault}");
            return Some(fault);
        }
        match sender.peer() {
            Ok(_) | Err(Error::Corrupt(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    None
}

/// As above, of a receiver.
fn receives_on(mut receiver: Receiver, over: Instant) -> Option<Fault> {
    let null = File::create("/dev/null").unwrap();
    let mut out = [0; 700];
    for n in 0.. {
        if Instant::now() > over {
            break;
        }
        let len = 1 + mix(n) as usize % out.len();
        let said = match n % 5 {
            0 => receiver.recv_timeout(&mut out[..len], SLICE).map(|count| assert!(count > 0)),
            1 => receiver.try_recv(&mut out[..len]).map(|_| ()).map_err(|error| match error {
                TryRecvError::Fault(fault) => RecvError::Fault(fault),
                _ => RecvError::Timeout,
            }),
            2 => receiver.recv_ref_timeout(SLICE).map(|guard| {
                assert!(guard.len() <= 256);
                guard.read_at(0, &mut out[..len]);
                let some = len.min(guard.len());
                guard.release_first(some);
            }),
            3 if receiver.try_recv_ref().map(|guard| guard.release_first(0)).is_ok() => {
                match receiver.drain_to(&null, len) {
                    Ok(_) => Ok(()),
                    Err(error) => Err(inner(&error)),
                }
            }
            _ => match receiver.wait_for_peer(Some(SLICE)) {
                Err(WaitError::Fault(fault)) => Err(RecvError::Fault(fault)),
                _ => Ok(()),
            },
        };
        if let Some(fault) = said.err().and_then(fault_of_recv) {
            assert!(matches!(fault, Fault::Corrupt(_) | Fault::PositionLimit), "{fault}");
            return Some(fault);
        }
        match receiver.peer() {
            Ok(_) | Err(Error::Corrupt(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    None
}

#[test]
fn a_process_that_scribbles_over_a_live_stream_brings_neither_side_down() {
    let family = Family::new();
    let mut child = family.child(scribbles).arg(mix(7)).spawn();
    let (mut faults, mut wrote) = (0, 0);
    for round in 0..60 {
        let options = Ring::options().capacity(256).slice(SLICE).fenced(round % 2 == 0);
        let ring = options.create_memfd("scribbled").unwrap();
        let (sender, receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        child.say_with_fd("scribble", ring.segment_fd().unwrap());
        let over = Instant::now() + Duration::from_millis(20);
        let sending = thread::spawn(move || sends_on(sender, over));
        let received = receives_on(receiver, over);
        let sent = sending.join().unwrap();
        wrote += child.hear().parse::<u64>().unwrap();
        faults += u64::from(sent.is_some()) + u64::from(received.is_some());
        // Whoever comes now finds a seat, or a typed error.
        for error in [ring.sender().err(), ring.receiver().err()].into_iter().flatten() {
            let typed =
                matches!(error, Error::Corrupt(_) | Error::Over { .. } | Error::SeatTaken { .. });
            assert!(typed, "{error}");
        }
    }
    child.say_with_fd("enough", File::open("/dev/null").unwrap().as_fd());
    child.wait_ok();
    println!("{wrote} words scribbled, {faults} of 120 endpoints faulted");
    assert!(wrote > 0 && faults > 0, "nobody noticed anything");
}
