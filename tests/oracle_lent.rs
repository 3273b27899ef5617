//! Guards that lend the slot itself, between peers that trust one another and on the
//! heap: what is written there is what was sent, and nothing else shows through.
#![allow(unsafe_code)]

mod oracles;
mod scale;
mod support;

use annulus::spsc::Ring;
use annulus::{Message, Options, Trusted, TryRecvError};
use oracles::message::{bytes, from_bytes, to_bytes};
use oracles::{Align16, Align128};

/// Every kind of trusted ring: on the heap, and a memfd opened twice.
fn rings<M: annulus::Payload + ?Sized>(
    options: &Options<Ring<M>>,
) -> [(Ring<M, Trusted>, Ring<M, Trusted>); 2] {
    let heap = options.create_heap().unwrap();
    // SAFETY: the peers are in this test, and keep the protocol.
    let trusting: Options<Ring<M, Trusted>> = unsafe { options.trust_peers() };
    let one = trusting.create_memfd("lent").unwrap();
    let fd = one.segment_fd().unwrap().try_clone_to_owned().unwrap();
    let other = trusting.from_fd(fd).unwrap();
    [(heap.clone(), heap), (one, other)]
}

fn lends<T: Message + Copy>() {
    for (one, other) in rings(&Ring::<T>::options().capacity(4)) {
        let (mut sender, mut receiver) = (one.sender().unwrap(), other.receiver().unwrap());
        for seed in 0..20 {
            let truth = bytes(size_of::<T>(), seed);
            let mut slot = sender.reserve().unwrap();
            match seed % 4 {
                0 => *slot = from_bytes(&truth),
                1 => slot.as_mut_bytes().copy_from_slice(&truth),
                2 => _ = slot.append(&truth),
                _ => _ = slot.write(&from_bytes(&truth)),
            }
            assert_eq!(slot.written(), truth.len());
            assert_eq!(to_bytes(&*slot), truth);
            assert!(std::ptr::from_ref(&*slot).addr().is_multiple_of(align_of::<T>()));
            slot.commit();
            let guard = receiver.recv_ref().unwrap();
            assert_eq!(to_bytes(&*guard), truth);
            assert_eq!((to_bytes(&guard.read()), guard.len()), (truth.clone(), truth.len()));
            assert!(std::ptr::from_ref(&*guard).addr().is_multiple_of(align_of::<T>()));
        }
    }
}

#[test]
fn a_slot_is_lent_whatever_its_size_and_alignment() {
    lends::<u8>();
    lends::<[u8; 3]>();
    lends::<u64>();
    lends::<[u16; 50]>();
    lends::<[u8; 1000]>();
    lends::<Align16>();
    lends::<Align128>();
    lends::<()>();
}

#[test]
fn a_slot_that_was_only_looked_at_is_sent_as_zeros() {
    for (one, other) in rings(&Ring::<[u8; 100]>::options().capacity(1)) {
        let (mut sender, mut receiver) = (one.sender().unwrap(), other.receiver().unwrap());
        let slot = sender.reserve().unwrap();
        assert_eq!((*slot, slot.written()), ([0; 100], 0));
        slot.commit();
        assert_eq!(receiver.recv(), Ok([0; 100]));
        sender.send([7; 100]).unwrap();
        assert_eq!(receiver.recv(), Ok([7; 100]));
        // What an earlier lap left is there to be seen, but not sent.
        let slot = sender.reserve().unwrap();
        assert_eq!(*slot, [7; 100]);
        slot.commit();
        assert_eq!(receiver.recv(), Ok([0; 100]));
        // Borrowed to be written it counts as written.
        sender.send([9; 100]).unwrap();
        receiver.recv().unwrap();
        let mut slot = sender.reserve().unwrap();
        slot[0] = 1;
        slot.commit();
        assert_eq!(receiver.recv().unwrap()[..3], [1, 9, 9]);
    }
}

#[test]
fn an_aborted_loan_is_not_sent() {
    for (one, other) in rings(&Ring::<u64>::options().capacity(2)) {
        let (mut sender, mut receiver) = (one.sender().unwrap(), other.receiver().unwrap());
        *sender.reserve().unwrap() = u64::MAX;
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
    }
}

#[test]
fn as_many_bytes_are_sent_as_were_said_to_be_written() {
    for (one, other) in rings(&Ring::<[u8]>::options().capacity(4).max_len(50)) {
        let (mut sender, mut receiver) = (one.sender().unwrap(), other.receiver().unwrap());
        for len in (0..=50).chain([0, 50, 1]) {
            let truth = bytes(50, len as u64);
            let mut slot = sender.reserve().unwrap();
            assert_eq!((slot.capacity(), slot.written()), (50, 0));
            slot.as_mut_slice().copy_from_slice(&truth);
            slot.set_written(len);
            slot.commit();
            let guard = receiver.recv_ref().unwrap();
            assert_eq!((&*guard, guard.len()), (&truth[..len], len));
            assert_eq!(guard.to_vec(), truth[..len]);
        }
        // What was not said to be written is nothing.
        let mut slot = sender.reserve().unwrap();
        slot.as_mut_slice().fill(1);
        slot.commit();
        assert_eq!(receiver.recv_ref().unwrap().len(), 0);
        // Behind what was appended.
        let mut slot = sender.reserve().unwrap();
        slot.append(b"one ");
        slot.as_mut_slice()[4..7].copy_from_slice(b"two");
        slot.set_written(7);
        slot.append(b" three");
        slot.commit();
        assert_eq!(&*receiver.recv_ref().unwrap(), b"one two three");
    }
}

#[test]
#[should_panic(expected = "51 bytes do not fit the message")]
fn more_bytes_than_fit_cannot_be_said_to_be_written() {
    let ring = Ring::<[u8]>::options().capacity(4).max_len(50).create_heap().unwrap();
    ring.sender().unwrap().reserve().unwrap().set_written(51);
}
