//! Whether a recorded run is a path of the model.
//!
//! ```text
//!   events ──▶ memory and locks: does each load, CAS and lock say what it must?
//!          └─▶ per seat, all machines that fit so far ── next access ──▶ those that still do
//! ```
//!
//! The format of events is in the crate's head. A machine makes choices that a record does
//! not show (how many positions it hopes for), so several may fit; when none is left, the
//! record diverges. Imports: machine, access, words.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::access::{Access, Move, Setup, Word};
use crate::machine::{Local, NOBODY, Pc};
use crate::words::Slot;

/// What was done, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A load that gave the value.
    Load,
    /// A store of the value.
    Store,
    /// A compare-and-exchange to the value that won.
    Won,
    /// One that lost.
    Lost,
    /// The lock of seat `value` was got.
    Locked,
    /// The lock of seat `value` was asked for in vain.
    Refused,
    /// Somebody else holds the lock of seat `value`.
    Held,
    /// Nobody else holds it.
    Unheld,
    /// The lock of seat `value` was given back.
    Unlocked,
    /// The participant was killed; his locks are free.
    Killed,
}

/// One access of a recorded run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The participant: his own seat, or the one that he is about to take.
    pub seat: u8,
    /// What was done.
    pub kind: Kind,
    /// The word; `None` for locks and kills.
    pub word: Option<Word>,
    /// The value of the word, or the number of the seat that was locked.
    pub value: u64,
}

/// Where a record leaves the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The event's number, from 0.
    pub at: usize,
    /// The event.
    pub event: Event,
    /// What does not fit.
    pub why: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {}, {:?}: {}", self.at, self.event, self.why)
    }
}

impl std::error::Error for Divergence {}

/// The ring as the record leaves it.
struct Ring {
    setup: Setup,
    words: HashMap<Word, u64>,
    /// Who holds a seat's lock.
    locks: BTreeMap<u8, u8>,
    /// Who lives at a seat: all that he may be.
    locals: BTreeMap<u8, Vec<Local>>,
}

/// Checks that `events`, in the order in which they took effect, are a path of the model
/// of a new ring. Of `setup` the capacity, the seats, and the largest batch (31 at most)
/// count.
///
/// # Errors
/// The first event that no path explains.
pub fn replay(setup: &Setup, events: &[Event]) -> Result<(), Divergence> {
    let setup = Setup {
        batch: setup.batch.min(31),
        aborts: true,
        leavers: true,
        numbered: true,
        open: true,
        bug: None,
        ..*setup
    };
    let mut ring =
        Ring { setup, words: HashMap::new(), locks: BTreeMap::new(), locals: BTreeMap::new() };
    for (at, event) in events.iter().enumerate() {
        ring.step(event).map_err(|why| Divergence { at, event: *event, why })?;
    }
    Ok(())
}

impl Ring {
    fn load(&self, word: Word) -> u64 {
        let first = if let Word::Slot(i) = word { Slot::Free(i).word() } else { 0 };
        self.words.get(&word).copied().unwrap_or(first)
    }

    fn step(&mut self, event: &Event) -> Result<(), String> {
        let Event { seat, kind, word, value } = *event;
        if kind == Kind::Killed {
            self.locals.remove(&seat);
            self.locks.retain(|_, holder| *holder != seat);
            return Ok(());
        }
        if let (Kind::Load, Some(word)) = (kind, word) {
            let now = self.load(word);
            if now != value {
                return Err(format!("the word is {now:#x}"));
            }
        }
        self.check_locks(seat, kind, value)?;
        let came = kind == Kind::Locked && value == u64::from(seat);
        if came && !self.locals.contains_key(&seat) {
            let sends = self.setup.sends(seat);
            let local = Local { seat: NOBODY, ..Local::out(sends, u8::MAX) };
            self.locals.insert(seat, vec![local]);
        }
        let Some(before) = self.locals.remove(&seat) else {
            // A newcomer who finds the seat taken.
            let vain = matches!(kind, Kind::Refused | Kind::Held | Kind::Unheld);
            return if vain { Ok(()) } else { Err("nobody sits there".to_string()) };
        };
        let mut after: Vec<Local> = Vec::new();
        let mut moves = Vec::new();
        for local in &before {
            // A look between operations that decides nothing.
            let looks = matches!(kind, Kind::Load | Kind::Refused | Kind::Held | Kind::Unheld);
            let between = matches!(local.pc, Pc::Idle | Pc::Slow);
            // Or after a try that was given up, if there was no claim to clear.
            let given_up = local.pc == Pc::Load && !local.noted;
            if looks && (between || given_up) && !after.contains(local) {
                after.push(*local);
            }
            moves.clear();
            local.options(&self.setup, &mut moves);
            for step in &moves {
                let Some(got) = self.fits(step, event) else { continue };
                let next = Local { budget: u8::MAX, ..local.after(&self.setup, *step, got) };
                if !after.contains(&next) {
                    after.push(next);
                }
            }
        }
        if after.is_empty() {
            let steps: Vec<_> = before.iter().map(|local| local.pc).collect();
            return Err(format!("no step of the model at {steps:?}"));
        }
        match (kind, word) {
            (Kind::Store | Kind::Won, Some(word)) => drop(self.words.insert(word, value)),
            (Kind::Locked, _) => drop(self.locks.insert(value as u8, seat)),
            (Kind::Unlocked, _) => drop(self.locks.remove(&(value as u8))),
            _ => {}
        }
        // Who has unlocked his own seat is gone.
        after.retain(|local| !matches!(local.pc, Pc::Gone | Pc::Out));
        if !after.is_empty() {
            self.locals.insert(seat, after);
        }
        Ok(())
    }

    fn check_locks(&self, seat: u8, kind: Kind, value: u64) -> Result<(), String> {
        let holder = self.locks.get(&(value as u8)).copied();
        let fine = match kind {
            Kind::Locked => holder.is_none(),
            Kind::Refused => holder.is_some(),
            Kind::Held => holder.is_some_and(|holder| holder != seat),
            Kind::Unheld => holder.is_none_or(|holder| holder == seat),
            Kind::Unlocked => holder == Some(seat),
            _ => return Ok(()),
        };
        if fine { Ok(()) } else { Err(format!("the lock's holder is {holder:?}")) }
    }

    /// What the step gives, if the event is that step.
    fn fits(&self, step: &Move, event: &Event) -> Option<u64> {
        let Event { kind, word, value, .. } = *event;
        let number = |seat: u8| u64::from(seat) == value;
        match (step.access, kind) {
            (Access::Load(w), Kind::Load) if Some(w) == word => Some(value),
            (Access::Store(w, new), Kind::Store) if Some(w) == word && new == value => Some(0),
            // A state word may be exchanged where a store would do.
            (Access::Store(w @ Word::State(_), new), Kind::Won) => {
                (Some(w) == word && new == value).then_some(0)
            }
            (Access::Cas(w, old, new), Kind::Won) => {
                (Some(w) == word && new == value && self.load(w) == old).then_some(1)
            }
            (Access::Cas(w, old, new), Kind::Lost) => {
                (Some(w) == word && new == value && self.load(w) != old).then_some(0)
            }
            (Access::Lock(s), Kind::Locked) if number(s) => Some(1),
            (Access::Lock(s), Kind::Refused) if number(s) => Some(0),
            (Access::Query(s), Kind::Held) if number(s) => Some(1),
            (Access::Query(s), Kind::Unheld) if number(s) => Some(0),
            (Access::Unlock(s), Kind::Unlocked) if number(s) => Some(0),
            _ => None,
        }
    }
}
