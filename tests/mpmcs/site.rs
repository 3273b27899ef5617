//! Where a ring lives: on the heap, or in memory that processes share.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use annulus::mpmc::Ring;
use annulus::{Options, Payload};
use tempfile::TempDir;

use crate::support::{TestName, random_name};

/// The kinds of segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Private memory.
    Heap,
    /// `shm:`.
    Shm,
    /// `file:`.
    File,
    /// A memfd.
    Memfd,
}

/// All of them.
pub const PLACES: [Place; 4] = [Place::Heap, Place::Shm, Place::File, Place::Memfd];

/// A ring, opened twice where it can be; gone on drop.
pub struct Site<M: Payload + ?Sized> {
    /// As it was made.
    pub one: Ring<M>,
    /// Another mapping of the same segment, except on the heap.
    pub other: Ring<M>,
    /// The segment, to be looked at; none on the heap.
    pub file: Option<File>,
    address: Option<String>,
    _name: Option<TestName>,
    _folder: Option<TempDir>,
}

/// How a seat stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatWords {
    /// 0 vacant, 1 live, 2 recovering, 3 closed, 4 died.
    pub state: u64,
    /// 0: none.
    pub claim: u64,
}

impl<M: Payload + ?Sized> Site<M> {
    /// Makes the ring.
    pub fn new(place: Place, options: &Options<Ring<M>>) -> Self {
        if place == Place::Heap {
            let one = Ring::from(options.create_heap().unwrap());
            let other = one.clone();
            return Self { one, other, file: None, address: None, _name: None, _folder: None };
        }
        let (name, folder) = (random_name(), tempfile::tempdir().unwrap());
        let address = match place {
            Place::Shm => Some(name.shm()),
            Place::File => Some(format!("file:{}", folder.path().join("ring").display())),
            _ => None,
        };
        let one = match &address {
            Some(address) => options.create_new(address).unwrap(),
            None => options.create_memfd("annulus-test").unwrap(),
        };
        let fd = one.segment_fd().unwrap().try_clone_to_owned().unwrap();
        let other = match &address {
            Some(address) => options.open(address).unwrap(),
            None => options.from_fd(fd.try_clone().unwrap()).unwrap(),
        };
        // Opened anew: a lock of its own, if any.
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let file = Some(File::options().read(true).write(true).open(path).unwrap());
        Self { one, other, file, address, _name: Some(name), _folder: Some(folder) }
    }

    /// Opens the ring once more: another mapping.
    pub fn open(&self, options: &Options<Ring<M>>) -> Ring<M> {
        match (&self.address, &self.file) {
            (Some(address), _) => options.open(address).unwrap(),
            (None, Some(_)) => options.from_fd(self.memfd()).unwrap(),
            (None, None) => self.one.clone(),
        }
    }

    /// The memfd, to be passed on.
    pub fn memfd(&self) -> OwnedFd {
        self.one.segment_fd().unwrap().try_clone_to_owned().unwrap()
    }

    /// The word at an offset of the segment.
    pub fn word(&self, at: u64) -> u64 {
        word_in(self.file.as_ref().expect("not on the heap"), at)
    }

    /// How a seat stands; senders' come first.
    pub fn seat(&self, seat: u64) -> SeatWords {
        seat_in(self.file.as_ref().expect("not on the heap"), seat)
    }
}

fn word_in(file: &File, at: u64) -> u64 {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at).unwrap();
    u64::from_le_bytes(bytes)
}

/// How a seat stands in a segment.
pub fn seat_in(file: &File, seat: u64) -> SeatWords {
    // A seat's line: the state, the pid, the claim; see docs/format.md.
    let line = 128 * (1 + seat);
    SeatWords { state: word_in(file, line) & 0xff, claim: word_in(file, line + CLAIM) }
}

/// Where in a seat's line its claim is.
const CLAIM: u64 = 16;

impl<M: Payload + ?Sized> Drop for Site<M> {
    fn drop(&mut self) {
        if let Some(address) = &self.address {
            let _ = annulus::unlink(address);
        }
    }
}
