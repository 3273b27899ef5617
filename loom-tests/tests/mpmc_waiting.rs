//! Nobody sleeps on a ready mpmc ring, with several sleepers and several who notify.

#![cfg(loom)]

use annulus::hooks::Payload::Words;
use annulus_loom_tests::mpmc::waiting;
use annulus_loom_tests::{Bounds, Explored, explore};

fn check(name: &str, floor: usize, bounds: Bounds, model: fn() -> Vec<u64>) {
    let began = std::time::Instant::now();
    let Explored { outcomes, executions } = explore(bounds, model);
    println!("{name}: {executions} executions, {outcomes:?}, {:.1?}", began.elapsed());
    assert_eq!(outcomes, [vec![1, 2], vec![2, 1]].into());
    assert!(executions >= floor, "only {executions} executions");
}

#[test]
fn two_who_sleep_are_woken_by_two_who_send() {
    check("sleeping", 49_000, Bounds::preemptions(1), || {
        waiting::two_sleep_and_two_send(Words, false)
    });
}

#[test]
fn two_who_sleep_for_room_are_woken() {
    check("for room", 1400, Bounds::preemptions(1), || waiting::two_sleep_for_room(Words));
}
