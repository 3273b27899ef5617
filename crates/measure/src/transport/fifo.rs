//! A named pipe. Both ends are opened by name; the name is gone before a peer starts.

use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, unlink};

use crate::Error;
use crate::transport::bytes::ByteEnd;
use crate::transport::{Route, Shape, Site, Ticket, Transport, name};

/// `mkfifo(3)` in the folder for temporary files.
pub struct Fifo;

impl Transport for Fifo {
    type Sender<const W: usize> = ByteEnd;
    type Receiver<const W: usize> = ByteEnd;

    fn create<const W: usize>(_: Shape) -> Result<Route, Error> {
        let path = std::env::temp_dir().join(name::random());
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(Error::lacking("mkfifo"))?;
        let ends = open_both(&path);
        unlink(&path).map_err(Error::system("unlink"))?;
        let (read, write) = ends?;
        Ok(Route { send: Ticket::inherited(write), recv: Ticket::inherited(read), keep: None })
    }

    fn sender<const W: usize>(ticket: Ticket, site: Site) -> Result<ByteEnd, Error> {
        ByteEnd::attach(ticket, &site, "FIFO")
    }

    fn receiver<const W: usize>(ticket: Ticket, site: Site) -> Result<ByteEnd, Error> {
        ByteEnd::attach(ticket, &site, "FIFO")
    }
}

/// The reading end first, without waiting for a writer.
fn open_both(path: &std::path::Path) -> Result<(OwnedFd, OwnedFd), Error> {
    let open = |flags| open(path, flags | OFlag::O_CLOEXEC, Mode::empty());
    let read = open(OFlag::O_RDONLY | OFlag::O_NONBLOCK).map_err(Error::lacking("open"))?;
    let write = open(OFlag::O_WRONLY).map_err(Error::lacking("open"))?;
    fcntl(&read, FcntlArg::F_SETFL(OFlag::empty())).map_err(Error::system("fcntl"))?;
    Ok((read, write))
}
