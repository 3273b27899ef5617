//! Small messages: one way one by one and in batches, and there and back.

use std::time::Instant;

use annulus_measure::compare::{Comparison, Measure, Verdict};
use annulus_measure::table::{Table, figure};
use annulus_measure::{Error, Kind, Lane, Pair};

use super::progress::Progress;
use super::{ROWS, Where, file, percent, spoilt, typical};

/// Bytes in a message, and messages in a batch.
const MESSAGE: usize = 8;
const BATCH: usize = 32;

/// Rounds of all comparisons: enough for a median, few enough to end in time.
const ROUNDS: u64 = 60;

/// Slots of a ring that carries questions and answers: it never holds more than one.
const EXCHANGE: usize = 64;

/// This part's lanes: raw, then for each row one for one way and one for both.
pub fn lanes() -> Vec<Lane> {
    let both = |row: &super::Row| {
        let lane = row.lane(MESSAGE);
        [lane, lane.capacity(EXCHANGE).both_ways()]
    };
    std::iter::once(Lane::new(Kind::Raw, 4096)).chain(ROWS.iter().flat_map(both)).collect()
}

/// One transport's comparisons.
struct Row {
    single: Comparison,
    batch: Comparison,
    round_trip: Comparison,
    slow: Comparison,
}

impl Row {
    /// Of the lanes at `one` and behind it.
    fn new(lanes: &[Lane], raw: usize, one: usize) -> Row {
        let one_way = |batch| Measure::OneWay { lane: one, batch, raw, lines: 1.0 };
        let lane = one + 1;
        let of = |measure| Comparison::new(lanes, measure);
        Row {
            single: of(one_way(1)),
            batch: of(one_way(BATCH)),
            round_trip: of(Measure::RoundTrip { lane }),
            slow: of(Measure::SlowRoundTrip { lane }),
        }
    }

    fn all(&self) -> [&Comparison; 4] {
        [&self.single, &self.batch, &self.round_trip, &self.slow]
    }

    fn all_mut(&mut self) -> [&mut Comparison; 4] {
        [&mut self.single, &mut self.batch, &mut self.round_trip, &mut self.slow]
    }
}

/// What all transports did.
pub struct Report(Vec<Row>);

/// Samples all transports in turns, until `end` at the latest.
pub fn measure(
    pair: &mut Pair,
    lanes: &[Lane],
    end: Instant,
    progress: &mut Progress,
) -> Result<Report, Error> {
    let raw = file::lanes().len();
    let mut rows: Vec<Row> =
        (0..ROWS.len()).map(|row| Row::new(lanes, raw, raw + 1 + 2 * row)).collect();
    progress.begin("Small messages through all", ROUNDS);
    for row in &mut rows {
        for comparison in row.all_mut() {
            comparison.warm_up(pair)?;
        }
    }
    for round in 0..ROUNDS {
        for row in &mut rows {
            for comparison in row.all_mut() {
                // At least one round, however slow.
                if round == 0 || Instant::now() < end {
                    comparison.sample(pair)?;
                }
            }
        }
        progress.at(round + 1);
    }
    Ok(Report(rows))
}

impl Report {
    fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        self.0.iter().flat_map(Row::all)
    }

    /// The table, for the placement met most.
    pub fn report(&self) -> String {
        let placement = Where::most(self.comparisons().flat_map(|one| one.samples().met()));
        let verdict = |comparison: &Comparison, figure: fn(&Verdict) -> f64| {
            comparison.verdict(placement.main).map_or(f64::NAN, |verdict| figure(&verdict))
        };
        let heading = [
            "8-byte messages",
            "million/s",
            "x raw",
            "by 32",
            "x raw",
            "round trip p50",
            "x raw",
            "p99",
            "x raw",
            "thrown away",
        ];
        let mut table = Table::new(heading);
        let (mut raw_line, mut raw_slow) = (Vec::new(), Vec::new());
        for (name, row) in ROWS.iter().zip(&self.0) {
            let rate = |comparison| 1e3 / verdict(comparison, |verdict| verdict.subject.median);
            let speed = |comparison| 1.0 / verdict(comparison, |verdict| verdict.ratio.median);
            let singles = row.slow.singles(placement.main);
            let [p99, slow] = singles.map(|latency| latency.percentile(99.0));
            raw_line.push(verdict(&row.single, |verdict| verdict.raw.median));
            raw_slow.push(slow);
            let thrown = row.all().map(|one| one.samples().outside(placement.main));
            table.row([
                name.name.to_owned(),
                figure(rate(&row.single)),
                figure(speed(&row.single)),
                figure(rate(&row.batch)),
                figure(speed(&row.batch)),
                nanos(verdict(&row.round_trip, |verdict| verdict.subject.median)),
                figure(verdict(&row.round_trip, |verdict| verdict.ratio.median)),
                nanos(p99),
                figure(p99 / slow),
                percent(thrown.iter().sum::<f64>() / thrown.len() as f64),
            ]);
        }
        format!(
            "8-byte messages, one way and both ways.\n{placement}\n\n{table}\n\
             raw: the lines a second of a memcpy stream of 4 KiB chunks, {} million; the round \
             trip of a bare\ncache line, p50 {}, p99 {}. p50 is that of groups of 20 round \
             trips, p99 that of single ones.\n{}",
            figure(1e3 / typical(raw_line)),
            nanos(placement.line),
            nanos(typical(raw_slow)),
            spoilt(self.comparisons().map(|one| one.samples().interrupted(placement.main))),
        )
    }
}

fn nanos(value: f64) -> String {
    format!("{} ns", figure(value))
}
