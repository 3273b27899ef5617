//! Having a named segment open, and removing its name.
//!
//! ```text
//!   join:           open ─ examine ─ share the attach byte ─ still its name? ─ in
//!   unlink_unused:  open ─ magic ─ the attach byte alone ─ still its name? ─ seats ─ remove
//!                    ^──────────────────────── no ──────────────────┘
//! ```
//!
//! Promises: as long as one who opened or made a segment under a name has it open, that
//! name is removed by [`unlink`] alone; so all who open or make it in turn, and remove it
//! when it is unused, meet in one segment. Does not promise: anything against those who
//! move names by other means. Imports: sys, atomic, layout.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::format::mismatch;
use super::mapped::{examine, open_regular, refuse_remote, regular};
use super::{Access, Address, Format};
use crate::atomic::{Bug, Span, relaxed, seeded};
use crate::error::{Error, Field, Found};
use crate::layout;
use crate::sys::{self, AttachLock, SeatLock};

/// How often a name that has come to mean another file is tried again.
const TRIES: usize = 100;

/// How long one who opens waits for one who is about to remove the name: in vain if that
/// one is stopped.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first pause meanwhile, about as long as it takes to remove a name; then twice as
/// long each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Opens the file under an address to take part in it: gives it, examined, its length, and
/// the share of the attach byte that keeps its name.
pub(super) fn join(address: &Address, access: Access) -> Result<(OwnedFd, u64, AttachLock), Error> {
    let (begun, mut pause, mut moved) = (Instant::now(), FIRST_PAUSE, 0);
    while moved < TRIES {
        let file = open_regular(address, true)?;
        // Before the lock: only what can be a segment is opened again for one.
        let len = examine(&file, access)?;
        match AttachLock::share(file.as_fd()).map_err(locking)? {
            Some(attached) if seeded(Bug::NoNameCheck) || is_name(&file, address)? => {
                return Ok((file, len, attached));
            }
            // Removed between opening and locking, or replaced.
            Some(_) => moved += 1,
            None if begun.elapsed() >= PATIENCE && !seeded(Bug::WaitsForRemover) => break,
            None => {
                std::thread::sleep(pause);
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
        }
    }
    Err(in_use(address))
}

/// Takes a share of the attach byte of a new file, which has no name yet.
pub(super) fn join_new(file: &OwnedFd, address: &Address) -> Result<AttachLock, Error> {
    // It is opened again for that, which a umask must not forbid.
    sys::chmod(file, 0o600)
        .map_err(|source| Error::Os { call: "setting the segment's mode", source })?;
    AttachLock::share(file.as_fd()).map_err(locking)?.ok_or_else(|| in_use(address))
}

fn is_name(file: &OwnedFd, address: &Address) -> Result<bool, Error> {
    sys::is_name_of(file, address.path())
        .map_err(|source| Error::Os { call: "examining the segment's name", source })
}

fn locking(source: io::Error) -> Error {
    Error::Os { call: "locking the segment's attach byte", source }
}

fn in_use(address: &Address) -> Error {
    Error::InUse { address: address.text().to_owned() }
}

/// Removes the name of a segment (`shm:NAME` or `file:PATH`). Whoever has it open keeps it;
/// its memory goes with the last of them. The semaphores of a ring that waits on such go
/// too. The file is read, not mapped, and no link is followed.
///
/// # Errors
/// [`Error::Address`], [`Error::NotFound`]; [`Error::Mismatch`] if what stands there is no
/// segment, of whatever version and in whatever state; [`Error::Os`] if the directory
/// does not let this process remove it.
pub fn unlink(address: &str) -> Result<(), Error> {
    let address = Address::parse(address)?;
    let file = open_regular(&address, false)?;
    let format = match seeded(Bug::UnlinksAnything) {
        true => format_of(&file).ok().flatten(),
        false => {
            regular(&file)?;
            format_of(&file)?
        }
    };
    remove(&address, format.as_ref())
}

/// Removes the name of a segment as [`unlink`] does, unless somebody uses it.
///
/// Users are all who opened it under a name or made it, in this process and in others, as
/// long as they live and have not dropped the ring and its endpoints; and, however they came
/// by it, those who hold a seat. [`Observer`](crate::Observer)s are none. So programs that
/// come and go can share a ring without one that outlives the others: each opens it by
/// [`open_or_create`](crate::Options::open_or_create), at its end drops all it has of it,
/// and calls this. The last one removes it, with what is still in it; who opens it at the
/// same moment gets this one whole, which then stays, or a new one.
///
/// ```
/// use annulus::{Error, spsc::Ring};
///
/// # let name = format!("shm:annulus-doc-unused-{}", std::process::id());
/// let ring = Ring::<u64>::options().capacity(8).open_or_create(&name)?;
/// let sender = ring.sender()?;
/// drop(ring);
/// assert!(matches!(annulus::unlink_unused(&name), Err(Error::InUse { .. })));
/// drop(sender);
/// annulus::unlink_unused(&name)?;
/// assert!(matches!(Ring::<u64>::open(&name), Err(Error::NotFound { .. })));
/// # Ok::<(), Error>(())
/// ```
///
/// It needs the right to read and write the file, as users do, besides the directory's to
/// remove it. It does not wait. A process that is stopped in the middle of this keeps others
/// from opening the segment; they get [`Error::InUse`] after a second.
///
/// It keeps those apart who call this and who open or make segments. That the name is the
/// segment's is checked under the lock, but whoever moves names by other means
/// ([`unlink`], `mv`) just after that may lose what he put there.
///
/// # Errors
/// [`Error::InUse`], also while another process is just removing it; otherwise as
/// [`unlink`], and [`Error::Os`] if the file does not let this process write;
/// [`Error::Mismatch`] on file systems that rings do not work on.
pub fn unlink_unused(address: &str) -> Result<(), Error> {
    let address = Address::parse(address)?;
    for _ in 0..TRIES {
        let file = open_regular(&address, true)?;
        regular(&file)?;
        refuse_remote(&file)?;
        let format = format_of(&file)?;
        let alone = AttachLock::alone(file.as_fd()).map_err(locking)?;
        let _alone = alone.ok_or_else(|| in_use(&address))?;
        if seeded(Bug::RemovesWhateverIsThere) || is_name(&file, &address)? {
            // Those who came without a name: in memory that another library mapped, or by a
            // handle that came through `fork`.
            let seated = SeatLock::any_is_held(file.as_fd()).map_err(locking)?;
            if seated && !seeded(Bug::UnusedDespiteSeats) {
                break;
            }
            return remove(&address, format.as_ref());
        }
    }
    Err(in_use(&address))
}

/// Refuses what is no segment; gives its format, if it is a whole one.
fn format_of(file: &OwnedFd) -> Result<Option<Format>, Error> {
    let mut header = [0; layout::LINE];
    let read = sys::read_start(file, &mut header)
        .map_err(|source| Error::Os { call: "reading the header", source })?;
    let (words, _) = header.as_chunks::<8>();
    let magic = u64::from_le_bytes(words[0]);
    if read < 8 || magic != layout::MAGIC {
        return Err(mismatch(Field::Magic, Found::Bits(magic), Found::Bits(layout::MAGIC)));
    }
    // A private copy, parsed as any segment's: a ring may have semaphores beside it.
    let copy = Span::heap(layout::LINE).ok_or(Error::OUT_OF_MEMORY)?;
    for (i, word) in words.iter().enumerate() {
        copy.word(i * 8).store(u64::from_le_bytes(*word), relaxed::SOLE_WRITER);
    }
    let said = copy.word(layout::header::LENGTH).load(relaxed::SOLE_WRITER);
    Ok(Format::parse(&copy, said.max(layout::LINE as u64)).ok())
}

/// Removes the name, and those of the semaphores beside it.
fn remove(address: &Address, format: Option<&Format>) -> Result<(), Error> {
    sys::remove(address.path()).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NotFound { address: address.text().to_owned() },
        _ => Error::Os { call: "removing the segment's name", source },
    })?;
    format.map_or(Ok(()), Format::unlink_semaphores)
}
