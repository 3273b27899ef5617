//! The words that a team shares, and sleeping until they change.
//!
//! | line | written by | words |
//! |---|---|---|
//! | [`ORDER`] | the conductor | round, task, first number, count |
//! | [`ARRIVED`], [`SENT`] | members | arrivals so far, senders done so far |
//! | [`TOLD`], [`READY`] | members | how often anybody has told something, who is ready |
//! | [`END`] on | who fails first | stop, reason |
//! | [`MEMBERS`] on | each its own | round done, then what it came to |
//! | [`PROBE`] on | members | the bare line's two words |
#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use memmap2::MmapRaw;

/// No two members write within so many bytes.
const LINE: usize = 128;
const ORDER: usize = 0;
const ARRIVED: usize = LINE;
const SENT: usize = 2 * LINE;
const TOLD: usize = 3 * LINE;
const READY: usize = 4 * LINE;
const END: usize = 5 * LINE;
const TEXT: usize = 6 * LINE;
const TEXT_WORDS: usize = 32;
const MEMBERS: usize = 10 * LINE;
const PROBE: usize = 26 * LINE;
const SIZE: usize = 4096;

/// What all are to do.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Which task: see [`crate::task::Task`].
    pub task: u64,
    /// The first message's number.
    pub first: u64,
    /// Messages of all senders together, or round trips.
    pub count: u64,
    /// Members that have stood at a start when this one begins.
    pub arrivals: u64,
    /// Senders that have been done when this one ends.
    pub sent: u64,
}

/// What one member came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// When it began and ended, in nanoseconds of the monotonic clock.
    pub begin: u64,
    pub end: u64,
    /// Its own figure, where it has one, in picoseconds.
    pub figure: u64,
    /// Of what it has sent, less what it has received.
    pub sum: u64,
    pub lost: u64,
    pub repeated: u64,
    pub damaged: u64,
    /// How often another program had its core.
    pub switches: u64,
}

/// The shared words, in a file that all have mapped.
pub struct Board(MmapRaw);

impl Board {
    pub fn create(path: &Path) -> Result<Board> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.set_len(SIZE as u64)?;
        Ok(Board(MmapRaw::map_raw(&file)?))
    }

    pub fn open(path: &Path) -> Result<Board> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Board(MmapRaw::map_raw(&file)?))
    }

    #[inline(always)]
    fn word(&self, line: usize, index: usize) -> &AtomicU64 {
        let offset = line + 8 * index;
        assert!(offset + 8 <= SIZE);
        let word = self.0.as_mut_ptr().wrapping_add(offset).cast::<AtomicU64>();
        // SAFETY: inside the mapping, which nobody shortens and which lives as long as
        // `self`; aligned, since the mapping begins a page; only ever used as an atomic.
        unsafe { &*word }
    }

    /// One of the two bare lines.
    #[inline(always)]
    pub fn probe(&self, index: usize) -> &AtomicU64 {
        self.word(PROBE + index * LINE, 0)
    }

    /// Gives an order and wakes everybody.
    pub fn order(&self, round: u64, order: Order) {
        let words = [order.task, order.first, order.count, order.arrivals, order.sent];
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
                let word = |index| self.word(ORDER, index).load(Ordering::Relaxed);
                let [task, first, count, arrivals, sent] = [1, 2, 3, 4, 5].map(word);
                return (now, Order { task, first, count, arrivals, sent });
            }
            futex(self.word(ORDER, 0), libc::FUTEX_WAIT, round as u32);
        }
    }

    /// Stands at the start until all do.
    pub fn line_up(&self, arrivals: u64) -> Result<()> {
        let arrived = self.word(ARRIVED, 0);
        arrived.fetch_add(1, Ordering::AcqRel);
        let mut waiter = Waiter::new(self);
        while arrived.load(Ordering::Acquire) < arrivals {
            waiter.pause()?;
        }
        Ok(())
    }

    /// A sender has sent all that it was asked for.
    pub fn all_sent(&self) {
        self.word(SENT, 0).fetch_add(1, Ordering::AcqRel);
    }

    /// Senders that were ever done.
    pub fn sent(&self) -> u64 {
        self.word(SENT, 0).load(Ordering::Acquire)
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
        let Outcome { begin, end, figure, sum, lost, repeated, damaged, switches } = outcome;
        let words = [begin, end, figure, sum, lost, repeated, damaged, switches];
        for (index, word) in words.into_iter().enumerate() {
            self.word(line, 1 + index).store(word, Ordering::Relaxed);
        }
        // Pairs with `is_done`.
        self.word(line, 0).store(round, Ordering::Release);
        self.tell();
    }

    pub fn is_done(&self, member: usize, round: u64) -> bool {
        self.word(MEMBERS + member * LINE, 0).load(Ordering::Acquire) == round
    }

    pub fn outcome(&self, member: usize) -> Outcome {
        let word = |index| self.word(MEMBERS + member * LINE, index).load(Ordering::Relaxed);
        let [begin, end, figure, sum, lost, repeated, damaged, switches] =
            [1, 2, 3, 4, 5, 6, 7, 8].map(word);
        Outcome { begin, end, figure, sum, lost, repeated, damaged, switches }
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
    pub fn check(&self) -> Result<()> {
        if self.word(END, 0).load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let bytes: Vec<u8> = (0..TEXT_WORDS)
            .flat_map(|index| self.word(TEXT, index).load(Ordering::Relaxed).to_le_bytes())
            .take_while(|&byte| byte != 0)
            .collect();
        bail!("{}", String::from_utf8_lossy(&bytes))
    }
}

/// Waiting by polling: one `pause` for each empty poll, and now and then a look around.
pub struct Waiter<'a> {
    board: &'a Board,
    polls: u32,
}

/// Empty polls between two looks around: some 10 us.
const GLANCE: u32 = 256;

impl<'a> Waiter<'a> {
    pub fn new(board: &'a Board) -> Waiter<'a> {
        Waiter { board, polls: 0 }
    }

    /// To be called after each empty poll. Says whether there was a look around.
    #[inline(always)]
    pub fn pause(&mut self) -> Result<bool> {
        self.polls += 1;
        if self.polls.is_multiple_of(GLANCE) {
            return self.look_around();
        }
        std::hint::spin_loop();
        Ok(false)
    }

    #[cold]
    fn look_around(&self) -> Result<bool> {
        std::thread::yield_now();
        self.board.check()?;
        Ok(true)
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
