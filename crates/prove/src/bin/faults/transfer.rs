//! A file through a stream into another, without a copy in between, by a kernel that does
//! less than it is asked to, or is interrupted.
//!
//! ```text
//!   source ── readv ──▶ stream ── writev ──▶ sink       what is in the sink is what is
//!   "0 1 2 3 .. 159"                                    in the source, as far as it goes
//! ```

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use annulus::stream::{Receiver, Sender};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Whence, lseek64};

use crate::victim::Log;

/// Bytes in the source: more than twice what a stream of this campaign holds.
const BYTES: usize = 160;

/// Of them, at a time.
const AT_A_TIME: usize = 40;

/// How often in a row one who is told to try again does so: more than the tracer says it.
const TRIES: u32 = 1000;

/// Where the bytes come from, and where they go.
pub struct Files {
    source: File,
    sink: File,
}

fn bytes() -> Vec<u8> {
    (0..BYTES).map(|at| at as u8 ^ 0xa5).collect()
}

/// Does it, and again while the kernel says so.
fn again(mut step: impl FnMut() -> Result<usize, Error>) -> Result<usize, Error> {
    let mut tries = TRIES;
    loop {
        match step() {
            Err(error) if tries > 0 && retried(&error) => tries -= 1,
            outcome => return outcome,
        }
    }
}

fn retried(error: &Error) -> bool {
    [ErrorKind::Interrupted, ErrorKind::WouldBlock].contains(&error.kind())
}

impl Files {
    /// A full one and an empty one.
    pub fn new() -> Self {
        let file = |name| memfd_create(name, MFdFlags::MFD_CLOEXEC).map(OwnedFd::into);
        let file = |name| -> File { file(name).expect("a file of the campaign's") };
        let files = Self { source: file("source"), sink: file("sink") };
        files.source.write_all_at(&bytes(), 0).expect("room for it");
        files
    }

    /// As they were at first.
    pub fn begin_anew(&self) {
        self.sink.set_len(0).expect("a file of the campaign's");
        for file in [&self.source, &self.sink] {
            lseek64(file, 0, Whence::SeekSet).expect("a file of the campaign's");
        }
    }

    /// All of the one into the other, through a stream that is empty.
    pub fn through(&self, sender: &mut Sender, receiver: &mut Receiver, log: &mut Log) {
        let (mut filled, mut drained, mut whole) = (0, 0, true);
        while filled < BYTES && whole {
            match again(|| sender.fill_from(&self.source, AT_A_TIME)) {
                Ok(0) => {
                    log.wrong(format_args!("the source ends after {filled} bytes of {BYTES}"));
                    whole = false;
                }
                Ok(count) => filled += count,
                Err(error) => {
                    log.error(format_args!("reading the source: {error}"));
                    whole = false;
                }
            }
            while drained < filled {
                match again(|| receiver.drain_to(&self.sink, BYTES)) {
                    Ok(count @ 1..) => drained += count,
                    Ok(0) => {
                        log.wrong(format_args!("the stream ends after {drained} of {filled}"));
                        break;
                    }
                    Err(error) => {
                        log.error(format_args!("writing the sink: {error}"));
                        break;
                    }
                }
            }
            whole &= drained == filled;
        }
        // What an error kept from going is still there.
        let mut rest = [0; BYTES];
        let rest = match receiver.try_recv(&mut rest) {
            Ok(count) => &rest[..count],
            Err(_) => &rest[..0],
        };
        self.compare(drained, filled, rest, log);
    }

    /// Whether every byte is where it should be.
    fn compare(&self, drained: usize, filled: usize, rest: &[u8], log: &mut Log) {
        let (bytes, mut sunk) = (bytes(), [0; 2 * BYTES]);
        let Ok(count) = again(|| self.sink.read_at(&mut sunk, 0)) else {
            return;
        };
        let sunk = &sunk[..count];
        if filled > BYTES || sunk.len() != drained || Some(sunk) != bytes.get(..drained) {
            log.wrong(format_args!("{drained} bytes were drained, in the sink are {sunk:?}"));
        } else if Some(rest) != bytes.get(drained..filled) {
            log.wrong(format_args!("{filled} were read, {drained} drained, there are {rest:?}"));
        }
    }
}
