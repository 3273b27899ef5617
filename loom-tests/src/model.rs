//! Runs a [`Script`] on a shipped ring, and compares what is seen with what may be.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use annulus::hooks::{Payload, kill_before, set_payload, weaken};
use annulus::{Error, SeatState, TryRecvError, TrySendError};
use loom::thread;

use crate::spec::{Do, Memory, Outcome, Role, Saw, Script, Seat, Thread, Why};
use crate::spsc::Messages;
use crate::stream::Bytes;
use crate::{Bounds, Found, explore, find_bug};

/// A script, and how far it is explored.
#[derive(Clone, Debug)]
pub struct Model {
    /// What is done.
    pub script: Script,
    /// How far executions are explored.
    pub bounds: Bounds,
    /// Executions that there must be at least, with either kind of payload.
    pub floor: usize,
    /// What it is performed on.
    pub kind: Kind,
}

/// What a model is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Messages of so many words: more than one shows torn ones.
    Messages(usize),
    /// A stream in which no two commits share a word.
    Words,
    /// A stream of commits of any length. A word that two of them share is stored and
    /// loaded at once, in different bytes: only relaxed words can model that.
    Bytes,
}

impl Kind {
    /// The representations of what is sent that can model it.
    pub fn payloads(self) -> &'static [Payload] {
        match self {
            Self::Messages(_) | Self::Words => &[Payload::Words, Payload::Cells],
            Self::Bytes => &[Payload::Words],
        }
    }
}

/// A way to seed a bug: wraps what the thread of that number does.
pub type Wrap = fn(usize, Box<dyn FnOnce() + '_>);

/// What a check came to.
#[derive(Debug)]
pub struct Checked {
    /// Executions, over all kills.
    pub executions: usize,
    /// Explorations, one for each way to kill.
    pub kills: usize,
    /// Different outcomes.
    pub outcomes: BTreeSet<Outcome>,
}

impl Model {
    /// Explores the model with what is sent as words and as cells, if it can be: each
    /// execution must have a permitted outcome, and each permitted outcome an execution.
    ///
    /// # Panics
    /// If that is not so, or if there were fewer executions than the floor.
    pub fn check(&self, name: &str) {
        let sequential = self.script.outcomes(Memory::Sequential);
        let permitted = self.script.outcomes(Memory::Late);
        assert!(sequential.is_subset(&permitted), "the specification contradicts itself");
        for &payload in self.kind.payloads() {
            let began = std::time::Instant::now();
            let Checked { executions, kills, outcomes } = self.explore(payload, &permitted);
            println!(
                "{name}, {payload:?}: {executions} executions, {kills} kills, {} outcomes ({} sequential), {:.1?}",
                outcomes.len(),
                sequential.len(),
                began.elapsed(),
            );
            let missed: Vec<_> =
                permitted.difference(&outcomes).map(|missed| format!("\n{missed:?}")).collect();
            assert!(missed.is_empty(), "{} not reached:{}", missed.len(), missed.concat());
            assert!(executions >= self.floor, "only {executions} executions");
        }
    }

    /// Explores it all.
    ///
    /// # Panics
    /// If an execution fails, or has an outcome that is not permitted.
    pub fn explore(&self, payload: Payload, permitted: &BTreeSet<Outcome>) -> Checked {
        let permitted = Arc::new(permitted.clone());
        let mut checked = Checked { executions: 0, kills: 0, outcomes: BTreeSet::new() };
        self.for_each_kill(|kills| {
            let explored = explore(self.bounds, self.runner(payload, kills, &permitted, None));
            checked.executions += explored.executions;
            checked.kills += 1;
            checked.outcomes.extend(explored.outcomes);
            true
        });
        checked
    }

    /// Explores until some execution fails or has an outcome that is not permitted.
    pub fn find(&self, payload: Payload, wrap: Option<Wrap>) -> Option<Found> {
        if !self.kind.payloads().contains(&payload) {
            return None;
        }
        let permitted = Arc::new(self.script.outcomes(Memory::Late));
        let mut found = None;
        self.for_each_kill(|kills| {
            found = find_bug(self.bounds, self.runner(payload, kills, &permitted, wrap));
            found.is_none()
        });
        found
    }

    /// Goes through all ways to kill the mortal threads, each before each of its accesses
    /// and not at all, until `explore` says false.
    fn for_each_kill(&self, mut explore: impl FnMut(&Kills) -> bool) {
        let mortals = self.script.threads.iter().filter(|thread| thread.mortal).count();
        self.for_each_kill_from(&mut Vec::new(), mortals, &mut explore);
    }

    /// The same for the mortals that are not in `before` yet: whether to go on, and which
    /// of all mortals were killed in any execution.
    fn for_each_kill_from(
        &self,
        before: &mut Vec<u64>,
        mortals: usize,
        explore: &mut dyn FnMut(&Kills) -> bool,
    ) -> (bool, Vec<bool>) {
        if before.len() == mortals {
            let kills =
                Kills(Arc::new(before.iter().map(|at| (*at, AtomicBool::new(false))).collect()));
            let go_on = explore(&kills);
            return (go_on, kills.0.iter().map(|(_, killed)| killed.load(Relaxed)).collect());
        }
        let mut any = vec![false; mortals];
        for at in 1.. {
            before.push(at);
            let (go_on, killed) = self.for_each_kill_from(before, mortals, explore);
            before.pop();
            for (any, killed) in any.iter_mut().zip(&killed) {
                *any |= killed;
            }
            if !go_on || !killed[before.len()] {
                return (go_on, any);
            }
        }
        unreachable!("a script has an end")
    }

    /// One execution.
    fn runner(
        &self,
        payload: Payload,
        kills: &Kills,
        permitted: &Arc<BTreeSet<Outcome>>,
        wrap: Option<Wrap>,
    ) -> impl Fn() -> Outcome + Send + Sync + 'static {
        let (permitted, kills) = (Arc::clone(permitted), kills.clone());
        let (script, kind) = (self.script.clone(), self.kind);
        move || {
            set_payload(payload);
            // The notifier of the asymmetric form has no fence, and loom's would order
            // what the edges of the ring are for. Nobody sleeps in these models.
            weaken(Some("wake::NOTIFIER"));
            let outcome = match kind {
                Kind::Messages(1) => run::<Messages<1>>(&script, &kills, wrap),
                Kind::Messages(2) => run::<Messages<2>>(&script, &kills, wrap),
                Kind::Messages(words) => panic!("{words} words are not provided for"),
                Kind::Words | Kind::Bytes => run::<Bytes>(&script, &kills, wrap),
            };
            assert!(permitted.contains(&outcome), "not permitted: {outcome:?}");
            outcome
        }
    }
}

/// For each mortal thread: before which of its accesses it is killed, and whether it was
/// in any execution.
#[derive(Clone)]
struct Kills(Arc<Vec<(u64, AtomicBool)>>);

impl Kills {
    fn kill<R>(&self, mortal: usize, call: impl FnOnce() -> R) -> Option<R> {
        let (at, killed) = &self.0[mortal];
        let result = kill_before(*at, call);
        if result.is_none() {
            killed.store(true, Relaxed);
        }
        result
    }
}

/// What a thread saw so far, which outlives it.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Saw>>>);

impl Notes {
    pub(crate) fn add(&self, saw: Saw) {
        self.0.lock().expect("no panic while it is held").push(saw);
    }

    fn take(&self) -> Vec<Saw> {
        std::mem::take(&mut *self.0.lock().expect("never poisoned"))
    }
}

/// The endpoints of one thread, on some kind of ring.
pub(crate) trait Cast: Send + Sized + 'static {
    /// The opened ring.
    type Ring;

    /// A ring of that capacity on the heap.
    fn ring(capacity: u64) -> Self::Ring;

    /// What a thread begins with.
    fn begin(ring: &Self::Ring, role: Option<Role>) -> Self;

    /// Does it, and gives what it came to unless that is noted already.
    fn act(&mut self, operation: Do, notes: &Notes) -> Option<Saw>;
}

/// Performs a script, and gives what was seen.
fn run<C: Cast>(script: &Script, kills: &Kills, wrap: Option<Wrap>) -> Outcome {
    let ring = C::ring(script.capacity);
    let mut mortals = 0..;
    let mut all_notes = Vec::new();
    let mut plays = Vec::new();
    for (number, Thread { begins, does, mortal }) in script.threads.iter().cloned().enumerate() {
        let (cast, notes) = (C::begin(&ring, begins), Notes::default());
        all_notes.push(notes.clone());
        let kills = kills.clone();
        let mortal = mortal.then(|| mortals.next().expect("endless"));
        plays.push(move || {
            let mut left = None;
            let kept = &mut left;
            let play: Box<dyn FnOnce()> = Box::new(move || {
                *kept = match mortal {
                    Some(mortal) => kills.kill(mortal, || play_all(cast, &does, &notes)),
                    None => Some(play_all(cast, &does, &notes)),
                }
            });
            match wrap {
                Some(wrap) => wrap(number, play),
                None => play(),
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
    drop(play_all(C::begin(&ring, None), &script.last, &last));
    all_notes.push(last);
    all_notes.iter().map(Notes::take).collect()
}

/// Does all that, and gives back the endpoint that is left.
fn play_all<C: Cast>(mut cast: C, does: &[Do], notes: &Notes) -> C {
    for operation in does {
        if let Some(saw) = cast.act(*operation, notes) {
            notes.add(saw);
        }
    }
    cast
}

/// Takes a seat as soon as it is free.
pub(crate) fn attach<E>(take: impl Fn() -> Result<E, Error>) -> E {
    loop {
        match take() {
            Ok(endpoint) => return endpoint,
            Err(Error::SeatTaken { .. }) => thread::yield_now(),
            Err(error) => panic!("attaching: {error}"),
        }
    }
}

pub(crate) fn no_room<T>(error: &TrySendError<T>) -> Why {
    match error {
        TrySendError::Full(_) => Why::Full,
        TrySendError::Closed(_) => Why::Closed,
        TrySendError::Died(_) => Why::Died,
        TrySendError::Fault(_, fault) => panic!("sending: {fault}"),
        _ => unreachable!("all that there is"),
    }
}

pub(crate) fn no_message(error: TryRecvError) -> Why {
    match error {
        TryRecvError::Empty => Why::Empty,
        TryRecvError::Closed => Why::Closed,
        TryRecvError::Died => Why::Died,
        TryRecvError::Fault(fault) => panic!("receiving: {fault}"),
        _ => unreachable!("all that there is"),
    }
}

pub(crate) fn seat(state: SeatState) -> Seat {
    match state {
        SeatState::Vacant => Seat::Vacant,
        SeatState::Live => Seat::Live,
        SeatState::Closed => Seat::Closed,
        SeatState::Died => Seat::Died,
        SeatState::Recovering => panic!("nobody recovers in these rings"),
    }
}
