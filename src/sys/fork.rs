//! Private words that the kernel clears in a forked child.
#![allow(unsafe_code)]

use core::num::NonZeroUsize;
use core::ptr::NonNull;
use std::io;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags};

use super::bug::{Bug, seeded};

/// One private page that reads as zeros in any forked child (Linux 4.14).
///
/// Its words belong to one handle: they are neither shared nor atomic.
pub(crate) struct WipedPage {
    base: NonNull<u64>,
    len: usize,
}

// SAFETY: I4: the page is owned, like a box.
unsafe impl Send for WipedPage {}
// SAFETY: I3: shared references only read; writing borrows it exclusively.
unsafe impl Sync for WipedPage {}

impl WipedPage {
    /// A page of zeros.
    pub(crate) fn new() -> io::Result<Self> {
        let len = super::page_size();
        let size = NonZeroUsize::new(len).expect("pages are not empty");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: I4: a new mapping, at an address of the kernel's choice.
        let base =
            unsafe { nix::sys::mman::mmap_anonymous(None, size, access, MapFlags::MAP_PRIVATE) }?;
        let page = Self { base: base.cast(), len };
        if seeded(Bug::ForkedHandlesGoOn) {
            return Ok(page);
        }
        // SAFETY: I4: exactly the page just mapped, which holds nothing yet.
        unsafe { nix::sys::mman::madvise(base, len, MmapAdvise::MADV_WIPEONFORK) }?;
        Ok(page)
    }

    /// Reads word `index` of 8.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> u64 {
        debug_assert!(index < 8);
        // SAFETY: I4: within the page.
        let word = unsafe { self.base.add(index) };
        // SAFETY: I4: mapped while `self` lives. Volatile: `fork` changes it unseen.
        unsafe { word.read_volatile() }
    }

    /// Writes word `index` of 8.
    #[inline(always)]
    pub(crate) fn set(&mut self, index: usize, value: u64) {
        debug_assert!(index < 8);
        // SAFETY: I4: within the page.
        let word = unsafe { self.base.add(index) };
        // SAFETY: I4: mapped while `self` lives, and exclusively borrowed.
        unsafe { word.write_volatile(value) }
    }
}

impl Drop for WipedPage {
    fn drop(&mut self) {
        // SAFETY: I4: this page, which nobody can reach any more. It can't fail for a
        // whole mapping, and there is nothing to do if it did.
        let _ = unsafe { nix::sys::mman::munmap(self.base.cast(), self.len) };
    }
}
