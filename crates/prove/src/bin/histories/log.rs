//! What each process notes of its operations, in memory that outlives it.
//!
//! ```text
//!   CALLED ── the call ──▶ TAKEN ── in hand ──▶ ENDING ── commit, release ──▶ DONE
//!   start                  end                                                until
//! ```
#![allow(unsafe_code)]

use annulus_prove::fleet::{Note, Random, Shareable, Shared};

use crate::stamp;

/// Longest batch.
pub const BATCH: usize = 4;

/// How far an operation has come.
pub mod stage {
    /// The call was made, or is about to be.
    pub const CALLED: u64 = 1;
    /// It has returned: a position is in hand.
    pub const TAKEN: u64 = 2;
    /// It is about to be committed, given up, or released.
    pub const ENDING: u64 = 3;
    /// All is over.
    pub const DONE: u64 = 4;
}

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Sends by copy.
    Send,
    /// Reserves, and commits.
    Reserve,
    /// Reserves, and gives up.
    Abort,
    /// Receives by copy.
    Recv,
    /// Receives under a guard.
    Guard,
    /// Leaves its seat.
    Leave,
    /// Takes a seat again.
    Join,
}

impl Verb {
    const ALL: [Self; 7] =
        [Self::Send, Self::Reserve, Self::Abort, Self::Recv, Self::Guard, Self::Leave, Self::Join];
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// So many messages.
    Some(u64),
    /// Messages that come again.
    Again,
    /// No room.
    Full,
    /// No message.
    Empty,
    /// No message yet.
    Stalled,
    /// So many were missed.
    Lagged(u64),
    /// Nothing that says anything: a timeout.
    Nothing,
}

impl Said {
    fn code(self) -> (u64, u64) {
        match self {
            Self::Some(count) => (0, count),
            Self::Again => (1, 1),
            Self::Full => (2, 0),
            Self::Empty => (3, 0),
            Self::Stalled => (4, 0),
            Self::Lagged(count) => (5, count),
            Self::Nothing => (6, 0),
        }
    }

    fn of(code: u64, count: u64) -> Self {
        match code {
            0 => Self::Some(count),
            1 => Self::Again,
            2 => Self::Full,
            3 => Self::Empty,
            4 => Self::Stalled,
            5 => Self::Lagged(count),
            _ => Self::Nothing,
        }
    }
}

/// The notes of one operation.
#[derive(Debug, Default)]
pub struct Entry {
    verb: Note,
    asked: Note,
    stage: Note,
    start: Note,
    end: Note,
    until: Note,
    said: Note,
    count: Note,
    values: [Note; BATCH],
}

// SAFETY: notes alone, of which zeros are a value.
unsafe impl Shareable for Entry {}

/// An operation as it was noted.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// What was called.
    pub verb: Verb,
    /// How many messages it was called for.
    pub asked: u64,
    /// How far it came.
    pub stage: u64,
    /// When it was called.
    pub start: u64,
    /// When the call had returned.
    pub end: u64,
    /// When all was over.
    pub until: u64,
    /// What came of it.
    pub said: Said,
    /// The values that it sends, or has received.
    pub values: [u64; BATCH],
}

impl Entry {
    /// What is noted.
    pub fn get(&self) -> Record {
        Record {
            verb: Verb::ALL[self.verb.get() as usize],
            asked: self.asked.get(),
            stage: self.stage.get(),
            start: self.start.get(),
            end: self.end.get(),
            until: self.until.get(),
            said: Said::of(self.said.get(), self.count.get()),
            values: std::array::from_fn(|at| self.values[at].get()),
        }
    }

    /// A value that was sent or received.
    pub fn value(&self, at: usize, value: u64) {
        self.values[at].set(value);
    }

    /// The call has returned with a position in hand.
    pub fn taken(&self) {
        self.end.set(stamp::end());
        self.stage.set(stage::TAKEN);
    }

    /// It is about to be let go.
    pub fn ending(&self) {
        self.stage.set(stage::ENDING);
    }

    /// All is over.
    pub fn done(&self, said: Said) {
        let now = stamp::end();
        if self.stage.get() == stage::CALLED {
            self.end.set(now);
        }
        self.until.set(now);
        let (code, count) = said.code();
        self.said.set(code);
        self.count.set(count);
        self.stage.set(stage::DONE);
    }
}

/// A process's notes of one history.
#[derive(Debug)]
pub struct Log {
    entries: Shared<Entry>,
    /// How many there are.
    len: Shared<Note>,
}

impl Log {
    /// For so many operations.
    pub fn new(entries: usize) -> Self {
        Self { entries: Shared::new(entries), len: Shared::new(1) }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.len[0].set(0);
    }

    /// An operation is about to be called.
    ///
    /// # Panics
    /// If there have been too many.
    pub fn call(&self, verb: Verb, asked: u64) -> &Entry {
        let at = self.len[0].get();
        let entry = self.entries.get(at as usize).expect("operations without an end");
        entry.verb.set(verb as u64);
        entry.asked.set(asked);
        entry.stage.set(stage::CALLED);
        self.len[0].set(at + 1);
        entry.start.set(stamp::start());
        entry
    }

    /// How much is noted.
    pub fn len(&self) -> u64 {
        self.len[0].get()
    }

    /// All that is noted.
    pub fn records(&self) -> Vec<Record> {
        let len = self.len[0].get() as usize;
        self.entries[..len].iter().map(Entry::get).collect()
    }
}

/// What one process does in one history.
#[derive(Debug)]
pub struct Part<'a> {
    /// Where it notes it.
    pub log: &'a Log,
    /// Its choices.
    pub random: Random,
    /// Its next value.
    pub value: u64,
    /// Told in each message, so that none of another history passes.
    pub history: u64,
    /// How many operations.
    pub ops: u64,
}

impl Part<'_> {
    /// Values for the next messages, which a call for `count` of them sends.
    pub fn values(&mut self, entry: &Entry, count: u64) {
        for at in 0..count {
            entry.value(at as usize, self.value + at);
        }
    }

    /// Some time in between, so that histories differ.
    pub fn dally(&mut self) {
        for _ in 0..self.random.below(40) {
            std::hint::spin_loop();
        }
    }
}
