//! The `annulus` command.
//!
//! ```text
//!   main ── send · recv ── naming          what is made, found, replaced, left
//!     │        └─ messages ── signals · standard · progress
//!     ├──── inspect · ls · rm ── facts     what an observer sees
//!     └──── demo · bench
//!   exit: codes and last words, for all of them
//! ```

mod bench;
mod demo;
mod exit;
mod facts;
mod inspect;
mod ls;
mod messages;
mod naming;
mod progress;
mod recv;
mod rm;
mod send;
mod signals;
mod standard;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::messages::{Kind, Manner, Wanted};

/// Lock-free ring buffers in shared memory
///
/// An address is shm:NAME, for POSIX shared memory, or file:PATH.
#[derive(Parser)]
#[command(version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done; of a stream or ring: it came to its end
  1  another error, or a receiver that closed early (quietly, as for `| head`)
  2  usage, or an address with nothing usable under it
  3  the peer died or aborted; what had been sent was delivered first";

/// Capacity of a stream in bytes, unless its sender says another.
const STREAM: u64 = 1 << 20;

#[derive(Subcommand)]
enum Command {
    /// Send standard input to who receives at this address
    ///
    /// A stream is made by its sender, and a left-over of one that is over is replaced; the
    /// sender ends when all has been received. Rings of messages (--kind) are made by whoever
    /// comes first; a sender ends when all is sent. Either side may start first.
    #[command(after_help = EXIT_CODES)]
    Send {
        /// shm:NAME or file:PATH
        #[arg(value_name = "ADDR")]
        address: String,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Receive what is sent at this address, to standard output
    ///
    /// Waits until a sender comes, and ends when all senders have ended. Either side may
    /// start first. With --kind mpmc each message goes to one of the receivers, and is written
    /// before it is released; with --kind broadcast each receiver gets every message.
    #[command(after_help = EXIT_CODES)]
    Recv {
        /// shm:NAME or file:PATH
        #[arg(value_name = "ADDR")]
        address: String,
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        manner: Manner,
    },
    /// Show one segment closely: kind, capacity, what waits, who is on its seats
    ///
    /// The segment is mapped for reading alone; nothing in it changes.
    #[command(after_help = EXIT_CODES)]
    Inspect {
        /// shm:NAME or file:PATH
        #[arg(value_name = "ADDR")]
        address: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Empty seats too
        #[arg(long)]
        all: bool,
    },
    /// List the segments of this user in directories
    ///
    /// Files that are no segment are passed over.
    #[command(after_help = EXIT_CODES)]
    Ls {
        /// Directories, or files [default: /dev/shm]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a segment that nobody uses
    ///
    /// Whoever has it open keeps it; its memory goes with the last of them.
    #[command(after_help = EXIT_CODES)]
    Rm {
        /// shm:NAME or file:PATH
        #[arg(value_name = "ADDR")]
        address: String,
        /// Remove the name of a segment in use, or of a damaged one
        #[arg(long)]
        force: bool,
    },
    /// Measure every ring beside every mechanism that could be used instead
    ///
    /// Separate processes, pinned; every message is written and checked; each sample lies
    /// between two probes of the bare line between the cores, and is thrown away if they
    /// moved; each figure is held against a limit measured beside it.
    #[command(after_help = EXIT_CODES)]
    Bench {
        #[command(flatten)]
        wanted: bench::Wanted,
    },
    /// Move a file between two processes through a ring, a pipe and a Unix socket, then
    /// exchange small messages; each figure beside the limit of this machine
    ///
    /// The file is verified at the receiver. Takes less than half a minute.
    Demo {
        /// What to move; a smaller one is repeated until it makes 1 GiB [default: this
        /// program's own executable]
        file: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    // Started as the other process of a measurement?
    annulus_measure::peer::enter();
    let result = match Cli::parse().command {
        Command::Send { address, wanted } => send(&address, &wanted),
        Command::Recv { address, wanted, manner } => recv(&address, &wanted, &manner),
        Command::Inspect { address, json, all } => inspect::run(&address, json, all),
        Command::Ls { paths, json } => ls::run(&paths, json),
        Command::Rm { address, force } => rm::run(&address, force),
        Command::Bench { wanted } => bench::run(&wanted),
        Command::Demo { file } => return demo(file),
    };
    exit::report(result)
}

fn send(address: &str, wanted: &Wanted) -> exit::Result {
    wanted.check()?;
    match wanted.kind {
        Kind::Stream => send::run(address, wanted.capacity.unwrap_or(STREAM), wanted.keep),
        _ => messages::send(address, wanted),
    }
}

fn recv(address: &str, wanted: &Wanted, manner: &Manner) -> exit::Result {
    wanted.check()?;
    manner.check(wanted)?;
    match wanted.kind {
        Kind::Stream => recv::run(address, manner.timeout, wanted.keep),
        _ => messages::recv(address, wanted, manner),
    }
}

/// A time as people write it: `2`, `0.5`.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

fn demo(file: Option<PathBuf>) -> ExitCode {
    match demo::run(file.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("annulus: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
