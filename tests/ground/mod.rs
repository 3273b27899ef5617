//! A ring on ground where processes meet: named shared memory, a file, a memfd.
//!
//! The test makes the ring and passes the way to it to its children, as argument 0 and
//! for memfds as the first inherited descriptor; [`open`] there takes it up.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use annulus::spsc::Ring;
use annulus::{Error, Field, Observer, Options, Payload, WaitMethod};
use tempfile::TempDir;

use crate::support::{Role, Spawn, TestName, random_name};

/// Long enough for anything that does not hang.
pub const LONG: Duration = Duration::from_secs(20);

/// The kinds of segment that processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `shm:`.
    Shm,
    /// `file:`.
    File,
    /// A memfd.
    Memfd,
}

/// All of them.
pub const KINDS: [Kind; 3] = [Kind::Shm, Kind::File, Kind::Memfd];

/// What a child says for a memfd, which has no address.
const PASSED: &str = "passed";

/// Where one ring is; gone on drop.
pub struct Ground {
    kind: Kind,
    address: String,
    memfd: Option<OwnedFd>,
    _name: Option<TestName>,
    _folder: Option<TempDir>,
}

impl Ground {
    /// Makes a ring.
    pub fn new<M: Payload + ?Sized>(kind: Kind, options: &Options<Ring<M>>) -> (Self, Ring<M>) {
        let (name, folder) = (random_name(), tempfile::tempdir().unwrap());
        let address = match kind {
            Kind::Shm => name.shm(),
            Kind::File => format!("file:{}", folder.path().join("ring").display()),
            Kind::Memfd => PASSED.to_owned(),
        };
        let ring = match kind {
            Kind::Memfd => options.create_memfd("annulus-test").unwrap(),
            _ => options.create_new(&address).unwrap(),
        };
        let fd = ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
        let memfd = (kind == Kind::Memfd).then_some(fd);
        let (name, folder) = (Some(name), (kind == Kind::File).then_some(folder));
        (Self { kind, address, memfd, _name: name, _folder: folder }, ring)
    }

    /// The address of a named one.
    pub fn address(&self) -> &str {
        assert_ne!(self.kind, Kind::Memfd, "memfds have none");
        &self.address
    }

    /// The file, opened anew; `write` too, or for reading alone.
    pub fn file(&self, write: bool) -> File {
        let path = match &self.memfd {
            Some(memfd) => {
                use std::os::fd::AsRawFd;
                format!("/proc/self/fd/{}", memfd.as_raw_fd())
            }
            None => match self.address.split_once(':').unwrap() {
                ("shm", name) => format!("/dev/shm/{name}"),
                (_, path) => path.to_owned(),
            },
        };
        File::options().read(true).write(write).open(path).unwrap()
    }

    /// Lets a child come: the way to the ring is its argument 0.
    pub fn pass<'a>(&self, spawn: Spawn<'a>) -> Spawn<'a> {
        let spawn = spawn.arg(&self.address);
        match &self.memfd {
            Some(memfd) => spawn.inherit(memfd.as_fd()),
            None => spawn,
        }
    }

    /// Opens the ring once more in this process: another mapping.
    pub fn open<M: Payload + ?Sized>(&self, options: &Options<Ring<M>>) -> Ring<M> {
        match &self.memfd {
            Some(memfd) => options.from_fd(memfd.try_clone().unwrap()).unwrap(),
            None => open_named(options, &self.address),
        }
    }

    /// Looks on.
    pub fn observe(&self) -> Observer {
        match &self.memfd {
            Some(memfd) => Observer::from_fd(memfd.try_clone().unwrap()).unwrap(),
            None => Observer::open(&self.address).unwrap(),
        }
    }
}

impl Drop for Ground {
    /// With the semaphores that it may have; a test may have done so already.
    fn drop(&mut self) {
        if self.kind != Kind::Memfd {
            let _ = annulus::unlink(&self.address);
        }
    }
}

/// Opens a ring by name, and asks for semaphores if it has such.
pub fn open_named<M: Payload + ?Sized>(options: &Options<Ring<M>>, address: &str) -> Ring<M> {
    match options.open(address) {
        Err(Error::Mismatch { field: Field::WaitMethod, .. }) => {
            options.clone().wait_method(WaitMethod::Semaphore).open(address).unwrap()
        }
        outcome => outcome.unwrap(),
    }
}

/// In a child: opens the ring that argument 0 leads to.
pub fn open<M: Payload + ?Sized>(role: &mut Role, options: &Options<Ring<M>>) -> Ring<M> {
    if role.argument(0) == PASSED {
        options.from_fd(role.inherited()).unwrap()
    } else {
        open_named(options, role.argument(0))
    }
}

/// Takes a seat as soon as it is free: the kernel needs a moment after a kill.
pub fn take<T>(mut attach: impl FnMut() -> Result<T, Error>) -> T {
    let start = Instant::now();
    loop {
        match attach() {
            Err(Error::SeatTaken { .. }) if start.elapsed() < LONG => {
                std::thread::sleep(Duration::from_micros(50));
            }
            outcome => return outcome.unwrap(),
        }
    }
}

/// Waits until something is so.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}
