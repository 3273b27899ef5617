//! Several processes that measure together: up to four senders and four receivers.
//!
//! ```text
//!   this process: order ──> board <── results: member 0 .. member n-1
//!                             │  asleep until there is an order, then all start at once
//!   senders ═════════════ one task ════════════> receivers
//! ```
//!
//! Member `n` is pinned to the `n`-th core, and they share cores where there are more of
//! them. Every message is a word that names its sender and its number; each receiver checks
//! that every sender's numbers only grow, and the sums of what was sent and received must be
//! equal. A broadcast's messages are checked one by one.

mod board;
mod member;
mod vyukov;
mod work;

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::pipe2;

use crate::placement::GROUP;
use crate::{Error, child};
use board::{Board, Order};
pub(crate) use member::serve;

/// Most members.
const MOST: usize = 8;

/// Slots of every ring here.
const CAPACITY: u64 = 1024;

/// Messages in a batch.
const BATCH: usize = 32;

/// How long one sample may reasonably take before something is held to be stuck.
pub const LIMIT: Duration = Duration::from_secs(4);

/// What they do together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// The bare line between the first two, there and back.
    Line,
    /// Each adds to one counter, once for each message that it would send or receive.
    Add,
    /// annulus's mpmc ring, one by one.
    Mpmc,
    /// The same in batches.
    MpmcBatch,
    /// The plain queue that the mpmc ring is made from, without claims or recovery.
    Vyukov,
    /// A pipe that all write and read.
    Pipe,
    /// A Unix socket pair for packets, of which all have both ends.
    Seqpacket,
    /// annulus's broadcast, overwriting.
    Broadcast,
    /// annulus's broadcast, held back by its slowest receiver.
    Lossless,
}

impl Task {
    /// All that move messages, the limit first.
    pub const ALL: [Task; 8] = [
        Task::Add,
        Task::Mpmc,
        Task::MpmcBatch,
        Task::Vyukov,
        Task::Pipe,
        Task::Seqpacket,
        Task::Broadcast,
        Task::Lossless,
    ];

    /// The mechanism, and what is done with it.
    pub fn name(self) -> (&'static str, &'static str) {
        match self {
            Task::Line => ("line", "rtt"),
            Task::Add => ("shared-add", "oneway"),
            Task::Mpmc => ("mpmc", "oneway"),
            Task::MpmcBatch => ("mpmc", "batch32"),
            Task::Vyukov => ("vyukov", "oneway"),
            Task::Pipe => ("pipe", "oneway"),
            Task::Seqpacket => ("unix-seqpacket", "oneway"),
            Task::Broadcast => ("broadcast", "oneway"),
            Task::Lossless => ("broadcast", "lossless"),
        }
    }

    /// Who is measured.
    pub fn subject(self) -> &'static str {
        match self {
            Task::Line | Task::Add => "raw",
            Task::Mpmc | Task::MpmcBatch | Task::Broadcast | Task::Lossless => "annulus",
            other => other.name().0,
        }
    }

    /// Whether so many can take part.
    pub fn able(&self, senders: usize, _receivers: usize) -> bool {
        senders == 1 || !self.is_feed()
    }

    /// Whether each receiver gets every message.
    pub fn is_feed(self) -> bool {
        matches!(self, Task::Broadcast | Task::Lossless)
    }

    fn word(self) -> u64 {
        let tasks = std::iter::once(Task::Line).chain(Task::ALL);
        tasks.take_while(|task| *task != self).count() as u64
    }

    fn from_word(word: u64) -> Option<Task> {
        std::iter::once(Task::Line).chain(Task::ALL).nth(word as usize)
    }
}

/// What one sample came to.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Nanoseconds from the common start to the end of the last one.
    pub nanos: f64,
    /// Processor time of all together.
    pub spent: f64,
    /// Messages of a broadcast that some receiver missed, on average of the receivers.
    pub missed: f64,
}

/// The processes.
pub struct Crowd {
    board: Board,
    children: Vec<Child>,
    senders: usize,
    receivers: usize,
    round: u64,
    arrivals: u64,
    limit: Duration,
    _keep: Vec<OwnedFd>,
}

impl Crowd {
    /// Starts the members on these cores; `args` lead this executable to
    /// [`crate::peer::enter`].
    pub fn start(
        senders: usize,
        receivers: usize,
        cores: &[usize],
        args: &[String],
        limit: Duration,
    ) -> Result<Crowd, Error> {
        let count = senders + receivers;
        if count > MOST || senders == 0 || receivers == 0 || cores.is_empty() {
            return Err(Error::Spec(format!("{senders} senders and {receivers} receivers")));
        }
        let board = Board::create()?;
        vyukov::Vyukov(&board).make();
        let (mut keep, rings) = shared_things()?;
        let mut fds: Vec<RawFd> = vec![board.fd().as_raw_fd()];
        fds.extend(keep.iter().map(AsRawFd::as_raw_fd));
        let list: Vec<String> = fds.iter().map(RawFd::to_string).collect();
        let list = list.join(",");
        let mut crowd = Crowd {
            board,
            children: Vec::new(),
            senders,
            receivers,
            round: 0,
            arrivals: 0,
            limit,
            _keep: Vec::new(),
        };
        for number in 0..count {
            let core = cores[number % cores.len()];
            let description = format!("crowd;{number};{senders};{receivers};{core};{list}");
            crowd.children.push(child::start(&description, args, fds.clone())?);
        }
        crowd.wait(|board| board.ready() == count as u64)?;
        keep.clear();
        drop(rings);
        Ok(crowd)
    }

    /// One sample of so many messages, or round trips.
    pub fn sample(&mut self, task: Task, count: u64) -> Result<Sample, Error> {
        let members = if task == Task::Line { 2 } else { self.children.len() };
        self.round += 1;
        self.arrivals += members as u64;
        let round = self.round;
        self.board.order(round, Order { task: task.word(), count, arrivals: self.arrivals });
        // All of them, so that nobody reads this order from the words of the next.
        let all = self.children.len();
        self.wait(|board| (0..all).all(|member| board.is_done(member, round)))?;
        let results = || (0..members).map(|member| self.board.result(member));
        let begin = results().map(|result| result.begin).min().unwrap_or(0);
        let end = results().map(|result| result.end).max().unwrap_or(0);
        let sum = results().fold(0, |sum: u64, result| sum.wrapping_add(result.sum));
        if sum != 0 {
            return Err(Error::Checksum { found: sum, expected: 0 });
        }
        let missed: u64 = results().map(|result| result.missed).sum();
        Ok(Sample {
            nanos: (end - begin) as f64,
            spent: results().map(|result| result.spent).sum::<u64>() as f64,
            missed: missed as f64 / self.receivers as f64,
        })
    }

    /// Nanoseconds of the bare line between the first two, there and back.
    pub fn line(&mut self) -> Result<f64, Error> {
        let groups = 25 * GROUP;
        let picos = self.sample(Task::Line, groups)?.missed * self.receivers as f64;
        Ok(picos / 1000.0)
    }

    /// How many send and how many receive.
    pub fn members(&self) -> (usize, usize) {
        (self.senders, self.receivers)
    }

    fn wait(&mut self, done: impl Fn(&Board) -> bool) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let told = self.board.told();
            if done(&self.board) {
                return Ok(());
            }
            self.board.sleep(told);
            self.board.check()?;
            for child in &mut self.children {
                if !matches!(child.try_wait(), Ok(None)) {
                    self.board.check()?;
                    return Err(Error::PeerGone("a member has ended".into()));
                }
            }
            if began.elapsed() > self.limit {
                let limit = self.limit;
                return Err(Error::PeerGone(format!("nothing has come of it for {limit:?}")));
            }
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It is gone already, or has nothing to tidy.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

type Rings = (annulus::mpmc::Ring<u64>, [annulus::broadcast::Ring<u64>; 2]);

/// What the members inherit beside the board, in the order that they expect.
fn shared_things() -> Result<(Vec<OwnedFd>, Rings), Error> {
    let refused = |error: annulus::Error| Error::Transport {
        transport: "a ring of many",
        reason: error.to_string(),
    };
    let seats = 2 * MOST as u64;
    let mpmc = annulus::mpmc::Ring::<u64>::options().capacity(CAPACITY).seats(seats as _);
    let mpmc = mpmc.create_memfd("annulus-measure").map_err(refused)?;
    let feed = |lossless| {
        let options = annulus::broadcast::Ring::<u64>::options().capacity(CAPACITY);
        let options = options.seats(seats as _).lossless(lossless);
        options.create_memfd("annulus-measure").map_err(refused)
    };
    let feeds = [feed(false)?, feed(true)?];
    let mut fds = Vec::new();
    for fd in [mpmc.segment_fd(), feeds[0].segment_fd(), feeds[1].segment_fd()] {
        let fd = fd.ok_or_else(|| Error::Spec("a memfd has no fd".into()))?;
        fds.push(fd.try_clone_to_owned().map_err(Error::io("dup"))?);
    }
    let (read, write) =
        pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).map_err(Error::system("pipe"))?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
        .map_err(Error::system("socketpair"))?;
    fds.extend([read, write, one, other]);
    Ok((fds, (mpmc, feeds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_told_by_their_words() {
        for task in std::iter::once(Task::Line).chain(Task::ALL) {
            assert_eq!(Task::from_word(task.word()), Some(task));
        }
        assert_eq!(Task::from_word(99), None);
    }
}
