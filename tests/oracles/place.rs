//! Where a ring lives: on the heap, or opened twice in shared memory.

use std::time::Duration;

use annulus::spsc::Ring;
use annulus::{Observer, Options, Payload, RingKind, WaitMethod};
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
pub struct Site<T: Payload + ?Sized> {
    /// For the sender.
    pub one: Ring<T>,
    /// For the receiver: another mapping of the same segment, except on the heap.
    pub other: Ring<T>,
    /// Looks on, where there is something to look at.
    pub observer: Option<Observer>,
    _unlinked: Option<Unlinked>,
    _name: Option<TestName>,
    _folder: Option<TempDir>,
}

/// Removes a name on drop, and the semaphores that go with it.
struct Unlinked(String);

impl Drop for Unlinked {
    fn drop(&mut self) {
        let _ = annulus::unlink(&self.0);
    }
}

/// How participants of a drawn ring wait.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    method: WaitMethod,
    fenced: bool,
    /// Without polling first.
    at_once: bool,
}

/// Any way to wait that a ring there can have.
pub fn any_waiting(place: Place) -> impl Strategy<Value = Waiting> {
    let named = matches!(place, Place::Shm | Place::File) && cfg!(target_env = "gnu");
    let other = if named { WaitMethod::Semaphore } else { WaitMethod::Spin };
    let methods = [WaitMethod::Futex, WaitMethod::Futex, WaitMethod::Spin, other];
    let method = prop::sample::select(methods.to_vec());
    (method, any::<bool>(), any::<bool>()).prop_map(|(method, fenced, at_once)| Waiting {
        method,
        fenced,
        at_once,
    })
}

impl Waiting {
    /// The options for it.
    pub fn ask<R: RingKind>(self, options: Options<R>) -> Options<R> {
        let options = options.wait_method(self.method).fenced(self.fenced);
        if self.at_once { options.spin(Duration::ZERO).yielding(Duration::ZERO) } else { options }
    }
}

impl<T: Payload + ?Sized> Site<T> {
    /// Makes the ring.
    pub fn new(place: Place, options: &Options<Ring<T>>) -> Self {
        match place {
            Place::Heap => {
                let one = Ring::from(options.create_heap().unwrap());
                let other = one.clone();
                Self { one, other, observer: None, _unlinked: None, _name: None, _folder: None }
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
                Self { one, other, observer, _unlinked: None, _name: None, _folder: None }
            }
        }
    }

    fn named(address: &str, options: &Options<Ring<T>>) -> Self {
        let one = options.create_new(address).unwrap();
        let other = options.open(address).unwrap();
        let observer = Some(Observer::open(address).unwrap());
        let _unlinked = Some(Unlinked(address.to_owned()));
        Self { one, other, observer, _unlinked, _name: None, _folder: None }
    }
}
