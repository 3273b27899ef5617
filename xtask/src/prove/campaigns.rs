//! The campaigns: what each shows, what it needs, what it runs.

use std::fmt::{self, Write};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::builds::Built;
use super::minutes;
use super::needs::Need;
use crate::cargo;
use crate::loom;
use crate::shuttle;

/// How much of each campaign is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// A sample, in minutes.
    Quick,
    /// All, but for what docs/verification.md says is sampled: about two hours.
    Full,
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Quick => "quick",
            Self::Full => "full",
        })
    }
}

/// What a campaign runs.
pub enum Runs {
    /// Its program of crates/prove, as it is released.
    Program,
    /// The same with test hooks.
    Seeded,
    /// Files of tests/, with test hooks.
    Tests(&'static [&'static str]),
    /// crates/explore, with an argument for quick and one for full.
    Explore(&'static [&'static str], &'static [&'static str]),
    /// Commands that build what they need themselves.
    Commands(fn(Depth) -> Result<Vec<Step>>),
}

/// A command of a campaign.
pub struct Step {
    /// What is run.
    pub command: Command,
    /// Tests of this file that have not ended by then are left out, and that is said.
    pub until: Option<(&'static str, Duration)>,
}

impl From<Command> for Step {
    fn from(command: Command) -> Self {
        Self { command, until: None }
    }
}

/// One campaign.
pub struct Campaign {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
    /// The lines of docs/guarantees.md that it shows.
    pub shows: &'static str,
    /// What it needs beside a Rust toolchain.
    pub needs: &'static [Need],
    /// Whether nothing may run beside it: it needs processes that truly overlap, or says how
    /// late somebody was.
    pub alone: bool,
    /// What it runs.
    pub runs: Runs,
    /// The figures whose names begin so come first.
    pub leading: &'static str,
}

/// A campaign that may run beside others, and needs nothing.
const fn campaign(
    name: &'static str,
    what: &'static str,
    shows: &'static str,
    runs: Runs,
) -> Campaign {
    Campaign { name, what, shows, needs: &[], alone: false, runs, leading: "" }
}

impl Campaign {
    const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    const fn leading(mut self, leading: &'static str) -> Self {
        self.leading = leading;
        self
    }

    /// How long it may take: a guard against hanging.
    pub fn limit(&self, depth: Depth) -> Duration {
        match depth {
            Depth::Quick => minutes(12),
            Depth::Full => minutes(120),
        }
    }

    /// Its commands, to be run in turn.
    pub fn steps(&self, depth: Depth, built: &Built) -> Result<Vec<Step>> {
        let one = |mut command: Command, arguments: &[&str]| {
            command.args(arguments);
            vec![command.into()]
        };
        let how = format!("--{depth}");
        Ok(match &self.runs {
            Runs::Program => one(built.plain(self.name)?, &[&how]),
            Runs::Seeded => one(built.seeded(self.name)?, &[&how]),
            Runs::Tests(files) => {
                files.iter().map(|file| Ok(built.test(file)?.into())).collect::<Result<_>>()?
            }
            Runs::Explore(quick, full) => {
                let arguments = if depth == Depth::Quick { quick } else { full };
                one(built.plain(EXPLORE)?, arguments)
            }
            Runs::Commands(steps) => steps(depth)?,
        })
    }
}

/// The program of crates/explore.
pub const EXPLORE: &str = "annulus-explore";

/// All campaigns but the seeded bugs. In full those that may share run first, from the top.
pub const CAMPAIGNS: &[Campaign] = &[
    campaign(
        "lies",
        "every load from shared memory returns what a fuzzer chose",
        "7, 8",
        Runs::Seeded,
    ),
    campaign(
        "soak",
        "random kills among many processes, with exact accounts",
        "1, 2, 3, 4",
        Runs::Program,
    )
    .leading("all: "),
    campaign(
        "instructions",
        "a process is killed before each of its instructions",
        "1, 2, 3, 4",
        Runs::Program,
    )
    .needs(&[Need::X86]),
    campaign("faults", "system calls fail or kill, by kind of call", "4, 7", Runs::Program)
        .needs(&[Need::X86]),
    campaign(
        "orderings",
        "each ordering is weakened by itself under the patched loom",
        "1, 2, 3, 6",
        Runs::Commands(orderings),
    ),
    campaign(
        "schedules",
        "more threads than loom can explore, killed anywhere, in random schedules",
        "1, 2, 3, 6",
        Runs::Commands(schedules),
    ),
    campaign(
        "protocol",
        "every interleaving of the mpmc protocol, kills and stops among them",
        "1, 2, 4",
        Runs::Explore(&["--small"], &[]),
    ),
    campaign(
        "aarch64",
        "the library and its tests for aarch64, under qemu",
        "1, 2, 3",
        Runs::Commands(|depth| xtask("aarch64", depth)),
    )
    .needs(&[Need::Aarch64]),
    campaign(
        "asan",
        "the tests under AddressSanitizer",
        "7",
        Runs::Commands(|depth| xtask("asan", depth)),
    )
    .needs(&[Need::Nightly]),
    campaign(
        "bits32",
        "a 32-bit process shares rings with a 64-bit one",
        "1, 2, 3",
        Runs::Commands(|depth| xtask("bits32", depth)),
    )
    .needs(&[Need::I686]),
    campaign("leaks", "crash and open again, thousands of times", "4", Runs::Program),
    campaign(
        "accesses",
        "a kill before each access to shared memory, or a whole call of another, in one process",
        "1, 2, 3",
        Runs::Tests(ACCESSES),
    ),
    campaign(
        "strangers",
        "who may open what, who is alive, what stands in the way, and what is cut off",
        "5, 9, 11, 12",
        Runs::Tests(STRANGERS),
    ),
    campaign(
        "counts",
        "instructions a call, beside those that are on record",
        "none: the speed",
        Runs::Commands(|_| Ok(vec![cargo::xtask("counts")?.into()])),
    )
    .needs(&[Need::Valgrind]),
    campaign(
        "wakeups",
        "hand-offs by the million, and waiter and notifier in lockstep",
        "4, 6",
        Runs::Program,
    )
    .alone(),
    campaign(
        "histories",
        "what processes saw is held against the sequential specification",
        "1, 2, 3",
        Runs::Program,
    )
    .alone(),
    campaign(
        "attacker",
        "a process scribbles over live rings, cuts files, hogs locks and waiters",
        "7, 8, 9",
        Runs::Program,
    )
    .alone(),
];

/// The campaign of this name.
pub fn named(name: &str) -> Option<&'static Campaign> {
    CAMPAIGNS.iter().find(|campaign| campaign.name == name)
}

/// Files of tests/ that kill before each access, or let another in.
const ACCESSES: &[&str] = &[
    "hooks_kills",
    "hooks_making",
    "interleave",
    "interleave_kills",
    "interleave_looks",
    "stream_kills_hooks",
    "mpmc_hooks",
    "broadcast_hooks",
    "frames_hooks",
];

/// Files of tests/ about who may open what, who is alive, and files that others change.
const STRANGERS: &[&str] = &[
    "segment_cut",
    "segment_files",
    "segment_header",
    "segment_making",
    "segment_memfd",
    "segment_observer",
    "segment_unused",
    "segment_unused_moments",
    "seats",
    "seats_ends",
    "seats_fork",
    "waiting_wakes",
];

/// What `--list` says.
pub fn list() -> String {
    let mut text = String::new();
    for Campaign { name, what, shows, .. } in CAMPAIGNS {
        let _ = writeln!(text, "{name:13} {what} (guarantees {shows})");
    }
    let _ = writeln!(
        text,
        "{:13} each bug of src/atomic/bug.rs, by the campaigns meant for it",
        "bugs"
    );
    text + &super::needs::all_missing(CAMPAIGNS.iter())
}

/// Files of loom-tests/tests whose models are explored without bounds in full, as far as
/// that gets in [`FAR`] each. Those of the others would take hours.
const UNBOUNDED: &[&str] = &["spsc", "stream", "stream_deaths"];
const FAR: Duration = minutes(5);

/// The models of each use of an edge; in full all models, and some without bounds.
fn orderings(depth: Depth) -> Result<Vec<Step>> {
    if depth == Depth::Quick {
        let mut uses = loom::models("ci")?;
        uses.args(["--test=spsc_edges", "--test=mpmc_edges", "--test=broadcast_edges"]);
        uses.args(["every_use", "--", "--nocapture"]);
        return Ok(vec![uses.into()]);
    }
    let mut all = loom::models("ci")?;
    all.arg("--no-fail-fast");
    let mut steps = vec![Step::from(all)];
    for file in UNBOUNDED {
        let mut command = loom::models("full")?;
        command.args(["--test", file]);
        steps.push(Step { command, until: Some((file, FAR)) });
    }
    Ok(steps)
}

/// The models of shuttle-tests. With a seeded bug in them some must fail.
fn schedules(depth: Depth) -> Result<Vec<Step>> {
    const MODELS: &str = "--test=models";
    cargo::stdout(shuttle::tests(false)?.args([MODELS, "--no-run"]))?;
    let mut models = shuttle::tests(depth == Depth::Full)?;
    models.args([MODELS, "--no-fail-fast", "--", "--nocapture"]);
    Ok(vec![models.into()])
}

fn xtask(name: &str, depth: Depth) -> Result<Vec<Step>> {
    let mut command = cargo::xtask(name)?;
    if depth == Depth::Full {
        command.arg("--full");
    }
    Ok(vec![command.into()])
}
