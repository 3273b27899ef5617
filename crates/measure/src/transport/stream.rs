//! annulus's byte stream, through the standard library's reader and writer.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;

use annulus::Options;
use annulus::stream::{Receiver, Ring, Sender};

use crate::Error;
use crate::transport::Shape;
use crate::transport::bytes::{Reads, Writes};
use crate::transport::place::Family;

/// The stream. It holds as many bytes as the lane's messages have.
pub struct Stream;

impl Family for Stream {
    type Ring<const W: usize> = Ring;
    type Sender<const W: usize> = Sender;
    type Receiver<const W: usize> = Receiver;

    const NAME: &'static str = "stream";

    fn options<const W: usize>(shape: Shape) -> Options<Ring> {
        Ring::options().capacity((shape.capacity * 8 * W).next_power_of_two() as u64)
    }

    fn segment_fd<const W: usize>(ring: &Ring) -> Option<BorrowedFd<'_>> {
        ring.segment_fd()
    }

    fn sender<const W: usize>(ring: &Ring) -> Result<Sender, annulus::Error> {
        ring.sender()
    }

    fn receiver<const W: usize>(ring: &Ring) -> Result<Receiver, annulus::Error> {
        ring.receiver()
    }
}

impl Writes for Sender {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        Write::write(self, bytes).map_err(failed)
    }
}

impl Reads for Receiver {
    #[inline(always)]
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        match Read::read(self, bytes) {
            Ok(0) => Err(Error::Disconnected { transport: Stream::NAME }),
            outcome => outcome.map_err(failed),
        }
    }
}

#[cold]
fn failed(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
            Error::Disconnected { transport: Stream::NAME }
        }
        _ => Error::Transport { transport: Stream::NAME, reason: error.to_string() },
    }
}
