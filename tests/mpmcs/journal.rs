//! What is noted of each life and of each message: in memory that outlives them.
#![allow(unsafe_code)]

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// A note of one number. The last one made before a kill is there after it.
#[derive(Debug, Default)]
pub struct Note(AtomicU64);

impl Note {
    /// Notes a number.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::SeqCst);
    }

    /// The last one.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Notes so many more; gives what was there.
    pub fn add(&self, count: u64) -> u64 {
        self.0.fetch_add(count, Ordering::SeqCst)
    }
}

/// The notes of one life.
#[derive(Debug, Default)]
pub struct Journal {
    /// One: it has its seat.
    pub attached: Note,
    /// A sender's: the numbers that its verb may be committing, from and how many.
    pub first: Note,
    /// As above.
    pub count: Note,
    /// A receiver's: how many its verb may leave in doubt.
    pub doubt: Note,
    /// Messages sent or received by this life.
    pub done: Note,
    /// Seats refused.
    pub refusals: Note,
    /// One: something was wrong; it has printed what.
    pub failed: Note,
}

/// Its message was committed, as its sender says.
pub const SENT: u8 = 1;
/// Received and not marked.
pub const GOT: u8 = 2;
/// Received, marked.
pub const AGAIN: u8 = 4;
/// To be given up: nobody may ever receive it.
pub const GIVEN_UP: u8 = 8;

/// Most participants of one ring.
pub const LIVES: usize = 8;

/// Most messages of one ring.
pub const MESSAGES: usize = 1 << 22;

/// Shared by all lives of one ring.
pub struct Notes {
    /// Each participant's.
    pub lives: [Journal; LIVES],
    /// The next message's number.
    pub next: Note,
    /// What became of each message.
    fates: [AtomicU8; MESSAGES],
}

impl Notes {
    /// Notes more of a message's fate; gives what was known.
    pub fn note(&self, number: u64, what: u8) -> u8 {
        let fate = self.fates.get(number as usize).expect("a number that was given out");
        fate.fetch_or(what, Ordering::SeqCst)
    }

    /// What became of a message.
    pub fn fate(&self, number: u64) -> u8 {
        self.fates[number as usize].load(Ordering::SeqCst)
    }
}

/// The notes, mapped; shared with the processes that are forked from now on.
pub struct Shared(NonNull<Notes>);

impl Shared {
    /// Empty ones.
    pub fn new() -> Self {
        let size = NonZeroUsize::new(size_of::<Notes>()).unwrap();
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice; zeros are notes.
        let base = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED) };
        Self(base.unwrap().cast())
    }
}

impl std::ops::Deref for Shared {
    type Target = Notes;

    fn deref(&self) -> &Notes {
        // SAFETY: mapped while `self` lives, and all of it atomic.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing borrowed is left.
        unsafe { munmap(self.0.cast(), size_of::<Notes>()) }.unwrap();
    }
}
