//! The limit that streams are held against: two `memcpy` through a ring of chunks.
//!
//! ```text
//!   [ tail line ][ head line ][ chunk 0 ][ chunk 1 ] ... [ chunk capacity - 1 ]
//! ```
//!
//! One index store a chunk on either side, the other side's index kept privately
//! until it no longer suffices, no checks of what the peer wrote, no liveness: what
//! the hardware gives two processes that trust each other. Buffers, marks and checks
//! are the very code that all transports run through.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zerocopy::IntoBytes;

use crate::Error;
use crate::control::LINE;
use crate::shared::Shared;
use crate::spin::Spin;
use crate::transport::{Receiving, Route, Sending, Shape, Site, Ticket, Transport};

/// The raw stream.
pub struct Raw;

/// Chunks start on a page of their own.
const DATA: usize = 4096;

impl Transport for Raw {
    type Sender<const W: usize> = RawEnd<W>;
    type Receiver<const W: usize> = RawEnd<W>;

    fn create<const W: usize>(shape: Shape) -> Result<Route, Error> {
        let shared = Arc::new(Shared::create(DATA + shape.capacity * 8 * W)?);
        let ticket = || -> Result<Ticket, Error> {
            use std::os::fd::AsFd;
            let fd = shared.as_fd().try_clone_to_owned().map_err(Error::io("dup"))?;
            Ok(Ticket::inherited(fd))
        };
        Ok(Route { send: ticket()?, recv: ticket()?, keep: None })
    }

    fn sender<const W: usize>(ticket: Ticket, site: Site) -> Result<RawEnd<W>, Error> {
        RawEnd::attach(ticket, &site)
    }

    fn receiver<const W: usize>(ticket: Ticket, site: Site) -> Result<RawEnd<W>, Error> {
        RawEnd::attach(ticket, &site)
    }
}

/// Either end: both know their own index and what they last saw of the other's.
pub struct RawEnd<const W: usize> {
    shared: Shared,
    capacity: u64,
    /// Chunks sent, or received, by this end.
    mine: u64,
    /// The other end's count, as last seen.
    theirs: u64,
    spin: Spin,
}

impl<const W: usize> RawEnd<W> {
    fn attach(ticket: Ticket, site: &Site) -> Result<RawEnd<W>, Error> {
        let shared = Shared::attach(ticket.into_fd()?)?;
        let (spin, capacity) = (site.spin(), site.shape.capacity as u64);
        Ok(RawEnd { shared, capacity, mine: 0, theirs: 0, spin })
    }

    #[inline(always)]
    fn tail(&self) -> &AtomicU64 {
        self.shared.word(0)
    }

    #[inline(always)]
    fn head(&self) -> &AtomicU64 {
        self.shared.word(LINE)
    }

    /// Where the chunk at this end's index lies.
    #[inline(always)]
    fn chunk(&self) -> *mut u8 {
        let index = (self.mine & (self.capacity - 1)) as usize;
        self.shared.span(DATA + index * 8 * W, 8 * W)
    }
}

impl<const W: usize> Sending<W> for RawEnd<W> {
    #[inline(always)]
    fn send(&mut self, message: &[u64; W]) -> Result<(), Error> {
        self.send_part(message.as_bytes())
    }

    #[inline]
    fn send_many(&mut self, messages: &[[u64; W]]) -> Result<(), Error> {
        messages.iter().try_for_each(|message| self.send(message))
    }

    #[inline(always)]
    fn send_part(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.spin.begin();
        while self.mine - self.theirs == self.capacity {
            // Pairs with the receiver's Release: its copy out is over.
            self.theirs = self.head().load(Ordering::Acquire);
            if self.mine - self.theirs == self.capacity {
                self.spin.empty()?;
            }
        }
        let chunk = self.chunk();
        let len = bytes.len().min(8 * W);
        // SAFETY: `chunk` is 8 * W bytes inside the mapping; the receiver has passed
        // it and won't look again before the tail moves on; `bytes` is private memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), chunk, len) };
        self.mine += 1;
        self.tail().store(self.mine, Ordering::Release);
        Ok(())
    }
}

impl<const W: usize> Receiving<W> for RawEnd<W> {
    #[inline(always)]
    fn recv(&mut self, message: &mut [u64; W]) -> Result<(), Error> {
        self.recv_part(message.as_mut_bytes())
    }

    #[inline]
    fn recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize, Error> {
        messages.iter_mut().try_for_each(|message| self.recv(message))?;
        Ok(messages.len())
    }

    #[inline(always)]
    fn recv_part(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.spin.begin();
        while self.mine == self.theirs {
            // Pairs with the sender's Release: its copy in is over.
            self.theirs = self.tail().load(Ordering::Acquire);
            if self.mine == self.theirs {
                self.spin.empty()?;
            }
        }
        let chunk = self.chunk();
        let len = bytes.len().min(8 * W);
        // SAFETY: `chunk` is 8 * W bytes inside the mapping; the sender has left it
        // and won't touch it before the head moves on; `bytes` is private memory.
        unsafe { std::ptr::copy_nonoverlapping(chunk, bytes.as_mut_ptr(), len) };
        self.mine += 1;
        self.head().store(self.mine, Ordering::Release);
        Ok(())
    }
}
