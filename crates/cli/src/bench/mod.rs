//! `annulus bench`: every ring beside every mechanism that could be used instead.
//!
//! ```text
//!   plan ──> groups ──> pairs · crowds ──> rows ──> table · JSON · report
//!             │  a share of the time for each; its cases take turns
//! ```
//!
//! Each sample lies between two probes of the bare line between the two cores, and is
//! thrown away if they disagree; each is held against a limit measured beside it.

mod about;
mod aims;
mod busy;
mod cases;
mod crowds;
mod filter;
mod machine;
mod pairs;
mod plan;
mod progress;
mod report;
mod row;
mod table;
mod time;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use annulus_measure::cores::{self, Cores};
use clap::Args;
use serde_json::Value;

use crate::exit::{self, Failure};
use cases::Group;
use progress::Progress;
use row::Row;
use time::Time;

/// How the command was called.
#[derive(Args)]
pub struct Wanted {
    /// A selection that ends within a minute; all of it takes less than ten
    #[arg(long)]
    quick: bool,
    /// Only cases or subjects whose name has this in it, or fits it with `*` and `?`
    #[arg(long, value_name = "FILTER")]
    only: Option<String>,
    /// Write every figure to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with plots to this directory, made if need be
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// List the cases instead
    #[arg(long)]
    list: bool,
}

/// The time for all samples, which leaves some for starting processes and for the report.
const QUICK: Duration = Duration::from_secs(34);
const WHOLE: Duration = Duration::from_secs(8 * 60);

/// When the last sample is taken at the latest, on a machine that has no time for us.
const QUICK_END: Duration = Duration::from_secs(50);
const WHOLE_END: Duration = Duration::from_secs(9 * 60);

/// How long two processes may stand still: waiting for their cores, or stuck.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most that one case of two processes gets, when few are wanted.
const QUICK_CASE: Duration = Duration::from_millis(500);
const WHOLE_CASE: Duration = Duration::from_secs(3);

/// The report's page in its directory.
const PAGE: &str = "index.html";

/// Runs what is wanted.
pub fn run(wanted: &Wanted) -> exit::Result {
    let mut groups = plan::all(wanted.quick);
    if let Some(filter) = &wanted.only {
        for group in &mut groups {
            group.keep(|case, subject| filter::means(filter, case, subject));
        }
    }
    groups.retain(|group| group.len() > 0);
    if groups.is_empty() {
        let filter = exit::shown(wanted.only.as_deref().unwrap_or_default());
        let advice = "`annulus bench --list` names them all";
        return Err(Failure::unusable(format!("no case is like {filter}; {advice}")));
    }
    if wanted.list {
        return exit::print(&table::list(&groups));
    }
    // Before the time is spent: a place that can't be written.
    if let Some(file) = &wanted.json {
        open(file)?;
    }
    if let Some(directory) = &wanted.report {
        std::fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
        open(&directory.join(PAGE))?;
    }
    let (rows, mut about) = measure(&groups, wanted.quick)?;
    let aims = aims::of(&rows);
    about["aims"] = aims::json(&aims);
    if let Some(file) = &wanted.json {
        let all = rows.iter().map(Row::json).chain([about.clone()]);
        let text = serde_json::to_string_pretty(&all.collect::<Vec<Value>>());
        write(file, &(text.map_err(|error| Failure::other(error.to_string()))? + "\n"))?;
    }
    if let Some(directory) = &wanted.report {
        write(&directory.join(PAGE), &report::page(&rows, &aims, &about))?;
    }
    exit::print(&table::figures(&rows, &aims, &about))
}

/// All rows, and what is to be known of the machine and the run.
fn measure(groups: &[Group], quick: bool) -> exit::Result<(Vec<Row>, Value)> {
    let failed = |error: annulus_measure::Error| Failure::other(error.to_string());
    // Once, before this process is pinned.
    let (all, two) = (cores::all().map_err(failed)?, Cores::choose().map_err(failed)?);
    let facts = machine::Facts::read();
    let (time, most) = if quick { (QUICK, QUICK_CASE) } else { (WHOLE, WHOLE_CASE) };
    let mut left: u32 = groups.iter().map(Group::weight).sum();
    let time = time.min(most * left);
    let began = Instant::now();
    let end = began + if quick { QUICK_END } else { WHOLE_END };
    let mut progress = Progress::new(time);
    let mut rows = Vec::new();
    for group in groups {
        // What others did not use is shared out again.
        let own = f64::from(group.weight()) / f64::from(left);
        let until = Instant::now() + time.saturating_sub(began.elapsed()).mul_f64(own);
        let own = Time { until, end, patience: PATIENCE };
        left -= group.weight();
        progress.begin(&group.title());
        match group {
            Group::Pair(cases) => {
                let trials = pairs::run(cases, two, own, &mut progress);
                rows.extend(trials.iter().flat_map(Row::of_pair));
            }
            Group::Crowd(cases) => {
                let gathering = crowds::run(cases, &all, own, &mut progress);
                rows.extend(cases.iter().flat_map(|case| Row::of_crowd(&gathering, case)));
            }
        }
    }
    drop(progress);
    let about = facts.json(two, quick, began.elapsed());
    Ok((rows, about))
}

/// Nothing is written yet, and what stands there stays until then.
fn open(path: &Path) -> exit::Result {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    file.map(drop).map_err(|error| unwritable(path, &error))
}

fn write(path: &Path, text: &str) -> exit::Result {
    std::fs::write(path, text).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let path = exit::shown(&path.to_string_lossy());
    Failure::unusable(format!("{path}: {error}; choose a place that can be written"))
}
