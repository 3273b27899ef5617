//! The models of the worker: `cargo xtask loom --course`.

#![cfg(loom)]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use annulus::spsc::{Receiver, Ring};
use annulus::{TryRecvError, WaitMethod};
use annulus_loom_course::{Stop, work, work_hastily};
use loom::sync::Arc;
use loom::sync::atomic::Ordering;
use loom::thread;

type Work = fn(&mut Receiver<u64>, &Stop, &mut dyn FnMut(u64)) -> Result<(), TryRecvError>;

/// One execution: two messages, then the word to stop; what the worker was handed.
///
/// The ring spins: one that can wake sleepers has a fence in each send, which would order
/// the word to stop too, and so hide what is missing there.
fn play(work: Work, publish: Ordering) -> Vec<u64> {
    let options = Ring::options().capacity(2).wait_method(WaitMethod::Spin);
    let ring: Ring<u64> = options.create_heap().expect("a ring").into();
    let stop = Arc::new(Stop::publishing(publish));
    let producer = thread::spawn({
        let (ring, stop) = (ring.clone(), Arc::clone(&stop));
        move || {
            let mut sender = ring.sender().expect("the first");
            sender.try_send(1).expect("room for two");
            sender.try_send(2).expect("room for two");
            stop.say();
            sender
        }
    });
    let mut receiver = ring.receiver().expect("the first");
    let mut handed = Vec::new();
    work(&mut receiver, &stop, &mut |message| handed.push(message)).expect("the sender lives");
    drop(producer.join().expect("it would have failed"));
    handed
}

/// A model in which an execution has at most two involuntary switches: its bound.
fn bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// Every outcome, and how many executions gave them.
fn explore(work: Work, publish: Ordering) -> (BTreeSet<Vec<u64>>, usize) {
    let (outcomes, executions) = (Mutex::new(BTreeSet::new()), AtomicUsize::new(0));
    // Borrowed for good: loom wants a closure that borrows nothing shorter.
    let (seen, count): (&'static Mutex<_>, &'static AtomicUsize) =
        (Box::leak(Box::new(outcomes)), Box::leak(Box::new(executions)));
    bounded(move || {
        let handed = play(work, publish);
        seen.lock().expect("never poisoned").insert(handed);
        count.fetch_add(1, Relaxed);
    });
    (std::mem::take(&mut *seen.lock().expect("never poisoned")), count.load(Relaxed))
}

const CAREFUL: Work = |receiver, stop, each| work(receiver, stop, each);
const HASTY: Work = |receiver, stop, each| work_hastily(receiver, stop, each);

fn all() -> BTreeSet<Vec<u64>> {
    BTreeSet::from([vec![1, 2]])
}

#[test]
fn the_worker_loses_nothing() {
    let (outcomes, executions) = explore(CAREFUL, Ordering::Release);
    println!("{executions} executions, {outcomes:?}");
    assert_eq!(outcomes, all());
    // Not vacuous: a model that explores next to nothing passes too.
    assert!(executions > 100, "only {executions}");
}

#[test]
fn the_hasty_worker_loses_messages_and_the_model_sees_it() {
    let (outcomes, executions) = explore(HASTY, Ordering::Release);
    println!("{executions} executions, {outcomes:?}");
    assert!(outcomes.contains(&vec![]) && outcomes.contains(&vec![1]), "{outcomes:?}");
}

#[test]
fn a_relaxed_word_to_stop_loses_messages_and_the_model_sees_it() {
    let (outcomes, executions) = explore(CAREFUL, Ordering::Relaxed);
    println!("{executions} executions, {outcomes:?}");
    assert!(outcomes.len() > 1, "the ordering is not needed? {outcomes:?}");
}

/// A ring that blocks: loom runs the sleeping and waking too, and a lost wake-up is a
/// deadlock, which it reports.
#[test]
fn a_receiver_that_sleeps_is_woken() {
    bounded(|| {
        let ring: Ring<u64> = Ring::options().capacity(2).create_heap().expect("a ring").into();
        let receiving = thread::spawn({
            let ring = ring.clone();
            move || ring.receiver().expect("the first").recv().expect("a message")
        });
        ring.sender().expect("the first").try_send(7).expect("room");
        assert_eq!(receiving.join().expect("it would have failed"), 7);
    });
}

#[test]
fn a_worker_that_waits_for_nobody_is_reported() {
    let stuck = catch_unwind(AssertUnwindSafe(|| {
        bounded(|| {
            let ring: Ring<u64> = Ring::options().capacity(2).create_heap().expect("a ring").into();
            let _sender = ring.sender().expect("the first");
            let _ = ring.receiver().expect("the first").recv();
        });
    }));
    let said = stuck.expect_err("nobody sends");
    let said = said.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(said.contains("deadlock"), "{said}");
}
