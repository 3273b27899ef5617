//! Bare futexes beside slots in shared memory: a count of messages sent, a count of those
//! received, and for each whether somebody sleeps on it.
//!
//! Nobody wakes whom he does not see asleep. Sleeper and waker each store first and then
//! look at the other's word, all in one order (SeqCst), so that one of them sees the other.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;

use crate::Error;
use crate::control::LINE;
use crate::spin::Spin;
use crate::transport::slots::Slots;
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket};

/// `futex(2)`: `FUTEX_WAIT` and `FUTEX_WAKE`, or the counts polled.
pub struct Futex;

/// Where a count lies; who sleeps on it, 4 bytes behind.
const SENT: usize = 0;
const RECEIVED: usize = LINE;

impl Mechanism for Futex {
    fn create(size: usize, shape: Shape) -> Result<Route, Error> {
        Slots::create(shape.capacity, size)
    }

    fn sender(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Sends>, Error> {
        Ok(Box::new(End::attach(ticket, site, size)?))
    }

    fn receiver(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Receives>, Error> {
        Ok(Box::new(End::attach(ticket, site, size)?))
    }
}

/// Either end.
struct End {
    slots: Slots,
    capacity: u32,
    /// Messages that this end has passed on.
    mine: u32,
    polling: bool,
    spin: Spin,
}

impl End {
    fn attach(ticket: Ticket, site: &Site, size: usize) -> Result<End, Error> {
        let slots = Slots::attach(ticket.into_fd()?, site, size)?;
        let capacity = site.shape.capacity as u32;
        Ok(End { slots, capacity, mine: 0, polling: site.shape.polling, spin: site.spin() })
    }

    /// Waits until the count at `word` is another than `old`.
    #[inline]
    fn wait(&mut self, word: usize, old: u32) -> Result<(), Error> {
        self.spin.begin();
        let count = self.slots.words().half(word);
        while count.load(Ordering::Acquire) == old {
            if self.polling {
                self.spin.empty()?;
                continue;
            }
            self.slots.words().half(word + 4).store(1, Ordering::SeqCst);
            if count.load(Ordering::SeqCst) == old && sleep(count, old) == Err(Errno::EINTR) {
                self.spin.interrupted()?;
            }
        }
        Ok(())
    }

    /// Passes one message on by the count at `word`.
    #[inline]
    fn pass(&mut self, word: usize) {
        self.mine = self.mine.wrapping_add(1);
        let count = self.slots.words().half(word);
        if self.polling {
            // Pairs with `wait`'s Acquire: the copy is over.
            return count.store(self.mine, Ordering::Release);
        }
        count.store(self.mine, Ordering::SeqCst);
        let sleeps = self.slots.words().half(word + 4);
        if sleeps.load(Ordering::SeqCst) != 0 {
            sleeps.store(0, Ordering::SeqCst);
            wake(count);
        }
    }
}

fn sleep(word: &AtomicU32, old: u32) -> nix::Result<()> {
    let forever = std::ptr::null::<libc::timespec>();
    let (call, word) = (libc::SYS_futex, word.as_ptr());
    // SAFETY: the word is mapped while it is borrowed; the kernel only reads it.
    Errno::result(unsafe { libc::syscall(call, word, libc::FUTEX_WAIT, old, forever) }).map(drop)
}

fn wake(word: &AtomicU32) {
    // SAFETY: the word is mapped while it is borrowed; the kernel takes its address only.
    let _ = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

impl Sends for End {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        // Full when so many were received and no more.
        self.wait(RECEIVED, self.mine.wrapping_sub(self.capacity))?;
        self.slots.write(message);
        self.pass(SENT);
        Ok(())
    }
}

impl Receives for End {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        self.wait(SENT, self.mine)?;
        self.slots.read(message);
        self.pass(RECEIVED);
        Ok(())
    }
}
