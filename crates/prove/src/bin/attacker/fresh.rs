//! Segments that are attacked, and those that are made afterwards.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use annulus::{Options, RingKind};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::rings::{broadcast_options, frames_options, mpmc_options, spsc_options, stream_options};
use crate::task::{Random, Task};

/// A file system of one mebibyte, for us and our children alone.
pub struct Small(PathBuf);

/// Makes one; why not, if that can't be.
pub fn small_file_system() -> Result<Small, String> {
    let said = |what: &'static str| move |error: nix::Error| format!("{what}: {error}");
    unshare(CloneFlags::CLONE_NEWNS).map_err(said("a mount namespace of our own"))?;
    let none: Option<&str> = None;
    // What is mounted here stays here.
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none).map_err(said("making mounts private"))?;
    let path = std::env::temp_dir().join(format!("annulus-prove-full-{}", std::process::id()));
    std::fs::create_dir(&path).map_err(|error| error.to_string())?;
    let mounted = mount(Some("none"), &path, Some("tmpfs"), MsFlags::empty(), Some("size=1m"));
    let small = Small(path);
    mounted.map_err(said("mounting a tmpfs"))?;
    Ok(small)
}

impl Drop for Small {
    fn drop(&mut self) {
        // Nobody is left who uses it; if somebody is, it goes with him.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// A segment and where it is.
pub struct Site {
    ring: String,
    place: String,
    address: String,
    path: String,
    /// Kept for as long as it is used; its memory is nobody's here.
    _memfd: Option<OwnedFd>,
}

fn make<R: RingKind>(
    options: &Options<R>,
    address: &str,
    fd: impl Fn(&R) -> Option<OwnedFd>,
) -> Result<Option<OwnedFd>, String> {
    let ring = match address {
        "memfd" => options.create_memfd("attacked"),
        address => options.create_new(address),
    };
    let ring = ring.map_err(|error| error.to_string())?;
    Ok(fd(&ring).filter(|_| address == "memfd"))
}

macro_rules! make {
    ($options:expr, $address:expr) => {
        make(&$options, $address, |ring| {
            ring.segment_fd().and_then(|fd| fd.try_clone_to_owned().ok())
        })
    };
}

impl Site {
    /// A new segment.
    pub fn new(ring: &str, place: &str, small: Option<&Small>, seed: u64) -> Result<Self, String> {
        let number = Random(seed).next();
        let name = format!("annulus-prove-{number:016x}");
        let directory = small.map_or_else(std::env::temp_dir, |small| small.0.clone());
        let path = match place {
            "shm" => Path::new("/dev/shm").join(&name),
            _ => directory.join(&name),
        };
        let path = path.to_str().ok_or("a path that is no text")?.to_owned();
        let address = match place {
            "memfd" => "memfd".to_owned(),
            "shm" => format!("shm:{name}"),
            _ => format!("file:{path}"),
        };
        let memfd = match ring {
            "stream" => make!(stream_options(), &address),
            "spsc" => make!(spsc_options(), &address),
            "mpmc" => make!(mpmc_options(), &address),
            "broadcast" => make!(broadcast_options(), &address),
            _ => make!(frames_options(), &address),
        }?;
        let (address, path) = match &memfd {
            Some(memfd) => {
                let path = format!("/proc/{}/fd/{}", std::process::id(), memfd.as_raw_fd());
                (path.clone(), path)
            }
            // Names of shared memory may be spelled otherwise.
            None if place == "shm" && !Path::new(&path).exists() => {
                return Err(format!("{address} is not at {path}"));
            }
            None => (address, path),
        };
        Ok(Self { ring: ring.to_owned(), place: place.to_owned(), address, path, _memfd: memfd })
    }

    /// What the processes of a cell are told.
    pub fn task(&self, attack: &str, seed: u64, time: Duration) -> Task {
        Task {
            ring: self.ring.clone(),
            place: self.place.clone(),
            attack: attack.to_owned(),
            seed,
            time,
            address: self.address.clone(),
            path: self.path.clone(),
        }
    }

    fn memfd(&self) -> Option<OwnedFd> {
        let path = self.address.starts_with("/proc/").then_some(&self.address)?;
        File::options().read(true).write(true).open(path).ok().map(OwnedFd::from)
    }

    fn open<R: RingKind>(&self, options: &Options<R>) -> Result<R, String> {
        let ring = match self.memfd() {
            Some(memfd) => options.from_fd(memfd),
            None => options.open(&self.address),
        };
        ring.map_err(|error| error.to_string())
    }

    /// Whether a message goes through.
    pub fn works(&self) -> Result<(), String> {
        fn said(error: impl std::fmt::Display) -> String {
            error.to_string()
        }
        let (time, mut out) = (Duration::from_secs(5), [0; 16]);
        let len = match self.ring.as_str() {
            "stream" => {
                let ring = self.open(&stream_options())?;
                let (mut sender, mut receiver) =
                    (ring.sender().map_err(said)?, ring.receiver().map_err(said)?);
                sender.send_timeout(b"fresh", time).map_err(said)?;
                receiver.recv_timeout(&mut out, time).map_err(said)?
            }
            "spsc" => {
                let ring = self.open(&spsc_options())?;
                let (mut sender, mut receiver) =
                    (ring.sender().map_err(said)?, ring.receiver().map_err(said)?);
                sender.send_timeout(b"fresh", time).map_err(said)?;
                receiver.recv_timeout(&mut out, time).map_err(said)?
            }
            "mpmc" => {
                let ring = self.open(&mpmc_options())?;
                let (mut sender, mut receiver) =
                    (ring.sender().map_err(said)?, ring.receiver().map_err(said)?);
                sender.send_timeout(b"fresh", time).map_err(said)?;
                receiver.recv_timeout(&mut out, time).map_err(said)?
            }
            "broadcast" => {
                let ring = self.open(&broadcast_options())?;
                let (mut sender, mut receiver) =
                    (ring.sender().map_err(said)?, ring.receiver().map_err(said)?);
                sender.send_timeout(b"fresh", time).map_err(said)?;
                receiver.recv_timeout(&mut out, time).map_err(said)?
            }
            _ => {
                let ring = self.open(&frames_options())?;
                let (mut sender, mut receiver) =
                    (ring.sender().map_err(said)?, ring.receiver().map_err(said)?);
                let mut frame = sender.take_timeout(time).map_err(said)?;
                frame.append(b"fresh");
                frame.send().map_err(said)?;
                receiver.recv_timeout(time).map_err(said)?.read_at(0, &mut out)
            }
        };
        if &out[..len] == b"fresh" { Ok(()) } else { Err(format!("{len} bytes came")) }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !self.path.starts_with("/proc/") {
            // Its name is random and ours; its header may be anybody's.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
