//! The broadcast's verbs, one by one, in one process.

use std::time::Duration;

use annulus::broadcast::{Receiver, Ring, Sender, Start};
use annulus::{
    Error, Field, RecvError, SeatState, SendError, TryRecvError, TrySendError, WaitError,
    WaitMethod,
};

fn ring(capacity: u64, lossless: bool) -> Ring<u64> {
    Ring::options().capacity(capacity).lossless(lossless).seats(4).create_memfd("cast").unwrap()
}

fn send(sender: &mut Sender<u64>, messages: std::ops::Range<u64>) {
    for message in messages {
        sender.try_send(message).unwrap();
    }
}

/// Everything that is there, until it is empty; what was missed as an error.
fn all(receiver: &mut Receiver<u64>) -> Vec<Result<u64, u64>> {
    let mut all = Vec::new();
    loop {
        match receiver.try_recv() {
            Ok(message) => all.push(Ok(message)),
            Err(TryRecvError::Lagged(missed)) => all.push(Err(missed)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return all,
            Err(other) => panic!("{other}"),
        }
    }
}

fn messages(range: std::ops::Range<u64>) -> Vec<Result<u64, u64>> {
    range.map(Ok).collect()
}

#[test]
fn every_receiver_gets_every_message() {
    for lossless in [false, true] {
        let ring = ring(8, lossless);
        let mut sender = ring.sender().unwrap();
        let mut receivers = [ring.receiver().unwrap(), ring.receiver().unwrap()];
        for lap in 0..5 {
            send(&mut sender, lap * 6..lap * 6 + 6);
            for receiver in &mut receivers {
                assert_eq!(all(receiver), messages(lap * 6..lap * 6 + 6));
            }
        }
        assert_eq!(ring.is_lossless(), lossless);
    }
}

#[test]
fn a_receiver_that_is_lapped_is_told_exactly_how_many_it_missed() {
    for capacity in [2, 4, 8, 16, 64] {
        for sent in 0..4 * capacity {
            let ring = ring(capacity, false);
            let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
            send(&mut sender, 0..sent);
            let all = all(&mut receiver);
            let missed = match all.first() {
                Some(Err(missed)) => *missed,
                _ => 0,
            };
            let rest = all.iter().filter(|it| it.is_ok()).copied().collect::<Vec<_>>();
            assert_eq!(rest, messages(missed..sent), "{sent} of {capacity}");
            assert_eq!(missed > 0, sent > capacity);
            assert!(missed <= sent.saturating_sub(capacity) + capacity / 8 + 1);
        }
    }
}

#[test]
fn the_slowest_receiver_holds_a_lossless_sender_back_until_it_leaves() {
    let ring = ring(4, true);
    let mut sender = ring.sender().unwrap();
    let (mut fast, mut slow) = (ring.receiver().unwrap(), ring.receiver().unwrap());
    send(&mut sender, 0..4);
    assert_eq!(all(&mut fast), messages(0..4));
    assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)));
    let timeout = Duration::from_millis(1);
    assert_eq!(sender.send_timeout(4, timeout), Err(SendError::Timeout(4)));
    assert_eq!(slow.try_recv(), Ok(0));
    send(&mut sender, 4..5);
    assert_eq!(sender.try_send(5), Err(TrySendError::Full(5)));
    drop(slow);
    send(&mut sender, 5..8);
    assert_eq!(sender.try_send(8), Err(TrySendError::Full(8)));
    assert_eq!(all(&mut fast), messages(4..8));
    drop(fast);
    send(&mut sender, 8..100);
}

#[test]
fn a_receiver_begins_where_it_says() {
    for lossless in [false, true] {
        let ring = ring(8, lossless);
        let mut sender = ring.sender().unwrap();
        let start = |start| all(&mut ring.receiver_from(start).unwrap());
        assert_eq!(start(Start::Oldest), []);
        send(&mut sender, 0..5);
        assert_eq!(start(Start::Newest), []);
        assert_eq!(start(Start::Oldest), messages(0..5));
        assert_eq!(start(Start::Position(3)), messages(3..5));
        assert_eq!(start(Start::Position(5)), []);
        let error = ring.receiver_from(Start::Position(6)).unwrap_err();
        assert!(matches!(error, Error::Option { option: "position", value: 6, .. }), "{error}");
        send(&mut sender, 5..20);
        let oldest = start(Start::Oldest);
        assert_eq!(oldest.last(), Some(&Ok(19)));
        assert!(oldest.iter().all(Result::is_ok) && oldest.len() <= 8, "{oldest:?}");
        let late = start(Start::Position(1));
        let Some(Err(missed)) = late.first() else { panic!("{late:?}") };
        assert_eq!(late[1..], messages(1 + missed..20));
    }
}

#[test]
fn the_newest_is_seen_without_being_taken() {
    for lossless in [false, true] {
        let ring = ring(4, lossless);
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        assert_eq!(receiver.latest(), Err(TryRecvError::Empty));
        for message in 0..4 {
            send(&mut sender, message..message + 1);
            assert_eq!((receiver.latest(), receiver.position()), (Ok(message), 0));
        }
        assert_eq!(all(&mut receiver), messages(0..4));
        send(&mut sender, 4..7);
        assert_eq!(receiver.latest(), Ok(6));
        assert_eq!(all(&mut receiver), messages(4..7));
    }
}

#[test]
fn one_who_is_late_skips_to_the_newest_and_knows_how_many() {
    for sent in [0, 3, 8, 9, 30] {
        let ring = ring(8, false);
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        send(&mut sender, 0..sent);
        let lagged = match receiver.try_recv() {
            Err(TryRecvError::Lagged(missed)) => missed,
            Ok(0) => 1,
            other => {
                assert_eq!(other, Err(TryRecvError::Empty));
                0
            }
        };
        assert_eq!(receiver.skip_to_newest(), Ok(sent - lagged));
        send(&mut sender, sent..sent + 1);
        assert_eq!(all(&mut receiver), messages(sent..sent + 1));
    }
}

#[test]
fn an_observer_can_ask_for_a_type_tag() {
    let name = format!("shm:annulus-test-tag-{}-{:x}", std::process::id(), 0x7a65);
    let options = Ring::<u64>::options().capacity(8).type_tag(7);
    let ring = options.create_new(&name).unwrap();
    let refused = annulus::broadcast::Observer::<u64>::open(&name).err();
    assert!(matches!(refused, Some(Error::Mismatch { field: Field::TypeTag, .. })));
    let mut observer = annulus::broadcast::Observer::open_as(&name, &options).unwrap();
    annulus::unlink(&name).unwrap();
    ring.sender().unwrap().send(5).unwrap();
    assert_eq!(observer.try_recv(), Ok(5));
}

#[test]
fn a_sender_goes_on_where_another_ended() {
    let ring = ring(8, false);
    let mut receiver = ring.receiver().unwrap();
    for sender in 0..4 {
        let mut one = ring.sender().unwrap();
        assert!(matches!(ring.sender(), Err(Error::SeatTaken { role: "sender", .. })));
        assert_eq!(one.position(), sender * 3);
        send(&mut one, sender * 3..sender * 3 + 3);
        drop(one);
        assert_eq!(receiver.peer().unwrap(), SeatState::Closed);
        assert_eq!(all(&mut receiver), messages(sender * 3..sender * 3 + 3));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
    }
}

#[test]
fn seats_are_finite_and_given_back() {
    let ring = ring(8, true);
    let mut receivers: Vec<_> = (0..3).map(|_| ring.receiver().unwrap()).collect();
    assert_eq!(receivers.iter().map(Receiver::seat).collect::<Vec<_>>(), [1, 2, 3]);
    let error = ring.receiver().unwrap_err();
    assert!(matches!(error, Error::NoSeat { role: "receiver", seats: 3 }), "{error}");
    for _ in 0..10 {
        receivers.remove(1);
        receivers.insert(1, ring.receiver().unwrap());
    }
    let mut sender = ring.sender().unwrap();
    assert_eq!(sender.receivers().unwrap(), 3);
    assert_eq!(sender.wait_for_peer(None), Ok(()));
    drop(receivers);
    let timeout = Some(Duration::from_millis(1));
    assert_eq!(sender.wait_for_peer(timeout), Err(WaitError::Timeout));
    assert_eq!(sender.receivers().unwrap(), 0);
}

#[test]
fn batches_arrive_in_order() {
    let ring = ring(8, true);
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    assert_eq!(sender.try_send_many(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), Ok(8));
    assert_eq!(sender.try_send_many(&[8]), Err(TrySendError::Full(())));
    let mut out = [0; 5];
    assert_eq!((receiver.try_recv_many(&mut out), out), (Ok(5), [0, 1, 2, 3, 4]));
    assert_eq!((receiver.try_recv_many(&mut out), &out[..3]), (Ok(3), &[5, 6, 7][..]));
    assert_eq!(receiver.try_recv_many(&mut out), Err(TryRecvError::Empty));
    assert_eq!((receiver.try_recv_many(&mut []), sender.try_send_many(&[])), (Ok(0), Ok(0)));
    sender.send_many(&[8, 9]).unwrap();
    assert_eq!(all(&mut receiver), messages(8..10));
}

#[test]
fn byte_messages_have_their_lengths() {
    let ring = Ring::<[u8]>::options().capacity(4).max_len(10).create_memfd("cast").unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    for message in [&b""[..], b"0123456789", b"abc"] {
        sender.try_send(message).unwrap();
    }
    assert_eq!(sender.try_send(b"0123456789x"), Err(TrySendError::TooLong(())));
    let mut out = [0; 10];
    assert_eq!(receiver.try_recv(&mut out), Ok(0));
    assert_eq!(receiver.try_recv(&mut out[..9]), Err(TryRecvError::TooSmall { needed: 10 }));
    assert_eq!((receiver.try_recv(&mut out), &out), (Ok(10), b"0123456789"));
    assert_eq!((receiver.latest(&mut out), &out[..3]), (Ok(3), &b"abc"[..]));
    let seen = receiver.try_recv_with(|view| (view.position(), view.len())).unwrap();
    assert_eq!(seen, (2, 3));
    assert_eq!(receiver.recv_timeout(&mut out, Duration::ZERO), Err(RecvError::Timeout));
}

#[test]
fn a_lossless_ring_is_not_opened_as_one_that_overwrites() {
    let ring = ring(8, true);
    let fd = || ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
    assert!(Ring::<u64>::from_fd(fd()).unwrap().is_lossless());
    assert!(Ring::<u64>::options().lossless(true).from_fd(fd()).is_ok());
    let refused = [
        (Ring::<u64>::options().lossless(false).from_fd(fd()), Field::Kind),
        (Ring::<u64>::options().seats(5).from_fd(fd()), Field::Seats),
        (Ring::<u64>::options().capacity(4).from_fd(fd()), Field::Capacity),
    ];
    for (outcome, expected) in refused {
        assert!(matches!(outcome, Err(Error::Mismatch { field, .. }) if field == expected));
    }
    let seats = |seats| Ring::<u64>::options().seats(seats).create_heap().map(drop);
    for seats in [seats(0), seats(1), seats(513)] {
        assert!(matches!(seats, Err(Error::Option { option: "seats", .. })));
    }
    assert_eq!(Ring::<u64>::options().create_heap().unwrap().seats(), 64);
    let semaphores = Ring::<u64>::options().wait_method(WaitMethod::Semaphore);
    assert!(matches!(semaphores.create_new("shm:no"), Err(Error::Unsupported(_))));
}

#[test]
fn receivers_asleep_all_wake() {
    for lossless in [false, true] {
        let options = Ring::<u64>::options().capacity(4).lossless(lossless).seats(4);
        let options = options.spin(Duration::ZERO).yielding(Duration::ZERO);
        let ring = options.slice(Duration::from_secs(600)).create_memfd("cast").unwrap();
        let mut sender = ring.sender().unwrap();
        let receive = |mut receiver: Receiver<u64>| {
            std::thread::spawn(move || {
                let mut sum = 0;
                loop {
                    match receiver.recv() {
                        Ok(message) => sum += message,
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return (sum, receiver.rescues()),
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        };
        let threads: Vec<_> = (0..3).map(|_| receive(ring.receiver().unwrap())).collect();
        for message in 0..2000 {
            sender.send(message).unwrap();
        }
        let rescues = sender.rescues();
        drop(sender);
        for thread in threads {
            let (sum, rescued) = thread.join().unwrap();
            assert_eq!((rescues, rescued), (0, 0));
            assert!(!lossless || sum == 1999 * 1000);
        }
    }
}

#[test]
fn no_message_is_torn_however_fast_it_is_overwritten() {
    type Message = [u64; 32];
    let ring = Ring::<Message>::options().capacity(2).create_memfd("cast").unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let thread = std::thread::spawn(move || {
        for number in 0..200_000_u64 {
            sender.try_send([number; 32]).unwrap();
        }
    });
    let (mut next, mut seen) = (0, 0);
    loop {
        match receiver.try_recv() {
            Ok(message) => {
                assert_eq!(message, [next; 32]);
                (next, seen) = (next + 1, seen + 1);
            }
            Err(TryRecvError::Lagged(missed)) => next += missed,
            Err(TryRecvError::Empty) => {
                if let Ok(message) = receiver.latest() {
                    assert_eq!(message, [message[0]; 32]);
                }
            }
            Err(TryRecvError::Closed) => break,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(next == 200_000 && seen > 0, "{seen} of {next}");
    thread.join().unwrap();
}
