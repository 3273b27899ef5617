//! The broadcast does what it may, and nothing else.

#![cfg(loom)]

use std::collections::BTreeSet;
use std::fmt::Debug;

use annulus::hooks::Payload::{self, Cells, Words};
use annulus::hooks::{Use, uses, weaken_use};
use annulus_loom_tests::broadcast::{self as models, Saw};
use annulus_loom_tests::{Bounds, Explored, explore};

/// Explores, says how much that was, and holds it to a least number.
fn check<T: Ord + Debug + Send + 'static>(
    name: &str,
    floor: usize,
    bounds: Bounds,
    model: impl Fn() -> T + Send + Sync + 'static,
) -> BTreeSet<T> {
    let began = std::time::Instant::now();
    let Explored { outcomes, executions } = explore(bounds, model);
    let seen = outcomes.len();
    println!("{name}: {executions} executions, {seen} outcomes, {:.1?}", began.elapsed());
    assert!(executions >= floor, "only {executions} executions");
    outcomes
}

/// The same with a kill before each access in turn, until nobody is killed any more.
fn check_kills<T: Ord + Debug + Send + 'static>(
    name: &str,
    floor: usize,
    bounds: Bounds,
    model: fn(Payload, u64) -> T,
    payload: Payload,
    killed: fn(&T) -> bool,
) -> BTreeSet<T> {
    let began = std::time::Instant::now();
    let (mut outcomes, mut executions) = (BTreeSet::new(), 0);
    for kill in 1.. {
        let explored = explore(bounds, move || model(payload, kill));
        executions += explored.executions;
        let any = explored.outcomes.iter().any(killed);
        outcomes.extend(explored.outcomes);
        if !any {
            println!(
                "{name}: {executions} executions, {kill} kills, {} outcomes, {:.1?}",
                outcomes.len(),
                began.elapsed()
            );
            assert!(executions >= floor, "only {executions} executions");
            return outcomes;
        }
    }
    unreachable!("a model has an end")
}

#[test]
fn no_torn_message_is_returned() {
    let saw = check("torn", 10_000, Bounds::ci(3), || models::no_torn_message_is_returned(Words));
    assert_eq!(saw, models::seen_by_one_who_is_lapped());
}

#[test]
fn the_newest_is_whole() {
    let newest =
        check("newest", 9_000, Bounds::preemptions(1), || models::the_newest_is_whole(Words));
    // None: the mark over the newest is seen again and again, and never the tail.
    assert_eq!(newest, BTreeSet::from([None, Some(0), Some(1), Some(2)]));
}

#[test]
fn the_slowest_is_not_passed() {
    for payload in [Words, Cells] {
        let saw =
            check("slowest", 75, Bounds::ci(2), move || models::the_slowest_is_not_passed(payload));
        println!("{saw:?}");
    }
}

#[test]
fn whoever_comes_is_not_overrun() {
    for payload in [Words, Cells] {
        let saw = check("join", 3_500, Bounds::ci(3), move || {
            models::whoever_comes_is_not_overrun(payload)
        });
        println!("{saw:?}");
    }
}

#[test]
fn whoever_takes_a_used_seat_is_not_overrun() {
    for payload in [Words, Cells] {
        let saw = check("used seat", 2_500, Bounds::ci(3), move || {
            models::whoever_takes_a_used_seat_is_not_overrun(payload)
        });
        println!("{saw:?}");
    }
}

#[test]
fn whoever_comes_while_a_sender_dies_is_not_overrun() {
    let model = models::whoever_comes_while_a_sender_dies_is_not_overrun;
    let saw =
        check_kills("join, death", 7_000, Bounds::ci(2), model, Words, |(killed, ..)| *killed);
    println!("{saw:?}");
}

/// The place of the fence that stands between a limit and the look at the positions.
fn fence_of_raise() -> Use {
    let (_, uses) =
        uses(|| explore(Bounds::preemptions(0), || models::whoever_comes_is_not_overrun(Words)));
    let found =
        uses.into_iter().find(|at| at.edge == "join::SENDER" && at.file.ends_with("room.rs"));
    found.expect("the model comes by it")
}

#[test]
fn whoever_comes_when_a_limit_was_left_is_not_overrun() {
    weaken_use(Some(fence_of_raise()));
    let saw = check("limit left", 4_000, Bounds::ci(3), || {
        models::whoever_comes_when_a_limit_was_left_is_not_overrun(Words)
    });
    weaken_use(None);
    assert!(saw.iter().any(|(killed, ..)| *killed) && saw.iter().any(|(killed, ..)| !killed));
    println!("{saw:?}");
}

#[test]
fn a_sender_takes_over() {
    let model = models::a_sender_takes_over;
    let saw = check_kills("take over", 10_000, Bounds::ci(2), model, Words, |(killed, _)| *killed);
    println!("{saw:?}");
}

#[test]
fn everybody_is_woken() {
    check("woken", 1_500, Bounds::preemptions(1), || models::everybody_is_woken(Words, 1, false));
}

#[test]
fn everything_is_received_before_closed() {
    let saw = check("closed", 500, Bounds::none(), || {
        models::everything_is_received_before_closed(Words)
    });
    let permitted = [
        [Saw::Empty, Saw::Empty],
        [Saw::Empty, Saw::Got(0)],
        [Saw::Got(0), Saw::Empty],
        [Saw::Got(0), Saw::Over],
    ];
    assert_eq!(saw, permitted.map(Vec::from).into());
}
