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

    /// The figures in one line.
    pub fn line(&self) -> String {
        let mut parts: Vec<_> =
            self.figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
        if self.passed > 0 {
            parts.push(format!("tests passed {}", self.passed));
        }
        parts.join(", ")
    }

    /// The figure that says most.
    pub fn first(&self) -> Option<String> {
        let figure = self.figures.first().map(|(name, value)| format!("{value} {name}"));
        figure.or((self.passed > 0).then(|| format!("{} tests", self.passed)))
    }

    /// For [`State`](super::state::State).
    pub fn to_json(&self) -> Value {
        json!({
            "figures": self.figures, "skipped": self.skipped, "found": self.found,
            "failures": self.failures, "passed": self.passed, "seconds": self.seconds,
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
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "ok" } else { "FAILED" };
        writeln!(f, "  {verdict} in {} s: {}", self.seconds, self.line())?;
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
        assert_eq!(Outcome::from_json(&outcome.to_json()), Some(outcome));
    }
}
