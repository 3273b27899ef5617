//! A memory-mapped file with one message in it and a number before that; both sides poll
//! the number.
//!
//! ```text
//!   [ turns ][ message ... ]     turns even: the sender's; odd: the receiver's
//! ```
#![allow(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::Ordering;

use crate::Error;
use crate::shared::Shared;
use crate::spin::Spin;
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket, name};

/// `mmap(2)`, `MAP_SHARED`, of a file in the folder for temporary files. It can only poll.
pub struct MmapFile;

/// Where the message begins.
const DATA: usize = 8;

impl Mechanism for MmapFile {
    fn create(size: usize, _: Shape) -> Result<Route, Error> {
        let path = std::env::temp_dir().join(name::random());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(Error::lacking("a temporary file"))?;
        fs::remove_file(&path).map_err(Error::io("unlink"))?;
        // Zeroes written, not a hole: a full disk says so now.
        std::io::Write::write_all(&mut &file, &vec![0; DATA + size])
            .map_err(Error::lacking("a temporary file"))?;
        let twin = file.try_clone().map_err(Error::lacking("dup"))?;
        let (send, recv) = (Ticket::inherited(file.into()), Ticket::inherited(twin.into()));
        Ok(Route { send, recv, keep: None })
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
    file: Shared,
    size: usize,
    /// Messages passed on by this end.
    mine: u64,
    spin: Spin,
}

impl End {
    fn attach(ticket: Ticket, site: &Site, size: usize) -> Result<End, Error> {
        let file = Shared::attach(ticket.into_fd()?)?;
        Ok(End { file, size, mine: 0, spin: site.spin() })
    }

    /// Waits for the turn, and gives where the message lies.
    #[inline]
    fn wait(&mut self, turn: u64) -> Result<*mut u8, Error> {
        self.spin.begin();
        // Pairs with `pass`: the other side's copy is over.
        while self.file.word(0).load(Ordering::Acquire) != turn {
            self.spin.empty()?;
        }
        Ok(self.file.span(DATA, self.size))
    }

    #[inline]
    fn pass(&mut self, turn: u64) {
        self.mine += 1;
        self.file.word(0).store(turn + 1, Ordering::Release);
    }
}

impl Sends for End {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        let turn = 2 * self.mine;
        let (slot, len) = (self.wait(turn)?, message.len().min(self.size));
        // SAFETY: inside the mapping, and the sender's until the turn passes on; `message`
        // is private memory.
        unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), slot, len) };
        self.pass(turn);
        Ok(())
    }
}

impl Receives for End {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        let turn = 2 * self.mine + 1;
        let (slot, len) = (self.wait(turn)?, message.len().min(self.size));
        // SAFETY: inside the mapping, and the receiver's until the turn passes on; `message`
        // is private memory.
        unsafe { std::ptr::copy_nonoverlapping(slot, message.as_mut_ptr(), len) };
        self.pass(turn);
        Ok(())
    }
}
