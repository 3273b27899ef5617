//! How a ring is made or opened, for rings of any kind.
//!
//! Imports: atomic, layout, segment, endpoint, wait.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::atomic::{Bug, Span, seeded};
use crate::endpoint::Patience;
use crate::error::Error;
use crate::layout::{Kind, WaitMethod};
use crate::segment::{Access, Address, Expect, Format, Segment, Waiting};
use crate::{sys, wait};

/// Length that a ring with the default capacity stays under, in bytes.
pub(crate) const DEFAULT_BYTES: u64 = 1 << 20;

/// Maximum length of byte messages, unless the options say another.
const DEFAULT_MAX_LEN: u64 = 1024;

/// A kind of ring that [`Options`] can make and open.
pub trait RingKind: Sized + sealed::Sealed {}

pub(crate) mod sealed {
    use super::{Arc, Error, Expect, Format, Patience, Segment, Span};

    /// The part of `RingKind` that is this crate's own.
    pub trait Sealed {
        /// The same ring between peers that trust one another.
        type Trusted: super::RingKind;
        /// Seats of a new one, where the options may say another number.
        #[doc(hidden)]
        const DEFAULT_SEATS: Option<u64> = None;
        /// Whether participants may wait by semaphores: where one at most waits for each
        /// event.
        #[doc(hidden)]
        const SEMAPHORES: bool = true;
        /// What the header must say, `capacity` and `type_tag` left to the options.
        #[doc(hidden)]
        fn expect() -> Expect;
        /// Writes the control words and the first stamps of a new segment.
        #[doc(hidden)]
        fn initialise(span: &Span, format: &Format, start: u64);
        /// Slots, or bytes of a stream, in about [`DEFAULT_BYTES`](super::DEFAULT_BYTES).
        #[doc(hidden)]
        fn default_capacity(message_size: u64) -> u64 {
            let expect = Self::expect();
            let rest = expect.message_align.max(8) + expect.kind.prefix();
            // Too large a message is refused by the format.
            let slot = message_size.saturating_add(rest).checked_next_power_of_two();
            1 << (super::DEFAULT_BYTES / slot.unwrap_or(super::DEFAULT_BYTES)).max(2).ilog2()
        }
        /// A ring in a segment that was made or checked.
        #[doc(hidden)]
        fn assemble(
            segment: Arc<Segment>,
            format: Format,
            patience: Patience,
        ) -> Result<Self, Error>
        where
            Self: Sized;
    }
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
    max_len: Option<u64>,
    seats: Option<u64>,
    /// Another kind of the ring's family than the first.
    kind: Option<Kind>,
    wait_method: Option<WaitMethod>,
    fenced: bool,
    patience: Patience,
    access: Access,
    start: u64,
    _ring: PhantomData<fn() -> R>,
}

impl<R> Clone for Options<R> {
    fn clone(&self) -> Self {
        self.convert()
    }
}

impl<R> core::fmt::Debug for Options<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Options")
            .field("capacity", &self.capacity)
            .field("type_tag", &self.type_tag)
            .field("max_len", &self.max_len)
            .field("seats", &self.seats)
            .field("kind", &self.kind)
            .field("wait_method", &self.wait_method)
            .field("fenced", &self.fenced)
            .field("patience", &self.patience)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl<R> Options<R> {
    /// The same options for another type of ring.
    fn convert<S>(&self) -> Options<S> {
        Options {
            capacity: self.capacity,
            type_tag: self.type_tag,
            max_len: self.max_len,
            seats: self.seats,
            kind: self.kind,
            wait_method: self.wait_method,
            fenced: self.fenced,
            patience: self.patience,
            access: self.access,
            start: self.start,
            _ring: PhantomData,
        }
    }

    pub(crate) fn set_max_len(&mut self, bytes: u64) {
        self.max_len = Some(bytes);
    }

    pub(crate) fn owner_asked(&self) -> Option<u32> {
        self.access.owner
    }

    pub(crate) fn set_seats(&mut self, seats: u64) {
        self.seats = Some(seats);
    }

    pub(crate) fn set_kind(&mut self, kind: Kind) {
        self.kind = Some(kind);
    }
}

/// What a new or opened ring is like.
impl<R: RingKind> Options<R> {
    pub(crate) fn new() -> Self {
        Self {
            capacity: None,
            type_tag: None,
            max_len: None,
            seats: None,
            kind: None,
            wait_method: None,
            fenced: false,
            patience: Patience::DEFAULT,
            access: Access::DEFAULT,
            start: 0,
            _ring: PhantomData,
        }
    }

    /// Number of slots, or bytes of a stream: a power of two, at most 2^32; of bytes at
    /// least 8.
    ///
    /// When creating, the default is as many as fit 1 MiB, at least 2. When opening,
    /// the default is to take what is there; a number must match.
    pub fn capacity(mut self, capacity: u64) -> Self {
        self.capacity = Some(capacity);
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

    /// How blocked participants sleep. When creating, [`WaitMethod::Futex`] by default.
    /// When opening, a method that is given must match; none given takes what is there,
    /// but for semaphores: those are for peers who trust one another's C library.
    ///
    /// [`WaitMethod::Semaphore`] needs a name to hang its own names on: named segments
    /// only; and of rings with one sender and one receiver. They go with [`unlink`](crate::unlink); a creator that is killed at the wrong
    /// moment can leave them behind (`/dev/shm/sem.annulus-..`).
    pub fn wait_method(mut self, method: WaitMethod) -> Self {
        self.wait_method = Some(method);
        self
    }

    /// Orders a new ring's sleepers and notifiers by a fence on both sides, at about
    /// 10 ns a message: for peers that may not call `membarrier`. The default is that
    /// sleepers pay alone; where this process can't, the fences are used anyway.
    pub fn fenced(mut self, fenced: bool) -> Self {
        self.fenced = fenced;
        self
    }

    /// First position of a new ring, for tests at the far end of the number line.
    #[cfg(feature = "test-hooks")]
    #[doc(hidden)]
    pub fn start(mut self, position: u64) -> Self {
        self.start = position;
        self
    }
}

/// How this process's endpoints wait.
impl<R: RingKind> Options<R> {
    /// How long they poll with a pause in between before they yield; 1 us by default. The
    /// first 32 polls, about half of that, are made in any case.
    pub fn spin(mut self, time: Duration) -> Self {
        self.patience.spin = time;
        self
    }

    /// How long they then poll with the processor given away in between before they
    /// sleep; 19 us by default.
    pub fn yielding(mut self, time: Duration) -> Self {
        self.patience.yielding = time;
        self
    }

    /// The longest they sleep, or poll, without looking whether the peer lives: 100 ms
    /// by default, at least 1 ms.
    pub fn slice(mut self, time: Duration) -> Self {
        self.patience.slice = time.max(Duration::from_millis(1));
        self
    }
}

/// Who may reach the segment, and how it is mapped.
impl<R: RingKind> Options<R> {
    /// Permission bits, 0600 by default.
    ///
    /// A new segment gets exactly these, whatever the umask. An existing one is refused
    /// if it grants anything beyond them.
    pub fn mode(mut self, mode: u32) -> Self {
        self.access.mode = mode & 0o777;
        self
    }

    /// Gives a new segment to a group, to be used with a `mode` that lets it in.
    pub fn group(mut self, gid: u32) -> Self {
        self.access.group = Some(gid);
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

    /// Asks for huge pages: a hint, worth it from about 16 MiB up, where the file system
    /// has any (`/sys/kernel/mm/transparent_hugepage/shmem_enabled`).
    pub fn huge_pages(mut self, ask: bool) -> Self {
        self.access.huge_pages = ask;
        self
    }

    /// Keeps the segment's pages in memory (`mlock`); counts towards the process's limit.
    pub fn lock_memory(mut self, lock: bool) -> Self {
        self.access.lock_memory = lock;
        self
    }

    /// Guards this process against peers that truncate the file: what would be `SIGBUS`
    /// becomes [`Fault::Corrupt`](crate::Fault::Corrupt).
    ///
    /// Installs a handler for `SIGBUS`, process-wide and for good, which passes faults of
    /// other memory on to the one that was there before. For named segments and files:
    /// memfds are sealed. At most 1024 segments at once.
    pub fn sigbus_guard(mut self, guard: bool) -> Self {
        self.access.sigbus_guard = guard;
        self
    }

    /// Trusts every process that may write the segment, for endpoints whose guards lend
    /// slices and references into it, without a copy.
    ///
    /// Without this, safe methods copy in and out: a reference to memory that another
    /// process changes meanwhile is undefined behaviour in Rust, whatever is done with
    /// it. Rings on the heap need no such trust, since safe code can't misuse them.
    ///
    /// # Safety
    /// As long as the ring or an endpoint lives, no other process writes to a message
    /// while this process holds a guard on it: all participants use this crate, or keep
    /// its protocol. No one shortens the file.
    pub unsafe fn trust_peers(&self) -> Options<R::Trusted> {
        self.convert()
    }
}

/// Where the ring is made or found.
impl<R: RingKind> Options<R> {
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
        let initialise = self.initialise(&format);
        self.assemble(Segment::create_named(&address, &format, self.access, &initialise)?, format)
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
                Err(Error::AlreadyExists { .. })
                    if tries > 0 || seeded(Bug::OpensOrCreatesForEver) => {}
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
        let format = self.nameless()?;
        let initialise = self.initialise(&format);
        self.assemble(Segment::create_memfd(name, &format, self.access, &initialise)?, format)
    }

    /// Opens the ring in a memfd that was passed to this process.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Field::Seals`](crate::Field::Seals) if its size is
    /// not sealed.
    pub fn from_fd(&self, memfd: OwnedFd) -> Result<R, Error> {
        self.refuse_semaphores()?;
        let (segment, format) = Segment::open_fd(memfd, self.access)?;
        self.checked(segment, format)
    }

    /// Makes a new ring in this process's own memory, for its threads; trusted by
    /// construction.
    ///
    /// # Errors
    /// [`Error::Option`] for a capacity that is no power of two.
    pub fn create_heap(&self) -> Result<R::Trusted, Error> {
        let format = self.nameless()?;
        let segment = Segment::create_heap(&format, &self.initialise(&format))?;
        self.convert::<R::Trusted>().assemble(segment, format)
    }

    /// Makes a new ring in memory that another library mapped.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if its first 128 bytes are not zero;
    /// [`Error::Mismatch`] if it is shorter than [`segment_len`](Self::segment_len).
    pub fn create_in(&self, segment: Segment) -> Result<R, Error> {
        let format = self.nameless()?;
        let segment = segment.create_in(&format, &self.initialise(&format))?;
        self.assemble(segment, format)
    }

    /// Opens the ring in memory that another library mapped.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(&self, segment: Segment) -> Result<R, Error> {
        self.refuse_semaphores()?;
        let format = segment.open_in(&self.expect())?;
        self.assemble(segment, format)
    }

    /// Length in bytes of the segment that these options make.
    ///
    /// # Errors
    /// [`Error::Option`] for a capacity that is no power of two.
    pub fn segment_len(&self) -> Result<u64, Error> {
        Ok(self.format()?.len)
    }

    pub(crate) fn expect(&self) -> Expect {
        let mut expect = R::expect();
        if let Some(kind) = self.kind {
            expect.kind = kind;
            expect.sibling = None;
        }
        expect.capacity = self.capacity;
        expect.seats = self.seats;
        expect.message_size = expect.message_size.or(self.max_len);
        expect.type_tag = self.type_tag.unwrap_or(expect.type_tag);
        expect.wait_method = self.wait_method;
        expect
    }

    fn format(&self) -> Result<Format, Error> {
        if self.wait_method == Some(WaitMethod::Semaphore) && !R::SEMAPHORES {
            return Err(Error::Unsupported("semaphores where several wait for one event"));
        }
        let mut expect = self.expect();
        expect.seats = expect.seats.or(R::DEFAULT_SEATS);
        let message_size = expect.message_size.unwrap_or(DEFAULT_MAX_LEN);
        let capacity = self.capacity.unwrap_or_else(|| R::default_capacity(message_size));
        let barrier = wait::barrier_form(self.fenced);
        let waiting = Waiting { method: self.wait_method.unwrap_or_default(), barrier };
        Format::new(&expect, message_size, capacity, waiting, sys::creation_id())
    }

    /// As `format`, for a segment without a name of its own.
    fn nameless(&self) -> Result<Format, Error> {
        self.refuse_semaphores()?;
        self.format()
    }

    fn refuse_semaphores(&self) -> Result<(), Error> {
        match self.wait_method {
            Some(WaitMethod::Semaphore) => {
                Err(Error::Unsupported("semaphores on a segment without a name"))
            }
            _ => Ok(()),
        }
    }

    /// What a new segment gets besides its header.
    fn initialise(&self, format: &Format) -> impl Fn(&Span) + use<R> {
        let (format, start) = (*format, self.start);
        move |span| R::initialise(span, &format, start)
    }

    fn checked(&self, mut segment: Segment, format: Format) -> Result<R, Error> {
        format.check(&self.expect())?;
        if format.wait_method == WaitMethod::Semaphore {
            segment.open_semaphores(&format)?;
        }
        segment.bring_in(self.access)?;
        self.assemble(segment, format)
    }

    fn assemble(&self, segment: Segment, format: Format) -> Result<R, Error> {
        wait::comply(&format)?;
        R::assemble(Arc::new(segment), format, self.patience)
    }
}
