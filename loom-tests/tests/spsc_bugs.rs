//! The net has no holes: bugs that are put into the shipped code are found.

#![cfg(loom)]

use annulus::hooks::{Bug, Payload, forge, lie};
use annulus_loom_tests::nets::{Net, is_caught, is_caught_by};
use annulus_loom_tests::spec::Role;
use annulus_loom_tests::{Bounds, find_bug, models, waiting};

#[test]
fn a_head_published_before_the_message_is_read() {
    is_caught(Bug::RetireBeforeCopy, &Net::of_the_wakeful());
}

#[test]
fn a_stamp_published_before_the_message_is_written() {
    is_caught(Bug::PublishBeforeCopy, &Net::of_the_wakeful());
}

#[test]
fn no_second_look_for_messages_after_closed() {
    is_caught(Bug::NoLookAfterClosed, &Net::of_the_wakeful());
}

#[test]
fn an_exposure_that_is_not_noted() {
    is_caught(Bug::NoClaim, &Net::of_the_wakeful());
}

#[test]
fn no_second_look_before_sleeping() {
    is_caught(Bug::NoRecheck, &Net::of_the_sleeping());
}

#[test]
fn a_wake_before_the_new_generation() {
    is_caught(Bug::WakeBeforeBump, &Net::of_the_sleeping());
}

/// Shows too that either side does sleep in the models.
#[test]
fn one_who_does_not_look_for_sleepers() {
    for role in [Role::Sender, Role::Receiver] {
        let found = find_bug(Bounds::preemptions(1), move || {
            waiting::a_stream(Payload::Words, 1, 2, Some(role))
        });
        println!("{role:?}: {found:?}");
        assert!(found.is_some_and(|found| found.message.contains("deadlock")));
    }
}

/// The low byte of a seat's state that says closed.
const CLOSED: u64 = 3;

#[test]
fn no_second_look_for_room_after_closed() {
    is_caught_by(models::room_is_seen_before_closed, |_, play| {
        let (mut head, mut closed) = (0, false);
        let liar = move |edge: &str, value: u64| match edge {
            "seat::ACQUIRE" => {
                closed = value & 0xff == CLOSED;
                value
            }
            "retire::ACQUIRE" if closed => head,
            "retire::ACQUIRE" => {
                head = value;
                value
            }
            _ => value,
        };
        lie(Box::new(liar), play);
    });
}

#[test]
fn room_for_one_too_many() {
    is_caught_by(models::one_slot_laps_without_overwriting, |_, play| {
        let mut looks = 0;
        let liar = move |edge: &str, value: u64| {
            if edge != "retire::ACQUIRE" {
                return value;
            }
            // He looks when he takes the ring for full: each time one more was received.
            looks += 1;
            looks
        };
        lie(Box::new(liar), play);
    });
}

#[test]
fn a_successor_who_takes_the_head_for_the_tail() {
    is_caught_by(models::a_sender_takes_over, |thread, play| {
        // The successor sees the first lap's stamps as they were before they were stored.
        let liar = |edge: &str, value: u64| match (edge, value) {
            ("relaxed::FENCED", 1 | 2) => value.wrapping_sub(2),
            _ => value,
        };
        if thread == 2 {
            lie(Box::new(liar), play);
        } else {
            play();
        }
    });
}

#[test]
fn a_leaving_that_is_not_noted() {
    is_caught_by(models::all_is_received_before_closed, |_, play| {
        let forger = |edge: &str, _, value: u64| (edge != "seat::RELEASE").then_some(value);
        forge(Box::new(forger), play);
    });
}

#[test]
fn a_batch_of_which_one_too_few_is_retired() {
    is_caught_by(models::a_batch_arrives_in_order_in_parts, |_, play| {
        let forger = |edge: &str, _, value: u64| match edge {
            "retire::RELEASE" => Some(value - 1),
            _ => Some(value),
        };
        forge(Box::new(forger), play);
    });
}
