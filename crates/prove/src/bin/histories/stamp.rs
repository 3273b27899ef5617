//! Times that processes on different processors can compare.
#![allow(unsafe_code)]

/// The time before what follows: nothing of it has begun.
///
/// The processor's counter is constant and the same on all processors (`constant_tsc`,
/// `nonstop_tsc`). It may be read early or late relative to neighbouring instructions, so
/// fences stand on both sides.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn start() -> u64 {
    let mut of = 0;
    // SAFETY: reads a register, in all x86-64 processors of use; writes `of`.
    let now = unsafe { core::arch::x86_64::__rdtscp(&raw mut of) };
    // SAFETY: a fence: what follows begins after the counter was read.
    unsafe { core::arch::x86_64::_mm_lfence() };
    now
}

/// The time after what came before: all of it can be seen by others.
///
/// The fence is no caution. A store that has retired may still lie in its processor's store
/// buffer, where nobody else sees it. Without `mfence`, which empties the buffer, a send would
/// end before its message can be seen: a receive that begins after that end finds the ring
/// empty, and a ring that is right is called wrong. `rdtscp` waits for loads, not for this.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn end() -> u64 {
    // SAFETY: a fence.
    unsafe { core::arch::x86_64::_mm_mfence() };
    let mut of = 0;
    // SAFETY: as above.
    let now = unsafe { core::arch::x86_64::__rdtscp(&raw mut of) };
    // SAFETY: a fence.
    unsafe { core::arch::x86_64::_mm_lfence() };
    now
}

/// The time before what follows.
#[cfg(not(target_arch = "x86_64"))]
pub fn start() -> u64 {
    end()
}

/// The time after what came before: see the fence of x86-64.
#[cfg(not(target_arch = "x86_64"))]
pub fn end() -> u64 {
    use std::sync::atomic::{Ordering, fence};
    fence(Ordering::SeqCst);
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    fence(Ordering::SeqCst);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
