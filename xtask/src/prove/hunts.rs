//! Hunts: a campaign is run in a build that has the seeded bugs, with one switched on.
//!
//! Caught is what makes it find something. A bug that breaks the campaign's own process is
//! caught too; one that only takes its time away is not, and neither is one that a campaign
//! can't run with.

use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::builds::Built;
use super::campaigns::{self, Campaign, Depth, Runs, Step};
use super::matrix::{self, Pair};
use super::state::{Hunt, State};
use super::{lanes, locked, needs};
use crate::process::{self, Job, Log};

/// The name of this on the command line.
pub const NAME: &str = "bugs";

/// How long a hunt may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The campaigns that hunt at this depth, of those that can run here.
pub fn campaigns(depth: Depth, only: Option<&str>) -> impl Iterator<Item = &'static Campaign> {
    let all = matrix::pairs(depth, only).into_iter();
    all.filter_map(|pair| campaigns::named(pair.campaign)).filter(|one| can_run(one))
}

fn can_run(campaign: &Campaign) -> bool {
    needs::missing(campaign).is_empty()
}

/// Hunts what has not been hunted yet: `lanes` programs at a time, then tests one by one.
pub fn run(
    (depth, only): (Depth, Option<&str>),
    lanes: usize,
    built: &Built,
    state: &Mutex<State>,
    began: Instant,
) -> Result<()> {
    let mut pairs = matrix::pairs(depth, only);
    pairs.retain(|pair| {
        let is_new = locked(state).hunt(pair.bug, pair.campaign).is_none();
        is_new && campaigns::named(pair.campaign).is_some_and(can_run)
    });
    println!("{NAME:13} {} hunts for seeded bugs", pairs.len());
    let is_program = |pair: &Pair| {
        campaigns::named(pair.campaign).is_some_and(|one| !matches!(one.runs, Runs::Tests(_)))
    };
    let (programs, tests): (Vec<_>, Vec<_>) = pairs.into_iter().partition(is_program);
    let one = |pair: Pair| {
        let hunt = hunt(pair, built)?;
        let verdict = match (hunt.caught, matrix::is_missed(pair.bug, pair.campaign)) {
            (true, false) => "caught",
            (true, true) => "caught, though listed as missed,",
            (false, true) => "missed, as known,",
            (false, false) => "MISSED",
        };
        let Pair { bug, campaign, .. } = pair;
        let now = began.elapsed().as_secs();
        println!("  {now:4} s  {bug:27} {verdict} by {campaign} in {:.1} s", hunt.seconds);
        locked(state).keep_hunt(bug, campaign, hunt)
    };
    lanes::run(lanes, programs, one)?;
    lanes::run(1, tests, one)
}

/// Hunts one bug.
fn hunt(pair: Pair, built: &Built) -> Result<Hunt> {
    let name = format!("hunt-{}-{}", pair.campaign, pair.bug);
    let mut log = Log::quiet(super::log(&name)?);
    let commands = commands(pair, built)?;
    let start = Instant::now();
    let mut caught = false;
    for command in commands {
        let Some(left) = LIMIT.checked_sub(start.elapsed()) else {
            break;
        };
        let ended = process::run(Job::new(command, left), &mut log)?;
        caught = ended.broke() || log.take().lines().any(says_so);
        if caught {
            break;
        }
    }
    Ok(Hunt { caught, seconds: start.elapsed().as_secs_f64(), commit: String::new() })
}

/// Whether a line tells of a finding: a program's, or a test's that has failed, though others
/// may go on until the time is over.
fn says_so(line: &str) -> bool {
    line.starts_with("found: ") || line.starts_with("test ") && line.ends_with("... FAILED")
}

/// Names the bug to tests and models.
const VARIABLE: &str = "ANNULUS_SEEDED_BUG";

/// What looks for the bug, the likeliest first.
fn commands(pair: Pair, built: &Built) -> Result<Vec<Command>> {
    let campaign = campaigns::named(pair.campaign).context("a campaign that there is")?;
    let files = match campaign.runs {
        Runs::Tests(files) => files,
        Runs::Commands(steps) => {
            let seeded = |mut step: Step| {
                step.command.env(VARIABLE, pair.bug);
                step.command
            };
            return Ok(steps(Depth::Quick)?.into_iter().map(seeded).collect());
        }
        _ => {
            let mut command = built.seeded(pair.campaign)?;
            command.args(["--quick", "--bug", pair.bug]);
            return Ok(vec![command]);
        }
    };
    let first = files.iter().filter(|file| pair.file == Some(**file));
    let rest = files.iter().filter(|file| pair.file != Some(**file));
    let tests = first.chain(rest).map(|file| {
        let mut command = built.test(file)?;
        command.env(VARIABLE, pair.bug);
        Ok(command)
    });
    tests.collect()
}
