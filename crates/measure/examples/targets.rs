//! The figures that the ring and the stream are tuned by, each over its raw partner.
//!
//! `cargo run --release -p annulus-measure --example targets [SECONDS] [FILTER]`

use std::time::{Duration, Instant};

use annulus_measure::compare::{Comparison, Measure};
use annulus_measure::stats::Spread;
use annulus_measure::table::{Table, figure};
use annulus_measure::{Error, Kind, Lane, Pair, peer};

fn main() -> Result<(), Error> {
    peer::enter();
    let mut args = std::env::args().skip(1);
    let seconds = args.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(20.0);
    let filter = args.next().unwrap_or_default();

    let ring = |size| Lane::new(Kind::RingMemfd, size);
    let stream = |size| Lane::new(Kind::StreamMemfd, size);
    let raw = |size| Lane::new(Kind::Raw, size);
    let lanes = [
        raw(4096),
        ring(8).capacity(64).both_ways(),
        ring(56).capacity(64).both_ways(),
        ring(8).both_ways(),
        ring(56).both_ways(),
        ring(8).capacity(256),
        ring(56).capacity(256),
        ring(256),
        raw(16384).capacity(64),
        ring(8).capacity(65536),
        ring(4096),
        raw(65536),
        ring(65536),
        raw(1 << 20),
        ring(1 << 20),
        stream(8).capacity(64).both_ways(),
        stream(8),
        stream(64),
        stream(256),
        stream(4096),
        stream(65536),
        stream(1 << 20),
    ];
    let one_way = |lane, batch, raw, lines| Measure::OneWay { lane, batch, raw, lines };
    let named = [
        ("round trip 8 B / two lines", "0.95", Measure::RoundTrip { lane: 1 }),
        ("round trip 56 B / two lines", "0.95", Measure::RoundTrip { lane: 2 }),
        ("  with 4096 slots, 8 B", "0.95", Measure::RoundTrip { lane: 3 }),
        ("  with 1024 slots, 56 B", "0.95", Measure::RoundTrip { lane: 4 }),
        ("p99 8 B / raw p99", "1.1", Measure::SlowRoundTrip { lane: 1 }),
        ("8 B single / raw line", "0.45", one_way(3, 1, 0, 1.0)),
        ("  with 256 slots, 8 B", "0.45", one_way(5, 1, 0, 1.0)),
        ("56 B single / raw line", "1.3", one_way(4, 1, 0, 1.0)),
        ("  with 256 slots, 56 B", "1.3", one_way(6, 1, 0, 1.0)),
        ("256 B single / 4 raw lines", "1.3", one_way(7, 1, 0, 4.0)),
        ("8 B by 32, 1 MiB ring / raw line", "0.75", one_way(9, 32, 8, 1.0)),
        ("4 KiB in place / raw", "1.05", one_way(10, 1, 0, 64.0)),
        ("64 KiB in place / raw", "1.05", one_way(12, 1, 11, 1024.0)),
        ("1 MiB in place / raw", "1.05", one_way(14, 1, 13, 16384.0)),
        ("stream round trip 8 B / two lines", "-", Measure::RoundTrip { lane: 15 }),
        ("stream 8 B / raw line", "-", one_way(16, 1, 0, 1.0)),
        ("stream 8 B by 32 / raw line", "-", one_way(16, 32, 0, 1.0)),
        ("stream 64 B / raw line", "-", one_way(17, 1, 0, 1.0)),
        ("stream 256 B / 4 raw lines", "-", one_way(18, 1, 0, 4.0)),
        ("stream 4 KiB / raw", "1.05", one_way(19, 1, 0, 64.0)),
        ("stream 64 KiB / raw", "1.05", one_way(20, 1, 11, 1024.0)),
        ("stream 1 MiB / raw", "1.05", one_way(21, 1, 13, 16384.0)),
    ];
    let mut comparisons: Vec<_> = named
        .iter()
        .filter(|(name, ..)| name.contains(&filter))
        .map(|&(name, target, measure)| (name, target, Comparison::new(&lanes, measure)))
        .collect();

    let mut pair = Pair::start(&lanes)?;
    for (_, _, comparison) in &mut comparisons {
        comparison.warm_up(&mut pair)?;
    }
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        for (_, _, comparison) in &mut comparisons {
            comparison.sample(&mut pair)?;
        }
    }

    let heading = [
        "figure",
        "placement",
        "ns",
        "raw ns",
        "ratio",
        "p10..p90",
        "target",
        "n",
        "not used",
        "interrupted",
    ];
    let mut table = Table::new(heading);
    for (name, target, comparison) in &comparisons {
        for verdict in comparison.verdicts() {
            let Spread { p10, median, p90, n } = verdict.ratio;
            table.row([
                name.to_string(),
                verdict.placement.to_string(),
                figure(verdict.subject.median),
                figure(verdict.raw.median),
                figure(median),
                format!("{}..{}", figure(p10), figure(p90)),
                if *target == "-" { target.to_string() } else { format!("<= {target}") },
                n.to_string(),
                format!("{:.0} %", 100.0 * comparison.samples().outside(verdict.placement)),
                format!("{:.0} %", 100.0 * comparison.samples().interrupted(verdict.placement)),
            ]);
        }
    }
    print!("{table}");
    Ok(())
}
