//! Each transport between two real processes: messages of every way of sending arrive
//! and are checked, and a damaged one is noticed.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use annulus_measure::pair::{Options, Proof};
use annulus_measure::raw::Lines;
use annulus_measure::{Error, Kind, Lane, Pair, WaitMethod, peer};

/// Not a test: where the peer process of the tests below enters.
#[test]
fn peer_entry() {
    peer::enter();
}

fn start(lanes: &[Lane]) -> Pair {
    let args = ["peer_entry", "--exact", "--nocapture"].map(String::from).to_vec();
    // Many that poll may be there at once.
    Pair::start_with(lanes, &Options { args, limit: Duration::from_secs(60) }).expect("a pair")
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

/// One way, in batches, both ways, and one way again.
fn every_way(lane: Lane, count: u64) -> Result<(), Error> {
    let mut pair = start(&[lane]);
    let one_way = |pair: &mut Pair, count, batch| {
        let runs = lane.kind.keeps_every_message();
        if runs { pair.one_way(0, count, batch).map(drop) } else { Ok(()) }
    };
    one_way(&mut pair, count, 1)?;
    if lane.size <= 4096 {
        one_way(&mut pair, count, 7)?;
    }
    assert_eq!(pair.round_trips(0, 3, 5)?.len(), 3);
    one_way(&mut pair, 3, 1)
}

#[test]
fn annulus_waits_in_every_way_that_its_rings_have() {
    let kinds = || Kind::ALL.into_iter().filter(|kind| !kind.is_baseline() && *kind != Kind::Raw);
    for wait in [WaitMethod::Spin, WaitMethod::Futex, WaitMethod::Semaphore] {
        let mut ran = Vec::new();
        for kind in kinds() {
            let lane = Lane::new(kind, 64).both_ways().capacity(16).wait(wait);
            match lane.probe() {
                Err(Error::Unavailable(reason)) => {
                    println!("skipped: {kind} by {wait:?}: {reason}");
                    continue;
                }
                outcome => outcome.unwrap(),
            }
            every_way(lane, 5000).unwrap_or_else(|error| panic!("{lane:?}: {error}"));
            ran.push(kind);
        }
        if wait == WaitMethod::Semaphore {
            // They need a name, and wake one.
            assert_eq!(ran, [Kind::Ring, Kind::RingFile, Kind::Stream, Kind::StreamFile]);
        } else {
            assert!(ran.into_iter().eq(kinds()));
        }
    }
}

#[test]
fn what_a_mechanism_cannot_carry_is_refused_with_the_reason() {
    for (lane, reason) in [
        (Lane::new(Kind::Signal, 56), "a signal carries 8"),
        (Lane::new(Kind::PosixMq, 1 << 20), "msgsize_max"),
        (Lane::new(Kind::SysvMq, 1 << 20), "msgmax"),
    ] {
        match Pair::start(&[lane]).err() {
            Some(Error::Unavailable(found)) if found.contains(reason) => {}
            other => panic!("{lane:?}: {other:?}"),
        }
    }
}

#[test]
fn a_second_lane_over_standard_input_is_refused() {
    let args = ["peer_entry", "--exact", "--nocapture"].map(String::from).to_vec();
    let lanes = [Lane::new(Kind::Stdio, 8), Lane::new(Kind::Stdio, 64)];
    match Pair::start_with(&lanes, &Options { args, ..Options::default() }).err() {
        Some(Error::Peer(reason)) if reason.contains("one such lane a pair") => {}
        other => panic!("{other:?}"),
    }
}

/// This crate's names in every place that has any.
fn names() -> HashSet<String> {
    let temporary = std::env::temp_dir();
    let folders = [temporary.as_path(), Path::new("/dev/shm"), Path::new("/dev/mqueue")];
    let entries = folders.into_iter().filter_map(|folder| folder.read_dir().ok()).flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains("annulus-measure-"))
        .collect()
}

/// Other tests have names for a moment: those that stay are left behind.
fn left_since(before: &HashSet<String>) -> HashSet<String> {
    let mut left: HashSet<_> = names().difference(before).cloned().collect();
    let start = Instant::now();
    while !left.is_empty() && start.elapsed() < Duration::from_secs(20) {
        left = left.intersection(&names()).cloned().collect();
        std::thread::yield_now();
    }
    left
}

#[test]
fn no_name_is_left_when_both_ends_are_open() {
    let before = names();
    let pairs: Vec<Pair> = every_lane(8).into_iter().map(|lane| start(&[lane])).collect();
    assert_eq!(left_since(&before), HashSet::new());
    drop(pairs);
}

#[test]
fn no_name_is_left_by_a_peer_that_never_opens_its_ends() {
    let before = names();
    for lane in every_lane(8) {
        let args = vec!["no_such_test".into(), "--exact".into()];
        let started = Pair::start_with(&[lane], &Options { args, ..Options::default() });
        assert!(started.is_err(), "{lane:?}");
    }
    assert_eq!(left_since(&before), HashSet::new());
}

#[test]
fn messages_of_every_size_arrive_one_way_and_both_ways() {
    for &size in annulus_measure::SIZES {
        let count = (1 << 20) / size.max(512) as u64;
        for lane in every_lane(size) {
            every_way(lane, count).unwrap_or_else(|error| panic!("{lane:?}: {error}"));
        }
    }
}

#[test]
fn a_file_arrives_with_the_proof_of_its_bytes() {
    for lane in [64, 4096, 65536].into_iter().flat_map(every_lane) {
        if !lane.kind.keeps_every_message() {
            continue;
        }
        let (mut pair, size) = (start(&[lane]), lane.size);
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
            // Within its capacity, since a broadcast may overwrite.
            let intact = lane.shape.capacity.min(100) as u64 - 1;
            let last = if size <= 56 { size / 8 - 1 } else { size / 8 - 8 };
            for word in [0, last] {
                let error = start(&[lane]).send_damaged(0, intact, word).unwrap_err();
                let expected = format!("message {intact}: word {word} is");
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
