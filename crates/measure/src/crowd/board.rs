//! The words that a crowd shares, and sleeping until they change.
//!
//! | line | written by | words |
//! |---|---|---|
//! | [`ORDER`] | this process | round, task, count, arrivals awaited |
//! | [`ARRIVED`] | members | arrivals so far |
//! | [`TOLD`] | members | how often anybody was ready or done |
//! | [`END`] | who fails first | stop, reason |
//! | [`MEMBERS`] on | each its own | round done, begin, end, sum, missed, spent |
//! | [`PROBE`] on | members | the bare line's two words, the counter |
//! | [`QUEUE`] on | members | the plain queue |
#![allow(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;
use crate::control::LINE;
use crate::shared::Shared;

const ORDER: usize = 0;
const ARRIVED: usize = LINE;
const TOLD: usize = 2 * LINE;
const READY: usize = 3 * LINE;
const END: usize = 4 * LINE;
const TEXT: usize = 5 * LINE;
const TEXT_WORDS: usize = 32;
const MEMBERS: usize = 8 * LINE;
const PROBE: usize = 24 * LINE;
const QUEUE: usize = 32 * LINE;
const SIZE: usize = 64 * 1024;

/// What all are to do.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub task: u64,
    pub count: u64,
    pub arrivals: u64,
}

/// What one member came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub begin: u64,
    pub end: u64,
    pub sum: u64,
    pub missed: u64,
    pub spent: u64,
}

/// The shared words.
pub struct Board(Shared);

impl Board {
    pub fn create() -> Result<Board, Error> {
        Shared::create(SIZE).map(Board)
    }

    pub fn attach(fd: OwnedFd) -> Result<Board, Error> {
        Shared::attach(fd).map(Board)
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    #[inline(always)]
    fn word(&self, line: usize, index: usize) -> &AtomicU64 {
        self.0.word(line + 8 * index)
    }

    /// A line of the probes.
    #[inline(always)]
    pub fn probe(&self, index: usize) -> &AtomicU64 {
        self.word(PROBE + index * LINE, 0)
    }

    /// A word of the plain queue.
    #[inline(always)]
    pub fn queue(&self, index: usize) -> &AtomicU64 {
        self.word(QUEUE, index)
    }

    /// Gives an order and wakes everybody.
    pub fn order(&self, round: u64, order: Order) {
        let words = [order.task, order.count, order.arrivals];
        for (index, word) in words.into_iter().enumerate() {
            self.word(ORDER, 1 + index).store(word, Ordering::Relaxed);
        }
        // Pairs with `next`.
        self.word(ORDER, 0).store(round, Ordering::Release);
        futex(self.word(ORDER, 0), libc::FUTEX_WAKE, i32::MAX as u32);
    }

    /// The order after this round's, once it is there.
    pub fn next(&self, round: u64) -> (u64, Order) {
        loop {
            let now = self.word(ORDER, 0).load(Ordering::Acquire);
            if now != round {
                let [task, count, arrivals] =
                    [1, 2, 3].map(|index| self.word(ORDER, index).load(Ordering::Relaxed));
                return (now, Order { task, count, arrivals });
            }
            futex(self.word(ORDER, 0), libc::FUTEX_WAIT, round as u32);
        }
    }

    /// Stands at the start until all do.
    pub fn line_up(&self, arrivals: u64) -> Result<(), Error> {
        let arrived = self.word(ARRIVED, 0);
        arrived.fetch_add(1, Ordering::AcqRel);
        let mut polls = 0_u32;
        while arrived.load(Ordering::Acquire) < arrivals {
            self.pause(&mut polls)?;
        }
        Ok(())
    }

    /// One `pause`, and now and then a look around: there may be more members than cores.
    #[inline(always)]
    pub fn pause(&self, polls: &mut u32) -> Result<(), Error> {
        *polls += 1;
        if polls.is_multiple_of(256) {
            std::thread::yield_now();
            return self.check();
        }
        std::hint::spin_loop();
        Ok(())
    }

    pub fn be_ready(&self) {
        self.word(READY, 0).fetch_add(1, Ordering::AcqRel);
        self.tell();
    }

    pub fn ready(&self) -> u64 {
        self.word(READY, 0).load(Ordering::Acquire)
    }

    /// Leaves what this member came to.
    pub fn finish(&self, member: usize, round: u64, outcome: Outcome) {
        let line = MEMBERS + member * LINE;
        let Outcome { begin, end, sum, missed, spent } = outcome;
        for (index, word) in [begin, end, sum, missed, spent].into_iter().enumerate() {
            self.word(line, 1 + index).store(word, Ordering::Relaxed);
        }
        // Pairs with `is_done`.
        self.word(line, 0).store(round, Ordering::Release);
        self.tell();
    }

    pub fn is_done(&self, member: usize, round: u64) -> bool {
        self.word(MEMBERS + member * LINE, 0).load(Ordering::Acquire) == round
    }

    pub fn result(&self, member: usize) -> Outcome {
        let word = |index| self.word(MEMBERS + member * LINE, index).load(Ordering::Relaxed);
        let [begin, end, sum, missed, spent] = [1, 2, 3, 4, 5].map(word);
        Outcome { begin, end, sum, missed, spent }
    }

    fn tell(&self) {
        self.word(TOLD, 0).fetch_add(1, Ordering::AcqRel);
        futex(self.word(TOLD, 0), libc::FUTEX_WAKE, 1);
    }

    /// How often anybody has told something: to be read before a look at what it was.
    pub fn told(&self) -> u64 {
        self.word(TOLD, 0).load(Ordering::Acquire)
    }

    /// Sleeps until somebody tells something more, a fifth of a second at most.
    pub fn sleep(&self, told: u64) {
        futex(self.word(TOLD, 0), libc::FUTEX_WAIT, told as u32);
    }

    /// Leaves a reason and stops all.
    pub fn fail(&self, reason: &str) {
        let text = reason.as_bytes();
        for index in 0..TEXT_WORDS {
            let mut word = [0; 8];
            let part = text.get(8 * index..).unwrap_or_default();
            let len = part.len().min(8);
            word[..len].copy_from_slice(&part[..len]);
            self.word(TEXT, index).store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        self.word(END, 0).store(1, Ordering::Release);
        self.tell();
    }

    /// The reason, once somebody has failed.
    pub fn check(&self) -> Result<(), Error> {
        if self.word(END, 0).load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let bytes: Vec<u8> = (0..TEXT_WORDS)
            .flat_map(|index| self.word(TEXT, index).load(Ordering::Relaxed).to_le_bytes())
            .take_while(|&byte| byte != 0)
            .collect();
        Err(Error::Peer(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// Waits, a fifth of a second at most, while the word's lower half is `value`; or wakes so
/// many.
fn futex(word: &AtomicU64, operation: i32, value: u32) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    // SAFETY: the address of a live word; the lower half comes first on a little-endian
    // machine, and the kernel checks the address all the same.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, &raw const time) };
}
