//! `--kind broadcast`: one sender, and each receiver gets every message.

mod support;

use std::io::{Read, Write};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{
    Random, collect, expect_nothing_left, feed, is_full, lines, random_name, recv, run, send,
    until, until_all_seated, until_waiting,
};

/// `send` or `recv` of a broadcast.
fn feed_of<T>(verb: fn(&[&str]) -> T, address: &str, more: &[&str]) -> T {
    verb(&[&[address, "--kind", "broadcast"], more].concat())
}

#[test]
fn each_of_three_receivers_gets_everything_of_a_lossless_one() {
    let name = random_name();
    let address = name.shm();
    let shape = ["--lossless", "--capacity", "8", "--max-len", "1024"];
    let receivers = [0; 3].map(|_| {
        let (receiver, output) = feed_of(recv, &address, &shape);
        (receiver, collect(output))
    });
    until_all_seated(&address, "receiver", 3);
    let (sender, input) = feed_of(send, &address, &["--lossless"]);
    let all = lines(0..3000, 40);
    feed(input, all.clone(), Random::new()).join().unwrap();
    sender.end().expect_quiet(0);
    for (receiver, output) in receivers {
        receiver.end().expect_quiet(0);
        assert!(output.join().unwrap() == all);
    }
    expect_nothing_left(&name);
}

#[test]
fn one_that_is_too_slow_is_told_how_much_it_has_missed_and_goes_on() {
    let name = random_name();
    let address = name.shm();
    // Nobody reads this.
    let (receiver, output) = feed_of(recv, &address, &["--capacity", "4"]);
    until_all_seated(&address, "receiver", 1);
    let (sender, mut input) = feed_of(send, &address, &[]);
    let mut sent = 0;
    until("a write that blocks", || {
        input.write_all(&lines(sent..sent + 10, 4096)).unwrap();
        sent += 10;
        is_full(&output)
    });
    input.write_all(&lines(sent..sent + 100, 4096)).unwrap();
    sent += 100;
    drop(input);
    // It was not held back.
    sender.end().expect_quiet(0);
    let got = collect(output).join().unwrap();
    let ended = receiver.end();
    ended.expect_code(0);
    let missed: usize = ended
        .complaint
        .lines()
        .map(|line| {
            let line = line.strip_prefix("annulus: ").expect("who says it");
            let number = line.strip_suffix(" messages were overwritten before they were received");
            number.expect("nothing else").parse::<usize>().expect("a number")
        })
        .sum();
    assert!(missed >= 90, "{ended:?}");
    assert_eq!(got.len() / 4096 + missed, sent);
    expect_nothing_left(&name);
}

#[test]
fn who_comes_late_begins_with_the_newest_or_the_oldest() {
    let name = random_name();
    let address = name.shm();
    let (sender, mut input) = feed_of(send, &address, &[]);
    input.write_all(b"a\nb\n").unwrap();
    until_waiting(&address, 2);
    let newest = feed_of(recv, &address, &[]);
    let oldest = feed_of(recv, &address, &["--from", "oldest"]);
    let two = feed_of(recv, &address, &["--from", "oldest", "--count", "2"]);
    assert_eq!(collect(two.1).join().unwrap(), b"a\nb\n");
    two.0.end().expect_quiet(0);
    until_all_seated(&address, "receiver", 2);
    input.write_all(b"c\n").unwrap();
    drop(input);
    sender.end().expect_quiet(0);
    assert_eq!(collect(newest.1).join().unwrap(), b"c\n");
    assert_eq!(collect(oldest.1).join().unwrap(), b"a\nb\nc\n");
    newest.0.end().expect_quiet(0);
    oldest.0.end().expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn a_second_sender_is_refused_and_a_successor_is_not() {
    let name = random_name();
    let address = name.shm();
    let (receiver, mut output) = feed_of(recv, &address, &["--follow", "--count", "2"]);
    until_all_seated(&address, "receiver", 1);
    let (first, mut input) = feed_of(send, &address, &[]);
    input.write_all(b"first\n").unwrap();
    let mut line = [0; 6];
    output.read_exact(&mut line).unwrap();
    let (refused, _) = run(&["send", &address, "--kind", "broadcast"]);
    refused.expect_complaint(1);
    assert!(refused.complaint.contains(&first.pid().to_string()), "{refused:?}");
    first.signal(Signal::SIGKILL);
    first.end();
    let (second, mut input) = feed_of(send, &address, &[]);
    input.write_all(b"second\n").unwrap();
    drop(input);
    second.end().expect_quiet(0);
    assert_eq!(collect(output).join().unwrap(), b"second\n");
    receiver.end().expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn a_killed_sender_ends_its_receivers_with_code_3() {
    let name = random_name();
    let receivers = [0; 2].map(|_| feed_of(recv, &name.shm(), &[]));
    until_all_seated(&name.shm(), "receiver", 2);
    let (sender, mut input) = feed_of(send, &name.shm(), &[]);
    input.write_all(b"all there was\n").unwrap();
    until_waiting(&name.shm(), 1);
    sender.signal(Signal::SIGKILL);
    sender.end();
    for (receiver, output) in receivers {
        receiver.end().expect_complaint(3);
        assert_eq!(collect(output).join().unwrap(), b"all there was\n");
    }
    expect_nothing_left(&name);
}

#[test]
fn who_is_interrupted_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let name = random_name();
        let (sender, mut input) = feed_of(send, &name.shm(), &[]);
        input.write_all(b"a\nb\n").unwrap();
        until_waiting(&name.shm(), 2);
        let (receiver, output) = feed_of(recv, &name.shm(), &[]);
        until_all_seated(&name.shm(), "receiver", 1);
        sender.signal(signal);
        sender.end().expect_signal(signal);
        receiver.end().expect_quiet(0);
        assert_eq!(collect(output).join().unwrap(), b"");
        expect_nothing_left(&name);
    }
}

#[test]
fn a_receiver_is_shown_with_its_position_and_lag() {
    let name = random_name();
    let address = name.shm();
    let (receiver, output) = feed_of(recv, &address, &["--capacity", "1024"]);
    until_all_seated(&address, "receiver", 1);
    let (sender, mut input) = feed_of(send, &address, &[]);
    input.write_all(&lines(0..300, 4096)).unwrap();
    until("a write that blocks", || is_full(&output));
    until_waiting(&address, 300);
    let (ended, text) = run(&["inspect", &address, "--json"]);
    ended.expect_quiet(0);
    let seen: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&seen["kind"], &seen["tail"]), (&"broadcast-bytes".into(), &300.into()));
    let [first, second] = &seen["seats"].as_array().unwrap()[..] else { panic!("{seen}") };
    assert_eq!((&first["role"], &first["pid"]), (&"sender".into(), &sender.pid().into()));
    assert_eq!((&first["position"], &first["lag"]), (&Value::Null, &Value::Null));
    assert_eq!((&second["role"], &second["pid"]), (&"receiver".into(), &receiver.pid().into()));
    let position = second["position"].as_u64().expect("told");
    assert!((257 - 32..=257).contains(&position), "{seen}");
    assert_eq!(second["lag"], 300 - position);
    let (_, listed) = run(&["ls", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert!(listed.as_array().unwrap().contains(&seen), "{listed}");
}

#[test]
fn what_does_not_fit_is_refused_with_code_2() {
    let name = random_name();
    let address = name.shm();
    let (receiver, _output) = feed_of(recv, &address, &["--capacity", "16"]);
    until_all_seated(&address, "receiver", 1);
    let other = random_name();
    for call in [
        // Another kind.
        &["recv", &address, "--kind", "mpmc"][..],
        &["send", &address, "--kind", "mpmc"],
        &["recv", &address],
        &["send", &address],
        // Another shape.
        &["send", &address, "--kind", "broadcast", "--lossless"],
        &["send", &address, "--kind", "broadcast", "--capacity", "32"],
        &["send", &address, "--kind", "broadcast", "--max-len", "32"],
        // Options of other kinds, or of no ring.
        &["send", &other.shm(), "--frame", "u32"],
        &["recv", &other.shm(), "--count", "1"],
        &["recv", &other.shm(), "--capacity", "8"],
        &["send", &other.shm(), "--kind", "mpmc", "--lossless"],
        &["recv", &other.shm(), "--kind", "mpmc", "--from", "oldest"],
        &["recv", &other.shm(), "--kind", "broadcast", "--verbose"],
        &["send", &other.shm(), "--kind", "mpmc", "--capacity", "3"],
    ] {
        run(call).0.expect_complaint(2);
    }
    expect_nothing_left(&other);
    receiver.signal(Signal::SIGINT);
    receiver.end().expect_signal(Signal::SIGINT);
    expect_nothing_left(&name);
}
