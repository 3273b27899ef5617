//! An anonymous pipe.

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::Error;
use crate::transport::bytes::ByteEnd;
use crate::transport::{Route, Shape, Site, Ticket, Transport};

/// `pipe(2)` as it comes: 64 KiB of buffer, or what the system is set to.
pub struct Pipe;

impl Transport for Pipe {
    type Sender<const W: usize> = ByteEnd;
    type Receiver<const W: usize> = ByteEnd;

    fn create<const W: usize>(_: Shape) -> Result<Route, Error> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(Error::lacking("pipe"))?;
        Ok(Route { send: Ticket::inherited(write), recv: Ticket::inherited(read), keep: None })
    }

    fn sender<const W: usize>(ticket: Ticket, site: Site) -> Result<ByteEnd, Error> {
        ByteEnd::attach(ticket, &site, "pipe")
    }

    fn receiver<const W: usize>(ticket: Ticket, site: Site) -> Result<ByteEnd, Error> {
        ByteEnd::attach(ticket, &site, "pipe")
    }
}
