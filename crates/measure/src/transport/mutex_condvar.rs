//! A shared variable under a process-shared mutex, with a condition variable for each side.
//! The mutex is robust: the kernel hands it on if its holder is killed.
//!
//! ```text
//!   [ mutex | 64: filled | 128: emptied | 192: full ]   a page, then the message
//! ```
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use crate::Error;
use crate::shared::Shared;
use crate::spin::Spin;
use crate::transport::slots::Slots;
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket};

/// `pthread_mutex_t` and `pthread_cond_t`, `PTHREAD_PROCESS_SHARED`; or the variable's state
/// polled, and the mutex taken when that looks right.
pub struct MutexCondvar;

const MUTEX: usize = 0;
const FILLED: usize = 64;
const EMPTIED: usize = 128;
const FULL: usize = 192;

const NAME: &str = "shared variable";

/// As every C library for Linux has it; libc does not name it.
const ROBUST: i32 = 1;

/// A killed peer signals no condition: how long to wait before looking.
const SLICE: Duration = Duration::from_millis(100);

impl Mechanism for MutexCondvar {
    fn create(size: usize, _: Shape) -> Result<Route, Error> {
        let route = Slots::create(1, size)?;
        let fd = route.send.fd.as_ref().map(std::os::fd::OwnedFd::try_clone);
        let fd = fd.ok_or_else(|| Error::Spec("a descriptor is missing".into()))?;
        initialise(&Shared::attach(fd.map_err(Error::lacking("dup"))?)?)
            .map_err(Error::lacking("pthread_mutex_init, pthread_cond_init"))?;
        Ok(route)
    }

    fn sender(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Sends>, Error> {
        Ok(Box::new(End::attach(ticket, site, size)?))
    }

    fn receiver(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Receives>, Error> {
        Ok(Box::new(End::attach(ticket, site, size)?))
    }
}

/// POSIX threads' answers are errnos.
fn answer(code: i32) -> nix::Result<()> {
    if code == 0 { Ok(()) } else { Err(Errno::from_raw(code)) }
}

fn initialise(shared: &Shared) -> nix::Result<()> {
    let mut kind = MaybeUninit::uninit();
    // SAFETY: memory for the attributes, which the call fills.
    answer(unsafe { libc::pthread_mutexattr_init(kind.as_mut_ptr()) })?;
    let share = libc::PTHREAD_PROCESS_SHARED;
    // SAFETY: filled just now.
    answer(unsafe { libc::pthread_mutexattr_setpshared(kind.as_mut_ptr(), share) })?;
    // SAFETY: as above.
    answer(unsafe { libc::pthread_mutexattr_setrobust(kind.as_mut_ptr(), ROBUST) })?;
    let mutex = shared.span(MUTEX, size_of::<libc::pthread_mutex_t>()).cast();
    // SAFETY: memory for a mutex, aligned to 64, that nobody else knows of yet.
    answer(unsafe { libc::pthread_mutex_init(mutex, kind.as_ptr()) })?;

    let mut kind = MaybeUninit::uninit();
    // SAFETY: memory for the attributes, which the call fills.
    answer(unsafe { libc::pthread_condattr_init(kind.as_mut_ptr()) })?;
    // SAFETY: filled just now.
    answer(unsafe { libc::pthread_condattr_setpshared(kind.as_mut_ptr(), share) })?;
    for at in [FILLED, EMPTIED] {
        let event = shared.span(at, size_of::<libc::pthread_cond_t>()).cast();
        // SAFETY: memory for a condition variable, aligned to 64, that nobody else knows of.
        answer(unsafe { libc::pthread_cond_init(event, kind.as_ptr()) })?;
    }
    Ok(())
}

/// Either end.
struct End {
    slots: Slots,
    polling: bool,
    spin: Spin,
}

impl End {
    fn attach(ticket: Ticket, site: &Site, size: usize) -> Result<End, Error> {
        let site = &Site { shape: Shape { capacity: 1, ..site.shape }, ..site.clone() };
        let slots = Slots::attach(ticket.into_fd()?, site, size)?;
        Ok(End { slots, polling: site.shape.polling, spin: site.spin() })
    }

    fn mutex(&self) -> *mut libc::pthread_mutex_t {
        self.slots.words().span(MUTEX, size_of::<libc::pthread_mutex_t>()).cast()
    }

    fn event(&self, at: usize) -> *mut libc::pthread_cond_t {
        self.slots.words().span(at, size_of::<libc::pthread_cond_t>()).cast()
    }

    /// The variable's state: an atomic only because it is shared; the mutex orders it.
    fn full(&self) -> &AtomicU64 {
        self.slots.words().word(FULL)
    }

    fn lock(&self) -> Result<(), Error> {
        // SAFETY: initialised before either end was made.
        let outcome = answer(unsafe { libc::pthread_mutex_lock(self.mutex()) });
        self.locked("pthread_mutex_lock", outcome)
    }

    /// What the mutex said to one who wanted it.
    fn locked(&self, what: &'static str, outcome: nix::Result<()>) -> Result<(), Error> {
        match outcome {
            Ok(()) => Ok(()),
            // Killed with the mutex, perhaps half way: unlocked like this, nobody gets it.
            Err(Errno::EOWNERDEAD) => {
                self.unlock()?;
                Err(Error::Disconnected { transport: NAME })
            }
            Err(Errno::ENOTRECOVERABLE) => Err(Error::Disconnected { transport: NAME }),
            Err(errno) => Err(Error::system(what)(errno)),
        }
    }

    fn unlock(&self) -> Result<(), Error> {
        // SAFETY: this thread holds it.
        answer(unsafe { libc::pthread_mutex_unlock(self.mutex()) })
            .map_err(Error::system("pthread_mutex_unlock"))
    }

    /// Locks when the variable is full, or empty; `event` tells of changes.
    fn lock_when(&mut self, full: bool, event: usize) -> Result<(), Error> {
        let is = |end: &End| (end.full().load(Ordering::Relaxed) == 1) == full;
        if self.polling {
            self.spin.begin();
            // A hint, so as not to keep the mutex from the other side.
            while !is(self) {
                self.spin.empty()?;
            }
        }
        self.lock()?;
        while !is(self) {
            let until = after_a_slice();
            // SAFETY: both initialised before either end was made; this thread holds the
            // mutex.
            let woken =
                unsafe { libc::pthread_cond_timedwait(self.event(event), self.mutex(), &until) };
            match answer(woken) {
                Err(Errno::ETIMEDOUT) => {
                    if let Err(error) = self.spin.interrupted() {
                        self.unlock()?;
                        return Err(error);
                    }
                }
                outcome => self.locked("pthread_cond_timedwait", outcome)?,
            }
        }
        Ok(())
    }

    /// Sets the state, wakes the other side and unlocks.
    fn pass(&mut self, full: bool, event: usize) -> Result<(), Error> {
        self.full().store(full.into(), Ordering::Relaxed);
        self.unlock()?;
        if self.polling {
            return Ok(());
        }
        // SAFETY: initialised before either end was made.
        answer(unsafe { libc::pthread_cond_signal(self.event(event)) })
            .map_err(Error::system("pthread_cond_signal"))
    }
}

/// The condition's clock is the system's, as it is unless somebody asks for another.
fn after_a_slice() -> libc::timespec {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from);
    let until = now + SLICE;
    libc::timespec { tv_sec: until.as_secs() as _, tv_nsec: until.subsec_nanos() as _ }
}

impl Sends for End {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.lock_when(false, EMPTIED)?;
        self.slots.write(message);
        self.pass(true, FILLED)
    }
}

impl Receives for End {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        self.lock_when(true, FILLED)?;
        self.slots.read(message);
        self.pass(false, EMPTIED)
    }
}
