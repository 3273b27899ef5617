//! What annulus aims at, and how far a run has come: ratios to limits and to what is simpler.
//!
//! Imports: row.

use annulus_measure::placement::Placement;
use annulus_measure::stats::Spread;
use annulus_measure::table::{Table, figure};
use serde_json::{Value, json};

use super::row::{Figures, Row, short};

/// Where an aim's value comes from.
#[derive(Clone, Copy)]
enum From {
    /// The case's ratio to its limit.
    Limit,
    /// The ratio of the slow ones, p99 over p99.
    Slow,
    /// Over what is simpler, of the same rounds.
    Plain,
    /// Over another case's median: its name, and how it waits.
    Other(&'static str, &'static str),
}

/// Cases, what is looked at, and the most it should be: within a cache complex, and across.
const AIMS: [(&str, From, f64, f64); 20] = [
    ("spsc/rtt/8", From::Limit, 0.9, 0.9),
    ("spsc/rtt/56", From::Limit, 0.9, 0.9),
    ("spsc/rtt/8", From::Slow, 1.1, 1.1),
    ("spsc/oneway/8", From::Limit, 0.4, 0.5),
    ("spsc/oneway/56", From::Limit, 1.3, 2.2),
    ("spsc/oneway/256", From::Limit, 1.3, 2.4),
    ("spsc/batch32/8", From::Limit, 0.75, 1.0),
    ("spsc/oneway/4096", From::Limit, 1.053, 1.11),
    ("spsc/oneway/65536", From::Limit, 1.053, 1.11),
    ("spsc/oneway/1048576", From::Limit, 1.053, 1.11),
    ("stream/oneway/65536", From::Limit, 1.053, 1.11),
    ("spsc/oneway/8", From::Other("spsc/oneway/8", "spin"), 1.05, 1.05),
    ("spsc/handoff/8", From::Other("futex/handoff/8", "block"), 1.1, 1.1),
    ("mpmc/oneway/8/1s1r", From::Plain, 1.1, 1.1),
    ("mpmc/oneway/8/2s2r", From::Plain, 1.1, 1.1),
    ("mpmc/oneway/8/1s1r", From::Limit, 1.6, 1.6),
    ("mpmc/oneway/8/2s2r", From::Limit, 2.4, 2.4),
    ("broadcast/rtt/8", From::Limit, 0.9, 0.9),
    ("broadcast/lossless/8/1s1r", From::Plain, 1.2, 1.2),
    ("spsc/rtt/8", From::Other("pipe/rtt/8", "poll"), 0.1, 0.1),
];

/// Fewer samples say nothing.
const FEW: usize = 5;

/// One aim in one placement.
pub struct Aim {
    /// The case.
    pub case: &'static str,
    /// Over what.
    pub over: String,
    pub placement: Placement,
    pub value: f64,
    /// Its tenth and ninetieth percentile, of ratios sample by sample.
    pub spread: Option<(f64, f64)>,
    /// The most it should be.
    pub aim: f64,
}

impl Aim {
    /// Whether it is reached.
    pub fn met(&self) -> bool {
        self.value <= self.aim
    }
}

/// The aims that the run has figures for.
pub fn of(rows: &[Row]) -> Vec<Aim> {
    let mut aims = Vec::new();
    for (case, from, near, across) in AIMS {
        let ours = rows.iter().filter(|row| row.case == case && stands(row));
        let told = |figures: &&Figures| figures.typical.n >= FEW;
        let ours = ours.filter_map(|row| Some((row, row.figures().filter(told)?)));
        for (row, figures) in ours {
            let aim = match figures.placement {
                Placement::OneCore => continue,
                Placement::Siblings | Placement::SameComplex => near,
                Placement::Across | Placement::Far => across,
            };
            let Some((over, value, spread)) = value(rows, figures, from, row) else { continue };
            aims.push(Aim { case, over, placement: figures.placement, value, spread, aim });
        }
    }
    aims
}

/// Whether a row stands for its case: named memory, or a crowd's, waiting as by default.
fn stands(row: &Row) -> bool {
    match row.segment {
        Some("named") => row.wait == "futex",
        Some("memfd") => row.case.ends_with('r'),
        _ => false,
    }
}

type Found = Option<(String, f64, Option<(f64, f64)>)>;

fn value(rows: &[Row], figures: &Figures, from: From, row: &Row) -> Found {
    let of = |over: &str, spread: Spread| {
        Some((over.to_owned(), spread.median, Some((spread.p10, spread.p90))))
    };
    match from {
        From::Limit => of("the limit", figures.ratio?),
        From::Slow => {
            Some(("the limit, p99".into(), figures.percentiles[2] / figures.raw_p99?, None))
        }
        From::Plain if row.mechanism == "mpmc" => of("the plain queue", figures.plain?),
        From::Plain => of("overwriting", figures.plain?),
        From::Other(case, wait) => {
            let other = rows.iter().find_map(|other| {
                let same = other.case == case && other.wait == wait;
                let figures = other.figures().filter(|one| one.placement == figures.placement);
                figures.filter(|_| same)
            })?;
            let over = if case == row.case { wait } else { case };
            Some((over.to_owned(), figures.typical.median / other.typical.median, None))
        }
    }
}

/// As JSON.
pub fn json(aims: &[Aim]) -> Value {
    let one = |aim: &Aim| {
        json!({
            "case": aim.case,
            "over": aim.over,
            "placement": short(aim.placement),
            "ratio": aim.value,
            "ratio_p10": aim.spread.map(|spread| spread.0),
            "ratio_p90": aim.spread.map(|spread| spread.1),
            "aim": aim.aim,
            "met": aim.met(),
        })
    };
    aims.iter().map(one).collect()
}

/// As text.
pub fn text(aims: &[Aim]) -> String {
    if aims.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["aims", "over", "cores", "x", "p10..p90", "aim", ""]);
    for aim in aims {
        table.row(cells(aim));
    }
    format!("{table}\n")
}

/// The cells of one aim.
pub fn cells(aim: &Aim) -> [String; 7] {
    let spread = |(low, high)| format!("{}..{}", figure(low), figure(high));
    [
        aim.case.to_owned(),
        aim.over.clone(),
        short(aim.placement).to_owned(),
        figure(aim.value),
        aim.spread.map_or_else(|| "-".to_owned(), spread),
        format!("<= {}", figure(aim.aim)),
        if aim.met() { "met" } else { "missed" }.to_owned(),
    ]
}
