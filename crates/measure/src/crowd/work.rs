//! A member's part in each task.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use annulus::{Fault, TryRecvError, TrySendError, broadcast, mpmc};
use nix::errno::Errno;

use super::board::Board;
use super::vyukov::Vyukov;
use super::{BATCH, Task};
use crate::Error;
use crate::clock::{nanos, ticks};
use crate::placement::GROUP;
use crate::stats::median;

/// Where a message's number begins to be its sender's.
const SENDER: u32 = 48;

/// Which member this is, among whom.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
    pub board: &'a Board,
    pub me: usize,
    pub senders: usize,
    pub receivers: usize,
}

/// Its ends of everything.
pub struct Work<'a> {
    hands: Hands<'a>,
    role: Role,
    /// Round trips so far.
    trips: u64,
    pipe: OwnedFd,
    packets: OwnedFd,
}

enum Role {
    Sends {
        mpmc: mpmc::Sender<u64>,
        /// The overwriting one and the lossless one.
        feeds: Option<[broadcast::Sender<u64>; 2]>,
        /// Messages sent so far.
        sent: u64,
    },
    Receives {
        mpmc: mpmc::Receiver<u64>,
        feeds: [broadcast::Receiver<u64>; 2],
        /// The last number of each sender.
        last: Vec<u64>,
    },
}

/// What a transport says to one try: done, or not now.
type Try<T> = Result<Option<T>, Error>;

impl<'a> Work<'a> {
    /// Takes this member's ends: the mpmc ring, two broadcasts, a pipe's two ends, a socket
    /// pair's two.
    pub fn new(
        hands: Hands<'a>,
        mut fds: impl Iterator<Item = OwnedFd>,
    ) -> Result<Work<'a>, Error> {
        let mut next = || fds.next().ok_or_else(|| Error::Spec("a descriptor is missing".into()));
        let ring = mpmc::Ring::<u64>::from_fd(next()?).map_err(refused)?;
        let mut feed = || broadcast::Ring::<u64>::from_fd(next()?).map_err(refused);
        let feeds = [feed()?, feed()?];
        let (read, write, one, other) = (next()?, next()?, next()?, next()?);
        let sends = hands.me < hands.senders;
        let role = if sends {
            let alone = hands.senders == 1;
            let [some, all] = &feeds;
            let feeds = alone.then(|| Ok([some.sender()?, all.sender()?])).transpose();
            let feeds = feeds.map_err(refused)?;
            Role::Sends { mpmc: ring.sender().map_err(refused)?, feeds, sent: 0 }
        } else {
            let [some, all] = &feeds;
            let feeds = [some.receiver().map_err(refused)?, all.receiver().map_err(refused)?];
            let last = vec![0; hands.senders];
            Role::Receives { mpmc: ring.receiver().map_err(refused)?, feeds, last }
        };
        let (pipe, packets) = if sends { (write, one) } else { (read, other) };
        Ok(Work { hands, role, trips: 0, pipe, packets })
    }

    /// This member's part of `total` messages, or of so many round trips: what it has sent
    /// less what it has received, and what it has missed.
    pub fn take_part(&mut self, task: Task, total: u64) -> Result<(u64, u64), Error> {
        let Hands { board, me, senders, receivers } = self.hands;
        match task {
            Task::Line => return self.line(total).map(|picos| (0, picos)),
            Task::Add => {
                let mine = match me.checked_sub(senders) {
                    None => share(total, me, senders),
                    Some(number) => share(total, number, receivers),
                };
                (0..mine).for_each(|_| {
                    board.probe(2).fetch_add(1, Ordering::AcqRel);
                });
                return Ok((0, 0));
            }
            _ => {}
        }
        let (queue, pipe, packets) = (Vyukov(board), &self.pipe, &self.packets);
        match &mut self.role {
            Role::Sends { mpmc, feeds, sent } => {
                let count = if task.is_feed() { total } else { share(total, me, senders) };
                let first = *sent + 1;
                *sent += count;
                let numbers = first..first + count;
                let name = (me as u64) << SENDER;
                let mut out = Out { board, name, sum: 0 };
                match task {
                    Task::Mpmc => out.each(numbers, |word| tried(mpmc.try_send(word)))?,
                    Task::MpmcBatch => out.batches(numbers, |words| {
                        tried(mpmc.try_send_many(words)).map(|sent| sent.filter(|sent| *sent > 0))
                    })?,
                    Task::Vyukov => out.each(numbers, |word| Ok(queue.send(word)))?,
                    Task::Pipe => out.each(numbers, |word| written(pipe, word))?,
                    Task::Seqpacket => out.each(numbers, |word| written(packets, word))?,
                    _ => {
                        let feeds =
                            feeds.as_mut().ok_or_else(|| Error::Spec("one sender".into()))?;
                        let feed = &mut feeds[usize::from(task == Task::Lossless)];
                        // Checked one by one by each receiver, so there is no sum.
                        out.each(0..count, |word| tried(feed.try_send(word)))?;
                        out.sum = 0;
                    }
                }
                Ok((out.sum, 0))
            }
            Role::Receives { mpmc, feeds, last } => {
                if task.is_feed() {
                    let feed = &mut feeds[usize::from(task == Task::Lossless)];
                    return Ok((0, follow(board, feed, total)?));
                }
                let count = share(total, me - senders, receivers);
                let mut taken = In { board, last, sum: 0 };
                match task {
                    Task::Mpmc => taken.each(count, || found(mpmc.try_recv()))?,
                    Task::MpmcBatch => {
                        taken.batches(count, |words| found(mpmc.try_recv_many(words)))?;
                    }
                    Task::Vyukov => taken.each(count, || Ok(queue.recv()))?,
                    Task::Pipe => taken.each(count, || read(pipe))?,
                    _ => taken.each(count, || read(packets))?,
                }
                Ok((taken.sum, 0))
            }
        }
    }

    /// Round trips over the bare line: the first member's median of groups of [`GROUP`],
    /// in picoseconds for one.
    fn line(&mut self, count: u64) -> Result<u64, Error> {
        let Hands { board, me, .. } = self.hands;
        let (there, back) = (board.probe(0), board.probe(1));
        let (mut groups, mut last) = (Vec::new(), ticks());
        for trip in 1..=count {
            self.trips += 1;
            let number = self.trips;
            let await_it = if me == 0 {
                there.store(number, Ordering::Release);
                back
            } else {
                there
            };
            let mut polls = 0;
            while await_it.load(Ordering::Acquire) != number {
                board.pause(&mut polls)?;
            }
            if me != 0 {
                back.store(number, Ordering::Release);
            } else if trip.is_multiple_of(GROUP) {
                let now = ticks();
                groups.push(nanos(now - last));
                last = now;
            }
        }
        Ok((median(groups).unwrap_or_default() * 1000.0 / GROUP as f64) as u64)
    }
}

/// How many of `total` are this one's of `count`.
fn share(total: u64, number: usize, count: usize) -> u64 {
    let count = count as u64;
    total / count + u64::from((number as u64) < total % count)
}

/// What a sender has sent.
struct Out<'a> {
    board: &'a Board,
    name: u64,
    sum: u64,
}

impl Out<'_> {
    #[inline(always)]
    fn each(
        &mut self,
        numbers: std::ops::Range<u64>,
        mut send: impl FnMut(u64) -> Try<()>,
    ) -> Result<(), Error> {
        for number in numbers {
            let word = self.name | number;
            self.sum = self.sum.wrapping_add(word);
            let mut polls = 0;
            while send(word)?.is_none() {
                self.board.pause(&mut polls)?;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn batches(
        &mut self,
        mut numbers: std::ops::Range<u64>,
        mut send: impl FnMut(&[u64]) -> Try<usize>,
    ) -> Result<(), Error> {
        let mut batch = [0; BATCH];
        while !numbers.is_empty() {
            let len = BATCH.min((numbers.end - numbers.start) as usize);
            for (word, number) in batch[..len].iter_mut().zip(&mut numbers) {
                *word = self.name | number;
                self.sum = self.sum.wrapping_add(*word);
            }
            let (mut sent, mut polls) = (0, 0);
            while sent < len {
                match send(&batch[sent..len])? {
                    Some(more) => sent += more,
                    None => self.board.pause(&mut polls)?,
                }
            }
        }
        Ok(())
    }
}

/// What a receiver has received.
struct In<'a> {
    board: &'a Board,
    last: &'a mut [u64],
    sum: u64,
}

impl In<'_> {
    /// Checks one: each sender's numbers only grow.
    #[inline(always)]
    fn check(&mut self, word: u64) -> Result<(), Error> {
        self.sum = self.sum.wrapping_sub(word);
        let (sender, number) = ((word >> SENDER) as usize, word & ((1 << SENDER) - 1));
        match self.last.get_mut(sender) {
            Some(last) if *last < number => {
                *last = number;
                Ok(())
            }
            last => Err(out_of_order(word, last.map(|last| *last))),
        }
    }

    #[inline(always)]
    fn each(&mut self, count: u64, mut recv: impl FnMut() -> Try<u64>) -> Result<(), Error> {
        for _ in 0..count {
            let mut polls = 0;
            let word = loop {
                match recv()? {
                    Some(word) => break word,
                    None => self.board.pause(&mut polls)?,
                }
            };
            self.check(word)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn batches(
        &mut self,
        mut count: u64,
        mut recv: impl FnMut(&mut [u64]) -> Try<usize>,
    ) -> Result<(), Error> {
        let (mut batch, mut polls) = ([0; BATCH], 0);
        while count > 0 {
            let len = BATCH.min(count as usize);
            match recv(&mut batch[..len])? {
                Some(got) => {
                    polls = 0;
                    count -= got as u64;
                    batch[..got].iter().try_for_each(|word| self.check(*word))?;
                }
                None => self.board.pause(&mut polls)?,
            }
        }
        Ok(())
    }
}

#[cold]
fn out_of_order(word: u64, last: Option<u64>) -> Error {
    let expected = last.map_or(0, |last| last + 1);
    Error::Payload { message: word & ((1 << SENDER) - 1), word: 0, found: word, expected }
}

/// Follows a broadcast to message `total - 1`: how many of them were overwritten before.
fn follow(board: &Board, feed: &mut broadcast::Receiver<u64>, total: u64) -> Result<u64, Error> {
    let (mut at, mut missed, mut polls) = (0, 0, 0);
    while at < total {
        match feed.try_recv() {
            Ok(word) if word == at => {
                at += 1;
                polls = 0;
            }
            Ok(word) => return Err(out_of_order(word, at.checked_sub(1))),
            Err(TryRecvError::Lagged(n)) => {
                at += n;
                missed += n;
            }
            Err(TryRecvError::Empty) => board.pause(&mut polls)?,
            Err(other) => return Err(ring(&other)),
        }
    }
    Ok(missed)
}

#[inline(always)]
fn tried<T, U>(outcome: Result<U, TrySendError<T>>) -> Try<U> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(TrySendError::Full(_)) => Ok(None),
        Err(other) => Err(cannot_send(other)),
    }
}

#[cold]
fn cannot_send<T>(error: TrySendError<T>) -> Error {
    match error {
        TrySendError::Fault(_, fault) => ring::<Fault>(&fault),
        _ => Error::Disconnected { transport: "ring of many" },
    }
}

#[inline(always)]
fn found<T>(outcome: Result<T, TryRecvError>) -> Try<T> {
    match outcome {
        Ok(word) => Ok(Some(word)),
        Err(TryRecvError::Empty | TryRecvError::Stalled) => Ok(None),
        Err(other) => Err(ring(&other)),
    }
}

#[cold]
fn ring<E: std::fmt::Display>(error: &E) -> Error {
    Error::Transport { transport: "ring of many", reason: error.to_string() }
}

fn refused(error: annulus::Error) -> Error {
    ring(&error)
}

/// Eight bytes are written whole: less than `PIPE_BUF`, or one packet.
fn written(fd: &OwnedFd, word: u64) -> Try<()> {
    match nix::unistd::write(fd, &word.to_ne_bytes()) {
        Ok(8) => Ok(Some(())),
        Ok(_) => Err(Error::Disconnected { transport: "pipe or socket" }),
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => Ok(None),
        Err(errno) => Err(Error::system("write")(errno)),
    }
}

/// And read whole, since everything in there is a multiple of eight bytes.
fn read(fd: &OwnedFd) -> Try<u64> {
    let mut word = [0; 8];
    match nix::unistd::read(fd, &mut word) {
        Ok(8) => Ok(Some(u64::from_ne_bytes(word))),
        Ok(_) => Err(Error::Disconnected { transport: "pipe or socket" }),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(errno) => Err(Error::system("read")(errno)),
    }
}
