//! `cargo xtask`: everything that is done to this repository by a command.

mod aarch64;
mod asan;
mod bits32;
mod cargo;
mod codegen;
mod counts;
mod depth;
mod loom;
mod process;
mod prove;
mod shuttle;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything that is done to this repository by a command.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check that a change must pass, each under its own time limit.
    Test(test::Options),
    /// Compare the machine code of a release with that of a crate without test hooks.
    Codegen,
    /// Explore the models of loom-tests with the patched loom.
    Loom(loom::Options),
    /// Run the models of shuttle-tests in random schedules.
    Shuttle(shuttle::Options),
    /// Run the campaigns that show what docs/guarantees.md promises.
    Prove(prove::Options),
    /// Run the library's tests for aarch64 under qemu.
    Aarch64(aarch64::Options),
    /// Run the library's tests under AddressSanitizer.
    Asan(depth::Options),
    /// Let 32-bit and 64-bit processes share rings.
    Bits32(depth::Options),
    /// Count the instructions of a call, and compare them with those on record.
    Counts(counts::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = process::kill_children_when_interrupted().and_then(|()| match cli.command {
        Command::Test(options) => test::main(&options),
        Command::Codegen => codegen::main(),
        Command::Loom(options) => loom::main(&options),
        Command::Shuttle(options) => shuttle::main(&options),
        Command::Prove(options) => prove::main(&options),
        Command::Aarch64(options) => aarch64::main(&options),
        Command::Asan(options) => asan::main(&options),
        Command::Bits32(options) => bits32::main(&options),
        Command::Counts(options) => counts::main(&options),
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
