//! `cargo xtask loom`: the models of loom-tests, explored by the patched loom.
//!
//! The published loom 0.7.3 misses ordering bugs in ring code (loom-tests/patches has
//! the cure, loom-tests/tests/patched_loom.rs the proof). The patch is applied here to a
//! copy of the published source, and cargo is told of the copy on its command line, so
//! that no manifest names a path that may not exist.

mod patch;
mod source;

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::cargo;
use crate::process::{self, Job};
use source::Which;

/// The arguments of `cargo xtask loom`.
#[derive(clap::Args)]
pub struct Options {
    /// Explore without bounds: minutes to hours.
    #[arg(long)]
    full: bool,
    /// Run loom's own tests against the patched copy instead of the models.
    #[arg(long, conflicts_with_all = ["full", "filter"])]
    self_test: bool,
    /// Run the models of docs/loom.md, a user's own, instead.
    #[arg(long, conflicts_with_all = ["full", "self_test"])]
    course: bool,
    /// Use the published loom, to see what it misses.
    #[arg(long, conflicts_with = "self_test")]
    published: bool,
    /// Only the models in these files of loom-tests/tests.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["self_test", "course"])]
    test: Vec<String>,
    /// Only the models whose names contain this.
    filter: Option<String>,
}

/// Runs what the options ask for; whether it passed.
pub fn main(options: &Options) -> Result<bool> {
    let job = if options.self_test {
        // About two minutes, one and a half of them the models of loom itself.
        Job::new(self_test()?, Duration::from_secs(20 * 60))
    } else {
        let limit = if options.full { 24 * 60 } else { 20 };
        let which = if options.published { Which::Published } else { Which::Patched };
        let mut command = cargo_test(which, if options.full { "full" } else { "ci" })?;
        if options.course {
            command.args(COURSE);
        }
        for file in &options.test {
            command.args(["--test", file]);
        }
        // The first that fails must not hide what the others do.
        command.arg("--no-fail-fast").args(&options.filter);
        if options.course || options.published {
            command.args(["--", "--nocapture", "--test-threads=1"]);
        }
        Job::new(command, Duration::from_secs(limit * 60))
    };
    let ended = process::run(job, &mut process::Log::terminal())?;
    let nothing = || (ended.tests.passed == 0).then(|| "no model ran".to_string());
    let failure = ended.failure().or_else(nothing);
    if let Some(why) = &failure {
        eprintln!("xtask: loom: {why}");
    }
    Ok(failure.is_none())
}

/// `cargo test` of the models; `bounds` is `ci` or `full`.
pub fn models(bounds: &str) -> Result<Command> {
    cargo_test(Which::Patched, bounds)
}

/// `cargo test` of the models of docs/loom.md.
pub fn course() -> Result<Command> {
    let mut command = cargo_test(Which::Patched, "ci")?;
    command.args(COURSE);
    Ok(command)
}

const COURSE: &[&str] = &["--package=annulus-loom-course", "--test=models"];

fn cargo_test(which: Which, bounds: &str) -> Result<Command> {
    let mut command = with_loom(which, "test")?;
    command.arg("--release").env("ANNULUS_LOOM", bounds);
    Ok(command)
}

/// `cargo clippy` of the models and of annulus as they see it.
pub fn clippy() -> Result<Command> {
    let mut command = with_loom(Which::Patched, "clippy")?;
    command.args(["--workspace", "--release", "--all-targets", "--", "-Dwarnings"]);
    Ok(command)
}

/// `cargo SUBCOMMAND` in loom-tests under `--cfg loom` with that loom.
fn with_loom(which: Which, subcommand: &str) -> Result<Command> {
    let copy = source::prepare(which)?;
    let path = copy.to_str().map(|path| format!("{path:?}"));
    let path = path.ok_or_else(|| anyhow::anyhow!("{copy:?} is not UTF-8"))?;
    let mut command = cargo::locked(subcommand);
    command
        .current_dir(cargo::root().join("loom-tests"))
        .arg(format!("--config=patch.crates-io.loom.path={path}"))
        .arg("--target-dir")
        .arg(cargo::target_directory()?.join("loom/build"))
        .env("RUSTFLAGS", rustflags())
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    Ok(command)
}

/// The user's flags and `--cfg loom`.
fn rustflags() -> String {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    format!("{flags} --cfg loom").trim_start().to_string()
}

/// `cargo test` of the patched loom itself, with the lock file it was published with.
fn self_test() -> Result<Command> {
    let mut command = cargo::cargo("test");
    command
        .current_dir(source::prepare(Which::Patched)?)
        .args(["--release", "--all-features", "--locked", "--target-dir"])
        .arg(cargo::target_directory()?.join("loom/self-test"));
    Ok(command)
}
