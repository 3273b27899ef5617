//! What is said when all steps are through.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::Tests;

/// How many lines of a failed step's log are repeated.
const REPEATED: usize = 40;

/// How many lines are repeated from before the time was over: which test it was that hung.
const LAST: usize = 20;

/// A step that has run.
pub struct Row {
    /// Its name.
    pub step: &'static str,
    /// Why it failed; empty if it passed.
    pub failures: Vec<String>,
    /// The tests it ran.
    pub tests: Tests,
    /// How long it took.
    pub time: Duration,
    /// How long it might have.
    pub limit: Duration,
    /// The file with its output.
    pub log: PathBuf,
}

/// What the failed logs say, the skipped tests, and the table.
pub fn report(rows: &[Row], skips: &str) -> String {
    let mut text = String::new();
    for row in rows.iter().filter(|row| !row.failures.is_empty()) {
        let log = fs::read(&row.log).unwrap_or_default();
        let _ =
            writeln!(text, "\n=== {} failed; all it said is in {}", row.step, row.log.display());
        for line in telling(&String::from_utf8_lossy(&log)) {
            // Indented: a runner's closing line is not to be counted twice.
            let _ = writeln!(text, "  | {line}");
        }
    }
    text + &skipped(skips) + &table(rows)
}

/// The lines of a log that name failures, the first [`REPEATED`] of them; or its end. What
/// was said last before a command was killed comes first.
fn telling(log: &str) -> Vec<&str> {
    let names_a_failure = |line: &&str| {
        let starts =
            ["error", "xtask: ", "Diff in ", "thread '"].iter().any(|s| line.starts_with(s));
        starts || line.ends_with("... FAILED")
    };
    let lines: Vec<_> = log.lines().collect();
    let killed = lines.iter().position(|line| line.starts_with("xtask: ") && is_late(line));
    let last = killed.map_or(&[][..], |killed| &lines[killed.saturating_sub(LAST)..killed]);
    let names = lines.iter().copied().filter(names_a_failure).take(REPEATED);
    let telling: Vec<_> = last.iter().copied().chain(names).collect();
    if telling.len() > 1 {
        return telling;
    }
    lines[lines.len().saturating_sub(REPEATED)..].to_vec()
}

/// Whether a failure is a command that was killed when its time was over.
fn is_late(failure: &str) -> bool {
    failure.contains(": killed after ")
}

fn skipped(skips: &str) -> String {
    let mut lines: Vec<_> = skips.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    if lines.is_empty() {
        return "\nskipped: nothing\n".into();
    }
    let lines: Vec<_> = lines.into_iter().map(|line| format!("  {line}\n")).collect();
    format!("\nskipped for what this machine lacks:\n{}", lines.concat())
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("\n{:10} {:8} {:>8} {:>8}  tests\n", "step", "result", "time", "limit");
    for row in rows {
        let result = if row.failures.is_empty() { "ok" } else { "FAILED" };
        let _ = writeln!(
            text,
            "{:10} {result:8} {:>6.1} s {:>6} s  {}",
            row.step,
            row.time.as_secs_f64(),
            row.limit.as_secs(),
            counts(row.tests),
        );
        for failure in &row.failures {
            let _ = writeln!(text, "{:10} {failure}", "");
        }
    }
    let time: Duration = rows.iter().map(|row| row.time).sum();
    let failed = rows.iter().filter(|row| !row.failures.is_empty()).count();
    let result = match failed {
        0 => "all passed".into(),
        n => format!("{n} of {} FAILED", rows.len()),
    };
    let _ = writeln!(text, "{} steps in {:.0} s: {result}", rows.len(), time.as_secs_f64());
    text
}

fn counts(tests: Tests) -> String {
    let Tests { passed, failed, ignored } = tests;
    if tests == Tests::default() {
        return "-".into();
    }
    let mut text = format!("{passed} passed");
    for (count, what) in [(failed, "failed"), (ignored, "ignored")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: &'static str, failures: &[&str]) -> Row {
        Row {
            step,
            failures: failures.iter().map(ToString::to_string).collect(),
            tests: Tests { passed: 3, failed: 0, ignored: 1 },
            time: Duration::from_millis(1500),
            limit: Duration::from_secs(60),
            log: "/nowhere".into(),
        }
    }

    #[test]
    fn the_table_has_a_row_a_step_and_a_verdict() {
        let text = table(&[row("tidy", &[]), row("test", &["cargo test: exit status: 101"])]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[2], "tidy       ok          1.5 s     60 s  3 passed, 1 ignored");
        assert_eq!(lines[3], "test       FAILED      1.5 s     60 s  3 passed, 1 ignored");
        assert_eq!(lines[4], "           cargo test: exit status: 101");
        assert_eq!(lines[5], "2 steps in 3 s: 1 of 2 FAILED");
    }

    #[test]
    fn lines_that_name_failures_are_told() {
        let log = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nerror: test failed\n";
        assert_eq!(telling(log), ["test b ... FAILED", "error: test failed"]);
        assert_eq!(telling("x\ny"), ["x", "y"]);
        let late = "xtask: cargo test: killed after its 899 s were over; there was 1 (a)";
        let log = format!("test a ... ok\nRunning tests/b.rs\n{late}\nxtask: left: x\n");
        let told = ["test a ... ok", "Running tests/b.rs", late, "xtask: left: x"];
        assert_eq!(telling(&log), told);
    }

    #[test]
    fn skips_are_listed_once_each() {
        let text = skipped("b: no luck\na: no time\nb: no luck\n");
        assert!(text.ends_with(":\n  a: no time\n  b: no luck\n"), "{text}");
        assert_eq!(skipped(""), "\nskipped: nothing\n");
    }
}
