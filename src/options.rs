//! How a ring is made or opened, for rings of any kind.
//!
//! Imports: layout, segment.

use core::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::atomic::Span;
use crate::error::Error;
use crate::segment::{self, Access, Address, Expect, Format, Segment};
use crate::slots;
use crate::{layout, sys};

/// Length that a ring with the default capacity stays under, in bytes.
const DEFAULT_BYTES: u64 = 1 << 20;

/// What [`Options`] needs to know of a kind of ring.
pub trait RingKind: Sized + sealed::Sealed {}

pub(crate) mod sealed {
    use super::{Arc, Error, Expect, Format, Segment, Span};

    /// The part of `RingKind` that is this crate's own.
    pub trait Sealed {
        /// What the header must say, `capacity` and `type_tag` left to the options.
        #[doc(hidden)]
        fn expect() -> ExpectOf;
        /// Writes the control words of a new segment.
        #[doc(hidden)]
        fn initialise(span: SpanOf<'_>, start: u64);
        /// A ring in a segment that was made or checked.
        #[doc(hidden)]
        fn assemble(segment: SegmentOf) -> Result<Self, Error>
        where
            Self: Sized;
    }

    /// Keeps private types out of the public trait's signature.
    pub struct ExpectOf(pub(crate) Expect);

    /// As above.
    pub struct SpanOf<'a>(pub(crate) &'a Span);

    /// As above.
    pub struct SegmentOf(pub(crate) Arc<Segment>, pub(crate) Format);
}

/// Options for making or opening a ring; from the ring type's `options()`.
///
/// ```
/// use annulus::spsc::Ring;
///
/// let ring = Ring::<u64>::options().capacity(1024).create_heap()?;
/// assert_eq!(ring.capacity(), 1024);
/// # Ok::<(), annulus::Error>(())
/// ```
pub struct Options<R> {
    capacity: Option<u64>,
    type_tag: Option<u64>,
    access: Access,
    start: u64,
    _ring: PhantomData<fn() -> R>,
}

impl<R> Clone for Options<R> {
    fn clone(&self) -> Self {
        Self { _ring: PhantomData, ..*self }
    }
}

impl<R> core::fmt::Debug for Options<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Options")
            .field("capacity", &self.capacity)
            .field("type_tag", &self.type_tag)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl<R: RingKind> Options<R> {
    pub(crate) fn new() -> Self {
        let access = Access { mode: 0o600, owner: None, prefault: true };
        Self { capacity: None, type_tag: None, access, start: 0, _ring: PhantomData }
    }

    /// Number of slots: a power of two, at most 2^32.
    ///
    /// When creating, the default is as many as fit 1 MiB, at least 2. When opening,
    /// the default is to take what is there; a number must match.
    pub fn capacity(mut self, slots: u64) -> Self {
        self.capacity = Some(slots);
        self
    }

    /// Tells this message type from others of the same size and alignment.
    ///
    /// The default is a hash of the type's name, which can differ between compilers
    /// and after a move to another module: programs that are built apart should set
    /// a constant of their own.
    pub fn type_tag(mut self, tag: u64) -> Self {
        self.type_tag = Some(tag);
        self
    }

    /// Permission bits, 0600 by default.
    ///
    /// A new segment gets exactly these, whatever the umask. An existing one is refused
    /// if it grants anything beyond them.
    pub fn mode(mut self, mode: u32) -> Self {
        self.access.mode = mode & 0o777;
        self
    }

    /// The user who must own an existing segment; by default the one that this process
    /// acts as.
    pub fn owner(mut self, uid: u32) -> Self {
        self.access.owner = Some(uid);
        self
    }

    /// Whether all pages are brought in at once (the default), at about 2 us a page,
    /// so that no send or receive meets a page fault.
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.access.prefault = prefault;
        self
    }

    /// First position of a new ring, for tests at the far end of the number line.
    #[cfg(feature = "test-hooks")]
    #[doc(hidden)]
    pub fn start(mut self, position: u64) -> Self {
        self.start = position;
        self
    }

    /// Makes a new ring under an address, `shm:NAME` or `file:PATH`.
    ///
    /// The name appears when the ring is complete; a process that is killed meanwhile
    /// leaves nothing (or, on file systems without `O_TMPFILE`, a file called
    /// `.annulus-` and a random number). Costs the whole memory at once.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`]; [`Error::Os`] with `ENOSPC` if the memory can't be
    /// had; [`Error::Option`] for a capacity that is no power of two.
    pub fn create_new(&self, address: &str) -> Result<R, Error> {
        let (address, format) = (Address::parse(address)?, self.format()?);
        let segment =
            Segment::create_named(&address, &format, self.access, &self.initialise(&format))?;
        Self::assemble(segment, format)
    }

    /// Opens the ring under an address. Truncates, initialises and trusts nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Mismatch`], which names the field, what was found
    /// and what was expected; [`Error::Corrupt`].
    pub fn open(&self, address: &str) -> Result<R, Error> {
        let address = Address::parse(address)?;
        let (segment, format) = Segment::open_named(&address, self.access, true)?;
        self.checked(segment, format)
    }

    /// Opens the ring under an address, or makes it if there is none. Of several
    /// processes that do this at once one makes it and all open the same.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create_new`](Self::create_new). If the name keeps
    /// vanishing and coming back, [`Error::AlreadyExists`] after 100 tries.
    pub fn open_or_create(&self, address: &str) -> Result<R, Error> {
        let mut tries = 100;
        loop {
            match self.open(address) {
                Err(Error::NotFound { .. }) => {}
                outcome => return outcome,
            }
            tries -= 1;
            match self.create_new(address) {
                Err(Error::AlreadyExists { .. }) if tries > 0 => {}
                outcome => return outcome,
            }
        }
    }

    /// Makes a new ring in a memfd, sealed at its size, to be passed on as a descriptor.
    /// `name` is shown in `/proc` and need not be unique.
    ///
    /// # Errors
    /// As [`create_new`](Self::create_new).
    pub fn create_memfd(&self, name: &str) -> Result<R, Error> {
        let format = self.format()?;
        let segment = Segment::create_memfd(name, &format, self.access, &self.initialise(&format))?;
        Self::assemble(segment, format)
    }

    /// Opens the ring in a memfd that was passed to this process.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Field::Seals`](crate::Field::Seals) if its size is
    /// not sealed.
    pub fn from_fd(&self, memfd: OwnedFd) -> Result<R, Error> {
        let (segment, format) = Segment::open_fd(memfd, self.access)?;
        self.checked(segment, format)
    }

    /// Makes a new ring in this process's own memory, for its threads.
    ///
    /// # Errors
    /// [`Error::Option`] for a capacity that is no power of two.
    pub fn create_heap(&self) -> Result<R, Error> {
        let format = self.format()?;
        Self::assemble(Segment::create_heap(&format, &self.initialise(&format)), format)
    }

    /// Makes a new ring in memory that another library mapped.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if its first 128 bytes are not zero;
    /// [`Error::Mismatch`] if it is shorter than [`segment_len`](Self::segment_len).
    pub fn create_in(&self, segment: Segment) -> Result<R, Error> {
        let format = self.format()?;
        let segment = segment.create_in(&format, &self.initialise(&format))?;
        Self::assemble(segment, format)
    }

    /// Opens the ring in memory that another library mapped.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(&self, segment: Segment) -> Result<R, Error> {
        let format = segment.open_in(&self.expect())?;
        Self::assemble(segment, format)
    }

    /// Length in bytes of the segment that these options make.
    ///
    /// # Errors
    /// [`Error::Option`] for a capacity that is no power of two.
    pub fn segment_len(&self) -> Result<u64, Error> {
        Ok(self.format()?.len)
    }

    fn expect(&self) -> Expect {
        let mut expect = R::expect().0;
        expect.capacity = self.capacity;
        expect.type_tag = self.type_tag.unwrap_or(expect.type_tag);
        expect
    }

    fn format(&self) -> Result<Format, Error> {
        let expect = self.expect();
        let capacity = match self.capacity {
            Some(capacity) => capacity,
            None => {
                let shape = layout::SlotShape::new(
                    expect.message_size as usize,
                    expect.message_align as usize,
                );
                let slots = (DEFAULT_BYTES / shape.stride as u64).max(2);
                1 << slots.ilog2()
            }
        };
        segment::check_capacity(capacity)?;
        Format::new(expect, capacity, sys::creation_id())
    }

    /// What a new segment gets besides its header.
    fn initialise(&self, format: &Format) -> impl Fn(&Span) + use<R> {
        let (format, start) = (*format, self.start);
        move |span| {
            slots::initialise(span, &format, start);
            R::initialise(sealed::SpanOf(span), start);
        }
    }

    fn checked(&self, segment: Segment, format: Format) -> Result<R, Error> {
        format.check(&self.expect())?;
        Self::assemble(segment, format)
    }

    fn assemble(segment: Segment, format: Format) -> Result<R, Error> {
        R::assemble(sealed::SegmentOf(Arc::new(segment), format))
    }
}
