//! Either side is killed at random moments: the other delivers or says what there is to,
//! and ends by the documented code.

mod support;

use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{
    Random, collect, expect_nothing_left, kills, random_name, recv, send, until_it_watches,
    until_seated, until_waiting,
};

/// Byte `n` of an endless input in which no two places look alike.
fn byte(n: u64) -> u8 {
    ((n / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (8 * (n % 8))) as u8
}

/// Writes that input until nobody reads; gives how much was written.
fn feed_endlessly(mut input: ChildStdin) -> JoinHandle<u64> {
    thread::spawn(move || {
        let mut written = 0;
        loop {
            let piece: Vec<u8> = (written..written + 30_011).map(byte).collect();
            match input.write(&piece) {
                Ok(bytes) => written += bytes as u64,
                Err(_) => return written,
            }
        }
    })
}

/// Reads so many bytes of it, as far as there are.
fn read_some(output: &mut ChildStdout, bytes: u64) -> Vec<u8> {
    let mut got = Vec::new();
    output.take(bytes).read_to_end(&mut got).unwrap();
    got
}

fn expect_prefix(got: &[u8], fed: u64) {
    assert!(got.len() as u64 <= fed, "{} bytes of {fed}", got.len());
    let wrong = got.iter().zip(0..).find(|(got, n)| **got != byte(*n));
    assert_eq!(wrong, None, "of {} bytes", got.len());
}

#[test]
fn a_sender_killed_at_any_moment_leaves_a_prefix_and_code_3() {
    let mut random = Random::new();
    for _ in 0..kills() {
        let name = random_name();
        let (receiver, mut output) = recv(&[&name.shm()]);
        let (sender, input) = send(&[&name.shm(), "--capacity", "65536"]);
        let feeding = feed_endlessly(input);
        until_seated(&name.shm(), 0);
        let mut got = match random.below(4) {
            0 => Vec::new(),
            _ => read_some(&mut output, random.below(3_000_000)),
        };
        thread::sleep(Duration::from_micros(random.below(3000)));
        sender.signal(Signal::SIGKILL);
        let rest = collect(output);
        receiver.end().expect_complaint(3);
        got.extend(rest.join().unwrap());
        assert_eq!(sender.end().signal, Some(Signal::SIGKILL as i32));
        expect_prefix(&got, feeding.join().unwrap());
        expect_nothing_left(&name);
    }
}

#[test]
fn a_receiver_killed_at_any_moment_ends_the_sender_with_code_3() {
    let mut random = Random::new();
    for _ in 0..kills() {
        let name = random_name();
        let (receiver, mut output) = recv(&[&name.shm()]);
        let (sender, input) = send(&[&name.shm(), "--capacity", "65536"]);
        let feeding = feed_endlessly(input);
        until_seated(&name.shm(), 1);
        let mut got = match random.below(4) {
            0 => Vec::new(),
            _ => read_some(&mut output, random.below(3_000_000)),
        };
        thread::sleep(Duration::from_micros(random.below(3000)));
        receiver.signal(Signal::SIGKILL);
        sender.end().expect_complaint(3);
        got.extend(collect(output).join().unwrap());
        drop(receiver);
        expect_prefix(&got, feeding.join().unwrap());
        expect_nothing_left(&name);
    }
}

#[test]
fn everything_committed_before_a_death_is_delivered_even_to_one_who_comes_later() {
    let name = random_name();
    let (sender, mut input) = send(&[&name.shm()]);
    let bytes = Random::new().bytes(123_456);
    input.write_all(&bytes).unwrap();
    until_waiting(&name.shm(), 123_456);
    sender.signal(Signal::SIGKILL);
    sender.end();
    let (receiver, output) = recv(&[&name.shm()]);
    assert!(collect(output).join().unwrap() == bytes);
    let ended = receiver.end();
    ended.expect_complaint(3);
    assert!(ended.complaint.contains("123456 bytes"), "{}", ended.complaint);
    expect_nothing_left(&name);
}

#[test]
fn a_sender_whose_input_is_silent_notices_that_its_receiver_was_killed() {
    let name = random_name();
    let (sender, input) = send(&[&name.shm()]);
    let (receiver, _output) = recv(&[&name.shm()]);
    until_seated(&name.shm(), 1);
    receiver.signal(Signal::SIGKILL);
    sender.end().expect_complaint(3);
    drop(input);
    expect_nothing_left(&name);
}

#[test]
fn a_sender_whose_input_comes_in_drops_notices_that_its_receiver_was_killed() {
    let name = random_name();
    let (mut sender, mut input) = send(&[&name.shm()]);
    let (receiver, _output) = recv(&[&name.shm()]);
    until_seated(&name.shm(), 1);
    receiver.signal(Signal::SIGKILL);
    support::until("the sender's end", || {
        // More often than the sender looks around, and far too little to fill the ring.
        let _ = input.write(b".");
        !sender.lives()
    });
    sender.end().expect_complaint(3);
    expect_nothing_left(&name);
}

#[test]
fn a_receiver_killed_while_the_sender_waits_for_the_last_bytes_is_noticed() {
    let name = random_name();
    // Its output is not read: it is stuck in a write.
    let (receiver, output) = recv(&[&name.shm()]);
    let (sender, mut input) = send(&[&name.shm(), "--capacity", "4194304"]);
    input.write_all(&vec![1; 3_000_000]).unwrap();
    drop(input);
    support::until("a write that blocks", || support::is_full(&output));
    receiver.signal(Signal::SIGKILL);
    sender.end().expect_complaint(3);
    drop(output);
    expect_nothing_left(&name);
}

#[test]
fn a_receiver_that_has_seen_enough_ends_both_sides_without_a_word() {
    let name = random_name();
    let (receiver, mut output) = recv(&[&name.shm()]);
    let (sender, input) = send(&[&name.shm()]);
    let feeding = feed_endlessly(input);
    assert_eq!(read_some(&mut output, 10), (0..10).map(byte).collect::<Vec<_>>());
    drop(output);
    receiver.end().expect_quiet(1);
    sender.end().expect_quiet(1);
    feeding.join().unwrap();
    expect_nothing_left(&name);
}

#[test]
fn an_output_that_takes_nothing_is_named_and_the_sender_told() {
    let name = random_name();
    let mut full = support::annulus(&["recv", &name.shm()]);
    full.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let receiver = support::start(full);
    let (sender, input) = send(&[&name.shm()]);
    let feeding = feed_endlessly(input);
    let ended = receiver.end();
    ended.expect_complaint(1);
    assert!(ended.complaint.contains("standard output"), "{}", ended.complaint);
    sender.end().expect_complaint(3);
    feeding.join().unwrap();
    expect_nothing_left(&name);
}

#[test]
fn an_input_that_can_not_be_read_is_named_and_the_receiver_told() {
    let name = random_name();
    let (receiver, output) = recv(&[&name.shm()]);
    // The sender waits for it only for a moment.
    until_it_watches(&receiver);
    let mut directory = support::annulus(&["send", &name.shm()]);
    directory.stdin(std::fs::File::open("/").unwrap());
    let ended = support::start(directory).end();
    ended.expect_complaint(1);
    assert!(ended.complaint.contains("standard input"), "{}", ended.complaint);
    receiver.end().expect_complaint(3);
    assert_eq!(collect(output).join().unwrap(), b"");
    expect_nothing_left(&name);
}
