//! Message bytes in and out of shared memory. Nothing else touches them.
//!
//! A peer may write to the memory while it is copied, so no reference to it is ever
//! made: short copies are relaxed 8-byte words (which race with nothing by the memory
//! model), long ones are opaque machine code (which the compiler may assume nothing
//! of), and what arrives is plain bytes. Up to [`WORDS_MAX`] bytes the words win;
//! above, the string instruction is as fast as `memcpy`.
//!
//! Imports: `atomic`, `sys` (a descriptor's reads and writes).
#![allow(unsafe_code)]

#[cfg(not(loom))]
use core::ptr::NonNull;
#[cfg(not(loom))]
use std::io;
#[cfg(not(loom))]
use std::os::fd::BorrowedFd;

use crate::atomic::Area;
#[cfg(feature = "test-hooks")]
use crate::atomic::hooks::{self, Op};
#[cfg(not(loom))]
use crate::sys::transfer;

/// The longest copy that is made word by word, in bytes.
const WORDS_MAX: usize = 256;

/// Bytes of slots that a batch writes before it commits them: they stay in the first cache.
const RUN_BYTES: usize = 4096;

/// Messages in slots so far apart that a batch writes before it commits them.
pub(crate) const fn run_of(stride: usize) -> usize {
    let run = RUN_BYTES / stride;
    if run == 0 { 1 } else { run }
}

/// Copies `bytes` to `area`, from its byte `at` on.
///
/// # Panics
/// If they do not fit: lengths come from private geometry (I1).
#[inline(always)]
pub(crate) fn store(area: Area<'_>, at: usize, bytes: &[u8]) {
    assert!(at <= area.len() && bytes.len() <= area.len() - at);
    #[cfg(feature = "test-hooks")]
    {
        if !hooks::enter() {
            return;
        }
        hooks::record(Op::CopyIn, "payload", 0, bytes.len() as u64);
    }
    if cfg!(loom) || (bytes.len() <= WORDS_MAX && at.is_multiple_of(8)) {
        store_words(area, at, bytes);
    } else {
        #[cfg(not(loom))]
        opaque::store(area, at, bytes);
    }
}

/// As [`store`], and leaves the bytes behind them as they are, to the last one.
#[inline(always)]
pub(crate) fn store_within(area: Area<'_>, at: usize, bytes: &[u8]) {
    let partial = bytes.len().min((at + bytes.len()) % 8);
    let (whole, rest) = bytes.split_at(bytes.len() - partial);
    store(area, at, whole);
    merge(area, at + whole.len(), rest);
}

/// Copies `bytes` to `area` from any byte on, and leaves those before and behind as they
/// are: they may be another's to read.
///
/// # Panics
/// As [`store`].
#[inline(always)]
pub(crate) fn store_anywhere(area: Area<'_>, at: usize, bytes: &[u8]) {
    let words = bytes.len() <= WORDS_MAX && (at | bytes.len()).is_multiple_of(8);
    if cfg!(loom) || words {
        store_within(area, at, bytes);
        return;
    }
    #[cfg(not(loom))]
    {
        assert!(at <= area.len() && bytes.len() <= area.len() - at);
        #[cfg(feature = "test-hooks")]
        {
            if !hooks::enter() {
                return;
            }
            hooks::record(Op::CopyIn, "payload", 0, bytes.len() as u64);
        }
        opaque::store(area, at, bytes);
    }
}

/// Reads once from a descriptor into two stretches of the area, each an index and a
/// length; says how many bytes came.
///
/// # Panics
/// As [`store`].
#[cfg(not(loom))]
pub(crate) fn fill(
    area: Area<'_>,
    stretches: [(usize, usize); 2],
    fd: BorrowedFd<'_>,
) -> io::Result<usize> {
    #[cfg(feature = "test-hooks")]
    {
        if !hooks::enter() {
            return Ok(0);
        }
        hooks::record(Op::CopyIn, "payload", 0, (stretches[0].1 + stretches[1].1) as u64);
    }
    let stretches = stretches.map(|stretch| opaque::stretch(area, stretch));
    // SAFETY: I1, I4, I5: within the area, which lives; to others it is plain bytes.
    unsafe { transfer::read(fd, stretches) }
}

/// Writes two stretches of the area once to a descriptor; says how many bytes went.
///
/// # Panics
/// As [`store`].
#[cfg(not(loom))]
pub(crate) fn drain(
    area: Area<'_>,
    stretches: [(usize, usize); 2],
    fd: BorrowedFd<'_>,
) -> io::Result<usize> {
    #[cfg(feature = "test-hooks")]
    {
        if !hooks::enter() {
            return Ok(0);
        }
        hooks::record(Op::CopyOut, "payload", 0, (stretches[0].1 + stretches[1].1) as u64);
    }
    let stretches = stretches.map(|stretch| opaque::stretch(area, stretch));
    // SAFETY: I1, I4: within the area, which lives; the kernel takes any bytes.
    unsafe { transfer::write(fd, stretches) }
}

/// The byte of an area at `at`, for those who lend it.
///
/// # Panics
/// If there is none: offsets come from private geometry (I1).
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn at(area: Area<'_>, at: usize) -> NonNull<u8> {
    opaque::stretch(area, (at, 0)).0
}

/// Whether a [`fill`] or a [`drain`] failed because the memory is gone.
#[cfg(not(loom))]
pub(crate) fn is_unreachable(error: &io::Error) -> bool {
    transfer::is_unreachable(error)
}

/// Copies from `area`, from its byte `at` on, to all of `out`.
///
/// # Panics
/// If there are not so many: lengths come from private geometry (I1).
#[inline(always)]
pub(crate) fn load(area: Area<'_>, at: usize, out: &mut [u8]) {
    assert!(at <= area.len() && out.len() <= area.len() - at);
    #[cfg(feature = "test-hooks")]
    if !hooks::enter() {
        return;
    }
    if cfg!(loom) || (out.len() <= WORDS_MAX && at.is_multiple_of(8)) {
        load_words(area, at, out);
    } else {
        #[cfg(not(loom))]
        opaque::load(area, at, out);
    }
    #[cfg(feature = "test-hooks")]
    {
        hooks::copied_out(out);
        hooks::record(Op::CopyOut, "payload", 0, out.len() as u64);
    }
}

/// Word by word. A first part of a word keeps the bytes before it, which an earlier
/// copy wrote; a last part zeroes the bytes after it, which come later or never.
#[inline(always)]
fn store_words(area: Area<'_>, at: usize, bytes: &[u8]) {
    let (mut at, mut bytes) = (at, bytes);
    if !at.is_multiple_of(8) {
        let (first, rest) = bytes.split_at(bytes.len().min(8 - at % 8));
        merge(area, at, first);
        at += first.len();
        bytes = rest;
    }
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        // SAFETY: I1: `at + bytes.len()` fits the area, checked by the caller.
        unsafe { area.store_word(at / 8 + i, u64::from_le_bytes(*word)) };
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        // SAFETY: I1: as above; a last part of a word has its word in the area.
        unsafe { area.store_word(at / 8 + words.len(), u64::from_le_bytes(word)) };
    }
}

/// Replaces some bytes of one word.
#[inline(always)]
fn merge(area: Area<'_>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    // SAFETY: I1: the bytes fit the area, so their word begins in it.
    let mut word = unsafe { area.load_word(at / 8) }.to_le_bytes();
    word[at % 8..at % 8 + bytes.len()].copy_from_slice(bytes);
    // SAFETY: I1: as above.
    unsafe { area.store_word(at / 8, u64::from_le_bytes(word)) };
}

/// Word by word.
#[inline(always)]
fn load_words(area: Area<'_>, at: usize, out: &mut [u8]) {
    let (mut at, mut out) = (at, out);
    if !at.is_multiple_of(8) {
        let n = out.len().min(8 - at % 8);
        // SAFETY: I1: the bytes fit the area, so their word begins in it.
        let word = unsafe { area.load_word(at / 8) }.to_le_bytes();
        let (first, rest) = out.split_at_mut(n);
        first.copy_from_slice(&word[at % 8..at % 8 + n]);
        at += n;
        out = rest;
    }
    let (words, rest) = out.as_chunks_mut::<8>();
    let whole = words.len();
    for (i, word) in words.iter_mut().enumerate() {
        // SAFETY: I1: `at + out.len()` fits the area, checked by the caller.
        *word = unsafe { area.load_word(at / 8 + i) }.to_le_bytes();
    }
    if !rest.is_empty() {
        // SAFETY: I1: as above; a last part of a word has its word in the area.
        let word = unsafe { area.load_word(at / 8 + whole) }.to_le_bytes();
        rest.copy_from_slice(&word[..rest.len()]);
    }
}

/// Copies that the compiler can't see into.
#[cfg(not(loom))]
mod opaque {
    use super::Area;
    use crate::sys::transfer::Stretch;

    /// A stretch of an area, for the kernel.
    #[inline(always)]
    pub(super) fn stretch(area: Area<'_>, (at, len): (usize, usize)) -> Stretch {
        assert!(at <= area.len() && len <= area.len() - at);
        // SAFETY: I1: `at` is within the area.
        (unsafe { area.base().add(at) }, len)
    }

    #[inline(always)]
    pub(super) fn store(area: Area<'_>, at: usize, bytes: &[u8]) {
        // SAFETY: I1: `at` is within the area.
        let to = unsafe { area.base().add(at) };
        // SAFETY: I1, I4: the caller checked that all bytes fit; nobody holds a
        // reference into shared memory (I5), so the two do not overlap.
        unsafe { copy(to.as_ptr(), bytes.as_ptr(), bytes.len()) }
    }

    #[inline(always)]
    pub(super) fn load(area: Area<'_>, at: usize, out: &mut [u8]) {
        // SAFETY: I1: `at` is within the area.
        let from = unsafe { area.base().add(at) };
        // SAFETY: I1, I4: as in `store`, the other way round.
        unsafe { copy(out.as_mut_ptr(), from.as_ptr(), out.len()) }
    }

    /// The string instruction: as fast as `memcpy` from some hundred bytes up.
    ///
    /// # Safety
    /// Both spans are mapped for `len` bytes and do not overlap.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
        // SAFETY: I1, I4: promised by the caller. The direction flag is clear by the
        // calling convention.
        unsafe {
            core::arch::asm!(
                "rep movsb",
                inout("rcx") len => _,
                inout("rdi") to => _,
                inout("rsi") from => _,
                options(nostack, preserves_flags),
            );
        }
    }

    /// As above, on 32 bits, where `esi` is not free for operands.
    ///
    /// # Safety
    /// As above.
    #[cfg(target_arch = "x86")]
    #[inline(always)]
    unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
        // SAFETY: I1, I4: promised by the caller.
        unsafe {
            core::arch::asm!(
                "xchg {from}, esi",
                "rep movsb",
                "mov esi, {from}",
                from = inout(reg) from => _,
                inout("ecx") len => _,
                inout("edi") to => _,
                options(nostack, preserves_flags),
            );
        }
    }

    /// Pairs of 16-byte registers, then single bytes.
    ///
    /// # Safety
    /// As above.
    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
        // SAFETY: I1, I4: promised by the caller.
        unsafe {
            core::arch::asm!(
                "2: cmp {len}, #32",
                "b.lo 3f",
                "ldp {a:q}, {b:q}, [{from}], #32",
                "stp {a:q}, {b:q}, [{to}], #32",
                "sub {len}, {len}, #32",
                "b 2b",
                "3: cbz {len}, 4f",
                "ldrb {byte:w}, [{from}], #1",
                "strb {byte:w}, [{to}], #1",
                "sub {len}, {len}, #1",
                "b 3b",
                "4:",
                len = inout(reg) len => _,
                to = inout(reg) to => _,
                from = inout(reg) from => _,
                byte = out(reg) _,
                a = out(vreg) _,
                b = out(vreg) _,
                options(nostack),
            );
        }
    }

    /// Elsewhere: volatile bytes, slow and correct.
    ///
    /// # Safety
    /// As above.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
        for i in 0..len {
            // SAFETY: I1, I4: promised by the caller.
            let byte = unsafe { from.add(i).read_volatile() };
            // SAFETY: I1, I4: promised by the caller.
            unsafe { to.add(i).write_volatile(byte) };
        }
    }
}
