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

fn every_lane(size: usize) -> Vec<Lane> {
    let polling = Kind::ALL.map(|kind| Lane::new(kind, size).both_ways());
    let blocking = [Kind::Pipe, Kind::Fifo, Kind::UnixStream, Kind::Tcp]
        .map(|kind| Lane::new(kind, size).both_ways().blocking());
    polling.into_iter().chain(blocking).collect()
}

#[test]
fn messages_of_every_size_arrive_one_way_and_both_ways() {
    for &size in annulus_measure::SIZES {
        let lanes = every_lane(size);
        let mut pair = start(&lanes);
        let count = (1 << 20) / size.max(512) as u64;
        for lane in 0..lanes.len() {
            pair.one_way(lane, count, 1).unwrap();
            if size <= 4096 {
                pair.one_way(lane, count, 7).unwrap();
            }
            assert_eq!(pair.round_trips(lane, 3, 5).unwrap().len(), 3);
            pair.one_way(lane, 3, 1).unwrap();
        }
    }
}

#[test]
fn a_file_arrives_with_the_proof_of_its_bytes() {
    let lanes = every_lane(65536);
    let mut pair = start(&lanes);
    for len in [0, 1, 7, 64, 65535, 65536, 65537, 300_001] {
        let file: Vec<u8> = (0..len as u64).map(|byte| ((byte * byte) >> 3) as u8).collect();
        for (lane, about) in lanes.iter().enumerate() {
            for proof in [Proof::LineSum, Proof::Checksum] {
                let (_, found) = pair.file(lane, &file, proof).unwrap();
                assert_eq!(found, proof.of(&file), "{about:?} of {len} bytes");
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
