//! Fixed-size messages over a byte stream: shared by the pipe and the Unix socket.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use zerocopy::IntoBytes;

use crate::Error;
use crate::spin::Spin;
use crate::transport::{Receiving, Sending, Site, Ticket};

/// One end of a byte stream, blocking in the kernel or polling it.
pub struct ByteEnd {
    fd: OwnedFd,
    name: &'static str,
    spin: Spin,
}

impl ByteEnd {
    pub(crate) fn attach(
        ticket: Ticket,
        site: &Site,
        name: &'static str,
    ) -> Result<ByteEnd, Error> {
        let fd = ticket.into_fd()?;
        if site.shape.polling {
            fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
                .map_err(Error::system("O_NONBLOCK"))?;
        }
        Ok(ByteEnd { fd, name, spin: site.spin() })
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.spin.begin();
        while !bytes.is_empty() {
            match nix::unistd::write(&self.fd, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(errno) => self.later(errno, "write")?,
            }
        }
        Ok(())
    }

    /// Reads at least `least` bytes, and more if they are there.
    fn read_some(&mut self, bytes: &mut [u8], least: usize) -> Result<usize, Error> {
        let mut filled = 0;
        self.spin.begin();
        while filled < least {
            match nix::unistd::read(&self.fd, &mut bytes[filled..]) {
                Ok(0) => return Err(Error::Disconnected { transport: self.name }),
                Ok(read) => filled += read,
                Err(errno) => self.later(errno, "read")?,
            }
        }
        Ok(filled)
    }

    #[inline]
    fn later(&mut self, errno: Errno, what: &'static str) -> Result<(), Error> {
        match errno {
            Errno::EAGAIN => self.spin.empty(),
            Errno::EINTR => Ok(()),
            Errno::EPIPE | Errno::ECONNRESET => Err(Error::Disconnected { transport: self.name }),
            errno => Err(Error::system(what)(errno)),
        }
    }
}

impl<const W: usize> Sending<W> for ByteEnd {
    fn send(&mut self, message: &[u64; W]) -> Result<(), Error> {
        self.write_all(message.as_bytes())
    }

    fn send_many(&mut self, messages: &[[u64; W]]) -> Result<(), Error> {
        self.write_all(messages.as_bytes())
    }

    fn send_part(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write_all(bytes)
    }
}

impl<const W: usize> Receiving<W> for ByteEnd {
    fn recv(&mut self, message: &mut [u64; W]) -> Result<(), Error> {
        self.read_some(message.as_mut_bytes(), 8 * W).map(drop)
    }

    fn recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize, Error> {
        let bytes = messages.as_mut_bytes();
        let read = self.read_some(bytes, 8 * W)?;
        // A message cut in two: the rest is on its way.
        let whole = read.next_multiple_of(8 * W);
        self.read_some(&mut bytes[read..whole], whole - read)?;
        Ok(whole / (8 * W))
    }

    fn recv_part(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let least = bytes.len();
        self.read_some(bytes, least).map(drop)
    }
}
