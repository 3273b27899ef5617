//! Reading a descriptor into memory and writing memory to one, in up to two stretches.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A stretch of memory: first byte and length.
pub(crate) type Stretch = (NonNull<u8>, usize);

fn vectors(stretches: [Stretch; 2]) -> ([libc::iovec; 2], libc::c_int) {
    let vector =
        |(base, len): Stretch| libc::iovec { iov_base: base.as_ptr().cast(), iov_len: len };
    let count = if stretches[1].1 > 0 { 2 } else { 1 };
    (stretches.map(vector), count)
}

fn counted(outcome: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(outcome).map_err(|_| io::Error::last_os_error())
}

/// Reads once into the stretches. Memory that is not there any more is an error
/// ([`is_unreachable`]), never a fault.
///
/// # Safety
/// The stretches are memory that the kernel may write to, shared with whomever.
pub(crate) unsafe fn read(fd: BorrowedFd<'_>, stretches: [Stretch; 2]) -> io::Result<usize> {
    let (vectors, count) = vectors(stretches);
    // SAFETY: I4: promised by the caller; the kernel checks the addresses itself.
    counted(unsafe { libc::readv(fd.as_raw_fd(), vectors.as_ptr(), count) })
}

/// Writes once from the stretches.
///
/// # Safety
/// The stretches are memory that the kernel may read.
pub(crate) unsafe fn write(fd: BorrowedFd<'_>, stretches: [Stretch; 2]) -> io::Result<usize> {
    let (vectors, count) = vectors(stretches);
    // SAFETY: I4: promised by the caller; the kernel checks the addresses itself.
    counted(unsafe { libc::writev(fd.as_raw_fd(), vectors.as_ptr(), count) })
}

/// Whether the kernel could not reach the memory.
pub(crate) fn is_unreachable(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EFAULT)
}
