//! Slots in shared memory for the mechanisms that only say when: whose turn it is, they
//! hand over by themselves.
//!
//! ```text
//!   [ words, a page ][ slot 0 ][ slot 1 ] ... [ slot capacity - 1 ]
//! ```
#![allow(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};

use crate::Error;
use crate::shared::Shared;
use crate::transport::{Route, Site, Ticket};

/// Slots start on a page of their own.
const DATA: usize = 4096;

/// One end's view: it goes through the slots in turn.
pub(crate) struct Slots {
    shared: Shared,
    capacity: usize,
    size: usize,
    next: usize,
}

impl Slots {
    /// Makes the memory, and a ticket for either end.
    pub(crate) fn create(capacity: usize, size: usize) -> Result<Route, Error> {
        let shared = Shared::create(DATA + capacity * size)?;
        let ticket = || -> Result<Ticket, Error> {
            let fd = shared.as_fd().try_clone_to_owned().map_err(Error::lacking("dup"))?;
            Ok(Ticket::inherited(fd))
        };
        Ok(Route { send: ticket()?, recv: ticket()?, keep: None })
    }

    pub(crate) fn attach(fd: OwnedFd, site: &Site, size: usize) -> Result<Slots, Error> {
        Ok(Slots { shared: Shared::attach(fd)?, capacity: site.shape.capacity, size, next: 0 })
    }

    /// The page of words before the slots.
    #[inline(always)]
    pub(crate) fn words(&self) -> &Shared {
        &self.shared
    }

    /// Where the next slot is; the one after it is next then.
    #[inline(always)]
    fn step(&mut self) -> *mut u8 {
        let slot = self.shared.span(DATA + self.next * self.size, self.size);
        self.next = if self.next + 1 == self.capacity { 0 } else { self.next + 1 };
        slot
    }

    /// Writes the next slot, which the mechanism has said is free.
    #[inline(always)]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let (len, slot) = (bytes.len().min(self.size), self.step());
        // SAFETY: `size` bytes inside the mapping; the receiver won't look at them before
        // the mechanism hands them over; `bytes` is private memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), slot, len) };
    }

    /// Reads the next slot, which the mechanism has said is full.
    #[inline(always)]
    pub(crate) fn read(&mut self, bytes: &mut [u8]) {
        let (len, slot) = (bytes.len().min(self.size), self.step());
        // SAFETY: `size` bytes inside the mapping; the sender won't touch them before the
        // mechanism hands them back; `bytes` is private memory.
        unsafe { std::ptr::copy_nonoverlapping(slot, bytes.as_mut_ptr(), len) };
    }
}
