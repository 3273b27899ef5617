//! A file system that is full, or nearly so.
//!
//! ```text
//!   tmpfs  [ filler ........................ ][ pages left ]
//!                                               create ─▶ no room: an error now, no page less
//!                                                      ─▶ room: full and empty, twice
//! ```
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::{io, ptr};

use annulus::{Error, Options, RingKind, WaitMethod, broadcast, frames, mpmc, spsc, stream};
use annulus_prove::ground;
use annulus_prove::rings::{Kind, Shape};

use crate::cell::{Home, LONG, SLICE};

const PAGE: u64 = 4096;

/// Pages of the whole file system.
const PAGES: u64 = 128;

/// The scene.
pub fn run(home: &Home) -> Vec<String> {
    let mut words = Vec::new();
    let folder = home.directory();
    if let Err(error) = fs::create_dir(&folder).and_then(|()| mount(&folder)) {
        return vec![format!("skipped: a small file system: {error}")];
    }
    let (mut made, mut refused) = (0, 0);
    for kind in Kind::ALL {
        for prefault in [true, false] {
            let ring = Making::new(*kind, prefault, format!("{folder}/ring"));
            let need = ring.len().div_ceil(PAGE);
            for left in [0, 1, 2, need / 2, need - 1, need, need + 1] {
                match ring.make(&folder, left) {
                    Ok(true) if left >= need => made += 1,
                    Ok(false) if left < need => refused += 1,
                    Ok(true) => words.push(ring.wrong(left, "made, and it does not fit")),
                    Ok(false) => words.push(ring.wrong(left, "refused, and there is room")),
                    Err(what) => words.push(ring.wrong(left, &what)),
                }
            }
        }
    }
    words.push(format!("figure: rings made where there was just room = {made}"));
    words.push(format!("figure: rings refused where there was none = {refused}"));
    words
}

/// A small one of this process's own.
fn mount(folder: &str) -> io::Result<()> {
    ground::own_mounts()?;
    let call = |kind: &str, target: &str, flags, data: &str| {
        let [kind, target, data] = [kind, target, data].map(|it| CString::new(it).expect("text"));
        let data = if data.is_empty() { ptr::null() } else { data.as_ptr().cast() };
        // SAFETY: I4: strings that live through the call.
        let said =
            unsafe { libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data) };
        if said == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // Nothing mounted here may reach the namespace that was left.
    call("none", "/", libc::MS_REC | libc::MS_PRIVATE, "")?;
    call("tmpfs", folder, libc::MS_NOSUID | libc::MS_NODEV, &format!("size={}", PAGES * PAGE))
}

/// A ring to be made.
struct Making {
    shape: Shape,
    prefault: bool,
    path: String,
}

impl Making {
    fn new(kind: Kind, prefault: bool, path: String) -> Self {
        let capacity = if kind == Kind::Frames { 16 } else { 1024 };
        let shape = Shape {
            kind,
            method: WaitMethod::Futex,
            fenced: false,
            capacity,
            slice: SLICE,
            polls: std::time::Duration::ZERO,
        };
        Self { shape, prefault, path }
    }

    fn wrong(&self, left: u64, what: &str) -> String {
        let (kind, prefault) = (self.shape.kind.name(), self.prefault);
        format!("wrong: {kind}, prefault {prefault}, {left} pages left: {what}")
    }

    fn address(&self) -> String {
        format!("file:{}", self.path)
    }

    fn options<R: RingKind>(&self, per_number: u64, options: Options<R>) -> Options<R> {
        options.capacity(per_number * self.shape.capacity).prefault(self.prefault)
    }

    fn each<T>(&self, with: impl WithOptions<T>) -> T {
        match self.shape.kind {
            Kind::Spsc => with.call(self.options(1, spsc::Ring::<u64>::options())),
            Kind::Stream => with.call(self.options(8, stream::Ring::options())),
            Kind::Mpmc => with.call(self.options(1, mpmc::Ring::<u64>::options().seats(4))),
            Kind::Broadcast | Kind::Lossless => {
                let options = broadcast::Ring::<u64>::options().seats(4);
                let options = options.lossless(self.shape.kind == Kind::Lossless);
                with.call(self.options(1, options))
            }
            Kind::Frames => with.call(self.options(1, frames::Ring::options().seats(4).max_len(8))),
        }
    }

    fn len(&self) -> u64 {
        self.each(Len)
    }

    /// Makes it with so many pages left. False: it was refused, and nothing is left.
    fn make(&self, folder: &str, left: u64) -> Result<bool, String> {
        let text = |error: io::Error| error.to_string();
        let filler = format!("{folder}/filler");
        let file = File::create_new(&filler).map_err(text)?;
        let len = (free(folder)?.saturating_sub(left) * PAGE).cast_signed();
        // SAFETY: I5: a descriptor and numbers.
        if len > 0 && unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, len) } != 0 {
            return Err(format!("filling: {}", io::Error::last_os_error()));
        }
        drop(file);
        let before = free(folder)?;
        let outcome = match self.each(Create(&self.address())) {
            Ok(()) => self.fill().map(|()| true),
            Err(_) => Ok(false),
        };
        if matches!(outcome, Ok(true)) {
            annulus::unlink_unused(&self.address()).map_err(|error| error.to_string())?;
        }
        let after = free(folder)?;
        let names = fs::read_dir(folder).map_err(text)?.count();
        fs::remove_file(&filler).map_err(text)?;
        if (after, names) != (before, 1) {
            return Err(format!("{before} pages free, then {after}, and {names} names"));
        }
        outcome
    }

    /// To the brim, and empty, twice.
    fn fill(&self) -> Result<(), String> {
        let ring = self.shape.open(&self.address()).map_err(|error| error.to_string())?;
        let mut receiver = ring.receiver().map_err(|error| error.to_string())?;
        let mut sender = ring.sender().map_err(|error| error.to_string())?;
        for _ in 0..2 {
            for number in 0..self.shape.capacity {
                sender.send(number, LONG).map_err(|why| why.to_string())?;
            }
            for number in 0..self.shape.capacity {
                let got = receiver.recv(LONG);
                if got != Ok(number) {
                    return Err(format!("not {number}: {got:?}"));
                }
            }
        }
        Ok(())
    }
}

/// What is done with options of any kind of ring.
trait WithOptions<T> {
    fn call<R: RingKind>(self, options: Options<R>) -> T;
}

struct Len;

impl WithOptions<u64> for Len {
    fn call<R: RingKind>(self, options: Options<R>) -> u64 {
        options.segment_len().expect("a possible ring")
    }
}

struct Create<'a>(&'a str);

impl WithOptions<Result<(), Error>> for Create<'_> {
    fn call<R: RingKind>(self, options: Options<R>) -> Result<(), Error> {
        options.create_new(self.0).map(drop)
    }
}

/// Pages that are free.
fn free(folder: &str) -> Result<u64, String> {
    let said = nix::sys::statvfs::statvfs(folder).map_err(|error| error.to_string())?;
    Ok(said.blocks_free() * said.fragment_size() / PAGE)
}
