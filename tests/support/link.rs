//! Lines and file descriptors between a parent and its child, over a Unix socket.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// One end. Both ends are closed on exec unless [`super::Spawn`] passes one on.
pub struct Link {
    socket: UnixStream,
    /// Bytes received after the last whole line that was handed out.
    pending: Vec<u8>,
    /// Descriptors received and not handed out yet, in order.
    descriptors: VecDeque<OwnedFd>,
}

impl Link {
    /// Two connected ends.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Self::new(one), Self::new(other)))
    }

    /// The end that `socket` is.
    pub fn new(socket: UnixStream) -> Self {
        Self { socket, pending: Vec::new(), descriptors: VecDeque::new() }
    }

    /// Sends one line.
    pub fn send(&mut self, line: &str) -> io::Result<()> {
        self.transmit(line, &[])
    }

    /// Sends one line and a descriptor with it (`SCM_RIGHTS`).
    pub fn send_fd(&mut self, line: &str, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let rights = [descriptor.as_raw_fd()];
        self.transmit(line, &[ControlMessage::ScmRights(&rights)])
    }

    fn transmit(&mut self, line: &str, control: &[ControlMessage<'_>]) -> io::Result<()> {
        assert!(!line.contains('\n'), "two lines in one: {line:?}");
        let text = format!("{line}\n");
        // A peer that has gone is an error here, not a SIGPIPE.
        let flags = MsgFlags::MSG_NOSIGNAL;
        let sent = sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(text.as_bytes())],
            control,
            flags,
            None,
        )?;
        if sent == text.len() {
            return Ok(());
        }
        Err(io::Error::other(format!("sent {sent} of {}", text.len())))
    }

    /// The next line. `TimedOut` after `limit`, `UnexpectedEof` if the other end is gone.
    pub fn receive(&mut self, limit: Duration) -> io::Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<_> = self.pending.drain(..=end).collect();
                line.pop();
                return String::from_utf8(line).map_err(io::Error::other);
            }
            self.fill(deadline)?;
        }
    }

    /// The next line and the descriptor that came with it.
    pub fn receive_fd(&mut self, limit: Duration) -> io::Result<(String, OwnedFd)> {
        let line = self.receive(limit)?;
        let descriptor = self.descriptors.pop_front();
        let missing = || io::Error::other(format!("no descriptor came with {line:?}"));
        let descriptor = descriptor.ok_or_else(missing)?;
        Ok((line, descriptor))
    }

    /// Waits for more bytes until the deadline, and takes the descriptors beside them.
    fn fill(&mut self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        let mut bytes = [0; 4096];
        let mut space = cmsg_space!([i32; 8]);
        let mut vectors = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let socket = self.socket.as_raw_fd();
        let message = match recvmsg::<()>(socket, &mut vectors, Some(&mut space), flags) {
            Ok(message) => message,
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(rights) = control {
                // SAFETY: the kernel has just made these descriptors for this call, and
                // nobody else knows their numbers.
                let owned =
                    rights.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) });
                self.descriptors.extend(owned);
            }
        }
        let length = message.bytes;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.pending.extend_from_slice(&bytes[..length]);
        Ok(())
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
