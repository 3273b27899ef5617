//! One group of cases between two processes: all take turns until the time is over.
//!
//! ```text
//!   round 1:  [probe  a, raw  probe] [probe  raw, b  probe] [probe  c, raw  probe]
//!   round 2:  [probe  raw, b  probe] [probe  c, raw  probe] [probe  raw, a  probe]  ...
//! ```
//!
//! A case that fails keeps its reason and the others go on, in new processes.
//!
//! Imports: cases, busy, time.

use std::time::Instant;

use annulus_measure::cores::Cores;
use annulus_measure::pair::{Options, Proof};
use annulus_measure::placement::GROUP;
use annulus_measure::raw::Lines;
use annulus_measure::sample::Samples;
use annulus_measure::stats::median;
use annulus_measure::{Error, Kind, Lane, Pair};

use super::busy::Busy;
use super::cases::{BATCH, Case, Mode, Verb};
use super::progress::Progress;
use super::time::{TOO_LATE, Time};

/// How long one figure's part of a sample is meant to take: short, since the cores move.
const SAMPLE_NANOS: f64 = 0.4e6;

/// Round trips faster than this are timed in groups too, so that the clock does not show.
const FAST_NANOS: f64 = 2_000.0;

/// Samples beyond which a figure gains nothing.
const MOST_SAMPLES: usize = 1000;

/// So many samples are tried for one that is not thrown away, when the time is over.
const TRIES: usize = 5;

/// What one sample came to, in nanoseconds for a message or a round trip.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The case's figure.
    pub subject: f64,
    /// The limit's.
    pub raw: f64,
    /// Processor time of both processes, for a message.
    pub spent: f64,
    /// The same as a share of the time that passed: 2 is both cores.
    pub cores: f64,
    /// Single round trips, and the limit's, where that is what was timed.
    pub singles: Vec<f32>,
    pub raw_singles: Vec<f32>,
}

/// A case and its samples so far.
pub struct Trial {
    pub case: Case,
    pub samples: Samples<Taken>,
    /// Why there are none, or no more.
    pub failed: Option<String>,
    /// How often nothing moved while it was its turn.
    stood_still: u32,
    /// Nanoseconds of a message or a round trip, as last seen, and of the raw lane.
    expected: f64,
    raw_expected: f64,
}

impl Trial {
    fn new(case: Case) -> Trial {
        let failed = case.lane().probe().err().map(|error| error.to_string());
        let samples = Samples::new();
        let (expected, raw_expected) = (f64::NAN, f64::NAN);
        Trial { case, samples, failed, stood_still: 0, expected, raw_expected }
    }

    /// Keeps the reason. Once it may have been the machine, which had no time for both.
    fn note(&mut self, error: &Error) {
        let still = matches!(error, Error::Peer(reason) if reason.contains("stood still"));
        self.stood_still += u32::from(still);
        if !still || self.stood_still > 1 {
            self.failed = Some(error.to_string());
        }
    }

    /// Whether nothing more need be taken when the time is over: it has a figure, or has
    /// tried in vain.
    fn has_enough(&self) -> bool {
        let tried = self.samples.taken() >= TRIES;
        self.failed.is_some() || tried || self.samples.met().next().is_some()
    }

    /// The raw lane that its messages are held against, and how many of its messages make
    /// one of the case's. Round trips of up to a line are held against the bare line.
    fn raw(&self) -> Option<(Lane, f64)> {
        let Case { verb, size, mode, .. } = self.case;
        if verb.both_ways() {
            let long = size > 64 && mode == Mode::Free && verb == Verb::Rtt;
            return long.then(|| (Lane::new(Kind::Raw, size).both_ways().capacity(8), 1.0));
        }
        if size > 4096 {
            return Some((Lane::new(Kind::Raw, size), 1.0));
        }
        if verb == Verb::Batch {
            let lane = Lane::new(Kind::Raw, 16384).capacity(64);
            return Some((lane, (size as f64 / 64.0).max(1.0) / 256.0));
        }
        Some((Lane::new(Kind::Raw, 4096), (size as f64 / 64.0).max(1.0) / 64.0))
    }
}

/// How many messages take about so long.
fn fit(nanos: f64, each: f64, least: u64) -> u64 {
    let count = if each.is_finite() { nanos / each.max(0.1) } else { 64.0 };
    (count as u64).clamp(least, 500_000)
}

/// Runs the cases until their time is over; each has at least one sample or a reason.
pub fn run(cases: &[Case], cores: Cores, time: Time, progress: &mut Progress) -> Vec<Trial> {
    let mut trials: Vec<Trial> = cases.iter().copied().map(Trial::new).collect();
    let mode = cases.first().map_or(Mode::Free, |case| case.mode);
    let cores = match mode {
        Mode::OneCore => Cores { lead: cores.lead, peer: cores.lead },
        _ => cores,
    };
    let _busy = (mode == Mode::Busy).then(|| Busy::start(cores.peer));
    while let Some(mut table) = Table::set(&mut trials, cores, time) {
        // Whatever breaks the pair costs the case at fault its place, and starts it anew.
        if table.rounds(&mut trials, time, progress).is_ok() {
            break;
        }
    }
    for trial in &mut trials {
        if trial.failed.is_none() && trial.samples.taken() == 0 {
            trial.failed = Some(TOO_LATE.into());
        }
    }
    trials
}

/// A pair, and where each trial's lane is in it.
struct Table {
    pair: Pair,
    raw: Option<(usize, f64)>,
    /// Trials that take part, and their lanes.
    seats: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl Table {
    /// Starts a pair for all trials that have not failed; those that keep it from starting
    /// have. `None` if none is left, or no time.
    fn set(trials: &mut [Trial], cores: Cores, time: Time) -> Option<Table> {
        let options = Options { limit: time.patience, ..Options::default() };
        let start = |lanes: &[Lane]| Pair::start_on(cores, lanes, &options);
        while !time.is_over() {
            let alive: Vec<usize> =
                (0..trials.len()).filter(|&at| trials[at].failed.is_none()).collect();
            let raw = trials[*alive.first()?].raw();
            let mut lanes: Vec<Lane> = raw.iter().map(|(lane, _)| *lane).collect();
            let first = lanes.len();
            lanes.extend(alive.iter().map(|&at| trials[at].case.lane()));
            let error = match start(&lanes) {
                Ok(pair) => {
                    let seats = alive.into_iter().zip(first..).collect();
                    let raw = raw.map(|(_, scale)| (0, scale));
                    return Some(Table { pair, raw, seats, bytes: Vec::new() });
                }
                Err(error) => error,
            };
            // Whose fault was it?
            let mut found = false;
            for &at in &alive {
                if let Err(error) = start(&[trials[at].case.lane()]) {
                    trials[at].failed = Some(error.to_string());
                    found = true;
                }
            }
            // Nobody's: there is not enough of something for all of them.
            if let (false, Some(&last)) = (found, alive.last()) {
                trials[last].failed = Some(format!("not beside the others: {error}"));
            }
        }
        None
    }

    /// Warms up and takes samples in turns. An error has been noted with its trial.
    fn rounds(
        &mut self,
        trials: &mut [Trial],
        time: Time,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let seats = self.seats.clone();
        let note = |trial: &mut Trial, outcome: Result<(), Error>| {
            outcome.inspect_err(|error| trial.note(error))
        };
        for &(at, lane) in &seats {
            if time.is_over() {
                return Ok(());
            }
            if trials[at].expected.is_nan() {
                let outcome = self.warm_up(&mut trials[at], lane);
                note(&mut trials[at], outcome)?;
            }
        }
        for round in 0..MOST_SAMPLES {
            for turn in 0..seats.len() {
                // Whoever is first in a round is another each time.
                let (at, lane) = seats[(turn + round) % seats.len()];
                if time.is_over() {
                    return Ok(());
                }
                if Instant::now() >= time.until && trials[at].has_enough() {
                    if trials.iter().all(Trial::has_enough) {
                        return Ok(());
                    }
                    continue;
                }
                let outcome = self.sample(&mut trials[at], lane, round % 2 == 0);
                note(&mut trials[at], outcome)?;
                progress.tick();
            }
        }
        Ok(())
    }

    /// Brings pages, caches and predictors in, and learns how long a message takes.
    fn warm_up(&mut self, trial: &mut Trial, lane: usize) -> Result<(), Error> {
        let Table { pair, raw, bytes, .. } = self;
        let mut hands = Hands { pair, raw: *raw, bytes };
        for _ in 0..3 {
            hands.measure(trial.case, &mut trial.expected, lane)?;
            hands.limit(trial.case, &mut trial.raw_expected)?;
        }
        Ok(())
    }

    /// One sample between two probes.
    fn sample(&mut self, trial: &mut Trial, lane: usize, raw_first: bool) -> Result<(), Error> {
        let Table { pair, raw, bytes, .. } = self;
        let Trial { case, samples, expected, raw_expected, .. } = trial;
        let body = |pair: &mut Pair| {
            let mut hands = Hands { pair, raw: *raw, bytes };
            let limit = if raw_first { Some(hands.limit(*case, raw_expected)?) } else { None };
            let taken = hands.measure(*case, expected, lane)?;
            let (raw, raw_singles) = match limit {
                Some(limit) => limit,
                None => hands.limit(*case, raw_expected)?,
            };
            Ok(Taken { raw, raw_singles, ..taken })
        };
        samples.take(pair, body).map(drop)
    }
}

/// What a sample is taken with.
struct Hands<'a> {
    pair: &'a mut Pair,
    raw: Option<(usize, f64)>,
    bytes: &'a mut Vec<u8>,
}

impl Hands<'_> {
    /// The limit's figure, `NAN` where that is the bracket, and its single round trips.
    fn limit(&mut self, case: Case, expected: &mut f64) -> Result<(f64, Vec<f32>), Error> {
        match self.raw {
            Some((raw, scale)) if !case.verb.both_ways() => {
                let nanos = self.pair.one_way(raw, fit(SAMPLE_NANOS, *expected, 4), 1)?;
                *expected = nanos;
                Ok((nanos * scale, Vec::new()))
            }
            Some((raw, _)) => {
                let count = fit(SAMPLE_NANOS / 2.0, *expected, 3);
                let times = self.pair.round_trips(raw, count as usize, 1)?;
                *expected = middle(&times);
                Ok((*expected, short(&times)))
            }
            None if case.mode == Mode::Free && !self.pair.cores().shared() => {
                let times = self.pair.lines(Lines::Two, 200, 1)?;
                Ok((f64::NAN, short(&times)))
            }
            None => Ok((f64::NAN, Vec::new())),
        }
    }

    /// The case's own figure.
    fn measure(&mut self, case: Case, expected: &mut f64, lane: usize) -> Result<Taken, Error> {
        if case.verb.both_ways() {
            return self.round_trips(expected, lane);
        }
        let count = fit(SAMPLE_NANOS, *expected, if case.size > 65536 { 4 } else { 16 });
        let nanos = match case.verb {
            Verb::Batch => self.pair.one_way(lane, count, BATCH)?,
            Verb::Reserve => self.reserved(lane, count, case.size)?,
            _ => self.pair.one_way(lane, count, 1)?,
        };
        let spent = self.pair.spent()?.iter().sum::<u64>() as f64 / count as f64;
        *expected = nanos;
        Ok(Taken { subject: nanos, spent, cores: spent / nanos, ..Taken::default() })
    }

    /// Bytes of the sender's own, through its slots, with the receiver's proof.
    fn reserved(&mut self, lane: usize, count: u64, size: usize) -> Result<f64, Error> {
        let len = count as usize * size;
        for at in self.bytes.len()..len {
            self.bytes.push((at.wrapping_mul(at) >> 3) as u8);
        }
        let bytes = &self.bytes[..len];
        let (nanos, found) = self.pair.file(lane, bytes, Proof::LineSum)?;
        let parts = bytes.chunks(size).map(|part| Proof::LineSum.of(part));
        let expected = parts.fold(0, u64::wrapping_add);
        if found != expected {
            return Err(Error::Checksum { found, expected });
        }
        Ok(nanos / count as f64)
    }

    fn round_trips(&mut self, expected: &mut f64, lane: usize) -> Result<Taken, Error> {
        let (mut typical, mut trips, mut spent, mut passed) = (f64::NAN, 0, 0, 0.0);
        if *expected < FAST_NANOS {
            let groups = fit(SAMPLE_NANOS / 2.0, *expected * GROUP as f64, 3);
            let times = self.pair.round_trips(lane, groups as usize, GROUP)?;
            typical = middle(&times);
            trips += groups * GROUP;
            passed += times.iter().sum::<f64>() * GROUP as f64;
            spent += self.pair.spent()?.iter().sum::<u64>();
        }
        let count = fit(SAMPLE_NANOS / 2.0, *expected, 8).min(2000);
        let times = self.pair.round_trips(lane, count as usize, 1)?;
        passed += times.iter().sum::<f64>();
        trips += count;
        spent += self.pair.spent()?.iter().sum::<u64>();
        *expected = middle(&times);
        Ok(Taken {
            subject: if typical.is_nan() { *expected } else { typical },
            // There and back are two messages.
            spent: spent as f64 / (2 * trips) as f64,
            cores: spent as f64 / passed,
            singles: short(&times),
            ..Taken::default()
        })
    }
}

fn middle(times: &[f64]) -> f64 {
    median(times.iter().copied()).unwrap_or(f64::NAN)
}

fn short(times: &[f64]) -> Vec<f32> {
    times.iter().map(|&time| time as f32).collect()
}
