//! The net of the stream has no holes: bugs that are put into the shipped code are found.

#![cfg(loom)]

use annulus::hooks::{Bug, Payload, forge, lie};
use annulus_loom_tests::nets::{Net, is_caught, is_caught_by};
use annulus_loom_tests::spec::Role;
use annulus_loom_tests::{Bounds, find_bug, stream_waiting, streams};

#[test]
fn a_head_published_before_the_bytes_are_read() {
    is_caught(Bug::RetireBeforeCopy, &Net::of_wakeful_streams());
}

#[test]
fn a_tail_published_before_the_bytes_are_written() {
    is_caught(Bug::PublishBeforeCopy, &Net::of_wakeful_streams());
}

#[test]
fn no_second_look_for_bytes_after_closed() {
    is_caught(Bug::NoLookAfterClosed, &Net::of_wakeful_streams());
}

#[test]
fn no_second_look_before_sleeping() {
    is_caught(Bug::NoRecheck, &Net::of_sleeping_streams());
}

/// Shows too that either side does sleep in the models.
#[test]
fn one_who_does_not_look_for_sleepers() {
    for role in [Role::Sender, Role::Receiver] {
        let found = find_bug(Bounds::preemptions(1), move || {
            stream_waiting::sixteen_bytes(Payload::Words, stream_waiting::finish, Some(role)).0
        });
        println!("{role:?}: {found:?}");
        assert!(found.is_some_and(|found| found.message.contains("deadlock")));
    }
}

/// What the sender takes for the head is further than the receiver has come.
#[test]
fn room_for_more_than_there_is() {
    is_caught_by(streams::eight_bytes_lap_without_overwriting, |_, play| {
        let mut looks = 0;
        let liar = move |edge: &str, value: u64| {
            if edge != "retire::ACQUIRE" {
                return value;
            }
            // He looks when he takes the ring for full: each time one lap more.
            looks += 1;
            looks * 8
        };
        lie(Box::new(liar), play);
    });
}

/// What the receiver did before it left does not count.
#[test]
fn no_look_at_the_head_after_the_receiver_left() {
    is_caught_by(streams::what_was_received_is_known_at_the_end, |_, play| {
        let liar = |edge: &str, value: u64| if edge == "retire::ACQUIRE" { 0 } else { value };
        lie(Box::new(liar), play);
    });
}

/// The low byte of a seat's state that says vacant, or closed.
const STATE: u64 = 0xff;
const CLOSED: u64 = 3;

#[test]
fn an_end_that_is_not_noted() {
    is_caught_by(streams::all_is_received_before_the_end, |_, play| {
        let forger = |edge: &str, _, value: u64| (edge != "seat::RELEASE").then_some(value);
        forge(Box::new(forger), play);
    });
}

/// An abort that says that this was all.
#[test]
fn an_abort_that_passes_for_the_end() {
    is_caught_by(streams::all_is_received_before_an_abort, |_, play| {
        let forger = |edge: &str, _, value: u64| match edge {
            "seat::RELEASE" if value & STATE > CLOSED => Some(value & !STATE | CLOSED),
            _ => Some(value),
        };
        forge(Box::new(forger), play);
    });
}

/// A seat that was left as if nobody had been there is taken by another.
#[test]
fn a_second_sender_is_let_in() {
    is_caught_by(streams::two_senders_come_at_once_and_one_is_late, |_, play| {
        let forger = |edge: &str, _, value: u64| match edge {
            "seat::RELEASE" if value & STATE == CLOSED => Some(value & !STATE),
            _ => Some(value),
        };
        forge(Box::new(forger), play);
    });
}

/// The tail stays a word behind what was committed.
#[test]
fn a_commit_without_its_last_word() {
    is_caught_by(streams::no_commit_of_two_words_is_torn, |_, play| {
        let forger = |edge: &str, _, value: u64| match edge {
            "publish::RELEASE" => Some(value - 8),
            _ => Some(value),
        };
        forge(Box::new(forger), play);
    });
}

/// A guard that releases more than it was asked to.
#[test]
fn a_guard_that_releases_all() {
    is_caught_by(streams::a_guard_keeps_what_it_did_not_release, |_, play| {
        let forger = |edge: &str, _, value: u64| match edge {
            "retire::RELEASE" => Some(value.next_multiple_of(16)),
            _ => Some(value),
        };
        forge(Box::new(forger), play);
    });
}
