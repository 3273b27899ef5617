//! Endpoints that sleep: nobody sleeps on a ready ring. A lost wake-up is a deadlock.

#![cfg(loom)]

use std::collections::BTreeSet;

use annulus::hooks::Payload;
use annulus_loom_tests::waiting::{self, Received};
use annulus_loom_tests::{Bounds, explore, is_full};

/// Without a bound these models take hours.
fn bounds(preemptions: usize) -> Bounds {
    Bounds::preemptions(preemptions + usize::from(is_full()))
}

/// Guards WAKE, PUBLISH and RETIRE together. Permitted: all messages, in order.
#[test]
fn a_stream_arrives_through_one_slot() {
    for payload in [Payload::Words, Payload::Cells] {
        let stream = explore(bounds(3), move || waiting::a_stream(payload, 1, 2, None));
        assert_eq!(stream.outcomes, BTreeSet::from([vec![1, 2]]));
        println!("{payload:?}: {} executions", stream.executions);
        assert!(stream.executions >= 6_000, "only {}", stream.executions);
    }
}

/// The same with room for two, so that a side can be ahead of the other by a message.
#[test]
fn a_stream_arrives_through_two_slots() {
    for payload in [Payload::Words, Payload::Cells] {
        let stream = explore(bounds(2), move || waiting::a_stream(payload, 2, 3, None));
        assert_eq!(stream.outcomes, BTreeSet::from([vec![1, 2, 3]]));
        println!("{payload:?}: {} executions", stream.executions);
        assert!(stream.executions >= 700, "only {}", stream.executions);
    }
}

/// Guards WAKE's BUMP: whoever draws the new generation has heard the news.
#[test]
fn a_cancellation_is_not_missed() {
    let cancelled = explore(Bounds::none(), || waiting::a_cancellation(Payload::Words));
    println!("{} executions", cancelled.executions);
    assert!(cancelled.executions >= 60, "only {}", cancelled.executions);
}

/// Guards the notice that a receiver gives when he comes.
#[test]
fn a_successor_wakes_the_sender_whom_the_dead_did_not() {
    kill_everywhere(&waiting::received_by_two(), waiting::a_sender_sleeps_and_a_receiver_dies);
}

/// Guards the notice that a sender gives when he comes.
#[test]
fn a_successor_wakes_the_receiver_whom_the_dead_did_not() {
    kill_everywhere(&waiting::received_from_two(), waiting::a_receiver_sleeps_and_a_sender_dies);
}

/// Kills before each access until nobody is killed any more; permitted is what must be
/// reached too.
fn kill_everywhere(permitted: &BTreeSet<Received>, model: fn(Payload, u64) -> Received) {
    for payload in [Payload::Words, Payload::Cells] {
        let mut outcomes = BTreeSet::new();
        let mut executions = 0;
        for kill in 1.. {
            let explored = explore(bounds(1), move || model(payload, kill));
            executions += explored.executions;
            let is_killed = explored.outcomes.iter().any(|(killed, _)| *killed);
            outcomes.extend(explored.outcomes);
            if !is_killed {
                break;
            }
        }
        println!("{payload:?}: {executions} executions");
        assert_eq!(&outcomes, permitted);
        assert!(executions >= 500, "only {executions}");
    }
}
