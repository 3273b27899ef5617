//! A handle's right to go on, in one private word that its fast path compares anyway.
//!
//! ```text
//!   position < limit   go on
//!   otherwise          look closer: full, poisoned, forked, a guard to settle, the end
//! ```
//!
//! The limit lies in a page that the kernel clears in a forked child, so that a child's
//! handle is stopped by the same comparison and the check costs nothing. Imports: sys.

use crate::error::{Corrupt, Error, Fault};
use crate::layout::POSITION_LIMIT;
#[cfg(not(loom))]
use crate::sys::WipedPage;

/// Words of the page.
const LIMIT: usize = 0;
const ALIVE: usize = 1;

/// The limit of one handle, and why it is closed if it is. Takes one page of memory.
pub(crate) struct Gate {
    page: Page,
    fault: Option<Fault>,
}

#[cfg(not(loom))]
type Page = WipedPage;

/// Models do not fork.
#[cfg(loom)]
struct Page([u64; 2]);

#[cfg(loom)]
impl Page {
    fn new() -> std::io::Result<Self> {
        Ok(Self([0; 2]))
    }

    fn get(&self, word: usize) -> u64 {
        self.0[word]
    }

    fn set(&mut self, word: usize, value: u64) {
        self.0[word] = value;
    }
}

impl Gate {
    /// A gate that stands open up to `limit`.
    pub(crate) fn new(limit: u64) -> Result<Self, Error> {
        let page = Page::new()
            .map_err(|source| Error::Os { call: "making a page that forks clear", source })?;
        let mut gate = Self { page, fault: None };
        gate.page.set(ALIVE, 1);
        gate.open_to(limit);
        Ok(gate)
    }

    /// Whether the handle may go on at `position` without looking closer.
    #[inline(always)]
    pub(crate) fn admits(&self, position: u64) -> bool {
        position < self.page.get(LIMIT)
    }

    /// The first position that it may not go on at. At most [`POSITION_LIMIT`].
    #[inline(always)]
    pub(crate) fn limit(&self) -> u64 {
        self.page.get(LIMIT)
    }

    /// Lets the handle go on below `limit`, and below the last position.
    pub(crate) fn open_to(&mut self, limit: u64) {
        if self.fault.is_none() {
            self.page.set(LIMIT, limit.min(POSITION_LIMIT));
        }
    }

    /// Stops the fast path, so that the next operation looks closer.
    pub(crate) fn shut(&mut self) {
        self.page.set(LIMIT, 0);
    }

    /// Why the handle can't go on at `position`, if that is so.
    pub(crate) fn check(&self, position: u64) -> Result<(), Fault> {
        if self.page.get(ALIVE) == 0 {
            return Err(Fault::Forked);
        }
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if position >= POSITION_LIMIT {
            return Err(Fault::PositionLimit);
        }
        Ok(())
    }

    /// Shuts for good: the handle has seen what no correct peer writes.
    #[cold]
    pub(crate) fn poison(&mut self, corrupt: Corrupt) -> Fault {
        let fault = Fault::Corrupt(corrupt);
        self.shut();
        self.fault = Some(fault);
        fault
    }

    /// Whether this is the process that made the handle.
    pub(crate) fn is_own(&self) -> bool {
        self.page.get(ALIVE) != 0
    }
}
