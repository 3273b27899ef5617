//! Fixed-size messages over a byte stream: shared by the pipe, the Unix socket and
//! annulus's stream.

use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use zerocopy::IntoBytes;

use crate::Error;
use crate::spin::Spin;
use crate::transport::{Receiving, Sending, Site, Ticket};

/// Where bytes can be written, as many as there is room for.
pub trait Writes {
    /// Writes at least one of the bytes; waits while there is no room. Says how many.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error>;

    /// Writes all of them.
    #[inline(always)]
    fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let written = self.write(bytes)?;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

/// Where bytes can be read, as many as are there.
pub trait Reads {
    /// Reads at least one byte; waits while there is none. Says how many.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error>;

    /// Reads at least `least` bytes, and more if they are there.
    #[inline(always)]
    fn read_some(&mut self, bytes: &mut [u8], least: usize) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < least {
            filled += self.read(&mut bytes[filled..])?;
        }
        Ok(filled)
    }
}

impl<const W: usize, T: Writes> Sending<W> for T {
    #[inline(always)]
    fn send(&mut self, message: &[u64; W]) -> Result<(), Error> {
        self.write_all(message.as_bytes())
    }

    #[inline]
    fn send_many(&mut self, messages: &[[u64; W]]) -> Result<(), Error> {
        self.write_all(messages.as_bytes())
    }

    #[inline]
    fn send_part(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write_all(bytes)
    }
}

impl<const W: usize, T: Reads> Receiving<W> for T {
    #[inline(always)]
    fn recv(&mut self, message: &mut [u64; W]) -> Result<(), Error> {
        self.read_some(message.as_mut_bytes(), 8 * W).map(drop)
    }

    #[inline]
    fn recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize, Error> {
        let bytes = messages.as_mut_bytes();
        let read = self.read_some(bytes, 8 * W)?;
        // A message cut in two: the rest is on its way.
        let whole = read.next_multiple_of(8 * W);
        self.read_some(&mut bytes[read..whole], whole - read)?;
        Ok(whole / (8 * W))
    }

    #[inline]
    fn recv_part(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let least = bytes.len();
        self.read_some(bytes, least).map(drop)
    }
}

/// One end of a kernel's byte stream, blocking there or polling it.
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
}

impl From<ByteEnd> for OwnedFd {
    fn from(end: ByteEnd) -> OwnedFd {
        end.fd
    }
}

impl Writes for ByteEnd {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.spin.until(self.name, "write", || nix::unistd::write(&self.fd, bytes))
    }
}

impl Reads for ByteEnd {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        match self.spin.until(self.name, "read", || nix::unistd::read(&self.fd, bytes))? {
            0 => Err(Error::Disconnected { transport: self.name }),
            read => Ok(read),
        }
    }
}
