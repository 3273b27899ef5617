//! The futex: sleep while a word in memory holds a value, across processes.
#![allow(unsafe_code)]

use std::io;

use super::clock::Until;

/// The call that takes 64-bit times.
#[cfg(target_pointer_width = "64")]
const FUTEX: libc::c_long = libc::SYS_futex;
/// As above: `futex_time64`, the same number on every 32-bit architecture (Linux 5.1).
#[cfg(target_pointer_width = "32")]
const FUTEX: libc::c_long = 422;

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slept {
    /// Somebody woke the sleeper, or the kernel did for no reason.
    Woken,
    /// The word held something else: no sleep.
    Changed,
    /// The time came.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Sleeps while the word at `address` holds `expected`, until `until` at the latest.
///
/// The address is that of a 32-bit word in a mapping; an address that is none any more
/// is an error (`EFAULT`), never a fault.
pub(crate) fn wait(address: *const u32, expected: u32, until: Until) -> io::Result<Slept> {
    let until = until.wide();
    // SAFETY: I4: the kernel checks the address itself; `until` lives through the call.
    // Without FUTEX_PRIVATE_FLAG: the sleeper and the waker are in different processes.
    let outcome = unsafe {
        libc::syscall(
            FUTEX,
            address,
            libc::FUTEX_WAIT_BITSET,
            expected,
            &raw const until,
            core::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    if outcome == 0 {
        return Ok(Slept::Woken);
    }
    slept(io::Error::last_os_error())
}

/// Most words that one can sleep on at once.
pub(crate) const WAIT_MOST: usize = 128;

/// One word to sleep on, as `futex_waitv` wants it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Waiting {
    expected: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// Sleeps while each word holds what is expected of it, until `until` at the latest.
/// `ENOSYS` before Linux 5.16.
///
/// # Panics
/// If there are more than [`WAIT_MOST`].
pub(crate) fn wait_any(words: &[(*const u32, u32)], until: Until) -> io::Result<Slept> {
    /// A 32-bit word, shared between processes.
    const FUTEX_32: u32 = 2;
    /// The same number on every architecture.
    const FUTEX_WAITV: libc::c_long = 449;
    assert!(words.len() <= WAIT_MOST);
    let mut waiting = [Waiting { expected: 0, address: 0, flags: 0, reserved: 0 }; WAIT_MOST];
    for (slot, (address, expected)) in waiting.iter_mut().zip(words) {
        slot.expected = u64::from(*expected);
        slot.address = address.addr() as u64;
        slot.flags = FUTEX_32;
    }
    let until = until.wide();
    // SAFETY: I4: the kernel checks the addresses itself; the list and `until` live through
    // the call.
    let outcome = unsafe {
        libc::syscall(
            FUTEX_WAITV,
            waiting.as_ptr(),
            words.len(),
            0,
            &raw const until,
            libc::CLOCK_MONOTONIC,
        )
    };
    if outcome >= 0 {
        return Ok(Slept::Woken);
    }
    slept(io::Error::last_os_error())
}

/// What the kernel's refusal to sleep on means.
fn slept(error: io::Error) -> io::Result<Slept> {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Ok(Slept::Changed),
        Some(libc::ETIMEDOUT) => Ok(Slept::TimedOut),
        Some(libc::EINTR) => Ok(Slept::Interrupted),
        _ => Err(error),
    }
}

/// Whether this kernel has no such call.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOSYS)
}

/// Wakes at most `count` sleepers on the word at `address`; says how many.
pub(crate) fn wake(address: *const u32, count: u32) -> io::Result<u32> {
    let count = count.min(i32::MAX as u32);
    // SAFETY: I4: the kernel checks the address itself.
    let woken = unsafe { libc::syscall(FUTEX, address, libc::FUTEX_WAKE, count) };
    u32::try_from(woken).map_err(|_| io::Error::last_os_error())
}
