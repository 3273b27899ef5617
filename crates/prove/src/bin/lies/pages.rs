//! What made executions slow, taken from the C library: single private pages, and sleep.
//!
//! ```text
//!   mmap(one private page)  ──▶ one of the lot, cleared    madvise(it) ──▶ done already
//!   munmap(it)              ──▶ back into the lot          all else    ──▶ the kernel
//!   a sleep of a millisecond ──▶ 30 us: longer than any call of an execution may wait
//! ```
//!
//! Every handle of annulus's takes a page that the kernel clears in a forked child, and making
//! and unmapping it costs more than an execution; so the pages are kept and used again. One who
//! can't be noted as a sleeper sleeps for a millisecond, which lies bring about often. The
//! functions take the place of the C library's in this program alone.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use libc::{c_int, c_long, c_void, off_t, size_t};

const PAGE: usize = 4096;

/// Pages of the lot: as many as a word has bits.
const LOT: usize = 64;

/// The longest sleep.
const SLEEP_NS: c_long = 30_000;

/// Which of them are in use.
static USED: AtomicU64 = AtomicU64::new(0);

/// Where they lie; 0: there are none.
fn lot() -> usize {
    static BASE: OnceLock<usize> = OnceLock::new();
    *BASE.get_or_init(|| {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let base = kernel_mmap(0, LOT * PAGE, access, flags, -1, 0);
        let advice = c_long::from(libc::MADV_WIPEONFORK);
        // SAFETY: I4: what was just mapped, which holds nothing; refused, the kernel says so.
        let advised = unsafe { libc::syscall(libc::SYS_madvise, base, LOT * PAGE, advice) };
        if advised == 0 { base } else { 0 }
    })
}

fn is_ours(address: usize, len: usize) -> bool {
    let base = lot();
    base != 0 && len == PAGE && (base..base + LOT * PAGE).contains(&address)
}

/// One that nobody uses, cleared.
fn take() -> Option<usize> {
    let base = lot();
    let free = |used: u64| (used != u64::MAX && base != 0).then(|| used | (used + 1));
    let used = USED.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).ok()?;
    let page = base + used.trailing_ones() as usize * PAGE;
    // SAFETY: I4: one page of the lot, whose last user has unmapped it.
    unsafe { core::ptr::write_bytes(core::ptr::with_exposed_provenance_mut::<u64>(page), 0, 8) };
    Some(page)
}

fn kernel_mmap(
    at: usize,
    len: size_t,
    access: c_int,
    flags: c_int,
    fd: c_int,
    from: off_t,
) -> usize {
    let (access, flags, fd) = (c_long::from(access), c_long::from(flags), c_long::from(fd));
    // SAFETY: I4: as the caller asks.
    let base = unsafe { libc::syscall(libc::SYS_mmap, at, len, access, flags, fd, from) };
    base.cast_unsigned() as usize
}

/// The C library's.
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap(
    at: *mut c_void,
    len: size_t,
    access: c_int,
    flags: c_int,
    fd: c_int,
    from: off_t,
) -> *mut c_void {
    let plain = flags == libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let plain = plain && access == libc::PROT_READ | libc::PROT_WRITE;
    if plain
        && at.is_null()
        && len == PAGE
        && let Some(page) = take()
    {
        return core::ptr::with_exposed_provenance_mut(page);
    }
    core::ptr::with_exposed_provenance_mut(kernel_mmap(
        at.expose_provenance(),
        len,
        access,
        flags,
        fd,
        from,
    ))
}

/// The C library's.
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn madvise(at: *mut c_void, len: size_t, advice: c_int) -> c_int {
    if advice == libc::MADV_WIPEONFORK && is_ours(at.addr(), len) {
        return 0;
    }
    // SAFETY: I4: as the caller promised.
    unsafe { libc::syscall(libc::SYS_madvise, at, len, c_long::from(advice)) as c_int }
}

/// The C library's.
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(at: *mut c_void, len: size_t) -> c_int {
    if is_ours(at.addr(), len) {
        let bit = 1 << ((at.addr() - lot()) / PAGE);
        USED.fetch_and(!bit, Ordering::AcqRel);
        return 0;
    }
    // SAFETY: I4: as the caller promised.
    unsafe { libc::syscall(libc::SYS_munmap, at, len) as c_int }
}

/// The C library's, but for no longer than any call of an execution may wait.
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_nanosleep(
    clock: libc::clockid_t,
    flags: c_int,
    time: *const libc::timespec,
    left: *mut libc::timespec,
) -> c_int {
    // SAFETY: I4: as the caller promised.
    let asked = unsafe { time.read() };
    let short = libc::timespec { tv_sec: 0, tv_nsec: asked.tv_nsec.min(SLEEP_NS) };
    let time = if flags == 0 && asked.tv_sec == 0 { &raw const short } else { time };
    let (clock, flags) = (c_long::from(clock), c_long::from(flags));
    // SAFETY: I4: as the caller promised.
    let outcome = unsafe { libc::syscall(libc::SYS_clock_nanosleep, clock, flags, time, left) };
    if outcome == 0 { 0 } else { std::io::Error::last_os_error().raw_os_error().unwrap_or(0) }
}

/// Sleeps end when they are over, not up to 50 us later.
pub fn wake_in_time() {
    // SAFETY: I5: a plain call with numbers. Refused, all is as it was.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}

/// A number that outlives the process: the first word of a file, mapped.
pub struct Progress(usize);

impl Progress {
    /// The file's first word.
    ///
    /// # Panics
    /// If it can't be mapped.
    pub fn of(file: &File) -> Self {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let at = kernel_mmap(0, PAGE, access, libc::MAP_SHARED, file.as_raw_fd(), 0);
        assert!(at != usize::MAX, "{}", std::io::Error::last_os_error());
        Self(at)
    }

    /// Notes a number.
    pub fn note(&self, number: u64) {
        let word = core::ptr::with_exposed_provenance::<AtomicU64>(self.0);
        // SAFETY: I4: mapped for good, aligned to a page, and the file is a word long.
        unsafe { &*word }.store(number, Ordering::Relaxed);
    }
}
