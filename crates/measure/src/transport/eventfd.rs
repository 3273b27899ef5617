//! eventfds, two of them, as bells beside slots in shared memory: one tells how many slots
//! were filled, one how many were emptied. (Their own 64 bits are a sum and carry no
//! message.)

use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::Error;
use crate::spin::Spin;
use crate::transport::slots::Slots;
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket};

/// `eventfd(2)`. A receiver tells of emptied slots when it is about to wait, not for each.
pub struct Eventfd;

const NAME: &str = "eventfd";

impl Mechanism for Eventfd {
    fn create(size: usize, shape: Shape) -> Result<Route, Error> {
        let mut route = Slots::create(shape.capacity, size)?;
        for _ in ["filled", "emptied"] {
            let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC);
            let bell = OwnedFd::from(bell.map_err(Error::lacking("eventfd"))?);
            let twin = bell.try_clone().map_err(Error::lacking("dup"))?;
            route.send.others.push(bell);
            route.recv.others.push(twin);
        }
        Ok(route)
    }

    fn sender(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Sends>, Error> {
        let mut end = End::attach(ticket, site, size)?;
        end.left = site.shape.capacity as u64;
        Ok(Box::new(end))
    }

    fn receiver(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Receives>, Error> {
        Ok(Box::new(End::attach(ticket, site, size)?))
    }
}

/// Either end.
struct End {
    slots: Slots,
    filled: OwnedFd,
    emptied: OwnedFd,
    /// Slots that this end may still use without asking.
    left: u64,
    /// Slots that it has used and not told of.
    used: u64,
    spin: Spin,
}

impl End {
    fn attach(mut ticket: Ticket, site: &Site, size: usize) -> Result<End, Error> {
        let bells = std::mem::take(&mut ticket.others);
        let Ok([filled, emptied]) = <[OwnedFd; 2]>::try_from(bells) else {
            return Err(Error::Spec("an eventfd is missing".into()));
        };
        if site.shape.polling {
            for bell in [&filled, &emptied] {
                fcntl(bell, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
                    .map_err(Error::system("O_NONBLOCK"))?;
            }
        }
        let slots = Slots::attach(ticket.into_fd()?, site, size)?;
        Ok(End { slots, filled, emptied, left: 0, used: 0, spin: site.spin() })
    }
}

/// Waits until the bell rings: for how many.
fn hear(bell: &OwnedFd, spin: &mut Spin) -> Result<u64, Error> {
    let mut sum = [0; 8];
    spin.until(NAME, "read", || nix::unistd::read(bell, &mut sum))?;
    Ok(u64::from_ne_bytes(sum))
}

/// Tells of what was used.
fn ring(bell: &OwnedFd, used: &mut u64, spin: &mut Spin) -> Result<(), Error> {
    let sum = std::mem::take(used).to_ne_bytes();
    spin.until(NAME, "write", || nix::unistd::write(bell, &sum)).map(drop)
}

impl Sends for End {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.send_all(message, message.len())
    }

    fn send_all(&mut self, messages: &[u8], size: usize) -> Result<(), Error> {
        for message in messages.chunks_exact(size) {
            if self.left == 0 {
                if self.used > 0 {
                    ring(&self.filled, &mut self.used, &mut self.spin)?;
                }
                self.left = hear(&self.emptied, &mut self.spin)?;
            }
            self.slots.write(message);
            (self.left, self.used) = (self.left - 1, self.used + 1);
        }
        ring(&self.filled, &mut self.used, &mut self.spin)
    }
}

impl Receives for End {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        if self.left == 0 {
            if self.used > 0 {
                ring(&self.emptied, &mut self.used, &mut self.spin)?;
            }
            self.left = hear(&self.filled, &mut self.spin)?;
        }
        self.slots.read(message);
        (self.left, self.used) = (self.left - 1, self.used + 1);
        Ok(())
    }
}
