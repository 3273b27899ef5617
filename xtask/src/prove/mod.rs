//! `cargo xtask prove`: the campaigns that show what docs/guarantees.md promises.
//!
//! ```text
//!   campaign ── needs ──▶ commands, in turn ──▶ figure: · found: · skipped: ──▶ outcome
//!   bug × campaign ── seeded build ──▶ caught in n s, or missed                   │
//!                                     table · docs/verification.md ◀── kept ◀─────┘
//! ```
//!
//! What has run is kept in the target directory, so that a run which was cut short goes
//! on (`--resume`) where it stopped, as long as the commit is the same.

mod campaigns;
mod document;
mod matrix;
mod needs;
mod outcome;
mod state;

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::process::{self, Job, Log};
use campaigns::{CAMPAIGNS, Campaign, Depth};
use outcome::Outcome;
use state::State;

/// The arguments of `cargo xtask prove`.
#[derive(clap::Args)]
pub struct Options {
    /// A sample of each campaign, minutes in all. This is the default.
    #[arg(long)]
    quick: bool,
    /// All of each campaign, hours in all.
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Keep what has already run at this commit.
    #[arg(long)]
    resume: bool,
    /// Say what there is, what it shows and what it needs, and run nothing.
    #[arg(long)]
    list: bool,
    /// Leave out the seeded bugs.
    #[arg(long)]
    no_bugs: bool,
    /// Write the figures into docs/verification.md.
    #[arg(long)]
    write: bool,
    /// Only these campaigns; `bugs` is one of them.
    campaigns: Vec<String>,
}

/// Runs what the options ask for; whether all passed.
pub fn main(options: &Options) -> Result<bool> {
    let known = |name: &String| name == matrix::NAME || CAMPAIGNS.iter().any(|c| c.name == name);
    if let Some(unknown) = options.campaigns.iter().find(|name| !known(name)) {
        let names: Vec<_> = CAMPAIGNS.iter().map(|campaign| campaign.name).collect();
        bail!("no campaign is called {unknown}; there are {} and bugs", names.join(", "));
    }
    if options.list {
        print!("{}", campaigns::list());
        return Ok(true);
    }
    let depth = if options.full { Depth::Full } else { Depth::Quick };
    let mut state = State::load(depth, options.resume)?;
    let start = Instant::now();
    let wanted =
        |name: &str| options.campaigns.is_empty() || options.campaigns.iter().any(|n| n == name);
    let missing = needs::all_missing(CAMPAIGNS.iter().filter(|campaign| wanted(campaign.name)));
    print!("{missing}");

    for campaign in CAMPAIGNS.iter().filter(|campaign| wanted(campaign.name)) {
        if state.has(campaign.name) {
            println!("{:13} kept from before", campaign.name);
            continue;
        }
        println!("{:13} {}", campaign.name, campaign.what);
        let outcome = run(campaign, depth, start)?;
        println!("{outcome}");
        state.keep(campaign.name, outcome)?;
    }
    if wanted(matrix::NAME) && !options.no_bugs {
        matrix::run(depth, &mut state, start)?;
    }
    let text = document::table(&state);
    println!("\n{text}");
    if options.write {
        document::write(&state)?;
        println!("written to docs/verification.md");
    }
    let failed = state.failed(wanted);
    println!(
        "prove: {depth} in {} s at {}: {}",
        start.elapsed().as_secs(),
        state.commit(),
        if failed.is_empty() {
            "nothing found".into()
        } else {
            format!("FAILED: {}", failed.join(", "))
        }
    );
    Ok(failed.is_empty())
}

/// Runs one campaign's commands.
fn run(campaign: &Campaign, depth: Depth, began: Instant) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let lacking = needs::missing(campaign);
    if !lacking.is_empty() {
        outcome.skip(campaign.name, &lacking.join("; "));
        return Ok(outcome);
    }
    let path = log_file(campaign.name)?;
    let file = File::create(&path).with_context(|| format!("can't make {path:?}"))?;
    let mut log = Log::quiet(file);
    let start = Instant::now();
    for step in (campaign.steps)(depth)? {
        let Some(left) = campaign.limit(depth).checked_sub(start.elapsed()) else {
            outcome.fail(format!("no time was left for {}", process::shown(&step)));
            break;
        };
        eprintln!("  {:4} s  {}", began.elapsed().as_secs(), process::shown(&step));
        let ended = process::run(Job::new(step, left), &mut log)?;
        outcome.read(&log.take());
        outcome.tests(ended.tests);
        if let Some(why) = ended.failure() {
            outcome.fail(format!("{why}; all it said is in {}", path.display()));
        }
    }
    outcome.took(start.elapsed());
    Ok(outcome)
}

/// Where a campaign's output goes.
fn log_file(name: &str) -> Result<PathBuf> {
    let folder = cargo::target_directory()?.join("prove");
    fs::create_dir_all(&folder).with_context(|| format!("can't make {folder:?}"))?;
    Ok(folder.join(format!("{}.log", name.replace('/', "-"))))
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}
