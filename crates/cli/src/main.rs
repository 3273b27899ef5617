//! The `annulus` command.

mod demo;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Lock-free ring buffers in shared memory
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
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
    let Command::Demo { file } = Cli::parse().command;
    match demo::run(file.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("annulus: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
