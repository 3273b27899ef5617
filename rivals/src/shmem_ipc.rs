//! shmem-ipc: its ring buffer in a file that both processes have mapped, polled: without the
//! eventfds that its shared ring wakes by, which is the faster half of it.
#![allow(unsafe_code)]

use std::fs::OpenOptions;

use ::shmem_ipc::ringbuf::{self, channel_bufsize};
use anyhow::{Result, anyhow, bail};
use memmap2::MmapRaw;

use crate::rival::{BlockReceiving, BlockSending, Blocks, Place, Processes, Receiving, Sending};

/// The ring buffer.
pub struct ShmemIpc;

/// The sending end, and the memory it lies in.
pub struct Sender<T> {
    port: ringbuf::Sender<T>,
    _map: MmapRaw,
}

/// The receiving end.
pub struct Receiver<T> {
    port: ringbuf::Receiver<T>,
    _map: MmapRaw,
}

fn refused(error: impl std::fmt::Debug) -> anyhow::Error {
    anyhow!("shmem-ipc: {error:?}")
}

fn make(place: &Place, len: usize) -> Result<MmapRaw> {
    let path = place.path("shmem");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    file.set_len(len as u64)?;
    let map = MmapRaw::map_raw(&file)?;
    place.publish("made", "")?;
    Ok(map)
}

fn find(place: &Place) -> Result<MmapRaw> {
    place.published("made")?;
    let file = OpenOptions::new().read(true).write(true).open(place.path("shmem"))?;
    Ok(MmapRaw::map_raw(&file)?)
}

impl Processes for ShmemIpc {
    type Sender<const W: usize> = Sender<u64>;
    type Receiver<const W: usize> = Receiver<u64>;

    fn sender<const W: usize>(place: &Place) -> Result<Sender<u64>> {
        let map = make(place, channel_bufsize::<u64>(place.shape.capacity * W))?;
        // SAFETY: as many bytes, mapped as long as the end lives, zeroed at first.
        let port = unsafe { ringbuf::Sender::attach(map.as_mut_ptr(), map.len()) };
        Ok(Sender { port: port.map_err(refused)?, _map: map })
    }

    fn receiver<const W: usize>(place: &Place) -> Result<Receiver<u64>> {
        let map = find(place)?;
        // SAFETY: as above.
        let port = unsafe { ringbuf::Receiver::attach(map.as_mut_ptr(), map.len()) };
        Ok(Receiver { port: port.map_err(refused)?, _map: map })
    }
}

impl<const W: usize> Sending<W> for Sender<u64> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        Ok(Sending::<W>::try_send_many(self, std::slice::from_ref(message))? == 1)
    }

    #[inline(always)]
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        // Its `send` writes to the shared count even when there is no room.
        if self.port.write_count().map_err(refused)? < W {
            return Ok(0);
        }
        let mut sent = 0;
        let status = self.port.send(|place, room| {
            sent = messages.len().min(room / W);
            // SAFETY: `room` words from `place` on are free; ours are private.
            unsafe { std::ptr::copy_nonoverlapping(messages.as_ptr().cast(), place, sent * W) };
            sent * W
        });
        status.map_err(refused)?;
        Ok(sent)
    }
}

impl<const W: usize> Receiving<W> for Receiver<u64> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        Ok(Receiving::<W>::try_recv_many(self, std::slice::from_mut(message))? == 1)
    }

    #[inline(always)]
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        if self.port.read_count().map_err(refused)? < W {
            return Ok(0);
        }
        let mut got = 0;
        let status = self.port.recv(|place, ready| {
            got = messages.len().min(ready / W);
            // SAFETY: `ready` words from `place` on are full; ours are private.
            unsafe { std::ptr::copy_nonoverlapping(place, messages.as_mut_ptr().cast(), got * W) };
            got * W
        });
        status.map_err(refused)?;
        Ok(got)
    }
}

impl Blocks for ShmemIpc {
    type Sender = Sender<u8>;
    type Receiver = (Receiver<u8>, usize);

    fn sender(place: &Place, size: usize) -> Result<Sender<u8>> {
        let map = make(place, channel_bufsize::<u8>(place.shape.capacity * size))?;
        // SAFETY: as above.
        let port = unsafe { ringbuf::Sender::attach(map.as_mut_ptr(), map.len()) };
        Ok(Sender { port: port.map_err(refused)?, _map: map })
    }

    fn receiver(place: &Place, size: usize) -> Result<(Receiver<u8>, usize)> {
        let map = find(place)?;
        // SAFETY: as above.
        let port = unsafe { ringbuf::Receiver::attach(map.as_mut_ptr(), map.len()) };
        Ok((Receiver { port: port.map_err(refused)?, _map: map }, size))
    }
}

impl BlockSending for Sender<u8> {
    fn try_send(&mut self, block: &[u8]) -> Result<bool> {
        if self.port.write_count().map_err(refused)? < block.len() {
            return Ok(false);
        }
        let mut sent = false;
        let status = self.port.send(|place, room| {
            sent = room >= block.len();
            if !sent {
                return 0;
            }
            // SAFETY: `room` bytes from `place` on are free; ours are private.
            unsafe { std::ptr::copy_nonoverlapping(block.as_ptr(), place, block.len()) };
            block.len()
        });
        status.map_err(refused)?;
        if sent { Ok(true) } else { bail!("shmem-ipc: a block does not lie in one piece") }
    }
}

impl BlockReceiving for (Receiver<u8>, usize) {
    fn try_recv(&mut self, look: impl FnOnce(&[u8])) -> Result<bool> {
        let (receiver, size) = self;
        if receiver.port.read_count().map_err(refused)? < *size {
            return Ok(false);
        }
        let status = receiver.port.recv(|place, ready| {
            let len = ready.min(*size);
            // SAFETY: `ready` bytes from `place` on are full, and stay so until this is over.
            look(unsafe { std::slice::from_raw_parts(place, len) });
            len
        });
        status.map_err(refused)?;
        Ok(true)
    }
}
