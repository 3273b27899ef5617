//! What is drawn: which rows go into which plot.
//!
//! Imports: latency, charts, svg.

use annulus_measure::placement::Placement;

use super::super::row::{Figures, Row, bytes};
use super::charts::{self, Axes, Line};
use super::latency;
use super::svg::{brief, time};

/// All plots that there are figures for.
pub fn all(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut section = |title: &str, key: bool, plots: Vec<String>| {
        let plots: String = plots.into_iter().collect();
        if !plots.is_empty() {
            let key = if key { KEY } else { "" };
            out += &format!("<h2>{title}</h2>\n{key}<div class=\"plots\">\n{plots}</div>\n");
        }
    };
    section("Latency", true, latency::ranges(rows));
    section("Distributions of single round trips", false, latency::distributions(rows));
    section("Throughput and message size", false, vec![bandwidth(rows), messages(rows)]);
    section("Participants", false, vec![scaling(rows), feeds(rows)]);
    section("Capacity", false, capacities(rows));
    out
}

const KEY: &str = "<div class=\"key\"><span><i style=\"background:var(--spsc)\"></i>spsc</span>\
    <span><i style=\"background:var(--stream)\"></i>stream</span>\
    <span><i style=\"background:var(--mpmc)\"></i>mpmc</span>\
    <span><i style=\"background:var(--broadcast)\"></i>broadcast</span>\
    <span><i style=\"background:var(--raw)\"></i>the limit</span>\
    <span><i style=\"background:var(--other)\"></i>everything else</span>\
    <span>Bars: p50 to p90, thinner to p99, to p99.9, a line to the slowest.</span></div>\n";

pub fn figure(title: &str, caption: &str, drawing: &str) -> String {
    format!("<figure><h3>{title}</h3><figcaption>{caption}</figcaption>{drawing}</figure>\n")
}

/// The style's name for whose colour a row has.
pub fn class(mechanism: &str) -> &'static str {
    match mechanism {
        "spsc" => "spsc",
        "stream" => "stream",
        "mpmc" => "mpmc",
        "broadcast" => "broadcast",
        "raw" | "shared-add" => "raw",
        _ => "other",
    }
}

/// Whether a row stands for its mechanism: ours in named memory, waiting as by default.
pub fn plain(row: &Row) -> bool {
    let spread = row.segment.is_none_or(|segment| segment == "named" || row.members != (1, 1));
    spread && matches!(row.wait, "futex" | "poll" | "block" | "spin") && !extra(row)
}

fn extra(row: &Row) -> bool {
    row.subject == "annulus"
        && row.members == (1, 1)
        && row.wait == "spin"
        && row.segment == Some("named")
}

/// The rows of one plot, all in the placement that most of them have figures for.
pub fn chosen<'a>(
    rows: &'a [Row],
    wanted: impl Fn(&Row) -> bool,
) -> (Vec<(&'a Row, &'a Figures)>, Option<Placement>) {
    let with = |row: &'a Row| row.figures().map(|figures| (row, figures));
    let some: Vec<_> = rows.iter().filter(|row| wanted(row)).filter_map(with).collect();
    let weight = |placement: Placement| -> usize {
        let here = some.iter().filter(|(_, figures)| figures.placement == placement);
        here.map(|(_, figures)| 1000 + figures.typical.n.min(100)).sum()
    };
    let placements = some.iter().map(|(_, figures)| figures.placement);
    let main = placements.max_by_key(|placement| weight(*placement));
    let kept = some.into_iter().filter(|(_, figures)| Some(figures.placement) == main).collect();
    (kept, main)
}

/// The same for a plot over several groups of cases, which may have been taken while the cores
/// stood differently: a group without figures in the main placement shows its own, and the
/// caption says so.
pub fn gathered<K: PartialEq>(
    rows: &[Row],
    wanted: impl Fn(&Row) -> bool,
    group: impl Fn(&Row) -> K,
    name: impl Fn(&Row) -> String,
) -> (Vec<(&Row, &Figures)>, String) {
    let (mut all, main) = chosen(rows, &wanted);
    let mut caption = stood(main);
    for row in rows.iter().filter(|row| wanted(row) && row.figures().is_some()) {
        if all.iter().any(|(known, _)| group(known) == group(row)) {
            continue;
        }
        let (own, placement) = chosen(rows, |other| wanted(other) && group(other) == group(row));
        all.extend(own);
        if let Some(placement) = placement {
            caption += &format!(" {}: {placement}.", name(row));
        }
    }
    (all, caption)
}

pub fn stood(placement: Option<Placement>) -> String {
    placement.map_or_else(String::new, |placement| format!("Cores: {placement}."))
}

/// Ours last, so that they lie on top.
pub fn on_top(lines: &mut [Line]) {
    lines.sort_by_key(|line| match line.class {
        "other" => 0,
        "raw" => 1,
        _ => 2,
    });
}

/// One line for each mechanism, over sizes.
fn by_size(rows: &[Row], value: fn(&Row, f64) -> f64) -> (Vec<Line>, Vec<(f64, String)>, String) {
    let wanted = |row: &Row| {
        row.verb == "oneway"
            && row.mode == "free"
            && row.members == (1, 1)
            && plain(row)
            && !row.case.contains("/cap")
            && !row.case.contains("1s1r")
    };
    let (some, stood) = gathered(rows, wanted, |row| row.size, |row| bytes(row.size));
    let mut lines: Vec<Line> = Vec::new();
    for (row, figures) in &some {
        let of = |nanos: f64| value(row, nanos);
        let spread = figures.typical;
        let (one, other) = (of(spread.p10), of(spread.p90));
        let place = (row.size as f64).log2();
        let point = (place, of(spread.median), one.min(other), one.max(other));
        match lines.iter_mut().find(|line| line.label == row.mechanism) {
            Some(line) => line.points.push(point),
            None => lines.push(Line {
                label: row.mechanism.to_owned(),
                class: class(row.mechanism),
                points: vec![point],
            }),
        }
    }
    for line in &mut lines {
        line.points.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    on_top(&mut lines);
    let mut sizes: Vec<usize> = some.iter().map(|(row, _)| row.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    // 56 and 64 would lie on one another.
    let named = |size: &usize| *size != 56 || !some.iter().any(|(row, _)| row.size == 64);
    let sizes = sizes.into_iter().filter(named).map(|size| ((size as f64).log2(), bytes(size)));
    (lines, sizes.collect(), stood)
}

fn bandwidth(rows: &[Row]) -> String {
    let (lines, x, stood) = by_size(rows, |row, nanos| row.size as f64 / nanos);
    if x.len() < 2 {
        return String::new();
    }
    let title = "Bytes a second, one way";
    let says = |value: f64| format!("{} GB/s", brief(value));
    let axes = Axes {
        title,
        x,
        x_name: "message",
        y: brief,
        y_name: "GB/s",
        says,
        decades: true,
        dots: 3.0,
    };
    let caption = format!(
        "One sender, one receiver, polling; the limit copies through a bare ring. Bands: p10 to \
         p90. {}",
        stood
    );
    figure(title, &caption, &charts::lines(&axes, &lines))
}

fn messages(rows: &[Row]) -> String {
    let (lines, x, stood) = by_size(rows, |_, nanos| nanos);
    if x.len() < 2 {
        return String::new();
    }
    let title = "Time for a message, one way";
    let y_name = "time a message";
    let axes =
        Axes { title, x, x_name: "message", y: time, y_name, says: time, decades: true, dots: 3.0 };
    let caption = format!("The same figures as time. Bands: p10 to p90. {}", stood);
    figure(title, &caption, &charts::lines(&axes, &lines))
}

/// One line for each of these, over numbers of members.
fn by_members(
    rows: &[Row],
    sets: &[(usize, usize)],
    kinds: &[(&str, &str, &str, &'static str)],
) -> (Vec<Line>, String) {
    let wanted = |row: &Row| {
        row.case.ends_with('r')
            && sets.contains(&row.members)
            && kinds
                .iter()
                .any(|(mechanism, verb, ..)| row.mechanism == *mechanism && row.verb == *verb)
    };
    let name = |row: &Row| format!("{} → {}", row.members.0, row.members.1);
    let (some, stood) = gathered(rows, wanted, |row| row.members, name);
    let mut lines = Vec::new();
    for (mechanism, verb, label, class) in kinds {
        let of = some.iter().filter(|(row, _)| row.mechanism == *mechanism && row.verb == *verb);
        let mut points: Vec<_> = of
            .filter_map(|(row, figures)| {
                let place = sets.iter().position(|set| *set == row.members)? as f64;
                let spread = figures.typical;
                Some((place, 1e3 / spread.median, 1e3 / spread.p90, 1e3 / spread.p10))
            })
            .collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        if !points.is_empty() {
            lines.push(Line { label: (*label).to_owned(), class, points });
        }
    }
    (lines, stood)
}

fn rate(value: f64) -> String {
    format!("{} million a second", brief(value))
}

fn scaling(rows: &[Row]) -> String {
    let sets = [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4), (4, 4)];
    let kinds = [
        ("pipe", "oneway", "pipe", "other"),
        ("unix-seqpacket", "oneway", "unix-seqpacket", "other"),
        ("vyukov", "oneway", "bare queue", "other"),
        ("shared-add", "oneway", "shared add", "raw"),
        ("mpmc", "oneway", "mpmc", "mpmc"),
        ("mpmc", "batch32", "mpmc by 32", "mpmc second"),
    ];
    let (lines, stood) = by_members(rows, &sets, &kinds);
    if lines.is_empty() {
        return String::new();
    }
    let name =
        |(index, set): (usize, &(usize, usize))| (index as f64, format!("{} → {}", set.0, set.1));
    let title = "Many senders, many receivers";
    let axes = Axes {
        title,
        x: sets.iter().enumerate().map(name).collect(),
        x_name: "senders → receivers",
        y: brief,
        y_name: "million messages a second, all together",
        says: rate,
        decades: true,
        dots: 3.0,
    };
    let caption = format!(
        "8 bytes, each message to one receiver. \"bare queue\" has no claims and no recovery; \
         \"shared add\" only adds to one word. Where there are more processes than cores, they \
         share them. {}",
        stood
    );
    figure(title, &caption, &charts::lines(&axes, &lines))
}

fn feeds(rows: &[Row]) -> String {
    let sets = [(1, 1), (1, 2), (1, 4)];
    let kinds = [
        ("broadcast", "oneway", "overwriting", "broadcast"),
        ("broadcast", "lossless", "lossless", "broadcast second"),
    ];
    let (lines, stood) = by_members(rows, &sets, &kinds);
    if lines.is_empty() {
        return String::new();
    }
    let name = |(index, set): (usize, &(usize, usize))| (index as f64, set.1.to_string());
    let title = "One sender, all receivers get all";
    let axes = Axes {
        title,
        x: sets.iter().enumerate().map(name).collect(),
        x_name: "receivers",
        y: brief,
        y_name: "million messages a second",
        says: rate,
        decades: true,
        dots: 3.0,
    };
    let caption = format!(
        "8 bytes. Overwriting, a slow receiver misses messages and is told how many; lossless, \
         it holds the sender back. {}",
        stood
    );
    figure(title, &caption, &charts::lines(&axes, &lines))
}

fn capacities(rows: &[Row]) -> Vec<String> {
    let mut sizes: Vec<usize> =
        rows.iter().filter(|row| row.case.contains("/cap")).map(|row| row.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let draw = |size: usize| {
        let wanted = |row: &Row| row.case.contains("/cap") && row.size == size && plain(row);
        let (some, placement) = chosen(rows, wanted);
        let mut lines: Vec<Line> = Vec::new();
        let mut slots = Vec::new();
        for (row, figures) in some {
            let Some(capacity) = row.capacity else { continue };
            slots.push(capacity);
            let spread = figures.typical;
            let point = ((capacity as f64).log2(), spread.median, spread.p10, spread.p90);
            match lines.iter_mut().find(|line| line.label == row.mechanism) {
                Some(line) => line.points.push(point),
                None => lines.push(Line {
                    label: row.mechanism.to_owned(),
                    class: class(row.mechanism),
                    points: vec![point],
                }),
            }
        }
        for line in &mut lines {
            line.points.sort_by(|one, other| one.0.total_cmp(&other.0));
        }
        slots.sort_unstable();
        slots.dedup();
        if slots.len() < 2 {
            return String::new();
        }
        let name = |slots: usize| ((slots as f64).log2(), short(slots));
        let title = format!("Capacity and time, {} a message", bytes(size));
        let axes = Axes {
            title: &title,
            x: slots.into_iter().map(name).collect(),
            x_name: "messages that the ring holds",
            y: time,
            y_name: "time a message",
            says: time,
            decades: false,
            dots: 3.0,
        };
        let caption = format!("One way, polling. Bands: p10 to p90. {}", stood(placement));
        figure(&title, &caption, &charts::lines(&axes, &lines))
    };
    sizes.into_iter().map(draw).collect()
}

/// 4, 256, 4 Ki, 64 Ki.
fn short(count: usize) -> String {
    if count >= 1024 { format!("{} Ki", count / 1024) } else { count.to_string() }
}
