//! What the tests of two widths of words share: messages, places, and rings by their kind.
//!
//! ```text
//!   cargo xtask bits32 ── ANNULUS_OTHER_BITS ──▶ this test, 64-bit: the parent, and children
//!                                                the same test, 32-bit: children alone
//! ```

mod ends;

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::time::Duration;

use annulus::{Options, RingKind};
use tempfile::TempDir;
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub use ends::{KINDS, Opened, open};

use crate::support::{Child, Family, Role, Spawn, TestName, random_name};

/// A message whose alignment, and that of its numbers, differs between the two.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, PartialEq, Eq)]
#[repr(C)]
pub struct Tick {
    number: u64,
    half: u32,
    other_half: u32,
    mixed: u64,
}

impl Tick {
    /// The message of that number.
    pub fn of(number: u64) -> Self {
        let mixed = (number ^ 0x5bd1_e995_0bad_cafe).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { number, half: mixed as u32, other_half: (mixed >> 32) as u32, mixed: !mixed }
    }

    /// Its number, if it is whole.
    pub fn number(self) -> u64 {
        assert_eq!(self, Self::of(self.number), "torn");
        self.number
    }
}

/// The same test of the other width, if there is one.
pub fn other() -> Option<OsString> {
    std::env::var_os("ANNULUS_OTHER_BITS")
}

/// Whose build plays a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// This one's.
    Own,
    /// That of the other width.
    Other,
}

impl Who {
    /// The other of the two.
    pub fn other(self) -> Self {
        if self == Self::Own { Self::Other } else { Self::Own }
    }

    /// A child of that build.
    pub fn child<F: Fn(&mut Role)>(self, family: &Family, role: F) -> Spawn<'_> {
        match self {
            Self::Own => family.child(role),
            Self::Other => family.child_of(other().expect("looked at before"), role),
        }
    }
}

/// Where a ring is that two share.
pub struct Spot {
    address: Option<String>,
    _name: TestName,
    _folder: TempDir,
}

impl Spot {
    /// In shared memory, in a file, in a memfd.
    pub fn all() -> [Self; 3] {
        ["shm", "file", "memfd"].map(|place| {
            let (name, folder) = (random_name(), tempfile::tempdir().unwrap());
            let address = match place {
                "shm" => Some(name.shm()),
                "file" => Some(format!("file:{}", folder.path().join("ring").display())),
                _ => None,
            };
            Self { address, _name: name, _folder: folder }
        })
    }

    /// In shared memory.
    pub fn shm() -> Self {
        let [shm, ..] = Self::all();
        shm
    }

    /// Its address, or `memfd`.
    pub fn address(&self) -> &str {
        self.address.as_deref().unwrap_or("memfd")
    }
}

/// Asleep at once, and woken by nothing but a wake-up.
pub fn asleep<R: RingKind>(options: Options<R>) -> Options<R> {
    options.spin(Duration::ZERO).yielding(Duration::ZERO).slice(Duration::from_secs(600))
}

/// Opens or makes the ring that the first arguments name (kind, address, `makes` or `opens`,
/// `busy` or `asleep`), and says so with the width of its words; a memfd goes along.
pub fn come(role: &mut Role) -> Opened {
    let opened = open(role);
    let line = format!("here {}", usize::BITS);
    match opened.fd() {
        Some(fd) if role.argument(1) == "memfd" && role.argument(2) == "makes" => {
            role.say_with_fd(&line, fd);
        }
        _ => role.say(&line),
    }
    opened
}

/// Starts a child for a role that begins with [`come`], and waits until it is there.
pub fn start<'a, F: Fn(&mut Role)>(
    (family, who, role): (&'a Family, Who, F),
    (kind, spot): (&str, &Spot),
    made: &mut Option<std::os::fd::OwnedFd>,
    arguments: &[&str],
) -> Child<'a> {
    let makes = made.is_none();
    let mut child = who.child(family, role).arg(kind).arg(spot.address());
    child = child.arg(if makes { "makes" } else { "opens" });
    for argument in arguments {
        child = child.arg(argument);
    }
    let memfd = spot.address() == "memfd";
    if let Some(fd) = made.as_ref().filter(|_| memfd) {
        child = child.inherit(fd.as_fd());
    }
    let mut child = child.spawn();
    let width = if memfd && makes {
        let (line, fd) = child.hear_with_fd();
        *made = Some(fd);
        line
    } else {
        if makes {
            // A mark that it is made.
            *made = Some(std::fs::File::open("/dev/null").unwrap().into());
        }
        child.hear()
    };
    let wide = if who == Who::Own { usize::BITS } else { 96 - usize::BITS };
    assert_eq!(width, format!("here {wide}"), "who plays it");
    child
}
