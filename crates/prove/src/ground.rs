//! Where a campaign's ring lives: under a name in /dev/shm, in a file, in a memfd.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use annulus::{Error, Options, Payload, RingKind, broadcast, mpmc, spsc, stream};

/// What names of this crate begin with.
pub const PREFIX: &str = "annulus-prove-";

/// The kinds of segment that processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `shm:`.
    Named,
    /// `file:`.
    File,
    /// A memfd.
    Memfd,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Named, Self::File, Self::Memfd];
}

/// A ring whose segment has a descriptor.
pub trait Descriptor: RingKind {
    /// The segment's.
    fn descriptor(&self) -> BorrowedFd<'_>;
}

macro_rules! descriptors {
    ($($of:ty: $($payload:ident)?),*) => {$(
        impl$(<$payload: Payload + ?Sized>)? Descriptor for $of {
            fn descriptor(&self) -> BorrowedFd<'_> {
                self.segment_fd().expect("it is not on the heap")
            }
        }
    )*};
}

descriptors!(spsc::Ring<M>: M, mpmc::Ring<M>: M, broadcast::Ring<M>: M, stream::Ring:);

/// A ring and the way to it; gone on drop.
#[derive(Debug)]
pub struct Site<R: Descriptor> {
    /// As it was made.
    pub ring: R,
    options: Options<R>,
    address: Option<String>,
    file: File,
}

impl<R: Descriptor> Site<R> {
    /// Makes it, under a random name where it has one.
    ///
    /// # Errors
    /// As `create_new`.
    ///
    /// # Panics
    /// If its descriptor can't be opened anew.
    pub fn new(place: Place, options: &Options<R>, random: u64) -> Result<Self, Error> {
        let name = format!("{PREFIX}{}-{random:016x}", std::process::id());
        let address = match place {
            Place::Named => Some(format!("shm:{name}")),
            Place::File => Some(format!("file:{}", folder().join(name).display())),
            Place::Memfd => None,
        };
        let ring = match &address {
            Some(address) => options.create_new(address)?,
            None => options.create_memfd("annulus-prove")?,
        };
        // Opened anew: no lock of the ring's is on it.
        let path = format!("/proc/self/fd/{}", ring.descriptor().as_raw_fd());
        let file = File::open(path).expect("its own descriptor");
        Ok(Self { ring, options: options.clone(), address, file })
    }

    /// Opens the ring once more, as another process does.
    ///
    /// # Errors
    /// As `open`.
    ///
    /// # Panics
    /// If there is no descriptor left.
    pub fn open(&self) -> Result<R, Error> {
        match &self.address {
            Some(address) => self.options.open(address),
            None => {
                let memfd: OwnedFd =
                    self.ring.descriptor().try_clone_to_owned().expect("a descriptor");
                self.options.from_fd(memfd)
            }
        }
    }

    /// The state of a seat: 0 vacant, 1 live, 2 recovering, 3 closed, 4 died; and its claim,
    /// 0 for none. See docs/format.md.
    pub fn seat(&self, seat: u64) -> (u64, u64) {
        let line = 128 * (1 + seat);
        (self.word(line) & 0xff, self.word(line + 16))
    }

    fn word(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at).expect("the segment is whole");
        u64::from_le_bytes(bytes)
    }
}

impl<R: Descriptor> Drop for Site<R> {
    fn drop(&mut self) {
        if let Some(address) = &self.address {
            let _ = annulus::unlink(address);
        }
    }
}

/// A folder for `file:` segments.
pub fn folder() -> PathBuf {
    std::env::temp_dir()
}

/// Everything that this process holds: descriptors, shared mappings, and names that it gave.
pub fn held() -> Vec<String> {
    let mut held = Vec::new();
    let own = format!("/proc/{}/fd", std::process::id());
    for entry in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        if !target.starts_with(&own) {
            held.push(format!("descriptor of {}", target.display()));
        }
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (range, access, path) =
            (fields.next().unwrap_or(""), fields.next().unwrap_or(""), fields.nth(3));
        let ends = range.split_once('-').map(|(from, to)| [from, to]);
        let [from, to] = ends.unwrap_or(["0"; 2]).map(|end| u64::from_str_radix(end, 16));
        if access.ends_with('s')
            && let (Ok(from), Ok(to)) = (from, to)
        {
            held.push(format!("mapping of {} bytes of {}", to - from, path.unwrap_or("nothing")));
        }
    }
    let part = format!("{PREFIX}{}-", std::process::id());
    for place in [PathBuf::from("/dev/shm"), folder()] {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(&part) {
                held.push(format!("file {name}"));
            }
        }
    }
    held.sort();
    held
}

/// What is held now that was not held then.
pub fn more(now: &[String], then: &[String]) -> Vec<String> {
    let mut rest = then.to_vec();
    let mut more = now.to_vec();
    more.retain(|thing| match rest.iter().position(|other| other == thing) {
        Some(at) => {
            rest.swap_remove(at);
            false
        }
        None => true,
    });
    more
}

/// Gives this process mounts of its own, by a user namespace if need be.
///
/// # Errors
/// What the kernel refuses.
pub fn own_mounts() -> std::io::Result<()> {
    use nix::sched::{CloneFlags, unshare};

    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    }
    Ok(())
}
