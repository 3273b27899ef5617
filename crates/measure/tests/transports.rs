//! Each transport between two real processes: messages of every way of sending arrive
//! and are checked, and a damaged one is noticed.

use annulus_measure::pair::{Options, Proof};
use annulus_measure::raw::Lines;
use annulus_measure::{Error, Kind, Lane, Pair, peer};

/// Not a test: where the peer process of the tests below enters.
#[test]
fn peer_entry() {
    peer::enter();
}

fn start(lanes: &[Lane]) -> Pair {
    let args = ["peer_entry", "--exact", "--nocapture"].map(String::from).to_vec();
    Pair::start_with(lanes, &Options { args, ..Options::default() }).expect("a pair")
}

/// Of every kind, polling and blocking, as far as the machine and the kind allow.
fn every_lane(size: usize) -> Vec<Lane> {
    let polling = Kind::ALL.into_iter().map(|kind| Lane::new(kind, size).both_ways());
    let blocking = polling.clone().filter(|lane| lane.kind.can_block()).map(Lane::blocking);
    let there = |lane: &Lane| match lane.probe() {
        Ok(()) => true,
        Err(Error::Unavailable(reason)) => {
            println!("skipped: {} of {size} bytes: {reason}", lane.kind);
            false
        }
        Err(other) => panic!("{lane:?}: {other}"),
    };
    polling.chain(blocking).filter(there).collect()
}

#[test]
fn messages_of_every_size_arrive_one_way_and_both_ways() {
    for &size in annulus_measure::SIZES {
        let count = (1 << 20) / size.max(512) as u64;
        for lane in every_lane(size) {
            let run = || -> Result<(), Error> {
                let mut pair = start(&[lane]);
                pair.one_way(0, count, 1)?;
                if size <= 4096 {
                    pair.one_way(0, count, 7)?;
                }
                assert_eq!(pair.round_trips(0, 3, 5)?.len(), 3);
                pair.one_way(0, 3, 1).map(drop)
            };
            run().unwrap_or_else(|error| panic!("{lane:?}: {error}"));
        }
    }
}

#[test]
fn a_file_arrives_with_the_proof_of_its_bytes() {
    for lane in [64, 4096, 65536].into_iter().flat_map(every_lane) {
        let mut pair = start(&[lane]);
        let size = lane.size;
        for len in [0, 1, 7, 64, size - 1, size, size + 1, 4 * size + 33] {
            let file: Vec<u8> = (0..len as u64).map(|byte| ((byte * byte) >> 3) as u8).collect();
            for proof in [Proof::LineSum, Proof::Checksum] {
                let (_, found) = pair.file(0, &file, proof).unwrap();
                assert_eq!(found, proof.of(&file), "{lane:?}: {len} bytes");
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed_by_every_receiver() {
    for size in [8, 56, 1024, 65536] {
        for lane in every_lane(size) {
            let last = if size <= 56 { size / 8 - 1 } else { size / 8 - 8 };
            for word in [0, last] {
                let error = start(&[lane]).send_damaged(0, 100, word).unwrap_err();
                let expected = format!("message 100: word {word} is");
                match error {
                    Error::Peer(reason) if reason.starts_with(&expected) => {}
                    other => panic!("{lane:?}, word {word}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn raw_limits_have_figures() {
    let mut pair = start(&[]);
    for lines in [Lines::Two, Lines::One] {
        let times = pair.lines(lines, 5, 20).unwrap();
        assert!(times.len() == 5 && times.iter().all(|&time| time > 0.0));
    }
    assert!(pair.fetch_add(1000).unwrap() > 0.0);
}

#[test]
fn a_peer_that_cannot_start_its_work_says_why() {
    let args = vec!["no_such_test".into(), "--exact".into()];
    let started = Pair::start_with(&[], &Options { args, ..Options::default() });
    assert!(matches!(started.err(), Some(Error::PeerGone(_))));
}
