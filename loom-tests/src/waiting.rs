//! Models of endpoints that sleep: the ring and its events together.

use annulus::hooks::{Payload, set_payload, weaken};
use annulus::{RecvError, spsc};
use loom::thread;

/// Sends `count` messages through `capacity` slots, both sides sleeping when they must, and
/// gives what was received before Closed.
///
/// # Panics
/// If a side is told of anything else. A lost wake-up is a deadlock, which loom reports.
pub fn a_stream(payload: Payload, capacity: u64, count: u64) -> Vec<u64> {
    set_payload(payload);
    weaken(None);
    let (mut sender, mut receiver) = spsc::channel::<u64>(capacity).expect("a ring");
    let sending = thread::spawn(move || {
        for message in 1..=count {
            sender.send(message).expect("the receiver stays");
        }
    });
    let mut received = Vec::new();
    loop {
        match receiver.recv() {
            Ok(message) => received.push(message),
            Err(RecvError::Closed) => break,
            Err(error) => panic!("receiving: {error}"),
        }
    }
    sending.join().expect("it would have failed");
    received
}
