//! The limit of streams: `memcpy` through slots that both processes have mapped.
//!
//! ```text
//!   [ tail line ][ head line ] ... [ slot 0 ][ slot 1 ] ... [ slot capacity - 1 ]
//! ```
//!
//! One index store a slot of [`CHUNK`] bytes, or a block; the other side's index is kept
//! privately until it no longer suffices. No checks of what the peer wrote, no liveness,
//! nobody to wake. Small messages are held against their share of a chunk.
#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use memmap2::MmapRaw;

use crate::rival::{BlockReceiving, BlockSending, Blocks, Place, Processes, Receiving, Sending};

/// The raw slots.
pub struct Raw;

/// Bytes of a slot, and how many there are, unless blocks are sent.
pub const CHUNK: usize = 4096;
const CHUNKS: usize = 16;

const HEAD: usize = 128;
const DATA: usize = 4096;

/// Either end.
pub struct End {
    map: MmapRaw,
    size: usize,
    capacity: u64,
    mine: u64,
    theirs: u64,
}

fn capacity(place: &Place, size: usize) -> usize {
    if size == CHUNK { CHUNKS } else { place.shape.capacity }
}

impl End {
    fn make(place: &Place, size: usize) -> Result<End> {
        let capacity = capacity(place, size);
        let path = place.path("slots");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.set_len((DATA + capacity * size) as u64)?;
        let map = MmapRaw::map_raw(&file)?;
        place.publish("raw", "")?;
        Ok(End { map, size, capacity: capacity as u64, mine: 0, theirs: 0 })
    }

    fn find(place: &Place, size: usize) -> Result<End> {
        place.published("raw")?;
        let file = OpenOptions::new().read(true).write(true).open(place.path("slots"))?;
        let map = MmapRaw::map_raw(&file)?;
        Ok(End { map, size, capacity: capacity(place, size) as u64, mine: 0, theirs: 0 })
    }

    #[inline(always)]
    fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: the first page of the mapping, which holds these two words alone; used as
        // atomics by both.
        unsafe { &*self.map.as_mut_ptr().wrapping_add(offset).cast::<AtomicU64>() }
    }

    /// The slot `ahead` of this end's index.
    #[inline(always)]
    fn slot(&self, ahead: usize) -> *mut u8 {
        let index = (self.mine + ahead as u64) & (self.capacity - 1);
        self.map.as_mut_ptr().wrapping_add(DATA + index as usize * self.size)
    }

    /// How many of `wanted` slots are free.
    #[inline(always)]
    fn room(&mut self, wanted: usize) -> usize {
        if self.mine + wanted as u64 - self.theirs > self.capacity {
            // Pairs with the receiver's Release: its copies out are over.
            self.theirs = self.word(HEAD).load(Ordering::Acquire);
        }
        wanted.min((self.theirs + self.capacity - self.mine) as usize)
    }

    /// How many of `wanted` messages are there.
    #[inline(always)]
    fn ready(&mut self, wanted: usize) -> usize {
        if self.theirs - self.mine < wanted as u64 {
            // Pairs with the sender's Release: its copies in are over.
            self.theirs = self.word(0).load(Ordering::Acquire);
        }
        wanted.min((self.theirs - self.mine) as usize)
    }

    #[inline(always)]
    fn pass(&mut self, count: usize, index: usize) {
        self.mine += count as u64;
        self.word(index).store(self.mine, Ordering::Release);
    }

    #[inline(always)]
    fn write(&self, ahead: usize, bytes: *const u8) {
        // SAFETY: `size` bytes of a slot inside the mapping that the receiver has passed,
        // from as many bytes of private memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes, self.slot(ahead), self.size) };
    }

    #[inline(always)]
    fn read(&self, ahead: usize, bytes: *mut u8) {
        // SAFETY: `size` bytes of a slot inside the mapping that the sender has left, to as
        // many bytes of private memory.
        unsafe { std::ptr::copy_nonoverlapping(self.slot(ahead), bytes, self.size) };
    }
}

impl<const W: usize> Sending<W> for End {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        let room = self.room(1) == 1;
        if room {
            self.write(0, message.as_ptr().cast());
            self.pass(1, 0);
        }
        Ok(room)
    }

    #[inline(always)]
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        let room = self.room(messages.len());
        for (ahead, message) in messages[..room].iter().enumerate() {
            self.write(ahead, message.as_ptr().cast());
        }
        if room > 0 {
            self.pass(room, 0);
        }
        Ok(room)
    }
}

impl<const W: usize> Receiving<W> for End {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        let ready = self.ready(1) == 1;
        if ready {
            self.read(0, message.as_mut_ptr().cast());
            self.pass(1, HEAD);
        }
        Ok(ready)
    }

    #[inline(always)]
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        let ready = self.ready(messages.len());
        for (ahead, message) in messages[..ready].iter_mut().enumerate() {
            self.read(ahead, message.as_mut_ptr().cast());
        }
        if ready > 0 {
            self.pass(ready, HEAD);
        }
        Ok(ready)
    }
}

impl Processes for Raw {
    type Sender<const W: usize> = End;
    type Receiver<const W: usize> = End;

    fn sender<const W: usize>(place: &Place) -> Result<End> {
        End::make(place, 8 * W)
    }

    fn receiver<const W: usize>(place: &Place) -> Result<End> {
        End::find(place, 8 * W)
    }
}

impl Blocks for Raw {
    type Sender = End;
    type Receiver = End;

    fn sender(place: &Place, size: usize) -> Result<End> {
        End::make(place, size)
    }

    fn receiver(place: &Place, size: usize) -> Result<End> {
        End::find(place, size)
    }
}

impl BlockSending for End {
    fn try_send(&mut self, block: &[u8]) -> Result<bool> {
        assert_eq!(block.len(), self.size);
        let room = self.room(1) == 1;
        if room {
            self.write(0, block.as_ptr());
            self.pass(1, 0);
        }
        Ok(room)
    }
}

impl BlockReceiving for End {
    fn try_recv(&mut self, look: impl FnOnce(&[u8])) -> Result<bool> {
        let ready = self.ready(1) == 1;
        if ready {
            // SAFETY: a slot inside the mapping that the sender has left and will not touch
            // before the index moves on.
            look(unsafe { std::slice::from_raw_parts(self.slot(0), self.size) });
            self.pass(1, HEAD);
        }
        Ok(ready)
    }
}
