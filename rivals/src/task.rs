//! What members do together, each its part, with every message checked.
//!
//! Message `n` carries `n + i` in its `i`-th marked word, and `n` names its sender in its
//! upper bits. A receiver that is alone expects each sender's numbers without a gap; one of
//! several, that they grow, and then the sums of what was sent and received must agree.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use annulus_measure::clock::{nanos, ticks};
use annulus_measure::payload::{check, mark};
use annulus_measure::placement::GROUP;
use annulus_measure::stats::median;
use anyhow::{Context, Result, bail};

use crate::board::{Board, Order, Outcome, Waiter};
use crate::rival::{BlockReceiving, BlockSending, Receiving, Sending};

/// Messages in a batch.
pub const BATCH: usize = 32;

/// Where a message's number begins to be its sender's.
const SENDER: u32 = 48;

/// So long after the last sender was done, what has not come is lost.
const GRACE: Duration = Duration::from_millis(20);

/// One order's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Quit,
    /// Round trips over the bare lines, by the first two members.
    Line,
    RoundTrip,
    OneWay,
    Batch,
}

impl Task {
    const ALL: [Task; 5] = [Task::Quit, Task::Line, Task::RoundTrip, Task::OneWay, Task::Batch];

    pub fn word(self) -> u64 {
        self as u64
    }

    pub fn from_word(word: u64) -> Result<Task> {
        Task::ALL.get(word as usize).copied().context("no such task")
    }
}

/// Which member this is, among whom.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
    pub board: &'a Board,
    pub me: usize,
    pub senders: usize,
    pub receivers: usize,
}

impl Hands<'_> {
    pub fn sends(&self) -> bool {
        self.me < self.senders
    }
}

/// Round trips over two bare lines: the first member's median of groups of [`GROUP`], in
/// picoseconds for one. Numbers only grow, so a line is never reset.
pub fn line(hands: Hands<'_>, order: Order) -> Result<Outcome> {
    let board = hands.board;
    let (mine, other) = if hands.me == 0 { (0, 1) } else { (1, 0) };
    let (mut groups, mut last) = (Vec::with_capacity(64), ticks());
    for trip in 0..order.count {
        let number = order.first + trip + 1;
        if hands.me == 0 {
            board.probe(mine).store(number, Ordering::Release);
        }
        let mut waiter = Waiter::new(board);
        while board.probe(other).load(Ordering::Acquire) != number {
            waiter.pause()?;
        }
        if hands.me != 0 {
            board.probe(mine).store(number, Ordering::Release);
        } else if (trip + 1).is_multiple_of(GROUP) {
            let now = ticks();
            groups.push(nanos(now - last));
            last = now;
        }
    }
    Ok(Outcome { figure: picos(groups), ..Outcome::default() })
}

/// The median group as picoseconds for one round trip.
fn picos(groups: Vec<f64>) -> u64 {
    (median(groups).unwrap_or_default() * 1000.0 / GROUP as f64) as u64
}

/// There and back, called by the first member.
pub fn round_trip<const W: usize>(
    hands: Hands<'_>,
    order: Order,
    sender: &mut impl Sending<W>,
    receiver: &mut impl Receiving<W>,
) -> Result<Outcome> {
    let board = hands.board;
    let (mut message, mut groups) = ([0; W], Vec::with_capacity(1024));
    let mut last = ticks();
    for trip in 0..order.count {
        let number = order.first + trip;
        if hands.me == 0 {
            mark(&mut message, number);
            sender.send(&message, board)?;
            message = [0; W];
        }
        receiver.recv(&mut message, board, || false)?;
        check(&message, number)?;
        if hands.me != 0 {
            sender.send(&message, board)?;
        } else if (trip + 1).is_multiple_of(GROUP) {
            let now = ticks();
            groups.push(nanos(now - last));
            last = now;
        }
    }
    Ok(Outcome { figure: picos(groups), ..Outcome::default() })
}

/// This sender's messages, one by one or in batches.
pub fn send<const W: usize>(
    hands: Hands<'_>,
    order: Order,
    batch: bool,
    sender: &mut impl Sending<W>,
) -> Result<Outcome> {
    let Hands { board, me, senders, .. } = hands;
    let (count, name) = (share(order.count, me, senders), (me as u64) << SENDER);
    let first = name | order.first;
    let mut sum = 0_u64;
    if batch {
        let mut messages = [[0; W]; BATCH];
        let mut done = 0;
        while done < count {
            let len = BATCH.min((count - done) as usize);
            for (message, number) in messages[..len].iter_mut().zip(first + done..) {
                mark(message, number);
                sum = sum.wrapping_add(digest(number));
            }
            sender.send_many(&messages[..len], board)?;
            done += len as u64;
        }
    } else {
        let mut message = [0; W];
        for number in first..first + count {
            mark(&mut message, number);
            sum = sum.wrapping_add(digest(number));
            sender.send(&message, board)?;
        }
    }
    board.all_sent();
    Ok(Outcome { sum, ..Outcome::default() })
}

/// This receiver's share.
pub fn receive<const W: usize>(
    hands: Hands<'_>,
    order: Order,
    batch: bool,
    receiver: &mut impl Receiving<W>,
) -> Result<Outcome> {
    let mut tally = Tally::new(hands, order);
    let mut over = over(hands.board, order.sent);
    if batch {
        let mut messages = [[0; W]; BATCH];
        while tally.left > 0 {
            let len = BATCH.min(tally.left as usize);
            match receiver.recv_many(&mut messages[..len], hands.board, &mut over)? {
                0 => tally.give_up(),
                got => messages[..got].iter().for_each(|message| tally.take(message)),
            }
        }
    } else {
        let mut message = [0; W];
        while tally.left > 0 {
            if receiver.recv(&mut message, hands.board, &mut over)? {
                tally.take(&message);
            } else {
                tally.give_up();
            }
        }
    }
    Ok(tally.outcome)
}

/// Blocks, one by one.
pub fn send_blocks(
    hands: Hands<'_>,
    order: Order,
    block: &mut [u8],
    sender: &mut impl BlockSending,
) -> Result<Outcome> {
    for number in order.first..order.first + order.count {
        mark_block(block, number);
        let mut waiter = Waiter::new(hands.board);
        while !sender.try_send(block)? {
            waiter.pause()?;
        }
    }
    hands.board.all_sent();
    Ok(Outcome::default())
}

/// The same at the other end.
pub fn receive_blocks(
    hands: Hands<'_>,
    order: Order,
    size: usize,
    receiver: &mut impl BlockReceiving,
) -> Result<Outcome> {
    let mut tally = Tally::new(hands, order);
    let mut over = over(hands.board, order.sent);
    while tally.left > 0 {
        let mut waiter = Waiter::new(hands.board);
        while !receiver.try_recv(|block| tally.take_block(block, size))? {
            if waiter.pause()? && over() {
                tally.give_up();
                break;
            }
        }
    }
    tally.outcome.sum = 0;
    Ok(tally.outcome)
}

/// Says when nothing more will come: all senders have been done for a while.
fn over(board: &Board, sent: u64) -> impl FnMut() -> bool {
    let mut since: Option<Instant> = None;
    move || board.sent() >= sent && since.get_or_insert_with(Instant::now).elapsed() > GRACE
}

/// What a number adds to the sum: another one's number can't stand in for it.
#[inline(always)]
fn digest(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a receiver has seen.
struct Tally {
    left: u64,
    first: u64,
    /// The next number of each sender.
    next: [u64; 8],
    /// The only one: sees every gap.
    alone: bool,
    outcome: Outcome,
}

impl Tally {
    fn new(hands: Hands<'_>, order: Order) -> Tally {
        let left = share(order.count, hands.me - hands.senders, hands.receivers);
        let alone = hands.receivers == 1;
        Tally {
            left,
            first: order.first,
            next: [order.first; 8],
            alone,
            outcome: Outcome::default(),
        }
    }

    #[inline(always)]
    fn take<const W: usize>(&mut self, message: &[u64; W]) {
        let intact = check(message, message[0]).is_ok();
        self.note(message[0], intact);
    }

    fn take_block(&mut self, block: &[u8], size: usize) {
        let number = first_word(block);
        self.note(number, block.len() == size && is_block(block, number));
    }

    #[inline(always)]
    fn note(&mut self, word: u64, intact: bool) {
        let (sender, number) = ((word >> SENDER) as usize, word & ((1 << SENDER) - 1));
        let expected = *self.next.get(sender).unwrap_or(&u64::MAX);
        if !intact || number < expected || (self.alone && number > expected) {
            return self.astray(sender, number, expected, intact);
        }
        self.next[sender] = number + 1;
        self.outcome.sum = self.outcome.sum.wrapping_sub(digest(word));
        self.left -= 1;
    }

    /// A message that should not have come, or not yet.
    #[cold]
    #[inline(never)]
    fn astray(&mut self, sender: usize, number: u64, expected: u64, intact: bool) {
        if !intact || sender >= self.next.len() {
            self.outcome.damaged += 1;
            self.left -= 1;
        } else if number < expected {
            // Left from an earlier order, or come twice: no part of this one's share.
            self.outcome.repeated += u64::from(number >= self.first);
        } else {
            let gap = (number - expected).min(self.left - 1);
            self.outcome.lost += gap;
            self.left -= gap + 1;
            self.next[sender] = number + 1;
        }
    }

    #[cold]
    fn give_up(&mut self) {
        self.outcome.lost += self.left;
        self.left = 0;
    }
}

/// How many of `total` are this one's of `count`.
fn share(total: u64, number: usize, count: usize) -> u64 {
    let count = count as u64;
    total / count + u64::from((number as u64) < total % count)
}

/// The first word of each line.
fn mark_block(block: &mut [u8], number: u64) {
    for (line, number) in block.as_chunks_mut::<64>().0.iter_mut().zip(number..) {
        line[..8].copy_from_slice(&number.to_ne_bytes());
    }
}

fn is_block(block: &[u8], number: u64) -> bool {
    let lines = block.as_chunks::<64>().0.iter().zip(number..);
    lines.fold(0, |difference, (line, number)| difference | (first_word(line) ^ number)) == 0
}

fn first_word(block: &[u8]) -> u64 {
    block.first_chunk().map_or(0, |word| u64::from_ne_bytes(*word))
}

/// An end that a member should have by its role.
pub fn end<T>(end: &mut Option<T>) -> Result<&mut T> {
    match end {
        Some(end) => Ok(end),
        None => bail!("a member without this end was asked to use it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(count: u64, alone: bool) -> Tally {
        Tally { left: count, first: 10, next: [10; 8], alone, outcome: Outcome::default() }
    }

    fn seen(tally: &Tally) -> [u64; 4] {
        let Outcome { lost, repeated, damaged, .. } = tally.outcome;
        [tally.left, lost, repeated, damaged]
    }

    #[test]
    fn losses_repeats_and_damage_are_told_apart() {
        let mut tally = tally(6, true);
        for number in [10, 11, 11, 9, 14] {
            let mut message = [0; 3];
            mark(&mut message, number);
            tally.take(&message);
        }
        assert_eq!(seen(&tally), [1, 2, 1, 0], "12 and 13 lost, 11 twice, 9 of before");
        tally.take(&[15, 16, 99]);
        assert_eq!(seen(&tally), [0, 2, 1, 1]);
    }

    #[test]
    fn one_of_several_receivers_sees_gaps_as_its_neighbours_share() {
        let mut tally = tally(3, false);
        for number in [10, 13, 12, 15] {
            tally.take(&[number]);
        }
        assert_eq!(seen(&tally), [0, 0, 1, 0]);
        let sum = [10, 13, 15].into_iter().map(digest).fold(0, u64::wrapping_add);
        assert_eq!(tally.outcome.sum, 0_u64.wrapping_sub(sum));
    }

    #[test]
    fn a_block_is_known_by_every_line() {
        let mut block = vec![0; 512];
        mark_block(&mut block, 7);
        assert!(is_block(&block, 7) && !is_block(&block, 8));
        block[448] ^= 1;
        assert!(!is_block(&block, 7));
    }

    #[test]
    fn shares_add_up() {
        assert_eq!((0..3).map(|number| share(11, number, 3)).sum::<u64>(), 11);
    }
}
