//! `cargo xtask prove`: the campaigns that show what docs/guarantees.md promises.
//!
//! ```text
//!   builds ──▶ campaigns that share, in lanes ──▶ those that are alone ──▶ hunts for bugs
//!                  │ figure: · found: · skipped:        │          caught in n s, or missed
//!                  └─────────── outcomes ───────────────┴── kept ────────────┘
//!                                                            └──▶ table, docs/verification.md
//! ```
//!
//! What has run is kept in the target directory, so that a run which was cut short goes
//! on (`--resume`) where it stopped, as long as the library is the same; a campaign that was
//! mended meanwhile is so run again without the others. Each says at which commit it ran.

mod builds;
mod campaigns;
mod document;
mod hunts;
mod lanes;
mod matrix;
mod needs;
mod outcome;
mod state;

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::process::{self, Job, Log};
use builds::Built;
use campaigns::{CAMPAIGNS, Campaign, Depth, Step};
use outcome::Outcome;
use state::State;

/// The arguments of `cargo xtask prove`.
#[derive(clap::Args)]
pub struct Options {
    /// A sample of each campaign, a quarter of an hour in all. This is the default.
    #[arg(long)]
    quick: bool,
    /// More of each campaign: what docs/verification.md says.
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Keep what has already run of this library and found nothing.
    #[arg(long)]
    resume: bool,
    /// Say what there is, what it shows and what it needs, and run nothing.
    #[arg(long)]
    list: bool,
    /// Leave out the seeded bugs.
    #[arg(long)]
    no_bugs: bool,
    /// Hunt only this bug, by every campaign that looks for it.
    #[arg(long, value_name = "BUG", conflicts_with = "no_bugs")]
    bug: Option<String>,
    /// Write the figures into docs/verification.md and docs/guarantees.md; with `--list` only
    /// the list of bugs that are missed.
    #[arg(long)]
    write: bool,
    /// How many campaigns run beside each other, of those that may: 2 in full, else 1.
    #[arg(long, value_name = "N")]
    lanes: Option<usize>,
    /// Only these campaigns; `bugs` is one of them.
    campaigns: Vec<String>,
}

/// Runs what the options ask for; whether all passed.
pub fn main(options: &Options) -> Result<bool> {
    let known = |name: &String| name == hunts::NAME || campaigns::named(name).is_some();
    if let Some(unknown) = options.campaigns.iter().find(|name| !known(name)) {
        let names: Vec<_> = CAMPAIGNS.iter().map(|campaign| campaign.name).collect();
        bail!("no campaign is called {unknown}; there are {} and bugs", names.join(", "));
    }
    if let Some(bug) = &options.bug
        && matrix::pairs(Depth::Full, Some(bug)).is_empty()
    {
        bail!("no bug is called {bug}; src/atomic/bug.rs has them");
    }
    if options.list {
        print!("{}", campaigns::list());
        if options.write {
            document::write_missed()?;
        }
        return Ok(true);
    }
    let depth = if options.full { Depth::Full } else { Depth::Quick };
    let state = Mutex::new(State::load(depth, options.resume)?);
    let wanted =
        |name: &str| options.campaigns.is_empty() || options.campaigns.iter().any(|n| n == name);
    let failed = run_all(options, depth, &state, wanted)?;
    let state = state.into_inner().expect("nobody panicked with it");
    println!("\n{}", document::table(&state));
    if options.write {
        document::write(&state)?;
        println!("written to docs/verification.md and docs/guarantees.md");
    }
    let verdict = if failed.is_empty() {
        "nothing found".into()
    } else {
        format!("FAILED: {}", failed.join(", "))
    };
    println!("prove: {depth} in {} s at {}: {verdict}", state.seconds(), state.commit());
    Ok(failed.is_empty())
}

/// Builds, then runs campaigns side by side, then those that must be alone, then hunts.
/// What failed.
fn run_all(
    options: &Options,
    depth: Depth,
    state: &Mutex<State>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let began = Instant::now();
    let lanes = options.lanes.unwrap_or(if depth == Depth::Full { 2 } else { 1 });
    let mut todo: Vec<_> = CAMPAIGNS.iter().filter(|one| wanted(one.name)).collect();
    print!("{}", needs::all_missing(todo.iter().copied()));
    todo.retain(|campaign| {
        let kept = locked(state).outcome(campaign.name).is_some();
        if kept {
            println!("{:13} kept from before", campaign.name);
        }
        !kept
    });
    let bugs = wanted(hunts::NAME) && !options.no_bugs;
    let only = options.bug.as_deref();
    let hunters = hunts::campaigns(depth, only).filter(|_| bugs);
    let built = Built::make(todo.iter().copied(), hunters, began)?;

    let one = |campaign: &Campaign| {
        println!("{:13} {}", campaign.name, campaign.what);
        let outcome = run(campaign, depth, &built, began)?;
        println!("{} {outcome}", campaign.name);
        locked(state).keep(campaign.name, outcome)
    };
    let (sharing, alone): (Vec<&Campaign>, Vec<_>) = todo.into_iter().partition(|one| !one.alone);
    lanes::run(lanes, sharing, one)?;
    lanes::run(1, alone, one)?;
    if bugs {
        hunts::run((depth, only), lanes, &built, state, began)?;
    }
    Ok(locked(state).failed(wanted))
}

/// The state, for a moment.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nobody panics with it")
}

/// Runs one campaign's commands.
fn run(campaign: &Campaign, depth: Depth, built: &Built, began: Instant) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let lacking = needs::missing(campaign);
    if !lacking.is_empty() {
        outcome.skip(campaign.name, &lacking.join("; "));
        return Ok(outcome);
    }
    let mut log = Log::quiet(log(campaign.name)?).telling(campaign.name, began);
    let start = Instant::now();
    for Step { command, until } in campaign.steps(depth, built)? {
        let shown = process::shown(&command);
        let Some(left) = campaign.limit(depth).checked_sub(start.elapsed()) else {
            outcome.fail(format!("no time was left for {shown}"));
            break;
        };
        eprintln!("  {:4} s  {shown}", began.elapsed().as_secs());
        let ended =
            process::run(Job::new(command, until.map_or(left, |(_, until)| until)), &mut log)?;
        let said = log.take();
        outcome.read(&said);
        if let (true, Some((file, until))) = (ended.is_cut_short(), until) {
            outcome.cut_short(&said, &format!("{file}, without bounds"), until);
            continue;
        }
        outcome.tests(ended.tests);
        if let Some(why) = ended.failure() {
            let path = log_file(campaign.name)?;
            outcome.fail(format!("{why}; all it said is in {}", path.display()));
        }
    }
    outcome.took(start.elapsed());
    Ok(outcome)
}

/// A file for what somebody says.
fn log(name: &str) -> Result<File> {
    let path = log_file(name)?;
    File::create(&path).with_context(|| format!("can't make {path:?}"))
}

/// Where it is.
fn log_file(name: &str) -> Result<PathBuf> {
    let folder = cargo::target_directory()?.join("prove/said");
    fs::create_dir_all(&folder).with_context(|| format!("can't make {folder:?}"))?;
    Ok(folder.join(format!("{name}.log")))
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}
