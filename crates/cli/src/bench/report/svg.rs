//! Small drawings: shapes with classes, so that the page's style colours them, and scales.
//!
//! Imports: nothing of the command's.

use std::fmt::Write;

/// Text as it may stand in a page.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Where a text stands to its point.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing of so many units, scaled to its place.
pub struct Canvas {
    body: String,
    width: f64,
    height: f64,
    title: String,
}

impl Canvas {
    /// Empty; the title is for those who can't see it.
    pub fn new(width: f64, height: f64, title: &str) -> Canvas {
        Canvas { body: String::new(), width, height, title: escaped(title) }
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = write!(
            self.body,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#
        );
    }

    /// A line through points.
    pub fn path(&mut self, points: &[(f64, f64)], class: &str) {
        let mut way = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let _ = write!(way, "{}{x:.1} {y:.1}", if index == 0 { "M" } else { "L" });
        }
        let _ = write!(self.body, r#"<path d="{way}" class="{class}"/>"#);
    }

    /// The area between a line there and a line back.
    pub fn band(&mut self, upper: &[(f64, f64)], lower: &[(f64, f64)], class: &str) {
        let mut way = String::new();
        for (index, (x, y)) in upper.iter().chain(lower.iter().rev()).enumerate() {
            let _ = write!(way, "{}{x:.1} {y:.1}", if index == 0 { "M" } else { "L" });
        }
        let _ = write!(self.body, r#"<path d="{way}Z" class="{class}"/>"#);
    }

    /// A bar with round ends.
    pub fn bar(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let (x, y) = (from.0.min(to.0), from.1.min(to.1));
        let (width, height) = ((to.0 - from.0).abs().max(1.0), (to.1 - from.1).abs());
        let round = (height / 2.0).min(2.0);
        let _ = write!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="{round:.1}" class="{class}"/>"#
        );
    }

    /// A dot that says something when pointed at.
    pub fn dot(&mut self, at: (f64, f64), radius: f64, class: &str, says: &str) {
        let ((x, y), says) = (at, escaped(says));
        let _ = write!(
            self.body,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" class="{class}"><title>{says}</title></circle>"#
        );
    }

    /// An invisible area that says something when pointed at.
    pub fn hint(&mut self, from: (f64, f64), to: (f64, f64), says: &str) {
        let (width, height, says) = (to.0 - from.0, to.1 - from.1, escaped(says));
        let (x, y) = from;
        let _ = write!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" class="hint"><title>{says}</title></rect>"#
        );
    }

    /// Text.
    pub fn text(&mut self, at: (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let ((x, y), text) = (at, escaped(text));
        let _ = write!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#
        );
    }

    /// The drawing.
    pub fn finish(self) -> String {
        let Canvas { body, width, height, title } = self;
        format!(
            r#"<svg viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="{title}">{body}</svg>"#
        )
    }
}

/// A logarithmic scale from values to places.
#[derive(Clone, Copy)]
pub struct Log {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Log {
    /// Over whole decades that hold all values; at least one.
    pub fn decades(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Log {
        let (low, high) = bounds(values);
        let (low, high) = (low.log10().floor(), high.log10().ceil());
        Log { low, high: high.max(low + 1.0), from, to }
    }

    /// No wider than the values need, with a little room.
    pub fn close(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Log {
        let (low, high) = bounds(values);
        let (low, high) = (low.log10() - 0.06, high.log10() + 0.06);
        let room = ((0.5 - (high - low)) / 2.0).max(0.0);
        Log { low: low - room, high: high + room, from, to }
    }

    /// Where a value lies.
    pub fn at(&self, value: f64) -> f64 {
        let share = (value.max(1e-12).log10() - self.low) / (self.high - self.low);
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Whole decades in it, or 1, 2, 5 of each where there are few.
    pub fn ticks(&self) -> Vec<f64> {
        let steps: &[f64] = if self.high - self.low > 2.2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let decades = self.low.floor() as i32..=self.high.ceil() as i32;
        let ticks = decades.flat_map(|decade| steps.iter().map(move |s| s * 10_f64.powi(decade)));
        let inside = |tick: &f64| {
            let at = tick.log10();
            at >= self.low - 1e-9 && at <= self.high + 1e-9
        };
        ticks.filter(inside).collect()
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for value in values.filter(|value| value.is_finite() && *value > 0.0) {
        (low, high) = (low.min(value), high.max(value));
    }
    if low.is_finite() { (low, high) } else { (1.0, 10.0) }
}

/// Moves labels apart that would lie on one another, each as little as need be, within
/// bounds as far as they suffice.
pub fn apart(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&one, &other| wanted[one].total_cmp(&wanted[other]));
    let mut places = wanted.to_vec();
    // A few rounds of pushing neighbours apart, half each.
    for _ in 0..200 {
        for pair in order.windows(2) {
            let short = gap - (places[pair[1]] - places[pair[0]]);
            if short > 0.0 {
                places[pair[0]] -= short / 2.0;
                places[pair[1]] += short / 2.0;
            }
        }
        for place in &mut places {
            *place = place.clamp(low, high);
        }
    }
    // What bounds have pressed together goes down in order.
    let mut last = f64::NEG_INFINITY;
    for &index in &order {
        places[index] = places[index].max(last + gap * 0.98);
        last = places[index];
    }
    places
}

/// Nanoseconds with a unit that keeps them short: `97 ns`, `1.3 µs`, `24 ms`.
pub fn time(nanos: f64) -> String {
    let (value, unit) = match nanos {
        ..1e3 => (nanos, "ns"),
        ..1e6 => (nanos / 1e3, "µs"),
        ..1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    format!("{} {unit}", brief(value))
}

/// Two or three digits.
pub fn brief(value: f64) -> String {
    let digits = match value.abs() {
        _ if !value.is_finite() => return "-".into(),
        ..0.001 => 5,
        ..0.01 => 4,
        ..0.1 => 3,
        ..0.995 => 2,
        ..9.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let bare = text.trim_end_matches('0').trim_end_matches('.');
    if digits == 0 { text } else { bare.to_owned() }
}

/// How many times something is something else: `0.94`, `12`, `32 k`.
pub fn times(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".into(),
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        ..9999.5 => format!("{value:.0}"),
        _ => format!("{:.0} k", value / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_would_meet_are_moved_apart_in_order() {
        let places = apart(&[10.0, 11.0, 50.0, 10.5], 12.0, 0.0, 100.0);
        assert!(places[0] < places[3] && places[3] < places[1] && places[1] < places[2]);
        let mut sorted = places.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 11.0), "{places:?}");
    }

    #[test]
    fn times_have_the_unit_that_keeps_them_short() {
        let texts = [97.2, 1_300.0, 24_000_000.0, 9_960.0].map(time);
        assert_eq!(texts, ["97 ns", "1.3 µs", "24 ms", "10 µs"]);
        let briefs = [0.01, 0.5, 1.0, 9.96, 100.0, 0.00025].map(brief);
        assert_eq!(briefs, ["0.01", "0.5", "1", "10", "100", "0.00025"]);
    }

    #[test]
    fn ratios_keep_two_places_while_they_are_small() {
        let texts = [0.936, 1.0, 13.04, 318.0, 31_831.0, f64::NAN].map(times);
        assert_eq!(texts, ["0.94", "1.00", "13.0", "318", "32 k", "-"]);
    }

    #[test]
    fn a_scale_has_its_decades() {
        let scale = Log::decades([40.0, 90_000.0].into_iter(), 0.0, 100.0);
        assert_eq!(scale.ticks(), [10.0, 100.0, 1000.0, 10_000.0, 100_000.0]);
        assert_eq!((scale.at(10.0), scale.at(1e5)), (0.0, 100.0));
    }

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escaped("a<b & \"c\"\n"), "a&lt;b &amp; &quot;c&quot; ");
    }
}
