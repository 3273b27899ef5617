//! The schedules find bugs that are put into the shipped code, one at least in each room.
//! `cargo xtask shuttle --bug NAME` puts any bug into all models.

#![cfg(loom)]

use annulus::hooks::Bug;
use annulus_shuttle_tests::{broadcast, find, frames, mpmc, spsc, stream, waiting};

/// The model finds the bug, and says what there is to be said, if that is one thing alone.
fn is_found(bug: Bug, model: fn() -> usize, says: &str) {
    let found = find(bug, model);
    println!("{bug:?}: {found:?}");
    assert!(found.is_some_and(|(_, message)| message.contains(says)));
}

#[test]
fn a_successor_who_finds_one_slot_too_few() {
    is_found(Bug::FullRingOffByOne, spsc::successions, "");
}

#[test]
fn a_successor_who_goes_on_behind_what_was_in_doubt() {
    is_found(Bug::SkipsInDoubt, spsc::successions, "");
}

#[test]
fn bytes_that_are_committed_before_their_second_part_is_written() {
    is_found(Bug::CommitBeforeWrap, stream::pieces_and_deaths, "");
}

#[test]
fn a_message_that_two_take() {
    is_found(Bug::TakesWithoutExchange, mpmc::a_crowd, "");
}

#[test]
fn a_message_that_a_dead_receiver_had_in_hand() {
    is_found(Bug::DeadMessageIsFreed, mpmc::batches_with_deaths, "");
}

#[test]
fn a_newcomer_who_does_not_settle() {
    is_found(Bug::NewcomerJustSitsDown, frames::estates, "");
}

#[test]
fn a_slot_that_is_not_marked_before_it_is_written() {
    is_found(Bug::NoWritingMark, broadcast::overwriting, "");
}

#[test]
fn one_who_does_not_look_again_before_it_sleeps() {
    is_found(Bug::NoRecheck, waiting::a_crowd_sleeps, "deadlock");
}

#[test]
fn a_flag_that_is_cleared_whoever_has_arrived() {
    is_found(Bug::ClearForgetsArrivals, waiting::bytes_through_eight, "deadlock");
}

#[test]
fn a_wake_before_the_new_generation() {
    is_found(Bug::WakeBeforeBump, waiting::there_and_back, "deadlock");
}
