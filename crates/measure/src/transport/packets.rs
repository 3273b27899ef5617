//! Unix sockets that keep messages apart: seqpacket and datagram.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, recv, send, setsockopt, socketpair, sockopt,
};

use crate::Error;
use crate::spin::Spin;
use crate::transport::many::Many;
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket};

/// `socketpair(AF_UNIX, SOCK_SEQPACKET)`.
pub struct UnixSeqpacket;

/// `socketpair(AF_UNIX, SOCK_DGRAM)`: no datagram is lost between two Unix sockets.
pub struct UnixDgram;

impl Mechanism for UnixSeqpacket {
    fn create(size: usize, _: Shape) -> Result<Route, Error> {
        create(SockType::SeqPacket, size)
    }

    fn sender(ticket: Ticket, site: &Site, _: usize) -> Result<Box<dyn Sends>, Error> {
        Ok(Box::new(PacketEnd::attach(ticket, site, "seqpacket socket")?))
    }

    fn receiver(ticket: Ticket, site: &Site, _: usize) -> Result<Box<dyn Receives>, Error> {
        Ok(Box::new(PacketEnd::attach(ticket, site, "seqpacket socket")?))
    }
}

impl Mechanism for UnixDgram {
    fn create(size: usize, _: Shape) -> Result<Route, Error> {
        create(SockType::Datagram, size)
    }

    fn sender(ticket: Ticket, site: &Site, _: usize) -> Result<Box<dyn Sends>, Error> {
        Ok(Box::new(PacketEnd::attach(ticket, site, "datagram socket")?))
    }

    fn receiver(ticket: Ticket, site: &Site, _: usize) -> Result<Box<dyn Receives>, Error> {
        Ok(Box::new(PacketEnd::attach(ticket, site, "datagram socket")?))
    }
}

fn create(kind: SockType, size: usize) -> Result<Route, Error> {
    // Sent once to nobody: what the kernel says of such a message it will say again.
    let (one, _other) = pair(kind, size)?;
    let sent = send(one.as_raw_fd(), &vec![0; size], MsgFlags::MSG_DONTWAIT);
    sent.map_err(|errno| {
        let limit = "/proc/sys/net/core/wmem_max";
        Error::Unavailable(format!("a packet of {size} bytes: {errno}; see {limit}"))
    })?;
    let (one, other) = pair(kind, size)?;
    Ok(Route { send: Ticket::inherited(one), recv: Ticket::inherited(other), keep: None })
}

/// The system's buffers, or twice as much as a long message takes.
fn pair(kind: SockType, size: usize) -> Result<(OwnedFd, OwnedFd), Error> {
    let (one, other) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)
        .map_err(Error::lacking("socketpair"))?;
    if size > 65536 {
        for end in [&one, &other] {
            setsockopt(end, sockopt::SndBuf, &(2 * size)).map_err(Error::lacking("SO_SNDBUF"))?;
        }
    }
    Ok((one, other))
}

/// Either end.
struct PacketEnd {
    fd: OwnedFd,
    name: &'static str,
    many: Many,
    spin: Spin,
}

impl PacketEnd {
    fn attach(ticket: Ticket, site: &Site, name: &'static str) -> Result<PacketEnd, Error> {
        let fd = ticket.into_fd()?;
        if site.shape.polling {
            fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
                .map_err(Error::system("O_NONBLOCK"))?;
        }
        Ok(PacketEnd { fd, name, many: Many::new(), spin: site.spin() })
    }
}

impl Sends for PacketEnd {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        let fd = self.fd.as_raw_fd();
        let sent =
            self.spin.until(self.name, "send", || send(fd, message, MsgFlags::MSG_NOSIGNAL))?;
        debug_assert_eq!(sent, message.len(), "packets go whole or not at all");
        Ok(())
    }

    fn send_all(&mut self, mut messages: &[u8], size: usize) -> Result<(), Error> {
        let PacketEnd { fd, many, name, .. } = self;
        while !messages.is_empty() {
            let sent =
                self.spin.until(name, "sendmmsg", || many.send(fd.as_fd(), messages, size))?;
            messages = &messages[sent * size..];
        }
        Ok(())
    }
}

impl Receives for PacketEnd {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        let fd = self.fd.as_raw_fd();
        let got = self.spin.until(self.name, "recv", || recv(fd, message, MsgFlags::empty()))?;
        whole(self.name, got, message.len())
    }

    fn recv_some(&mut self, messages: &mut [u8], size: usize) -> Result<usize, Error> {
        let PacketEnd { fd, many, name, .. } = self;
        let got = self.spin.until(name, "recvmmsg", || many.recv(fd.as_fd(), messages, size))?;
        many.lengths(got).try_for_each(|len| whole(name, len, size))?;
        Ok(got * size)
    }
}

/// Whether a packet of this length came whole.
fn whole(transport: &'static str, got: usize, size: usize) -> Result<(), Error> {
    match got {
        // No message is empty: nothing more will come.
        0 => Err(Error::Disconnected { transport }),
        got if got == size => Ok(()),
        got => {
            Err(Error::Transport { transport, reason: format!("{got} bytes instead of {size}") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_beyond_the_kernels_limit_is_refused_with_the_reason() {
        for kind in [SockType::SeqPacket, SockType::Datagram] {
            assert!(create(kind, 1024).is_ok());
            match create(kind, 1 << 28).err() {
                Some(Error::Unavailable(reason)) if reason.contains("wmem_max") => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
