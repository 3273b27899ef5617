//! What has run, kept between runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::campaigns::Depth;
use super::matrix;
use super::outcome::Outcome;
use crate::cargo;

/// A bug that was looked for by a campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct Hunt {
    /// Whether it was caught.
    pub caught: bool,
    /// How long that took, in seconds.
    pub seconds: f64,
    /// The commit it was hunted at.
    pub commit: String,
}

/// Outcomes and hunts of one depth.
pub struct State {
    depth: Depth,
    path: PathBuf,
    commit: String,
    machine: String,
    date: String,
    began: Instant,
    /// What runs before this one took, in seconds.
    before: u64,
    outcomes: BTreeMap<String, Outcome>,
    hunts: BTreeMap<(String, String), Hunt>,
}

impl State {
    /// What was kept of this library if `resume`, else nothing.
    pub fn load(depth: Depth, resume: bool) -> Result<Self> {
        let folder = cargo::target_directory()?.join("prove");
        fs::create_dir_all(&folder).with_context(|| format!("can't make {folder:?}"))?;
        let mut state = Self {
            depth,
            path: folder.join(format!("{depth}.json")),
            commit: commit()?,
            machine: machine(),
            date: cargo::stdout(Command::new("date").args(["-u", "+%Y-%m-%d"]))?.trim().into(),
            began: Instant::now(),
            before: 0,
            outcomes: BTreeMap::new(),
            hunts: BTreeMap::new(),
        };
        if resume && let Ok(text) = fs::read_to_string(&state.path) {
            state.take_over(&serde_json::from_str(&text).unwrap_or_default());
        }
        Ok(state)
    }

    /// Takes over what another run has kept, if the library was the same, whatever else has
    /// changed: each outcome says at which commit it was had.
    fn take_over(&mut self, kept: &Value) {
        let commit = kept["commit"].as_str().unwrap_or_default();
        let same = library(commit).is_some_and(|one| Some(one) == library(&self.commit));
        if !same {
            return;
        }
        let commit_of = |one: &Value| one["commit"].as_str().unwrap_or(commit).to_string();
        self.before = kept["seconds"].as_u64().unwrap_or_default();
        for (name, outcome) in kept["outcomes"].as_object().into_iter().flatten() {
            let at = commit_of(outcome);
            if let Some(outcome) = Outcome::from_json(outcome).filter(Outcome::passed) {
                self.outcomes.insert(name.clone(), Outcome { commit: at, ..outcome });
            }
        }
        for hunt in kept["hunts"].as_array().into_iter().flatten() {
            let (Some(bug), Some(campaign)) = (hunt["bug"].as_str(), hunt["campaign"].as_str())
            else {
                continue;
            };
            let seconds = hunt["seconds"].as_f64().unwrap_or_default();
            let caught = hunt["caught"] == true;
            // What was missed may be caught by what the campaign has become.
            if caught || matrix::is_missed(bug, campaign) {
                let hunt = Hunt { caught, seconds, commit: commit_of(hunt) };
                self.hunts.insert((bug.into(), campaign.into()), hunt);
            }
        }
    }

    /// The time that all has taken so far, over all runs that were resumed.
    pub fn seconds(&self) -> u64 {
        self.before + self.began.elapsed().as_secs()
    }

    /// Keeps an outcome.
    pub fn keep(&mut self, campaign: &str, outcome: Outcome) -> Result<()> {
        let commit = self.commit.clone();
        self.outcomes.insert(campaign.into(), Outcome { commit, ..outcome });
        self.save()
    }

    /// Whether this bug has been caught by this campaign.
    pub fn hunt(&self, bug: &str, campaign: &str) -> Option<&Hunt> {
        self.hunts.get(&(bug.to_string(), campaign.to_string()))
    }

    /// Keeps what came of a hunt.
    pub fn keep_hunt(&mut self, bug: &str, campaign: &str, hunt: Hunt) -> Result<()> {
        let hunt = Hunt { commit: self.commit.clone(), ..hunt };
        self.hunts.insert((bug.into(), campaign.into()), hunt);
        self.save()
    }

    /// Hunts that were had at other commits, and which these are.
    pub fn older_hunts(&self) -> Option<(usize, String)> {
        let older: Vec<_> = self.hunts.values().filter(|hunt| hunt.commit != self.commit).collect();
        let commits: BTreeSet<_> = older.iter().map(|hunt| hunt.commit.as_str()).collect();
        let commits: Vec<_> = commits.into_iter().collect();
        (!older.is_empty()).then(|| (older.len(), commits.join(", ")))
    }

    /// What came of a campaign.
    pub fn outcome(&self, campaign: &str) -> Option<&Outcome> {
        self.outcomes.get(campaign)
    }

    /// The commit; a `+` at its end stands for changes that are not committed.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// Date, commit, machine, time.
    pub fn when(&self) -> String {
        let Self { date, commit, machine, .. } = self;
        let seconds = self.seconds();
        format!("{date}, commit {commit}, {machine}, {seconds} s in all, builds included")
    }

    /// Which depth this is.
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// Names of campaigns that failed, and `bugs` if one was missed.
    pub fn failed(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let failed =
            self.outcomes.iter().filter(|(name, outcome)| wanted(name) && !outcome.passed());
        let mut names: Vec<_> = failed.map(|(name, _)| name.clone()).collect();
        let missed = |((bug, campaign), hunt): (&(String, String), &Hunt)| {
            (!hunt.caught && matrix::is_meant(bug, campaign))
                .then(|| format!("{bug} missed by {campaign}"))
        };
        names.extend(self.hunts.iter().filter_map(missed));
        names
    }

    fn save(&self) -> Result<()> {
        let outcomes: BTreeMap<_, _> =
            self.outcomes.iter().map(|(name, outcome)| (name, outcome.to_json())).collect();
        let hunts = self.hunts.iter().map(|((bug, campaign), hunt)| {
            let Hunt { caught, seconds, commit } = hunt;
            json!({ "bug": bug, "campaign": campaign, "caught": caught, "seconds": seconds, "commit": commit })
        });
        let all = json!({
            "commit": self.commit, "date": self.date, "machine": self.machine,
            "seconds": self.seconds(), "outcomes": outcomes, "hunts": hunts.collect::<Vec<_>>(),
        });
        fs::write(&self.path, format!("{all:#}\n"))
            .with_context(|| format!("can't write {:?}", self.path))
    }
}

fn git(arguments: &[&str]) -> Result<String> {
    cargo::stdout(Command::new("git").current_dir(cargo::root()).args(arguments))
}

/// What the library is made of at a commit, if all of that is committed.
fn library(commit: &str) -> Option<String> {
    let is_whole = !commit.is_empty() && !commit.ends_with('+');
    let parts = ["src", "Cargo.lock"].map(|part| format!("{commit}:{part}"));
    is_whole.then(|| git(&["rev-parse", &parts[0], &parts[1]]).ok()).flatten()
}

fn commit() -> Result<String> {
    let commit = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    // The figures' own documents are no change of what is run.
    let figures = ["docs/verification.md", "docs/guarantees.md"];
    let changed = changed.lines().any(|line| !figures.iter().any(|file| line.ends_with(file)));
    Ok(format!("{}{}", commit.trim(), if changed { "+" } else { "" }))
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = cargo::stdout(Command::new("rustc").arg("--version")).unwrap_or_default();
    let rustc = rustc.split_whitespace().nth(1).unwrap_or("?");
    format!("{model}, {cores} cores, Linux {}, rustc {rustc}", kernel.trim())
}
