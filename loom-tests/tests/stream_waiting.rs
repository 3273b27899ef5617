//! Endpoints of a stream that sleep: nobody sleeps while there is something for him to do,
//! or to hear. A lost wake-up is a deadlock.

#![cfg(loom)]

use std::collections::BTreeSet;
use std::fmt::Debug;

use annulus::hooks::Payload;
use annulus::{RecvError, SendError};
use annulus_loom_tests::{Bounds, explore, is_full, stream_waiting as waiting};

/// Explores a model that has one outcome, within `preemptions` switches and a few more if
/// there is time; it takes `floor` executions at least.
fn is_always<T, F>(only: T, preemptions: usize, floor: usize, payload: Payload, model: F)
where
    T: Debug + PartialEq,
    F: Fn(Payload) -> T + Send + Sync + 'static,
{
    let bounds = Bounds::preemptions(preemptions + usize::from(is_full()));
    // Errors have no order; what they say does.
    let explored = explore(bounds, move || format!("{:?}", model(payload)));
    println!("{payload:?}: {} executions", explored.executions);
    assert_eq!(explored.outcomes, BTreeSet::from([format!("{only:?}")]));
    assert!(explored.executions >= floor, "only {}", explored.executions);
}

/// Guards WAKE, PUBLISH and RETIRE together. Permitted: all bytes, then the end.
#[test]
fn bytes_arrive_through_a_ring_of_eight() {
    for payload in [Payload::Words, Payload::Cells] {
        is_always((waiting::BOTH.to_vec(), RecvError::Closed), 3, 9_000, payload, |payload| {
            waiting::sixteen_bytes(payload, waiting::finish, None)
        });
    }
}

/// The same by `send` and `recv`, a piece at a time.
#[test]
fn bytes_arrive_by_the_piece() {
    let all = b"abcdefghij".to_vec();
    is_always(all, 1, 3_200, Payload::Words, waiting::some_bytes_by_the_piece);
}

/// Guards the notice that a sender gives when he goes without saying the end.
#[test]
fn a_sleeping_receiver_hears_of_an_abort() {
    is_always((waiting::BOTH.to_vec(), RecvError::Died), 2, 24, Payload::Words, |payload| {
        waiting::sixteen_bytes(payload, |sender| sender.abort(), None)
    });
}

/// Guards the notice that a receiver gives when he goes, in whatever way.
#[test]
fn a_sleeping_sender_hears_that_the_receiver_goes() {
    is_always(Err(SendError::Closed(())), 3, 50, Payload::Words, |payload| {
        waiting::no_room_any_more(payload, drop)
    });
    is_always(Err(SendError::Died(())), 3, 50, Payload::Words, |payload| {
        waiting::no_room_any_more(payload, |receiver| receiver.abort())
    });
}

/// Guards RETIRE's notice to one who waits for the last byte, and SEAT: what the receiver
/// took before he went counts.
#[test]
fn a_sender_waits_until_all_is_received() {
    for payload in [Payload::Words, Payload::Cells] {
        is_always(Ok(()), 3, 130, payload, |payload| {
            waiting::until_received(payload, waiting::take)
        });
    }
    is_always(Err(SendError::Closed(())), 3, 40, Payload::Words, |payload| {
        waiting::until_received(payload, drop)
    });
}

/// Guards the notice that each gives when he comes.
#[test]
fn each_waits_until_the_other_has_come() {
    is_always((), 3, 60, Payload::Words, waiting::both_come);
}
