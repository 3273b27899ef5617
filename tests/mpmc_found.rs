//! What was wrong once with the mpmc ring, and is not any more.
#![allow(unsafe_code)]

mod mpmcs;
mod support;

use std::ptr::NonNull;
use std::time::Duration;

use annulus::hooks::kill_before;
use annulus::mpmc::{Receiver, Ring, Sender};
use annulus::{RecvError, Segment, SendError, TryRecvError};
use mpmcs::site::{Place, Site};
use mpmcs::world::quiet;

fn site(capacity: u64, seats: u64) -> Site<u64> {
    quiet();
    let options = Ring::options().capacity(capacity).seats(seats);
    Site::new(Place::Memfd, &options.slice(Duration::from_millis(2)))
}

/// A receiver that reads a message and dies under the guard.
fn die_reading(mut receiver: Receiver<u64>) {
    let read = move || {
        std::mem::forget(receiver.try_recv_ref().unwrap());
        receiver.try_recv()
    };
    // Counter, word, claim, counter, word again, length or bytes; then the release.
    assert!(kill_before(6, read).is_none());
}

#[test]
fn a_sender_is_told_that_the_last_receiver_died_with_a_message_in_hand() {
    let site = site(2, 1);
    let (mut sender, receiver) = (site.one.sender().unwrap(), site.other.receiver().unwrap());
    sender.try_send_many(&[0, 1]).unwrap();
    die_reading(receiver);
    // Its seat can't be settled without a receiver: that is no reason to wait for ever.
    let said = sender.send_timeout(2, Duration::from_secs(10));
    assert_eq!(said, Err(SendError::Died(2)));
    assert_eq!(site.seat(1).state, 2, "the estate waits");
    let mut receiver = site.other.receiver().unwrap();
    assert_eq!((receiver.try_recv(), receiver.last().redelivered), (Ok(0), true));
    assert_eq!((receiver.try_recv(), receiver.last().redelivered), (Ok(1), false));
    sender.send(3).unwrap();
}

#[test]
fn a_newcomer_inherits_only_where_no_seat_can_be_settled() {
    let site = site(4, 2);
    let mut sender = site.one.sender().unwrap();
    let (one, mut two) = (site.other.receiver().unwrap(), site.other.receiver().unwrap());
    sender.try_send_many(&[0, 1]).unwrap();
    die_reading(one);
    assert!(kill_before(1, move || two.try_recv()).is_none());
    let mut receiver = site.other.receiver().unwrap();
    assert_eq!(receiver.seat(), 3, "the seat of the one who held nothing");
    assert_eq!((receiver.try_recv(), receiver.last().redelivered), (Ok(1), false));
    assert_eq!(receiver.recv(), Ok(0));
    assert!(receiver.last().redelivered);
}

#[test]
fn an_heir_who_has_settled_everything_receives_at_once() {
    let site = site(4, 1);
    let mut sender = site.one.sender().unwrap();
    let receiver = site.other.receiver().unwrap();
    sender.try_send_many(&[0, 1]).unwrap();
    die_reading(receiver);
    let mut heir = site.other.receiver().unwrap();
    std::mem::forget(heir.try_recv_ref().unwrap());
    // Settles the estate, and is an heir no more.
    assert_eq!((heir.try_recv(), heir.last().redelivered), (Ok(1), false));
    assert_eq!(heir.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn one_who_looks_for_the_dead_in_vain_is_told_stalled_and_not_empty() {
    let site = site(4, 2);
    let (mut one, mut two) = (site.one.sender().unwrap(), site.one.sender().unwrap());
    let mut receiver = site.other.receiver().unwrap();
    let slot = one.reserve().unwrap();
    two.try_send(1).unwrap();
    for _ in 0..10_000 {
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Stalled));
    }
    slot.commit();
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(0), Ok(1)));
}

/// Memory that two "processes" share without a file to lock.
fn mappings() -> [Segment; 2] {
    #[repr(align(4096))]
    struct Memory([u8; 1 << 14]);
    let memory: &'static mut Memory = Box::leak(Box::new(Memory([0; 1 << 14])));
    let base = NonNull::from(&mut memory.0).cast::<u8>();
    [(); 2].map(|()| {
        // SAFETY: leaked, so it stays; nobody else has it.
        unsafe { Segment::from_mapping(base, 1 << 14, None, Box::new(())) }.unwrap()
    })
}

#[test]
fn where_the_kernel_can_not_say_who_lives_nobody_is_taken_for_dead() {
    let [one, other] = mappings();
    let options = Ring::<u64>::options().capacity(2).seats(2).slice(Duration::from_millis(1));
    let (one, other) = (options.create_in(one).unwrap(), options.open_in(other).unwrap());
    let mut sender: Sender<u64> = one.sender().unwrap();
    let mut late = other.sender().unwrap();
    assert_ne!(sender.seat(), late.seat(), "a seat has one occupant");
    let mut receiver = other.receiver().unwrap();
    let slot = sender.reserve().unwrap();
    late.try_send(1).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_millis(10)), Err(RecvError::Timeout));
    assert_eq!(slot.commit(), 0);
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(1)));
    assert!(other.sender().is_err(), "both seats are taken");
}

#[test]
fn a_kept_message_of_one_who_leaves_goes_to_the_next() {
    let options = Ring::<[u8]>::options().capacity(2).seats(1).max_len(8);
    let site = Site::new(Place::Memfd, &options);
    let (mut sender, mut out) = (site.one.sender().unwrap(), [0; 8]);
    sender.try_send(b"12345678").unwrap();
    for _ in 0..3 {
        let mut receiver = site.other.receiver().unwrap();
        let said = receiver.try_recv(&mut out[..1]);
        assert_eq!(said, Err(TryRecvError::TooSmall { needed: 8 }));
    }
    let mut receiver = site.other.receiver().unwrap();
    assert_eq!((receiver.try_recv(&mut out), &out), (Ok(8), b"12345678"));
    assert!(receiver.last().redelivered);
    assert_eq!(receiver.try_recv(&mut out), Err(TryRecvError::Empty));
}

#[test]
fn what_comes_again_in_a_waiting_batch_comes_alone_and_marked() {
    let site = site(4, 2);
    let (mut sender, mut late) = (site.one.sender().unwrap(), site.one.sender().unwrap());
    let (one, mut two) = (site.other.receiver().unwrap(), site.other.receiver().unwrap());
    sender.try_send(0).unwrap();
    die_reading(one);
    // Counter, word, claim, counter; then the message: its position is taken, and no more.
    assert!(kill_before(5, move || sender.try_send(1)).is_none());
    late.try_send(2).unwrap();
    let mut out = [9; 4];
    // Who looks for the dead buries position 1 first, so that 2 is there with what comes again.
    assert_eq!((two.recv_many(&mut out), out[0]), (Ok(1), 0));
    assert!(two.last().redelivered);
    assert_eq!((two.recv_many(&mut out), out[0]), (Ok(1), 2));
    assert!(!two.last().redelivered);
}
