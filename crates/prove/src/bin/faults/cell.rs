//! One cell: a kind of ring, what it lies in, how its endpoints sleep.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use annulus::{Error, WaitMethod};
use annulus_prove::rings::{Kind, Ring, Shape};

/// What a ring lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    Shm,
    File,
    Memfd,
}

/// A cell of the campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub kind: Kind,
    pub backing: Backing,
    pub semaphores: bool,
    pub fenced: bool,
    /// No file system here has nameless files: every `O_TMPFILE` is refused.
    pub renamed: bool,
}

/// The longest sleep in this campaign.
pub const SLICE: Duration = Duration::from_millis(4);

/// How long the others let a victim wait now and then: it looks around for the dead meanwhile.
pub const PAUSE: Duration = Duration::from_millis(10);

/// Longer than any wait that is not a hang.
pub const LONG: Duration = Duration::from_secs(2);

/// Numbers that a ring holds.
pub const CAPACITY: u64 = 8;

impl Cell {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for (at, kind) in Kind::ALL.iter().copied().enumerate() {
            for (nth, backing) in
                [Backing::Shm, Backing::File, Backing::Memfd].into_iter().enumerate()
            {
                // Both barrier forms with each kind, and with each backing.
                let fenced = (at + nth) % 2 == 1;
                cells.push(Self { kind, backing, semaphores: false, fenced, renamed: false });
            }
        }
        for kind in [Kind::Spsc, Kind::Stream] {
            for backing in [Backing::Shm, Backing::File] {
                let fenced = backing == Backing::File;
                cells.push(Self { kind, backing, semaphores: true, fenced, renamed: false });
            }
        }
        for (semaphores, fenced) in [(false, false), (true, true)] {
            let backing = Backing::File;
            cells.push(Self { kind: Kind::Spsc, backing, semaphores, fenced, renamed: true });
        }
        cells
    }

    /// The cell of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|cell| cell.to_string() == name)
    }

    /// What its rings are like.
    pub fn shape(&self) -> Shape {
        Shape {
            kind: self.kind,
            method: if self.semaphores { WaitMethod::Semaphore } else { WaitMethod::Futex },
            fenced: self.fenced,
            capacity: CAPACITY,
            slice: SLICE,
            polls: Duration::ZERO,
        }
    }

    /// Where its ring called `name` stands; `None`: it has no name.
    pub fn address(&self, home: &Home, name: &str) -> Option<String> {
        match self.backing {
            Backing::Shm => Some(format!("shm:{}-{name}", home.token)),
            Backing::File => Some(format!("file:{}/{name}", home.directory())),
            Backing::Memfd => None,
        }
    }

    /// Makes a ring.
    pub fn create(&self, home: &Home, name: &str) -> Result<Ring, Error> {
        match self.address(home, name) {
            Some(address) => self.shape().create(&address),
            None => self.shape().create_memfd(),
        }
    }

    /// Makes a ring, unless somebody has made it.
    pub fn create_unless_there(&self, home: &Home, name: &str) -> Result<Ring, Error> {
        match self.address(home, name) {
            Some(address) => self.shape().open_or_create(&address),
            None => self.shape().create_memfd(),
        }
    }

    /// Opens a ring that another process made: by its name, or by a descriptor of the
    /// other's, as a new description.
    pub fn open(&self, home: &Home, name: &str, there: &Passed) -> Result<Ring, Error> {
        match (self.address(home, name), &there.0) {
            (Some(address), _) => self.shape().open(&address),
            (None, Some(memfd)) => {
                let copy = memfd.try_clone();
                let copy = copy.map_err(|source| Error::Os { call: "copying", source })?;
                self.shape().from_fd(copy)
            }
            (None, None) => unreachable!("a memfd is passed"),
        }
    }
}

/// A memfd of another process, if that is what the ring lies in.
pub struct Passed(Option<OwnedFd>);

impl Passed {
    /// Opens it through `/proc`.
    pub fn receive(from: &str) -> Self {
        let open = || File::options().read(true).write(true).open(from);
        Self((from != "-").then(|| open().expect("a descriptor of the campaign's").into()))
    }

    /// What to hand to the other process.
    pub fn send(cell: &Cell, ring: &Ring) -> String {
        match cell.backing {
            Backing::Memfd => {
                format!("/proc/{}/fd/{}", std::process::id(), ring.fd().as_raw_fd())
            }
            _ => "-".to_owned(),
        }
    }
}

/// Names that no other run has.
#[derive(Clone, Debug)]
pub struct Home {
    pub token: String,
}

impl Home {
    /// A directory for files, made on demand.
    pub fn directory(&self) -> String {
        std::env::temp_dir().join(&self.token).display().to_string()
    }

    /// What stands in /dev/shm under the token, and in the directory.
    pub fn leftovers(&self) -> Vec<String> {
        let named = |directory: &Path, token: &str| -> Vec<String> {
            let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            names.filter(|name| name.contains(token)).collect()
        };
        let mut names = named(Path::new("/dev/shm"), &self.token);
        names.extend(named(Path::new(&self.directory()), ""));
        names
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.directory());
        for name in self.leftovers() {
            let _ = std::fs::remove_file(Path::new("/dev/shm").join(name));
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backing = match self.backing {
            Backing::Shm => "shm",
            Backing::File if self.renamed => "renamed-file",
            Backing::File => "file",
            Backing::Memfd => "memfd",
        };
        let method = if self.semaphores { "semaphore" } else { "futex" };
        let barrier = if self.fenced { "fenced" } else { "asymmetric" };
        write!(f, "{}/{backing}/{method}/{barrier}", self.kind.name())
    }
}
