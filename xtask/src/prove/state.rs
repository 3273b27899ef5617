//! What has run, kept between runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::campaigns::Depth;
use super::outcome::Outcome;
use crate::cargo;

/// A bug that was looked for by a campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct Hunt {
    /// Whether it was caught.
    pub caught: bool,
    /// How long that took, in seconds.
    pub seconds: f64,
}

/// Outcomes and hunts of one depth.
pub struct State {
    depth: Depth,
    path: PathBuf,
    commit: String,
    machine: String,
    date: String,
    outcomes: BTreeMap<String, Outcome>,
    hunts: BTreeMap<(String, String), Hunt>,
}

impl State {
    /// What was kept at this commit if `resume`, else nothing.
    pub fn load(depth: Depth, resume: bool) -> Result<Self> {
        let folder = cargo::target_directory()?.join("prove");
        fs::create_dir_all(&folder).with_context(|| format!("can't make {folder:?}"))?;
        let mut state = Self {
            depth,
            path: folder.join(format!("{depth}.json")),
            commit: commit()?,
            machine: machine(),
            date: cargo::stdout(Command::new("date").args(["-u", "+%Y-%m-%d"]))?.trim().into(),
            outcomes: BTreeMap::new(),
            hunts: BTreeMap::new(),
        };
        if resume && let Ok(text) = fs::read_to_string(&state.path) {
            state.take_over(&serde_json::from_str(&text).unwrap_or_default());
        }
        Ok(state)
    }

    fn take_over(&mut self, kept: &Value) {
        if kept["commit"] != self.commit.as_str() || self.commit.ends_with("+") {
            return;
        }
        for (name, outcome) in kept["outcomes"].as_object().into_iter().flatten() {
            if let Some(outcome) = Outcome::from_json(outcome).filter(Outcome::passed) {
                self.outcomes.insert(name.clone(), outcome);
            }
        }
        for hunt in kept["hunts"].as_array().into_iter().flatten() {
            let (Some(bug), Some(campaign)) = (hunt["bug"].as_str(), hunt["campaign"].as_str())
            else {
                continue;
            };
            let seconds = hunt["seconds"].as_f64().unwrap_or_default();
            if hunt["caught"] == true {
                let hunt = Hunt { caught: true, seconds };
                self.hunts.insert((bug.into(), campaign.into()), hunt);
            }
        }
    }

    /// Whether this campaign has run and passed.
    pub fn has(&self, campaign: &str) -> bool {
        self.outcomes.contains_key(campaign)
    }

    /// Keeps an outcome.
    pub fn keep(&mut self, campaign: &str, outcome: Outcome) -> Result<()> {
        self.outcomes.insert(campaign.into(), outcome);
        self.save()
    }

    /// Whether this bug has been caught by this campaign.
    pub fn hunt(&self, bug: &str, campaign: &str) -> Option<&Hunt> {
        self.hunts.get(&(bug.to_string(), campaign.to_string()))
    }

    /// Keeps what came of a hunt.
    pub fn keep_hunt(&mut self, bug: &str, campaign: &str, hunt: Hunt) -> Result<()> {
        self.hunts.insert((bug.into(), campaign.into()), hunt);
        self.save()
    }

    /// What came of a campaign.
    pub fn outcome(&self, campaign: &str) -> Option<&Outcome> {
        self.outcomes.get(campaign)
    }

    /// The commit; a `+` at its end stands for changes that are not committed.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// Date, commit, machine.
    pub fn when(&self) -> String {
        format!("{}, commit {}, {}", self.date, self.commit, self.machine)
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
            (!hunt.caught && super::matrix::is_meant(bug, campaign))
                .then(|| format!("{bug} missed by {campaign}"))
        };
        names.extend(self.hunts.iter().filter_map(missed));
        names
    }

    fn save(&self) -> Result<()> {
        let outcomes: BTreeMap<_, _> =
            self.outcomes.iter().map(|(name, outcome)| (name, outcome.to_json())).collect();
        let hunts = self.hunts.iter().map(|((bug, campaign), hunt)| {
            json!({ "bug": bug, "campaign": campaign, "caught": hunt.caught, "seconds": hunt.seconds })
        });
        let all = json!({
            "commit": self.commit, "date": self.date, "machine": self.machine,
            "outcomes": outcomes, "hunts": hunts.collect::<Vec<_>>(),
        });
        fs::write(&self.path, format!("{all:#}\n"))
            .with_context(|| format!("can't write {:?}", self.path))
    }
}

fn commit() -> Result<String> {
    let git = |arguments: &[&str]| {
        cargo::stdout(Command::new("git").current_dir(cargo::root()).args(arguments))
    };
    let commit = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    // This campaign's own document is no change of what it runs.
    let changed = changed.lines().any(|line| !line.ends_with("docs/verification.md"));
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
