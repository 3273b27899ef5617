//! Memory that lies to a stream's endpoints: whatever a load returns, a call ends within
//! its accesses, with bytes, a refusal or a typed fault, and a fault is the handle's alone.

mod scale;
mod stream_liars;
mod streams;
mod support;

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::time::Duration;

use annulus::hooks::{Liar, budget, lie};
use annulus::stream::{Receiver, Ring, Sender};
use annulus::{
    Corrupt, Error, Fault, RecvError, SeatState, SendError, TryRecvError, TrySendError, WaitError,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use stream_liars::{
    ACCESSES, CAPACITY, LONGEST, Lie, When, any_lie, lied_to, lied_to_but_cancelled,
};
use streams::site::{PLACES, Place, Site};

fn check_corrupt(corrupt: Corrupt) {
    let known = ["head", "tail", "seat state", "event"];
    assert!(known.contains(&corrupt.word), "{corrupt}");
}

/// What a send of so many bytes says that was lied to; gives the fault if there is one.
fn sent(len: usize, said: Result<usize, SendError<()>>) -> Option<Fault> {
    match said {
        // None is sent of some only by those who say why.
        Ok(count) => assert!(count <= len && (count > 0 || len == 0), "{count} of {len}"),
        Err(SendError::Timeout(()) | SendError::Closed(()) | SendError::Died(())) => {}
        // Of a call before, which had no need to wait.
        Err(SendError::Cancelled(())) => {}
        Err(SendError::Fault((), fault)) => return Some(fault),
        Err(other) => panic!("{other:?}"),
    }
    None
}

fn now(error: TrySendError<()>) -> SendError<()> {
    match error {
        TrySendError::Full(()) => SendError::Timeout(()),
        TrySendError::Closed(()) => SendError::Closed(()),
        TrySendError::Died(()) => SendError::Died(()),
        TrySendError::Fault((), fault) => SendError::Fault((), fault),
        other => panic!("{other:?}"),
    }
}

fn typed<E: Copy + std::error::Error + Send + Sync + 'static>(error: io::Error) -> E {
    *error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap_or_else(|| panic!("{error}"))
}

/// Calls one of the sender's verbs. None waits long: what would sleep is told not to.
fn send(sender: &mut Sender, verb: usize, len: usize) -> Option<Fault> {
    let bytes = streams::bytes(sender.position(), len);
    let cancelled = |sender: &Sender| sender.cancel_handle().cancel();
    let ended = |result: io::Result<usize>| sent(len, result.map_err(typed::<SendError<()>>));
    match verb % 8 {
        0 => sent(len, sender.try_send(&bytes).map_err(now)),
        1 => sent(len, sender.send_timeout(&bytes, Duration::ZERO)),
        2 => {
            cancelled(sender);
            let (one, other) = bytes.split_at(len / 2);
            ended(sender.write_vectored(&[IoSlice::new(one), IoSlice::new(other)]))
        }
        3 => {
            cancelled(sender);
            ended(sender.fill_from(File::open("/dev/zero").unwrap(), len))
        }
        4 => {
            let len = len.min(CAPACITY as usize);
            match sender.try_reserve(len).map_err(now) {
                Ok(mut place) => {
                    assert_eq!((place.append(&bytes[..len]), place.commit()), (len, len));
                    None
                }
                Err(error) => sent(1, Err(error)),
            }
        }
        5 => {
            let reserved = sender.reserve_timeout(len.min(16), Duration::ZERO);
            sent(0, reserved.map(|_| 0))
        }
        6 => sent(0, sender.wait_until_received(Some(Duration::ZERO)).map(|()| 0)),
        _ => match sender.wait_for_peer(Some(Duration::ZERO)) {
            Err(WaitError::Fault(fault)) => Some(fault),
            Ok(()) | Err(WaitError::Timeout | WaitError::Cancelled) => None,
            Err(other) => panic!("{other:?}"),
        },
    }
}

/// As `sent`.
fn received(len: usize, said: Result<usize, RecvError>) -> Option<Fault> {
    match said {
        Ok(count) => assert!(count <= len && (count > 0 || len == 0), "{count} of {len}"),
        Err(RecvError::Timeout | RecvError::Closed | RecvError::Died) => {}
        Err(RecvError::Cancelled) => {}
        Err(RecvError::Fault(fault)) => return Some(fault),
        Err(other) => panic!("{other:?}"),
    }
    None
}

fn not_now(error: TryRecvError) -> RecvError {
    match error {
        TryRecvError::Empty => RecvError::Timeout,
        TryRecvError::Closed => RecvError::Closed,
        TryRecvError::Died => RecvError::Died,
        TryRecvError::Fault(fault) => RecvError::Fault(fault),
        other => panic!("{other:?}"),
    }
}

/// As `send`, of the receiver.
fn recv(receiver: &mut Receiver, verb: usize, len: usize) -> Option<Fault> {
    let mut out = vec![0; len];
    let cancelled = |receiver: &Receiver| receiver.cancel_handle().cancel();
    let ended = |result: io::Result<usize>| match result.map_err(typed::<RecvError>) {
        // The end of the stream.
        Ok(0) => None,
        result => received(len, result),
    };
    match verb % 7 {
        0 => received(len, receiver.try_recv(&mut out).map_err(not_now)),
        1 => received(len, receiver.recv_timeout(&mut out, Duration::ZERO)),
        2 => {
            cancelled(receiver);
            let (one, other) = out.split_at_mut(len / 2);
            ended(receiver.read_vectored(&mut [IoSliceMut::new(one), IoSliceMut::new(other)]))
        }
        3 => {
            cancelled(receiver);
            ended(receiver.drain_to(File::create("/dev/null").unwrap(), len))
        }
        4 => match receiver.try_recv_ref().map_err(not_now) {
            Ok(guard) => {
                assert!((1..=CAPACITY as usize).contains(&guard.len()));
                assert!(guard.read_at(len / 3, &mut out) <= guard.len());
                let some = guard.len() / 2;
                guard.release_first(some);
                None
            }
            Err(error) => received(1, Err(error)),
        },
        5 => {
            let exposed = receiver.recv_ref_timeout(Duration::ZERO);
            received(CAPACITY as usize, exposed.map(|guard| guard.len()))
        }
        _ => match receiver.wait_for_peer(Some(Duration::ZERO)) {
            Err(WaitError::Fault(fault)) => Some(fault),
            Ok(()) | Err(WaitError::Timeout | WaitError::Cancelled) => None,
            Err(other) => panic!("{other:?}"),
        },
    }
}

fn asked(said: Result<SeatState, Error>) {
    match said {
        Ok(_) => {}
        Err(Error::Corrupt(corrupt)) => check_corrupt(corrupt),
        Err(other) => panic!("{other}"),
    }
}

/// A fault stays, whatever is asked for, and needs no more lies.
fn stays(fault: Fault, mut call: impl FnMut(usize) -> Option<Fault>, verbs: usize) {
    let Fault::Corrupt(corrupt) = fault else { panic!("{fault}") };
    check_corrupt(corrupt);
    for verb in 0..verbs {
        assert_eq!(call(verb), Some(fault), "of verb {verb}");
    }
}

/// A stream in which so many bytes wait, after a lap and a half.
fn site(place: Place, waiting: u64) -> (Site, Sender, Receiver) {
    let site = Site::new(place, &Ring::options().capacity(CAPACITY));
    let (mut sender, mut receiver) = (site.one.sender().unwrap(), site.other.receiver().unwrap());
    let mut move_on = |len: u64, taken: u64| {
        let bytes = streams::bytes(sender.position(), len as usize);
        assert_eq!(sender.try_send(&bytes), Ok(len as usize));
        assert!(taken == 0 || receiver.try_recv(&mut vec![0; taken as usize]).is_ok());
    };
    move_on(CAPACITY, CAPACITY);
    move_on(7, 7);
    if waiting > 0 {
        move_on(waiting, 0);
    }
    (site, sender, receiver)
}

type Call = (usize, usize, (When, Lie));

fn run(cases: u64, test: impl Fn(Place, u64, Vec<Call>)) {
    let cases = u32::try_from(scale::scaled(cases)).unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let call = (0..60usize, 1..=LONGEST, any_lie());
    let calls = prop::collection::vec(call, 1..12);
    let drawn = (prop::sample::select(PLACES.as_slice()), 0..=CAPACITY, calls);
    TestRunner::new(config)
        .run(&drawn, |drawn| {
            test(drawn.0, drawn.1, drawn.2);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_streams_sender_that_is_lied_to_sends_refuses_or_faults() {
    run(1200, |place, waiting, calls| {
        let (_site, mut sender, mut receiver) = site(place, waiting);
        for (verb, len, how) in calls {
            let call = || send(&mut sender, verb, len);
            let waits = [2, 3].contains(&(verb % 8));
            let said = if waits { lied_to_but_cancelled(how, call) } else { lied_to(how, call) };
            if let Some(fault) = said {
                stays(fault, |verb| send(&mut sender, verb, len), 8);
                // One who has seen garbage does not say that this was all.
                drop(sender);
                assert_eq!(receiver.peer().unwrap(), SeatState::Died);
                break;
            }
            asked(lied_to(how, || sender.peer()));
        }
        // Its peer has seen nothing, or finds its index beyond what can be.
        while recv(&mut receiver, 1, LONGEST).is_none() && receiver.try_recv_ref().is_ok() {}
    });
}

#[test]
fn a_streams_receiver_that_is_lied_to_receives_refuses_or_faults() {
    run(1200, |place, waiting, calls| {
        let (_site, sender, mut receiver) = site(place, waiting);
        for (verb, len, how) in calls {
            let call = || recv(&mut receiver, verb, len);
            let waits = [2, 3].contains(&(verb % 7));
            let said = if waits { lied_to_but_cancelled(how, call) } else { lied_to(how, call) };
            if let Some(fault) = said {
                stays(fault, |verb| recv(&mut receiver, verb, len), 7);
                break;
            }
            asked(lied_to(how, || receiver.peer()));
        }
        drop((sender, receiver));
    });
}

#[test]
fn whoever_comes_to_a_stream_and_is_lied_to_gets_a_seat_or_a_typed_error() {
    fn check<H>(came: Result<H, Error>) {
        match came {
            Ok(_) | Err(Error::SeatTaken { .. } | Error::Over { .. }) => {}
            Err(Error::Corrupt(corrupt)) => check_corrupt(corrupt),
            Err(other) => panic!("{other}"),
        }
    }
    run(600, |place, _, calls| {
        for (who, _, how) in calls.into_iter().take(4) {
            let site = Site::new(place, &Ring::options().capacity(CAPACITY));
            if who % 2 == 0 {
                check(lied_to(how, || site.one.sender()));
            } else {
                check(lied_to(how, || site.other.receiver()));
            }
        }
    });
}

/// A liar about one word.
fn about(word: &'static str, lied: u64) -> Liar {
    Box::new(move |edge, truth| match (edge, word) {
        ("seat::ACQUIRE", "seat state") => lied,
        ("retire::ACQUIRE", "head") | ("publish::ACQUIRE", "tail") => lied,
        _ => truth,
    })
}

#[test]
fn a_streams_fault_is_the_handles_alone() {
    for place in PLACES {
        // Behind what was seen; beyond what was sent.
        for lied in [0, CAPACITY - 1, 2 * CAPACITY + 8, 1 << 62, u64::MAX] {
            let (_site, mut sender, mut receiver) = site(place, CAPACITY);
            let fault = Fault::Corrupt(Corrupt { word: "head", value: lied });
            let said = lie(about("head", lied), || sender.try_send(b"x"));
            assert_eq!(said, Err(TrySendError::Fault((), fault)));
            drop(sender);
            // All that was committed, and the truth about its end.
            let mut out = [0; 99];
            assert_eq!(receiver.try_recv(&mut out), Ok(16));
            streams::check(23, &out[..16]);
            assert_eq!(receiver.try_recv(&mut out), Err(TryRecvError::Died));
        }
        for lied in [0, CAPACITY + 6, 2 * CAPACITY + 8, 1 << 62, u64::MAX] {
            let (_site, mut sender, mut receiver) = site(place, 0);
            let fault = Fault::Corrupt(Corrupt { word: "tail", value: lied });
            let said = lie(about("tail", lied), || receiver.try_recv(&mut [0]));
            assert_eq!(said, Err(TryRecvError::Fault(fault)));
            assert_eq!(sender.try_send(b"still there"), Ok(11));
            drop(receiver);
            assert_eq!(sender.try_send(b"x"), Err(TrySendError::Closed(())));
        }
        for lied in [0x0005, 0x00ff, u64::MAX] {
            let (_site, mut sender, mut receiver) = site(place, 0);
            let fault = Fault::Corrupt(Corrupt { word: "seat state", value: lied });
            let said = lie(about("seat state", lied), || sender.try_send(b"x"));
            assert_eq!(said, Err(TrySendError::Fault((), fault)));
            let said = lie(about("seat state", lied), || receiver.try_recv(&mut [0]));
            assert_eq!(said, Err(TryRecvError::Fault(fault)));
        }
    }
}

#[test]
fn a_streams_sender_that_is_poisoned_can_not_finish() {
    for place in PLACES {
        let (_site, mut sender, mut receiver) = site(place, CAPACITY);
        let fault = Fault::Corrupt(Corrupt { word: "head", value: u64::MAX });
        let said = lie(about("head", u64::MAX), || sender.try_send(b"x"));
        assert_eq!(said, Err(TrySendError::Fault((), fault)));
        assert_eq!(sender.finish(), Err(SendError::Fault((), fault)));
        assert_eq!(receiver.try_recv(&mut [0; 99]), Ok(16));
        assert_eq!(receiver.try_recv(&mut [0]), Err(TryRecvError::Died));
    }
}

/// With some bytes known of, the look for more meets the lie.
#[test]
fn a_fault_is_neither_the_end_of_a_stream_nor_a_write_of_nothing() {
    for place in PLACES {
        let (_site, mut sender, mut receiver) = site(place, 8);
        // From now on it knows of seven more.
        assert_eq!(receiver.read(&mut [0]).unwrap(), 1);
        let said = lie(about("tail", u64::MAX), || receiver.read(&mut [0; 16]));
        assert_eq!(said.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(receiver.read(&mut [0; 16]).unwrap_err().kind(), io::ErrorKind::InvalidData);

        let (_site, mut to, mut from) = site(place, 8);
        from.try_recv(&mut [0; 8]).unwrap();
        // It knows of some room, from its first lap's look.
        let said = lie(about("head", u64::MAX), || to.write(&[0; 16]));
        assert_eq!(said.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(sender.write(b"x").unwrap(), 1);
    }
}

/// What a hostile maker can leave: the positions' end is near.
#[test]
fn a_liar_who_has_moved_the_positions_to_their_end_makes_no_call_endless() {
    let near = (1u64 << 62) - 3;
    for place in PLACES {
        let site = Site::new(place, &Ring::options().capacity(CAPACITY));
        let all: Liar = Box::new(move |edge, truth| match edge {
            "relaxed::FENCED" if truth == 0 => near,
            _ => truth,
        });
        let mut sender = lie(all, || site.one.sender().unwrap());
        assert_eq!(sender.position(), near);
        let liar: Liar = Box::new(move |edge, truth| match edge {
            "retire::ACQUIRE" => near,
            _ => truth,
        });
        let said = lie(liar, || budget(ACCESSES, || sender.try_send(&[1; 10])));
        assert_eq!(said, Ok(3));
    }
}

/// Not a lie, but a look that came too early: the sender sends and ends between the
/// receiver's look at the tail and that at the seat.
#[test]
fn bytes_sent_between_a_look_and_the_end_are_received_before_the_end() {
    for place in PLACES {
        for aborts in [false, true] {
            let (_site, mut sender, mut receiver) = site(place, 0);
            let old = sender.position();
            sender.try_send(b"last words").unwrap();
            if aborts {
                sender.abort()
            } else {
                drop(sender)
            }
            let mut looks = 0;
            let early: Liar = Box::new(move |edge, truth| {
                looks += u64::from(edge == "publish::ACQUIRE");
                if edge == "publish::ACQUIRE" && looks == 1 { old } else { truth }
            });
            let mut out = [0; 10];
            assert_eq!(lie(early, || receiver.try_recv(&mut out)), Ok(10));
            assert_eq!(&out, b"last words");
            assert!(receiver.try_recv(&mut out).is_err());
        }
    }
}
