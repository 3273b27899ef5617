//! Names that a stream left: replaced if nobody uses them, kept if they are to be kept.

mod support;

use std::io::Write;

use annulus::Observer;
use annulus::stream::Ring;
use nix::sys::signal::Signal;
use support::{
    Running, collect, expect_nothing_left, path, random_name, recv, run, send, until_seated,
};

/// A send and a receive at an address, to the end.
fn transfer(address: &str, more: &[&str]) {
    let all = |verb: fn(&[&str]) -> _| verb(&[&[address], more].concat());
    let (sender, mut input): (Running, _) = all(send);
    let (receiver, output) = recv(&[&[address], more].concat());
    input.write_all(b"once more").unwrap();
    drop(input);
    assert_eq!(collect(output).join().unwrap(), b"once more");
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
}

#[test]
fn a_left_over_of_a_killed_sender_is_replaced() {
    let name = random_name();
    let (sender, mut input) = send(&[&name.shm()]);
    input.write_all(b"lost").unwrap();
    support::until_waiting(&name.shm(), 4);
    sender.signal(Signal::SIGKILL);
    sender.end();
    assert!(path(&name).exists());
    let (sender, input) = send(&[&name.shm()]);
    until_seated(&name.shm(), 0);
    let (receiver, output) = recv(&[&name.shm()]);
    drop(input);
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
    assert_eq!(collect(output).join().unwrap(), b"");
    expect_nothing_left(&name);
}

#[test]
fn a_left_over_of_both_killed_is_passed_over_by_a_receiver() {
    let name = random_name();
    let (sender, _input) = send(&[&name.shm()]);
    let (receiver, _output) = recv(&[&name.shm()]);
    until_seated(&name.shm(), 1);
    // Stopped, neither can remove the name when the other is gone.
    for side in [&sender, &receiver] {
        side.signal(Signal::SIGSTOP);
    }
    for side in [sender, receiver] {
        side.signal(Signal::SIGKILL);
        side.end();
    }
    assert!(path(&name).exists());
    let (receiver, output) = recv(&[&name.shm()]);
    support::until("the left-over's removal", || !path(&name).exists());
    let (sender, mut input) = send(&[&name.shm()]);
    input.write_all(b"fresh").unwrap();
    drop(input);
    assert_eq!(collect(output).join().unwrap(), b"fresh");
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn one_that_nobody_ever_sent_into_is_replaced_while_a_receiver_waits() {
    let name = random_name();
    drop(Ring::options().capacity(64).create_new(&name.shm()).unwrap());
    let before = Observer::open(&name.shm()).unwrap().creation_id();
    let (receiver, output) = recv(&[&name.shm()]);
    let (sender, mut input) = send(&[&name.shm()]);
    until_seated(&name.shm(), 1);
    assert_ne!(Observer::open(&name.shm()).unwrap().creation_id(), before);
    input.write_all(b"new").unwrap();
    drop(input);
    assert_eq!(collect(output).join().unwrap(), b"new");
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn one_that_a_program_has_open_is_in_use_even_if_nobody_is_seated() {
    let name = random_name();
    let ring = Ring::options().capacity(64).create_new(&name.shm()).unwrap();
    let (ended, _) = run(&["send", &name.shm()]);
    ended.expect_complaint(1);
    drop(ring);
    transfer(&name.shm(), &[]);
    expect_nothing_left(&name);
}

#[test]
fn the_second_of_two_senders_is_refused_and_the_first_goes_on() {
    let name = random_name();
    let (first, mut input) = send(&[&name.shm()]);
    until_seated(&name.shm(), 0);
    let (second, _) = run(&["send", &name.shm()]);
    second.expect_complaint(1);
    assert!(second.complaint.contains(&format!("process {}", first.pid())), "{second:?}");
    input.write_all(b"first").unwrap();
    let (receiver, output) = recv(&[&name.shm()]);
    drop(input);
    first.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
    assert_eq!(collect(output).join().unwrap(), b"first");
    expect_nothing_left(&name);
}

#[test]
fn of_two_senders_at_once_one_sends_and_one_is_refused() {
    for _ in 0..10 {
        let name = random_name();
        let (one, one_input) = send(&[&name.shm()]);
        let (other, other_input) = send(&[&name.shm()]);
        let mut pair = [one, other];
        support::until("the refusal of one", || pair.iter_mut().any(|sender| !sender.lives()));
        let loser = usize::from(pair[0].lives());
        let [one, other] = pair;
        let (loser, winner) = if loser == 0 { (one, other) } else { (other, one) };
        loser.end().expect_complaint(1);
        let (receiver, _output) = recv(&[&name.shm()]);
        drop((one_input, other_input));
        winner.end().expect_quiet(0);
        receiver.end().expect_quiet(0);
        expect_nothing_left(&name);
    }
}

#[test]
fn the_second_of_two_receivers_is_refused_and_the_first_goes_on() {
    let name = random_name();
    let (sender, input) = send(&[&name.shm()]);
    let (first, output) = recv(&[&name.shm()]);
    until_seated(&name.shm(), 1);
    let (second, _) = run(&["recv", &name.shm()]);
    second.expect_complaint(1);
    assert!(second.complaint.contains(&format!("process {}", first.pid())), "{second:?}");
    drop(input);
    sender.end().expect_quiet(0);
    first.end().expect_quiet(0);
    drop(output);
    expect_nothing_left(&name);
}

/// Both refuse a stream that was kept, until it is removed.
fn refused_until_removed(name: &support::TestName) {
    let address = name.shm();
    for call in [&["send", &address][..], &["recv", &address], &["send", &address, "--keep"]] {
        let (ended, _) = run(call);
        ended.expect_complaint(2);
        assert!(ended.complaint.contains(&format!("annulus rm {address}")), "{ended:?}");
    }
    run(&["rm", &address]).0.expect_quiet(0);
    transfer(&address, &[]);
    expect_nothing_left(name);
}

#[test]
fn a_kept_stream_stays_and_is_refused_until_it_is_removed() {
    let name = random_name();
    transfer(&name.shm(), &["--keep"]);
    refused_until_removed(&name);
}

#[test]
fn a_stream_that_the_sender_alone_keeps_stays_too() {
    let name = random_name();
    let (sender, input) = send(&[&name.shm(), "--keep"]);
    let (receiver, _output) = recv(&[&name.shm()]);
    drop(input);
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
    refused_until_removed(&name);
}

#[test]
fn a_kept_stream_stays_when_its_sender_is_interrupted() {
    let name = random_name();
    let (sender, mut input) = send(&[&name.shm(), "--keep"]);
    input.write_all(b"kept").unwrap();
    support::until_waiting(&name.shm(), 4);
    sender.signal(Signal::SIGINT);
    sender.end().expect_signal(Signal::SIGINT);
    run(&["send", &name.shm()]).0.expect_complaint(2);
    let (receiver, output) = recv(&[&name.shm()]);
    receiver.end().expect_complaint(3);
    assert_eq!(collect(output).join().unwrap(), b"kept");
    refused_until_removed(&name);
}

#[test]
fn a_sender_that_would_keep_replaces_no_left_over() {
    let name = random_name();
    drop(Ring::options().capacity(64).create_new(&name.shm()).unwrap());
    let (ended, _) = run(&["send", &name.shm(), "--keep"]);
    ended.expect_complaint(2);
    run(&["rm", &name.shm()]).0.expect_quiet(0);
    transfer(&name.shm(), &["--keep"]);
}

#[test]
fn a_stream_of_a_program_is_received_whatever_its_tag() {
    let name = random_name();
    let ring = Ring::options().capacity(64).type_tag(0xfeed).create_new(&name.shm()).unwrap();
    let mut sender = ring.sender().unwrap();
    sender.write_all(b"by a program").unwrap();
    sender.finish().unwrap();
    drop(ring);
    let (receiver, output) = recv(&[&name.shm()]);
    receiver.end().expect_quiet(0);
    assert_eq!(collect(output).join().unwrap(), b"by a program");
    expect_nothing_left(&name);
}

#[test]
fn a_full_shared_memory_is_an_error_that_says_so() {
    let mut command = support::annulus(&["send", "shm:annulus-test-full"]);
    support::enter_private_shm(&mut command, 256 << 10);
    command.stderr(std::process::Stdio::piped());
    match support::try_start(command) {
        Err(error) if support::PrivateShm::is_unavailable(&error) => {
            let name = "leftovers::a_full_shared_memory_is_an_error_that_says_so";
            support::record_skip(name, &format!("no private mount of a tmpfs: {error}"));
        }
        Err(error) => panic!("{error}"),
        Ok(running) => {
            let ended = running.end();
            ended.expect_complaint(1);
            assert!(ended.complaint.contains("smaller --capacity"), "{ended:?}");
        }
    }
}
