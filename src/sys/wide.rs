//! File calls with 64-bit offsets and numbers on every target.
//!
//! On 64 bits they are `nix`'s. On 32 bits the plain ones of the C library have 32-bit
//! fields: no seat's byte would fit into a lock, and a file with a large number or length
//! could not be looked at. There the wide forms stand here.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

/// What `stat` says, as far as anybody here asks.
pub(super) struct Stat {
    pub(super) mode: u32,
    pub(super) owner: u32,
    pub(super) len: i64,
    pub(super) blocks: i64,
    pub(super) device: u64,
    pub(super) number: u64,
}

/// A lock of some bytes, as the kernel's 64-bit calls take it on every target.
#[repr(C)]
pub(super) struct ByteRange {
    pub(super) kind: libc::c_short,
    whence: libc::c_short,
    start: i64,
    len: i64,
    pid: libc::pid_t,
}

impl ByteRange {
    /// `len` bytes from `start` on; length 0 is up to the last there is.
    pub(super) fn new(kind: libc::c_int, start: i64, len: i64) -> Self {
        let kind = kind as libc::c_short;
        Self { kind, whence: libc::SEEK_SET as libc::c_short, start, len, pid: 0 }
    }
}

/// Opens, whatever the length.
pub(super) fn open(
    path: &(impl nix::NixPath + ?Sized),
    flags: OFlag,
    mode: Mode,
) -> nix::Result<OwnedFd> {
    loop {
        match nix::fcntl::open(path, flags | OFlag::O_LARGEFILE, mode) {
            // It can sleep: somebody has a lease, or the file system is slow.
            Err(nix::Error::EINTR) => {}
            outcome => return outcome,
        }
    }
}

/// An open-file-description lock call: `F_OFD_SETLK` or `F_OFD_GETLK`.
pub(super) fn lock(file: impl AsFd, command: libc::c_int, range: &mut ByteRange) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    #[cfg(target_pointer_width = "64")]
    const FCNTL: libc::c_long = libc::SYS_fcntl;
    #[cfg(target_pointer_width = "32")]
    const FCNTL: libc::c_long = libc::SYS_fcntl64;
    // By number: the C library's own takes its own structure, of other widths.
    // SAFETY: I4: a structure as the kernel wants it, which lives through the call.
    let outcome =
        unsafe { libc::syscall(FCNTL, file.as_fd().as_raw_fd(), command, &raw mut *range) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(not(all(target_pointer_width = "32", target_env = "gnu")))]
mod plain {
    use super::{AsFd, Path, Stat};

    #[allow(clippy::useless_conversion, reason = "the widths differ between C libraries")]
    fn stat(found: nix::sys::stat::FileStat) -> Stat {
        Stat {
            mode: found.st_mode,
            owner: found.st_uid,
            len: found.st_size,
            blocks: i64::from(found.st_blocks),
            device: found.st_dev,
            number: found.st_ino,
        }
    }

    pub(in super::super) fn fstat(file: impl AsFd) -> nix::Result<Stat> {
        nix::sys::stat::fstat(file).map(stat)
    }

    pub(in super::super) fn lstat(path: &Path) -> nix::Result<Stat> {
        nix::sys::stat::lstat(path).map(stat)
    }
}
#[cfg(not(all(target_pointer_width = "32", target_env = "gnu")))]
pub(super) use plain::{fstat, lstat};

#[cfg(all(target_pointer_width = "32", target_env = "gnu"))]
mod wide {
    use std::os::fd::AsRawFd;

    use super::{AsFd, Path, Stat};

    fn stat(outcome: libc::c_int, found: &libc::stat64) -> nix::Result<Stat> {
        nix::Error::result(outcome)?;
        Ok(Stat {
            mode: found.st_mode,
            owner: found.st_uid,
            len: found.st_size,
            blocks: found.st_blocks,
            device: found.st_dev,
            number: found.st_ino,
        })
    }

    fn none() -> libc::stat64 {
        // SAFETY: I5: plain numbers, for which zero is a value.
        unsafe { core::mem::zeroed() }
    }

    pub(in super::super) fn fstat(file: impl AsFd) -> nix::Result<Stat> {
        let mut found = none();
        // SAFETY: I4: writes one private structure.
        let outcome = unsafe { libc::fstat64(file.as_fd().as_raw_fd(), &raw mut found) };
        stat(outcome, &found)
    }

    pub(in super::super) fn lstat(path: &Path) -> nix::Result<Stat> {
        use nix::NixPath;
        let mut found = none();
        // SAFETY: I4: a C string, and one private structure to write.
        let outcome =
            path.with_nix_path(|path| unsafe { libc::lstat64(path.as_ptr(), &raw mut found) })?;
        stat(outcome, &found)
    }
}
#[cfg(all(target_pointer_width = "32", target_env = "gnu"))]
pub(super) use wide::{fstat, lstat};
