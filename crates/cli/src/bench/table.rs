//! The figures as text: a table for each thing done, the fastest first.
//!
//! Imports: aims, cases, row.

use annulus_measure::placement::Placement;
use annulus_measure::stats::Spread;
use annulus_measure::table::{Table, figure};
use serde_json::Value;

use super::aims::{self, Aim};
use super::cases::Group;
use super::row::{Figures, Row, bytes, short};

/// The cases, without figures.
pub fn list(groups: &[Group]) -> String {
    let mut table = Table::new(["case", "subject", "segment", "waiting"]);
    for group in groups {
        match group {
            Group::Pair(cases) => {
                for case in cases {
                    let about = case.about();
                    let segment = about.segment.unwrap_or("-").to_owned();
                    let wait = case.wait().to_owned();
                    table.row([case.to_string(), about.subject.to_owned(), segment, wait]);
                }
            }
            Group::Crowd(cases) => {
                for case in cases {
                    table.row([case.to_string(), case.task.subject().to_owned()]);
                }
            }
        }
    }
    table.to_string()
}

/// What a section is about: rows that can be compared.
fn section(row: &Row) -> String {
    let what = if row.verb == "lossless" { "oneway" } else { row.verb };
    let mut title = format!("{what}, {}", bytes(row.size));
    if row.members != (1, 1) {
        title += &format!(", {} senders, {} receivers", row.members.0, row.members.1);
    }
    if row.case.contains("/cap") {
        title += ", by capacity";
    }
    if row.case.ends_with("1s1r") {
        title += ", as a crowd of two";
    }
    if row.mode != "free" {
        title += &format!(", {}", row.mode);
    }
    title
}

/// All rows.
pub fn figures(rows: &[Row], aims: &[Aim], about: &Value) -> String {
    let mut out = String::new();
    let mut sections: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in rows {
        let title = section(row);
        match sections.iter_mut().find(|(known, _)| *known == title) {
            Some((_, rows)) => rows.push(row),
            None => sections.push((title, vec![row])),
        }
    }
    for (title, rows) in &sections {
        out += &format!("{title}\n{}\n", table(rows));
    }
    out += &aims::text(aims);
    let run = &about["run"];
    out += &format!(
        "{}, {}; cores {}; load {} to {}; took {} s.\n",
        about["machine"]["processor"].as_str().unwrap_or("?"),
        about["kernel"].as_str().unwrap_or("?"),
        run["cores"],
        run["load_before"],
        run["load_after"],
        run["seconds"],
    );
    out += "x raw: time over the limit's in the same sample: the bare line there and back; bytes \
            copied through a bare\nring; with several processes, adding to one word. p50 of round \
            trips: of groups of 20. \"unused\": samples\nthrown away \
            since the cores moved, taken in another placement, or beside another program.\n";
    out
}

fn table(rows: &[&Row]) -> String {
    let heading = [
        "", "place", "wait", "p50 ns", "p10..p90", "p99", "p99.9", "max", "M/s", "GB/s", "x raw",
        "p10..p90", "cores", "n", "unused",
    ];
    let mut table = Table::new(heading);
    let main = main_placement(rows);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for row in rows {
        match row.figures() {
            Some(figures) => with.push((*row, figures)),
            None => without.push(*row),
        }
    }
    with.sort_by(|(_, one), (_, other)| {
        let key = |figures: &Figures| (Some(figures.placement) != main, figures.placement);
        key(one).cmp(&key(other)).then(one.typical.median.total_cmp(&other.typical.median))
    });
    for (row, figures) in with {
        let [_, _, p99, p999, max] = figures.percentiles;
        let Spread { p10, median, p90, n } = figures.typical;
        let ratio = figures.ratio;
        let mut name = name(row);
        if Some(figures.placement) != main {
            name += &format!(" ({})", short(figures.placement));
        }
        table.row([
            name,
            row.segment.unwrap_or("-").to_owned(),
            row.wait.to_owned(),
            figure(median),
            format!("{}..{}", figure(p10), figure(p90)),
            figure(p99),
            figure(p999),
            figure(max),
            figure(figures.rate / 1e6),
            figure(row.bandwidth(figures)),
            ratio.map_or_else(|| "-".to_owned(), |ratio| figure(ratio.median)),
            ratio.map_or_else(
                || "-".to_owned(),
                |ratio| format!("{}..{}", figure(ratio.p10), figure(ratio.p90)),
            ),
            figure(figures.cores),
            n.to_string(),
            format!("{:.0} %", 100.0 * figures.unused),
        ]);
    }
    let mut out = match main {
        Some(placement) => format!("{placement}\n\n{table}"),
        None => String::new(),
    };
    for row in without {
        let reason = row.outcome.as_ref().err().map_or("", String::as_str);
        out += &format!("{}: n/a, {reason}\n", name(row));
    }
    out
}

/// What tells a row from the others of its section.
fn name(row: &Row) -> String {
    let (part, extra) = (row.mechanism, row.case.split('/').find(|part| part.starts_with("cap")));
    match (extra, row.verb) {
        (Some(capacity), _) => format!("{part} {}", &capacity[3..]),
        (None, "lossless") => format!("{part}, lossless"),
        _ => part.to_owned(),
    }
}

/// Where most of the rows were taken.
fn main_placement(rows: &[&Row]) -> Option<Placement> {
    let placements = || rows.iter().filter_map(|row| row.figures()).map(|one| one.placement);
    placements().max_by_key(|placement| placements().filter(|other| other == placement).count())
}
