//! Unix sockets that keep messages apart: seqpacket and datagram.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, recv, send, setsockopt, socketpair, sockopt,
};

use crate::Error;
use crate::spin::Spin;
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

    fn sender(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Sends>, Error> {
        Ok(Box::new(PacketEnd::attach(ticket, site, size, "seqpacket socket")?))
    }

    fn receiver(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Receives>, Error> {
        Ok(Box::new(PacketEnd::attach(ticket, site, size, "seqpacket socket")?))
    }
}

impl Mechanism for UnixDgram {
    fn create(size: usize, _: Shape) -> Result<Route, Error> {
        create(SockType::Datagram, size)
    }

    fn sender(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Sends>, Error> {
        Ok(Box::new(PacketEnd::attach(ticket, site, size, "datagram socket")?))
    }

    fn receiver(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Receives>, Error> {
        Ok(Box::new(PacketEnd::attach(ticket, site, size, "datagram socket")?))
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
    size: usize,
    name: &'static str,
    spin: Spin,
}

impl PacketEnd {
    fn attach(
        ticket: Ticket,
        site: &Site,
        size: usize,
        name: &'static str,
    ) -> Result<PacketEnd, Error> {
        let fd = ticket.into_fd()?;
        if site.shape.polling {
            fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
                .map_err(Error::system("O_NONBLOCK"))?;
        }
        Ok(PacketEnd { fd, size, name, spin: site.spin() })
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
}

impl Receives for PacketEnd {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        let fd = self.fd.as_raw_fd();
        let got = self.spin.until(self.name, "recv", || recv(fd, message, MsgFlags::empty()))?;
        // No message is empty: nothing more will come.
        if got == 0 {
            return Err(Error::Disconnected { transport: self.name });
        }
        if got != message.len() {
            let reason = format!("{got} bytes of {}, at most {}", message.len(), self.size);
            return Err(Error::Transport { transport: self.name, reason });
        }
        Ok(())
    }
}
