//! A stream on ground of any kind: opened twice here, and by children that are led to it.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use annulus::stream::Ring;
use annulus::{Error, Field, Observer, Options, WaitMethod};
use tempfile::TempDir;

use crate::support::{Role, Spawn, TestName, random_name};

/// Long enough for anything that does not hang.
pub const LONG: Duration = Duration::from_secs(20);

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

/// Those that processes share.
pub const SHARED: [Place; 3] = [Place::Shm, Place::File, Place::Memfd];

/// What a child is told for a memfd, which has no address.
const PASSED: &str = "passed";

/// A stream; gone on drop.
pub struct Site {
    /// For the sender.
    pub one: Ring,
    /// For the receiver: another mapping of the same segment, except on the heap.
    pub other: Ring,
    address: String,
    memfd: Option<OwnedFd>,
    _name: Option<TestName>,
    _folder: Option<TempDir>,
}

impl Site {
    /// Makes the stream.
    pub fn new(place: Place, options: &Options<Ring>) -> Self {
        let (name, folder) = match place {
            Place::Shm => (Some(random_name()), None),
            Place::File => (None, Some(tempfile::tempdir().unwrap())),
            Place::Heap | Place::Memfd => (None, None),
        };
        let address = match (&name, &folder) {
            (Some(name), _) => name.shm(),
            (_, Some(folder)) => format!("file:{}", folder.path().join("stream").display()),
            _ => PASSED.to_owned(),
        };
        let one = match place {
            Place::Heap => Ring::from(options.create_heap().unwrap()),
            Place::Memfd => options.create_memfd("annulus-test").unwrap(),
            Place::Shm | Place::File => options.create_new(&address).unwrap(),
        };
        let fd = || one.segment_fd().unwrap().try_clone_to_owned().unwrap();
        let (other, memfd) = match place {
            Place::Heap => (one.clone(), None),
            Place::Memfd => (options.from_fd(fd()).unwrap(), Some(fd())),
            Place::Shm | Place::File => (options.open(&address).unwrap(), None),
        };
        Self { one, other, address, memfd, _name: name, _folder: folder }
    }

    /// Lets a child come: the way to the stream is its argument 0.
    pub fn pass<'a>(&self, spawn: Spawn<'a>) -> Spawn<'a> {
        let spawn = spawn.arg(&self.address);
        match &self.memfd {
            Some(memfd) => spawn.inherit(memfd.as_fd()),
            None => spawn,
        }
    }

    /// Looks on.
    pub fn observe(&self) -> Observer {
        match &self.memfd {
            Some(memfd) => Observer::from_fd(memfd.try_clone().unwrap()).unwrap(),
            None => Observer::open(&self.address).unwrap(),
        }
    }

    /// The file, opened anew for writing.
    pub fn file(&self) -> File {
        let path = match (&self.memfd, self.address.split_once(':')) {
            (Some(memfd), _) => format!("/proc/self/fd/{}", memfd.as_raw_fd()),
            (None, Some(("shm", name))) => format!("/dev/shm/{name}"),
            (None, path) => path.unwrap().1.to_owned(),
        };
        File::options().read(true).write(true).open(path).unwrap()
    }
}

impl Drop for Site {
    /// With the semaphores that it may have.
    fn drop(&mut self) {
        if self.address != PASSED {
            let _ = annulus::unlink(&self.address);
        }
    }
}

/// In a child: opens the stream that argument 0 leads to.
pub fn open(role: &mut Role, options: &Options<Ring>) -> Ring {
    if role.argument(0) == PASSED {
        return options.from_fd(role.inherited()).unwrap();
    }
    match options.open(role.argument(0)) {
        Err(Error::Mismatch { field: Field::WaitMethod, .. }) => {
            let options = options.clone().wait_method(WaitMethod::Semaphore);
            options.open(role.argument(0)).unwrap()
        }
        outcome => outcome.unwrap(),
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

/// Waits until a thread sleeps in a futex with a time to wake; `tasks` is its folder in
/// /proc, or that of all threads of a process.
pub fn until_asleep(tasks: &str) {
    let sleeps = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let words: Vec<_> = text.split_whitespace().collect();
        // Number, address, operation, value, time: the harness's own threads have none.
        words.first() == Some(&&*libc::SYS_futex.to_string())
            && words.get(4).is_some_and(|at| *at != "0x0")
    };
    until("asleep", || {
        if tasks.ends_with("task") {
            let tasks = std::fs::read_dir(tasks).unwrap().filter_map(Result::ok);
            return tasks
                .into_iter()
                .any(|task| sleeps(&format!("{}/syscall", task.path().display())));
        }
        sleeps(&format!("{tasks}/syscall"))
    });
}
