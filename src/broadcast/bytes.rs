//! Byte messages: the verbs that differ.

use std::time::{Duration, Instant};

use super::reader::View;
use super::{Receiver, Ring, Sender};
use crate::endpoint::deadline_after;
use crate::error::{RecvError, SendError, TryRecvError, TrySendError};
use crate::options::Options;
use crate::outcome::NoMessage;
use crate::payload::sealed::Sealed;

impl Options<Ring<[u8]>> {
    /// Longest message in bytes, at most 2^30. When creating, 1024 by default; when
    /// opening, the default is to take what is there.
    pub fn max_len(mut self, bytes: u64) -> Self {
        self.set_max_len(bytes);
        self
    }
}

/// Byte messages.
impl Sender<[u8]> {
    /// Longest message in bytes.
    pub fn max_len(&self) -> usize {
        self.slots.message(self.tail).len() - <[u8]>::PREFIX
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
        self.put_bytes(message);
        Ok(())
    }

    /// Sends; in a lossless ring, waiting while it is full.
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
        self.put_bytes(message);
        Ok(())
    }

    fn put_bytes(&mut self, message: &[u8]) {
        self.put([&(message.len() as u64).to_le_bytes(), message]);
        self.notify();
    }
}

/// Copies a message to the first bytes of `out`; one that is too long stays.
fn fit(out: &mut [u8]) -> impl FnMut(View<'_, [u8]>) -> Result<usize, usize> {
    |view| match out.get_mut(..view.len()) {
        Some(out) => Ok(view.read_at(0, out)),
        None => Err(view.len()),
    }
}

/// Byte messages.
impl Receiver<[u8]> {
    /// Receives to the first bytes of `out` without waiting, and says how many they are.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv) of fixed-size messages; and
    /// [`TryRecvError::TooSmall`], which leaves the message where it is.
    #[inline]
    pub fn try_recv(&mut self, out: &mut [u8]) -> Result<usize, TryRecvError> {
        self.ready()?;
        Ok(self.take_if(fit(out))?)
    }

    /// Receives to the first bytes of `out`, waiting while there is no message.
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

    fn recv_until(
        &mut self,
        out: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<usize, RecvError> {
        self.ready_until(deadline)?;
        Ok(self.take_if(fit(out))?)
    }

    /// The newest message to the first bytes of `out`, wherever this receiver has come to;
    /// takes nothing.
    ///
    /// # Errors
    /// As [`latest_with`](Self::latest_with); [`TryRecvError::TooSmall`].
    pub fn latest(&mut self, out: &mut [u8]) -> Result<usize, TryRecvError> {
        self.latest_with(fit(out))?.map_err(|needed| NoMessage::TooSmall { needed }.into())
    }
}
