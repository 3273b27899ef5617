//! The futex under loom: a word, a mutex and a condition variable, so that the wait
//! protocol itself is explored. Like the kernel's it compares and goes to sleep in one
//! step with regard to wakers; it knows no time, so a lost wake-up is a deadlock, which
//! loom reports.

use std::io;

use loom::sync::{Condvar, Mutex};

use super::edge::Edge;
use super::{Word, may_access};
use crate::sys::Until;

pub(crate) use crate::sys::futex::Slept;

/// Where the sleepers of one futex wait.
#[derive(Default)]
pub(crate) struct Parking {
    /// How many sleep.
    sleepers: Mutex<u32>,
    woken: Condvar,
}

/// A generation that sleepers wait on.
#[derive(Clone, Copy)]
pub(crate) struct Futex<'a> {
    word: &'a Word,
    parking: &'a Parking,
}

impl<'a> Futex<'a> {
    /// The futex that a word of a span is.
    pub(super) fn new(word: &'a Word, parking: &'a Parking) -> Self {
        Self { word, parking }
    }

    /// Reads the generation.
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn load(self, edge: Edge) -> u32 {
        self.word.load(edge) as u32
    }

    /// Starts a new generation.
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn bump(self, edge: Edge) {
        self.word.add_one(edge);
    }

    /// Sleeps while the generation is `expected`. Knows no time.
    pub(crate) fn wait(self, expected: u32, _: Until) -> io::Result<Slept> {
        if !may_access() {
            return Ok(Slept::Changed);
        }
        let mut sleepers = self.parking.sleepers.lock().expect("never poisoned");
        if self.word.peek() as u32 != expected {
            return Ok(Slept::Changed);
        }
        *sleepers += 1;
        drop(self.parking.woken.wait(sleepers).expect("never poisoned"));
        Ok(Slept::Woken)
    }

    /// Wakes at most `count` sleepers; says how many.
    pub(crate) fn wake(self, count: u32) -> io::Result<u32> {
        if !may_access() {
            return Ok(0);
        }
        let mut sleepers = self.parking.sleepers.lock().expect("never poisoned");
        let woken = count.min(*sleepers);
        *sleepers -= woken;
        for _ in 0..woken {
            self.parking.woken.notify_one();
        }
        Ok(woken)
    }
}
