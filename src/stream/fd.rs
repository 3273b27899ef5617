//! From a descriptor into the ring and out of it, without a copy in between.

use std::io;
use std::os::fd::AsFd;

use super::io::end_is_zero;
use super::{Receiver, Sender};
use crate::atomic::{Bug, seeded};
use crate::copy;
use crate::error::{Corrupt, RecvError, SendError};
use crate::outcome::NoMessage;
use crate::payload::Trust;

/// The memory of the segment is gone: truncated by a peer.
const GONE: Corrupt = Corrupt { word: "bytes", value: 0 };

/// What the kernel says if it can't reach the memory it was given.
fn is_gone(error: &io::Error) -> bool {
    copy::is_unreachable(error)
}

impl<A: Trust> Sender<A> {
    /// Waits until there is room, then reads once (`readv(2)`) from a descriptor straight
    /// into the ring, `most` bytes at most, and commits what came: says how much. 0 is the
    /// descriptor's end. Blocks as the descriptor does.
    ///
    /// ```
    /// use std::io::Read;
    ///
    /// let (mut sender, mut receiver) = annulus::stream::channel(1 << 16)?;
    /// let file = std::fs::File::open("/proc/self/cmdline")?;
    /// while sender.fill_from(&file, usize::MAX)? > 0 {}
    /// sender.finish()?;
    /// let mut received = Vec::new();
    /// receiver.read_to_end(&mut received)?;
    /// assert_eq!(received, std::fs::read("/proc/self/cmdline")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The descriptor's own, as they are: nothing was committed then. Those of
    /// [`write`](io::Write::write), which hold a [`SendError`].
    pub fn fill_from(&mut self, fd: impl AsFd, most: usize) -> io::Result<usize> {
        if most == 0 {
            return Ok(0);
        }
        let room = self.room_for(most, None);
        let room = room.map_err(|reason| reason.after_waiting(()))?;
        let parts = self.bytes.parts(self.tail, room);
        let outcome = copy::fill(self.bytes.area(), [parts.first, parts.second], fd.as_fd());
        match outcome {
            Ok(1..) if seeded(Bug::ShortReadCommitsAll) => {
                self.commit(room);
                Ok(room)
            }
            Err(error)
                if seeded(Bug::InterruptedReadIsEnd)
                    && error.kind() == io::ErrorKind::Interrupted =>
            {
                Ok(0)
            }
            Ok(count) => {
                self.commit(count.min(room));
                Ok(count.min(room))
            }
            Err(error) if is_gone(&error) => Err(SendError::Fault((), self.poison(GONE)).into()),
            Err(error) => Err(error),
        }
    }
}

impl<A: Trust> Receiver<A> {
    /// Waits until there are bytes, then writes once (`writev(2)`) to a descriptor straight
    /// out of the ring, `most` bytes at most, and retires what was written: says how much.
    /// 0 is the end of the stream. Blocks as the descriptor does.
    ///
    /// If this process dies in between, the bytes that were written are not written again:
    /// a stream has no second receiver.
    ///
    /// # Errors
    /// The descriptor's own, as they are: nothing was retired then. Those of
    /// [`read`](io::Read::read), which hold a [`RecvError`].
    pub fn drain_to(&mut self, fd: impl AsFd, most: usize) -> io::Result<usize> {
        if most == 0 {
            return Ok(0);
        }
        let waiting = match self.waiting_for(most, None) {
            Ok(waiting) => waiting,
            Err(reason @ NoMessage::Closed) => return end_is_zero(Err(reason)),
            Err(reason) => return Err(RecvError::from(reason).into()),
        };
        let parts = self.bytes.parts(self.head, waiting);
        let outcome = copy::drain(self.bytes.area(), [parts.first, parts.second], fd.as_fd());
        match outcome {
            Ok(1..) if seeded(Bug::ShortWriteRetiresAll) => {
                self.retire(waiting);
                Ok(waiting)
            }
            Ok(count) => {
                self.retire(count.min(waiting));
                Ok(count.min(waiting))
            }
            Err(error) if is_gone(&error) => Err(RecvError::Fault(self.poison(GONE)).into()),
            Err(error) => Err(error),
        }
    }
}
