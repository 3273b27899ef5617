//! What the loads of one execution are told: the fuzzer's bytes, read as lies.
//!
//! ```text
//!   input   [ mode ][ n ][ n bytes: the script ][ the program … ]
//!   a load  ── truth ──▶ script: true now? │ which lie, how large, left in memory? ──▶ told
//! ```
//!
//! The script begins again at its end, so that a loop which needs lies to go on never runs
//! out of them. Only words of the segment are lied about.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use annulus::hooks::{self, Liar};

/// Where the segment lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) base: usize,
    pub(super) len: usize,
}

impl Place {
    fn holds(self, address: usize) -> bool {
        address >= self.base && address - self.base < self.len
    }

    /// Leaves a value in memory, as a scribbler would.
    pub(super) fn scribble(self, at: usize, value: u64) {
        let at = self.base + at / 8 * 8 % self.len;
        let word = core::ptr::with_exposed_provenance::<AtomicU64>(at);
        // SAFETY: I5: inside the segment, which outlives the execution; aligned; all of it is
        // reached through atomics, and through copies that assume nothing.
        unsafe { &*word }.store(value, Ordering::Relaxed);
    }
}

/// The bytes of an execution, read from the front; nothing but zeros behind the end.
#[derive(Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether anything is left.
    pub(super) fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first
    }

    /// A byte below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    pub(super) fn word(&mut self) -> u64 {
        let bytes: [u8; 8] = core::array::from_fn(|_| self.byte());
        u64::from_le_bytes(bytes)
    }

    pub(super) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }
}

/// Most lies in a call, but for those that are lied to for ever.
const MOST: u64 = 64;

/// The lies of one execution.
#[derive(Debug)]
pub(super) struct Script {
    bytes: Vec<u8>,
    at: usize,
    /// How many of 256 loads are told the truth.
    honest: u8,
    /// Lies can stay in memory.
    stays: bool,
    /// How many lies a call may yet be told: for ever in one of eight executions, since
    /// some calls go on for long while they are lied to.
    left: u64,
    forever: bool,
    /// True values of before, to be told again.
    truths: [u64; 4],
    heard: usize,
    place: Place,
    capacity: u64,
    /// What was told of the words that oracles look at.
    pub(super) heads: Told,
    pub(super) tails: Told,
}

/// All that was told of one word, by its address.
#[derive(Debug, Default)]
pub(super) struct Told {
    address: usize,
    values: Vec<u64>,
}

impl Told {
    /// Of the word at this place of the format's (`hooks::FORMAT`), which holds `now`.
    fn of(place: Place, name: &str, now: u64) -> Self {
        let at = hooks::FORMAT.iter().find(|(it, _)| *it == name).expect("a word's place").1;
        Self { address: place.base + at as usize, values: vec![now] }
    }

    fn hear(&mut self, address: usize, told: u64) {
        if self.address == address {
            self.values.push(told);
        }
    }

    /// Whether one of the values lies there.
    pub(super) fn any(&self, possible: std::ops::RangeInclusive<u64>) -> bool {
        self.values.iter().any(|value| possible.contains(value))
    }
}

impl Script {
    pub(super) fn read(input: &mut Input<'_>, place: Place, capacity: u64) -> Rc<RefCell<Self>> {
        let mode = input.byte();
        let count = input.byte() % 96;
        let honest = [0, 96, 160, 208, 236, 248][usize::from(mode % 6)];
        Rc::new(RefCell::new(Self {
            bytes: input.take(usize::from(count)).to_vec(),
            at: 0,
            honest,
            stays: mode & 0x40 != 0,
            left: 0,
            forever: mode & 0x38 == 0x38,
            truths: [0; 4],
            heard: 0,
            place,
            capacity,
            heads: Told::default(),
            tails: Told::default(),
        }))
    }

    /// Begins somewhere else in the script.
    pub(super) fn turn_to(&mut self, at: u8) {
        self.at = usize::from(at);
        self.left = if self.forever { u64::MAX } else { MOST };
    }

    fn next(&mut self) -> u8 {
        self.at += 1;
        self.bytes[(self.at - 1) % self.bytes.len()]
    }

    /// A value that is not the true one, or happens to be.
    fn lie(&mut self, truth: u64) -> u64 {
        let byte = u64::from(self.next());
        let near = byte.wrapping_sub(16);
        match self.next() % 16 {
            0 | 1 => truth.wrapping_add((byte % 9).wrapping_sub(4)),
            2 => truth ^ 1 << (byte % 64),
            3 => byte,
            4 => (1_u64 << 62).wrapping_add(near),
            5 => (1_u64 << 63).wrapping_add(near),
            6 => u64::MAX - byte,
            7 => truth.wrapping_add(self.capacity.wrapping_mul((byte % 17).wrapping_sub(8))),
            // A seat's state, of some incarnation.
            8 => ((byte >> 3) << 8) | (byte % 6),
            9 => truth & !3 | byte & 3,
            10 => self.truths[byte as usize % 4],
            // A position in an mpmc ring, or a claim of some.
            11 => (truth >> 2).wrapping_add(byte & 3) << 12 | byte >> 2,
            // Another lap of a broadcast.
            12 => truth.wrapping_add((byte % 9).wrapping_sub(4).wrapping_mul(2 * self.capacity)),
            13 => (truth >> 2).wrapping_add(byte % 9) << 2 | byte & 3,
            14 => 0,
            _ => u64::from_le_bytes(core::array::from_fn(|_| self.next())),
        }
    }

    /// Notes from here on what is told of the head and the tail of a ring of one sender and
    /// one receiver, which both are `now`.
    pub(super) fn watch(&mut self, now: u64) {
        self.heads = Told::of(self.place, "head", now);
        self.tails = Told::of(self.place, "tail", now);
    }

    fn answer(&mut self, edge: &str, truth: u64) -> u64 {
        let told = self.reply(edge, truth);
        if edge != "payload" {
            self.heads.hear(hooks::asked_about(), told);
            self.tails.hear(hooks::asked_about(), told);
        }
        told
    }

    fn reply(&mut self, edge: &str, truth: u64) -> u64 {
        let address = hooks::asked_about();
        let payload = edge == "payload";
        if self.bytes.is_empty() || (!payload && !self.place.holds(address)) {
            return truth;
        }
        if self.next() < self.honest {
            self.truths[self.heard % 4] = truth;
            self.heard += 1;
            return truth;
        }
        if self.left == 0 {
            return truth;
        }
        self.left -= 1;
        let told = self.lie(truth);
        if self.stays && !payload && self.next() & 1 == 0 {
            self.place.scribble(address - self.place.base, told);
        }
        told
    }
}

/// A liar that reads from the script.
pub(super) fn liar(script: &Rc<RefCell<Script>>) -> Liar {
    let script = Rc::clone(script);
    Box::new(move |edge, truth| script.borrow_mut().answer(edge, truth))
}
