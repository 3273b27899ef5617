//! A Unix stream socket pair.

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::Error;
use crate::transport::bytes::ByteEnd;
use crate::transport::{Route, Shape, Site, Ticket, Transport};

/// `socketpair(AF_UNIX, SOCK_STREAM)` with the system's buffers.
pub struct UnixStream;

impl Transport for UnixStream {
    type Sender<const W: usize> = ByteEnd;
    type Receiver<const W: usize> = ByteEnd;

    fn create<const W: usize>(_: Shape) -> Result<Route, Error> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (one, other) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags)
            .map_err(Error::lacking("socketpair"))?;
        Ok(Route { send: Ticket::inherited(one), recv: Ticket::inherited(other), keep: None })
    }

    fn sender<const W: usize>(ticket: Ticket, site: Site) -> Result<ByteEnd, Error> {
        ByteEnd::attach(ticket, &site, "Unix socket")
    }

    fn receiver<const W: usize>(ticket: Ticket, site: Site) -> Result<ByteEnd, Error> {
        ByteEnd::attach(ticket, &site, "Unix socket")
    }
}
