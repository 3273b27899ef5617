//! `cargo xtask counts`: how many instructions a call has, beside those on record.
//!
//! ```text
//!   counts/src/main.rs ── callgrind, twice: B and 3 B batches ──▶ difference / calls
//!                                                                      │
//!   counts/COMPILER-PROCESSOR.json ◀── --update ──┬── compared, 2 % ◀──┘
//!                                                 └── a row that differs is a failure
//! ```
//!
//! Counts do not depend on what else the machine does, so that a slower call shows in
//! review. They are no times: a copy by the string instruction counts one a byte. The
//! `rtrb` rows are a yardstick, a ring between threads: no processes, no deaths, no
//! sleepers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo;
use crate::depth::{self, Need};

/// The arguments of `cargo xtask counts`.
#[derive(clap::Args)]
pub struct Options {
    /// Put what is found on record.
    #[arg(long)]
    update: bool,
}

const NEEDS: &[Need] =
    &[Need { test: &["valgrind", "--version"], remedy: "apt-get install valgrind" }];

const RINGS: [&str; 5] = ["spsc", "stream", "mpmc", "broadcast", "rtrb"];
const VERBS: [&str; 2] = ["send", "recv"];
const SIZES: [&str; 6] = ["8", "56", "64", "256", "1024", "4096"];

/// The two runs, in batches of the program.
const BATCHES: [u64; 2] = [1, 3];
/// Calls in a batch.
const BATCH: u64 = 1024;
/// The share by which a row may differ, and what rounding needs on the shortest.
const TOLERANCE: f64 = 0.02;
const ROUNDING: f64 = 0.05;

/// Instructions of a call, by row.
type Counts = BTreeMap<String, f64>;

/// Counts; whether all is as on record.
pub fn main(options: &Options) -> Result<bool> {
    depth::require(NEEDS)?;
    let program = build()?;
    let record = record()?;
    let known: Option<Counts> = match fs::read_to_string(&record) {
        Ok(text) => Some(serde_json::from_str(&text).context("a record that is none")?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).context("can't read the record"),
    };
    let mut found = Counts::new();
    let mut changes = Vec::new();
    for (row, count) in count_all(&program)? {
        let before = known.as_ref().map(|known| known.get(&row).copied());
        let change = before.and_then(|before| difference(before, count));
        println!("{row:22} {count:9.2}{}", change.as_deref().unwrap_or_default());
        changes.extend(change.map(|change| format!("{row}:{change}")));
        found.insert(row, count);
    }
    // The short calls of each ring beside the yardstick's.
    for row in
        ["spsc send 8", "spsc recv 8", "mpmc send 8", "mpmc recv 8", "rtrb send 8", "rtrb recv 8"]
    {
        println!("figure: counts {row} = {:.2} instructions", found[row]);
    }
    println!("figure: counts rows = {}", found.len());
    if options.update {
        fs::write(&record, serde_json::to_string_pretty(&found)? + "\n")?;
        println!("counts: {} rows are on record in {}", found.len(), shown(&record));
        return Ok(true);
    }
    if known.is_none() {
        println!(
            "skipped: nothing is on record in {}; `cargo xtask counts --update` puts it there",
            shown(&record)
        );
        return Ok(true);
    }
    println!("figure: counts rows that differ = {}", changes.len());
    for change in &changes {
        eprintln!("xtask: counts: {change}");
    }
    let how = if changes.is_empty() { "all as on record" } else { "not as on record" };
    println!("counts: {} rows, {} differ: {how}", found.len(), changes.len());
    Ok(changes.is_empty())
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let verbs = RINGS.into_iter().flat_map(|ring| VERBS.map(|verb| (ring, verb)));
    verbs.flat_map(|(ring, verb)| SIZES.map(|size| (ring, verb, size)))
}

/// Instructions of each row's call, in order. They are counted side by side: a count does not
/// depend on what else runs.
fn count_all(program: &Path) -> Result<Vec<(String, f64)>> {
    let rows: Vec<_> = rows().collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let some = rows.chunks(rows.len().div_ceil(cores));
    let counts: Vec<Result<Vec<_>>> = thread::scope(|scope| {
        let one = |&(ring, verb, size): &(_, _, _)| {
            Ok((format!("{ring} {verb} {size}"), count(program, [ring, verb, size])?))
        };
        let threads: Vec<_> =
            some.map(|rows| scope.spawn(move || rows.iter().map(one).collect())).collect();
        threads.into_iter().map(|thread| thread.join().expect("a count panicked")).collect()
    });
    Ok(counts.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

/// What is to be said of a count beside the one on record, if anything.
fn difference(before: Option<f64>, now: f64) -> Option<String> {
    let Some(before) = before else {
        return Some(format!(" is not on record, and {now:.2} now"));
    };
    let off = (now - before).abs();
    let share = 100.0 * (now - before) / before;
    (off > before * TOLERANCE + ROUNDING)
        .then(|| format!(" was {before:.2}, is {now:.2}: {share:+.1} %"))
}

/// Instructions of one call.
fn count(program: &Path, arguments: [&str; 3]) -> Result<f64> {
    let [few, many] = BATCHES.map(|batches| collected(program, arguments, batches));
    let (few, many) = (few?, many?);
    ensure!(many > few, "{arguments:?}: {few} instructions, then {many}");
    let calls = (BATCHES[1] - BATCHES[0]) * BATCH;
    // Two decimals: what is on record is what is shown.
    Ok(((many - few) as f64 / calls as f64 * 100.0).round() / 100.0)
}

/// Instructions inside `counted` in one run.
fn collected(program: &Path, arguments: [&str; 3], batches: u64) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--toggle-collect=counted", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .arg(batches.to_string());
    let output = command.output().context("can't run valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {}\n{text}", output.status);
    let line = text.lines().find_map(|line| line.split_once("Collected : "));
    match line.map(|(_, count)| count.trim().parse()) {
        Some(Ok(count)) if count > 0 => Ok(count),
        _ => bail!("{command:?} counted nothing:\n{text}"),
    }
}

fn build() -> Result<PathBuf> {
    let folder = cargo::target_directory()?.join("counts");
    let mut command = cargo::locked("build");
    command.args(["--release", "--quiet", "--manifest-path"]);
    command.arg(cargo::root().join("counts/Cargo.toml")).arg("--target-dir").arg(&folder);
    ensure!(command.status()?.success(), "the program that is counted does not build");
    Ok(folder.join("release/annulus-counts"))
}

/// Where the counts of this compiler are kept.
fn record() -> Result<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let about = cargo::stdout(Command::new(rustc).arg("-vV"))?;
    let value = |key: &str| about.lines().find_map(|line| line.strip_prefix(key));
    let release = value("release: ").context("rustc names no release")?;
    let host = value("host: ").context("rustc names no host")?;
    let processor = host.split('-').next().unwrap_or(host);
    Ok(cargo::root().join("counts").join(format!("{release}-{processor}.json")))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(cargo::root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_percent_more_is_said_and_less_too() {
        assert_eq!(difference(Some(100.0), 101.9), None);
        assert_eq!(difference(Some(20.0), 20.3), None);
        let said = difference(Some(100.0), 103.0).unwrap();
        assert!(said.contains("was 100.00, is 103.00: +3.0 %"), "{said}");
        assert!(difference(Some(100.0), 97.0).is_some());
        assert!(difference(None, 5.0).unwrap().contains("not on record"));
    }
}
