//! Byte messages: the verbs that differ.

use std::time::{Duration, Instant};

use super::receiver::Taken;
use super::{Receiver, Ring, Sender};
use crate::copy;
use crate::endpoint::deadline_after;
use crate::error::{RecvError, SendError, TryRecvError, TrySendError};
use crate::lend;
use crate::options::Options;
use crate::outcome::NoMessage;
use crate::payload::Trust;
use crate::payload::sealed::Sealed;

impl<A: Trust> Options<Ring<[u8], A>> {
    /// Longest message in bytes, at most 2^30. When creating, 1024 by default; when
    /// opening, the default is to take what is there.
    pub fn max_len(mut self, bytes: u64) -> Self {
        self.set_max_len(bytes);
        self
    }
}

/// Byte messages.
impl<A: Trust> Sender<[u8], A> {
    /// Longest message in bytes.
    pub fn max_len(&self) -> usize {
        lend::capacity::<[u8]>(self.post.court.slots.message(0))
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
        let run = self.take(1).map_err(|no_room| no_room.at_once(()))?;
        self.put_bytes(run.start, message);
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

    fn send_until(
        &mut self,
        message: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(), SendError<()>> {
        if message.len() > self.max_len() {
            return Err(SendError::TooLong(()));
        }
        let run = self.take_until(1, deadline).map_err(|no_room| no_room.after_waiting(()))?;
        self.put_bytes(run.start, message);
        Ok(())
    }

    fn put_bytes(&mut self, position: u64, message: &[u8]) {
        let area = self.post.court.slots.message(position);
        copy::store(area, 0, &(message.len() as u64).to_le_bytes());
        copy::store(area, <[u8]>::PREFIX, message);
        self.put(position);
        self.notify(1);
    }
}

/// Byte messages.
impl<A: Trust> Receiver<[u8], A> {
    /// Longest message in bytes.
    pub fn max_len(&self) -> usize {
        lend::capacity::<[u8]>(self.area(0))
    }

    /// Receives to the first bytes of `out` without waiting, and says how many they are.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv) of fixed-size messages; and
    /// [`TryRecvError::TooSmall`]: the message stays with this receiver, whose next receive
    /// gets it. If the receiver is dropped first, another one gets it, marked.
    #[inline]
    pub fn try_recv(&mut self, out: &mut [u8]) -> Result<usize, TryRecvError> {
        let taken = self.take()?;
        Ok(self.copy_bytes(taken, out)?)
    }

    /// Receives to the first bytes of `out`, waiting while there is no message.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv), but for `Empty` and `Stalled`;
    /// [`RecvError::Cancelled`].
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

    fn recv_until(
        &mut self,
        out: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<usize, RecvError> {
        let taken = self.take_until(deadline)?;
        Ok(self.copy_bytes(taken, out)?)
    }

    fn copy_bytes(&mut self, taken: Taken, out: &mut [u8]) -> Result<usize, NoMessage> {
        let (taken, needed) = self.measured(taken)?;
        let Some(out) = out.get_mut(..needed) else {
            self.keep(taken);
            return Err(NoMessage::TooSmall { needed });
        };
        copy::load(self.area(taken.position), <[u8]>::PREFIX, out);
        self.note(&taken);
        self.retire(taken);
        Ok(needed)
    }
}
