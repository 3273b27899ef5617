//! `cargo xtask test`: the steps that a change must pass.
//!
//! ```text
//!   step ── commands, in turn ──▶ process group, time limit ──▶ output as it comes
//!     └── all steps run, whatever fails ──▶ skips, ends of failed logs, one table
//! ```

mod leftovers;
mod package;
mod report;
mod steps;
mod tidy;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::process::{self, Job, Log, Tests};
use report::Row;
use steps::{STEPS, Step};

/// How long a command may say nothing: each test says its name, and so does each crate that
/// is built. None takes nearly as long.
const SILENCE: Duration = Duration::from_secs(300);

/// The arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Options {
    /// Only these steps, in the order of the list.
    steps: Vec<String>,
    /// List the steps, each with its time limit, and run none.
    #[arg(long)]
    list: bool,
}

/// Runs the steps; whether all of them passed.
pub fn main(options: &Options) -> Result<bool> {
    if options.list {
        for step in STEPS {
            println!("{:12} {:>5} s  {}", step.name, step.limit.as_secs(), step.what);
        }
        return Ok(true);
    }
    let chosen = choose(&options.steps)?;
    let folder = cargo::target_directory()?.join("xtask");
    fs::create_dir_all(&folder).with_context(|| format!("can't make {folder:?}"))?;
    let skips = folder.join("skipped");
    fs::write(&skips, "").with_context(|| format!("can't write {skips:?}"))?;

    let mark = leftovers::mark();
    let mut rows = Vec::new();
    for step in chosen {
        let log = folder.join(format!("{}.log", step.name));
        rows.push(run(step, log, &skips, &mark)?);
    }
    let skips = fs::read_to_string(&skips).with_context(|| format!("can't read {skips:?}"))?;
    print!("{}", report::report(&rows, &skips));
    Ok(rows.iter().all(|row| row.failures.is_empty()))
}

fn choose(names: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let known: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        bail!("no step is called `{unknown}`; there are {}", known.join(", "));
    }
    let chosen =
        STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|n| n == step.name));
    Ok(chosen.collect())
}

fn run(step: &Step, log: PathBuf, skips: &Path, mark: &str) -> Result<Row> {
    let file = fs::File::create(&log).with_context(|| format!("can't write {log:?}"))?;
    let mut running = Running {
        deadline: Instant::now() + step.limit,
        log: Log::with_file(file),
        skips: skips.into(),
        mark: mark.into(),
        tests: Tests::default(),
        failures: Vec::new(),
    };
    running.log.write(format!("\n=== {}: {}\n", step.name, step.what).as_bytes());
    let start = Instant::now();
    // A step that can't do its work has failed; the others still run.
    if let Err(error) = (step.run)(&mut running) {
        running.fail(format!("{error:#}"));
    }
    Ok(Row {
        step: step.name,
        failures: running.failures,
        tests: running.tests,
        time: start.elapsed(),
        limit: step.limit,
        log,
    })
}

/// A step while it runs.
pub struct Running {
    deadline: Instant,
    log: Log,
    skips: PathBuf,
    mark: String,
    tests: Tests,
    failures: Vec<String>,
}

impl Running {
    /// Runs one command within what is left of the step's time. It goes on after a failure.
    pub fn run(&mut self, mut command: Command) -> Result<()> {
        command.env("ANNULUS_SKIP_LOG", &self.skips).env(leftovers::VARIABLE, &self.mark);
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left < Duration::from_secs(1) {
            self.fail(format!("no time was left for {}", process::shown(&command)));
            return Ok(());
        }
        let name = process::shown(&command);
        let job = Job::new(command, left).silent_for(SILENCE);
        let ended = process::run(job, &mut self.log)?;
        self.tests.add(ended.tests);
        if let Some(why) = ended.failure() {
            self.fail(format!("{name}: {why}"));
        }
        Ok(())
    }

    /// Runs one command that must run tests: none at all is a failure, and so is what
    /// it leaves in /dev/shm.
    pub fn run_tests(&mut self, command: Command) -> Result<()> {
        let name = process::shown(&command);
        let (before, failures) = (self.tests, self.failures.len());
        self.run(command)?;
        if self.tests.passed == before.passed && self.failures.len() == failures {
            self.fail(format!("{name}: ran no test"));
        }
        let left = leftovers::take(&self.mark);
        if !left.is_empty() {
            self.fail(format!("left in /dev/shm (removed now): {}", left.join(", ")));
        }
        Ok(())
    }

    /// Notes a failure.
    pub fn fail(&mut self, why: String) {
        self.log.write(format!("xtask: {why}\n").as_bytes());
        self.failures.push(why);
    }
}
