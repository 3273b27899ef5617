//! What the led processes note, in memory that outlives them.
//!
//! ```text
//!   [ journal 0: count, notes … ][ journal 1 ][ … ]       shared, anonymous, before any fork
//! ```
//!
//! A note is one store, made by the process itself between two of its instructions: so for
//! each kill it is known exactly what the dead one had been told. Imports: nothing.
#![allow(unsafe_code)]

use core::num::NonZeroUsize;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

/// What one process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A send of this message has returned.
    Sent(u64),
    /// A guard has shown this message.
    Exposed(u64),
    /// A receive of this message has returned, or its guard's release; and whether it was
    /// marked.
    Returned(u64, bool),
    /// So many messages were overwritten, it was told.
    Lagged(u64),
    /// It has its seat.
    Attached,
    /// It has left it.
    Left,
    /// It met what can't be: a torn message, an error.
    Wrong(u64),
}

impl Note {
    fn word(self) -> u64 {
        match self {
            Self::Sent(id) => 1 << 56 | id,
            Self::Exposed(id) => 2 << 56 | id,
            Self::Returned(id, false) => 3 << 56 | id,
            Self::Returned(id, true) => 4 << 56 | id,
            Self::Lagged(n) => 5 << 56 | n,
            Self::Attached => 6 << 56,
            Self::Left => 7 << 56,
            Self::Wrong(id) => 8 << 56 | (id & (u64::MAX >> 8)),
        }
    }

    fn of(word: u64) -> Self {
        let id = word & (u64::MAX >> 8);
        match word >> 56 {
            1 => Self::Sent(id),
            2 => Self::Exposed(id),
            3 => Self::Returned(id, false),
            4 => Self::Returned(id, true),
            5 => Self::Lagged(id),
            6 => Self::Attached,
            7 => Self::Left,
            _ => Self::Wrong(id),
        }
    }
}

/// Notes that a journal has room for.
const NOTES: usize = 127;
/// Journals.
const JOURNALS: usize = 4;

/// All journals.
pub struct Scratch {
    words: NonNull<AtomicU64>,
}

/// One process's journal.
#[derive(Clone, Copy)]
pub struct Journal {
    words: &'static [AtomicU64],
}

impl Scratch {
    /// Empty ones, for the life of the process.
    pub fn new() -> Self {
        let bytes = NonZeroUsize::new((NOTES + 1) * JOURNALS * 8).expect("some");
        let (access, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: I4: a new mapping, which nobody ever unmaps.
        let at = unsafe { mmap_anonymous(None, bytes, access, flags) }.expect("two pages");
        Self { words: at.cast() }
    }

    /// The journal of this number.
    pub fn journal(&self, number: usize) -> Journal {
        assert!(number < JOURNALS);
        // SAFETY: I1: within the mapping, as just checked.
        let first = unsafe { self.words.add(number * (NOTES + 1)) };
        // SAFETY: I4, I5: atomics in a mapping that stays.
        let words = unsafe { core::slice::from_raw_parts(first.as_ptr(), NOTES + 1) };
        Journal { words }
    }
}

impl Journal {
    /// Forgets all.
    pub fn clear(&self) {
        self.words[0].store(0, Ordering::Release);
    }

    /// Notes something; what there is no room for is not noted, and is then missed.
    #[inline(never)]
    pub fn note(&self, note: Note) {
        let count = self.words[0].load(Ordering::Relaxed) as usize;
        if count < NOTES {
            self.words[count + 1].store(note.word(), Ordering::Relaxed);
            self.words[0].store(count as u64 + 1, Ordering::Release);
        }
    }

    /// What was noted.
    pub fn notes(&self) -> impl Iterator<Item = Note> + '_ {
        let count = self.words[0].load(Ordering::Acquire) as usize;
        self.words[1..=count].iter().map(|word| Note::of(word.load(Ordering::Relaxed)))
    }
}
