//! The loom that runs here explores ring code: the published 0.7.3 does not.
//!
//! It keeps one last access an atomic, so a thread that loads a word and then stores to
//! it hides its race with an earlier load by another thread. These models are the
//! smallest on which that shows; they are about the checker and share nothing with
//! annulus. If one fails, the models of annulus prove nothing: run them by
//! `cargo xtask loom`, which patches loom.

#![cfg(loom)]

use std::collections::BTreeSet;

use annulus_loom_tests::{Bounds, Found, explore, find_bug};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// What a receiver says that read a message before it was there.
const UNPUBLISHED: &str = "received an unpublished message";

/// Vyukov's bounded queue with capacity 2; a message is one relaxed word.
struct Vyukov {
    tail: AtomicUsize,
    head: AtomicUsize,
    stamps: [AtomicUsize; 2],
    messages: [AtomicUsize; 2],
    publish: Ordering,
    observe: Ordering,
}

impl Vyukov {
    fn new(publish: Ordering, observe: Ordering) -> Self {
        Self {
            tail: AtomicUsize::new(0),
            head: AtomicUsize::new(0),
            stamps: [AtomicUsize::new(0), AtomicUsize::new(1)],
            messages: [AtomicUsize::new(0), AtomicUsize::new(0)],
            publish,
            observe,
        }
    }

    /// Sends unless the queue is full.
    fn try_send(&self, message: usize) -> bool {
        loop {
            let position = self.tail.load(Ordering::Relaxed);
            let index = position & 1;
            let stamp = self.stamps[index].load(Ordering::Acquire);
            if stamp < position {
                return false;
            }
            if stamp == position && advance(&self.tail, position) {
                self.messages[index].store(message, Ordering::Relaxed);
                self.stamps[index].store(position + 1, self.publish);
                return true;
            }
            thread::yield_now();
        }
    }

    /// Receives unless the queue is empty.
    fn try_recv(&self) -> Option<usize> {
        loop {
            let position = self.head.load(Ordering::Relaxed);
            let index = position & 1;
            let stamp = self.stamps[index].load(self.observe);
            if stamp < position + 1 {
                return None;
            }
            if stamp == position + 1 && advance(&self.head, position) {
                let message = self.messages[index].load(Ordering::Relaxed);
                self.stamps[index].store(position + 2, Ordering::Release);
                return Some(message);
            }
            thread::yield_now();
        }
    }
}

fn advance(counter: &AtomicUsize, from: usize) -> bool {
    counter.compare_exchange(from, from + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// Two senders of one message each, one receiver that tries twice; what it received.
fn two_senders(publish: Ordering, observe: Ordering) -> Vec<usize> {
    let queue = Arc::new(Vyukov::new(publish, observe));
    let senders = [1, 2].map(|message| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || assert!(queue.try_send(message)))
    });
    let received: Vec<_> = (0..2).filter_map(|_| queue.try_recv()).collect();
    assert!(!received.contains(&0), "{UNPUBLISHED}");
    for sender in senders {
        sender.join().expect("a sender panicked");
    }
    received
}

/// Fails under the published loom, which explores 123 executions and finds nothing.
#[test]
fn a_relaxed_publish_is_found() {
    let found = find_bug(Bounds::none(), || two_senders(Ordering::Relaxed, Ordering::Acquire));
    assert_found(found);
}

/// Fails under the published loom.
#[test]
fn a_relaxed_observe_is_found() {
    let found = find_bug(Bounds::none(), || two_senders(Ordering::Release, Ordering::Relaxed));
    assert_found(found);
}

fn assert_found(found: Option<Found>) {
    let found = found.expect("a known bug was missed: is this the published loom?");
    assert_eq!(found.message, UNPUBLISHED);
}

/// Permitted: whatever was received is a prefix of one of the two orders of sending.
/// The published loom sees the empty one alone.
#[test]
fn every_outcome_is_explored() {
    let explored = explore(Bounds::none(), || two_senders(Ordering::Release, Ordering::Acquire));
    let permitted = [vec![], vec![1], vec![2], vec![1, 2], vec![2, 1]];
    assert_eq!(explored.outcomes, BTreeSet::from(permitted));
    assert!(explored.executions > 30_000, "only {}", explored.executions);
}
