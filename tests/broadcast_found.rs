//! What was found broken in the broadcast once, each a test of its own.

mod casts;
mod support;

use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::time::Duration;

use annulus::broadcast::{Ring, Start};
use annulus::hooks::{FORMAT, Liar, kill_before, lie};
use annulus::{Error, Fault, TryRecvError, TrySendError};
use casts::{LONG, quiet};

/// Two deaths in a row, each before the tail was noted, were taken for corruption.
#[test]
fn senders_killed_one_after_the_other_leave_a_ring_to_the_next() {
    quiet();
    for lossless in [false, true] {
        // Before each pair of accesses of the two sends.
        for (first, second) in (1..12).flat_map(|one| (1..12).map(move |two| (one, two))) {
            let ring = Ring::<u64>::options().capacity(4).lossless(lossless);
            let ring = ring.create_memfd("cast").unwrap();
            let mut receiver = ring.receiver().unwrap();
            for kill in [first, second] {
                let mut sender = ring.sender().unwrap();
                let position = sender.position();
                kill_before(kill, move || sender.try_send(position).unwrap());
            }
            let mut sender = ring.sender().unwrap();
            let position = sender.position();
            sender.try_send(position).unwrap();
            for message in 0..=position {
                assert_eq!(receiver.try_recv(), Ok(message), "{first}, {second}");
            }
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        }
    }
}

/// A sender that went to sleep because of one who came slept on when that one was refused.
#[test]
fn a_receiver_that_is_refused_wakes_the_sender_that_it_held_back() {
    let options = Ring::<u64>::options().capacity(2).seats(2).lossless(true);
    let options = options.spin(Duration::ZERO).yielding(Duration::ZERO).slice(60 * LONG);
    let ring = options.create_memfd("cast").unwrap();
    let mut sender = ring.sender().unwrap();
    assert_eq!(sender.try_send_many(&[0, 1]), Ok(2));
    let file = std::fs::File::from(ring.segment_fd().unwrap().try_clone_to_owned().unwrap());
    let at = |name| FORMAT.iter().find(|(known, _)| *known == name).unwrap().1;
    let flag = at("line") * 3 + at("broadcast not full");
    let (done, sent) = mpsc::channel();
    let (come, comes) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        // The position is told before the sender looks at it.
        comes.recv_timeout(LONG).unwrap();
        sender.send(2).unwrap();
        done.send(sender.rescues()).unwrap();
    });
    let mut come = Some(come);
    let liar: Liar = Box::new(move |edge, truth| {
        // The first such load after the position was told is that of the limit.
        if edge == "relaxed::FENCED"
            && let Some(come) = come.take()
        {
            come.send(()).unwrap();
            casts::until("the sender sleeps, or is about to", || {
                let mut word = [0; 8];
                file.read_exact_at(&mut word, flag).unwrap();
                word[0] & 1 == 1
            });
        }
        truth
    });
    let refused = lie(liar, || ring.receiver_from(Start::Position(99)).unwrap_err());
    assert!(matches!(refused, Error::Option { option: "position", value: 99, .. }), "{refused}");
    assert_eq!(sent.recv_timeout(LONG), Ok(0));
    thread.join().unwrap();
}

/// One who asked for no position was told that it had missed messages.
#[test]
fn whoever_begins_with_the_newest_or_the_oldest_has_missed_nothing() {
    for start in [Start::Newest, Start::Oldest] {
        let ring = Ring::<u64>::options().capacity(4).lossless(true).create_memfd("cast").unwrap();
        let mut sender = ring.sender().unwrap();
        for message in 0..9 {
            sender.try_send(message).unwrap();
        }
        // The tail is a hint: it may be seen late.
        let late: Liar = Box::new(|edge, truth| if edge == "relaxed::HINT" { 1 } else { truth });
        let mut receiver = lie(late, || ring.receiver_from(start).unwrap());
        let first = receiver.position();
        for message in first..9 {
            assert_eq!(receiver.try_recv(), Ok(message));
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
}

/// Within a lap of the last position those who came were told of corruption.
#[test]
fn the_last_lap_is_as_good_as_any() {
    let end = 1 << 62;
    for lossless in [false, true] {
        let options = Ring::<u64>::options().capacity(4).lossless(lossless).start(end - 6);
        let ring = options.create_memfd("cast").unwrap();
        let mut first = ring.receiver().unwrap();
        for position in end - 6..end {
            let mut sender = ring.sender().unwrap();
            assert_eq!(sender.position(), position);
            sender.try_send(position).unwrap();
            drop(sender);
            let mut second = ring.receiver_from(Start::Position(position)).unwrap();
            assert_eq!((second.try_recv(), first.try_recv()), (Ok(position), Ok(position)));
            assert_eq!(second.latest(), Ok(position));
            assert_eq!(ring.receiver().unwrap().position(), position + 1);
        }
        let mut sender = ring.sender().unwrap();
        let refused = TrySendError::Fault(7, Fault::PositionLimit);
        assert_eq!((sender.position(), sender.try_send(7)), (end, Err(refused)));
        let ended = Err(TryRecvError::Fault(Fault::PositionLimit));
        assert_eq!((first.try_recv(), ring.receiver().unwrap().try_recv()), (ended, ended));
    }
}
