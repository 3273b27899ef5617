//! The byte stream against a pipe and a Unix socket: two processes, `write_all` and
//! `read_exact` of 64 B, 4 KiB and 64 KiB.
//!
//! Every sample is taken beside its raw partner and between two probes of the bare
//! cache line, by `annulus-measure`; after each benchmark its ratio to the raw limit is
//! printed, from the samples during which the cores stood still.
//!
//! `cargo bench --bench stream [-- FILTER]`

mod beside;

use annulus_measure::{Error, Kind, Lane, Pair};
use beside::bench;
use criterion::{BenchmarkId, Criterion, Throughput};

/// Pipe and socket polled, as the stream is, and sleeping in the kernel.
const KINDS: [(&str, Kind, bool); 5] = [
    ("stream", Kind::Stream, false),
    ("pipe, polled", Kind::Pipe, false),
    ("unix, polled", Kind::UnixStream, false),
    ("pipe, sleeping", Kind::Pipe, true),
    ("unix, sleeping", Kind::UnixStream, true),
];

const SIZES: [usize; 3] = [64, 4096, 65536];

fn main() {
    beside::run("stream", all);
}

fn all(criterion: &mut Criterion) -> Result<(), Error> {
    let mut lanes = Vec::new();
    for size in SIZES {
        lanes.push(Lane::new(Kind::Raw, size.max(4096)));
        lanes.extend(KINDS.map(|(_, kind, sleeping)| {
            let lane = Lane::new(kind, size);
            if sleeping { lane.blocking() } else { lane }
        }));
    }
    let mut pair = Pair::start(&lanes)?;
    let mut group = beside::group(criterion, "stream");
    for (index, size) in SIZES.into_iter().enumerate() {
        let raw = index * (1 + KINDS.len());
        let (share, chunks) = (size as f64 / lanes[raw].size as f64, (1 << 20) / lanes[raw].size);
        group.throughput(Throughput::Bytes(size as u64));
        for (lane, (name, ..)) in (raw + 1..).zip(KINDS) {
            bench(&mut group, BenchmarkId::new(name, size), &mut pair, |pair, count| {
                let raw = pair.one_way(raw, chunks as u64, 1)? * share;
                Ok((pair.one_way(lane, count, 1)?, Some(raw)))
            });
        }
    }
    group.finish();
    Ok(())
}
