//! The campaigns: what each shows, what it needs, what it runs.

use std::fmt::{self, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::minutes;
use super::needs::Need;
use crate::cargo;
use crate::loom;

/// How much of each campaign is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// A sample, in minutes.
    Quick,
    /// All, in hours.
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
    /// A guard against hanging in full, in hours.
    hours: u64,
    /// The commands, run in turn.
    pub steps: fn(Depth) -> Result<Vec<Command>>,
}

impl Campaign {
    /// How long it may take, builds included: a guard against hanging.
    pub fn limit(&self, depth: Depth) -> Duration {
        match depth {
            Depth::Quick => minutes(12),
            Depth::Full => minutes(60 * self.hours),
        }
    }
}

/// All campaigns but the seeded bugs.
pub const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        name: "instructions",
        what: "a process is killed before each of its instructions",
        shows: "1, 2, 3, 4",
        needs: &[Need::X86],
        hours: 12,
        steps: |depth| Ok(vec![program("instructions", depth)?]),
    },
    Campaign {
        name: "accesses",
        what: "the same before each access to shared memory, in one process",
        shows: "1, 2, 3",
        needs: &[],
        hours: 1,
        steps: |_| Ok(vec![tests(ACCESSES)]),
    },
    Campaign {
        name: "orderings",
        what: "each ordering is weakened by itself under the patched loom",
        shows: "1, 2, 3, 6",
        needs: &[],
        hours: 24,
        steps: orderings,
    },
    Campaign {
        name: "protocol",
        what: "every interleaving of the mpmc protocol, kills and stops among them",
        shows: "1, 2, 4",
        needs: &[],
        hours: 6,
        steps: protocol,
    },
    Campaign {
        name: "lies",
        what: "every load from shared memory returns what a fuzzer chose",
        shows: "7, 8",
        needs: &[],
        hours: 24,
        steps: |depth| Ok(vec![seeded_program("lies", depth)?]),
    },
    Campaign {
        name: "attacker",
        what: "a process scribbles over live rings, cuts files, hogs locks and waiters",
        shows: "7, 8, 9",
        needs: &[],
        hours: 4,
        steps: |depth| Ok(vec![program("attacker", depth)?]),
    },
    Campaign {
        name: "wakeups",
        what: "hand-offs by the million, and waiter and notifier in lockstep",
        shows: "4, 6",
        needs: &[],
        hours: 12,
        steps: |depth| Ok(vec![program("wakeups", depth)?]),
    },
    Campaign {
        name: "histories",
        what: "what processes saw is held against the sequential specification",
        shows: "1, 2, 3",
        needs: &[],
        hours: 4,
        steps: |depth| Ok(vec![program("histories", depth)?]),
    },
    Campaign {
        name: "soak",
        what: "random kills among many processes, with exact accounts",
        shows: "1, 2, 3, 4",
        needs: &[],
        hours: 4,
        steps: |depth| Ok(vec![program("soak", depth)?]),
    },
    Campaign {
        name: "leaks",
        what: "crash and open again, thousands of times",
        shows: "4",
        needs: &[],
        hours: 2,
        steps: |depth| Ok(vec![program("leaks", depth)?]),
    },
    Campaign {
        name: "strangers",
        what: "who may open what, who is alive, and what stands in the way",
        shows: "5, 11, 12",
        needs: &[],
        hours: 1,
        steps: |_| Ok(vec![tests(STRANGERS)]),
    },
    Campaign {
        name: "faults",
        what: "system calls fail or kill, by kind of call",
        shows: "4, 7",
        needs: &[Need::X86],
        hours: 4,
        steps: |depth| Ok(vec![program("faults", depth)?]),
    },
    Campaign {
        name: "asan",
        what: "the tests under AddressSanitizer",
        shows: "7",
        needs: &[Need::Nightly],
        hours: 2,
        steps: |depth| xtask("asan", depth),
    },
    Campaign {
        name: "aarch64",
        what: "the library and its tests for aarch64, under qemu",
        shows: "1, 2, 3",
        needs: &[Need::Aarch64],
        hours: 3,
        steps: |depth| xtask("aarch64", depth),
    },
    Campaign {
        name: "bits32",
        what: "a 32-bit process shares rings with a 64-bit one",
        shows: "1, 2, 3",
        needs: &[Need::I686],
        hours: 1,
        steps: |depth| xtask("bits32", depth),
    },
    Campaign {
        name: "counts",
        what: "instructions a call, beside those that are on record",
        shows: "none: the speed",
        needs: &[Need::Valgrind],
        hours: 1,
        steps: |_| Ok(vec![cargo::xtask("counts")?]),
    },
];

/// Files of tests/ that kill before each access.
const ACCESSES: &[&str] =
    &["hooks_kills", "stream_kills_hooks", "mpmc_hooks", "broadcast_hooks", "frames_hooks"];

/// Files of tests/ about who may open what, and who is alive.
const STRANGERS: &[&str] = &[
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

fn program(name: &str, depth: Depth) -> Result<Command> {
    built(name, depth, false)
}

fn seeded_program(name: &str, depth: Depth) -> Result<Command> {
    built(name, depth, true)
}

fn built(name: &str, depth: Depth, seeded: bool) -> Result<Command> {
    let mut command = run_program(name, seeded)?;
    command.arg(format!("--{depth}"));
    Ok(command)
}

/// `cargo run` of a campaign's program, in a target directory of the build it belongs to.
fn run_program(name: &str, seeded: bool) -> Result<Command> {
    let mut command = cargo::locked("run");
    command.args(["--release", "--quiet", "--package=annulus-prove", "--bin", name]);
    command.arg("--target-dir").arg(target(seeded)?);
    if seeded {
        command.arg("--features=seeded");
    }
    command.arg("--");
    Ok(command)
}

/// Where the programs are built: those with bugs apart from the others.
pub fn target(seeded: bool) -> Result<PathBuf> {
    let folder = if seeded { "prove/seeded" } else { "prove/plain" };
    Ok(cargo::target_directory()?.join(folder))
}

/// The campaigns that are tests: their files.
pub fn files_of(campaign: &str) -> Option<&'static [&'static str]> {
    match campaign {
        "accesses" => Some(ACCESSES),
        "strangers" => Some(STRANGERS),
        _ => None,
    }
}

/// Release tests of annulus with its hooks.
pub fn tests(names: &[&str]) -> Command {
    let mut command = cargo::locked("test");
    command.args(["--release", "--package=annulus", "--features=test-hooks", "--no-fail-fast"]);
    for name in names {
        command.args(["--test", name]);
    }
    command.args(["--", "--test-threads=2"]);
    command
}

fn orderings(depth: Depth) -> Result<Vec<Command>> {
    // Every model that a use dies in is explored; the others are left to `xtask test`.
    let mut uses = loom::models("ci")?;
    uses.args(["every_use_of_an_edge", "--", "--nocapture"]);
    Ok(match depth {
        Depth::Quick => vec![uses],
        Depth::Full => vec![uses, loom::models("ci")?, loom::models("full")?],
    })
}

fn protocol(depth: Depth) -> Result<Vec<Command>> {
    let mut explore = cargo::locked("run");
    explore.args(["--release", "--quiet", "--package=annulus-explore", "--"]);
    explore.arg(if depth == Depth::Full { "--full" } else { "--small" });
    Ok(vec![explore])
}

fn xtask(name: &str, depth: Depth) -> Result<Vec<Command>> {
    let mut command = cargo::xtask(name)?;
    if depth == Depth::Full {
        command.arg("--full");
    }
    Ok(vec![command])
}
