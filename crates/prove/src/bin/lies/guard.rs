//! An allocator that puts rings between two pages that can't be touched.
//!
//! ```text
//!   [ no access ][ .. unused ][ a ring, up to the last line ][ no access ]
//! ```
//!
//! Rings are what is aligned to a line, 128 bytes; the rest goes to the system. The pages
//! are kept and used again, since making them costs more than an execution.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

const LINE: usize = 128;
const PAGE: usize = 4096;

/// Most pages of a ring that is guarded, and how many of a length are kept.
const PAGES: usize = 16;
const KEPT: usize = 8;

/// The allocator.
pub struct Guarded;

/// Kept lots, by their pages: the address of the first page that can be touched.
static LOTS: [[AtomicUsize; KEPT]; PAGES + 1] =
    [const { [const { AtomicUsize::new(0) }; KEPT] }; PAGES + 1];

/// How many allocations were guarded.
pub static COUNT: AtomicUsize = AtomicUsize::new(0);

fn pages_of(layout: Layout) -> Option<usize> {
    let pages = layout.size().div_ceil(PAGE);
    (layout.align() == LINE && (1..=PAGES).contains(&pages)).then_some(pages)
}

/// New pages between two guards; 0: none.
fn map(pages: usize) -> usize {
    let (len, flags) = ((pages + 2) * PAGE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: I4: a new mapping, for nobody but the caller.
    let base = unsafe { libc::mmap(core::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return 0;
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let first = base.wrapping_byte_add(PAGE);
    // SAFETY: I4: inside what was just mapped.
    let opened = unsafe { libc::mprotect(first, pages * PAGE, access) };
    if opened == 0 { first.expose_provenance() } else { 0 }
}

// SAFETY: I4: every block is inside a mapping of its own, which is never unmapped and has
// one owner at a time; what is not guarded is the system's.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(pages) = pages_of(layout) else {
            // SAFETY: I4: as the caller promised.
            return unsafe { System.alloc(layout) };
        };
        let kept =
            LOTS[pages].iter().map(|lot| lot.swap(0, Ordering::AcqRel)).find(|lot| *lot != 0);
        let first = kept.unwrap_or_else(|| map(pages));
        if first == 0 {
            return core::ptr::null_mut();
        }
        COUNT.fetch_add(1, Ordering::Relaxed);
        // Its end is the guard's beginning, but for less than a line.
        let at = first + pages * PAGE - layout.size().next_multiple_of(LINE);
        core::ptr::with_exposed_provenance_mut(at)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if pages_of(layout).is_none() {
            // SAFETY: I4: as the caller promised.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: I4: as the caller promised.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: I4: just allocated, and so long.
            unsafe { core::ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(pages) = pages_of(layout) else {
            // SAFETY: I4: as the caller promised.
            return unsafe { System.dealloc(block, layout) };
        };
        let first = block.addr() + layout.size().next_multiple_of(LINE) - pages * PAGE;
        for lot in &LOTS[pages] {
            if lot.compare_exchange(0, first, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return;
            }
        }
        // As many are kept already; one in a thousand is not worth unmapping.
    }
}
