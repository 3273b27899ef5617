//! The figures as text, as JSON and as tables for docs/rivals.md.

use std::fs;
use std::path::Path;
use std::time::Duration;

use annulus_measure::machine::{self, Machine};
use annulus_measure::stats::Spread;
use annulus_measure::table::{Table, figure};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::figures::{Entry, Finding, Verdict};
use crate::roster::{Between, Part};
use crate::team::Faults;

/// What was measured, on what.
pub struct Report {
    pub findings: Vec<Finding>,
    pub machine: Machine,
    /// Programs that wanted to run, before and after.
    pub load: [f64; 2],
    pub took: Duration,
    /// Most samples that were taken of a subject.
    pub rounds: usize,
}

/// One line of a table.
struct Line {
    case: &'static str,
    subject: String,
    between: Between,
    nanos: Option<Spread>,
    /// Over the limit: the raw slots, or the bare line where there are none.
    raw: Option<Spread>,
    /// annulus of the same kind, its nanoseconds and its time over this one's.
    annulus: Option<(f64, Spread)>,
    /// annulus between processes over a rival between threads.
    across: Option<Spread>,
    placement: String,
    remark: String,
}

fn lines(finding: &Finding) -> Vec<Line> {
    let placement = finding.placement();
    finding.entries.iter().map(|entry| line(finding, entry, placement)).collect()
}

fn line(
    finding: &Finding,
    entry: &Entry,
    placement: Option<annulus_measure::placement::Placement>,
) -> Line {
    let at = |part, between| {
        let other = finding.entry(part, between)?;
        (!std::ptr::eq(other, entry)).then_some(other)
    };
    let spread = placement.and_then(|placement| entry.spread(placement));
    let between = entry.subject.between;
    let rival = matches!(entry.subject.part, Part::Rival | Part::Other);
    let ours_over = |between| {
        let against = at(Part::Annulus, between)?.over(entry, placement?)?;
        rival.then_some(against)
    };
    let annulus = ours_over(between).and_then(|ratio| {
        let nanos = at(Part::Annulus, between)?.spread(placement?)?.median;
        Some((nanos, ratio))
    });
    let raw = placement.and_then(|placement| {
        if entry.subject.part == Part::Raw {
            return None;
        }
        match at(Part::Raw, Between::Processes) {
            Some(raw) => entry.over(raw, placement),
            None => entry.over_line(placement),
        }
    });
    let name = match entry.subject.version {
        "" => entry.subject.name.to_owned(),
        version => format!("{} {version}", entry.subject.name),
    };
    Line {
        case: finding.case.name,
        subject: name,
        between,
        nanos: spread,
        raw,
        annulus,
        across: ours_over(Between::Processes).filter(|_| between == Between::Threads),
        placement: placement.map_or_else(String::new, |placement| placement.to_string()),
        remark: remark(entry),
    }
}

/// What went wrong, or why there is nothing.
fn remark(entry: &Entry) -> String {
    let mut remarks = Vec::new();
    let Faults { lost, repeated, damaged, unsettled } = entry.faults;
    let kinds = [(lost, "lost"), (repeated, "repeated"), (damaged, "damaged")];
    for (count, kind) in kinds {
        if count > 0 {
            remarks.push(format!("{count} {kind}"));
        }
    }
    if unsettled > 0 {
        remarks.push(format!("sums differ in {unsettled} samples"));
    }
    if let Some(reason) = &entry.reason {
        let what = if entry.taken().0 == 0 { "n/a" } else { "stopped" };
        remarks.push(format!("{what}: {reason}"));
    }
    remarks.join(", ")
}

impl Line {
    fn verdict(&self) -> &'static str {
        self.annulus.map_or("", |(_, ratio)| Verdict::of(ratio).name())
    }

    fn cells(&self) -> Vec<String> {
        let annulus = self.annulus;
        vec![
            self.case.to_owned(),
            self.subject.clone(),
            self.between.name().to_owned(),
            wide(self.nanos),
            wide(self.raw),
            annulus.map_or_else(String::new, |(nanos, _)| figure(nanos)),
            wide(annulus.map(|(_, ratio)| ratio)),
            self.verdict().to_owned(),
            wide(self.across),
            self.remark.clone(),
        ]
    }

    fn json(&self, entry: &Entry, finding: &Finding) -> Value {
        let spread = |spread: Option<Spread>| {
            spread.map(|Spread { p10, median, p90, n }| {
                json!({ "p10": p10, "median": median, "p90": p90, "n": n })
            })
        };
        let (samples, discarded) = entry.taken();
        let line = finding.placement().and_then(|placement| entry.line(placement));
        let Faults { lost, repeated, damaged, unsettled } = entry.faults;
        json!({
            "case": self.case,
            "subject": entry.subject.name,
            "version": entry.subject.version,
            "between": self.between.name(),
            "placement": self.placement,
            "ns": spread(self.nanos),
            "p50_ns": self.nanos.map(|spread| spread.median),
            "line_ns": line.map(|spread| spread.median),
            "over_raw": spread(self.raw),
            "annulus_ns": self.annulus.map(|(nanos, _)| nanos),
            "annulus_over_it": spread(self.annulus.map(|(_, ratio)| ratio)),
            "annulus_processes_over_it": spread(self.across),
            "verdict": self.verdict(),
            "lost": lost,
            "repeated": repeated,
            "damaged": damaged,
            "sums_differ": unsettled,
            "samples": samples,
            "discarded": discarded,
            "reason": entry.reason,
        })
    }
}

const HEADING: [&str; 10] = [
    "case",
    "who",
    "between",
    "ns",
    "x raw",
    "annulus ns",
    "annulus / it",
    "annulus is",
    "annulus between processes / it",
    "remarks",
];

/// `12.3 (11.0..14.1)`.
fn wide(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, |Spread { p10, median, p90, .. }| {
        format!("{} ({}..{})", figure(median), figure(p10), figure(p90))
    })
}

impl Report {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut table = Table::new(HEADING);
        for line in self.findings.iter().flat_map(lines) {
            table.row(line.cells());
        }
        table.to_string()
    }

    /// An array of objects, the last one about the machine.
    pub fn json(&self) -> Value {
        let mut rows = Vec::new();
        for finding in &self.findings {
            let lines = lines(finding);
            let both = lines.iter().zip(&finding.entries);
            rows.extend(both.map(|(line, entry)| line.json(entry, finding)));
        }
        let Machine { processor, cores, caches, kernel, system, guest, .. } = &self.machine;
        rows.push(json!({
            "machine": {
                "processor": processor, "cores": cores, "caches": caches, "guest": guest,
            },
            "kernel": kernel,
            "system": system,
            "run": {
                "rounds": self.rounds,
                "seconds": self.took.as_secs(),
                "load_before": self.load[0],
                "load_after": self.load[1],
            },
        }));
        Value::Array(rows)
    }

    /// Puts the tables between the marks of a page.
    pub fn write_into(&self, path: &Path) -> Result<()> {
        const BEGIN: &str = "<!-- tables: begin -->";
        const END: &str = "<!-- tables: end -->";
        let page = fs::read_to_string(path).with_context(|| format!("reading {path:?}"))?;
        let (head, rest) = page.split_once(BEGIN).context("no mark where tables begin")?;
        let (_, tail) = rest.split_once(END).context("no mark where tables end")?;
        let page = format!("{head}{BEGIN}\n\n{}\n{END}{tail}", self.markdown());
        fs::write(path, page).with_context(|| format!("writing {path:?}"))
    }

    fn markdown(&self) -> String {
        let Machine { processor, cores, kernel, guest, .. } = &self.machine;
        let guest = if *guest { ", a virtual machine" } else { "" };
        let mut text = format!(
            "{processor}, {cores} cores{guest}; {kernel}. up to {} rounds in {} s; load before \
             {:.1}, after {:.1}.\n",
            self.rounds,
            self.took.as_secs(),
            self.load[0],
            self.load[1],
        );
        for finding in &self.findings {
            let lines = lines(finding);
            let placement = lines.first().map_or("", |line| line.placement.as_str());
            text += &format!("\n### {}: {placement}\n\n", finding.case.name);
            let heading = &HEADING[1..];
            text += &format!("| {} |\n", heading.join(" | "));
            text += &format!("|{}\n", "---|".repeat(heading.len()));
            for line in &lines {
                let cells = line.cells();
                text += &format!("| {} |\n", cells[1..].join(" | "));
            }
        }
        text
    }
}

/// Programs that wanted to run during the last minute.
pub fn load() -> f64 {
    machine::load()
}
