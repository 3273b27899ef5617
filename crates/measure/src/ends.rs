//! What either process does with its ends of a lane, one whole run at a time.
//!
//! The runs are generic over transport and size, so a message costs no indirect call;
//! [`Runs`] hides both from those who only ask for runs.

use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;
use zerocopy::FromZeros;

use crate::Error;
use crate::clock::ticks;
use crate::control::Control;
use crate::payload::{self, Aligned};
use crate::transport::{Receiving, Sending};

/// Up to this many words a message is built on the stack, as a user would.
const ON_STACK: usize = 128;

/// The runs of one process over its ends of one lane.
pub(crate) trait Runs {
    /// Sends the next `count` messages, `batch` at a time.
    fn send(&mut self, step: u64, count: u64, batch: usize) -> Result<(), Error>;
    /// Receives and checks the next `count` messages.
    fn receive(&mut self, step: u64, count: u64, batch: usize) -> Result<(), Error>;
    /// Sends a message and awaits the answer, `each` times for each entry of `times`,
    /// which gets the ticks that took.
    fn call(&mut self, step: u64, each: u64, times: &mut [u64]) -> Result<(), Error>;
    /// Answers `count` messages.
    fn echo(&mut self, step: u64, count: u64) -> Result<(), Error>;
    /// Sends these bytes, cut into messages.
    fn send_file(&mut self, step: u64, bytes: &[u8]) -> Result<(), Error>;
    /// Receives `len` bytes and returns what proves it.
    fn receive_file(&mut self, step: u64, len: usize, proof: Proof) -> Result<u64, Error>;
    /// Sends the next message with one bit of this word flipped.
    fn send_damaged(&mut self, word: usize) -> Result<(), Error>;
}

/// What a receiver computes from a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// [`payload::line_sum`]: every line touched, at next to no cost.
    LineSum,
    /// The XXH3 checksum of all bytes.
    Checksum,
}

impl Proof {
    pub(crate) fn from_word(word: u64) -> Proof {
        if word == Proof::Checksum as u64 { Proof::Checksum } else { Proof::LineSum }
    }

    /// The same, for bytes at hand.
    pub fn of(self, bytes: &[u8]) -> u64 {
        match self {
            Proof::LineSum => payload::line_sum(bytes),
            Proof::Checksum => xxhash_rust::xxh3::xxh3_64(bytes),
        }
    }
}

/// One process's ends: a sender, a receiver, or both where messages go both ways.
pub(crate) struct Ends<S, R, const W: usize> {
    control: Arc<Control>,
    sender: Option<S>,
    receiver: Option<R>,
    sent: u64,
    received: u64,
    message: Box<Aligned<W>>,
    batch: Vec<[u64; W]>,
}

impl<S: Sending<W>, R: Receiving<W>, const W: usize> Ends<S, R, W> {
    pub(crate) fn new(control: Arc<Control>, sender: Option<S>, receiver: Option<R>) -> Self {
        let (message, batch) = (Aligned::boxed(), Vec::new());
        Ends { control, sender, receiver, sent: 0, received: 0, message, batch }
    }

    fn room_for(&mut self, batch: usize) {
        if batch > 1 && self.batch.len() < batch {
            self.batch = <[u64; W]>::new_vec_zeroed(batch).expect("memory for a batch");
        }
    }
}

/// Splits a run of `count` messages where progress is noted for the watchdog: every
/// 256 KiB, and every 512 messages, of which each may cost a time slice where two who poll
/// share a core. `run` gets the numbers of its part, counted from `first`.
fn strides<const W: usize>(
    control: &Control,
    step: u64,
    first: u64,
    count: u64,
    mut run: impl FnMut(Range<u64>) -> Result<(), Error>,
) -> Result<(), Error> {
    let stride = (256 * 1024 / (8 * W)).clamp(1, 512) as u64;
    let (mut next, end) = (first, first + count);
    while next < end {
        control.progress(step, next);
        let part = next..end.min(next + stride);
        next = part.end;
        run(part)?;
    }
    Ok(())
}

fn one_way() -> Error {
    Error::Spec("this lane does not go both ways".into())
}

#[inline(always)]
fn send_each<const W: usize>(
    sender: &mut impl Sending<W>,
    message: &mut [u64; W],
    numbers: Range<u64>,
) -> Result<(), Error> {
    for number in numbers {
        payload::mark(message, number);
        sender.send(message)?;
    }
    Ok(())
}

#[inline(always)]
fn receive_each<const W: usize>(
    receiver: &mut impl Receiving<W>,
    message: &mut [u64; W],
    numbers: Range<u64>,
) -> Result<(), Error> {
    for number in numbers {
        receiver.recv(message)?;
        payload::check(message, number)?;
    }
    Ok(())
}

#[inline(always)]
fn call_each<const W: usize>(
    sender: &mut impl Sending<W>,
    receiver: &mut impl Receiving<W>,
    message: &mut [u64; W],
    numbers: Range<u64>,
) -> Result<(), Error> {
    for number in numbers {
        payload::mark(message, number);
        sender.send(message)?;
        receiver.recv(message)?;
        payload::check(message, !number)?;
    }
    Ok(())
}

#[inline(always)]
fn echo_each<const W: usize>(
    sender: &mut impl Sending<W>,
    receiver: &mut impl Receiving<W>,
    message: &mut [u64; W],
    numbers: Range<u64>,
) -> Result<(), Error> {
    for number in numbers {
        receiver.recv(message)?;
        payload::check(message, number)?;
        // The answer is a message of its own, not the bytes that came.
        payload::mark(message, !number);
        sender.send(message)?;
    }
    Ok(())
}

// Each of these is a function of its own, so that the array is on the stack only
// where it is small.
#[inline(never)]
fn send_small<const W: usize>(
    sender: &mut impl Sending<W>,
    numbers: Range<u64>,
) -> Result<(), Error> {
    send_each(sender, &mut [0; W], numbers)
}

#[inline(never)]
fn receive_small<const W: usize>(
    receiver: &mut impl Receiving<W>,
    numbers: Range<u64>,
) -> Result<(), Error> {
    receive_each(receiver, &mut [0; W], numbers)
}

#[inline(never)]
fn call_small<const W: usize>(
    sender: &mut impl Sending<W>,
    receiver: &mut impl Receiving<W>,
    numbers: Range<u64>,
) -> Result<(), Error> {
    call_each(sender, receiver, &mut [0; W], numbers)
}

#[inline(never)]
fn echo_small<const W: usize>(
    sender: &mut impl Sending<W>,
    receiver: &mut impl Receiving<W>,
    numbers: Range<u64>,
) -> Result<(), Error> {
    echo_each(sender, receiver, &mut [0; W], numbers)
}

impl<S: Sending<W>, R: Receiving<W>, const W: usize> Runs for Ends<S, R, W> {
    fn send(&mut self, step: u64, count: u64, batch: usize) -> Result<(), Error> {
        self.room_for(batch);
        let sender = self.sender.as_mut().ok_or_else(one_way)?;
        let first = self.sent;
        self.sent += count;
        strides::<W>(&self.control, step, first, count, |mut numbers| {
            if batch <= 1 && W <= ON_STACK {
                return send_small(sender, numbers);
            } else if batch <= 1 {
                return send_each(sender, &mut self.message.0, numbers);
            }
            while !numbers.is_empty() {
                let len = batch.min((numbers.end - numbers.start) as usize);
                let messages = &mut self.batch[..len];
                for (message, number) in messages.iter_mut().zip(&mut numbers) {
                    payload::mark(message, number);
                }
                sender.send_many(messages)?;
            }
            Ok(())
        })
    }

    fn receive(&mut self, step: u64, count: u64, batch: usize) -> Result<(), Error> {
        self.room_for(batch);
        let receiver = self.receiver.as_mut().ok_or_else(one_way)?;
        let first = self.received;
        self.received += count;
        strides::<W>(&self.control, step, first, count, |mut numbers| {
            if batch <= 1 && W <= ON_STACK {
                return receive_small(receiver, numbers);
            } else if batch <= 1 {
                return receive_each(receiver, &mut self.message.0, numbers);
            }
            while !numbers.is_empty() {
                let len = batch.min((numbers.end - numbers.start) as usize);
                let got = receiver.recv_many(&mut self.batch[..len])?;
                for message in &self.batch[..got] {
                    payload::check(message, numbers.start)?;
                    numbers.start += 1;
                }
            }
            Ok(())
        })
    }

    fn call(&mut self, step: u64, each: u64, times: &mut [u64]) -> Result<(), Error> {
        let sender = self.sender.as_mut().ok_or_else(one_way)?;
        let receiver = self.receiver.as_mut().ok_or_else(one_way)?;
        let mut last = ticks();
        for time in times {
            let numbers = self.sent..self.sent + each;
            self.sent = numbers.end;
            self.received = numbers.end;
            self.control.progress(step, numbers.end);
            if W <= ON_STACK {
                call_small(sender, receiver, numbers)?;
            } else {
                call_each(sender, receiver, &mut self.message.0, numbers)?;
            }
            let now = ticks();
            *time = now - last;
            last = now;
        }
        Ok(())
    }

    fn echo(&mut self, step: u64, count: u64) -> Result<(), Error> {
        let sender = self.sender.as_mut().ok_or_else(one_way)?;
        let receiver = self.receiver.as_mut().ok_or_else(one_way)?;
        let first = self.received;
        self.received += count;
        self.sent = self.received;
        strides::<W>(&self.control, step, first, count, |numbers| {
            if W <= ON_STACK {
                echo_small(sender, receiver, numbers)
            } else {
                echo_each(sender, receiver, &mut self.message.0, numbers)
            }
        })
    }

    fn send_file(&mut self, step: u64, bytes: &[u8]) -> Result<(), Error> {
        let sender = self.sender.as_mut().ok_or_else(one_way)?;
        for (index, part) in bytes.chunks(8 * W).enumerate() {
            self.control.progress(step, index as u64);
            sender.send_part(part)?;
        }
        Ok(())
    }

    fn receive_file(&mut self, step: u64, len: usize, proof: Proof) -> Result<u64, Error> {
        let receiver = self.receiver.as_mut().ok_or_else(one_way)?;
        let buffer = self.message.bytes_mut();
        let (mut checksum, mut sum, mut left, mut index) = (Xxh3::new(), 0u64, len, 0);
        while left > 0 {
            self.control.progress(step, index);
            let part = &mut buffer[..left.min(8 * W)];
            receiver.recv_part(part)?;
            match proof {
                Proof::LineSum => sum = sum.wrapping_add(payload::line_sum(part)),
                Proof::Checksum => checksum.update(part),
            }
            left -= part.len();
            index += 1;
        }
        Ok(if proof == Proof::Checksum { checksum.digest() } else { sum })
    }

    fn send_damaged(&mut self, word: usize) -> Result<(), Error> {
        let sender = self.sender.as_mut().ok_or_else(one_way)?;
        payload::mark(&mut self.message.0, self.sent);
        self.message.0[word] ^= 1 << 17;
        self.sent += 1;
        sender.send(&self.message.0)
    }
}
