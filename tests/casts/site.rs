//! A broadcast on ground of any kind, opened as often as is asked for.

use std::os::fd::OwnedFd;

use annulus::broadcast::{Observer, Ring};
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

/// Where one broadcast is; gone on drop.
pub struct Site<M: Payload + ?Sized> {
    /// As it was made.
    pub ring: Ring<M>,
    options: Options<Ring<M>>,
    address: Option<String>,
    memfd: Option<OwnedFd>,
    _name: Option<TestName>,
    _folder: Option<TempDir>,
}

impl<M: Payload + ?Sized> Site<M> {
    /// Makes it.
    pub fn new(place: Place, options: &Options<Ring<M>>) -> Self {
        let name = (place == Place::Shm).then(random_name);
        let folder = (place == Place::File).then(|| tempfile::tempdir().unwrap());
        let address = match (&name, &folder) {
            (Some(name), _) => Some(name.shm()),
            (_, Some(folder)) => Some(format!("file:{}", folder.path().join("cast").display())),
            _ => None,
        };
        let ring = match (place, &address) {
            (Place::Heap, _) => options.create_heap().unwrap(),
            (_, Some(address)) => options.create_new(address).unwrap(),
            _ => options.create_memfd("annulus-test").unwrap(),
        };
        let memfd = match place {
            Place::Memfd => Some(ring.segment_fd().unwrap().try_clone_to_owned().unwrap()),
            _ => None,
        };
        let options = options.clone();
        Self { ring, options, address, memfd, _name: name, _folder: folder }
    }

    /// Opens it once more: another mapping, except on the heap.
    pub fn open(&self) -> Ring<M> {
        match (&self.address, &self.memfd) {
            (Some(address), _) => self.options.open(address).unwrap(),
            (_, Some(memfd)) => self.options.from_fd(memfd.try_clone().unwrap()).unwrap(),
            _ => self.ring.clone(),
        }
    }

    /// Looks on, where that can be.
    pub fn observe(&self) -> Option<Observer<M>> {
        self.address.as_deref().map(|address| Observer::open(address).unwrap())
    }
}

impl<M: Payload + ?Sized> Drop for Site<M> {
    fn drop(&mut self) {
        if let Some(address) = &self.address {
            let _ = annulus::unlink(address);
        }
    }
}
