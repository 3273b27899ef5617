//! Every transport at one message size: round trips and one-way messages, or why not.
//!
//! `cargo run --release -p annulus-measure --example kinds [SIZE] [FILTER]`

use annulus_measure::stats::median;
use annulus_measure::table::{Table, figure};
use annulus_measure::{Error, Kind, Lane, Pair, peer};

fn main() -> Result<(), Error> {
    peer::enter();
    let mut args = std::env::args().skip(1);
    let size = args.next().and_then(|size| size.parse().ok()).unwrap_or(8);
    let filter = args.next().unwrap_or_default();
    let mut table =
        Table::new(["kind", "waiting", "there and back, ns", "one way, ns", "32 at once"]);
    for kind in Kind::ALL.into_iter().filter(|kind| kind.name().contains(&filter)) {
        let lane = Lane::new(kind, size).both_ways();
        let ways = if kind.can_block() {
            &[(lane, "polls"), (lane.blocking(), "sleeps")][..]
        } else {
            &[(lane, "")]
        };
        for &(lane, way) in ways {
            let [back, single, many] = figures(lane).unwrap_or_else(|error| {
                eprintln!("{kind}, {way}: {error}");
                Default::default()
            });
            table.row([kind.name(), way, &back, &single, &many].map(String::from));
        }
    }
    print!("{table}");
    Ok(())
}

fn figures(lane: Lane) -> Result<[String; 3], Error> {
    let mut pair = Pair::start(&[lane])?;
    let count = (1 << 24) / lane.size.max(1024) as u64;
    let back = median(
        (0..3)
            .map(|_| pair.round_trips(0, 20, count.min(200)))
            .collect::<Result<Vec<_>, _>>()?
            .concat(),
    );
    let mut one_way = |batch| {
        if !lane.kind.keeps_every_message() || batch * lane.size > 1 << 17 {
            return Ok(String::new());
        }
        let times: Result<Vec<f64>, Error> =
            (0..5).map(|_| pair.one_way(0, count, batch)).collect();
        Ok(median(times?).map_or(String::new(), figure))
    };
    Ok([back.map_or(String::new(), figure), one_way(1)?, one_way(32)?])
}
