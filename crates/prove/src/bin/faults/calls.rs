//! The kinds of system calls, and what may be made of them.
//!
//! ```text
//!   number, arguments ── kind ──▶ "openat O_TMPFILE" · "futex wait" · …   None: not annulus's own
//!   kind × error      ── survives ──▶ must it go as if nothing had been?
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt;

/// A call that a process is about to make.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub number: i64,
    pub args: [u64; 6],
}

/// What every call is answered with, each in turn.
pub const ERRORS: &[(i32, &str)] = &[
    (libc::EINTR, "EINTR"),
    (libc::EAGAIN, "EAGAIN"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::EMFILE, "EMFILE"),
    (libc::EACCES, "EACCES"),
    (libc::ENOSYS, "ENOSYS"),
];

/// And some calls by what means "this kernel, or file system, can't", or "another was
/// quicker": a name that is there for one who makes it, and not for one who opens it, comes
/// and goes all the time.
pub const OF_SOME: &[(&str, i32, &str)] = &[
    ("link", libc::EEXIST, "EEXIST"),
    ("renameat2", libc::EEXIST, "EEXIST"),
    ("openat O_TMPFILE", libc::EOPNOTSUPP, "EOPNOTSUPP"),
    ("openat O_TMPFILE", libc::EISDIR, "EISDIR"),
    ("madvise populate", libc::EINVAL, "EINVAL"),
    ("membarrier register", libc::EINVAL, "EINVAL"),
    ("fcntl lock", libc::ENOLCK, "ENOLCK"),
    ("fcntl ask", libc::ENOLCK, "ENOLCK"),
    ("renameat2", libc::EINVAL, "EINVAL"),
];

/// Nameless files.
pub const TMPFILE: &str = "openat O_TMPFILE";

/// A descriptor's bytes, into a stream and out of it.
pub const READ: &str = "readv";
/// The other way.
pub const WRITE: &str = "writev";

/// `O_TMPFILE` without the `O_DIRECTORY` that is part of it.
const NAMELESS: i32 = libc::O_TMPFILE & !libc::O_DIRECTORY;

/// What kind of call it is, if annulus made it, or the C library for annulus: the
/// allocator's calls, and those that tell the time, are nobody's to fail.
pub fn kind(call: &Call, memory: &File, page: u64) -> Option<&'static str> {
    let Call { number, args } = call;
    Some(match *number {
        libc::SYS_openat => {
            let flags = args[2] as i32;
            let path = string(memory, args[1]);
            if flags & NAMELESS != 0 {
                TMPFILE
            } else if flags & libc::O_CREAT != 0 {
                "openat O_CREAT"
            } else if path.starts_with("/proc/") {
                "openat again"
            } else if path == "/dev/null" {
                "openat /dev/null"
            } else {
                "openat"
            }
        }
        libc::SYS_memfd_create => "memfd_create",
        libc::SYS_fchmod => "fchmod",
        libc::SYS_chmod | libc::SYS_fchmodat => "chmod",
        libc::SYS_chown | libc::SYS_fchownat | libc::SYS_fchown => "chown",
        libc::SYS_fallocate => "fallocate",
        libc::SYS_fstat => "fstat",
        libc::SYS_newfstatat | libc::SYS_statx | libc::SYS_lstat | libc::SYS_stat => "stat",
        libc::SYS_fstatfs => "fstatfs",
        libc::SYS_linkat | libc::SYS_link => "link",
        libc::SYS_renameat2 => "renameat2",
        libc::SYS_unlink | libc::SYS_unlinkat => "unlink",
        libc::SYS_pread64 => "pread",
        libc::SYS_read => "read",
        libc::SYS_write if args[0] > 2 => "write",
        libc::SYS_readv if args[0] > 2 => READ,
        libc::SYS_writev if args[0] > 2 => WRITE,
        libc::SYS_ftruncate => "ftruncate",
        libc::SYS_close => "close",
        libc::SYS_getrandom if args[2] == u64::from(libc::GRND_NONBLOCK) => "getrandom",
        libc::SYS_mmap => {
            let (len, flags) = (args[1], args[3] as i32);
            if flags & libc::MAP_SHARED != 0 {
                "mmap shared"
            } else if flags & libc::MAP_ANONYMOUS != 0 && len == page {
                "mmap page"
            } else {
                return None;
            }
        }
        libc::SYS_munmap => "munmap",
        libc::SYS_madvise => match args[2] as i32 {
            libc::MADV_POPULATE_WRITE => "madvise populate",
            libc::MADV_WIPEONFORK => "madvise wipe on fork",
            _ => return None,
        },
        libc::SYS_fcntl => match args[1] as i32 {
            libc::F_OFD_SETLK => {
                let mut kind = [0; 2];
                memory.read_exact_at(&mut kind, args[2]).ok()?;
                let unlock = i32::from(i16::from_ne_bytes(kind)) == libc::F_UNLCK;
                if unlock { "fcntl unlock" } else { "fcntl lock" }
            }
            libc::F_OFD_GETLK => "fcntl ask",
            libc::F_ADD_SEALS => "fcntl seal",
            libc::F_GET_SEALS => "fcntl seals",
            _ => return None,
        },
        libc::SYS_membarrier => match args[0] as i32 {
            libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED => "membarrier register",
            _ => "membarrier",
        },
        libc::SYS_futex => match args[1] as i32 & 0x7f {
            libc::FUTEX_WAKE => "futex wake",
            _ => "futex wait",
        },
        449 => "futex_waitv",
        libc::SYS_clock_nanosleep => "nanosleep",
        _ => return None,
    })
}

/// The names of semaphores in what opens or makes one.
pub fn semaphores(call: &Call, memory: &File) -> Vec<String> {
    let at = match call.number {
        libc::SYS_openat => [call.args[1]; 2],
        libc::SYS_linkat => [call.args[1], call.args[3]],
        libc::SYS_link => [call.args[0], call.args[1]],
        _ => return Vec::new(),
    };
    let paths = at.map(|at| string(memory, at));
    paths.into_iter().filter(|path| path.starts_with("/dev/shm/sem.")).collect()
}

/// A C string in a process's memory; what can't be read is empty.
fn string(memory: &File, at: u64) -> String {
    let mut bytes = [0; 256];
    let read = memory.read_at(&mut bytes, at).unwrap_or(0);
    let end = bytes[..read].iter().position(|byte| *byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Whether this answer makes no sense to give: the standard library, and the C library in
/// its semaphores, end a process at once that gets what the kernel never says.
pub fn senseless(kind: &str, error: i32, semaphores: bool) -> bool {
    match kind {
        "nanosleep" => error != libc::EINTR,
        "futex wait" => semaphores && ![libc::EINTR, libc::EAGAIN].contains(&error),
        "futex wake" => semaphores,
        _ => false,
    }
}

/// Whether one who makes such a call asks the kernel to let it sleep.
pub fn sleeps(kind: &str) -> bool {
    ["futex wait", "futex_waitv", "nanosleep"].contains(&kind)
}

/// Whether the kernel may do less than it is asked to, and say how much that was.
pub fn may_be_short(kind: &str) -> bool {
    [READ, WRITE].contains(&kind)
}

/// Whether the call is made all the same, and only its answer is another: a descriptor is
/// closed whatever `close` says.
pub fn done_anyway(kind: &str) -> bool {
    kind == "close"
}

/// Whether a process that gets this answer must go on as if nothing had been. Otherwise it
/// may also end in an error that says what was wrong.
pub fn survives(kind: &str, error: i32, fenced: bool) -> bool {
    match kind {
        // Nobody who can't close, unmap, unlock or wake has anything to tell.
        "close" | "munmap" | "fcntl unlock" | "futex wake" => true,
        // The clock is as good, and a barrier that fails makes a sleeper who looks often.
        "getrandom" | "membarrier" => true,
        // Of a descriptor's the caller is told, and tries again.
        "futex wait" | READ | WRITE => [libc::EINTR, libc::EAGAIN].contains(&error),
        // Older kernels: it looks once a millisecond. No other error is known.
        "futex_waitv" => true,
        // A ring that is made then has fences; one that has none can't be joined.
        "membarrier register" => fenced,
        TMPFILE => [libc::EOPNOTSUPP, libc::EISDIR, libc::EINTR].contains(&error),
        "madvise populate" => error == libc::EINVAL,
        // What a kernel can interrupt.
        "openat" | "openat again" | "openat /dev/null" | "openat O_CREAT" | "fallocate"
        | "pread" | "nanosleep" => error == libc::EINTR,
        _ => false,
    }
}
