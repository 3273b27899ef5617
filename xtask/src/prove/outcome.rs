//! What a campaign has said.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::Tests;

/// Figures, skipped cells and violations, in the order they were said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Names and values of `figure:` lines.
    pub figures: Vec<(String, String)>,
    /// `skipped:` lines.
    pub skipped: Vec<String>,
    /// `found:` lines.
    pub found: Vec<String>,
    /// Why a command failed.
    pub failures: Vec<String>,
    /// Tests that its commands ran.
    pub passed: u64,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// The commit it was had at.
    pub commit: String,
}

impl Outcome {
    /// Takes in what a command printed.
    pub fn read(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(figure) = line.strip_prefix("figure: ") {
                let (name, value) = figure.split_once(" = ").unwrap_or((figure, ""));
                // Each program says these of itself; the whole campaign has its own.
                if !matches!(name, "seconds" | "found") {
                    self.figures.push((name.into(), value.into()));
                }
            } else if let Some(cell) = line.strip_prefix("skipped: ") {
                self.skipped.push(cell.into());
            } else if let Some(what) = line.strip_prefix("found: ") {
                self.found.push(what.into());
            }
        }
    }

    /// Counts tests in.
    pub fn tests(&mut self, tests: Tests) {
        self.passed += tests.passed;
    }

    /// Takes in the tests that had ended when their time was over.
    pub fn cut_short(&mut self, text: &str, cell: &str, after: Duration) {
        let ends = |end: &str| {
            let is_test = |line: &&str| line.starts_with("test ") && line.ends_with(end);
            text.lines().filter(is_test).count()
        };
        let (passed, failed) = (ends("... ok"), ends("... FAILED"));
        self.passed += passed as u64;
        let minutes = after.as_secs() / 60;
        self.skip(cell, &format!("{passed} tests ended in {minutes} minutes, the others not"));
        if failed > 0 {
            self.fail(format!("{failed} tests failed: {cell}"));
        }
    }

    /// Notes what is left out.
    pub fn skip(&mut self, cell: &str, why: &str) {
        self.skipped.push(format!("{cell}: {why}"));
    }

    /// Notes a failure.
    pub fn fail(&mut self, why: String) {
        self.failures.push(why);
    }

    /// Notes the time.
    pub fn took(&mut self, time: Duration) {
        self.seconds = time.as_secs();
    }

    /// Whether nothing was found and no command failed.
    pub fn passed(&self) -> bool {
        self.found.is_empty() && self.failures.is_empty()
    }

    /// The figures, each in a few words, those whose names begin with `leading` first. What
    /// the campaign calls itself is left out.
    pub fn words(&self, campaign: &str, leading: &str) -> Vec<String> {
        let own = |name: &str| {
            name.strip_prefix(campaign)
                .map_or(name, |rest| rest.trim_start_matches([' ', ':']))
                .to_owned()
        };
        let (first, rest): (Vec<_>, Vec<_>) =
            self.figures.iter().partition(|(name, _)| name.starts_with(leading));
        let figures = first.into_iter().chain(rest);
        let mut words: Vec<_> =
            figures.map(|(name, value)| format!("{} {value}", own(name))).collect();
        if self.passed > 0 {
            words.push(format!("tests passed {}", self.passed));
        }
        words
    }

    /// The figure that says most.
    pub fn first(&self, campaign: &str, leading: &str) -> Option<String> {
        self.words(campaign, leading).into_iter().next()
    }

    /// For [`State`](super::state::State).
    pub fn to_json(&self) -> Value {
        json!({
            "figures": self.figures, "skipped": self.skipped, "found": self.found,
            "failures": self.failures, "passed": self.passed, "seconds": self.seconds,
            "commit": self.commit,
        })
    }

    /// What [`to_json`](Self::to_json) wrote.
    pub fn from_json(value: &Value) -> Option<Self> {
        let texts = |name: &str| -> Option<Vec<String>> {
            value[name].as_array()?.iter().map(|text| Some(text.as_str()?.to_string())).collect()
        };
        let figures = value["figures"].as_array()?.iter();
        let figures = figures
            .map(|figure| Some((figure[0].as_str()?.to_string(), figure[1].as_str()?.to_string())));
        Some(Self {
            figures: figures.collect::<Option<_>>()?,
            skipped: texts("skipped")?,
            found: texts("found")?,
            failures: texts("failures")?,
            passed: value["passed"].as_u64()?,
            seconds: value["seconds"].as_u64()?,
            commit: value["commit"].as_str().unwrap_or_default().into(),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "ok" } else { "FAILED" };
        writeln!(f, "{verdict} in {} s: {}", self.seconds, self.words("", "").join(", "))?;
        for cell in &self.skipped {
            writeln!(f, "  skipped {cell}")?;
        }
        for what in self.found.iter().take(10).chain(&self.failures) {
            writeln!(f, "  ! {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_and_kept() {
        let mut outcome = Outcome::default();
        outcome.read(
            "hello\nfigure: kills = 12\nskipped: a: no root\nfound: lost 4\nfigure: seconds = 3\n",
        );
        assert_eq!(outcome.figures, [("kills".to_string(), "12".to_string())]);
        assert_eq!((outcome.skipped.len(), outcome.found.len()), (1, 1));
        assert!(!outcome.passed());
        assert_eq!(outcome.words("soak", ""), ["kills 12"]);
        assert_eq!(Outcome::from_json(&outcome.to_json()), Some(outcome));
    }

    #[test]
    fn tests_that_ended_before_the_time_was_over_count() {
        let mut outcome = Outcome::default();
        let minute = Duration::from_secs(60);
        outcome.cut_short("test a ... ok\ntest b ... ok\ntest c ...", "models", minute);
        assert!(outcome.passed());
        assert_eq!(outcome.skipped, ["models: 2 tests ended in 1 minutes, the others not"]);
        outcome.cut_short("test a ... FAILED\n", "models", minute);
        assert!(!outcome.passed());
    }

    #[test]
    fn leading_figures_come_first_and_no_campaign_names_itself() {
        let mut outcome = Outcome::default();
        outcome.read("figure: spsc: kills = 1\nfigure: soak all: kills = 2\n");
        assert_eq!(outcome.words("soak", "soak all"), ["all: kills 2", "spsc: kills 1"]);
    }
}
