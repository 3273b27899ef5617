//! `--kind mpmc` and `--kind broadcast`: messages instead of bytes, several senders and
//! receivers at an address.
//!
//! ```text
//!   send   join ─ [ poll standard input ─ cut ─ send each ]* ─ leave ─ last one out?
//!   recv   join ─ [ take ─ write ─ release ]* ─ ended? ─ leave ─ last one out?
//! ```
//!
//! Whoever comes first makes the ring; the last one out removes its name, unless work is
//! left in it. Imports: exit, naming, progress, signals, standard.

mod company;
mod frame;
mod recv;
mod ring;
mod send;

use std::time::Duration;

use clap::{Args, ValueEnum};

pub use frame::Frame;
pub use recv::run as recv;
pub use send::run as send;

use crate::exit::{Failure, Result};
use crate::naming::Named;
use crate::signals::Signals;

/// What a ring is like: said by whoever makes it, expected by whoever finds it.
#[derive(Args)]
pub struct Wanted {
    /// What moves: bytes from one to one, messages of many to any one of many, or messages
    /// of one to each of many
    #[arg(long, value_enum, default_value_t = Kind::Stream)]
    pub kind: Kind,
    /// How messages lie in the input and output [default: line]
    #[arg(long, value_enum)]
    pub frame: Option<Frame>,
    /// How much may wait: a power of two, of messages [default: 1024], or of a stream's bytes
    /// [default: 1048576]
    #[arg(long, value_name = "NUMBER")]
    pub capacity: Option<u64>,
    /// The longest message [default: 16384]
    #[arg(long, value_name = "BYTES")]
    pub max_len: Option<u64>,
    /// Of a broadcast: the slowest receiver holds the sender back, and misses nothing
    #[arg(long)]
    pub lossless: bool,
    /// Leave the name when all is over
    #[arg(long)]
    pub keep: bool,
}

/// How a receiver goes about it.
#[derive(Args)]
pub struct Manner {
    /// Of a broadcast: where to begin [default: newest]
    #[arg(long, value_enum)]
    pub from: Option<From>,
    /// End after so many messages
    #[arg(long, value_name = "MESSAGES")]
    pub count: Option<u64>,
    /// Go on waiting when all senders have ended
    #[arg(long)]
    pub follow: bool,
    /// Tell of each message that comes a second time
    #[arg(long)]
    pub verbose: bool,
    /// How long to wait for a sender [default: for ever]
    #[arg(long, value_name = "SECONDS", value_parser = crate::seconds)]
    pub timeout: Option<Duration>,
}

/// The kinds of rings that can be sent into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Stream,
    Mpmc,
    Broadcast,
}

/// Where a receiver of a broadcast begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// With the next message
    Newest,
    /// With the oldest that is still there
    Oldest,
}

impl Wanted {
    /// Refuses options that say nothing of a kind.
    pub fn check(&self) -> Result {
        let messages = self.kind != Kind::Stream;
        unless(messages || self.frame.is_none(), "--frame", "mpmc or broadcast")?;
        unless(messages || self.max_len.is_none(), "--max-len", "mpmc or broadcast")?;
        unless(self.kind == Kind::Broadcast || !self.lossless, "--lossless", "broadcast")
    }
}

impl Manner {
    /// Refuses options that say nothing of a kind.
    pub fn check(&self, wanted: &Wanted) -> Result {
        let kind = wanted.kind;
        let messages = kind != Kind::Stream;
        // A stream is as its sender has made it.
        unless(messages || wanted.capacity.is_none(), "--capacity", "mpmc or broadcast")?;
        unless(messages || self.count.is_none(), "--count", "mpmc or broadcast")?;
        unless(messages || !self.follow, "--follow", "mpmc or broadcast")?;
        unless(kind == Kind::Mpmc || !self.verbose, "--verbose", "mpmc")?;
        unless(kind == Kind::Broadcast || self.from.is_none(), "--from", "broadcast")
    }
}

fn unless(fits: bool, option: &str, kinds: &str) -> Result {
    if fits {
        return Ok(());
    }
    Err(Failure::unusable(format!("{option} goes with --kind {kinds} alone; leave it out")))
}

/// Why a transfer stopped before its end.
enum Stop {
    /// A signal came.
    Signal,
    Failed(Failure),
}

impl std::convert::From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

fn broken(error: &impl std::fmt::Display) -> Failure {
    Failure::other(format!("{error}; `annulus inspect` shows what stands there"))
}

/// Removes the name, if this was the last one out. Of an endpoint that had to be left as by
/// one who died, `own` is 1: its seat is still held.
fn leave(
    named: &Named,
    signals: &Signals,
    own: usize,
    outcome: std::result::Result<(), Stop>,
) -> Result {
    signals.unwatch();
    let removed = named.remove();
    let result = match outcome {
        // The transfer's own failure is the one to report.
        Err(Stop::Failed(failure)) => Err(failure),
        Ok(()) | Err(Stop::Signal) => removed,
    };
    if signals.caught() {
        named.tell_what_is_left(own);
    }
    result
}
