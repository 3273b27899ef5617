//! Seeded bugs, and the campaigns that are meant to catch them.
//!
//! The bugs are those of src/atomic/bug.rs. A hunt runs one campaign in a build that has
//! them, with one switched on; caught is what makes it find something.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::campaigns::{self, Depth};
use super::state::{Hunt, State};
use crate::cargo;
use crate::process::{self, Job, Log};

/// The name of this on the command line.
pub const NAME: &str = "bugs";

/// How long a hunt may take. A bug that makes a campaign hang is not caught by that.
const LIMIT: Duration = Duration::from_secs(120);

/// A bug, who wrote it, and the campaigns meant to catch it.
pub struct Row {
    /// The variant of `Bug`.
    pub bug: &'static str,
    /// Whether its author had not seen the campaigns.
    pub blind: bool,
    /// Campaigns.
    pub meant: &'static [&'static str],
}

/// The matrix.
pub const ROWS: &[Row] = &[];

/// Whether the campaign is meant to catch the bug.
pub fn is_meant(bug: &str, campaign: &str) -> bool {
    ROWS.iter().any(|row| row.bug == bug && row.meant.contains(&campaign))
}

/// Hunts each bug by the campaigns meant for it: by the first in quick, by all in full.
pub fn run(depth: Depth, state: &mut State, began: Instant) -> Result<()> {
    println!("{NAME:13} each seeded bug is hunted");
    let path = super::log_file(NAME)?;
    let file = std::fs::File::create(&path).with_context(|| format!("can't make {path:?}"))?;
    let mut log = Log::quiet(file);
    let mut build = cargo::locked("build");
    build.args(["--release", "--package=annulus-prove", "--features=seeded", "--target-dir"]);
    build.arg(campaigns::target(true)?);
    let built = process::run(Job::new(build, super::minutes(15)), &mut log)?;
    ensure!(built.failure().is_none(), "the programs with bugs can't be built: {}", path.display());
    for Row { bug, meant, .. } in ROWS {
        let meant = match depth {
            Depth::Quick => &meant[..1.min(meant.len())],
            Depth::Full => meant,
        };
        for campaign in meant {
            if state.hunt(bug, campaign).is_some_and(|hunt| hunt.caught) {
                continue;
            }
            let hunt = hunt(bug, campaign, &mut log)?;
            let verdict = if hunt.caught { "caught" } else { "MISSED" };
            println!("  {bug:32} {verdict} by {campaign} in {:.1} s", hunt.seconds);
            eprintln!("  {:4} s", began.elapsed().as_secs());
            state.keep_hunt(bug, campaign, hunt)?;
        }
    }
    Ok(())
}

fn hunt(bug: &str, campaign: &str, log: &mut Log) -> Result<Hunt> {
    let (command, by_tests) = match campaigns::files_of(campaign) {
        Some(files) => {
            let mut command = campaigns::tests(files);
            command.env("ANNULUS_SEEDED_BUG", bug);
            (command, true)
        }
        None => {
            let program = campaigns::target(true)?.join("release").join(campaign);
            let mut command = Command::new(program);
            command.args(["--quick", "--bug", bug]).current_dir(cargo::root());
            (command, false)
        }
    };
    let start = Instant::now();
    let ended = process::run(Job::new(command, LIMIT), log)?;
    let said = log.take();
    let found = said.lines().any(|line| line.starts_with("found: "));
    let caught = if by_tests { ended.tests.failed > 0 } else { found };
    Ok(Hunt { caught, seconds: start.elapsed().as_secs_f64() })
}
