//! A TCP connection to the machine itself.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::Error;
use crate::transport::bytes::ByteEnd;
use crate::transport::{Route, Shape, Site, Ticket, Transport};

/// TCP over the loopback interface, `TCP_NODELAY`, with the system's buffers.
pub struct Tcp;

impl Transport for Tcp {
    type Sender<const W: usize> = ByteEnd;
    type Receiver<const W: usize> = ByteEnd;

    fn create<const W: usize>(_: Shape) -> Result<Route, Error> {
        let (one, other) = connect().map_err(Error::lacking("TCP on 127.0.0.1"))?;
        let (send, recv) = (Ticket::inherited(one.into()), Ticket::inherited(other.into()));
        Ok(Route { send, recv, keep: None })
    }

    fn sender<const W: usize>(ticket: Ticket, site: Site) -> Result<ByteEnd, Error> {
        ByteEnd::attach(ticket, &site, "TCP connection")
    }

    fn receiver<const W: usize>(ticket: Ticket, site: Site) -> Result<ByteEnd, Error> {
        ByteEnd::attach(ticket, &site, "TCP connection")
    }
}

fn connect() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    // Some other process may have been quicker.
    let mine = one.local_addr()?;
    let other = loop {
        let (other, from) = listener.accept()?;
        if from == mine {
            break other;
        }
    };
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    Ok((one, other))
}
