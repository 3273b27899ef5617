//! Models of the mpmc ring: scripts of senders and receivers, some of whom die, held to
//! what a specification permits.
//!
//! ```text
//!   script ──▶ spec: every interleaving of dull steps ──▶ permitted
//!      └─────▶ the shipped ring, under loom ────────────▶ seen      a subset; see `Reach`
//! ```
//!
//! A thread that may die is killed before each of its accesses in turn, and whoever looks
//! for the dead does so by the shipped code's own refusal, the 4096th of which comes at once
//! (`lose_patience`). Imports: spec, and the crate's explorer.

mod cast;
pub mod models;
pub mod spec;
pub mod waiting;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use annulus::hooks::{Payload, kill_before, set_payload, weaken};
use loom::thread;

use crate::spec::Memory;
use crate::{Bounds, Found, explore, find_bug};
use cast::Cast;
use spec::{Do, Outcome, Saw, Script, Thread};

/// How much of what is permitted must be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All that may be said late, too.
    All,
    /// All that a queue of atomic steps may do.
    Sequential,
    /// So many different outcomes: fewer than the specification's steps, some of which the
    /// ring takes in a fixed order.
    Some(usize),
}

/// A script, and how far it is explored.
#[derive(Clone, Debug)]
pub struct Model {
    /// What is done.
    pub script: Script,
    /// Words of a message: more than one shows torn ones.
    pub words: usize,
    /// How far executions are explored.
    pub bounds: Bounds,
    /// Executions that there must be at least, with either kind of payload.
    pub floor: usize,
    /// What must be seen.
    pub reach: Reach,
}

impl Model {
    /// Explores the model with messages as words and as cells.
    ///
    /// # Panics
    /// If an execution has an outcome that is not permitted, if too little was seen, or if
    /// there were fewer executions than the floor.
    pub fn check(&self, name: &str) {
        let sequential = self.script.outcomes(Memory::Sequential);
        let late = self.script.outcomes(Memory::Late);
        assert!(sequential.is_subset(&late), "the specification contradicts itself");
        let permitted = Arc::new(late);
        for payload in [Payload::Words, Payload::Cells] {
            let began = std::time::Instant::now();
            let (mut executions, mut kills, mut seen) = (0, 0, BTreeSet::new());
            self.for_each_kill(|killed| {
                let explored = explore(self.bounds, self.runner(payload, killed, &permitted));
                executions += explored.executions;
                kills += 1;
                seen.extend(explored.outcomes);
                true
            });
            println!(
                "{name}, {payload:?}: {executions} executions, {kills} kills, {} outcomes of {} ({} sequential), {:.1?}",
                seen.len(),
                permitted.len(),
                sequential.len(),
                began.elapsed(),
            );
            let missed = |from: &BTreeSet<Outcome>| -> Vec<_> {
                from.difference(&seen).take(5).map(|missed| format!("\n{missed:?}")).collect()
            };
            let missed = match self.reach {
                Reach::All => missed(&permitted),
                Reach::Sequential => missed(&sequential),
                Reach::Some(least) => {
                    assert!(seen.len() >= least, "only {} outcomes", seen.len());
                    Vec::new()
                }
            };
            assert!(missed.is_empty(), "not reached:{}", missed.concat());
            assert!(executions >= self.floor, "only {executions} executions");
        }
    }

    /// Explores until some execution fails or has an outcome that is not permitted.
    pub fn find(&self, payload: Payload) -> Option<Found> {
        let permitted = Arc::new(self.script.outcomes(Memory::Late));
        let mut found = None;
        self.for_each_kill(|kills| {
            found = find_bug(self.bounds, self.runner(payload, kills, &permitted));
            found.is_none()
        });
        found
    }

    /// Goes through all ways to kill the mortal threads, each before each of its accesses
    /// and not at all, until `go_on` says false.
    fn for_each_kill(&self, mut go_on: impl FnMut(&Arc<Kills>) -> bool) {
        let mortals = self.script.threads.iter().filter(|thread| thread.mortal).count();
        let mut at = vec![1; mortals];
        loop {
            let kills = Kills(at.iter().map(|at| (*at, AtomicBool::new(false))).collect());
            let kills = Arc::new(kills);
            if !go_on(&kills) {
                return;
            }
            // The last mortal dies one access later; once he does not die any more, he begins
            // again, and the one before him dies later.
            let mut mortal = mortals;
            loop {
                let Some(before) = mortal.checked_sub(1) else { return };
                mortal = before;
                if kills.0[mortal].1.load(Relaxed) {
                    at[mortal] += 1;
                    break;
                }
                at[mortal] = 1;
            }
        }
    }

    /// One execution.
    fn runner(
        &self,
        payload: Payload,
        kills: &Arc<Kills>,
        permitted: &Arc<BTreeSet<Outcome>>,
    ) -> impl Fn() -> Outcome + Send + Sync + 'static {
        let (permitted, kills) = (Arc::clone(permitted), Arc::clone(kills));
        let (script, words) = (self.script.clone(), self.words);
        move || {
            set_payload(payload);
            // As in the models of spsc: nobody sleeps in these, and the notifier's fence
            // would order what the edges of the ring are for.
            weaken(Some("wake::NOTIFIER"));
            let outcome = match words {
                1 => run::<1>(&script, &kills),
                2 => run::<2>(&script, &kills),
                words => panic!("{words} words are not provided for"),
            };
            assert!(permitted.contains(&outcome), "not permitted: {outcome:?}");
            outcome
        }
    }
}

/// For each mortal thread: before which of its accesses it is killed, and whether it was in
/// any execution.
struct Kills(Vec<(u64, AtomicBool)>);

/// What a thread saw so far, which outlives it.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Saw>>>);

impl Notes {
    fn add(&self, saw: Saw) {
        self.0.lock().expect("no panic while it is held").push(saw);
    }

    fn take(&self) -> Vec<Saw> {
        std::mem::take(&mut *self.0.lock().expect("never poisoned"))
    }
}

/// Performs a script, and gives what was seen.
fn run<const W: usize>(script: &Script, kills: &Arc<Kills>) -> Outcome {
    let ring = cast::ring::<W>(script.capacity as u64, script.seats as u64);
    let mut mortals = 0..;
    let mut all_notes = Vec::new();
    let mut plays = Vec::new();
    for Thread { begins, does, mortal } in script.threads.iter().cloned() {
        let (cast, notes) = (Cast::begin(&ring, begins), Notes::default());
        all_notes.push(notes.clone());
        let kills = Arc::clone(kills);
        let mortal = mortal.then(|| mortals.next().expect("endless"));
        plays.push(move || {
            let Some(mortal) = mortal else { return Some(play_all(cast, &does, &notes)) };
            let (at, killed) = &kills.0[mortal];
            let left = kill_before(*at, || play_all(cast, &does, &notes));
            if left.is_none() {
                killed.store(true, Relaxed);
            }
            left
        });
    }
    let play_here = plays.remove(0);
    let threads: Vec<_> = plays.into_iter().map(thread::spawn).collect();
    let mut left = vec![play_here()];
    left.extend(threads.into_iter().map(|thread| thread.join().expect("it would have failed")));
    // Only now: endpoints that nobody left are left when all have ended.
    drop(left);
    let last = Notes::default();
    drop(play_all(Cast::begin(&ring, None), &script.last, &last));
    all_notes.push(last);
    all_notes.iter().map(Notes::take).collect()
}

/// Does all that, and gives back the endpoint that is left.
fn play_all<const W: usize>(mut cast: Cast<W>, does: &[Do], notes: &Notes) -> Cast<W> {
    for operation in does {
        if let Some(saw) = cast.act(*operation, notes) {
            notes.add(saw);
        }
    }
    cast
}
