//! `--kind mpmc`: several senders, several receivers, and each message to one of them.

mod support;

use std::io::{Read, Write};
use std::process::ChildStdout;

use nix::sys::signal::Signal;
use support::{
    Random, Running, collect, expect_nothing_left, feed, is_full, kills, lines, path, random_name,
    recv, run, send, until, until_all_seated, until_waiting,
};

/// `send` or `recv` of a queue.
fn queue<T>(verb: fn(&[&str]) -> T, address: &str, more: &[&str]) -> T {
    verb(&[&[address, "--kind", "mpmc"], more].concat())
}

/// One that is stuck in a write of line 256, of a page each, of which the queue has 300.
fn stuck(address: &str) -> (Running, ChildStdout) {
    let (sender, mut input) = queue(send, address, &[]);
    input.write_all(&lines(0..300, 4096)).unwrap();
    drop(input);
    sender.end().expect_quiet(0);
    let (receiver, output) = queue(recv, address, &[]);
    until("a write that blocks", || is_full(&output));
    // And that the next message is in hand.
    until_waiting(address, 300 - 257);
    (receiver, output)
}

fn sorted(outputs: impl IntoIterator<Item = Vec<u8>>) -> Vec<String> {
    let text = String::from_utf8(outputs.into_iter().flatten().collect()).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn every_line_of_two_senders_goes_to_exactly_one_of_three_receivers() {
    for receivers_first in [false, true] {
        let name = random_name();
        let address = name.shm();
        let shape = ["--capacity", "64", "--max-len", "4096"];
        let receiving = || [0; 3].map(|_| queue(recv, &address, &shape));
        let early = receivers_first.then(receiving);
        let senders = [0; 2].map(|_| queue(send, &address, &shape));
        until_all_seated(&address, "sender", 2);
        let receivers = early.unwrap_or_else(receiving);
        // All are there before the first has ended.
        until_all_seated(&address, "receiver", 3);
        let outputs = receivers.map(|(receiver, output)| (receiver, collect(output)));
        let feeding = senders
            .into_iter()
            .zip([0..2000, 2000..4000])
            .map(|((sender, input), part)| (sender, feed(input, lines(part, 40), Random::new())));
        for (sender, feeding) in feeding.collect::<Vec<_>>() {
            feeding.join().unwrap();
            sender.end().expect_quiet(0);
        }
        let outputs = outputs.map(|(receiver, output)| {
            receiver.end().expect_quiet(0);
            output.join().unwrap()
        });
        let all = String::from_utf8(lines(0..4000, 40)).unwrap();
        assert_eq!(sorted(outputs), all.lines().collect::<Vec<_>>());
        expect_nothing_left(&name);
    }
}

#[test]
fn what_a_killed_receiver_had_not_written_comes_again_to_another() {
    let name = random_name();
    let address = name.shm();
    let (first, output) = stuck(&address);
    first.signal(Signal::SIGKILL);
    first.end();
    let (second, rest) = queue(recv, &address, &["--verbose"]);
    let rest = collect(rest).join().unwrap();
    let ended = second.end();
    ended.expect_code(0);
    assert!(ended.complaint.starts_with("annulus: message 256 comes again"), "{ended:?}");
    assert_eq!(ended.complaint.lines().count(), 1, "{ended:?}");
    assert!(collect(output).join().unwrap() == lines(0..256, 4096));
    // In whatever order: what comes again may come late.
    let late = String::from_utf8(lines(256..300, 4096)).unwrap();
    assert_eq!(sorted([rest]), late.lines().collect::<Vec<_>>());
    expect_nothing_left(&name);
}

#[test]
fn no_line_is_lost_wherever_a_receiver_is_killed() {
    let mut random = Random::new();
    for _ in 0..kills().div_ceil(4) {
        let name = random_name();
        let address = name.shm();
        // Whoever comes first makes it.
        let shape = ["--capacity", "16"];
        let (sender, input) = queue(send, &address, &shape);
        let (victim, mut killed) = queue(recv, &address, &shape);
        let (other, output) = queue(recv, &address, &shape);
        // One that comes when all is over would wait for another sender.
        until_all_seated(&address, "receiver", 2);
        let feeding = feed(input, lines(0..20_000, 40), Random::new());
        let output = collect(output);
        let mut some = vec![0; random.below(100_000) as usize];
        // It may get less.
        let mut read = 0;
        while let Ok(bytes @ 1..) = killed.read(&mut some[read..]) {
            read += bytes;
        }
        some.truncate(read);
        victim.signal(Signal::SIGKILL);
        victim.end();
        some.extend(collect(killed).join().unwrap());
        feeding.join().unwrap();
        sender.end().expect_quiet(0);
        other.end().expect_quiet(0);
        let mut outputs = vec![some, output.join().unwrap()];
        if path(&name).exists() {
            // The other one had ended before; or the killed one was about to remove what was
            // empty: then nobody comes any more.
            let (last, output) = queue(recv, &address, &["--timeout", "5"]);
            let rest = collect(output).join().unwrap();
            match last.end() {
                ended if rest.is_empty() && ended.code == Some(1) => ended.expect_complaint(1),
                ended => ended.expect_quiet(0),
            }
            outputs.push(rest);
        }
        // What the killed one wrote may end within a line.
        let whole = outputs[0].iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        outputs[0].truncate(whole);
        let mut got = sorted(outputs);
        got.dedup();
        let all = String::from_utf8(lines(0..20_000, 40)).unwrap();
        assert!(got == all.lines().collect::<Vec<_>>(), "{} of 20000 lines", got.len());
        expect_nothing_left(&name);
    }
}

#[test]
fn what_could_not_be_written_is_not_received() {
    let name = random_name();
    let address = name.shm();
    let (receiver, output) = queue(recv, &address, &[]);
    drop(output);
    until_all_seated(&address, "receiver", 1);
    let (sender, mut input) = queue(send, &address, &[]);
    input.write_all(b"one\ntwo\n").unwrap();
    drop(input);
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(1);
    let (receiver, output) = queue(recv, &address, &[]);
    assert_eq!(sorted([collect(output).join().unwrap()]), ["one", "two"]);
    receiver.end().expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn messages_of_any_bytes_arrive_whole_and_unchanged() {
    let name = random_name();
    let address = name.shm();
    let mut random = Random::new();
    let mut bytes = Vec::new();
    for len in [0, 1, 4, 1000, 1024, 0, 3, 999] {
        bytes.extend_from_slice(&u32::to_le_bytes(len));
        bytes.extend(random.bytes(len as usize));
    }
    let (receiver, output) = queue(recv, &address, &["--frame", "u32", "--max-len", "1024"]);
    until_all_seated(&address, "receiver", 1);
    let (sender, input) = queue(send, &address, &["--frame", "u32"]);
    feed(input, bytes.clone(), random).join().unwrap();
    sender.end().expect_quiet(0);
    assert!(collect(output).join().unwrap() == bytes);
    receiver.end().expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn a_line_that_is_too_long_is_refused_behind_those_that_were_sent() {
    for (bytes, got) in [
        (&b"1234567\n12345678\nnever\n"[..], "1234567\n"),
        (b"\nno newline comes", "\n"),
        (b"a\n1234567", "a\n1234567\n"),
    ] {
        let name = random_name();
        let (sender, mut input) = queue(send, &name.shm(), &["--max-len", "8"]);
        input.write_all(bytes).unwrap();
        drop(input);
        if got.len() == bytes.len() + 1 {
            sender.end().expect_quiet(0);
        } else {
            let ended = sender.end();
            ended.expect_complaint(1);
            assert!(ended.complaint.contains("--max-len"), "{ended:?}");
        }
        let (receiver, output) = queue(recv, &name.shm(), &[]);
        assert_eq!(String::from_utf8(collect(output).join().unwrap()).unwrap(), got);
        receiver.end().expect_quiet(0);
        expect_nothing_left(&name);
    }
}

#[test]
fn a_receiver_ends_after_so_many_messages_and_leaves_the_rest() {
    let name = random_name();
    let (sender, mut input) = queue(send, &name.shm(), &[]);
    input.write_all(&lines(0..5, 4)).unwrap();
    drop(input);
    sender.end().expect_quiet(0);
    for numbers in [0..2, 2..4] {
        let (receiver, output) = queue(recv, &name.shm(), &["--count", "2"]);
        assert_eq!(collect(output).join().unwrap(), lines(numbers, 4));
        receiver.end().expect_quiet(0);
    }
    let (receiver, output) = queue(recv, &name.shm(), &["--count", "2"]);
    assert_eq!(collect(output).join().unwrap(), lines(4..5, 4));
    receiver.end().expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn one_that_follows_goes_on_from_sender_to_sender() {
    let name = random_name();
    let (receiver, mut output) = queue(recv, &name.shm(), &["--follow"]);
    for number in 0..3 {
        let (sender, mut input) = queue(send, &name.shm(), &[]);
        input.write_all(&lines(number..number + 1, 8)).unwrap();
        drop(input);
        sender.end().expect_quiet(0);
        let mut line = [0; 8];
        output.read_exact(&mut line).unwrap();
        assert_eq!(line.as_slice(), lines(number..number + 1, 8));
    }
    receiver.signal(Signal::SIGTERM);
    receiver.end().expect_signal(Signal::SIGTERM);
    expect_nothing_left(&name);
}

#[test]
fn who_had_gone_before_does_not_end_who_comes() {
    let name = random_name();
    let address = name.shm();
    let (sender, mut input) = queue(send, &address, &["--capacity", "2", "--keep"]);
    input.write_all(b"a\nb\n").unwrap();
    drop(input);
    sender.end().expect_quiet(0);
    let (receiver, output) = queue(recv, &address, &["--count", "1"]);
    receiver.end().expect_quiet(0);
    assert_eq!(collect(output).join().unwrap(), b"a\n");
    // Full again, and its only receiver has ended: the next one is waited for.
    let (sender, mut input) = queue(send, &address, &[]);
    input.write_all(b"c\nd\n").unwrap();
    until_waiting(&address, 2);
    let (receiver, output) = queue(recv, &address, &["--count", "3"]);
    receiver.end().expect_quiet(0);
    assert_eq!(collect(output).join().unwrap(), b"b\nc\nd\n");
    drop(input);
    sender.end().expect_quiet(0);
    // Empty, and its senders have ended: another one is waited for. It was to be kept.
    let (receiver, output) = queue(recv, &address, &["--timeout", "0.05"]);
    receiver.end().expect_complaint(1);
    assert_eq!(collect(output).join().unwrap(), b"");
    assert!(path(&name).exists());
}

#[test]
fn a_killed_sender_ends_its_receiver_with_code_3_after_all_it_sent() {
    let name = random_name();
    let (sender, mut input) = queue(send, &name.shm(), &[]);
    input.write_all(b"a\nb\nhalf").unwrap();
    until_waiting(&name.shm(), 2);
    let (receiver, mut output) = queue(recv, &name.shm(), &[]);
    let mut got = [0; 4];
    output.read_exact(&mut got).unwrap();
    sender.signal(Signal::SIGKILL);
    sender.end();
    receiver.end().expect_complaint(3);
    assert_eq!(collect(output).join().unwrap(), b"");
    assert_eq!(&got, b"a\nb\n");
    expect_nothing_left(&name);
}

#[test]
fn a_sender_ends_when_the_queue_is_full_and_its_receivers_have_gone() {
    for killed in [false, true] {
        let name = random_name();
        let address = name.shm();
        let (receiver, output) = queue(recv, &address, &["--capacity", "2"]);
        until_all_seated(&address, "receiver", 1);
        let (sender, mut input) = queue(send, &address, &[]);
        until_all_seated(&address, "sender", 1);
        if killed {
            receiver.signal(Signal::SIGKILL);
            receiver.end();
        } else {
            receiver.signal(Signal::SIGINT);
            receiver.end().expect_signal(Signal::SIGINT);
        }
        drop(output);
        input.write_all(b"a\nb\nc\n").unwrap();
        if killed {
            sender.end().expect_complaint(3);
        } else {
            sender.end().expect_quiet(1);
        }
        let (receiver, output) = queue(recv, &address, &[]);
        assert_eq!(collect(output).join().unwrap(), b"a\nb\n");
        receiver.end().expect_quiet(0);
        expect_nothing_left(&name);
    }
}

#[test]
fn who_is_interrupted_leaves_nothing_but_work() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let name = random_name();
        let address = name.shm();
        let (receiver, _output) = queue(recv, &address, &[]);
        until_all_seated(&address, "receiver", 1);
        receiver.signal(signal);
        receiver.end().expect_signal(signal);
        expect_nothing_left(&name);

        let (sender, mut input) = queue(send, &address, &[]);
        input.write_all(b"a\nb\nc\n").unwrap();
        until_waiting(&address, 3);
        sender.signal(signal);
        let ended = sender.end();
        assert_eq!(ended.signal, Some(signal as i32));
        let said = format!("annulus: 3 messages are left in {address}; ");
        assert!(ended.complaint.starts_with(&said), "{ended:?}");
        assert_eq!(ended.complaint.lines().count(), 1, "{ended:?}");
        run(&["rm", &address]).0.expect_quiet(0);
        expect_nothing_left(&name);
    }
}

#[test]
fn one_stuck_in_a_full_pipe_is_interrupted_and_its_message_comes_again() {
    let name = random_name();
    let address = name.shm();
    let (receiver, output) = stuck(&address);
    receiver.signal(Signal::SIGINT);
    let ended = receiver.end();
    assert_eq!(ended.signal, Some(Signal::SIGINT as i32));
    assert!(ended.complaint.starts_with("annulus: 44 messages are left in "), "{ended:?}");
    drop(output);
    let (receiver, output) = queue(recv, &address, &[]);
    let late = String::from_utf8(lines(256..300, 4096)).unwrap();
    assert_eq!(sorted([collect(output).join().unwrap()]), late.lines().collect::<Vec<_>>());
    receiver.end().expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn a_message_in_hand_is_shown_as_claimed() {
    let name = random_name();
    let (receiver, _output) = stuck(&name.shm());
    let (ended, text) = run(&["inspect", &name.shm(), "--json"]);
    ended.expect_quiet(0);
    let seen: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&seen["kind"], &seen["unit"]), (&"mpmc-bytes".into(), &"messages".into()));
    assert_eq!((&seen["head"], &seen["tail"]), (&257.into(), &300.into()));
    let seats = seen["seats"].as_array().unwrap();
    assert_eq!(seats.len(), 1, "the sender has ended: {seats:?}");
    let seat = &seats[0];
    assert_eq!((&seat["seat"], &seat["role"]), (&64.into(), &"receiver".into()));
    assert_eq!((&seat["pid"], &seat["held"]), (&receiver.pid().into(), &true.into()));
    assert_eq!(seat["claim"], serde_json::json!({ "start": 256, "count": 1 }));
    assert_eq!((&seat["position"], &seat["lag"]), (&().into(), &().into()));

    let (_, all) = run(&["inspect", &name.shm(), "--json", "--all"]);
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["seats"].as_array().unwrap().len(), 128);
    let (_, text) = run(&["inspect", &name.shm()]);
    for part in ["1 of 128", "1 from 256", &format!("process {}", receiver.pid())] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (_, listed) = run(&["ls"]);
    let line = listed.lines().find(|line| line.contains(&name.shm())).expect("listed");
    assert!(line.contains("mpmc-bytes") && line.contains("nobody"), "{line}");
}
