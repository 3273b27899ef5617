//! One figure of a lane against its raw partner, sample by sample.

use crate::placement::Placement;
use crate::raw::Lines;
use crate::sample::Samples;
use crate::stats::{Spread, median, quantile};
use crate::{Error, Pair};

/// What is measured, and against what. Lanes are indices into the pair's.
#[derive(Clone, Copy, Debug)]
pub enum Measure {
    /// A typical round trip, over the two-line round trip of the brackets.
    RoundTrip {
        /// A lane that goes both ways.
        lane: usize,
    },
    /// The slowest of a hundred round trips, over the slowest of a hundred raw ones.
    SlowRoundTrip {
        /// A lane that goes both ways.
        lane: usize,
    },
    /// Nanoseconds a message, over what the raw stream takes for as many lines.
    OneWay {
        /// The lane.
        lane: usize,
        /// Messages in a batch.
        batch: usize,
        /// A raw lane.
        raw: usize,
        /// Lines of 64 bytes that a message is held to be.
        lines: f64,
    },
}

/// A lane's figure and its partner's, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Against {
    /// What the lane took.
    pub subject: f64,
    /// What the hardware took.
    pub raw: f64,
}

impl Against {
    /// How many times the limit.
    pub fn ratio(&self) -> f64 {
        self.subject / self.raw
    }
}

/// What is said of one comparison in one placement.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// Where the samples were taken.
    pub placement: Placement,
    /// Nanoseconds of the lane.
    pub subject: Spread,
    /// Nanoseconds of the limit.
    pub raw: Spread,
    /// The ratio, sample by sample.
    pub ratio: Spread,
}

/// A comparison and its samples so far.
#[derive(Debug)]
pub struct Comparison {
    measure: Measure,
    samples: Samples<Against>,
    /// Message sizes of all lanes, to know how many make a sample long enough.
    sizes: Vec<usize>,
}

/// Bytes a one-way sample moves at most, and messages: about a millisecond.
const SAMPLE_BYTES: usize = 8 << 20;
const SAMPLE_MESSAGES: usize = 200_000;

impl Comparison {
    /// None of it measured yet.
    pub fn new(lanes: &[crate::Lane], measure: Measure) -> Comparison {
        let sizes = lanes.iter().map(|lane| lane.size).collect();
        Comparison { measure, samples: Samples::new(), sizes }
    }

    /// Brings pages, caches and branch predictors in, without a figure.
    pub fn warm_up(&self, pair: &mut Pair) -> Result<(), Error> {
        self.measure(pair, true).map(drop)
    }

    /// Takes one bracketed sample.
    pub fn sample(&mut self, pair: &mut Pair) -> Result<(), Error> {
        // In turns, so that no side always comes after the other.
        let raw_first = self.samples.taken().is_multiple_of(2);
        let mut samples = std::mem::take(&mut self.samples);
        let taken = samples.take(pair, |pair| self.measure(pair, raw_first));
        self.samples = samples;
        self.fill_in();
        taken
    }

    /// The samples.
    pub fn samples(&self) -> &Samples<Against> {
        &self.samples
    }

    /// What can be said in each placement that was met.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let verdict = |placement| {
            let of = |figure: fn(&Against) -> f64| {
                self.samples.spread(placement, |sample| figure(&sample.value))
            };
            let subject = of(|against| against.subject)?;
            let (raw, ratio) = (of(|against| against.raw)?, of(Against::ratio)?);
            Some(Verdict { placement, subject, raw, ratio })
        };
        self.samples.placements().into_iter().filter_map(verdict).collect()
    }

    fn count(&self, lane: usize) -> u64 {
        (SAMPLE_BYTES / self.sizes[lane]).clamp(16, SAMPLE_MESSAGES) as u64
    }

    fn measure(&self, pair: &mut Pair, raw_first: bool) -> Result<Against, Error> {
        let in_turns =
            |pair: &mut Pair,
             subject: &mut dyn FnMut(&mut Pair) -> Result<f64, Error>,
             raw: &mut dyn FnMut(&mut Pair) -> Result<f64, Error>| {
                if raw_first {
                    let raw = raw(pair)?;
                    Ok(Against { subject: subject(pair)?, raw })
                } else {
                    let subject = subject(pair)?;
                    Ok(Against { subject, raw: raw(pair)? })
                }
            };
        match self.measure {
            // Its partner is the bracket, filled in afterwards.
            Measure::RoundTrip { lane } => {
                let subject = typical(pair.round_trips(lane, 20, 60)?);
                Ok(Against { subject, raw: f64::NAN })
            }
            Measure::SlowRoundTrip { lane } => in_turns(
                pair,
                &mut |pair| Ok(slow(pair.round_trips(lane, 2000, 1)?)),
                &mut |pair| Ok(slow(pair.lines(Lines::Two, 2000, 1)?)),
            ),
            Measure::OneWay { lane, batch, raw, lines } => {
                let per_line = self.sizes[raw] as f64 / 64.0;
                let (count, raw_count) = (self.count(lane), self.count(raw));
                in_turns(pair, &mut |pair| pair.one_way(lane, count, batch), &mut |pair| {
                    Ok(pair.one_way(raw, raw_count, 1)? / per_line * lines)
                })
            }
        }
    }

    /// A round trip's partner is its own bracket.
    fn fill_in(&mut self) {
        if matches!(self.measure, Measure::RoundTrip { .. }) {
            self.samples.amend_last(|sample| sample.value.raw = sample.line);
        }
    }
}

fn typical(times: Vec<f64>) -> f64 {
    median(times).unwrap_or(f64::NAN)
}

/// The 99th percentile.
fn slow(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    quantile(&times, 0.99).unwrap_or(f64::NAN)
}
