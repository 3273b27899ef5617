//! The event count by itself, with several sleepers and notifiers: nobody sleeps while
//! there is something for him. A lost wake-up is a deadlock, which loom reports.

#![cfg(loom)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use annulus::hooks::{Bug, TestEvent, seed, weaken};
use annulus_loom_tests::{Bounds, explore, find_bug};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// Something that changes, and the event on which people wait for it.
struct Shop {
    tokens: AtomicUsize,
    event: TestEvent,
}

impl Shop {
    fn new() -> Arc<Self> {
        Arc::new(Self { tokens: AtomicUsize::new(0), event: TestEvent::new() })
    }

    /// Puts tokens on the counter, and wakes as many.
    fn give(&self, count: usize) {
        self.tokens.fetch_add(count, Ordering::Release);
        self.event.notify(count as u32);
    }

    /// Takes a token if there is one.
    fn try_take(&self) -> bool {
        let mut seen = self.tokens.load(Ordering::Acquire);
        while seen > 0 {
            let (left, order) = (seen - 1, Ordering::AcqRel);
            match self.tokens.compare_exchange(seen, left, order, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Takes a token, sleeping until there is one.
    fn take(&self, rechecks: bool) {
        loop {
            if self.try_take() {
                return;
            }
            let ticket = self.event.prepare();
            if rechecks && self.try_take() {
                return;
            }
            self.event.sleep(&ticket, Duration::ZERO);
        }
    }
}

/// `sleepers` who want a token each, while the tokens are given in portions; what is left.
fn shop(sleepers: usize, portions: &'static [usize], rechecks: bool) -> usize {
    let shop = Shop::new();
    let sleeping: Vec<_> = (0..sleepers)
        .map(|_| {
            let shop = Arc::clone(&shop);
            thread::spawn(move || shop.take(rechecks))
        })
        .collect();
    for portion in portions {
        shop.give(*portion);
    }
    for sleeper in sleeping {
        sleeper.join().expect("it would have failed");
    }
    shop.tokens.load(Ordering::Relaxed)
}

/// Two who give a token each, at once, to one or two who sleep.
fn two_notifiers(sleepers: usize) -> usize {
    let shop = Shop::new();
    let giving = {
        let shop = Arc::clone(&shop);
        thread::spawn(move || shop.give(1))
    };
    let sleeping = (sleepers == 2).then(|| {
        let shop = Arc::clone(&shop);
        thread::spawn(move || shop.take(true))
    });
    let main = Arc::clone(&shop);
    let other = thread::spawn(move || main.give(1));
    shop.take(true);
    for thread in [giving, other].into_iter().chain(sleeping) {
        thread.join().expect("it would have failed");
    }
    shop.tokens.load(Ordering::Relaxed)
}

fn reset() {
    seed(None);
    weaken(None);
}

fn assert_explored(
    bounds: Bounds,
    left: usize,
    least: usize,
    model: impl Fn() -> usize + Send + Sync + 'static,
) {
    reset();
    let explored = explore(bounds, model);
    println!("{} executions", explored.executions);
    assert_eq!(explored.outcomes, BTreeSet::from([left]));
    assert!(explored.executions >= least, "only {}", explored.executions);
}

#[test]
fn one_sleeper_gets_each_of_two_tokens_that_come_one_by_one() {
    assert_explored(Bounds::ci(3), 1, 100, || shop(1, &[1, 1], true));
}

#[test]
fn two_sleepers_get_tokens_that_come_one_by_one() {
    assert_explored(Bounds::ci(2), 0, 500, || shop(2, &[1, 1], true));
}

#[test]
fn two_sleepers_get_tokens_that_come_together() {
    assert_explored(Bounds::ci(2), 0, 300, || shop(2, &[2], true));
}

#[test]
fn one_sleeper_is_woken_by_either_of_two_notifiers() {
    assert_explored(Bounds::ci(2), 1, 300, || two_notifiers(1));
}

#[test]
fn two_sleepers_are_woken_by_two_notifiers() {
    assert_explored(Bounds::ci(2), 0, 1000, || two_notifiers(2));
}

/// Each bug, and the smallest model that shows it.
#[test]
fn seeded_bugs_lose_wake_ups() {
    reset();
    let two_by_one = || find_bug(Bounds::ci(3), || shop(2, &[1, 1], true));
    let cases = [
        (Bug::ClearBeforeWake, two_by_one as fn() -> _),
        (Bug::WakeBeforeBump, || find_bug(Bounds::ci(3), || shop(1, &[1], true))),
        (Bug::ClearThoughAllWoke, two_by_one),
    ];
    for (bug, model) in cases {
        seed(Some(bug));
        let found = model();
        seed(None);
        let found = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
        println!(
            "{bug:?}: found in execution {}: {}",
            found.executions,
            first_line(&found.message)
        );
    }
    let found = find_bug(Bounds::ci(3), || shop(1, &[1], false));
    println!("no second look: found in execution {}", found.expect("missed").executions);
}

/// Without either barrier, or without any of the edges beside them, wake-ups are lost.
#[test]
fn weakened_edges_lose_wake_ups() {
    for edge in ["wake::NOTIFIER", "wake::SLEEPER"] {
        reset();
        weaken(Some(edge));
        let found = find_bug(Bounds::ci(3), || shop(1, &[1], true));
        weaken(None);
        let found = found.unwrap_or_else(|| panic!("{edge} is not needed?"));
        println!("{edge}: found in execution {}", found.executions);
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
