//! No measurement outlives its processes, and none hangs.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use annulus_measure::pair::Options;
use annulus_measure::raw::Lines;
use annulus_measure::{Error, Kind, Lane, Pair, WaitMethod, peer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Set for the process that is to be killed with a peer of its own.
const LEAD: &str = "ANNULUS_MEASURE_TEST_LEAD";

/// Not a test: where the other processes of the tests below enter.
#[test]
fn entry() {
    peer::enter();
    if std::env::var_os(LEAD).is_some() {
        let pair = start(&[], Duration::from_secs(60));
        println!("peer={}", pair.peer_id());
        std::thread::sleep(Duration::from_secs(60));
    }
}

fn args() -> [&'static str; 3] {
    ["entry", "--exact", "--nocapture"]
}

fn start(lanes: &[Lane], limit: Duration) -> Pair {
    let args = args().map(String::from).to_vec();
    Pair::start_with(lanes, &Options { args, limit }).expect("a pair")
}

/// Past its first messages. On a busy machine a peer may take longer than the limit to get
/// going, and is started again.
fn running(lane: Lane, limit: Duration) -> Pair {
    let args = args().map(String::from).to_vec();
    let attempt = || {
        let mut pair = Pair::start_with(&[lane], &Options { args: args.clone(), limit })?;
        pair.round_trips(0, 1, 5).map(|_| pair)
    };
    for _ in 0..100 {
        match attempt() {
            Err(Error::Peer(reason)) if reason.contains("stood still") => {}
            outcome => return outcome.unwrap_or_else(|error| panic!("{lane:?}: {error}")),
        }
    }
    panic!("{lane:?}: never gets going");
}

fn every_kind() -> Vec<Lane> {
    let polling = Kind::ALL.into_iter().map(|kind| Lane::new(kind, 8).both_ways());
    let blocking = polling.clone().filter(|lane| lane.kind.can_block()).map(Lane::blocking);
    let by_semaphore = [Kind::Ring, Kind::Stream]
        .map(|kind| Lane::new(kind, 8).both_ways().wait(WaitMethod::Semaphore));
    // Whoever is killed with one of raw_sync's locks takes the other one with him.
    let blocking = blocking.filter(|lane| lane.kind != Kind::RawSync);
    let lanes = polling.chain(blocking).chain(by_semaphore);
    lanes.filter(|lane| lane.probe().is_ok()).collect()
}

fn signal(pair: &Pair, signal: Signal) {
    kill(Pid::from_raw(pair.peer_id() as i32), signal).expect("the peer is there");
}

#[test]
fn a_peer_that_stands_still_is_killed_and_named_on_every_transport() {
    for lane in every_kind() {
        let mut pair = running(lane, Duration::from_millis(400));
        signal(&pair, Signal::SIGSTOP);
        // It may run on for a moment.
        match (0..).find_map(|_| pair.round_trips(0, 1, 5).err()) {
            Some(Error::Peer(reason)) if reason.contains("stood still") => {}
            other => panic!("{lane:?}: {other:?}"),
        }
    }
}

#[test]
fn a_peer_that_was_killed_ends_the_measurement_on_every_transport() {
    for lane in every_kind() {
        let mut pair = start(&[lane], Duration::from_secs(60));
        pair.round_trips(0, 1, 5).unwrap();
        let (id, start) = (pair.peer_id(), Instant::now());
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            kill(Pid::from_raw(id as i32), Signal::SIGKILL).expect("the peer is there");
        });
        let ended = (0..).find_map(|_| pair.round_trips(0, 10, 100).err());
        killer.join().unwrap();
        assert!(
            matches!(ended, Some(Error::PeerGone(_) | Error::Disconnected { .. })),
            "{ended:?}"
        );
        assert!(start.elapsed() < Duration::from_secs(20), "{lane:?}");
    }
}

#[test]
fn a_peer_does_not_outlive_the_process_that_started_it() {
    let mut lead = Command::new("/proc/self/exe")
        .args(args())
        .env(LEAD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the lead starts");
    let lines = BufReader::new(lead.stdout.take().expect("piped")).lines();
    let peer = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("peer=").map(|(_, id)| id.to_owned()))
        .expect("the lead names its peer");
    let stat = format!("/proc/{peer}/stat");
    assert!(std::fs::exists(&stat).unwrap());
    lead.kill().unwrap();
    lead.wait().unwrap();
    let start = Instant::now();
    // Gone, or dead and waiting for whoever inherited it.
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(start.elapsed() < Duration::from_secs(20), "process {peer} is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_raw_probes_notice_a_killed_peer_too() {
    let mut pair = start(&[], Duration::from_secs(60));
    pair.lines(Lines::Two, 1, 5).unwrap();
    signal(&pair, Signal::SIGKILL);
    let ended = (0..).find_map(|_| pair.lines(Lines::Two, 1, 5).err());
    assert!(matches!(ended, Some(Error::PeerGone(_))), "{ended:?}");
}
