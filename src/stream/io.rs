//! A stream as the standard library's reader and writer.

use std::io;

use super::{Receiver, Sender};
use crate::error::RecvError;
use crate::outcome::NoMessage;
use crate::payload::Trust;

/// Waits until there is room for one byte, writes as many as there is room for, and
/// commits them at once: `flush` has nothing to do.
///
/// Errors are of kind `BrokenPipe` if the receiver has closed, `ConnectionReset` if it has
/// died or aborted, `InvalidData` for a corrupt segment, `Other` for a cancelled wait;
/// each holds the [`SendError`](crate::SendError).
impl<A: Trust> io::Write for Sender<A> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.send(bytes)?)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            // Only the first one waits.
            let more = if written == 0 { self.send(slice)? } else { self.put(slice) };
            written += more;
            if more < slice.len() {
                break;
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until there is a byte, and takes as many as are there and fit. 0: the sender has
/// finished.
///
/// Errors are of kind `ConnectionReset` if the sender has died or aborted, after all that
/// it committed was read, `InvalidData` for a corrupt segment, `Other` for a cancelled
/// wait; each holds the [`RecvError`].
impl<A: Trust> io::Read for Receiver<A> {
    #[inline]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        end_is_zero(self.recv_until(out, None))
    }

    fn read_vectored(&mut self, slices: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        let mut read = 0;
        for slice in slices.iter_mut().filter(|slice| !slice.is_empty()) {
            // Only the first one waits.
            let more = if read == 0 {
                end_is_zero(self.recv_until(slice, None))?
            } else {
                self.take(slice)
            };
            read += more;
            if more < slice.len() {
                break;
            }
        }
        Ok(read)
    }
}

/// A receive's outcome, for those who know the end by its nought.
pub(super) fn end_is_zero(outcome: Result<usize, NoMessage>) -> io::Result<usize> {
    match outcome {
        Ok(count) => Ok(count),
        Err(NoMessage::Closed) => Ok(0),
        Err(reason) => Err(RecvError::from(reason).into()),
    }
}
