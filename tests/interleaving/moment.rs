//! Runs one call in the midst of another: in the gap between two of its accesses.
//!
//! ```text
//!   one:    load ── ── store ── ── load ── ▶     the moments are the gaps; a copy of the
//!   other:        └───▶ whole                    message's bytes and an exchange have a
//! ```                                            gap on one side, the next access's
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ptr::with_exposed_provenance_mut;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use annulus::hooks::{Forger, Liar, forge, lie};

/// What is to be done at some moment.
struct Plan<W> {
    /// Moments until then; none: it is done.
    left: u64,
    work: Option<W>,
}

impl<W: FnOnce() + Send + 'static> Plan<W> {
    /// A moment has come: if it is the one, another thread does the work, start to end.
    fn pass(&mut self) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0
            && let Some(work) = self.work.take()
            && let Err(panic) = thread::spawn(work).join()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Runs `one`, and all of `other` in its `moment`th moment (the first is 1). The work comes
/// back if `one` has fewer moments.
pub fn in_midst<R, W: FnOnce() + Send + 'static>(
    moment: u64,
    one: impl FnOnce() -> R,
    other: W,
) -> (R, Option<W>) {
    let plan = Rc::new(RefCell::new(Plan { left: moment, work: Some(other) }));
    let loads = Rc::clone(&plan);
    let liar: Liar = Box::new(move |_, truth| {
        loads.borrow_mut().pass();
        truth
    });
    let stores = Rc::clone(&plan);
    let forger: Forger = Box::new(move |_, address, value| {
        let mut plan = stores.borrow_mut();
        plan.pass();
        if plan.left != 1 || plan.work.is_none() {
            return Some(value);
        }
        // Behind the store is the moment, so it is done here.
        let word = with_exposed_provenance_mut(address);
        // SAFETY: I4, I5: the word that the library is about to store to, in a segment that
        // lives meanwhile and is reached through atomics alone.
        unsafe { AtomicU64::from_ptr(word) }.store(value, Ordering::SeqCst);
        plan.pass();
        None
    });
    let result = lie(liar, || forge(forger, one));
    let work = plan.borrow_mut().work.take();
    (result, work)
}
