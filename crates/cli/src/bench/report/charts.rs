//! The plots: rows of ranges, and lines over an axis.
//!
//! Imports: svg.

use super::svg::{Anchor, Canvas, Log, apart, time, times};

/// One row of a plot of ranges.
pub struct Range {
    pub label: String,
    pub class: &'static str,
    /// 50, 90, 99, 99.9, 100 %.
    pub percentiles: [f64; 5],
    pub ratio: Option<f64>,
    pub cores: f64,
    pub says: String,
}

/// Latencies on a log axis, a row for each subject, the fastest first.
pub fn ranges(title: &str, rows: &[Range]) -> String {
    const ROW: f64 = 19.0;
    let (left, right, top) = (128.0, 150.0, 30.0);
    let width = 560.0;
    let bottom = top + ROW * rows.len() as f64 + 4.0;
    let mut canvas = Canvas::new(width, bottom + 34.0, title);
    let all = rows.iter().flat_map(|row| row.percentiles);
    let scale = Log::decades(all, left, width - right);
    let ticks = scale.ticks();
    // Where they would meet, every other one is named.
    let every = if ticks.len() > 7 { 2 } else { 1 };
    for (index, tick) in ticks.into_iter().enumerate() {
        let x = scale.at(tick);
        canvas.line((x, top - 6.0), (x, bottom), "grid");
        if index % every == 0 {
            canvas.text((x, bottom + 15.0), Anchor::Middle, "tick", &time(tick));
        }
    }
    let (p50, limit, cores) = (width - 104.0, width - 48.0, width - 4.0);
    for (x, head) in [(p50, "p50"), (limit, "× limit"), (cores, "cores")] {
        canvas.text((x, top - 12.0), Anchor::End, "head", head);
    }
    for (index, row) in rows.iter().enumerate() {
        let y = top + ROW * index as f64 + ROW / 2.0;
        let [a, b, c, d, e] = row.percentiles.map(|nanos| scale.at(nanos));
        if index % 2 == 1 {
            canvas.bar((0.0, y - ROW / 2.0), (width, y + ROW / 2.0), "stripe");
        }
        canvas.text((left - 8.0, y + 4.0), Anchor::End, "label", &row.label);
        let class = row.class;
        canvas.line((d, y), (e, y), &format!("most {class}"));
        canvas.line((e, y - 3.0), (e, y + 3.0), &format!("most {class}"));
        canvas.bar((c, y - 1.5), (d, y + 1.5), &format!("fill faint {class}"));
        canvas.bar((b, y - 3.0), (c, y + 3.0), &format!("fill light {class}"));
        canvas.bar((a, y - 5.0), (b, y + 5.0), &format!("fill {class}"));
        canvas.dot((a, y), 4.0, &format!("fill ring {class}"), &row.says);
        canvas.text((p50, y + 4.0), Anchor::End, "value", &time(row.percentiles[0]));
        let ratio = row.ratio.map_or_else(|| "-".into(), times);
        canvas.text((limit, y + 4.0), Anchor::End, "value", &ratio);
        canvas.text((cores, y + 4.0), Anchor::End, "value", &format!("{:.2}", row.cores));
        canvas.hint((0.0, y - ROW / 2.0), (width, y + ROW / 2.0), &row.says);
    }
    canvas.finish()
}

/// One line of a plot.
pub struct Line {
    pub label: String,
    pub class: &'static str,
    /// Place on the x axis, value, and its tenth and ninetieth percentile.
    pub points: Vec<(f64, f64, f64, f64)>,
}

/// What a plot of lines has beside its lines.
pub struct Axes<'a> {
    pub title: &'a str,
    /// Places on the x axis, and what they are called.
    pub x: Vec<(f64, String)>,
    pub x_name: &'a str,
    /// How a value on the y axis is written.
    pub y: fn(f64) -> String,
    pub y_name: &'a str,
    /// A value with its unit, for those who point at it.
    pub says: fn(f64) -> String,
    /// Whether the y axis has whole decades.
    pub decades: bool,
    /// How large the dots on the lines are.
    pub dots: f64,
}

/// Lines over an axis, each named at its end.
pub fn lines(axes: &Axes<'_>, lines: &[Line]) -> String {
    let (width, height) = (560.0, 380.0);
    let (left, right, top, bottom) = (52.0, 128.0, 30.0, height - 44.0);
    let mut canvas = Canvas::new(width, height, axes.title);
    let values =
        lines.iter().flat_map(|line| line.points.iter().flat_map(|point| [point.2, point.3]));
    let scale = if axes.decades {
        Log::decades(values, bottom, top)
    } else {
        Log::close(values, bottom, top)
    };
    let points = lines.iter().flat_map(|line| line.points.iter().map(|point| point.0));
    let places: Vec<f64> = axes.x.iter().map(|(x, _)| *x).chain(points).collect();
    let low = places.iter().copied().fold(f64::INFINITY, f64::min);
    let high = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let span = if high > low { high - low } else { 1.0 };
    let (from, to) = (left + 12.0, width - right - 10.0);
    let place = |x: f64| from + (x - low) / span * (to - from);
    for tick in scale.ticks() {
        let y = scale.at(tick);
        canvas.line((left, y), (width - right, y), "grid");
        canvas.text((left - 6.0, y + 4.0), Anchor::End, "tick", &(axes.y)(tick));
    }
    for (x, name) in &axes.x {
        canvas.line((place(*x), bottom), (place(*x), bottom + 4.0), "axis");
        canvas.text((place(*x), bottom + 17.0), Anchor::Middle, "tick", name);
    }
    canvas.line((left, bottom), (width - right, bottom), "axis");
    canvas.text(((from + to) / 2.0, height - 8.0), Anchor::Middle, "name", axes.x_name);
    canvas.text((4.0, 14.0), Anchor::Start, "name", axes.y_name);
    let mut ends = Vec::new();
    for line in lines {
        let at = |point: &(f64, f64, f64, f64), value: f64| (place(point.0), scale.at(value));
        let of = |figure: fn(&(f64, f64, f64, f64)) -> f64| {
            line.points.iter().map(|point| at(point, figure(point))).collect::<Vec<_>>()
        };
        let middle = of(|point| point.1);
        let class = line.class;
        if class != "other" {
            canvas.band(&of(|point| point.3), &of(|point| point.2), &format!("band {class}"));
        }
        canvas.path(&middle, &format!("way {class}"));
        for (point, &at) in line.points.iter().zip(&middle) {
            let [value, low, high] = [point.1, point.2, point.3].map(axes.says);
            let says = match low == high {
                true => format!("{}: {value}", line.label),
                false => format!("{}: {value} (p10 to p90: {low} to {high})", line.label),
            };
            canvas.dot(at, axes.dots, &format!("fill {class}"), &says);
        }
        ends.push(middle.last().copied().unwrap_or((to, bottom)));
    }
    let wanted: Vec<f64> = ends.iter().map(|end| end.1).collect();
    let places = apart(&wanted, 13.5, top - 6.0, bottom + 4.0);
    for ((line, end), y) in lines.iter().zip(&ends).zip(places) {
        let x = width - right + 14.0;
        canvas.path(&[(end.0 + 5.0, end.1), (x - 8.0, y), (x - 3.0, y)], "leader");
        canvas.text((x, y + 4.0), Anchor::Start, &format!("end {}", line.class), &line.label);
    }
    canvas.finish()
}
