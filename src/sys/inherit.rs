//! Descriptors that a forked child must not keep.
//!
//! A child shares its parent's file descriptions, and so its seat locks: the parent
//! could die and its seats would still look taken. In the child, before anything else
//! runs, each such descriptor is replaced by one of `/dev/null`. It stays open, so that
//! the child's handles, which close it, close nothing that was opened meanwhile.
//!
//! Limit: a `fork` in the very moment in which another thread takes the process's first
//! seat of all may leave the child unable to take seats of its own.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::mem::ManuallyDrop;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, OnceLock};

use super::bug::{Bug, seeded};

/// A descriptor that forked children lose; closed on drop.
#[derive(Debug)]
pub(crate) struct Uninherited(ManuallyDrop<OwnedFd>);

/// The registered descriptors, under a lock that `fork` takes too: so no child finds it
/// held by a thread that it does not have.
struct Registry {
    lock: UnsafeCell<libc::pthread_mutex_t>,
    /// First is the one of `/dev/null`.
    descriptors: UnsafeCell<Vec<RawFd>>,
}

// SAFETY: I3: everything inside is reached under the lock alone.
unsafe impl Sync for Registry {}

static REGISTRY: Registry = Registry {
    lock: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
    descriptors: UnsafeCell::new(Vec::new()),
};

extern "C" fn lock() {
    // SAFETY: I3: an initialised mutex, never destroyed.
    unsafe { libc::pthread_mutex_lock(REGISTRY.lock.get()) };
}

extern "C" fn unlock() {
    // SAFETY: I3: locked by this thread, or by the thread that this child is a copy of.
    unsafe { libc::pthread_mutex_unlock(REGISTRY.lock.get()) };
}

extern "C" fn in_child() {
    // SAFETY: I3: under the lock, which `fork` took; the child has one thread.
    let descriptors = unsafe { &*REGISTRY.descriptors.get() };
    if let Some((null, others)) = descriptors.split_first() {
        for descriptor in others {
            // SAFETY: I4: two open descriptors; no memory is touched.
            unsafe { libc::dup3(*null, *descriptor, libc::O_CLOEXEC) };
        }
    }
    unlock();
}

/// Runs `change` on the registered descriptors.
fn with(change: impl FnOnce(&mut Vec<RawFd>)) {
    lock();
    // SAFETY: I3: under the lock.
    change(unsafe { &mut *REGISTRY.descriptors.get() });
    unlock();
}

/// Sets the handlers up, once. What failed is tried again the next time.
fn prepare() -> io::Result<()> {
    static PREPARED: OnceLock<OwnedFd> = OnceLock::new();
    static PREPARING: Mutex<()> = Mutex::new(());
    // Looked at first: a child forked while another thread was here must not wait for it.
    if PREPARED.get().is_some() {
        return Ok(());
    }
    let _alone = PREPARING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if PREPARED.get().is_some() {
        return Ok(());
    }
    let null = OwnedFd::from(std::fs::File::open("/dev/null")?);
    // SAFETY: I3: three functions that live as long as the process.
    match unsafe { libc::pthread_atfork(Some(lock), Some(unlock), Some(in_child)) } {
        0 => {}
        error => return Err(io::Error::from_raw_os_error(error)),
    }
    with(|descriptors| {
        // Registering must not allocate between two `fork`s of other threads for long.
        descriptors.reserve(64);
        descriptors.push(null.as_raw_fd());
    });
    PREPARED.get_or_init(|| null);
    Ok(())
}

impl Uninherited {
    /// Registers a descriptor. `open` makes it, under the lock: no `fork` can come
    /// between the two.
    pub(crate) fn new(open: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<Self> {
        prepare()?;
        let mut opened = Err(io::Error::from_raw_os_error(libc::EBADF));
        with(|descriptors| {
            opened = open();
            if let Ok(descriptor) = &opened
                && !seeded(Bug::LockInherited)
            {
                descriptors.push(descriptor.as_raw_fd());
            }
        });
        opened.map(|descriptor| Self(ManuallyDrop::new(descriptor)))
    }

    /// The descriptor.
    pub(crate) fn get(&self) -> &OwnedFd {
        &self.0
    }
}

impl Drop for Uninherited {
    fn drop(&mut self) {
        let own = self.0.as_raw_fd();
        with(|descriptors| {
            // The first is `/dev/null`'s and stays.
            if let Some(at) = descriptors.iter().rposition(|descriptor| *descriptor == own) {
                descriptors.swap_remove(at);
            }
            // Closed under the lock: no `fork` finds a number that means something else.
            // SAFETY: I3: dropped here alone, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        });
    }
}
