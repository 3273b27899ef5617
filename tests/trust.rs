//! Endpoints that trust their peers lend the memory itself, in place; others copy.
#![allow(unsafe_code)]

mod ground;
mod support;

use std::ops::{Deref, DerefMut};

use annulus::spsc::{self, Ring};
use annulus::{Options, RecvError};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use ground::{Ground, KINDS, LONG};
use support::{Family, Role};

support::roles! { answers_in_place, answers_bytes_in_place }

/// Aligned as far as a ring allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C, align(128))]
struct Wide {
    number: u64,
    rest: [u64; 15],
}

impl Wide {
    fn new(number: u64) -> Self {
        Self { number, rest: [number; 15] }
    }
}

fn trusting<M: annulus::Payload + ?Sized>(
    options: Options<Ring<M>>,
) -> Options<Ring<M, annulus::Trusted>> {
    // SAFETY: both ends are this test's, and keep the protocol; nobody shortens the file.
    unsafe { options.trust_peers() }
}

/// Whether what a guard lends lies within a mapping of the segment, not in a copy.
fn is_mapped_shared<T: ?Sized>(lent: &T) -> bool {
    let address = std::ptr::from_ref(lent).addr();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().any(|line| {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        (number(start)..number(end)).contains(&address) && rest[..4].ends_with('s')
    })
}

fn options() -> Options<Ring<Wide>> {
    Ring::options().capacity(4)
}

#[test]
fn trusted_guards_lend_aligned_references_into_the_segment() {
    for kind in KINDS {
        let (ground, _ring) = Ground::new(kind, &options());
        let fd = ground.file(true);
        let ring = match kind {
            ground::Kind::Memfd => trusting(options()).from_fd(fd.into()).unwrap(),
            _ => trusting(options()).open(ground.address()).unwrap(),
        };
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        // More than two laps, so that old messages lie where new ones are written.
        for n in 0..10_u64 {
            let mut slot = sender.reserve().unwrap();
            assert!(std::ptr::from_ref::<Wide>(&slot).addr().is_multiple_of(128));
            assert!(is_mapped_shared::<Wide>(&slot));
            let mut left = Wide::new(n.saturating_sub(2));
            left.rest[3] += u64::from(n > 1);
            assert_eq!(*slot, left, "what an earlier lap left");
            *slot = Wide::new(n);
            slot.rest[3] += 1;
            assert_eq!(slot.written(), size_of::<Wide>());
            slot.commit();
            let guard = receiver.recv_ref().unwrap();
            assert!(std::ptr::from_ref::<Wide>(&guard).addr().is_multiple_of(128));
            assert!(is_mapped_shared::<Wide>(&guard));
            assert_eq!((guard.number, guard.rest[2], guard.rest[3]), (n, n, n + 1));
            // A copy of it is the same.
            assert_eq!(guard.read(), *guard);
            drop(guard);
            sender.send(Wide::new(n)).unwrap();
            assert_eq!(receiver.recv().map(|wide| wide.number), Ok(n));
        }
    }
}

#[test]
fn a_reservation_that_was_only_looked_at_is_sent_as_zeros() {
    let ring = trusting(options()).create_memfd("trust").unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    for n in 1..9 {
        sender.send(Wide::new(n)).unwrap();
        receiver.recv().unwrap();
    }
    let slot = sender.reserve().unwrap();
    assert_eq!(slot.written(), 0);
    assert_ne!(slot.number, 0, "an older message shows");
    slot.commit();
    assert_eq!(receiver.recv(), Ok(Wide::new(0)), "but is not sent");
    // Given up, it is not sent either.
    let mut slot = sender.reserve().unwrap();
    *slot = Wide::new(99);
    drop(slot);
    assert_eq!(receiver.recv_timeout(std::time::Duration::ZERO), Err(RecvError::Timeout));
}

#[test]
fn byte_messages_are_lent_as_slices_and_sent_as_far_as_said() {
    let bytes = || Ring::<[u8]>::options().max_len(100).capacity(2);
    let shared = trusting(bytes()).create_memfd("trust").unwrap();
    for ring in [shared, bytes().create_heap().unwrap()] {
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        for len in [0, 1, 33, 100] {
            let mut slot = sender.reserve().unwrap();
            let whole = slot.as_mut_slice();
            assert_eq!(whole.len(), 100);
            whole.fill(len as u8);
            slot.set_written(len);
            slot.commit();
            let guard = receiver.recv_ref().unwrap();
            assert_eq!(*guard, *vec![len as u8; len]);
            assert_eq!(guard.len(), guard.deref().len());
            assert!(guard.as_ptr().addr().is_multiple_of(8));
        }
    }
}

#[test]
#[should_panic(expected = "101 bytes do not fit")]
fn more_bytes_than_fit_are_not_written() {
    let ring = Ring::<[u8]>::options().max_len(100).capacity(2).create_heap().unwrap();
    ring.sender().unwrap().reserve().unwrap().set_written(101);
}

#[test]
fn rings_of_the_heap_are_trusted_by_construction_and_need_no_unsafe() {
    let (mut sender, mut receiver) = spsc::channel::<Wide>(2).unwrap();
    let mut slot = sender.reserve().unwrap();
    slot.deref_mut().number = 7;
    let place = std::ptr::from_ref::<Wide>(&slot);
    slot.commit();
    let guard = receiver.recv_ref().unwrap();
    assert_eq!(guard.number, 7);
    assert_eq!(std::ptr::from_ref::<Wide>(&guard), place, "the same memory");
    drop(guard);
    // Trust can be given up.
    let ring = Ring::<u64>::options().capacity(2).create_heap().unwrap();
    let copying: Ring<u64> = ring.into();
    copying.sender().unwrap().send(7).unwrap();
    assert_eq!(copying.receiver().unwrap().recv_ref().unwrap().read(), 7);
}

/// Receives in place, and sends back in place.
fn answers_in_place(role: &mut Role) {
    let ring = if role.argument(0) == "passed" {
        trusting(options()).from_fd(role.inherited()).unwrap()
    } else {
        trusting(options()).open(role.argument(0)).unwrap()
    };
    let back = trusting(options()).from_fd(role.inherited()).unwrap();
    let (mut receiver, mut sender) = (ring.receiver().unwrap(), back.sender().unwrap());
    for n in 0..1000 {
        let question = receiver.recv_ref_timeout(LONG).unwrap();
        assert_eq!(*question, Wide::new(n));
        let mut answer = sender.reserve().unwrap();
        *answer = *question;
        answer.number += 1;
        answer.commit();
        role.counter("answered").add(1);
    }
}

#[test]
fn processes_that_trust_one_another_and_ones_that_do_not_share_a_ring() {
    let family = Family::new();
    for kind in KINDS {
        let (ground, ring) = Ground::new(kind, &options());
        let back = options().create_memfd("back").unwrap();
        let child = ground.pass(family.child(answers_in_place));
        let mut child = child.inherit(back.segment_fd().unwrap()).spawn();
        // This side copies.
        let (mut sender, mut receiver) = (ring.sender().unwrap(), back.receiver().unwrap());
        for n in 0..1000 {
            sender.send(Wide::new(n)).unwrap();
            let answer = receiver.recv_timeout(LONG).unwrap();
            assert_eq!((answer.number, answer.rest), (n + 1, [n; 15]));
        }
        child.wait_ok();
    }
}

/// Receives slices, and sends them back reversed.
fn answers_bytes_in_place(role: &mut Role) {
    let bytes = || trusting(Ring::<[u8]>::options());
    let (ring, back) = (bytes().from_fd(role.inherited()), bytes().from_fd(role.inherited()));
    let mut receiver = ring.unwrap().receiver().unwrap();
    let mut sender = back.unwrap().sender().unwrap();
    for _ in 0..500 {
        let question = receiver.recv_ref_timeout(LONG).unwrap();
        let mut answer = sender.reserve().unwrap();
        answer.as_mut_slice()[..question.len()].copy_from_slice(&question);
        answer.as_mut_slice()[..question.len()].reverse();
        answer.set_written(question.len());
        answer.commit();
        role.counter("answered").add(1);
    }
}

#[test]
fn slices_cross_between_processes_without_a_copy() {
    let family = Family::new();
    let bytes = || trusting(Ring::<[u8]>::options().max_len(300).capacity(2));
    let ring = bytes().create_memfd("there").unwrap();
    let back = bytes().create_memfd("back").unwrap();
    let child = family.child(answers_bytes_in_place).inherit(ring.segment_fd().unwrap());
    let mut child = child.inherit(back.segment_fd().unwrap()).spawn();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), back.receiver().unwrap());
    for n in 0..500 {
        let message: Vec<_> = (0..n % 301).map(|at| (at + n) as u8).collect();
        sender.send(&message).unwrap();
        let answer = receiver.recv_ref_timeout(LONG).unwrap();
        assert!(answer.iter().rev().eq(&message));
    }
    child.wait_ok();
}
