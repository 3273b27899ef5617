//! The ring of frames does what it may, and nothing else; and what is not there is missed.

#![cfg(loom)]

use std::collections::BTreeSet;
use std::fmt::Debug;

use annulus::hooks::Payload::{Cells, Words};
use annulus::hooks::{Bug, Use, seed, uses, weaken_use};
use annulus_loom_tests::frames as models;
use annulus_loom_tests::{Bounds, Explored, Found, explore, find_bug};

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

#[test]
fn a_buffer_goes_and_comes_back() {
    for payload in [Words, Cells] {
        let saw = check("back", 10_000, Bounds::none(), move || {
            models::a_buffer_goes_and_comes_back(payload)
        });
        assert_eq!(saw, models::gone_and_come_back());
    }
}

#[test]
fn a_buffer_given_up_is_taken_by_another() {
    for payload in [Words, Cells] {
        let saw = check("given up", 50, Bounds::none(), move || {
            models::a_buffer_given_up_is_taken_by_another(payload)
        });
        assert_eq!(saw, models::given_up_or_sent());
    }
}

#[test]
fn a_frame_of_a_dead_receiver_comes_again_marked_or_not_at_all() {
    let (mut saw, mut executions) = (BTreeSet::new(), 0);
    for kill in 1.. {
        let explored = explore(Bounds::preemptions(2), move || {
            models::a_frame_of_a_dead_receiver(Words, kill)
        });
        executions += explored.executions;
        let any = explored.outcomes.iter().any(|(killed, ..)| *killed);
        saw.extend(explored.outcomes);
        if !any {
            println!("estate: {executions} executions, {kill} kills, {saw:?}");
            break;
        }
    }
    assert!(executions >= 550);
    let permitted = [
        // It saw nothing; it received; it was killed before, within, or behind that.
        (false, None, Some((1, false))),
        (false, Some(1), None),
        (true, None, Some((1, false))),
        (true, None, Some((1, true))),
        (true, None, None),
    ];
    assert_eq!(saw, BTreeSet::from(permitted));
}

#[test]
fn a_sender_waits_for_a_buffer() {
    check("waits", 100, Bounds::preemptions(1), || {
        models::a_sender_waits_for_a_buffer(Words, false)
    });
}

/// Shows too that somebody sleeps in the model.
#[test]
fn a_receiver_who_looks_for_no_sleepers_is_noticed() {
    let found =
        find_bug(Bounds::preemptions(1), || models::a_sender_waits_for_a_buffer(Words, true));
    println!("{found:?}");
    assert!(found.is_some_and(|found| found.message.contains("deadlock")));
}

#[test]
fn a_buffer_that_is_freed_silently_is_noticed() {
    seed(Some(Bug::BufferFreedSilently));
    let found =
        find_bug(Bounds::preemptions(1), || models::a_sender_waits_for_a_buffer(Words, false));
    seed(None);
    println!("{found:?}");
    assert!(found.is_some_and(|found| found.message.contains("deadlock")));
}

/// What catches the code as it is now.
fn caught() -> Option<(&'static str, Found)> {
    let bounds = || Bounds::preemptions(2);
    let back = || find_bug(bounds(), || models::a_buffer_goes_and_comes_back(Cells));
    let given = || find_bug(bounds(), || models::a_buffer_given_up_is_taken_by_another(Cells));
    let back = back().map(|found| ("a_buffer_goes_and_comes_back", found));
    back.or_else(|| given().map(|found| ("a_buffer_given_up_is_taken_by_another", found)))
}

/// The function that a line of src/frames/buffers.rs is in.
fn function(at: &Use) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/frames/buffers.rs");
    let text = std::fs::read_to_string(path).expect("the code");
    let above = text.lines().take(at.line as usize);
    let named = above.filter_map(|line| line.split("//").next()?.split_once("fn "));
    let (_, rest) = named.last().expect("a line of a function");
    rest.split(['(', '<']).next().unwrap_or_default().to_owned()
}

/// Of acquire in `read` and acquire in `exchange` either is enough.
#[test]
fn every_use_in_frames_dies_or_survives_as_documented() {
    let (found, all) = uses(caught);
    assert!(found.is_none(), "without a mutant too: {found:?}");
    let ours = all.into_iter().filter(|at| at.file.ends_with("frames/buffers.rs"));
    let ours = ours.filter(|at| !at.edge.starts_with("relaxed::"));
    let mut fates = BTreeSet::new();
    for at in ours {
        weaken_use(Some(at));
        let caught = caught();
        weaken_use(None);
        println!("{} {}: {caught:?}", at.edge, function(&at));
        fates.insert((at.edge.to_owned(), function(&at), caught.map(|(name, _)| name)));
    }
    let said = [
        ("claim::SETTLE", "exchange", None),
        ("retire::ACQUIRE", "read", None),
        ("retire::RELEASE", "free", Some("a_buffer_goes_and_comes_back")),
    ];
    let said = said.map(|(edge, place, fate)| (edge.to_owned(), place.to_owned(), fate));
    assert_eq!(fates, BTreeSet::from(said));
}
