//! The `annulus` command.
//!
//! ```text
//!   main ── inspect · ls ── facts          what an observer sees
//!     │  ── rm
//!     └──── demo
//!   exit: codes and last words, for all of them
//! ```

mod demo;
mod exit;
mod facts;
mod inspect;
mod ls;
mod rm;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
  0  done; of a stream: it came to its end
  1  another error, or a receiver that closed early (quietly, as for `| head`)
  2  usage, or an address with nothing usable under it
  3  the peer died or aborted; what had been sent was delivered first";

#[derive(Subcommand)]
enum Command {
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
        Command::Inspect { address, json } => inspect::run(&address, json),
        Command::Ls { paths, json } => ls::run(&paths, json),
        Command::Rm { address, force } => rm::run(&address, force),
        Command::Demo { file } => return demo(file),
    };
    exit::report(result)
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
