//! The raw limits of this machine between two pinned processes.
//!
//! `cargo run --release -p annulus-measure --example raw [SECONDS]`

use std::time::{Duration, Instant};

use annulus_measure::placement::GROUP;
use annulus_measure::raw::Lines;
use annulus_measure::sample::Samples;
use annulus_measure::stats::{Spread, median};
use annulus_measure::table::{Table, figure};
use annulus_measure::{Error, Kind, Lane, Pair, peer};

fn main() -> Result<(), Error> {
    peer::enter();
    let seconds = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(8.0);
    // Rings of 64 KiB up to 4 KiB chunks, then of 16 chunks.
    let lanes: Vec<Lane> = [1024, 4096, 16384, 65536, 262_144]
        .map(|size| Lane::new(Kind::Raw, size).capacity((65536 / size).clamp(16, 64)))
        .to_vec();
    let mut pair = Pair::start(&lanes)?;
    let mut named = vec!["two-line round trip", "one-line round trip", "shared fetch-add"];
    let streams: Vec<String> = lanes
        .iter()
        .map(|lane| format!("{} B chunks of {}, a line", lane.size, lane.shape.capacity))
        .collect();
    named.extend(streams.iter().map(String::as_str));
    let mut samples: Vec<Samples<f64>> = named.iter().map(|_| Samples::new()).collect();
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        for (index, samples) in samples.iter_mut().enumerate() {
            samples.take(&mut pair, |pair| {
                let typical = |times| median(times).unwrap_or(f64::NAN);
                match index {
                    0 => pair.lines(Lines::Two, 50, GROUP).map(typical),
                    1 => pair.lines(Lines::One, 50, GROUP).map(typical),
                    2 => pair.fetch_add(20_000),
                    stream => {
                        let (lane, size) = (stream - 3, lanes[stream - 3].size as u64);
                        Ok(pair.one_way(lane, (4 << 20) / size, 1)? * 64.0 / size as f64)
                    }
                }
            })?;
        }
    }
    let mut table = Table::new(["limit", "placement", "ns", "p10..p90", "n", "not used"]);
    for (name, samples) in named.iter().zip(&samples) {
        for placement in samples.placements() {
            let spread = samples.spread(placement, |sample| sample.value);
            let Some(Spread { p10, median, p90, n }) = spread else { continue };
            table.row([
                name.to_string(),
                placement.to_string(),
                figure(median),
                format!("{}..{}", figure(p10), figure(p90)),
                n.to_string(),
                format!("{:.0} %", 100.0 * samples.outside(placement)),
            ]);
        }
    }
    print!("{table}");
    Ok(())
}
