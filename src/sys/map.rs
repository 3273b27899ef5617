//! Mappings, by `memmap2` (`MmapRaw` alone: nothing here ever makes a slice).
#![allow(unsafe_code)]

use core::ptr::NonNull;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use memmap2::{MmapOptions, MmapRaw};

/// A whole file, mapped shared; unmapped on drop.
pub(crate) struct Mapping {
    map: MmapRaw,
}

impl Mapping {
    /// Maps `len` bytes of the file, to read and, if `write`, to write.
    pub(crate) fn new(file: &OwnedFd, len: usize, write: bool) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        options.len(len);
        let map = if write {
            options.map_raw(file.as_raw_fd())?
        } else {
            options.map_raw_read_only(file.as_raw_fd())?
        };
        Ok(Self { map })
    }

    /// First byte.
    pub(crate) fn base(&self) -> NonNull<u8> {
        NonNull::new(self.map.as_mut_ptr()).expect("no mapping is at address zero")
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Brings all pages in now, so that no first access is slow. Changes no byte.
    ///
    /// On kernels before 5.14, which can't, nothing happens and first accesses fault.
    pub(crate) fn populate(&self) -> io::Result<()> {
        // SAFETY: I4: exactly this mapping, which lives.
        let outcome = unsafe {
            libc::madvise(self.map.as_mut_ptr().cast(), self.map.len(), libc::MADV_POPULATE_WRITE)
        };
        if outcome == 0 {
            return Ok(());
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            error => Err(error),
        }
    }

    /// Asks for huge pages. A hint: many file systems have none to give.
    pub(crate) fn ask_for_huge_pages(&self) {
        // SAFETY: I4: exactly this mapping, which lives. A refusal changes nothing.
        unsafe { libc::madvise(self.map.as_mut_ptr().cast(), self.map.len(), libc::MADV_HUGEPAGE) };
    }

    /// Keeps all pages in memory; they are let go with the mapping.
    pub(crate) fn lock(&self) -> io::Result<()> {
        self.map.lock()
    }
}
