//! Which mappings the `SIGBUS` guard watches over.

use std::io;

use crate::atomic::{Bug, Word, relaxed, seat, seeded};
use crate::sys;

/// Most mappings that can be guarded at once in a process.
const MOST: usize = 1024;

/// A guarded range. Free: length zero. Being taken or given back: base zero. No lock, so
/// that neither the signal handler nor a forked child can find one held.
struct Slot {
    base: Word,
    len: Word,
}

static SLOTS: [Slot; MOST] = [const { Slot { base: Word::new(0), len: Word::new(0) } }; MOST];

/// A mapping that is guarded while this lives: to be dropped before the mapping is.
pub(super) struct Guarded {
    slot: &'static Slot,
}

impl Guarded {
    /// Guards `len` bytes from `base`; installs the handler the first time.
    pub(super) fn new(base: usize, len: usize) -> io::Result<Self> {
        sys::guard_sigbus(find)?;
        let free = |slot: &&Slot| {
            slot.len.compare_exchange(0, len as u64, seat::ACQUIRE, relaxed::HINT).is_ok()
        };
        let slot = SLOTS.iter().find(free);
        let slot = slot.ok_or_else(|| io::Error::other("more than 1024 guarded mappings"))?;
        // Whoever sees the base sees the length.
        slot.base.unwatched_store(base as u64, seat::RELEASE);
        Ok(Self { slot })
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if seeded(Bug::GuardSlotLeaks) {
            return;
        }
        self.slot.base.unwatched_store(0, seat::RELEASE);
        // The next one who takes the slot sees the base gone.
        self.slot.len.unwatched_store(0, seat::RELEASE);
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
