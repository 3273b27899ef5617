//! One figure of a lane against its raw partner, sample by sample.

use crate::latency::Latency;
use crate::placement::{GROUP, Placement};
use crate::raw::Lines;
use crate::sample::Samples;
use crate::stats::{Spread, median};
use crate::{Error, Lane, Pair};

/// What is measured, and against what. Lanes are indices into the pair's.
#[derive(Clone, Copy, Debug)]
pub enum Measure {
    /// A typical round trip, over the two-line round trip of the brackets.
    RoundTrip {
        /// A lane that goes both ways.
        lane: usize,
    },
    /// The 99th percentile of single round trips, over that of raw two-line ones.
    SlowRoundTrip {
        /// A lane that goes both ways.
        lane: usize,
    },
    /// Nanoseconds a message, over what the raw stream takes for as many lines.
    OneWay {
        /// The lane.
        lane: usize,
        /// Messages in a batch; 1 for single sends.
        batch: usize,
        /// A raw lane.
        raw: usize,
        /// Lines of 64 bytes that a message is held to be.
        lines: f64,
    },
}

impl Measure {
    fn lane(&self) -> usize {
        let (Measure::RoundTrip { lane }
        | Measure::SlowRoundTrip { lane }
        | Measure::OneWay { lane, .. }) = *self;
        lane
    }
}

/// A lane's figure and its partner's, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Against {
    /// What the lane took.
    pub subject: f64,
    /// What the hardware took.
    pub raw: f64,
    /// The single round trips behind the two figures, where percentiles are asked for.
    singles: [Vec<f64>; 2],
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
    plan: Plan,
    raw_plan: Plan,
    samples: Samples<Against>,
}

/// How long a sample of one figure is meant to take: short, since the cores move.
const SAMPLE_NANOS: f64 = 0.4e6;

/// How many messages make a sample.
#[derive(Clone, Copy, Debug)]
struct Plan {
    messages: u64,
    bytes: f64,
}

impl Plan {
    fn first(lane: &Lane) -> Plan {
        Plan { messages: 64, bytes: lane.size as f64 }
    }

    /// So many that they take as long as a sample should.
    fn fit(&mut self, nanos_per_message: f64) {
        self.messages = (SAMPLE_NANOS / nanos_per_message).clamp(16.0, 500_000.0) as u64;
    }

    fn groups(&self) -> usize {
        (self.messages / GROUP).clamp(3, 60) as usize
    }

    fn singles(&self) -> usize {
        self.messages.clamp(20, 2000) as usize
    }
}

impl Comparison {
    /// None of it measured yet.
    pub fn new(lanes: &[Lane], measure: Measure) -> Comparison {
        let plan = Plan::first(&lanes[measure.lane()]);
        let raw_plan = match measure {
            Measure::OneWay { raw, .. } => Plan::first(&lanes[raw]),
            _ => Plan { messages: 2000, bytes: 64.0 },
        };
        Comparison { measure, plan, raw_plan, samples: Samples::new() }
    }

    /// Brings pages, caches and predictors in, and learns how many messages make a
    /// sample.
    pub fn warm_up(&mut self, pair: &mut Pair) -> Result<(), Error> {
        for _ in 0..3 {
            match self.measure {
                Measure::OneWay { lane, batch, raw, .. } => {
                    self.plan.fit(pair.one_way(lane, self.plan.messages, batch)?);
                    self.raw_plan.fit(pair.one_way(raw, self.raw_plan.messages, 1)?);
                }
                Measure::RoundTrip { lane } | Measure::SlowRoundTrip { lane } => {
                    self.plan.fit(typical(pair.round_trips(lane, self.plan.groups(), GROUP)?));
                }
            }
        }
        Ok(())
    }

    /// Takes one bracketed sample.
    pub fn sample(&mut self, pair: &mut Pair) -> Result<(), Error> {
        // In turns, so that no side always comes after the other.
        let raw_first = self.samples.taken().is_multiple_of(2);
        let (measure, plan, raw_plan) = (self.measure, self.plan, self.raw_plan);
        let mut singles = [Vec::new(), Vec::new()];
        let kept = self.samples.take(pair, |pair| {
            let [subject, raw] = match measure {
                // Its partner is the bracket, known when both probes are.
                Measure::RoundTrip { lane } => {
                    [typical(pair.round_trips(lane, plan.groups(), GROUP)?), f64::NAN]
                }
                Measure::SlowRoundTrip { lane } => {
                    let [of_lane, of_raw] = &mut singles;
                    let mut subject = |pair: &mut Pair| {
                        *of_lane = pair.round_trips(lane, plan.singles(), 1)?;
                        Ok(Latency::of(of_lane).percentile(99.0))
                    };
                    let mut raw = |pair: &mut Pair| {
                        *of_raw = pair.lines(Lines::Two, raw_plan.singles(), 1)?;
                        Ok(Latency::of(of_raw).percentile(99.0))
                    };
                    in_turns(pair, raw_first, &mut subject, &mut raw)?
                }
                Measure::OneWay { lane, batch, raw, lines } => {
                    let scale = lines * 64.0 / raw_plan.bytes;
                    let mut subject = |pair: &mut Pair| pair.one_way(lane, plan.messages, batch);
                    let mut raw = |pair: &mut Pair| {
                        pair.one_way(raw, raw_plan.messages, 1).map(|nanos| nanos * scale)
                    };
                    in_turns(pair, raw_first, &mut subject, &mut raw)?
                }
            };
            Ok(Against { subject, raw, singles })
        })?;
        if let (Some(_), Measure::RoundTrip { .. }) = (kept, measure) {
            self.samples.amend_last(|sample| sample.value.raw = sample.line);
        }
        Ok(())
    }

    /// The samples.
    pub fn samples(&self) -> &Samples<Against> {
        &self.samples
    }

    /// All single round trips in one placement, the lane's and raw ones; empty unless
    /// that is what was measured.
    pub fn singles(&self, placement: Placement) -> [Latency; 2] {
        let mut all = [Latency::default(), Latency::default()];
        for sample in self.samples.of(placement) {
            for (all, some) in all.iter_mut().zip(&sample.value.singles) {
                all.record_all(some);
            }
        }
        all
    }

    /// What can be said of one placement.
    pub fn verdict(&self, placement: Placement) -> Option<Verdict> {
        let of = |figure: fn(&Against) -> f64| {
            self.samples.spread(placement, |sample| figure(&sample.value))
        };
        let (subject, raw) = (of(|against| against.subject)?, of(|against| against.raw)?);
        Some(Verdict { placement, subject, raw, ratio: of(Against::ratio)? })
    }

    /// What can be said of each placement that was met.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let placements = self.samples.placements();
        placements.into_iter().filter_map(|placement| self.verdict(placement)).collect()
    }
}

type Step<'a> = &'a mut dyn FnMut(&mut Pair) -> Result<f64, Error>;

fn in_turns(
    pair: &mut Pair,
    raw_first: bool,
    subject: Step<'_>,
    raw: Step<'_>,
) -> Result<[f64; 2], Error> {
    if raw_first {
        let raw = raw(pair)?;
        Ok([subject(pair)?, raw])
    } else {
        let subject = subject(pair)?;
        Ok([subject, raw(pair)?])
    }
}

fn typical(times: Vec<f64>) -> f64 {
    median(times).unwrap_or(f64::NAN)
}
