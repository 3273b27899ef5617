//! System calls that fail, by kind of call: no panic, no leak, no hang, a typed error or
//! none at all; and processes killed in each call, whose survivors keep their accounts.
//!
//! ```text
//!   cell ── a clean run ──▶ calls, by kind and number ── × answers ──▶ faults, shuffled
//!   fault ── victim, traced ──▶ its own words · its descriptors, mappings, names
//!         └─ partner ─────────▶ accounts of both rings · seats for successors
//! ```
//!
//! Before that, the situations of `scenes`: a full file system, a peer that is stopped.
//!
//! Shows guarantees 1, 2 and 4 where a process is killed in a system call, 12 (a name
//! appears whole or not at all) and what the documents say of kernels that lack a call.
//! Needs no rights but to trace its own children. x86-64.

mod calls;
mod cell;
mod full;
mod pulse;
mod run;
mod scenes;
mod stopped;
mod survivors;
mod tracer;
mod transfer;
mod victim;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use annulus_prove::{Depth, Options, Report, child};

use cell::Cell;
use run::{Outcome, run};
use tracer::{Answer, Fault};

/// How long a quick campaign goes on.
const QUICK: Duration = Duration::from_secs(20);

/// Of calls that are made often, so many are answered one by one.
const MOST: u32 = 12;

/// How many victims there are at a time.
const WORKERS: usize = 4;

/// One run to be made.
#[derive(Clone, Copy)]
struct Job {
    cell: Cell,
    fault: Fault,
}

impl std::fmt::Display for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ", self.cell, self.fault.kind)?;
        match self.fault.nth {
            Some(nth) => write!(f, "#{nth} ")?,
            None => write!(f, "each ")?,
        }
        f.write_str(match self.fault.answer {
            Answer::Error(_, name) => name,
            Answer::KillBefore => "SIGKILL before",
            Answer::KillAsleep => "SIGKILL asleep",
            Answer::KillBehind => "SIGKILL behind",
            Answer::Short => "less",
        })
    }
}

fn main() -> ExitCode {
    let options = Options::from_args();
    child::enter(&options, &[("victim", victim::run), ("scene", scenes::run)]);
    let report = Report::new();
    pulse::begin();
    scenes::play(&options, &report);
    if options.bug.is_some() && report.findings() > 0 {
        return report.end();
    }
    let (jobs, kinds) = match plan(&options, &report) {
        Ok(plan) => plan,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    // By now it has what a process with seats keeps.
    let before = held();
    if report.findings() == 0 {
        campaign(&options, &report, jobs, &kinds);
    }
    let after = held();
    if after > before {
        report.found(format!("the campaign itself holds {after} descriptors, not {before}"));
    }
    report.end()
}

/// A clean run of each cell, and all that can be made of its calls.
fn plan(options: &Options, report: &Report) -> Result<(Vec<Job>, BTreeSet<&'static str>), String> {
    let (mut jobs, mut kinds) = (Vec::new(), BTreeSet::new());
    let cells = Cell::all();
    for cell in &cells {
        let outcome = steady(cell, None, options)?;
        for what in &outcome.found {
            report.found(format!("{cell}, no fault: {what}"));
        }
        let calls = outcome.seen.calls;
        kinds.extend(calls.keys().copied());
        for (kind, count) in calls {
            for fault in faults(cell, kind, count) {
                jobs.push(Job { cell: *cell, fault });
            }
        }
    }
    jobs.retain(|job| options.wants(&job.to_string()));
    shuffle(&mut jobs, options.seed);
    let jobs = every_sort_first(jobs);
    report.figure("cells of rings", cells.len());
    report.figure("kinds of calls", kinds.len());
    report.figure("faults to choose from", jobs.len());
    Ok((jobs, kinds))
}

/// Puts one of every sort at the end, where jobs are taken from: first every kind of call with
/// every answer, once and each time; then, of every kind of ring, each call.
fn every_sort_first(jobs: Vec<Job>) -> Vec<Job> {
    let (mut answers, mut places) = (BTreeSet::new(), BTreeSet::new());
    let (mut first, mut second, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for job in jobs {
        let Fault { kind, nth, answer } = job.fault;
        if answers.insert((kind, nth.is_some(), format!("{answer:?}"))) {
            first.push(job);
        } else if places.insert((job.cell.kind.name(), job.cell.semaphores, kind, nth)) {
            second.push(job);
        } else {
            rest.push(job);
        }
    }
    rest.into_iter().chain(second).chain(first).collect()
}

/// A run, and again if this process was stopped meanwhile.
fn steady(cell: &Cell, fault: Option<&Fault>, options: &Options) -> Result<Outcome, String> {
    let well =
        |outcome: &Result<Outcome, String>| outcome.as_ref().is_ok_and(|it| it.found.is_empty());
    pulse::steadily(|| run(cell, fault, options), well)
}

/// All that can be made of `count` calls of a kind.
fn faults(cell: &Cell, kind: &'static str, count: u32) -> Vec<Fault> {
    let mut answers: Vec<Answer> = Vec::new();
    let common =
        calls::ERRORS.iter().filter(|(error, _)| !calls::senseless(kind, *error, cell.semaphores));
    answers.extend(common.map(|(error, name)| Answer::Error(*error, name)));
    let of_this = calls::OF_SOME.iter().filter(|(of, ..)| *of == kind);
    answers.extend(of_this.map(|(_, error, name)| Answer::Error(*error, name)));
    answers.extend(calls::may_be_short(kind).then_some(Answer::Short));
    let every = (1..=count.min(MOST)).map(Some).chain([None]);
    let mut faults = Vec::new();
    for nth in every {
        faults.extend(answers.iter().map(|answer| Fault { kind, nth, answer: *answer }));
        if nth.is_some() {
            let asleep = calls::sleeps(kind).then_some(Answer::KillAsleep);
            let kills = [Answer::KillBefore, Answer::KillBehind].into_iter().chain(asleep);
            faults.extend(kills.map(|answer| Fault { kind, nth, answer }));
        }
    }
    faults
}

/// Runs the jobs, as many as there is time for, and says what came of them.
fn campaign(options: &Options, report: &Report, jobs: Vec<Job>, kinds: &BTreeSet<&'static str>) {
    let began = Instant::now();
    let total = jobs.len();
    let jobs = Mutex::new(jobs);
    let next = || {
        let late = options.depth == Depth::Quick && began.elapsed() > QUICK;
        if late { None } else { jobs.lock().expect("no panic").pop() }
    };
    let mut sums = Sums::default();
    std::thread::scope(|scope| {
        let (send, outcomes) = mpsc::channel();
        for _ in 0..WORKERS {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                while let Some(job) = next() {
                    if send.send((job, steady(&job.cell, Some(&job.fault), options))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        for (job, outcome) in outcomes {
            sums.add(report, &job, outcome);
            report.progress(format!("{} of {total} faults", sums.runs));
            if options.bug.is_some() && report.findings() > 0 {
                break;
            }
        }
    });
    sums.say(report, total, kinds);
}

/// What came of all of them.
#[derive(Default)]
struct Sums {
    runs: usize,
    never: usize,
    answers: u64,
    kills: u64,
    errors: u64,
    unharmed: u64,
    left: u64,
    panics: u64,
    leaks: u64,
    hangs: u64,
    kinds: BTreeMap<&'static str, u32>,
}

impl Sums {
    fn add(&mut self, report: &Report, job: &Job, outcome: Result<Outcome, String>) {
        self.runs += 1;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(why) => {
                report.found(format!("{job}: could not run: {why}"));
                return;
            }
        };
        if outcome.seen.injected == 0 {
            self.never += 1;
        }
        *self.kinds.entry(job.fault.kind).or_insert(0) += 1;
        if outcome.seen.killed {
            self.kills += 1;
        } else {
            self.answers += u64::from(outcome.seen.injected);
            self.errors += u64::from(outcome.errors > 0);
            self.unharmed += u64::from(outcome.errors == 0);
        }
        self.left += outcome.left as u64;
        for what in outcome.found {
            self.panics += u64::from(what.starts_with("panic"));
            self.leaks += u64::from(what.starts_with("leak"));
            self.hangs += u64::from(what.starts_with("hang"));
            report.found(format!("{job}: {what}"));
        }
    }

    fn say(&self, report: &Report, total: usize, kinds: &BTreeSet<&'static str>) {
        report.figure("faults run", self.runs);
        let share = 100.0 * self.runs as f64 / total.max(1) as f64;
        report.figure("share of the faults (%)", format!("{share:.1}"));
        report.figure("kinds of calls hit", format!("{} of {}", self.kinds.len(), kinds.len()));
        report.figure("answers given for the kernel", self.answers);
        report.figure("kills in calls", self.kills);
        report.figure("faults whose call did not come", self.never);
        report.figure("runs that ended in typed errors", self.errors);
        report.figure("runs that went as if nothing had been", self.unharmed);
        report.figure("names left by kills, as documented", self.left);
        report.figure("panics", self.panics);
        report.figure("leaks", self.leaks);
        report.figure("hangs", self.hangs);
        report.figure("pauses of the campaign itself", pulse::pauses());
    }
}

/// Descriptors of this process.
fn held() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// In an order that the seed decides.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for at in (1..items.len()).rev() {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        items.swap(at, ((mixed ^ (mixed >> 31)) % (at as u64 + 1)) as usize);
    }
}
