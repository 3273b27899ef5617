//! What is noted of each life and each message at an mpmc ring, outside of the ring.
//!
//! ```text
//!   block   [ owner | sent | may ]    numbers below `sent` were sent, below `may` perhaps
//!   fate    one byte a number         GOT: received; AGAIN: received, marked
//!   journal one a life                what its verb may leave in doubt, and may bring again
//! ```
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

use annulus_prove::fleet::{LastWords, Note, Shareable, Shared};

/// Numbers that a sender takes at once.
pub const BLOCK: u64 = 4096;
/// Blocks of one ring's ledger.
pub const BLOCKS: u64 = 2048;
/// Most lives at once.
pub const LIVES: usize = 6;

/// Received, and not marked.
pub const GOT: u8 = 1;
/// Received, marked.
pub const AGAIN: u8 = 2;

/// What a life notes.
#[derive(Debug, Default)]
pub struct Journal {
    /// 1: it has its seat.
    pub seated: Note,
    /// Messages that its verb may leave in doubt: a receiver's.
    pub doubt: Note,
    /// Messages that it may leave to come again.
    pub again: Note,
    /// Messages sent or received.
    pub done: Note,
    /// Times that it was given a marked message.
    pub marked: Note,
    /// Seats taken.
    pub taken: Note,
    /// Seats refused for a moment.
    pub refused: Note,
    /// 1: between two verbs, and not to begin another.
    pub idle: Note,
}

// SAFETY: notes alone, of which zeros are a value.
unsafe impl Shareable for Journal {}

impl Journal {
    /// A new life's.
    pub fn clear(&self) {
        let Self { seated, doubt, again, done, marked, taken, refused, idle } = self;
        let all = [seated, doubt, again, done, marked, taken, refused, idle];
        all.into_iter().for_each(|note| note.set(0));
    }
}

/// A block, as it is noted.
#[derive(Debug, Default)]
pub struct Block {
    /// The life that sends from it.
    pub owner: Note,
    /// How many of its numbers were sent.
    pub sent: Note,
    /// How many may have been.
    pub may: Note,
}

// SAFETY: as above.
unsafe impl Shareable for Block {}

/// All of it.
#[derive(Debug)]
pub struct Ledger {
    notes: Shared<Note>,
    /// One for each life.
    pub journals: Shared<Journal>,
    /// One for each block.
    pub blocks: Shared<Block>,
    fates: Shared<AtomicU8>,
    /// What a life has to say of its failure.
    pub words: [LastWords; LIVES],
}

impl Ledger {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            notes: Shared::new(2),
            journals: Shared::new(LIVES),
            blocks: Shared::new(BLOCKS as usize),
            fates: Shared::new((BLOCK * BLOCKS) as usize),
            words: std::array::from_fn(|_| LastWords::default()),
        }
    }

    /// The next block's number.
    pub fn next(&self) -> &Note {
        &self.notes[0]
    }

    /// 1: nobody is to begin another verb.
    pub fn pause(&self) -> &Note {
        &self.notes[1]
    }

    /// What became of a number.
    pub fn fate(&self, number: u64) -> u8 {
        self.fates[number as usize].load(Ordering::Relaxed)
    }

    /// Notes that it was received; gives what was known.
    pub fn received(&self, number: u64, marked: bool) -> u8 {
        let fate = self.fates.get(number as usize).expect("a number that was given out");
        fate.fetch_or(if marked { AGAIN } else { GOT }, Ordering::SeqCst)
    }
}
