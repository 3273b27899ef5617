//! Wait-free, in numbers: how many accesses to shared memory each call makes.
//!
//! A copy of message bytes counts as one. The numbers are the same on a ring of any
//! capacity, except those of a sender that comes, which walks over what waits.

mod hooks;
mod oracles;
mod scale;
mod support;

use annulus::hooks::{budget, count};
use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{TryRecvError, TrySendError};
use hooks::Words;
use oracles::place::{PLACES, Place, Site};

const CAPACITIES: [u64; 3] = [2, 4, 1024];

/// Runs `test` on rings of all kinds and some capacities.
fn everywhere(test: impl Fn(&Site<Words>, u64)) {
    for place in PLACES {
        for capacity in CAPACITIES {
            test(&Site::new(place, &Ring::options().capacity(capacity)), capacity);
        }
    }
}

fn both(site: &Site<Words>) -> (Sender<Words>, Receiver<Words>) {
    (site.one.sender().unwrap(), site.other.receiver().unwrap())
}

const M: Words = [7; 4];

#[test]
fn a_send_takes_three_accesses_and_a_look_at_the_head_one_more() {
    everywhere(|site, capacity| {
        let (mut sender, mut receiver) = both(site);
        for _ in 0..capacity {
            // The message, its stamp, the flag of a sleeper.
            assert_eq!(count(|| sender.try_send(M).unwrap()), ((), 3));
        }
        receiver.try_recv().unwrap();
        // The head first.
        assert_eq!(count(|| sender.try_send(M).unwrap()), ((), 4));
        // The head, the receiver's seat.
        assert_eq!(count(|| sender.try_send(M)), (Err(TrySendError::Full(M)), 2));
        drop(receiver);
        // And the head again, for what came before the leaving counts.
        assert_eq!(count(|| sender.try_send(M)), (Err(TrySendError::Closed(M)), 3));
    });
}

#[test]
fn a_batch_takes_two_accesses_a_message_and_looks_for_sleepers_once() {
    everywhere(|site, capacity| {
        let (mut sender, mut receiver) = both(site);
        let batch = vec![M; capacity as usize];
        assert_eq!(
            count(|| sender.try_send_many(&batch).unwrap()),
            (batch.len(), 2 * capacity + 1)
        );
        assert_eq!(count(|| sender.try_send_many(&[]).unwrap()), (0, 0));
        assert_eq!(count(|| sender.try_send_many(&batch)), (Err(TrySendError::Full(())), 2));
        // Is one ready; stamp and copy of each; the head, the flag.
        let mut out = batch.clone();
        assert_eq!(
            count(|| receiver.try_recv_many(&mut out).unwrap()),
            (out.len(), 2 * capacity + 3)
        );
        assert_eq!(count(|| receiver.try_recv_many(&mut []).unwrap()), (0, 0));
        sender.try_send(M).unwrap();
        // The stamp behind the last.
        assert_eq!(count(|| receiver.try_recv_many(&mut out).unwrap()), (1, 1 + 2 + 1 + 2));
    });
}

#[test]
fn a_receive_takes_four_accesses_and_so_does_an_empty_look_at_most() {
    everywhere(|site, capacity| {
        let (mut sender, mut receiver) = both(site);
        for _ in 0..2 * capacity {
            sender.try_send(M).unwrap();
            // The stamp, the message, the head, the flag of a sleeper.
            assert_eq!(count(|| receiver.try_recv().unwrap()), (M, 4));
        }
        // The stamp twice, the sender's seat.
        assert_eq!(count(|| receiver.try_recv()), (Err(TryRecvError::Empty), 3));
        drop(sender);
        // And the stamp again.
        assert_eq!(count(|| receiver.try_recv()), (Err(TryRecvError::Closed), 4));
    });
}

#[test]
fn writing_in_place_takes_an_access_a_copy_and_a_commit_two() {
    everywhere(|site, _| {
        let (mut sender, mut receiver) = both(site);
        let (mut slot, none) = count(|| sender.try_reserve().unwrap());
        assert_eq!(none, 0);
        assert_eq!(count(|| slot.append(&[1; 20])), (20, 1));
        assert_eq!(count(|| slot.append(&[2; 12])), (12, 1));
        // The stamp, the flag.
        assert_eq!(count(|| slot.commit()), (0, 2));
        // An abort.
        assert_eq!(count(|| drop(sender.try_reserve().unwrap())), ((), 0));
        receiver.try_recv().unwrap();
        let mut slot = sender.try_reserve().unwrap();
        assert_eq!(count(|| _ = slot.write(&M)), ((), 1));
        assert_eq!(count(|| slot.commit()), (1, 2));
        receiver.try_recv().unwrap();
        // The head, as for any send; then 256 bytes of zeros a copy, and one that finds
        // nothing left.
        let mut slot = count(|| sender.try_reserve().unwrap()).0;
        slot.append(&[1; 3]);
        assert_eq!(count(|| slot.commit()), (2, 4));
    });
}

#[test]
fn a_guard_takes_two_accesses_to_come_and_two_to_go() {
    everywhere(|site, _| {
        let (mut sender, mut receiver) = both(site);
        sender.try_send(M).unwrap();
        // The stamp, the claim.
        let (guard, exposing) = count(|| receiver.try_recv_ref().unwrap());
        assert_eq!(exposing, 2);
        assert_eq!(count(|| guard.read()), (M, 1));
        assert_eq!(count(|| guard.read_at(1, &mut [0; 9])), (9, 1));
        // The head, the flag.
        assert_eq!(count(|| guard.release()), ((), 2));
        sender.try_send(M).unwrap();
        std::mem::forget(receiver.try_recv_ref().unwrap());
        // The head and the flag for the forgotten one; the stamp, the sender's seat.
        assert_eq!(count(|| receiver.try_recv()), (Err(TryRecvError::Empty), 4));
    });
}

#[test]
fn looking_again_does_not_look_longer() {
    everywhere(|site, capacity| {
        let (mut sender, mut receiver) = both(site);
        for _ in 0..1000 {
            assert_eq!(count(|| receiver.try_recv()), (Err(TryRecvError::Empty), 3));
        }
        sender.try_send_many(&vec![M; capacity as usize]).unwrap();
        for _ in 0..1000 {
            assert_eq!(count(|| sender.try_send(M)), (Err(TrySendError::Full(M)), 2));
        }
    });
}

#[test]
fn a_timeout_of_nothing_polls_32_times() {
    everywhere(|site, capacity| {
        let (mut sender, mut receiver) = both(site);
        let none = std::time::Duration::ZERO;
        // Is it ready; a look; 32 polls; a look; a cancellation.
        assert_eq!(count(|| receiver.recv_timeout(none).is_err()), (true, 1 + 2 + 32 + 2 + 1));
        sender.try_send_many(&vec![M; capacity as usize]).unwrap();
        // A look; 8 rounds off the line; 32 polls; a look; a cancellation.
        assert_eq!(count(|| sender.send_timeout(M, none).is_err()), (true, 2 + 8 + 32 + 2 + 1));
    });
}

#[test]
fn coming_takes_a_walk_over_what_waits_and_leaving_a_fixed_number() {
    for place in PLACES {
        // On the heap the seat's lock is a word too.
        let lock = u64::from(place == Place::Heap);
        for capacity in CAPACITIES {
            for waiting in [0, 1, capacity] {
                let site = Site::<Words>::new(place, &Ring::options().capacity(capacity));
                let mut sender = site.one.sender().unwrap();
                sender.try_send_many(&vec![M; waiting as usize]).unwrap();
                // The state, the flag.
                assert_eq!(count(|| drop(sender)), ((), 2));
                // The seat: state, pid, state. The head. The stamps of those that wait
                // and, unless the ring is full, of the slot behind them. The flag.
                let walk = waiting + u64::from(waiting < capacity);
                let (_sender, coming) = count(|| site.one.sender().unwrap());
                assert_eq!(coming, lock + 3 + 1 + walk + 1);
                // The seat; the head, the claim, the flag.
                let (receiver, coming) = count(|| site.other.receiver().unwrap());
                assert_eq!(coming, lock + 3 + 3);
                // The claim, the state, the flag.
                assert_eq!(count(|| drop(receiver)), ((), 3));
            }
        }
    }
}

#[test]
fn a_budget_that_is_too_small_is_noticed() {
    hooks::quiet();
    let (mut sender, _receiver) = annulus::spsc::channel::<Words>(2).unwrap();
    budget(3, || sender.try_send(M).unwrap());
    let over = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        budget(2, || sender.try_send(M).unwrap());
    }));
    assert!(over.is_err());
}
