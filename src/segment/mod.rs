//! Segments: one contiguous span of shared memory, created whole or opened with care.
//!
//! ```text
//!   create: nameless file ─ allocate ─ map ─ initialise ─ magic ─ link   (ENOSPC, AlreadyExists)
//!   open:   open ─ type, owner, mode, seals ─ map ─ header ─ expected?   (Mismatch, by field)
//! ```
//!
//! Promises: a name appears complete or not at all; nothing that exists is truncated
//! or initialised again; every fact is checked once, then kept privately.
//! Imports: sys, atomic, layout.
#![allow(unsafe_code)]

mod address;
mod format;
#[cfg(not(loom))]
mod guard;

use core::ptr::NonNull;
use std::any::Any;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(crate) use address::Address;
pub(crate) use format::Waiting;
pub use format::{Expect, Format};

use crate::atomic::{Span, Word};
use crate::error::{Error, Field, Found};
use crate::sys;
#[cfg(not(loom))]
use crate::sys::{FileSystem, Mapping, OpenRefusal};
use format::mismatch;

/// A span of shared memory that is, or will be, a ring.
///
/// Ring types make and open their segments themselves; this type is for memory that
/// another library mapped, see [`Segment::from_mapping`].
pub struct Segment {
    /// Before the span: it must not guard what is mapped no more.
    #[cfg(not(loom))]
    _guard: Option<guard::Guarded>,
    span: Span,
    file: Option<OwnedFd>,
    /// Permission bits, for what is made beside it.
    mode: u32,
    /// Mapped by another library.
    foreign: bool,
    /// In-process stand-ins for the kernel's seat locks, where there is no file.
    locks: Box<[Word]>,
}

/// Who may reach a new segment, and how it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) mode: u32,
    pub(crate) owner: Option<u32>,
    pub(crate) prefault: bool,
    /// Owning group of a new segment.
    pub(crate) group: Option<u32>,
    pub(crate) huge_pages: bool,
    /// Keep the pages in memory.
    pub(crate) lock_memory: bool,
    /// Turn a fault on truncated memory into garbage that is noticed.
    pub(crate) sigbus_guard: bool,
}

impl Access {
    /// For those who look and take what is there.
    pub(crate) const OBSERVER: Self = Self {
        mode: 0o7777,
        owner: None,
        prefault: false,
        group: None,
        huge_pages: false,
        lock_memory: false,
        sigbus_guard: false,
    };
    /// For participants, unless they ask for something else.
    pub(crate) const DEFAULT: Self = Self { mode: 0o600, prefault: true, ..Self::OBSERVER };
}

/// Most seats of any kind.
const SEATS_MAX: usize = 2;

/// Writes a new segment's control words and first stamps; the header comes after.
pub(crate) type Initialise<'a> = &'a dyn Fn(&Span);

impl core::fmt::Debug for Segment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Segment")
            .field("len", &self.span.len())
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Segment {
    fn with_span(span: Span, file: Option<OwnedFd>) -> Self {
        Self {
            #[cfg(not(loom))]
            _guard: None,
            span,
            file,
            mode: 0o600,
            foreign: false,
            locks: (0..SEATS_MAX).map(|_| Word::new(0)).collect(),
        }
    }

    /// Takes memory that another library mapped, to create or open a ring in it with
    /// [`Options::create_in`](crate::Options::create_in) or
    /// [`Options::open_in`](crate::Options::open_in).
    ///
    /// `file` is a descriptor of the mapped file, if it can be had: with it seats are
    /// kept by kernel locks, so that the death of a peer is seen. Without it a seat
    /// that a dead process held stays taken. `owner` is dropped when the last handle
    /// of the ring is, and not before.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if `base` is not aligned to 128 bytes (mappings are), or
    /// the crate is built for loom.
    ///
    /// # Safety
    /// `base..base + len` must stay mapped, readable and writable, until `owner` is
    /// dropped, and this process must not use the memory otherwise meanwhile: no
    /// reference into it may exist. Nobody may shorten the file below.
    pub unsafe fn from_mapping(
        base: NonNull<u8>,
        len: usize,
        file: Option<OwnedFd>,
        owner: Box<dyn Any + Send + Sync>,
    ) -> Result<Self, Error> {
        #[cfg(loom)]
        {
            let _ = (base, len, file, owner);
            Err(SHARED_UNDER_LOOM)
        }
        #[cfg(not(loom))]
        {
            if !base.addr().get().is_multiple_of(crate::layout::LINE) {
                return Err(Error::Unsupported("memory that is not aligned to 128 bytes"));
            }
            // SAFETY: I4: promised by the caller.
            let span = unsafe { Span::foreign(base, len, owner) };
            Ok(Self { foreign: true, ..Self::with_span(span, file) })
        }
    }

    /// The memory.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Its permission bits.
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    /// The file behind it, if there is one.
    pub(crate) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// Whether the kernel can't tell who lives: other processes may share the memory,
    /// but there is no file to lock.
    pub(crate) fn is_foreign_without_locks(&self) -> bool {
        self.foreign && self.file.is_none()
    }

    /// The in-process lock of a seat, where there is no file to lock.
    pub(crate) fn private_lock(&self, seat: usize) -> &Word {
        &self.locks[seat]
    }

    /// A new private one, for threads.
    pub(crate) fn create_heap(format: &Format, initialise: Initialise<'_>) -> Self {
        let span = Span::heap(usize::try_from(format.len).expect("checked by Format::new"));
        initialise(&span);
        format.publish(&span);
        Self::with_span(span, None)
    }

    /// Makes a ring in memory that somebody else mapped, unless there is one.
    pub(crate) fn create_in(
        self,
        format: &Format,
        initialise: Initialise<'_>,
    ) -> Result<Self, Error> {
        use crate::atomic::relaxed;
        let len = self.span.len() as u64;
        if len < format.len {
            return Err(mismatch(Field::Length, Found::Number(len), Found::Number(format.len)));
        }
        for at in (0..crate::layout::LINE).step_by(8) {
            // A hint: two creators in one foreign mapping are the caller's to keep apart.
            if self.span.word(at).load(relaxed::HINT) != 0 {
                return Err(Error::AlreadyExists { address: "the given memory".to_owned() });
            }
        }
        // Seats and events begin as zeros, whatever was here before.
        for at in (crate::layout::LINE..crate::layout::slots_at(format.kind)).step_by(8) {
            self.span.word(at).store(0, relaxed::SOLE_WRITER);
        }
        initialise(&self.span);
        format.publish(&self.span);
        Ok(self)
    }

    /// Parses what stands in memory that somebody else mapped. The mapping may be longer.
    pub(crate) fn open_in(&self, expect: &Expect) -> Result<Format, Error> {
        let format = Format::parse_within(&self.span, self.span.len() as u64)?;
        format.check(expect)?;
        Ok(format)
    }
}

#[cfg(loom)]
const SHARED_UNDER_LOOM: Error =
    Error::Unsupported("a shared segment under `--cfg loom`: models use heap rings");

#[cfg(loom)]
impl Segment {
    /// `count` mappings of the same zeroed memory, as if another library had made them
    /// in as many processes.
    #[cfg_attr(not(feature = "test-hooks"), expect(dead_code))]
    pub(crate) fn mappings(len: usize, count: usize) -> Vec<Self> {
        let span = Span::heap(len);
        (0..count).map(|_| Self { foreign: true, ..Self::with_span(span.clone(), None) }).collect()
    }

    pub(crate) fn create_named(
        _: &Address,
        _: &Format,
        _: Access,
        _: Initialise<'_>,
    ) -> Result<Self, Error> {
        Err(SHARED_UNDER_LOOM)
    }

    pub(crate) fn create_memfd(
        _: &str,
        _: &Format,
        _: Access,
        _: Initialise<'_>,
    ) -> Result<Self, Error> {
        Err(SHARED_UNDER_LOOM)
    }

    pub(crate) fn open_named(_: &Address, _: Access, _: bool) -> Result<(Self, Format), Error> {
        Err(SHARED_UNDER_LOOM)
    }

    pub(crate) fn open_fd(_: OwnedFd, _: Access) -> Result<(Self, Format), Error> {
        Err(SHARED_UNDER_LOOM)
    }

    pub(crate) fn observe_fd(_: OwnedFd, _: Access) -> Result<(Self, Format), Error> {
        Err(SHARED_UNDER_LOOM)
    }

    pub(crate) fn bring_in(&self, _: Access) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(not(loom))]
impl Segment {
    /// A new named one: complete when its name appears.
    pub(crate) fn create_named(
        address: &Address,
        format: &Format,
        access: Access,
        initialise: Initialise<'_>,
    ) -> Result<Self, Error> {
        let publishing = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => {
                Error::AlreadyExists { address: address.text().to_owned() }
            }
            _ => Error::Os { call: "giving the segment its name", source },
        };
        // Asked first so that a taken name costs nothing; decided by `link` alone.
        if std::fs::symlink_metadata(address.path()).is_ok() {
            return Err(publishing(io::ErrorKind::AlreadyExists.into()));
        }
        match sys::anonymous_file(address.directory()) {
            Ok(Some(file)) => {
                refuse_remote(&file)?;
                let segment = Self::fill(file, format, access, initialise)?;
                let file = segment.file.as_ref().expect("just filled");
                sys::link(file, address.path()).map_err(publishing)?;
                Ok(segment)
            }
            Ok(None) => Self::create_renamed(address, format, access, initialise, publishing),
            Err(source) => Err(Error::Os { call: "creating the segment", source }),
        }
    }

    /// Where files can't be nameless: under a temporary name first, which a kill leaves.
    fn create_renamed(
        address: &Address,
        format: &Format,
        access: Access,
        initialise: Initialise<'_>,
        publishing: impl Fn(io::Error) -> Error,
    ) -> Result<Self, Error> {
        let temporary = address.directory().join(format!(".annulus-{:016x}", sys::creation_id()));
        let file = sys::named_file(&temporary)
            .map_err(|source| Error::Os { call: "creating the segment", source })?;
        let outcome = refuse_remote(&file)
            .and_then(|()| Self::fill(file, format, access, initialise))
            .and_then(|segment| {
                sys::rename_new(&temporary, address.path()).map_err(publishing)?;
                Ok(segment)
            });
        if outcome.is_err() {
            // The first error is the one to report; the name is random and ours.
            let _ = sys::remove(&temporary);
        }
        outcome
    }

    /// A new memfd, sealed at its size.
    pub(crate) fn create_memfd(
        name: &str,
        format: &Format,
        access: Access,
        initialise: Initialise<'_>,
    ) -> Result<Self, Error> {
        let file =
            sys::memfd(name).map_err(|source| Error::Os { call: "creating the memfd", source })?;
        let segment = Self::fill(file, format, access, initialise)?;
        sys::seal(segment.file.as_ref().expect("just filled"))
            .map_err(|source| Error::Os { call: "sealing the memfd", source })?;
        Ok(segment)
    }

    /// Gives a new file its mode, memory and contents.
    fn fill(
        file: OwnedFd,
        format: &Format,
        access: Access,
        initialise: Initialise<'_>,
    ) -> Result<Self, Error> {
        if let Some(group) = access.group {
            sys::set_group(&file, group)
                .map_err(|source| Error::Os { call: "setting the segment's group", source })?;
        }
        sys::chmod(&file, access.mode)
            .map_err(|source| Error::Os { call: "setting the segment's mode", source })?;
        sys::allocate(&file, format.len)
            .map_err(|source| Error::Os { call: "reserving the segment's memory", source })?;
        let mapping = map(&file, format.len, true)?;
        bring_in(&mapping, access)?;
        let guard = guard(&mapping, access)?;
        let span = Span::mapped(mapping);
        initialise(&span);
        format.publish(&span);
        Ok(Self { _guard: guard, mode: access.mode, ..Self::with_span(span, Some(file)) })
    }

    /// Opens what stands under a name. `write`: as a participant, not an observer.
    pub(crate) fn open_named(
        address: &Address,
        access: Access,
        write: bool,
    ) -> Result<(Self, Format), Error> {
        let not_a_file =
            |found| mismatch(Field::FileType, Found::Text(found), Found::Text("a regular file"));
        let file = sys::open_existing(address.path(), write).map_err(|refusal| match refusal {
            OpenRefusal::NotFound => Error::NotFound { address: address.text().to_owned() },
            OpenRefusal::Link => not_a_file("a symbolic link"),
            OpenRefusal::NotAFile => not_a_file("a directory, socket or device"),
            OpenRefusal::Os(source) => Error::Os { call: "opening the segment", source },
        })?;
        Self::open_file(file, access, write)
    }

    /// Opens a passed memfd, which must be sealed at its size.
    pub(crate) fn open_fd(file: OwnedFd, access: Access) -> Result<(Self, Format), Error> {
        let expected = Found::Bits(sys::SEALS as u64);
        let seals = sys::seals(&file)
            .map_err(|_| mismatch(Field::Seals, Found::Text("none: no memfd"), expected))?;
        if seals & sys::SEALS != sys::SEALS {
            return Err(mismatch(Field::Seals, Found::Bits(seals as u64), expected));
        }
        Self::open_file(file, access, true)
    }

    /// Looks at the segment behind any descriptor.
    pub(crate) fn observe_fd(file: OwnedFd, access: Access) -> Result<(Self, Format), Error> {
        Self::open_file(file, access, false)
    }

    /// Brings in the pages of a segment that was opened and found to be the right one:
    /// of one that is refused, not even the time of its last change is touched.
    pub(crate) fn bring_in(&self, access: Access) -> Result<(), Error> {
        self.span.mapping().map_or(Ok(()), |mapping| bring_in(mapping, access))
    }

    fn open_file(file: OwnedFd, access: Access, write: bool) -> Result<(Self, Format), Error> {
        let facts = sys::facts(&file)
            .map_err(|source| Error::Os { call: "examining the segment", source })?;
        if !facts.regular {
            return Err(mismatch(
                Field::FileType,
                Found::Text("not a regular file"),
                Found::Text("a regular file"),
            ));
        }
        let owner = access.owner.unwrap_or_else(sys::effective_user);
        if facts.owner != owner {
            let (found, owner) = (u64::from(facts.owner), u64::from(owner));
            return Err(mismatch(Field::Owner, Found::Number(found), Found::Number(owner)));
        }
        if facts.mode & !access.mode != 0 {
            return Err(mismatch(Field::Mode, Found::Octal(facts.mode), Found::Octal(access.mode)));
        }
        refuse_remote(&file)?;
        let len = facts.len;
        if len < crate::layout::LINE as u64 {
            return Err(mismatch(
                Field::Length,
                Found::Number(len),
                Found::Text("a whole segment"),
            ));
        }
        if len > crate::layout::SEGMENT_MAX {
            return Err(mismatch(
                Field::Length,
                Found::Number(len),
                Found::AtMost(crate::layout::SEGMENT_MAX),
            ));
        }
        let mapping = map(&file, len, write)?;
        let guard = guard(&mapping, access)?;
        let span = Span::mapped(mapping);
        let format = Format::parse(&span, len)?;
        Ok((Self { _guard: guard, mode: facts.mode, ..Self::with_span(span, Some(file)) }, format))
    }
}

/// Maps a file.
#[cfg(not(loom))]
fn map(file: &OwnedFd, len: u64, write: bool) -> Result<Mapping, Error> {
    let len = usize::try_from(len)
        .map_err(|_| Error::Unsupported("a segment larger than the address space"))?;
    Mapping::new(file, len, write)
        .map_err(|source| Error::Os { call: "mapping the segment", source })
}

/// Brings the pages of a mapping in, as the options ask.
#[cfg(not(loom))]
fn bring_in(mapping: &Mapping, access: Access) -> Result<(), Error> {
    if access.huge_pages {
        mapping.ask_for_huge_pages();
    }
    if access.prefault {
        mapping
            .populate()
            .map_err(|source| Error::Os { call: "bringing the segment's pages in", source })?;
    }
    if access.lock_memory {
        mapping
            .lock()
            .map_err(|source| Error::Os { call: "locking the segment in memory", source })?;
    }
    Ok(())
}

/// Guards a mapping, if the options ask for it.
#[cfg(not(loom))]
fn guard(mapping: &Mapping, access: Access) -> Result<Option<guard::Guarded>, Error> {
    let range = || guard::Guarded::new(mapping.base().addr().get(), mapping.len());
    access
        .sigbus_guard
        .then(range)
        .transpose()
        .map_err(|source| Error::Os { call: "guarding the segment against SIGBUS", source })
}

#[cfg(not(loom))]
fn refuse_remote(file: &OwnedFd) -> Result<(), Error> {
    match sys::file_system(file)
        .map_err(|source| Error::Os { call: "examining the file system", source })?
    {
        FileSystem::Local => Ok(()),
        FileSystem::Remote(name) => {
            Err(mismatch(Field::FileSystem, Found::Text(name), Found::Text("a local file system")))
        }
    }
}

/// Removes the name of a segment (`shm:NAME` or `file:PATH`), whatever state it is in.
/// Whoever has it open keeps it; its memory goes with the last of them. The semaphores
/// of a ring that waits on such go too.
///
/// # Errors
/// [`Error::Address`], [`Error::NotFound`], or [`Error::Os`] if the directory does not
/// let this process remove it.
pub fn unlink(address: &str) -> Result<(), Error> {
    let address = Address::parse(address)?;
    // Read before the name goes: a ring that waits on semaphores has two beside it.
    #[cfg(not(loom))]
    let format = Segment::open_named(&address, Access::OBSERVER, false).map(|(_, format)| format);
    sys::remove(address.path()).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NotFound { address: address.text().to_owned() },
        _ => Error::Os { call: "removing the segment's name", source },
    })?;
    #[cfg(not(loom))]
    if let Ok(format) = format {
        format.unlink_semaphores()?;
    }
    Ok(())
}
