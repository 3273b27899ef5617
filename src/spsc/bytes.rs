//! Byte messages: the verbs that differ.
//!
//! A slot holds `[ stamp ][ length ][ bytes up to the maximum ]`: the protocol, the death
//! of peers and redelivery are those of fixed-size messages. It costs memory, capacity
//! times the maximum; a stream packs.

use std::time::{Duration, Instant};

use super::{Receiver, Ring, Sender};
use crate::copy;
use crate::endpoint::deadline_after;
use crate::error::{RecvError, SendError, TryRecvError, TrySendError};
use crate::options::Options;
use crate::outcome::NoMessage;
use crate::payload::Trust;

/// Bytes before a byte message: its length.
const PREFIX: usize = 8;

impl<A: Trust> Options<Ring<[u8], A>> {
    /// Longest message in bytes, at most 2^30. When creating, 1024 by default; when
    /// opening, the default is to take what is there.
    ///
    /// ```
    /// let ring = annulus::spsc::Ring::<[u8]>::options().max_len(4096).create_heap()?;
    /// let (mut sender, mut receiver) = (ring.sender()?, ring.receiver()?);
    /// sender.send(b"any length")?;
    /// let mut buffer = [0; 4096];
    /// let len = receiver.recv(&mut buffer)?;
    /// assert_eq!(&buffer[..len], b"any length");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_len(mut self, bytes: u64) -> Self {
        self.set_max_len(bytes);
        self
    }
}

/// Byte messages.
impl<A: Trust> Sender<[u8], A> {
    /// Longest message in bytes.
    pub fn max_len(&self) -> usize {
        self.slots.message(self.tail).len() - PREFIX
    }

    /// Sends without waiting, as [`try_send`](Sender::try_send) of fixed-size messages.
    ///
    /// # Errors
    /// The same; and [`TrySendError::TooLong`].
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> Result<(), TrySendError<()>> {
        if message.len() > self.max_len() {
            return Err(TrySendError::TooLong(()));
        }
        self.admit().map_err(|no_room| no_room.at_once(()))?;
        self.put(message);
        Ok(())
    }

    /// Sends, waiting while the ring is full.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), but for `Full`; [`SendError::Cancelled`].
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> Result<(), SendError<()>> {
        self.send_until(message, None)
    }

    /// As [`send`](Self::send), for at most `timeout`. The clock is monotonic.
    ///
    /// # Errors
    /// [`SendError::Timeout`] too.
    pub fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<(), SendError<()>> {
        self.send_until(message, deadline_after(timeout))
    }

    /// As [`send`](Self::send), until `deadline` at the latest.
    ///
    /// # Errors
    /// [`SendError::Timeout`] too.
    pub fn send_deadline(
        &mut self,
        message: &[u8],
        deadline: Instant,
    ) -> Result<(), SendError<()>> {
        self.send_until(message, Some(deadline))
    }

    #[inline]
    fn send_until(
        &mut self,
        message: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(), SendError<()>> {
        if message.len() > self.max_len() {
            return Err(SendError::TooLong(()));
        }
        self.admit_until(deadline).map_err(|no_room| no_room.after_waiting(()))?;
        self.put(message);
        Ok(())
    }

    /// Writes and commits at `tail`, which the gate admits; the message fits.
    #[inline(always)]
    fn put(&mut self, message: &[u8]) {
        let area = self.slots.message(self.tail);
        copy::store(area, 0, &(message.len() as u64).to_le_bytes());
        copy::store(area, PREFIX, message);
        self.commit();
        self.notify();
    }
}

/// Byte messages.
impl<A: Trust> Receiver<[u8], A> {
    /// Longest message in bytes.
    pub fn max_len(&self) -> usize {
        self.slots.message(self.head).len() - PREFIX
    }

    /// Receives to the first bytes of `out` without waiting, and says how many they are.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv) of fixed-size messages; and
    /// [`TryRecvError::TooSmall`], which leaves the message where it is.
    #[inline]
    pub fn try_recv(&mut self, out: &mut [u8]) -> Result<usize, TryRecvError> {
        self.ready()?;
        Ok(self.take(out)?)
    }

    /// Receives to the first bytes of `out`, waiting while the ring is empty.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv), but for `Empty`; [`RecvError::Cancelled`].
    #[inline]
    pub fn recv(&mut self, out: &mut [u8]) -> Result<usize, RecvError> {
        self.recv_until(out, None)
    }

    /// As [`recv`](Self::recv), for at most `timeout`. The clock is monotonic.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_timeout(&mut self, out: &mut [u8], timeout: Duration) -> Result<usize, RecvError> {
        self.recv_until(out, deadline_after(timeout))
    }

    /// As [`recv`](Self::recv), until `deadline` at the latest.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] too.
    pub fn recv_deadline(&mut self, out: &mut [u8], deadline: Instant) -> Result<usize, RecvError> {
        self.recv_until(out, Some(deadline))
    }

    #[inline]
    fn recv_until(
        &mut self,
        out: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<usize, RecvError> {
        self.ready_until(deadline)?;
        Ok(self.take(out)?)
    }

    /// Copies out and retires the message at `head`, which is ready; gives its length.
    #[inline(always)]
    fn take(&mut self, out: &mut [u8]) -> Result<usize, NoMessage> {
        let needed = self.payload_len()?;
        let out = out.get_mut(..needed).ok_or(NoMessage::TooSmall { needed })?;
        copy::load(self.slots.message(self.head), PREFIX, out);
        self.retire(1);
        Ok(needed)
    }
}
