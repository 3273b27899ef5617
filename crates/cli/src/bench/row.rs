//! What is said of one case in one placement, and how it is written as JSON.
//!
//! Imports: cases, pairs, crowds' samples.

use annulus_measure::crowd::Task;
use annulus_measure::latency::Latency;
use annulus_measure::placement::Placement;
use annulus_measure::sample::Sample;
use annulus_measure::stats::{Spread, median, quantile};
use serde_json::{Map, Value, json};

use super::cases::{Case, Crowded, Mode};
use super::crowds::Gathering;
use super::pairs::{Taken, Trial};

/// A case in one placement.
pub struct Row {
    /// Its name.
    pub case: String,
    /// Who is measured.
    pub subject: &'static str,
    /// The ring or the transport.
    pub mechanism: &'static str,
    /// What is done with it.
    pub verb: &'static str,
    /// What the ring lies in.
    pub segment: Option<&'static str>,
    /// What a broadcast does with receivers that are too slow.
    pub policy: Option<&'static str>,
    /// How ends wait.
    pub wait: &'static str,
    /// What else the machine did.
    pub mode: &'static str,
    /// Bytes in a message.
    pub size: usize,
    /// Messages that the ring holds, where that could be chosen.
    pub capacity: Option<usize>,
    /// How many send and receive.
    pub members: (usize, usize),
    /// Its figures, or why there are none.
    pub outcome: Result<Figures, String>,
}

/// The figures, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Where the cores stood.
    pub placement: Placement,
    /// Of the samples.
    pub typical: Spread,
    /// 50, 90, 99, 99.9 and 100 %: of single round trips, or of samples.
    pub percentiles: [f64; 5],
    /// Single round trips behind them, 0 if it was samples.
    pub singles: u64,
    /// The whole distribution of single round trips, at [`STEPS`].
    pub curve: Vec<f64>,
    /// The limit's figure.
    pub raw: Option<Spread>,
    /// The limit's 99th percentile of single round trips.
    pub raw_p99: Option<f64>,
    /// Sample by sample.
    pub ratio: Option<Spread>,
    /// Over the same without what makes it more: the plain queue, or a broadcast that
    /// overwrites.
    pub plain: Option<Spread>,
    /// Messages a second.
    pub rate: f64,
    /// Processor time for a message, and cores kept busy.
    pub spent: f64,
    pub cores: f64,
    /// Of a broadcast's messages, the share overwritten before they were received.
    pub missed: Option<f64>,
    /// Samples taken; the share thrown away since the cores moved, and the share not used:
    /// those, samples of other placements and interrupted ones.
    pub taken: usize,
    pub discarded: f64,
    pub unused: f64,
    /// The share of those used that other programs had a part in.
    pub interrupted: f64,
}

/// The percentages at which a distribution is kept.
pub const STEPS: [f64; 14] =
    [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.8, 99.9, 99.95, 99.99];

/// Samples without which a placement is not worth a row, if there is another.
const FEW: usize = 5;

impl Row {
    /// Of a case of two processes: a row for each placement, the one met most first.
    pub fn of_pair(trial: &Trial) -> Vec<Row> {
        let placements = ranked(trial.samples.met().map(|(placement, _)| placement));
        if placements.is_empty() {
            let reason = trial.failed.clone();
            let reason = reason.unwrap_or_else(|| "the cores moved in every sample".into());
            return vec![Row::new(&trial.case, Err(reason))];
        }
        let figures = placements.into_iter().map(|placement| Figures::of_pair(trial, placement));
        figures.map(|figures| Row::new(&trial.case, Ok(figures))).collect()
    }

    /// Of a case with an outcome.
    pub fn new(case: &Case, outcome: Result<Figures, String>) -> Row {
        let about = case.about();
        Row {
            case: case.to_string(),
            subject: about.subject,
            mechanism: about.mechanism,
            verb: case.verb.name(),
            segment: about.segment,
            policy: about.policy,
            wait: case.wait(),
            mode: case.mode.name(),
            size: case.size,
            capacity: about.segment.map(|_| case.lane().shape.capacity),
            members: (1, 1),
            outcome,
        }
    }

    /// Of a case of several processes.
    pub fn of_crowd(gathering: &Gathering, of: &Crowded) -> Vec<Row> {
        let placements = ranked(gathering.of(of.task).map(|sample| sample.placement));
        let mut outcomes: Vec<Result<Figures, String>> = placements
            .into_iter()
            .filter_map(|placement| gathering.figures(of.task, placement))
            .map(Ok)
            .collect();
        if outcomes.is_empty() {
            outcomes.push(Err(gathering.reason()));
        }
        outcomes.into_iter().map(|outcome| Row::crowded(of, outcome)).collect()
    }

    /// Of a case of several processes with an outcome.
    pub fn crowded(of: &Crowded, outcome: Result<Figures, String>) -> Row {
        let (mechanism, verb) = of.task.name();
        let ours = of.task.subject() == "annulus";
        Row {
            case: of.to_string(),
            subject: of.task.subject(),
            mechanism,
            verb,
            segment: ours.then_some("memfd"),
            policy: match of.task {
                Task::Broadcast => Some("overwriting"),
                Task::Lossless => Some("lossless"),
                _ => None,
            },
            wait: if ours { "spin" } else { "poll" },
            mode: Mode::Free.name(),
            size: 8,
            capacity: ours.then_some(1024),
            members: (of.senders, of.receivers),
            outcome,
        }
    }

    /// The figures, if there are any.
    pub fn figures(&self) -> Option<&Figures> {
        self.outcome.as_ref().ok()
    }

    /// GB (10^9 bytes) a second.
    pub fn bandwidth(&self, figures: &Figures) -> f64 {
        figures.rate * self.size as f64 / 1e9
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let mut all = Map::new();
        let mut put = |name: &str, value: Value| {
            all.insert(name.to_owned(), value);
        };
        put("case", json!(self.case));
        put("subject", json!(self.subject));
        put("mechanism", json!(self.mechanism));
        put("verb", json!(self.verb));
        put("segment", json!(self.segment));
        put("policy", json!(self.policy));
        put("wait", json!(self.wait));
        put("mode", json!(self.mode));
        put("size", json!(self.size));
        put("capacity", json!(self.capacity));
        put("senders", json!(self.members.0));
        put("receivers", json!(self.members.1));
        put("reason", json!(self.outcome.as_ref().err()));
        let figures = self.figures();
        let mut number = |name: &str, value: Option<f64>| put(name, json!(value.map(rounded)));
        let of = |figure: fn(&Figures) -> f64| figures.map(figure);
        let maybe = |figure: fn(&Figures) -> Option<f64>| figures.and_then(figure);
        number("p50_ns", of(|f| f.percentiles[0]));
        number("p90_ns", of(|f| f.percentiles[1]));
        number("p99_ns", of(|f| f.percentiles[2]));
        number("p999_ns", of(|f| f.percentiles[3]));
        number("max_ns", of(|f| f.percentiles[4]));
        number("median_ns", of(|f| f.typical.median));
        number("median_p10_ns", of(|f| f.typical.p10));
        number("median_p90_ns", of(|f| f.typical.p90));
        number("msgs_per_s", of(|f| f.rate));
        number("gb_per_s", figures.map(|figures| self.bandwidth(figures)));
        number("raw_ns", maybe(|f| Some(f.raw?.median)));
        number("raw_p99_ns", maybe(|f| f.raw_p99));
        number("ratio", maybe(|f| Some(f.ratio?.median)));
        number("ratio_p10", maybe(|f| Some(f.ratio?.p10)));
        number("ratio_p90", maybe(|f| Some(f.ratio?.p90)));
        number("over_plain", maybe(|f| Some(f.plain?.median)));
        number("over_plain_p10", maybe(|f| Some(f.plain?.p10)));
        number("over_plain_p90", maybe(|f| Some(f.plain?.p90)));
        number("cpu_ns_per_msg", of(|f| f.spent));
        number("cpu_cores", of(|f| f.cores));
        number("missed", maybe(|f| f.missed));
        number("discarded", of(|f| f.discarded));
        number("unused", of(|f| f.unused));
        number("interrupted", of(|f| f.interrupted));
        put("placement", json!(figures.map(|figures| short(figures.placement))));
        put("percentiles_of", json!(figures.map(|figures| figures.of_what())));
        put("round_trips", json!(figures.map(|figures| figures.singles)));
        put("samples", json!(figures.map(|figures| figures.typical.n)));
        put("samples_taken", json!(figures.map(|figures| figures.taken)));
        Value::Object(all)
    }
}

/// A placement in one word or two.
pub fn short(placement: Placement) -> &'static str {
    match placement {
        Placement::Siblings => "siblings",
        Placement::SameComplex => "same-complex",
        Placement::Across => "across",
        Placement::Far => "far",
        Placement::OneCore => "one-core",
    }
}

/// Bytes with a binary unit.
pub fn bytes(count: usize) -> String {
    if count < 1024 {
        format!("{count} B")
    } else if count < 1 << 20 {
        format!("{} KiB", count / 1024)
    } else {
        format!("{} MiB", count >> 20)
    }
}

/// Five digits or so: more would only look exact.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(4 - value.abs().log10().floor() as i32);
    if scale >= 1.0 { (value * scale).round() / scale } else { value.round() }
}

/// Placements by how often they were met; those met a few times only for want of others.
fn ranked(met: impl Iterator<Item = Placement>) -> Vec<Placement> {
    let mut counts: Vec<(usize, Placement)> = Vec::new();
    for placement in met {
        match counts.iter_mut().find(|(_, known)| *known == placement) {
            Some((count, _)) => *count += 1,
            None => counts.push((1, placement)),
        }
    }
    counts.sort_by(|one, other| other.cmp(one));
    let most = counts.first().map_or(0, |(count, _)| *count);
    let enough = |(count, _): &&(usize, Placement)| *count >= FEW.min(most);
    counts.iter().filter(enough).map(|(_, placement)| *placement).collect()
}

impl Figures {
    fn of_pair(trial: &Trial, placement: Placement) -> Figures {
        let Trial { case, samples, .. } = trial;
        let used: Vec<&Sample<Taken>> = match case.mode {
            Mode::Free => samples.of(placement).collect(),
            // Somebody else is meant to be there.
            _ => samples.all_of(placement).collect(),
        };
        let raw = |sample: &Sample<Taken>| match sample.value.raw {
            raw if raw.is_nan() => sample.line,
            raw => raw,
        };
        let spread = |figure: &dyn Fn(&Sample<Taken>) -> f64| {
            Spread::of(used.iter().map(|sample| figure(sample))).expect("at least one sample")
        };
        let typical = spread(&|sample| sample.value.subject);
        let (mut singles, mut raw_singles) = (Latency::default(), Latency::default());
        let wide = |times: &[f32]| times.iter().map(|&time| f64::from(time)).collect::<Vec<_>>();
        for sample in &used {
            singles.record_all(&wide(&sample.value.singles));
            raw_singles.record_all(&wide(&sample.value.raw_singles));
        }
        let percentiles = if case.verb.both_ways() {
            let [a, b, c, d, e] = [50.0, 90.0, 99.0, 99.9, 100.0].map(|at| singles.percentile(at));
            [a.min(typical.median), b, c, d, e]
        } else {
            of_samples(used.iter().map(|sample| sample.value.subject))
        };
        let messages = if case.verb.both_ways() { 2.0 } else { 1.0 };
        Figures {
            placement,
            typical,
            percentiles,
            singles: singles.count(),
            curve: match singles.count() {
                0 => Vec::new(),
                _ => STEPS.map(|at| singles.percentile(at)).into(),
            },
            raw: Some(spread(&raw)),
            raw_p99: Some(raw_singles.percentile(99.0)).filter(|p99| p99.is_finite()),
            ratio: Some(spread(&|sample| sample.value.subject / raw(sample))),
            plain: None,
            rate: messages * 1e9 / typical.median,
            spent: spread(&|sample| sample.value.spent).median,
            cores: spread(&|sample| sample.value.cores).median,
            missed: None,
            taken: samples.taken(),
            discarded: samples.discarded(),
            unused: 1.0 - used.len() as f64 / samples.taken() as f64,
            interrupted: used.iter().filter(|sample| sample.interrupted).count() as f64
                / used.len() as f64,
        }
    }

    /// What the percentiles are of.
    pub fn of_what(&self) -> &'static str {
        if self.singles > 0 { "round trips" } else { "samples" }
    }
}

/// The percentiles of samples.
pub fn of_samples(values: impl Iterator<Item = f64>) -> [f64; 5] {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    [0.5, 0.9, 0.99, 0.999, 1.0].map(|share| quantile(&sorted, share).unwrap_or(f64::NAN))
}

/// The middle of these, or `NAN`.
pub fn middle(values: impl Iterator<Item = f64>) -> f64 {
    median(values).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_five_digits() {
        let values = [0.0, 0.123456789, 1.00004999, 123456.7, 99.99951];
        assert_eq!(values.map(rounded), [0.0, 0.12346, 1.0, 123457.0, 100.0]);
    }

    #[test]
    fn placements_met_a_few_times_count_for_want_of_others() {
        use Placement::{Across, Far, SameComplex};
        let met = |counts: &[(Placement, usize)]| {
            let each = |&(placement, count): &(Placement, usize)| vec![placement; count];
            ranked(counts.iter().flat_map(each).collect::<Vec<_>>().into_iter())
        };
        assert_eq!(met(&[(Far, 2), (SameComplex, 9), (Across, 6)]), [SameComplex, Across]);
        assert_eq!(met(&[(Far, 2), (Across, 1)]), [Far]);
        assert_eq!(met(&[]), []);
    }
}
