//! shaq: its spsc and mpmc queues in a file that both processes have mapped, with batches.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::num::NonZeroUsize;

use ::shaq::{mpmc, spsc};
use anyhow::{Result, anyhow};

use crate::rival::{Place, Processes, Receiving, Sending};

/// One sender, one receiver.
pub struct Spsc;

/// Many of both.
pub struct Mpmc;

fn refused(error: impl std::fmt::Debug) -> anyhow::Error {
    anyhow!("shaq: {error:?}")
}

fn make(place: &Place) -> Result<File> {
    Ok(OpenOptions::new().read(true).write(true).create_new(true).open(place.path("shaq"))?)
}

fn find(place: &Place) -> Result<File> {
    place.published("made")?;
    Ok(OpenOptions::new().read(true).write(true).open(place.path("shaq"))?)
}

impl Processes for Spsc {
    type Sender<const W: usize> = spsc::Producer<[u64; W]>;
    type Receiver<const W: usize> = spsc::Consumer<[u64; W]>;

    fn sender<const W: usize>(place: &Place) -> Result<Self::Sender<W>> {
        let size = spsc::minimum_file_size::<[u64; W]>(place.shape.capacity);
        // SAFETY: this process alone makes the queue, and it has one producer.
        let made = unsafe { spsc::Producer::create(&make(place)?, size) }.map_err(refused)?;
        place.publish("made", "")?;
        Ok(made)
    }

    fn receiver<const W: usize>(place: &Place) -> Result<Self::Receiver<W>> {
        // SAFETY: the queue was made for this type, and it has one consumer.
        unsafe { spsc::Consumer::join(&find(place)?) }.map_err(refused)
    }
}

impl<const W: usize> Sending<W> for spsc::Producer<[u64; W]> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        Ok(self.try_write(*message).is_ok())
    }

    #[inline(always)]
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        let mut batch = self.write_batch();
        let refused = messages.iter().position(|message| batch.try_write(*message).is_err());
        Ok(refused.unwrap_or(messages.len()))
    }
}

impl<const W: usize> Receiving<W> for spsc::Consumer<[u64; W]> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        Ok(self.try_read().map(|got| *message = got).is_some())
    }

    #[inline(always)]
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        let Some(most) = NonZeroUsize::new(messages.len()) else { return Ok(0) };
        let Some(batch) = self.try_reserve_read_batch(most) else { return Ok(0) };
        let (some, rest) = batch.as_slices();
        messages[..some.len()].copy_from_slice(some);
        messages[some.len()..batch.len()].copy_from_slice(rest);
        Ok(batch.len())
    }
}

impl Processes for Mpmc {
    type Sender<const W: usize> = mpmc::Producer<[u64; W]>;
    type Receiver<const W: usize> = mpmc::Consumer<[u64; W]>;

    fn sender<const W: usize>(place: &Place) -> Result<Self::Sender<W>> {
        if !place.first() {
            // SAFETY: the queue was made for this type.
            return unsafe { mpmc::Producer::join(&find(place)?) }.map_err(refused);
        }
        let size = mpmc::minimum_file_size::<[u64; W]>(place.shape.capacity);
        // SAFETY: this process alone makes the queue.
        let made = unsafe { mpmc::Producer::create(&make(place)?, size) }.map_err(refused)?;
        place.publish("made", "")?;
        Ok(made)
    }

    fn receiver<const W: usize>(place: &Place) -> Result<Self::Receiver<W>> {
        // SAFETY: the queue was made for this type.
        unsafe { mpmc::Consumer::join(&find(place)?) }.map_err(refused)
    }
}

impl<const W: usize> Sending<W> for mpmc::Producer<[u64; W]> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
        Ok(self.try_write(*message).is_ok())
    }

    /// All of them or none.
    #[inline(always)]
    fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
        Ok(if self.try_write_slice(messages) { messages.len() } else { 0 })
    }
}

impl<const W: usize> Receiving<W> for mpmc::Consumer<[u64; W]> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
        Ok(self.try_read().map(|got| *message = got).is_some())
    }

    #[inline(always)]
    fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
        let Some(most) = NonZeroUsize::new(messages.len()) else { return Ok(0) };
        let Some(batch) = self.try_reserve_read_batch(most) else { return Ok(0) };
        let (some, rest) = batch.as_slices();
        messages[..some.len()].copy_from_slice(some);
        messages[some.len()..batch.len()].copy_from_slice(rest);
        Ok(batch.len())
    }
}
