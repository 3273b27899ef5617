//! The raw limits between two pinned processes, other than the memcpy stream, which
//! is a [transport](crate::transport::raw) so that it does the same work on the bytes.
//!
//! | limit | what happens |
//! |---|---|
//! | two lines | A stores X, B polls X and stores Y, A polls Y: the floor of a round trip through two rings |
//! | one line | both store to the same line in turns |
//! | fetch-add | both increment one word as fast as they can |
//!
//! Lines lie 128 bytes apart; one `pause` for each empty poll.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;
use crate::control::Control;
use crate::spin::Spin;

/// Which lines a round trip goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// There on one line, back on another.
    Two,
    /// Both ways on one line.
    One,
}

impl Lines {
    fn of<'a>(&self, control: &'a Control) -> (&'a AtomicU64, &'a AtomicU64) {
        match self {
            Lines::Two => (control.probe(0), control.probe(1)),
            Lines::One => (control.probe(2), control.probe(2)),
        }
    }
}

/// This process's part of one round trip after another. `number` only grows, so a
/// line is never reset: there it carries `2 * number`, back `2 * number + 1`.
pub(crate) struct Caller<'a> {
    there: &'a AtomicU64,
    back: &'a AtomicU64,
    spin: Spin,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(control: &'a Control, lines: Lines, spin: Spin) -> Caller<'a> {
        let (there, back) = lines.of(control);
        Caller { there, back, spin }
    }

    #[inline(always)]
    pub(crate) fn call(&mut self, number: u64) -> Result<(), Error> {
        self.there.store(2 * number, Ordering::Release);
        self.spin.begin();
        while self.back.load(Ordering::Acquire) != 2 * number + 1 {
            self.spin.empty()?;
        }
        Ok(())
    }
}

/// The peer's part: answers the numbers in `numbers`, in order.
pub(crate) fn answer(
    control: &Control,
    lines: Lines,
    mut spin: Spin,
    numbers: std::ops::Range<u64>,
) -> Result<(), Error> {
    let (there, back) = lines.of(control);
    for number in numbers {
        spin.begin();
        while there.load(Ordering::Acquire) != 2 * number {
            spin.empty()?;
        }
        back.store(2 * number + 1, Ordering::Release);
    }
    Ok(())
}

/// Either side's part of the contended counter.
pub(crate) fn increment(control: &Control, times: u64) {
    let counter = control.probe(3);
    for _ in 0..times {
        counter.fetch_add(1, Ordering::AcqRel);
    }
}
