//! The shortest way through every verb.

use annulus::spsc::{self, Ring};
use annulus::{Error, SeatState, TryRecvError, TrySendError};

#[test]
fn messages_go_through_in_order() {
    let (mut sender, mut receiver) = spsc::channel::<u64>(4).unwrap();
    for lap in 0..10 {
        for i in 0..4 {
            sender.try_send(lap * 4 + i).unwrap();
        }
        assert_eq!(sender.try_send(99), Err(TrySendError::Full(99)));
        for i in 0..4 {
            assert_eq!(receiver.try_recv(), Ok(lap * 4 + i));
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn a_second_sender_is_refused_and_a_successor_continues() {
    let ring = Ring::<u64>::options().capacity(8).create_memfd("smoke").unwrap();
    let mut sender = ring.sender().unwrap();
    assert!(matches!(ring.sender(), Err(Error::SeatTaken { role: "sender", .. })));
    sender.send(1).unwrap();
    drop(sender);
    let mut sender = ring.sender().unwrap();
    assert_eq!(sender.position(), 1);
    sender.send(2).unwrap();
    let mut receiver = ring.receiver().unwrap();
    assert_eq!(receiver.peer().unwrap(), SeatState::Live);
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
}

#[test]
fn a_forgotten_guard_counts_as_released() {
    let (mut sender, mut receiver) = spsc::channel::<u64>(2).unwrap();
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    std::mem::forget(receiver.try_recv_ref().unwrap());
    assert_eq!(receiver.try_recv(), Ok(2));
}
