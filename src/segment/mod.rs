//! Segments: one contiguous span of shared memory, created whole or opened with care.
//!
//! ```text
//!   create: nameless file ─ allocate ─ map ─ initialise ─ magic ─ link   (ENOSPC, AlreadyExists)
//!   open:   open ─ type, owner, mode, seals ─ map ─ header ─ expected?   (Mismatch, by field)
//!               └─ by name: attach ─ still its name?                     (again; InUse)
//! ```
//!
//! Promises: a name appears complete or not at all; nothing that exists is truncated
//! or initialised again; every fact is checked once, then kept privately.
//! Imports: sys, atomic, layout.
#![allow(unsafe_code)]

mod address;
#[cfg(not(loom))]
mod attach;
mod format;
#[cfg(not(loom))]
mod guard;
#[cfg(not(loom))]
mod mapped;

use core::ptr::NonNull;
use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(crate) use address::Address;
#[cfg(not(loom))]
pub use attach::{unlink, unlink_unused};
pub(crate) use format::Waiting;
pub use format::{Expect, Format};

use crate::atomic::{Span, Word};
use crate::error::{Error, Field, Found};
#[cfg(not(loom))]
use crate::layout::SEATS_MAX;
use crate::sys::{AttachLock, Semaphore};
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
    /// One for each event, if the ring waits on such.
    semaphores: Vec<Semaphore>,
    /// Mapped by another library.
    foreign: bool,
    /// In-process stand-ins for the kernel's seat locks, where there is no file.
    locks: Box<[Word]>,
    /// Of one who takes part under a name. Last: until then the name may not be removed
    /// as unused.
    _attached: Option<AttachLock>,
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
    /// `seats`: how many have locks in this process, there being no file.
    fn with_span(span: Span, file: Option<OwnedFd>, seats: u64) -> Self {
        Self {
            #[cfg(not(loom))]
            _guard: None,
            span,
            file,
            semaphores: Vec::new(),
            foreign: false,
            locks: (0..seats).map(|_| Word::new(0)).collect(),
            _attached: None,
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
            let seats = if file.is_some() { 0 } else { SEATS_MAX };
            Ok(Self { foreign: true, ..Self::with_span(span, file, seats) })
        }
    }

    /// The memory.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// The semaphore of an event, if the ring waits on such.
    pub(crate) fn semaphore(&self, event: usize) -> Option<&Semaphore> {
        self.semaphores.get(event)
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
    pub(crate) fn create_heap(format: &Format, initialise: Initialise<'_>) -> Result<Self, Error> {
        let len = usize::try_from(format.len).map_err(|_| Error::OUT_OF_MEMORY)?;
        let span = Span::heap(len).ok_or(Error::OUT_OF_MEMORY)?;
        initialise(&span);
        format.publish(&span);
        Ok(Self::with_span(span, None, format.seats))
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
        for at in
            (crate::layout::LINE..crate::layout::slots_at(format.kind, format.seats)).step_by(8)
        {
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
        let span = Span::heap(len).expect("models are small");
        (0..count)
            .map(|_| Self { foreign: true, ..Self::with_span(span.clone(), None, 2) })
            .collect()
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

    pub(crate) fn open_semaphores(&mut self, _: &Format) -> Result<(), Error> {
        Err(SHARED_UNDER_LOOM)
    }
}

/// Removes the name of a segment: models have none.
///
/// # Errors
/// Always.
#[cfg(loom)]
pub fn unlink(_: &str) -> Result<(), Error> {
    Err(SHARED_UNDER_LOOM)
}

/// Removes the name of a segment that nobody uses: models have none.
///
/// # Errors
/// Always.
#[cfg(loom)]
pub fn unlink_unused(_: &str) -> Result<(), Error> {
    Err(SHARED_UNDER_LOOM)
}
