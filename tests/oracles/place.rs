//! Where a ring lives: on the heap, or opened twice in shared memory.

use annulus::spsc::Ring;
use annulus::{Message, Observer, Options};
use proptest::prelude::*;
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

/// Any of them.
pub fn any_place() -> impl Strategy<Value = Place> {
    prop::sample::select(PLACES.as_slice())
}

/// A ring, opened once for each endpoint where it can be; gone on drop.
pub struct Site<T> {
    /// For the sender.
    pub one: Ring<T>,
    /// For the receiver: another mapping of the same segment, except on the heap.
    pub other: Ring<T>,
    /// Looks on, where there is something to look at.
    pub observer: Option<Observer>,
    _name: Option<TestName>,
    _folder: Option<TempDir>,
}

impl<T: Message> Site<T> {
    /// Makes the ring.
    pub fn new(place: Place, options: &Options<Ring<T>>) -> Self {
        match place {
            Place::Heap => {
                let one = Ring::from(options.create_heap().unwrap());
                let other = one.clone();
                Self { one, other, observer: None, _name: None, _folder: None }
            }
            Place::Shm => {
                let name = random_name();
                let site = Self::named(&name.shm(), options);
                Self { _name: Some(name), ..site }
            }
            Place::File => {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("ring");
                let site = Self::named(&format!("file:{}", path.display()), options);
                Self { _folder: Some(folder), ..site }
            }
            Place::Memfd => {
                let one = options.create_memfd("oracle").unwrap();
                let fd = || one.segment_fd().unwrap().try_clone_to_owned().unwrap();
                let other = options.from_fd(fd()).unwrap();
                let observer = Some(Observer::from_fd(fd()).unwrap());
                Self { one, other, observer, _name: None, _folder: None }
            }
        }
    }

    fn named(address: &str, options: &Options<Ring<T>>) -> Self {
        let one = options.create_new(address).unwrap();
        let other = options.open(address).unwrap();
        let observer = Some(Observer::open(address).unwrap());
        Self { one, other, observer, _name: None, _folder: None }
    }
}
