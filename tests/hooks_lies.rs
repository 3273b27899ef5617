//! Memory that lies: whatever a load returns, a call ends within its accesses, with a
//! message, a refusal or a typed fault, and a fault is the handle's alone.

mod hooks;
mod oracles;
mod scale;
mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use annulus::hooks::{Liar, budget, lie};
use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{
    Corrupt, Error, Fault, Observer, RecvError, SeatState, SendError, TryRecvError, TrySendError,
    WaitError,
};
use hooks::{Words, words};
use oracles::place::{PLACES, Place, Site};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const CAPACITY: u64 = 4;

/// More accesses than any call makes that does not wait (3 messages a batch), or waits
/// for no time at all: 32 polls, each with a closer look if a lie makes it worth one.
const ACCESSES: u64 = 32 * 4 + 24;

/// How a value is told instead of the true one.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Always(u64),
    Plus(u64),
    Minus(u64),
    Xor(u64),
    /// Another each time.
    Random(u64),
}

impl Lie {
    fn tell(self, truth: u64, nth: u64) -> u64 {
        match self {
            Self::Always(value) => value,
            Self::Plus(more) => truth.wrapping_add(more),
            Self::Minus(less) => truth.wrapping_sub(less),
            Self::Xor(bits) => truth ^ bits,
            Self::Random(seed) => {
                let mixed = (seed ^ nth).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
            }
        }
    }
}

/// Which loads are lied to.
#[derive(Clone, Copy, Debug)]
enum When {
    All,
    /// One, counted from zero.
    Nth(u64),
    From(u64),
}

fn any_lie() -> impl Strategy<Value = (When, Lie)> {
    let value = || {
        prop_oneof![
            0..=2 * CAPACITY + 2,
            (0..=8u32).prop_map(|near| (1u64 << 62) - 4 + u64::from(near)),
            (0..64u32).prop_map(|bit| 1u64 << bit),
            (0..64u32).prop_map(|bit| u64::MAX << bit),
            // Seat states, of some incarnation.
            (0..6u64, 0..3u64).prop_map(|(state, incarnation)| incarnation << 8 | state),
            any::<u64>(),
        ]
    };
    let lie = prop_oneof![
        value().prop_map(Lie::Always),
        value().prop_map(Lie::Plus),
        value().prop_map(Lie::Minus),
        value().prop_map(Lie::Xor),
        any::<u64>().prop_map(Lie::Random),
    ];
    let when = prop_oneof![
        2 => Just(When::All),
        3 => (0..8u64).prop_map(When::Nth),
        1 => (0..8u64).prop_map(When::From),
    ];
    (when, lie)
}

/// Runs `call` within the budget, its loads lied to.
fn lied_to<R>((when, how): (When, Lie), call: impl FnOnce() -> R) -> R {
    let mut nth = 0;
    let liar: Liar = Box::new(move |_, truth| {
        let now = match when {
            When::All => true,
            When::Nth(n) => nth == n,
            When::From(n) => nth >= n,
        };
        nth += 1;
        if now { how.tell(truth, nth) } else { truth }
    });
    lie(liar, || budget(ACCESSES, call))
}

/// The words that a handle may find corrupt.
fn check_corrupt(corrupt: Corrupt) {
    let known = ["head", "stamp", "claim", "seat state"];
    assert!(known.contains(&corrupt.word), "{corrupt}");
}

/// What a send says that was lied to; gives the fault if there is one.
fn sent<T, M>(said: Result<T, TrySendError<M>>) -> Option<Fault> {
    match said {
        Ok(_) => None,
        Err(TrySendError::Full(_) | TrySendError::Closed(_) | TrySendError::Died(_)) => None,
        Err(TrySendError::Fault(_, fault)) => Some(fault),
        Err(other) => panic!("{other:?}"),
    }
}

/// As above, with a timeout.
fn sent_in_time<T, M>(said: Result<T, SendError<M>>) -> Option<Fault> {
    match said {
        Ok(_) => None,
        Err(SendError::Timeout(_) | SendError::Closed(_) | SendError::Died(_)) => None,
        Err(SendError::Fault(_, fault)) => Some(fault),
        Err(other) => panic!("{other:?}"),
    }
}

/// What a receive says that was lied to; gives the fault if there is one.
fn received<T>(said: Result<T, TryRecvError>) -> Option<Fault> {
    match said {
        Ok(_) | Err(TryRecvError::Empty | TryRecvError::Closed | TryRecvError::Died) => None,
        Err(TryRecvError::Fault(fault)) => Some(fault),
        Err(other) => panic!("{other:?}"),
    }
}

/// As above, with a timeout.
fn received_in_time<T>(said: Result<T, RecvError>) -> Option<Fault> {
    match said {
        Ok(_) | Err(RecvError::Timeout | RecvError::Closed | RecvError::Died) => None,
        Err(RecvError::Fault(fault)) => Some(fault),
        Err(other) => panic!("{other:?}"),
    }
}

/// What one who asks for the peer is told.
fn asked(said: Result<SeatState, Error>) {
    match said {
        Ok(_) => {}
        Err(Error::Corrupt(corrupt)) => check_corrupt(corrupt),
        Err(other) => panic!("{other}"),
    }
}

/// What one who waits for the peer is told.
fn waited(said: Result<(), WaitError>) {
    match said {
        Ok(()) | Err(WaitError::Timeout) => {}
        Err(WaitError::Fault(Fault::Corrupt(corrupt))) => check_corrupt(corrupt),
        Err(other) => panic!("{other}"),
    }
}

/// Every verb of a sender that ends by itself.
fn send(sender: &mut Sender<Words>, verb: u32) -> Option<Fault> {
    let m = words(1);
    match verb % 5 {
        0 => sent(sender.try_send(m)),
        1 => sent(sender.try_send_many(&[m; 3])),
        2 => sent_in_time(sender.send_timeout(m, Duration::ZERO)),
        3 => sent(sender.try_reserve().map(|mut slot| {
            slot.append(&[1; 5]);
            slot.commit()
        })),
        _ => sent_in_time(sender.reserve_timeout(Duration::ZERO).map(|mut slot| {
            slot.write(&m);
        })),
    }
}

/// Every verb of a receiver that ends by itself.
fn recv(receiver: &mut Receiver<Words>, verb: u32) -> Option<Fault> {
    match verb % 6 {
        0 => received(receiver.try_recv()),
        1 => received(receiver.try_recv_many(&mut [[0; 4]; 3])),
        2 => received_in_time(receiver.recv_timeout(Duration::ZERO)),
        3 => received(receiver.try_recv_ref().map(|guard| guard.read())),
        4 => received(receiver.try_recv_ref().map(std::mem::forget)),
        _ => received_in_time(
            receiver.recv_ref_timeout(Duration::ZERO).map(|guard| guard.read_at(3, &mut [0; 40])),
        ),
    }
}

/// A fault stays, whatever is asked next, and nothing more is looked at.
fn stays<H>(handle: &mut H, fault: Fault, verb: fn(&mut H, u32) -> Option<Fault>) {
    if let Fault::Corrupt(corrupt) = fault {
        check_corrupt(corrupt);
        for n in 0..6 {
            assert_eq!(budget(0, || verb(handle, n)), Some(fault));
        }
    } else {
        assert_eq!(fault, Fault::PositionLimit);
    }
}

fn run(cases: u64, test: impl Fn(Place, u64, Vec<(u32, (When, Lie))>)) {
    let cases = u32::try_from(scale::scaled(cases)).unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let calls = prop::collection::vec((any::<u32>(), any_lie()), 1..20);
    TestRunner::new(config)
        .run(&(prop::sample::select(PLACES.as_slice()), 0..=CAPACITY, calls), |drawn| {
            test(drawn.0, drawn.1, drawn.2);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

fn site(place: Place, waiting: u64) -> Site<Words> {
    let site = Site::<Words>::new(place, &Ring::options().capacity(CAPACITY));
    let (mut sender, mut receiver) = (site.one.sender().unwrap(), site.other.receiver().unwrap());
    for p in 0..CAPACITY + 1 + waiting {
        sender.try_send(words(p)).unwrap();
        if p <= CAPACITY {
            receiver.try_recv().unwrap();
        }
    }
    site
}

#[test]
fn a_sender_that_is_lied_to_sends_refuses_or_faults() {
    run(400, |place, waiting, calls| {
        let site = site(place, waiting);
        let mut sender = site.one.sender().unwrap();
        for (verb, how) in calls {
            if let Some(fault) = lied_to(how, || send(&mut sender, verb)) {
                stays(&mut sender, fault, send);
                break;
            }
            asked(lied_to(how, || sender.peer()));
            waited(lied_to(how, || sender.wait_for_peer(Some(Duration::ZERO))));
        }
    });
}

#[test]
fn a_receiver_that_is_lied_to_receives_refuses_or_faults() {
    run(400, |place, waiting, calls| {
        let site = site(place, waiting);
        let mut receiver = site.other.receiver().unwrap();
        for (verb, how) in calls {
            if let Some(fault) = lied_to(how, || recv(&mut receiver, verb)) {
                stays(&mut receiver, fault, recv);
                break;
            }
            asked(lied_to(how, || receiver.peer()));
            waited(lied_to(how, || receiver.wait_for_peer(Some(Duration::ZERO))));
        }
    });
}

#[test]
fn whoever_comes_and_is_lied_to_gets_a_seat_or_a_typed_error() {
    fn check<H>(came: Result<H, Error>) {
        match came {
            Ok(_) | Err(Error::SeatTaken { .. }) => {}
            Err(Error::Corrupt(corrupt)) => check_corrupt(corrupt),
            Err(other) => panic!("{other}"),
        }
    }
    run(300, |place, waiting, calls| {
        for (who, how) in calls.into_iter().take(4) {
            let site = site(place, waiting);
            if who % 2 == 0 {
                check(lied_to(how, || site.one.sender()));
            } else {
                check(lied_to(how, || site.other.receiver()));
            }
        }
    });
}

#[test]
fn an_observer_that_is_lied_to_sees_at_most_a_full_ring() {
    run(300, |place, waiting, calls| {
        let site = site(place, waiting);
        let Some(observer) = &site.observer else { return };
        for (_, how) in calls {
            assert!(lied_to(how, || observer.len()) <= CAPACITY);
            lied_to(how, || observer.head());
            if let Err(error) = lied_to(how, || observer.seats()) {
                assert!(matches!(error, Error::Corrupt(Corrupt { word: "seat state", .. })));
            }
        }
    });
}

#[test]
fn a_header_of_which_any_word_is_a_lie_is_refused() {
    run(300, |_, waiting, calls| {
        let site = site(Place::Memfd, waiting);
        let fd = || site.one.segment_fd().unwrap().try_clone_to_owned().unwrap();
        for (_, (when, how)) in calls {
            let lies = Rc::new(Cell::new(0));
            let told = Rc::clone(&lies);
            let mut nth = 0;
            let liar: Liar = Box::new(move |_, truth| {
                let now = matches!(when, When::All) || matches!(when, When::Nth(n) if n == nth);
                nth += 1;
                let value = if now { how.tell(truth, nth) } else { truth };
                told.set(told.get() + u64::from(value != truth));
                value
            });
            // Each of the thirteen words once.
            let opened = lie(liar, || {
                let one = budget(13, || Ring::<Words>::from_fd(fd()).err());
                (one, budget(13, || Observer::from_fd(fd()).err()))
            });
            match opened {
                (None, None) => assert_eq!(lies.get(), 0),
                (one, other) => {
                    for error in [one, other].into_iter().flatten() {
                        assert!(
                            matches!(error, Error::Mismatch { .. } | Error::Corrupt(_)),
                            "{error}"
                        );
                    }
                }
            }
        }
    });
}

/// A ring of which one handle sees one lie; and then its peer and its successor.
fn poisoned_alone(place: Place, lied: u64, word: &'static str, at_sender: bool) {
    let site = site(place, if at_sender { CAPACITY } else { 2 });
    let (mut sender, mut receiver) = (site.one.sender().unwrap(), site.other.receiver().unwrap());
    let all: Liar = Box::new(move |edge, truth| match (edge, word) {
        ("seat::ACQUIRE", "seat state") => lied,
        ("retire::ACQUIRE", "head") | ("publish::ACQUIRE", "stamp") => lied,
        _ => truth,
    });
    let fault = Fault::Corrupt(Corrupt { word, value: lied });
    let first = CAPACITY + 1;
    if at_sender {
        assert_eq!(lie(all, || send(&mut sender, 0)), Some(fault));
        stays(&mut sender, fault, send);
        assert_eq!(receiver.peer().unwrap(), SeatState::Live);
        for p in first..first + CAPACITY {
            assert_eq!(receiver.try_recv(), Ok(words(p)));
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        drop(sender);
        let mut sender = site.one.sender().unwrap();
        sender.try_send(words(sender.position())).unwrap();
        assert_eq!(receiver.try_recv(), Ok(words(first + CAPACITY)));
    } else {
        if word == "seat state" {
            assert_eq!((recv(&mut receiver, 1), recv(&mut receiver, 0)), (None, None));
        }
        assert_eq!(lie(all, || recv(&mut receiver, 0)), Some(fault));
        stays(&mut receiver, fault, recv);
        assert_eq!(sender.peer().unwrap(), SeatState::Live);
        sender.try_send(words(sender.position())).unwrap();
        drop(receiver);
        let mut receiver = site.other.receiver().unwrap();
        let left = if word == "seat state" { 2 } else { 0 };
        for p in first + left..first + 3 {
            assert_eq!(receiver.try_recv(), Ok(words(p)));
        }
    }
}

#[test]
fn a_fault_is_the_handles_alone_and_its_successor_goes_on() {
    for place in PLACES {
        for lied in [0x0005, 0x00ff, u64::MAX] {
            poisoned_alone(place, lied, "seat state", true);
            poisoned_alone(place, lied, "seat state", false);
        }
        // Below what was seen before; above what was sent.
        for lied in [0, CAPACITY, 2 * CAPACITY + 2, 1 << 62, u64::MAX] {
            poisoned_alone(place, lied, "head", true);
        }
        // Neither this lap's nor the lap before's.
        for lied in [0, 1, CAPACITY + 1, CAPACITY + 3, 2 * CAPACITY + 2, u64::MAX] {
            poisoned_alone(place, lied, "stamp", false);
        }
    }
}
