//! An mpmc ring whose memory lies, or is scribbled over: typed errors or wrong data, no
//! panic, no endless call.

mod mpmcs;
mod support;

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use annulus::hooks::{budget, lie};
use annulus::mpmc::{Receiver, Ring, Sender};
use annulus::{Error, Fault, RecvError, SendError, TryRecvError, TrySendError, WaitError};
use mpmcs::site::{Place, Site};
use mpmcs::{Random, mix};
use support::{Family, Role};

support::roles! { scribbles }

const SLICE: Duration = Duration::from_millis(1);

/// More than any call that does not wait makes: 1,024 runs of tombs, each of 128 tries, each
/// of a counter, a word and a claim; and settling every claim of every seat.
const MOST: u64 = 1_000_000;

/// What a hostile word may say.
fn lies(random: &mut Random, true_value: u64) -> u64 {
    let near = random.below(9).wrapping_sub(4);
    match random.below(9) {
        0 => true_value,
        1 => true_value.wrapping_add(near),
        2 => true_value ^ 1 << random.below(64),
        3 => random.next(),
        4 => [0, 1, 2, 3, u64::MAX][random.below(5) as usize],
        5 => (1_u64 << 62).wrapping_add(near),
        6 => random.below(64),
        7 => true_value & !3 | random.below(4),
        _ => u64::MAX - random.below(1 << 14),
    }
}

/// Everything that a sender and a receiver can do without waiting, and a little with.
fn everything(sender: &mut Sender<[u8]>, receiver: &mut Receiver<[u8]>, verb: u64) {
    let mut out = [0; 16];
    match verb {
        0 => {
            let said = sender.try_send(b"message");
            assert_ne!(said, Err(TrySendError::TooLong(())), "it is not");
        }
        1 => {
            if let Ok(mut slot) = sender.try_reserve() {
                slot.append(b"1234567890");
                slot.commit();
            }
        }
        2 => std::mem::forget(sender.try_reserve()),
        3 => drop(sender.send_timeout(b"1", Duration::ZERO)),
        4 => match receiver.try_recv(&mut out[..12]) {
            Ok(len) => assert!(len <= 12),
            Err(TryRecvError::TooSmall { needed }) => assert!(needed <= 16),
            Err(_) => {}
        },
        5 => {
            if let Ok(guard) = receiver.try_recv_ref() {
                assert!(guard.to_vec().len() <= 16);
            }
        }
        6 => std::mem::forget(receiver.try_recv_ref()),
        7 => drop(receiver.recv_timeout(&mut out, Duration::ZERO)),
        8 => drop(sender.wait_for_peer(Some(Duration::ZERO))),
        _ => drop(receiver.wait_for_peer(Some(Duration::ZERO))),
    }
}

fn options() -> annulus::Options<Ring<[u8]>> {
    let options = Ring::options().capacity(4).max_len(16).seats(2).slice(SLICE);
    options.spin(Duration::ZERO).yielding(Duration::ZERO)
}

#[test]
fn a_call_whose_every_load_may_lie_ends_with_a_typed_error_or_wrong_data() {
    let (mut faults, mut fine) = (0, 0);
    for seed in 0..3_000 {
        let site = Site::new(Place::Memfd, &options());
        let (mut sender, mut receiver) =
            (site.one.sender().unwrap(), site.other.receiver().unwrap());
        let one = site.one.sender().unwrap();
        let two = site.other.receiver().unwrap();
        // Two more that died, perhaps with something in hand.
        let mut random = Random::new(seed);
        sender.try_send(b"before").unwrap();
        let (a, b) = (random.below(8), random.below(8));
        let mut one = Some(one);
        let _ = annulus::hooks::kill_before(a + 1, move || one.take().unwrap().try_send(b"1"));
        let mut two = Some(two);
        let _ =
            annulus::hooks::kill_before(b + 1, move || two.take().unwrap().try_recv(&mut [0; 16]));
        let rarely = random.below(6);
        let mut liar = random.clone();
        let lying =
            Box::new(
                move |_: &'static str, value: u64| {
                    if liar.below(rarely + 1) == 0 { lies(&mut liar, value) } else { value }
                },
            );
        lie(lying, || {
            for _ in 0..6 {
                let verb = random.below(10);
                budget(MOST, || everything(&mut sender, &mut receiver, verb));
            }
        });
        match sender.try_send(b"after") {
            Err(TrySendError::Fault((), fault)) => {
                assert!(matches!(fault, Fault::Corrupt(_) | Fault::PositionLimit), "{fault}");
                faults += 1;
            }
            _ => fine += 1,
        }
        let _ = budget(MOST, || receiver.try_recv(&mut [0; 16]));
        // Newcomers are refused, or come.
        let came = lie(Box::new(move |_, value| mix(value)), || site.one.receiver().map(drop));
        assert!(matches!(came, Ok(()) | Err(Error::NoSeat { .. } | Error::Corrupt(_))), "{came:?}");
    }
    assert!(faults > 100 && fine > 100, "{faults} faults, {fine} fine");
}

/// Scribbles over the memfd that it inherits until it is told to stop.
fn scribbles(role: &mut Role) {
    let file = File::from(role.inherited());
    let mut random = Random::new(role.parse(0));
    let (len, until) = (file.metadata().unwrap().len(), Instant::now() + Duration::from_millis(30));
    let mut wrote = 0;
    while Instant::now() < until {
        let at = random.below(len) / 8 * 8;
        let mut word = [0; 8];
        file.read_exact_at(&mut word, at).unwrap();
        let value = lies(&mut random, u64::from_le_bytes(word));
        file.write_all_at(&value.to_le_bytes(), at).unwrap();
        wrote += 1;
        if wrote % 3 == 0 {
            std::thread::yield_now();
        }
    }
    role.say("done");
}

/// Sends in all ways until a fault, or the time is over.
fn sends_on(mut sender: Sender<[u8]>, over: Instant) {
    while Instant::now() < over {
        let said = match sender.send_timeout(b"message", SLICE) {
            Err(SendError::Fault((), fault)) => Err(fault),
            Err(SendError::Timeout(()) | SendError::Closed(()) | SendError::Died(())) => {
                match sender.wait_for_peer(Some(SLICE)) {
                    Err(WaitError::Fault(fault)) => Err(fault),
                    _ => Ok(()),
                }
            }
            Ok(()) => Ok(()),
            Err(other) => panic!("{other:?}"),
        };
        if let Err(fault) = said {
            assert!(matches!(fault, Fault::Corrupt(_) | Fault::PositionLimit), "{fault}");
            return;
        }
    }
}

/// Receives in all ways until a fault, or the time is over.
fn receives_on(mut receiver: Receiver<[u8]>, over: Instant) {
    let mut out = [0; 16];
    for n in 0.. {
        if Instant::now() > over {
            return;
        }
        let said = if n % 2 == 0 {
            receiver.recv_timeout(&mut out, SLICE).map(drop)
        } else {
            receiver.recv_ref_timeout(SLICE).map(|guard| assert!(guard.to_vec().len() <= 16))
        };
        match said {
            Ok(()) | Err(RecvError::Timeout | RecvError::Closed | RecvError::Died) => {}
            Err(RecvError::Fault(fault)) => {
                assert!(matches!(fault, Fault::Corrupt(_) | Fault::PositionLimit), "{fault}");
                return;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_process_that_scribbles_over_a_ring_of_four_brings_nobody_down() {
    let family = Family::new();
    for seed in 0..12 {
        let site = Site::new(Place::Memfd, &options());
        let senders = [site.one.sender().unwrap(), site.other.sender().unwrap()];
        let receivers = [site.one.receiver().unwrap(), site.other.receiver().unwrap()];
        let memfd = site.memfd();
        let mut child = family.child(scribbles).arg(seed).inherit(memfd.as_fd()).spawn();
        let over = Instant::now() + Duration::from_millis(60);
        std::thread::scope(|scope| {
            for sender in senders {
                scope.spawn(move || sends_on(sender, over));
            }
            for receiver in receivers {
                scope.spawn(move || receives_on(receiver, over));
            }
        });
        child.expect("done");
        child.wait_ok();
    }
}
