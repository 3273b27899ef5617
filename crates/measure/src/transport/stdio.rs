//! The standard input and output of a child.
//!
//! The peer is such a child, but lanes are made before it starts. So it puts the pipe's
//! end in the place of its standard input or output, and moves messages through the
//! standard library's buffered handles, as a filter would: write and flush, read. This
//! process has the other ends as they are, like `ChildStdin` and `ChildStdout`.
//!
//! A process has one standard input and one output: one such lane a pair.

use std::io::{self, ErrorKind, Read, StdinLock, StdoutLock, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::OFlag;
use nix::unistd::{dup2_stdin, dup2_stdout, pipe2};

use crate::Error;
use crate::control::Side;
use crate::spin::Spin;
use crate::transport::bytes::{ByteEnd, Reads, Writes};
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket};

/// A pipe at the peer's standard input or output.
pub struct Stdio;

const NAME: &str = "standard input and output";

impl Mechanism for Stdio {
    fn create(_: usize, _: Shape) -> Result<Route, Error> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(Error::lacking("pipe"))?;
        Ok(Route { send: Ticket::inherited(write), recv: Ticket::inherited(read), keep: None })
    }

    fn sender(ticket: Ticket, site: &Site, _: usize) -> Result<Box<dyn Sends>, Error> {
        let end = ByteEnd::attach(ticket, site, NAME)?;
        if site.control.side() == Side::Lead {
            return Ok(Box::new(Plain(end)));
        }
        static TAKEN: AtomicBool = AtomicBool::new(false);
        once(&TAKEN)?;
        let mut out = io::stdout().lock();
        out.flush().map_err(Error::io("flush"))?;
        dup2_stdout(OwnedFd::from(end)).map_err(Error::system("dup2"))?;
        Ok(Box::new(Out { out, spin: site.spin() }))
    }

    fn receiver(ticket: Ticket, site: &Site, _: usize) -> Result<Box<dyn Receives>, Error> {
        let end = ByteEnd::attach(ticket, site, NAME)?;
        if site.control.side() == Side::Lead {
            return Ok(Box::new(Plain(end)));
        }
        static TAKEN: AtomicBool = AtomicBool::new(false);
        once(&TAKEN)?;
        dup2_stdin(OwnedFd::from(end)).map_err(Error::system("dup2"))?;
        Ok(Box::new(In { input: io::stdin().lock(), spin: site.spin() }))
    }
}

fn once(taken: &AtomicBool) -> Result<(), Error> {
    let reason = "a child has one standard input and one output: one such lane a pair";
    if taken.swap(true, Ordering::Relaxed) {
        return Err(Error::Unavailable(reason.into()));
    }
    Ok(())
}

/// This process's end.
struct Plain(ByteEnd);

impl Sends for Plain {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.0.write_all(message)
    }

    fn send_all(&mut self, messages: &[u8], _: usize) -> Result<(), Error> {
        self.0.write_all(messages)
    }
}

impl Receives for Plain {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        let len = message.len();
        self.0.read_some(message, len).map(drop)
    }
}

/// The child's output.
struct Out {
    out: StdoutLock<'static>,
    spin: Spin,
}

impl Sends for Out {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.send_all(message, message.len())
    }

    fn send_all(&mut self, mut messages: &[u8], _: usize) -> Result<(), Error> {
        while !messages.is_empty() {
            let written = again(&mut self.spin, || self.out.write(messages))?;
            messages = &messages[written..];
        }
        again(&mut self.spin, || self.out.flush())
    }
}

/// The child's input.
struct In {
    input: StdinLock<'static>,
    spin: Spin,
}

impl Receives for In {
    fn recv(&mut self, mut message: &mut [u8]) -> Result<(), Error> {
        while !message.is_empty() {
            match again(&mut self.spin, || self.input.read(message))? {
                0 => return Err(Error::Disconnected { transport: NAME }),
                read => message = &mut message[read..],
            }
        }
        Ok(())
    }
}

/// Repeats what would block, or was interrupted.
fn again<T>(spin: &mut Spin, mut call: impl FnMut() -> io::Result<T>) -> Result<T, Error> {
    spin.begin();
    loop {
        match call() {
            Ok(value) => return Ok(value),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => spin.empty()?,
                ErrorKind::Interrupted => spin.interrupted()?,
                ErrorKind::BrokenPipe => return Err(Error::Disconnected { transport: NAME }),
                _ => return Err(Error::io(NAME)(error)),
            },
        }
    }
}
