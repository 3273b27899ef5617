//! A command ended by SIGINT, SIGTERM or SIGHUP tells the other side, leaves nothing
//! behind, and dies by that very signal.

mod support;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use support::{
    Random, collect, expect_nothing_left, is_full, random_name, recv, send, start, until,
    until_it_watches, until_seated, until_waiting,
};

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

#[test]
fn an_interrupted_sender_has_all_delivered_that_it_took() {
    for signal in SIGNALS {
        let name = random_name();
        let (sender, mut input) = send(&[&name.shm()]);
        let bytes = Random::new().bytes(50_000);
        input.write_all(&bytes).unwrap();
        until_waiting(&name.shm(), 50_000);
        let (receiver, output) = recv(&[&name.shm()]);
        until_seated(&name.shm(), 1);
        sender.signal(signal);
        sender.end().expect_signal(signal);
        receiver.end().expect_complaint(3);
        assert!(collect(output).join().unwrap() == bytes);
        expect_nothing_left(&name);
    }
}

#[test]
fn a_sender_is_interrupted_wherever_it_waits() {
    for signal in SIGNALS {
        // Nothing to read; a full ring; a receiver, for the last bytes, or for none.
        for (bytes, ends) in [(0, false), (4096, false), (1000, true), (0, true)] {
            let name = random_name();
            let (sender, mut input) = send(&[&name.shm(), "--capacity", "4096"]);
            input.write_all(&vec![1; bytes + usize::from(bytes == 4096)]).unwrap();
            until_seated(&name.shm(), 0);
            until_waiting(&name.shm(), bytes as u64);
            let input = (!ends).then_some(input);
            sender.signal(signal);
            sender.end().expect_signal(signal);
            drop(input);
            expect_nothing_left(&name);
        }
    }
}

#[test]
fn an_interrupted_receiver_ends_the_sender_with_code_3() {
    for signal in SIGNALS {
        let name = random_name();
        let (sender, mut input) = send(&[&name.shm()]);
        input.write_all(b"some of it").unwrap();
        let (receiver, _output) = recv(&[&name.shm()]);
        until_seated(&name.shm(), 1);
        receiver.signal(signal);
        receiver.end().expect_signal(signal);
        sender.end().expect_complaint(3);
        expect_nothing_left(&name);
    }
}

#[test]
fn a_receiver_that_waits_for_the_name_is_interrupted_at_once() {
    for signal in SIGNALS {
        let name = random_name();
        let (receiver, _output) = recv(&[&name.shm()]);
        until_it_watches(&receiver);
        receiver.signal(signal);
        receiver.end().expect_signal(signal);
        expect_nothing_left(&name);
    }
}

#[test]
fn a_receiver_stuck_in_a_full_pipe_is_interrupted_and_leaves_nothing() {
    for signal in SIGNALS {
        let name = random_name();
        let (sender, mut input) = send(&[&name.shm(), "--capacity", "4194304"]);
        // Nobody reads this.
        let (receiver, output) = recv(&[&name.shm()]);
        input.write_all(&vec![1; 3_000_000]).unwrap();
        drop(input);
        until("a write that blocks", || is_full(&output));
        receiver.signal(signal);
        receiver.end().expect_signal(signal);
        sender.end().expect_complaint(3);
        drop(output);
        expect_nothing_left(&name);
    }
}

#[test]
fn an_ignored_hang_up_stays_ignored() {
    let name = random_name();
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" HUP; exec "$0" send "$1""#]);
    command.args([env!("CARGO_BIN_EXE_annulus"), &name.shm()]).arg0("sh");
    command.stdin(Stdio::piped());
    let mut sender = start(command);
    let mut input = sender.input();
    until_seated(&name.shm(), 0);
    sender.signal(Signal::SIGHUP);
    input.write_all(b"still here").unwrap();
    let (receiver, output) = recv(&[&name.shm()]);
    drop(input);
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
    assert_eq!(collect(output).join().unwrap(), b"still here");
    expect_nothing_left(&name);
}
