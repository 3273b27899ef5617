//! spsc against a pipe and a Unix socket: two processes, 8 bytes to 1 MiB, one message
//! at a time, in batches, and there and back.
//!
//! Every sample is taken beside its raw partner and between two probes of the bare
//! cache line, by `annulus-measure`; after each benchmark its ratio to the raw limit is
//! printed, from the samples during which the cores stood still.
//!
//! `cargo bench --bench spsc [-- FILTER]`

mod beside;

use annulus_measure::cores::Cores;
use annulus_measure::placement::GROUP;
use annulus_measure::stats::median;
use annulus_measure::{Error, Kind, Lane, Pair, SIZES};
use beside::bench;
use criterion::{BenchmarkId, Criterion, Throughput};

const KINDS: [Kind; 3] = [Kind::Ring, Kind::Pipe, Kind::UnixStream];

/// Messages in a batch, of up to this many bytes each.
const BATCH: usize = 32;
const BATCHED: usize = 1024;

/// Sizes that also go there and back.
const ROUND_TRIPS: [usize; 2] = [8, 56];

/// Slots of a ring that carries one message at a time.
const EXCHANGE: usize = 16;

fn main() {
    beside::run("spsc", all);
}

fn all(criterion: &mut Criterion) -> Result<(), Error> {
    let mut lanes = Vec::new();
    for &size in SIZES {
        lanes.push(Lane::new(Kind::Raw, size.max(4096)));
        lanes.extend(KINDS.map(|kind| Lane::new(kind, size)));
    }
    let exchanges = lanes.len();
    for size in ROUND_TRIPS {
        lanes.extend(KINDS.map(|kind| Lane::new(kind, size).capacity(EXCHANGE).both_ways()));
    }
    let mut pair = Pair::start(&lanes)?;
    let Cores { lead, peer } = pair.cores();
    eprintln!("on cores {lead} and {peer}");

    for (name, batch, largest) in [("single", 1, usize::MAX), ("batches of 32", BATCH, BATCHED)] {
        let mut group = beside::group(criterion, &format!("spsc {name}"));
        for (index, &size) in SIZES.iter().enumerate().filter(|&(_, &size)| size <= largest) {
            let raw = index * (1 + KINDS.len());
            group.throughput(Throughput::Bytes(size as u64));
            for (lane, kind) in (raw + 1..).zip(KINDS) {
                // Up to a line's worth of message is held against a line.
                let share = size.max(64) as f64 / lanes[raw].size as f64;
                let id = BenchmarkId::new(kind.name(), size);
                let chunks = (4 << 20) / lanes[raw].size as u64;
                bench(&mut group, id, &mut pair, |pair, count| {
                    let raw = pair.one_way(raw, chunks, 1)? * share;
                    Ok((pair.one_way(lane, count, batch)?, Some(raw)))
                });
            }
        }
        group.finish();
    }

    let mut group = beside::group(criterion, "spsc round trip");
    for (index, size) in ROUND_TRIPS.into_iter().enumerate() {
        group.throughput(Throughput::Elements(1));
        for (lane, kind) in (exchanges + index * KINDS.len()..).zip(KINDS) {
            bench(&mut group, BenchmarkId::new(kind.name(), size), &mut pair, |pair, count| {
                let groups = pair.round_trips(lane, count.div_ceil(GROUP) as usize, GROUP)?;
                // The raw partner is the bracket.
                Ok((median(groups).unwrap_or_default(), None))
            });
        }
    }
    group.finish();
    Ok(())
}
