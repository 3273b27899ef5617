//! How far a transfer is, is shown on a terminal, if it lasts, and nowhere else.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use support::{
    annulus, collect, expect_nothing_left, random_name, record_skip, recv, terminal, try_start,
    until_seated,
};

/// Runs `send` with a terminal for its standard error, fed with these pieces, one after each
/// pause: what the terminal got.
fn send_at_terminal((mut near, far): (File, OwnedFd), pieces: usize, pause: Duration) -> String {
    let name = random_name();
    let shown = thread::spawn(move || {
        let mut shown = Vec::new();
        // At the end of the other side this is an error, or the end.
        let _ = near.read_to_end(&mut shown);
        String::from_utf8(shown).unwrap()
    });
    let mut command: Command = annulus(&["send", &name.shm()]);
    command.env("TERM", "xterm").stdin(Stdio::piped()).stderr(far);
    let mut sender = try_start(command).unwrap();
    let (receiver, output) = recv(&[&name.shm()]);
    let mut input = sender.input();
    // The time that it takes to start is none of its transfer's.
    until_seated(&name.shm(), 0);
    for _ in 0..pieces {
        input.write_all(&[7; 1000]).unwrap();
        thread::sleep(pause);
    }
    drop(input);
    assert_eq!(collect(output).join().unwrap().len(), 1000 * pieces);
    receiver.end().expect_quiet(0);
    sender.end().expect_quiet(0);
    expect_nothing_left(&name);
    shown.join().unwrap()
}

#[test]
fn a_transfer_that_lasts_is_shown_and_then_wiped_away() {
    let ends = match terminal() {
        Ok(ends) => ends,
        Err(error) => {
            let name = "progress::a_transfer_that_lasts_is_shown_and_then_wiped_away";
            return record_skip(name, &format!("no terminal: {error}"));
        }
    };
    let shown = send_at_terminal(ends, 30, Duration::from_millis(60));
    assert!(shown.contains(" kB, ") && shown.contains("/s"), "{shown:?}");
    // The line is empty in the end.
    assert!(shown.ends_with("\r\u{1b}[2K"), "{shown:?}");
}

#[test]
fn a_transfer_that_is_over_at_once_shows_nothing() {
    let ends = match terminal() {
        Ok(ends) => ends,
        Err(error) => {
            let name = "progress::a_transfer_that_is_over_at_once_shows_nothing";
            return record_skip(name, &format!("no terminal: {error}"));
        }
    };
    assert_eq!(send_at_terminal(ends, 1, Duration::ZERO), "");
}
