//! The plots of round trips.
//!
//! Imports: plots' ways to choose, charts, svg.

use super::super::row::{Figures, Row, STEPS};
use super::charts::{self, Axes, Line, Range};
use super::plots::{chosen, class, figure, gathered, on_top, plain, stood};
use super::svg::time;

/// A row for each mechanism: how long it takes, mostly and at worst.
pub fn ranges(rows: &[Row]) -> Vec<String> {
    let plots = [
        ("rtt", 8, "free", "There and back, 8 bytes, polling", "Each side tries again and again."),
        (
            "handoff",
            8,
            "free",
            "There and back, 8 bytes, blocking ends",
            "Mechanisms of the kernel sleep at once; annulus polls a little first.",
        ),
        (
            "handoff",
            8,
            "busy",
            "Blocking ends, another program on the receiver's core",
            "The scheduler decides when the receiver gets its turn.",
        ),
        ("handoff", 8, "one-core", "Blocking ends, both on one core", "They take turns."),
        ("rtt", 8, "one-core", "Polling, both on one core", "Whoever polls keeps the other out."),
        ("rtt", 65536, "free", "There and back, 64 KiB, polling", "The limit: bare copies."),
    ];
    let draw = |(verb, size, mode, title, caption): (&str, usize, &str, &str, &str)| {
        let wanted =
            |row: &Row| row.verb == verb && row.size == size && row.mode == mode && plain(row);
        let name = |row: &Row| row.mechanism.to_owned();
        let (mut some, stood) = gathered(rows, wanted, |row| row.mechanism, name);
        some.sort_by(|(_, one), (_, other)| one.percentiles[0].total_cmp(&other.percentiles[0]));
        let range = |(row, figures): (&Row, &Figures)| Range {
            label: row.mechanism.to_owned(),
            class: class(row.mechanism),
            percentiles: figures.percentiles,
            ratio: figures.ratio.map(|ratio| ratio.median),
            cores: figures.cores,
            says: said(row, figures),
        };
        let ranges: Vec<Range> = some.into_iter().map(range).collect();
        if ranges.is_empty() {
            return String::new();
        }
        let caption = format!("{caption} {stood} Log axis.");
        figure(title, &caption, &charts::ranges(title, &ranges))
    };
    plots.into_iter().map(draw).collect()
}

/// Who is drawn where all would be too many.
const KNOWN: [&str; 13] = [
    "raw",
    "spsc",
    "stream",
    "mpmc",
    "broadcast",
    "pipe",
    "unix-stream",
    "tcp",
    "sysv-mq",
    "posix-mq",
    "futex",
    "eventfd",
    "mutex-condvar",
];

/// A line for each mechanism: how many take how long.
pub fn distributions(rows: &[Row]) -> Vec<String> {
    let plots = [
        ("rtt", "How many are slower, polling"),
        ("handoff", "How many are slower, blocking ends"),
    ];
    // As many nines as a percentage has, so that the slow ones have room.
    let place = |percent: f64| -(1.0 - percent / 100.0).log10();
    let draw = |(verb, title): (&str, &str)| {
        let wanted = |row: &Row| {
            row.verb == verb
                && row.size == 8
                && row.mode == "free"
                && plain(row)
                && KNOWN.contains(&row.mechanism)
        };
        let (some, placement) = chosen(rows, wanted);
        let line = |(row, figures): (&Row, &Figures)| {
            // No further than there are round trips to tell.
            let told = place(100.0 - 300.0 / figures.singles.max(301) as f64);
            let steps = STEPS.into_iter().map(place).zip(&figures.curve);
            let points = steps.filter(|(x, _)| *x <= told).map(|(x, &y)| (x, y, y, y)).collect();
            Line { label: row.mechanism.to_owned(), class: class(row.mechanism), points }
        };
        let mut lines: Vec<Line> = some.into_iter().map(line).collect();
        lines.retain(|line| line.points.len() > 1);
        if lines.len() < 2 {
            return String::new();
        }
        on_top(&mut lines);
        let names = [(50.0, "p50"), (90.0, "p90"), (99.0, "p99"), (99.9, "p99.9")];
        let longest = lines.iter().filter_map(|line| line.points.last()).map(|last| last.0);
        let longest = longest.fold(0.0, f64::max);
        let shown = |(percent, name): (f64, &str)| {
            let x = place(percent);
            (x <= longest + 1e-9).then(|| (x, name.to_owned()))
        };
        let axes = Axes {
            title,
            x: names.into_iter().filter_map(shown).collect(),
            x_name: "share of the round trips that are faster",
            y: time,
            y_name: "round trip of 8 bytes",
            says: time,
            decades: true,
            dots: 1.8,
        };
        let caption = format!("The clock's own time is in each. {}", stood(placement));
        figure(title, &caption, &charts::lines(&axes, &lines))
    };
    plots.into_iter().map(draw).collect()
}

fn said(row: &Row, figures: &Figures) -> String {
    let [p50, p90, p99, p999, max] = figures.percentiles.map(time);
    format!(
        "{}: p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, slowest {max}; {} samples",
        row.case, figures.typical.n
    )
}
