//! Descriptors to fill a stream from and to drain it to.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::op::Behind;

/// A file that is at its beginning, of any kind.
fn file(behind: Behind) -> File {
    match behind {
        Behind::Memfd => memfd_create(c"behind", MFdFlags::MFD_CLOEXEC).unwrap().into(),
        _ => tempfile::tempfile().unwrap(),
    }
}

/// A pipe of which one end does not block.
fn pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    for end in [reader.as_fd(), writer.as_fd()] {
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    }
    (reader, writer)
}

/// Something to read from.
pub struct Source {
    file: OwnedFd,
    /// Keeps an empty pipe from ending.
    _open: Option<PipeWriter>,
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A descriptor that gives these bytes, then its end; or that gives nothing now.
pub fn source(behind: Behind, bytes: &[u8]) -> Source {
    match behind {
        Behind::File | Behind::Memfd => {
            let mut file = file(behind);
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            Source { file: file.into(), _open: None }
        }
        Behind::Pipe => {
            let (reader, mut writer) = pipe();
            writer.write_all(bytes).unwrap();
            Source { file: reader.into(), _open: None }
        }
        Behind::Blocked => {
            let (reader, writer) = pipe();
            Source { file: reader.into(), _open: Some(writer) }
        }
    }
}

/// Something to write to.
pub enum Sink {
    /// A file.
    File(File),
    /// A pipe's two ends.
    Pipe(PipeReader, PipeWriter),
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(file) => file.as_fd(),
            Self::Pipe(_, writer) => writer.as_fd(),
        }
    }
}

impl Sink {
    /// What was written to it.
    pub fn taken(self) -> Vec<u8> {
        let mut taken = Vec::new();
        match self {
            Self::File(mut file) => {
                file.rewind().unwrap();
                file.read_to_end(&mut taken).unwrap();
            }
            Self::Pipe(mut reader, writer) => {
                drop(writer);
                reader.read_to_end(&mut taken).unwrap();
            }
        }
        taken
    }
}

/// A descriptor that takes bytes; or that takes nothing now.
pub fn sink(behind: Behind) -> Sink {
    match behind {
        Behind::File | Behind::Memfd => Sink::File(file(behind)),
        Behind::Pipe => {
            let (reader, writer) = pipe();
            Sink::Pipe(reader, writer)
        }
        Behind::Blocked => {
            let (reader, mut writer) = pipe();
            while writer.write(&[0; 4096]).is_ok() {}
            Sink::Pipe(reader, writer)
        }
    }
}
