//! POSIX named semaphores.
//!
//! Their memory belongs to the C library: peers must cooperate, and use the same one.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use std::ffi::CString;
use std::io;
use std::os::unix::fs::PermissionsExt;

use super::clock::Until;
use super::futex::Slept;

/// An open named semaphore; closed on drop.
pub(crate) struct Semaphore(NonNull<libc::sem_t>);

// SAFETY: I4: POSIX lets every thread use an open semaphore.
unsafe impl Send for Semaphore {}
// SAFETY: as above.
unsafe impl Sync for Semaphore {}

// In glibc since 2.30; the `libc` crate does not have it.
#[cfg(target_env = "gnu")]
unsafe extern "C" {
    fn sem_clockwait(
        semaphore: *mut libc::sem_t,
        clock: libc::clockid_t,
        until: *const libc::timespec,
    ) -> libc::c_int;
}

/// Whether this C library can wait on a semaphore by the monotonic clock.
pub(crate) const AVAILABLE: bool = cfg!(target_env = "gnu");

/// Where glibc keeps a semaphore.
fn file_of(name: &str) -> String {
    format!("/dev/shm/sem.{}", name.trim_start_matches('/'))
}

/// Refuses where nobody could wait on it, before anything is made.
fn check() -> io::Result<()> {
    let why = "this C library can't wait on a semaphore by the monotonic clock";
    if AVAILABLE { Ok(()) } else { Err(io::Error::new(io::ErrorKind::Unsupported, why)) }
}

impl Semaphore {
    /// Makes a semaphore of value 0 under a name that nobody has, for whoever `mode` and
    /// `group` let in.
    pub(crate) fn create_new(name: &str, mode: u32, group: Option<u32>) -> io::Result<Self> {
        check()?;
        let path = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let flags = libc::O_CREAT | libc::O_EXCL;
        // SAFETY: I5: a C string and three numbers.
        let semaphore =
            Self::opened(|| unsafe { libc::sem_open(path.as_ptr(), flags, 0o600, 0_u32) })?;
        // POSIX has no call for it.
        let file = file_of(name);
        std::os::unix::fs::chown(&file, None, group)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))?;
        Ok(semaphore)
    }

    /// Opens the semaphore of that name.
    ///
    /// One that 32-bit programs made is no semaphore to 64-bit ones, nor the other way
    /// round: they lay it out differently, which shows in its length.
    pub(crate) fn open(name: &str) -> io::Result<Self> {
        check()?;
        if std::fs::metadata(file_of(name))
            .is_ok_and(|it| it.len() != size_of::<libc::sem_t>() as u64)
        {
            let why = "a semaphore of programs with another width of words";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: I5: a C string and a number.
        Self::opened(|| unsafe { libc::sem_open(name.as_ptr(), 0) })
    }

    /// What opening gave; again if a signal came in between.
    fn opened(open: impl Fn() -> *mut libc::sem_t) -> io::Result<Self> {
        loop {
            let semaphore = open();
            if semaphore != libc::SEM_FAILED {
                let semaphore = NonNull::new(semaphore).map(Self);
                return semaphore.ok_or_else(|| io::Error::from(io::ErrorKind::Other));
            }
            match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            }
        }
    }

    /// Adds a token. A semaphore that is full of them needs no more.
    pub(crate) fn post(&self) {
        // SAFETY: I4: open while `self` lives. Its one error, overflow, is harmless.
        unsafe { libc::sem_post(self.0.as_ptr()) };
    }

    /// Takes a token, waiting until `until` at the latest.
    #[cfg(target_env = "gnu")]
    pub(crate) fn wait(&self, until: Until) -> io::Result<Slept> {
        let until = until.timespec();
        // SAFETY: I4: open while `self` lives; `until` lives through the call.
        let outcome =
            unsafe { sem_clockwait(self.0.as_ptr(), libc::CLOCK_MONOTONIC, &raw const until) };
        if outcome == 0 {
            return Ok(Slept::Woken);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ETIMEDOUT) => Ok(Slept::TimedOut),
            Some(libc::EINTR) => Ok(Slept::Interrupted),
            _ => Err(error),
        }
    }

    /// As above: refused before it comes to this, see [`AVAILABLE`].
    #[cfg(not(target_env = "gnu"))]
    pub(crate) fn wait(&self, _: Until) -> io::Result<Slept> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes the name; those who have it open keep it. Nothing there: nothing done.
    pub(crate) fn unlink(name: &str) -> io::Result<()> {
        let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: I5: a C string.
        if unsafe { libc::sem_unlink(name.as_ptr()) } == 0 {
            return Ok(());
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::NotFound => Ok(()),
            error => Err(error),
        }
    }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        // SAFETY: I4: open, and nobody uses it any more.
        unsafe { libc::sem_close(self.0.as_ptr()) };
    }
}
