//! The futex: sleep while a word in memory holds a value, across processes.
#![allow(unsafe_code)]

use std::io;

use super::clock::Until;

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
    let until = until.timespec();
    // SAFETY: I4: the kernel checks the address itself; `until` lives through the call.
    // Without FUTEX_PRIVATE_FLAG: the sleeper and the waker are in different processes.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_futex,
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
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Ok(Slept::Changed),
        Some(libc::ETIMEDOUT) => Ok(Slept::TimedOut),
        Some(libc::EINTR) => Ok(Slept::Interrupted),
        _ => Err(error),
    }
}

/// Wakes at most `count` sleepers on the word at `address`; says how many.
pub(crate) fn wake(address: *const u32, count: u32) -> io::Result<u32> {
    let count = count.min(i32::MAX as u32);
    // SAFETY: I4: the kernel checks the address itself.
    let woken = unsafe { libc::syscall(libc::SYS_futex, address, libc::FUTEX_WAKE, count) };
    u32::try_from(woken).map_err(|_| io::Error::last_os_error())
}
