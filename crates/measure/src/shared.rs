//! Anonymous shared memory for the raw probes and for the control words.
//!
//! Deliberately not annulus's own segment: what measures the core must not stand on it.
#![allow(unsafe_code)]

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::Error;

/// A mapped memfd. Words are atomics; spans of bytes are handed out as pointers.
pub(crate) struct Shared {
    base: NonNull<u8>,
    len: usize,
    fd: OwnedFd,
}

// SAFETY: the mapping belongs to no thread; words are atomics, and every user of a
// span's pointer promises by itself that nobody writes what it reads.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Makes `len` zeroed bytes.
    pub(crate) fn create(len: usize) -> Result<Shared, Error> {
        let fd = memfd_create(c"annulus-measure", MFdFlags::MFD_CLOEXEC)
            .map_err(Error::system("memfd_create"))?;
        nix::unistd::ftruncate(&fd, len as libc::off_t).map_err(Error::system("ftruncate"))?;
        Shared::map(fd, len)
    }

    /// Maps what another process created.
    pub(crate) fn attach(fd: OwnedFd) -> Result<Shared, Error> {
        let stat = nix::sys::stat::fstat(&fd).map_err(Error::system("fstat"))?;
        Shared::map(fd, stat.st_size as usize)
    }

    fn map(fd: OwnedFd, len: usize) -> Result<Shared, Error> {
        let size = NonZeroUsize::new(len).ok_or_else(|| Error::Spec("empty memfd".into()))?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice; nobody shrinks
        // the memfd, which only this crate's two processes hold.
        let base = unsafe { mmap(None, size, access, flags, &fd, 0) }
            .map_err(Error::system("mmap"))?
            .cast();
        Ok(Shared { base, len, fd })
    }

    /// The word at a byte offset.
    #[inline(always)]
    pub(crate) fn word(&self, offset: usize) -> &AtomicU64 {
        let word = self.span(offset, 8).cast::<AtomicU64>();
        assert!(word.is_aligned(), "word at {offset}");
        // SAFETY: inside the mapping and aligned, both checked just now; the mapping
        // lives as long as `self`; words at this offset are only used as atomics.
        unsafe { &*word }
    }

    /// The half word at a byte offset, for futexes. Nobody uses its word as a whole.
    #[inline(always)]
    pub(crate) fn half(&self, offset: usize) -> &AtomicU32 {
        let half = self.span(offset, 4).cast::<AtomicU32>();
        assert!(half.is_aligned(), "half word at {offset}");
        // SAFETY: inside the mapping and aligned, both checked just now; the mapping
        // lives as long as `self`; half words at this offset are only used as atomics.
        unsafe { &*half }
    }

    /// Where `len` bytes at `offset` begin. Panics outside the mapping.
    #[inline(always)]
    pub(crate) fn span(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset <= self.len && len <= self.len - offset, "{len} bytes at {offset}");
        self.base.as_ptr().wrapping_add(offset)
    }
}

impl AsFd for Shared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and nothing borrowed from `self` outlives it.
        let _ = unsafe { munmap(self.base.cast(), self.len) };
    }
}
