//! `cargo xtask shuttle`: the models of shuttle-tests, in random schedules.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::cargo;
use crate::process::{self, Job};

/// Executions of each model in full; without, the models' own number.
const FULL: u64 = 100_000;

/// The arguments of `cargo xtask shuttle`.
#[derive(clap::Args)]
pub struct Options {
    /// 100,000 executions of each model: about eight minutes.
    #[arg(long)]
    full: bool,
    /// Put this bug of src/atomic/bug.rs into the models: some must fail.
    #[arg(long, value_name = "NAME")]
    bug: Option<String>,
    /// Only the models whose names contain this.
    filter: Option<String>,
}

/// Runs what the options ask for; whether it passed.
pub fn main(options: &Options) -> Result<bool> {
    let mut command = tests(options.full)?;
    if let Some(bug) = &options.bug {
        command.arg("--test=models").env("ANNULUS_SEEDED_BUG", bug);
    }
    command.arg("--no-fail-fast").args(&options.filter);
    command.args(["--", "--nocapture", "--test-threads=1"]);
    let job = Job::new(command, Duration::from_secs(60 * 60));
    let ended = process::run(job, &mut process::Log::terminal())?;
    let nothing = || (ended.tests.passed == 0).then(|| "no model ran".to_string());
    let failure = ended.failure().or_else(nothing);
    if let Some(why) = &failure {
        eprintln!("xtask: shuttle: {why}");
    }
    Ok(failure.is_none())
}

/// `cargo test` of the models and of the bugs that they find.
pub fn tests(full: bool) -> Result<Command> {
    let mut command = under_shuttle("test")?;
    command.arg("--release");
    if full {
        command.env("ANNULUS_SHUTTLE", FULL.to_string());
    }
    Ok(command)
}

/// `cargo clippy` of the models and of annulus as they see it.
pub fn clippy() -> Result<Command> {
    let mut command = under_shuttle("clippy")?;
    command.args(["--workspace", "--release", "--all-targets", "--", "-Dwarnings"]);
    Ok(command)
}

/// `cargo SUBCOMMAND` in shuttle-tests under `--cfg loom`, which means shuttle there.
fn under_shuttle(subcommand: &str) -> Result<Command> {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut command = cargo::locked(subcommand);
    command
        .current_dir(cargo::root().join("shuttle-tests"))
        .arg("--target-dir")
        .arg(cargo::target_directory()?.join("shuttle"))
        .env("RUSTFLAGS", format!("{flags} --cfg loom").trim_start())
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    Ok(command)
}
