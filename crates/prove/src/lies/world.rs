//! Where the rings of one execution lie, and how its calls are made.
//!
//! ```text
//!   heap      annulus's own memory: seats have locks, deaths are seen
//!   foreign   memory that we give: exactly as long as the segment, endpoints copy
//! ```
//!
//! Both are allocated aligned to 128 bytes, so that AddressSanitizer, or the allocator of
//! the plain program, sees an access beyond their ends.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::Duration;

use annulus::hooks::{self, Op};
use annulus::{Error, Options, RingKind, Segment};

use super::script::{Input, Place, Script, liar};
use super::seen::Noted;

/// Bytes before the first seat's state: the header.
const FIRST_SEAT: usize = 128;

/// Memory that a ring is made in; freed when the last handle is gone.
struct Lot {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: I5: the memory is reached through the ring alone.
unsafe impl Send for Lot {}
// SAFETY: as above.
unsafe impl Sync for Lot {}

impl Drop for Lot {
    fn drop(&mut self) {
        // SAFETY: I4: allocated with this layout, and the last view is gone.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}

/// Zeroed memory of a length, as a segment, and where it lies.
pub(super) fn lot(len: usize) -> (Segment, Place) {
    let layout = Layout::from_size_align(len, 128).expect("a small one");
    // SAFETY: I1: segments are not empty.
    let base = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("little memory");
    let place = Place { base: base.as_ptr().expose_provenance(), len };
    // SAFETY: I4: it stays until the owner is dropped, and nothing else uses it.
    let segment = unsafe { Segment::from_mapping(base, len, None, Box::new(Lot { base, layout })) };
    (segment.expect("aligned to a line"), place)
}

/// The options of an execution: no spinning, and the shortest slice.
pub(super) fn patient<R: RingKind>(options: Options<R>) -> Options<R> {
    let options = options.slice(Duration::from_millis(1));
    options.spin(Duration::ZERO).yielding(Duration::ZERO).fenced(true)
}

/// Where a new ring's positions begin: at 0, in the middle, or near the end.
pub(super) fn start(input: &mut Input<'_>) -> u64 {
    let byte = u64::from(input.byte());
    match byte % 8 {
        0 => (1 << 62) - 1 - byte / 8,
        1 => (1 << 51) + byte,
        _ => byte / 8,
    }
}

/// One execution's lies and limits.
pub(super) struct World {
    script: Rc<RefCell<Script>>,
    place: Place,
    budget: u64,
}

impl World {
    pub(super) fn new(input: &mut Input<'_>, place: Place, capacity: u64, budget: u64) -> Self {
        Self { script: Script::read(input, place, capacity), place, budget }
    }

    /// Where a heap ring lies, by the first look at its first seat: `seat` takes that.
    pub(super) fn find<S>(len: u64, seat: impl FnOnce() -> S) -> (S, Place) {
        let (seat, accesses) = hooks::trace(seat);
        let is_look = |it: &&hooks::Access| it.op == Op::Load && it.edge == "seat::ACQUIRE";
        let look = accesses.iter().find(is_look).expect("its state is read");
        (seat, Place { base: look.address - FIRST_SEAT, len: len as usize })
    }

    /// Makes a call whose every load from the segment may lie, and whose accesses are
    /// limited. Notes how it ends.
    pub(super) fn call<R: Noted>(&self, input: &mut Input<'_>, call: impl FnOnce() -> R) -> R {
        self.script.borrow_mut().turn_to(input.byte());
        let said = self.quietly(call);
        said.noted();
        said
    }

    /// The same, of a call that ends in no error.
    pub(super) fn quietly<R>(&self, call: impl FnOnce() -> R) -> R {
        hooks::lie(liar(&self.script), || hooks::budget(self.budget, call))
    }

    /// The ring is new, and its first position is `now`: what is told of its head and tail is
    /// noted.
    pub(super) fn watch(&self, now: u64) {
        self.script.borrow_mut().watch(now);
    }

    /// A sender has come from one position to another. Whatever its memory said, it has not
    /// gone further than a lap behind a head that it was told of and that can have been:
    /// nobody receives what was not sent.
    pub(super) fn check_sent(&self, before: u64, after: u64, capacity: u64) {
        let possible = after.saturating_sub(capacity)..=after;
        let told = after == before || self.script.borrow().heads.any(possible);
        assert!(told, "sent from {before} to {after}, with room that no possible head had told");
    }

    /// The same of a stream's receiver: a tail is possible up to a lap ahead.
    pub(super) fn check_received(&self, before: u64, after: u64, capacity: u64) {
        let told = after == before || self.script.borrow().tails.any(after..=after + capacity);
        assert!(told, "received from {before} to {after}, which no possible tail had told");
    }

    /// Writes into the segment, past everybody.
    pub(super) fn scribble(&self, input: &mut Input<'_>) {
        let at = usize::from(input.byte()) * 8 + usize::from(input.byte()) * 256;
        let byte = u64::from(input.byte());
        let value = match byte % 4 {
            0 => byte / 4,
            1 => (1 << 62) - 16 + byte / 4,
            2 => ((byte / 4) << 8) | (byte % 6),
            _ => input.word(),
        };
        // What the header says was read long ago, but for who opens it.
        self.place.scribble(at, value);
    }
}

/// How long a call may wait: mostly not at all.
pub(super) fn time(input: &mut Input<'_>) -> Duration {
    match input.byte() {
        255 => Duration::from_micros(30),
        254 => Duration::from_micros(1),
        _ => Duration::ZERO,
    }
}

/// Notes how a coming ended.
pub(super) fn came<S>(
    world: &World,
    input: &mut Input<'_>,
    come: impl FnOnce() -> Result<S, Error>,
) -> Option<S> {
    world.call(input, come).ok()
}
