//! A ring of any kind, wherever it is; and what its memory looks like from outside.
//!
//! Imports: ends, verbs, the rings.
#![allow(unsafe_code)]

use core::num::NonZeroUsize;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use annulus::{Error, Options, RingKind, broadcast, mpmc, spsc, stream};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::ends::{Long, Message, RECORD, Rx, Tx};
use crate::verbs::{CAPACITY, Kind, Place};

/// An opened ring.
pub enum Ring {
    Spsc(spsc::Ring<Message>),
    Long(spsc::Ring<Long>),
    Mpmc(mpmc::Ring<Message>),
    Stream(stream::Ring),
    Cast(broadcast::Ring<Message>),
}

/// How one comes by it.
enum Way<'a> {
    Create(&'a str),
    CreateMemfd,
    Open(&'a str),
    OpenOrCreate(&'a str),
    FromFd(BorrowedFd<'a>),
}

/// Seats of either side of an mpmc ring, or half of a broadcast's.
const SEATS: u64 = 3;

fn ring<R: RingKind>(
    options: Options<R>,
    capacity: u64,
    slice: Duration,
    way: &Way<'_>,
) -> Result<R, Error> {
    // No spinning, so that an operation has so many instructions and no more.
    let options = options.spin(Duration::ZERO).yielding(Duration::ZERO).slice(slice);
    match way {
        Way::Create(address) => options.capacity(capacity).create_new(address),
        Way::CreateMemfd => options.capacity(capacity).create_memfd("annulus-prove"),
        Way::Open(address) => options.open(address),
        Way::OpenOrCreate(address) => options.capacity(capacity).open_or_create(address),
        Way::FromFd(fd) => {
            let fd = fd.try_clone_to_owned();
            options.from_fd(fd.map_err(|source| Error::Os { call: "dup", source })?)
        }
    }
}

fn any(kind: Kind, seats: u64, slice: Duration, way: &Way<'_>) -> Result<Ring, Error> {
    Ok(match kind {
        Kind::Spsc => Ring::Spsc(ring(spsc::Ring::options(), CAPACITY, slice, way)?),
        Kind::Long => Ring::Long(ring(spsc::Ring::options(), CAPACITY, slice, way)?),
        Kind::Mpmc => Ring::Mpmc(ring(mpmc::Ring::options().seats(seats), CAPACITY, slice, way)?),
        Kind::Stream => {
            Ring::Stream(ring(stream::Ring::options(), CAPACITY * RECORD as u64, slice, way)?)
        }
        Kind::Broadcast | Kind::Lossless => {
            let options = broadcast::Ring::options().seats(2 * SEATS);
            let options = options.lossless(kind == Kind::Lossless);
            Ring::Cast(ring(options, CAPACITY, slice, way)?)
        }
    })
}

impl Ring {
    /// A sender.
    pub fn sender(&self) -> Result<Box<dyn Tx>, Error> {
        Ok(match self {
            Self::Spsc(ring) => Box::new(ring.sender()?),
            Self::Long(ring) => Box::new(ring.sender()?),
            Self::Mpmc(ring) => Box::new(ring.sender()?),
            Self::Stream(ring) => Box::new(ring.sender()?),
            Self::Cast(ring) => Box::new(ring.sender()?),
        })
    }

    /// A receiver.
    pub fn receiver(&self) -> Result<Box<dyn Rx>, Error> {
        Ok(match self {
            Self::Spsc(ring) => Box::new(ring.receiver()?),
            Self::Long(ring) => Box::new(ring.receiver()?),
            Self::Mpmc(ring) => Box::new(ring.receiver()?),
            Self::Stream(ring) => Box::new(ring.receiver()?),
            Self::Cast(ring) => Box::new(ring.receiver()?),
        })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        let fd = match self {
            Self::Spsc(ring) => ring.segment_fd(),
            Self::Long(ring) => ring.segment_fd(),
            Self::Mpmc(ring) => ring.segment_fd(),
            Self::Stream(ring) => ring.segment_fd(),
            Self::Cast(ring) => ring.segment_fd(),
        };
        fd.expect("a ring that is not on the heap")
    }
}

/// A new ring in its place; removed with it.
pub struct Site {
    kind: Kind,
    seats: u64,
    address: Option<String>,
    /// The survivors' handle: they look for the dead after a millisecond.
    pub ring: Ring,
}

/// The longest sleep of those who survive.
pub const SLICE: Duration = Duration::from_millis(1);
/// The longest sleep of those who are led: nobody else than a notifier ends it.
pub const LONG: Duration = Duration::from_secs(60);

impl Site {
    /// A new ring; `tag` is unique. `tight`: of seats there is one for the survivors, and one.
    pub fn new(kind: Kind, place: Place, tight: bool, tag: &str) -> Result<Self, Error> {
        let address = address(place, tag);
        let way = address.as_deref().map_or(Way::CreateMemfd, Way::Create);
        let seats = if tight { 2 } else { SEATS };
        let ring = any(kind, seats, SLICE, &way)?;
        Ok(Self { kind, seats, address, ring })
    }

    /// The ring that is there, or a new one.
    pub fn open_or_create(kind: Kind, address: &str) -> Result<Self, Error> {
        let ring = any(kind, SEATS, SLICE, &Way::OpenOrCreate(address))?;
        Ok(Self { kind, seats: SEATS, address: Some(address.into()), ring })
    }

    /// Opens a ring under an address as another process does.
    pub fn open_at(kind: Kind, address: &str) -> Result<Ring, Error> {
        any(kind, SEATS, SLICE, &Way::Open(address))
    }

    /// Leaves the name to somebody else.
    pub fn forget_name(&mut self) {
        self.address = None;
    }

    /// Opens it as another process does.
    pub fn open(&self, slice: Duration) -> Result<Ring, Error> {
        let way = match &self.address {
            Some(address) => Way::Open(address),
            None => Way::FromFd(self.ring.fd()),
        };
        any(self.kind, self.seats, slice, &way)
    }

    /// Whether it is a stream, which ends with its sender.
    pub fn kind_is_stream(&self) -> bool {
        self.kind == Kind::Stream
    }

    /// A view of its memory.
    pub fn image(&self) -> Image {
        Image::new(self.ring.fd())
    }
}

/// The address of a place; a memfd has none.
pub fn address(place: Place, tag: &str) -> Option<String> {
    match place {
        Place::Memfd => None,
        Place::Named => Some(format!("shm:{tag}")),
        Place::File => Some(format!("file:{}", std::env::temp_dir().join(tag).display())),
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(address) = &self.address {
            let _ = annulus::unlink(address);
        }
    }
}

/// A mapping of a segment, only to be looked at.
pub struct Image {
    at: NonNull<AtomicU64>,
    words: usize,
}

impl Image {
    fn new(fd: BorrowedFd<'_>) -> Self {
        let file = fd.try_clone_to_owned().map(std::fs::File::from).expect("a descriptor");
        let len = file.metadata().expect("a length").len() as usize;
        let bytes = NonZeroUsize::new(len).expect("a segment has bytes");
        // SAFETY: I4: a mapping of its own, which it unmaps itself.
        let at = unsafe {
            mmap(None, bytes, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, file.as_fd(), 0)
        };
        Self { at: at.expect("a mapping").cast(), words: len / 8 }
    }

    /// A number for all its bytes.
    pub fn hash(&self) -> u64 {
        // SAFETY: I4, I5: atomics within the mapping, which lives as long as `self`.
        let words = unsafe { core::slice::from_raw_parts(self.at.as_ptr(), self.words) };
        words.iter().fold(0, |hash: u64, word| {
            (hash ^ word.load(Ordering::Relaxed))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29)
        })
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: I4: mapped with this length by `new`.
        let _ = unsafe { munmap(self.at.cast(), self.words * 8) };
    }
}
