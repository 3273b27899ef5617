//! Which mappings the `SIGBUS` guard watches over.

use std::io;
use std::sync::Mutex;

use crate::atomic::{Word, relaxed, seat};
use crate::sys;

/// Most mappings that can be guarded at once in a process.
const MOST: usize = 1024;

/// A guarded range; base zero when unused. Written under [`WRITERS`], read by the signal
/// handler without.
struct Slot {
    base: Word,
    len: Word,
}

static SLOTS: [Slot; MOST] = [const { Slot { base: Word::new(0), len: Word::new(0) } }; MOST];

static WRITERS: Mutex<()> = Mutex::new(());

/// A mapping that is guarded while this lives: to be dropped before the mapping is.
pub(super) struct Guarded {
    slot: &'static Slot,
}

impl Guarded {
    /// Guards `len` bytes from `base`; installs the handler the first time.
    pub(super) fn new(base: usize, len: usize) -> io::Result<Self> {
        sys::guard_sigbus(find)?;
        let _writing = WRITERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let free = SLOTS.iter().find(|slot| slot.base.unwatched_load(relaxed::SOLE_WRITER) == 0);
        let slot = free.ok_or_else(|| io::Error::other("more than 1024 guarded mappings"))?;
        slot.len.unwatched_store(len as u64, relaxed::SOLE_WRITER);
        // Whoever sees the base sees the length.
        slot.base.unwatched_store(base as u64, seat::RELEASE);
        Ok(Self { slot })
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _writing = WRITERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.slot.base.unwatched_store(0, seat::RELEASE);
    }
}

/// The guarded mapping that an address lies in. Runs in the signal handler.
fn find(address: usize) -> Option<(usize, usize)> {
    SLOTS.iter().find_map(|slot| {
        let base = slot.base.unwatched_load(seat::ACQUIRE) as usize;
        let len = slot.len.unwatched_load(seat::ACQUIRE) as usize;
        // The slot of the caller's own mapping stands still; another may be changing
        // hands just now, and then its base differs on a second look.
        let still = slot.base.unwatched_load(relaxed::VALIDATED) as usize == base;
        (base != 0 && still && address >= base && address - base < len).then_some((base, len))
    })
}
