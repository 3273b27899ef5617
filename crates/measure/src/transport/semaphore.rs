//! POSIX named semaphores, two of them, beside slots in shared memory: one counts the full
//! slots, one the free.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};

use nix::errno::Errno;

use crate::Error;
use crate::spin::Spin;
use crate::transport::slots::Slots;
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket, name};

/// `sem_open(3)`, `sem_post(3)`, `sem_wait(3)`.
pub struct PosixSemaphore;

const NAME: &str = "semaphore";

impl Mechanism for PosixSemaphore {
    fn create(size: usize, shape: Shape) -> Result<Route, Error> {
        let mut route = Slots::create(shape.capacity, size)?;
        let name = name::random();
        // Each is removed even if the next can't be made.
        let keep = [Which::Full, Which::Free].map(|which| Unlink(which.path(&name)));
        for (name, count) in keep.iter().zip([0, shape.capacity]) {
            Semaphore::create(&name.0, count).map_err(Error::lacking("sem_open"))?;
        }
        route.send.name = Some(name.clone());
        route.recv.name = Some(name);
        route.keep = Some(Box::new(keep));
        Ok(route)
    }

    fn sender(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Sends>, Error> {
        Ok(Box::new(End::attach(ticket, site, size)?))
    }

    fn receiver(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Receives>, Error> {
        Ok(Box::new(End::attach(ticket, site, size)?))
    }
}

#[derive(Clone, Copy)]
enum Which {
    Full,
    Free,
}

impl Which {
    fn path(self, name: &str) -> CString {
        let which = match self {
            Which::Full => "full",
            Which::Free => "free",
        };
        CString::new(format!("/{name}-{which}")).expect("names have no zero")
    }
}

/// Removes a name when dropped: once both ends are open, or nothing came of it.
struct Unlink(CString);

impl Drop for Unlink {
    fn drop(&mut self) {
        // It is there unless making it failed.
        // SAFETY: a string with its zero.
        let _ = unsafe { libc::sem_unlink(self.0.as_ptr()) };
    }
}

/// An open semaphore.
struct Semaphore(*mut libc::sem_t);

impl Semaphore {
    fn create(name: &CStr, count: usize) -> nix::Result<Semaphore> {
        let (flags, mode) = (libc::O_CREAT | libc::O_EXCL, 0o600 as libc::c_uint);
        // SAFETY: a string with its zero, and the two arguments that O_CREAT asks for.
        let opened = unsafe { libc::sem_open(name.as_ptr(), flags, mode, count as libc::c_uint) };
        Semaphore::opened(opened)
    }

    fn open(name: &CStr) -> nix::Result<Semaphore> {
        // SAFETY: a string with its zero.
        Semaphore::opened(unsafe { libc::sem_open(name.as_ptr(), 0) })
    }

    fn opened(semaphore: *mut libc::sem_t) -> nix::Result<Semaphore> {
        if semaphore == libc::SEM_FAILED { Err(Errno::last()) } else { Ok(Semaphore(semaphore)) }
    }

    fn post(&self) -> Result<(), Error> {
        // SAFETY: open as long as this.
        Errno::result(unsafe { libc::sem_post(self.0) })
            .map(drop)
            .map_err(Error::system("sem_post"))
    }

    #[inline]
    fn wait(&self, polling: bool, spin: &mut Spin) -> Result<(), Error> {
        let wait = if polling { libc::sem_trywait } else { libc::sem_wait };
        // SAFETY: open as long as this.
        spin.until(NAME, "sem_wait", || Errno::result(unsafe { wait(self.0) }).map(drop))
    }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        // SAFETY: open until now, and not used after.
        let _ = unsafe { libc::sem_close(self.0) };
    }
}

/// Either end.
struct End {
    slots: Slots,
    full: Semaphore,
    free: Semaphore,
    polling: bool,
    spin: Spin,
}

impl End {
    fn attach(ticket: Ticket, site: &Site, size: usize) -> Result<End, Error> {
        let name = ticket.name.ok_or_else(|| Error::Spec("a name is missing".into()))?;
        let fd = ticket.fd.ok_or_else(|| Error::Spec("a descriptor is missing".into()))?;
        let open =
            |which: Which| Semaphore::open(&which.path(&name)).map_err(Error::system("sem_open"));
        Ok(End {
            slots: Slots::attach(fd, site, size)?,
            full: open(Which::Full)?,
            free: open(Which::Free)?,
            polling: site.shape.polling,
            spin: site.spin(),
        })
    }
}

impl Sends for End {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.free.wait(self.polling, &mut self.spin)?;
        self.slots.write(message);
        self.full.post()
    }
}

impl Receives for End {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        self.full.wait(self.polling, &mut self.spin)?;
        self.slots.read(message);
        self.free.post()
    }
}
