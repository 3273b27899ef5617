//! What a life notes as it goes: in memory that its killer shares.
#![allow(unsafe_code)]

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

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

    /// Notes one more.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The notes of one life, of a sender or a receiver.
#[derive(Debug, Default)]
pub struct Journal {
    /// One: it has taken its seat, and the next two are noted.
    pub attached: Note,
    /// The position at which it began.
    pub start: Note,
    /// Messages below this were said to come again, or zero.
    pub marked_until: Note,
    /// Before a verb: the end of what it may commit or retire.
    pub may_reach: Note,
    /// Before a verb: one if it exposes by a guard.
    pub exposes: Note,
    /// The end of all that this life has ever exposed.
    pub exposed: Note,
    /// The end of what the application has got (or has sent).
    pub got: Note,
    /// After a verb: the end of what it has committed or retired.
    pub reached: Note,
    /// Times that a seat was refused for a moment.
    pub refusals: Note,
    /// Times that the other side was found dead, or closed.
    pub endings: Note,
    /// One: something was wrong, and it ended itself; it has printed what.
    pub failed: Note,
}

impl Journal {
    fn notes(&self) -> [&Note; 11] {
        [
            &self.attached,
            &self.start,
            &self.marked_until,
            &self.may_reach,
            &self.exposes,
            &self.exposed,
            &self.got,
            &self.reached,
            &self.refusals,
            &self.endings,
            &self.failed,
        ]
    }

    /// Before a verb of the receiver: how far it may come from `position`, and whether by a
    /// guard.
    pub fn asks(&self, position: u64, count: u64, exposes: bool) {
        if exposes {
            self.exposed.set(position + 1);
        }
        self.exposes.set(u64::from(exposes));
        self.may_reach.set(position + count);
    }

    /// The application has got all below, and they are retired.
    pub fn has(&self, end: u64) {
        self.got.set(end);
        self.reached.set(end);
    }

    /// A new life's.
    pub fn clear(&self) {
        self.notes().iter().for_each(|note| note.set(0));
    }
}

/// The journals of the sender and of the receiver who live now.
pub struct Journals(NonNull<[Journal; 2]>);

impl Journals {
    /// Empty ones, shared with the processes that are forked from now on.
    pub fn new() -> Self {
        let size = NonZeroUsize::new(size_of::<[Journal; 2]>()).unwrap();
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice; zeros are journals.
        let base = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED) };
        Self(base.unwrap().cast())
    }

    /// The sender's.
    pub fn sender(&self) -> &Journal {
        // SAFETY: mapped while `self` lives, and all of it atomic.
        let [sender, _] = unsafe { self.0.as_ref() };
        sender
    }

    /// The receiver's.
    pub fn receiver(&self) -> &Journal {
        // SAFETY: as above.
        let [_, receiver] = unsafe { self.0.as_ref() };
        receiver
    }
}

impl Drop for Journals {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing borrowed is left.
        unsafe { munmap(self.0.cast(), size_of::<[Journal; 2]>()) }.unwrap();
    }
}
