//! File locks: the kernel's word on who lives, and on who has a segment open.
//!
//! Open-file-description locks on single bytes far behind the data, each through a
//! description of its own. The kernel drops one when the last descriptor of that
//! description closes: when its process has ended, and all its threads with it.
//!
//! ```text
//!   2^62 - 1   attach byte: read-locked by all who take part, write-locked to remove the name
//!   2^62 ..    seat bytes: write-locked by who sits there
//! ```

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::bug::{Bug, seeded};
use super::inherit::Uninherited;
use super::wide::{self, ByteRange};

/// Where the seats' bytes begin: beyond any segment, below the largest offset.
const SEATS: i64 = 1 << 62;

/// The byte before them, for all who take part under a name.
const ATTACH: i64 = SEATS - 1;

/// A held lock of one byte; released on drop, or when the process ends.
#[derive(Debug)]
struct ByteLock {
    description: Uninherited,
    byte: i64,
    /// Who took it: a child that shares the description must not let it go.
    process: u32,
}

impl ByteLock {
    /// Takes a lock, or `None` if somebody holds one that forbids it. Does not wait.
    ///
    /// `file` is re-opened: a lock through a passed or inherited description would
    /// succeed for all who share it.
    fn take(
        file: BorrowedFd<'_>,
        access: OFlag,
        kind: libc::c_int,
        byte: i64,
    ) -> io::Result<Option<Self>> {
        let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
        let mut flags = access | OFlag::O_CLOEXEC;
        if seeded(Bug::LockSurvivesExec) {
            flags.remove(OFlag::O_CLOEXEC);
        }
        let description = Uninherited::new(|| {
            if seeded(Bug::LockThroughShared) {
                return file.try_clone_to_owned();
            }
            Ok(wide::open(path.as_str(), flags, Mode::empty())?)
        })?;
        let mut lock = ByteRange::new(kind, byte, 1);
        match wide::lock(description.get(), libc::F_OFD_SETLK, &mut lock) {
            Ok(()) => Ok(Some(Self { description, byte, process: std::process::id() })),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EACCES) => {
                    if seeded(Bug::RefusalKeepsDescriptor) {
                        core::mem::forget(description);
                    }
                    Ok(None)
                }
                _ => Err(error),
            },
        }
    }
}

impl Drop for ByteLock {
    fn drop(&mut self) {
        // Let go in so many words: closing would not do while a child that is just being
        // forked or spawned shares the description.
        if self.process == std::process::id() {
            let mut lock = ByteRange::new(libc::F_UNLCK, self.byte, 1);
            // If it fails, closing is left.
            let _ = wide::lock(self.description.get(), libc::F_OFD_SETLK, &mut lock);
        }
    }
}

/// A seat's lock, held by its occupant.
#[derive(Debug)]
pub(crate) struct SeatLock(#[expect(dead_code, reason = "held, not used")] ByteLock);

impl SeatLock {
    /// Takes the lock of a seat, or `None` if somebody holds it.
    pub(crate) fn take(file: BorrowedFd<'_>, seat: usize) -> io::Result<Option<Self>> {
        let byte = SEATS + seat as i64;
        Ok(ByteLock::take(file, OFlag::O_RDWR, libc::F_WRLCK, byte)?.map(Self))
    }

    /// Whether anybody holds the lock of a seat.
    pub(crate) fn is_held(file: BorrowedFd<'_>, seat: usize) -> io::Result<bool> {
        is_held(file, SEATS + seat as i64, 1)
    }

    /// Whether anybody holds the lock of any seat.
    pub(crate) fn any_is_held(file: BorrowedFd<'_>) -> io::Result<bool> {
        // Length 0: to the last offset there is.
        is_held(file, SEATS, 0)
    }
}

/// The lock of the attach byte: shared by all who take part, or one remover's alone.
#[derive(Debug)]
pub(crate) struct AttachLock(#[expect(dead_code, reason = "held, not used")] ByteLock);

impl AttachLock {
    /// As one of those who take part; `None` while somebody holds it alone.
    pub(crate) fn share(file: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        // Reading is enough for that, and whoever may write may not always re-open to.
        Ok(ByteLock::take(file, OFlag::O_RDONLY, libc::F_RDLCK, ATTACH)?.map(Self))
    }

    /// Alone; `None` while anybody else has it.
    pub(crate) fn alone(file: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        Ok(ByteLock::take(file, OFlag::O_RDWR, libc::F_WRLCK, ATTACH)?.map(Self))
    }
}

/// Whether anybody holds a write lock in a range.
///
/// Asks as a reader would (`F_RDLCK`), so that a reader's lock counts as nobody's.
fn is_held(file: BorrowedFd<'_>, byte: i64, len: i64) -> io::Result<bool> {
    let asks = if seeded(Bug::AsksAsWriter) { libc::F_WRLCK } else { libc::F_RDLCK };
    let mut lock = ByteRange::new(asks, byte, len);
    wide::lock(file, libc::F_OFD_GETLK, &mut lock)?;
    Ok(i32::from(lock.kind) != libc::F_UNLCK)
}
