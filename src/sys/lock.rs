//! Seat locks: the kernel's word on who lives.
//!
//! An open-file-description write lock on one byte far behind the data, through a
//! description of its own. The kernel drops it when the last descriptor of that
//! description closes: when its process has ended, and all its threads with it.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag};
use nix::sys::stat::Mode;

use super::inherit::Uninherited;

/// Where the lock bytes begin: beyond any segment, below the largest offset.
const FIRST: i64 = 1 << 62;

/// A held lock; released on drop, or when the process ends.
#[derive(Debug)]
pub(crate) struct SeatLock {
    description: Uninherited,
    seat: usize,
    /// Who took it: a child that shares the description must not let it go.
    process: u32,
}

impl SeatLock {
    /// Takes the lock of a seat, or `None` if somebody holds it.
    ///
    /// `file` is re-opened: a lock through a passed or inherited description would
    /// succeed for all who share it.
    pub(crate) fn take(file: BorrowedFd<'_>, seat: usize) -> io::Result<Option<Self>> {
        let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let description =
            Uninherited::new(|| Ok(nix::fcntl::open(path.as_str(), flags, Mode::empty())?))?;
        let lock = flock(libc::F_WRLCK, seat);
        match nix::fcntl::fcntl(description.get(), FcntlArg::F_OFD_SETLK(&lock)) {
            Ok(_) => Ok(Some(Self { description, seat, process: std::process::id() })),
            Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether anybody holds the lock of a seat.
    ///
    /// Asks as a reader would (`F_RDLCK`), so that a reader's lock counts as nobody's.
    pub(crate) fn is_held(file: BorrowedFd<'_>, seat: usize) -> io::Result<bool> {
        let mut lock = flock(libc::F_RDLCK, seat);
        nix::fcntl::fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }
}

impl Drop for SeatLock {
    fn drop(&mut self) {
        // Let go in so many words: closing would not do while a child that is just being
        // forked or spawned shares the description.
        if self.process == std::process::id() {
            let lock = flock(libc::F_UNLCK, self.seat);
            // If it fails, closing is left.
            let _ = nix::fcntl::fcntl(self.description.get(), FcntlArg::F_OFD_SETLK(&lock));
        }
    }
}

/// One byte, for one seat.
fn flock(kind: libc::c_int, seat: usize) -> libc::flock {
    // SAFETY: I5: `flock` is plain numbers, for which zero is a value.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = FIRST + seat as i64;
    lock.l_len = 1;
    lock
}
