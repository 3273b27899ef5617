//! annulus beside the crates that people would use instead, in one run.
//!
//! ```text
//!   this process ── orders ──> team of annulus ── raw line, sample, raw line
//!        asleep  ── orders ──> team of a rival ── raw line, sample, raw line
//!                ── orders ──> team of another ...           and so on, in turns
//! ```
//!
//! A team is a sender and a receiver, or several of both, pinned to the same cores as all
//! other teams: separate processes, or threads of one for those that cannot do more. Teams
//! sleep until it is their turn. Every message of every rival is checked; who stands still
//! or crashes loses its team alone.

mod annulus;
mod board;
mod disruptor;
mod figures;
mod iceoryx2;
mod ipc_channel;
mod member;
mod queues;
mod raw;
mod report;
mod ringbuf;
mod ringfire;
mod rival;
mod roster;
mod rtrb;
mod shaq;
mod shmem_ipc;
mod task;
mod team;
mod thingbuf;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use annulus_measure::cores;
use annulus_measure::machine::Machine;
use anyhow::{Result, bail};
use clap::Parser;

use figures::{Entry, Finding};
use report::{Report, load};
use roster::{CASES, Case, Part, SUBJECTS};
use team::Team;

/// How often teams are started in a case.
const STARTS: usize = 6;

/// Measures annulus beside other crates, in one run.
#[derive(Parser)]
struct Options {
    /// Fewer samples.
    #[arg(long)]
    quick: bool,
    /// Cases or rivals whose name contains one of these; annulus is always there.
    #[arg(long)]
    only: Vec<String>,
    /// Samples of each subject in each case.
    #[arg(long)]
    rounds: Option<usize>,
    /// Writes all figures there.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Writes the tables into this page, between its marks.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

fn main() -> ExitCode {
    if let Some(code) = member::enter() {
        return code;
    }
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let cores = cores::all()?;
    if cores.len() < 2 {
        bail!("two cores are needed");
    }
    let rounds = options.rounds.unwrap_or(if options.quick { 40 } else { 300 }).max(1);
    let named = |name: &str| options.only.iter().any(|only| name.contains(only.as_str()));
    // Names of cases choose cases, names of rivals choose rivals.
    let by_case = CASES.iter().any(|case| named(case.name));
    let by_rival = SUBJECTS.iter().any(|subject| named(subject.name));
    if !options.only.is_empty() && !by_case && !by_rival {
        bail!("nothing is called so");
    }
    let (start, before) = (Instant::now(), load());
    let machine = Machine::read();
    let mut findings = Vec::new();
    for case in CASES.iter().filter(|case| !by_case || named(case.name)) {
        let chosen = |subject: &&'static roster::Subject| {
            let asked = !by_rival || named(subject.name) || subject.part != Part::Rival;
            asked && subject.takes_part(case)
        };
        let entries: Vec<_> = SUBJECTS.iter().filter(chosen).map(Entry::new).collect();
        if entries.iter().any(|entry| entry.subject.part == Part::Rival) || !by_rival {
            findings.push(measure(case, entries, &cores[..2], rounds));
        }
    }
    let (load, took) = ([before, load()], start.elapsed());
    let taken = findings.iter().flat_map(|finding| &finding.entries);
    let rounds = taken.map(|entry| entry.samples.len()).max().unwrap_or_default();
    let report = Report { findings, machine, load, took, rounds };
    print!("{}", report.text());
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", report.json()))?;
    }
    if let Some(path) = &options.markdown {
        report.write_into(path)?;
    }
    Ok(())
}

/// Takes all samples of a case, one of each subject in each round. Teams are started afresh
/// several times: where a ring's pages happen to lie can decide as much as its code.
fn measure(
    case: &'static Case,
    mut entries: Vec<Entry>,
    cores: &[usize],
    rounds: usize,
) -> Finding {
    eprintln!("{}", case.name);
    // A rival that crawls must not hold up the others.
    let limit = Duration::from_secs(45);
    let start = Instant::now();
    let each = rounds.div_ceil(STARTS);
    for _ in 0..STARTS.min(rounds) {
        let mut teams = begin(case, &mut entries, cores);
        for round in 0..each {
            for turn in 0..entries.len() {
                // Everybody comes after everybody else by turns.
                let index = (turn + round) % entries.len();
                let sample = match teams[index].as_mut().map(Team::sample) {
                    Some(Ok(sample)) => Some(sample),
                    Some(Err(error)) => {
                        give_up(&mut entries[index], &error);
                        teams[index] = None;
                        None
                    }
                    None => None,
                };
                let entry = &mut entries[index];
                entry.faults.add(sample.map_or_else(Default::default, |sample| sample.faults));
                entry.samples.push(sample);
            }
            if start.elapsed() > limit {
                eprintln!("  after {} rounds: enough", entries[0].samples.len());
                return Finding { case, entries };
            }
        }
    }
    Finding { case, entries }
}

/// The teams of all who have not failed so far, warm.
fn begin(case: &'static Case, entries: &mut [Entry], cores: &[usize]) -> Vec<Option<Team>> {
    let start = |entry: &mut Entry| {
        if entry.reason.is_some() {
            return None;
        }
        let warm = Team::start(entry.subject, case, cores).and_then(|mut team| {
            entry.faults.add(team.warm_up()?);
            Ok(team)
        });
        warm.map_err(|error| give_up(entry, &error)).ok()
    };
    entries.iter_mut().map(start).collect()
}

fn give_up(entry: &mut Entry, error: &anyhow::Error) {
    eprintln!("  {}: {error:#}", entry.subject.name);
    entry.reason = Some(format!("{error:#}"));
}
