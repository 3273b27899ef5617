//! What the campaigns run, built once.
//!
//! ```text
//!   plain    crates/prove, crates/explore           as they are released
//!   seeded   crates/prove, the files of tests/      test hooks and seeded bugs in
//!                       each one call of cargo ──▶ name ──▶ executable
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::campaigns::{Campaign, EXPLORE, Runs};
use crate::cargo;
use crate::process::{self, Job, Log};

/// Where the executables are, by the names of their targets.
#[derive(Default)]
pub struct Built {
    plain: BTreeMap<String, PathBuf>,
    seeded: BTreeMap<String, PathBuf>,
}

/// Names of targets.
type Names = BTreeSet<&'static str>;

impl Built {
    /// Builds what these campaigns run, and what these hunt bugs with.
    pub fn make<'a>(
        run: impl Iterator<Item = &'a Campaign>,
        hunt: impl Iterator<Item = &'a Campaign>,
        began: Instant,
    ) -> Result<Self> {
        let (mut plain, mut programs, mut tests) = (Names::new(), Names::new(), Names::new());
        for Campaign { name, runs, .. } in run {
            let _ = match runs {
                Runs::Program => plain.insert(name),
                Runs::Explore(..) => plain.insert(EXPLORE),
                Runs::Seeded => programs.insert(name),
                Runs::Tests(_) | Runs::Commands(_) => false,
            };
            add_tests(&mut tests, runs);
        }
        for Campaign { name, runs, .. } in hunt {
            if matches!(runs, Runs::Program | Runs::Seeded) {
                programs.insert(name);
            }
            add_tests(&mut tests, runs);
        }
        let mut log = Log::quiet(super::log("builds")?).telling("builds", began);
        let of_plain = ["--package=annulus-prove", "--package=annulus-explore"];
        let of_seeded = [
            "--package=annulus-prove",
            "--package=annulus",
            "--features=annulus-prove/seeded,annulus/test-hooks",
        ];
        Ok(Self {
            plain: build("plain", &of_plain, &plain, &Names::new(), &mut log)?,
            seeded: build("seeded", &of_seeded, &programs, &tests, &mut log)?,
        })
    }

    /// A program as it is released.
    pub fn plain(&self, name: &str) -> Result<Command> {
        command(&self.plain, name)
    }

    /// A program with bugs in it.
    pub fn seeded(&self, name: &str) -> Result<Command> {
        command(&self.seeded, name)
    }

    /// A file of tests/, with bugs in the library.
    pub fn test(&self, file: &str) -> Result<Command> {
        let mut command = command(&self.seeded, file)?;
        command.arg("--test-threads=2");
        Ok(command)
    }
}

fn add_tests(tests: &mut Names, runs: &Runs) {
    if let Runs::Tests(files) = runs {
        tests.extend(*files);
    }
}

fn command(built: &BTreeMap<String, PathBuf>, name: &str) -> Result<Command> {
    let path = built.get(name).with_context(|| format!("{name} has not been built"))?;
    let mut command = Command::new(path);
    command.current_dir(cargo::root());
    Ok(command)
}

fn build(
    what: &str,
    arguments: &[&str],
    programs: &Names,
    tests: &Names,
    log: &mut Log,
) -> Result<BTreeMap<String, PathBuf>> {
    if programs.is_empty() && tests.is_empty() {
        return Ok(BTreeMap::new());
    }
    println!("building      {} programs and {} tests, {what}", programs.len(), tests.len());
    let mut command = cargo::locked("build");
    command.args(["--release", "--message-format=json-render-diagnostics"]).args(arguments);
    command.arg("--target-dir").arg(cargo::target_directory()?.join("prove").join(what));
    command.args(programs.iter().flat_map(|name| ["--bin", name]));
    command.args(tests.iter().flat_map(|name| ["--test", name]));
    let ended = process::run(Job::new(command, super::minutes(20)), log)?;
    let said = log.take();
    ensure!(ended.failure().is_none(), "the {what} programs can't be built:\n{}", errors(&said));
    let artifacts = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built: BTreeMap<_, _> = artifacts
        .filter_map(|artifact| {
            let path = artifact["executable"].as_str()?;
            Some((artifact["target"]["name"].as_str()?.to_string(), PathBuf::from(path)))
        })
        .collect();
    for name in programs.iter().chain(tests) {
        ensure!(built.contains_key(*name), "cargo has built no {name}");
    }
    Ok(built)
}

/// What is no JSON is said by the compiler.
fn errors(said: &str) -> String {
    let lines = said.lines().filter(|line| !line.starts_with('{'));
    lines.collect::<Vec<_>>().join("\n")
}
