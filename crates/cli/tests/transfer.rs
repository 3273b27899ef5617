//! What goes into `send` comes out of `recv`, whoever starts first.

mod support;

use std::io::Write;

use support::{
    Random, TestName, collect, expect_nothing_left, feed, random_name, recv, send, until_seated,
};

/// Which side is started first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Send,
    Recv,
}

/// Moves bytes through the two commands.
fn transfer(name: &TestName, bytes: &[u8], first: First, capacity: &str) {
    let address = name.shm();
    let sending = || send(&[&address, "--capacity", capacity]);
    let receiving = || recv(&[&address]);
    let ((sender, input), (receiver, output)) = match first {
        First::Send => {
            let sending = sending();
            until_seated(&address, 0);
            (sending, receiving())
        }
        First::Recv => {
            let receiving = receiving();
            (sending(), receiving)
        }
    };
    let feeding = feed(input, bytes.to_vec(), Random::new());
    let received = collect(output).join().unwrap();
    feeding.join().unwrap();
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
    assert!(received == bytes, "{} of {} bytes, or others", received.len(), bytes.len());
    expect_nothing_left(name);
}

#[test]
fn everything_arrives_whoever_starts_first() {
    let name = random_name();
    for first in [First::Send, First::Recv] {
        for len in [0, 1, 10, 4096, 100_000] {
            transfer(&name, &Random::new().bytes(len), first, "65536");
        }
    }
}

#[test]
fn megabytes_in_odd_pieces_arrive_unchanged() {
    let name = random_name();
    let mut random = Random::new();
    for capacity in ["4096", "1048576"] {
        let len = 5_000_000 + random.below(3_000_000) as usize;
        transfer(&name, &random.bytes(len), First::Recv, capacity);
    }
}

#[test]
fn the_smallest_ring_moves_everything_too() {
    transfer(&random_name(), &Random::new().bytes(10_000), First::Send, "8");
}

#[test]
fn files_serve_as_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("file:{}", folder.path().join("stream").display());
    let (receiver, output) = recv(&[&address]);
    let (sender, mut input) = send(&[&address]);
    input.write_all(b"by a file").unwrap();
    drop(input);
    assert_eq!(collect(output).join().unwrap(), b"by a file");
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn an_address_serves_again_and_again_at_once() {
    let name = random_name();
    let address = name.shm();
    let mut ending = Vec::new();
    for round in 0..20_u8 {
        // Those of the last round may still be about to end.
        let (sender, mut input) = send(&[&address]);
        let (receiver, output) = recv(&[&address]);
        input.write_all(&[round; 100]).unwrap();
        drop(input);
        assert_eq!(collect(output).join().unwrap(), [round; 100]);
        // Only the sender is waited for: its receiver may not be gone when the next comes.
        sender.end().expect_quiet(0);
        ending.push(receiver);
    }
    for receiver in ending {
        receiver.end().expect_quiet(0);
    }
    expect_nothing_left(&name);
}

#[test]
fn what_arrives_in_drops_is_passed_on_in_drops() {
    use std::io::Read;
    let name = random_name();
    let (receiver, mut output) = recv(&[&name.shm()]);
    let (sender, mut input) = send(&[&name.shm()]);
    for drop in 0..10_u8 {
        input.write_all(&[drop]).unwrap();
        let mut got = [0];
        output.read_exact(&mut got).unwrap();
        assert_eq!(got, [drop]);
    }
    drop(input);
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn a_receiver_that_waited_long_enough_says_so() {
    let name = random_name();
    let (receiver, output) = recv(&[&name.shm(), "--timeout", "0.05"]);
    receiver.end().expect_complaint(1);
    assert_eq!(collect(output).join().unwrap(), b"");
    expect_nothing_left(&name);
}
