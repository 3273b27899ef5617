//! Benchmarks of two processes, each sample beside its raw partner and between two probes
//! of the bare cache line; their ratios to the raw limit.

use std::time::Duration;

use annulus_measure::sample::Samples;
use annulus_measure::stats::Spread;
use annulus_measure::table::figure;
use annulus_measure::{Error, Pair, peer};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode};

/// The whole of a bench's `main`.
pub fn run(name: &str, all: impl FnOnce(&mut Criterion) -> Result<(), Error>) {
    peer::enter();
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .nresamples(10_000)
        .without_plots()
        .configure_from_args();
    if let Err(error) = all(&mut criterion) {
        eprintln!("{name}: {error}");
        std::process::exit(1);
    }
    criterion.final_summary();
}

/// A group whose samples all move as many messages.
pub fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group
}

/// Nanoseconds for a message, and the raw partner's if that is not the bracket.
pub type Taken = Result<(f64, Option<f64>), Error>;

/// Samples shorter than this warm up; they have a time, but no ratio.
const SHORT: f64 = 500_000.0;

/// One benchmark. `take` moves so many messages.
pub fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    pair: &mut Pair,
    take: impl Fn(&mut Pair, u64) -> Taken,
) {
    let mut samples = Samples::new();
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|count| {
            let mut nanos = 0.0;
            let taken = samples.take(pair, |pair| {
                let (each, raw) = take(pair, count)?;
                nanos = each * count as f64;
                Ok((each, raw, nanos))
            });
            taken.unwrap_or_else(|error| panic!("{error}"));
            Duration::from_nanos(nanos as u64)
        });
    });
    for placement in samples.placements() {
        let long = samples.of(placement).filter(|sample| sample.value.2 > SHORT);
        let ratio = Spread::of(long.map(|sample| {
            let (nanos, raw, _) = sample.value;
            nanos / raw.unwrap_or(sample.line)
        }));
        let Some(Spread { p10, median, p90, n }) = ratio else { continue };
        println!(
            "{:24}{} x raw [{} .. {}], {placement}, {n} samples, {:.0} % thrown away",
            "",
            figure(median),
            figure(p10),
            figure(p90),
            100.0 * samples.discarded(),
        );
    }
}
