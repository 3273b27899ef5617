//! A private, small tmpfs over /dev/shm, for one child: the real one is never filled.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::ptr;

/// All that a forked child needs, made before the fork: between fork and exec it may
/// not allocate.
pub struct PrivateShm {
    options: CString,
    uid_map: CString,
    gid_map: CString,
}

impl PrivateShm {
    /// A tmpfs of `bytes`.
    pub fn new(bytes: u64) -> Self {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let text = |text: String| CString::new(text).expect("no NUL in it");
        Self {
            options: text(format!("size={bytes},mode=1777")),
            uid_map: text(format!("{uid} {uid} 1")),
            gid_map: text(format!("{gid} {gid} 1")),
        }
    }

    /// Moves the calling process into a mount namespace of its own (a user namespace
    /// too if it may not otherwise) and mounts the tmpfs there.
    ///
    /// Makes system calls alone, so a forked child of a threaded process may call it.
    pub fn enter(&self) -> io::Result<()> {
        if unshare(libc::CLONE_NEWNS).is_err() {
            unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
            write(c"/proc/self/setgroups", c"deny")?;
            write(c"/proc/self/uid_map", &self.uid_map)?;
            write(c"/proc/self/gid_map", &self.gid_map)?;
        }
        // Nothing mounted here may reach the namespace that was left.
        mount(c"none", c"/", None, libc::MS_REC | libc::MS_PRIVATE)?;
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        mount(c"tmpfs", c"/dev/shm", Some(&self.options), flags)
    }

    /// Whether an error of [`PrivateShm::enter`] means that this machine lacks it.
    pub fn is_unavailable(error: &io::Error) -> bool {
        let refusals =
            [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::ENOSPC, libc::EUSERS, libc::EINVAL];
        error.raw_os_error().is_some_and(|code| refusals.contains(&code))
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: touches no memory of this process.
    check(unsafe { libc::unshare(flags) })
}

fn mount(
    source: &CStr,
    target: &CStr,
    options: Option<&CStr>,
    flags: libc::c_ulong,
) -> io::Result<()> {
    let data = options.map_or(ptr::null(), |options| options.as_ptr().cast());
    let (source, target) = (source.as_ptr(), target.as_ptr());
    // SAFETY: each pointer is null where that is allowed or a string that lives on;
    // the type is the source, both here `tmpfs` or unread.
    check(unsafe { libc::mount(source, target, source, flags, data) })
}

fn write(path: &CStr, text: &CStr) -> io::Result<()> {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: a string that lives on; no mode is read without O_CREAT.
    let file = unsafe { libc::open(path.as_ptr(), flags) };
    check(file)?;
    let length = text.count_bytes();
    // SAFETY: `length` bytes of the string.
    let written = unsafe { libc::write(file, text.as_ptr().cast(), length) };
    let result = check(if written == length as isize { 0 } else { -1 });
    // SAFETY: opened above and closed once.
    unsafe { libc::close(file) };
    result
}
