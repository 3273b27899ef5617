//! Models of endpoints that sleep: the ring and its events together.

use std::collections::BTreeSet;

use annulus::RecvError;
use annulus::hooks::{Payload, kill_before, lie, set_payload, weaken};
use annulus::spsc::{self, Ring};
use loom::thread;

use crate::model::attach;
use crate::spec::Role;

/// Sends `count` messages through `capacity` slots, both sides sleeping when they must, and
/// gives what was received before Closed. One who is `inattentive` does not look for
/// sleepers: a bug.
///
/// # Panics
/// If a side is told of anything else. A lost wake-up is a deadlock, which loom reports.
pub fn a_stream(
    payload: Payload,
    capacity: u64,
    count: u64,
    inattentive: Option<Role>,
) -> Vec<u64> {
    set_payload(payload);
    weaken(None);
    let (mut sender, mut receiver) = spsc::channel::<u64>(capacity).expect("a ring");
    let sending = thread::spawn(move || {
        attentive_unless(inattentive == Some(Role::Sender), || {
            for message in 1..=count {
                sender.send(message).expect("the receiver stays");
            }
            drop(sender);
        });
    });
    let received = attentive_unless(inattentive == Some(Role::Receiver), || {
        receive_until_closed(|| receiver.recv())
    });
    sending.join().expect("it would have failed");
    received
}

/// Calls it, with the flag of every event seen as not set if that is asked for.
pub(crate) fn attentive_unless<R>(inattentive: bool, call: impl FnOnce() -> R) -> R {
    if !inattentive {
        return call();
    }
    let liar = |edge: &str, value| if edge == "relaxed::FENCED" { 0 } else { value };
    lie(Box::new(liar), call)
}

fn receive_until_closed(mut recv: impl FnMut() -> Result<u64, RecvError>) -> Vec<u64> {
    let mut received = Vec::new();
    loop {
        match recv() {
            Ok(message) => received.push(message),
            Err(RecvError::Closed) => return received,
            Err(error) => panic!("receiving: {error}"),
        }
    }
}

/// One waits for a message that never comes; another ends the waiting.
///
/// # Panics
/// If the wait ends in another way. A cancellation that is missed is a deadlock.
pub fn a_cancellation(payload: Payload) {
    set_payload(payload);
    weaken(None);
    let (sender, mut receiver) = spsc::channel::<u64>(1).expect("a ring");
    let cancel = receiver.cancel_handle();
    let cancelling = thread::spawn(move || cancel.cancel());
    assert_eq!(receiver.recv(), Err(RecvError::Cancelled));
    cancelling.join().expect("it would have failed");
    drop(sender);
}

/// Whether somebody was killed, and what the two received who received, one after the
/// other. A dead one's message is not among it.
pub type Received = (bool, Vec<u64>);

/// A sender who has room for one of two messages; a receiver who is killed before his
/// access number `kill`, if he comes to it; and a successor, who receives until Closed.
///
/// # Panics
/// If anybody is told of anything else. If the successor does not wake the sender, whom
/// the dead should have woken, that is a deadlock.
pub fn a_sender_sleeps_and_a_receiver_dies(payload: Payload, kill: u64) -> Received {
    set_payload(payload);
    weaken(None);
    let ring = Ring::<u64>::options().capacity(1).create_heap().expect("a ring");
    let mut sender = ring.sender().expect("the first");
    let mut first = ring.receiver().expect("the first");
    let sending = thread::spawn(move || {
        for message in [1, 2] {
            sender.send(message).expect("somebody receives");
        }
    });
    let succeeding = thread::spawn(move || {
        let mut receiver = attach(|| ring.receiver());
        receive_until_closed(|| receiver.recv())
    });
    let got = kill_before(kill, move || first.recv().expect("it is sent"));
    sending.join().expect("it would have failed");
    let rest = succeeding.join().expect("it would have failed");
    (got.is_none(), got.into_iter().chain(rest).collect())
}

/// What they may receive: if the first one dies, he did not receive, or nobody knows.
pub fn received_by_two() -> BTreeSet<Received> {
    BTreeSet::from([(true, vec![1, 2]), (true, vec![2]), (false, vec![1, 2])])
}

/// A receiver who waits for one message; a sender who is killed before his access number
/// `kill`, if he comes to it; and a successor, who sends it if it has not been sent, and
/// stays until it has been received.
///
/// # Panics
/// As [`a_sender_sleeps_and_a_receiver_dies`], the other way round.
pub fn a_receiver_sleeps_and_a_sender_dies(payload: Payload, kill: u64) -> Received {
    set_payload(payload);
    weaken(None);
    let ring = Ring::<u64>::options().capacity(2).create_heap().expect("a ring");
    let mut first = ring.sender().expect("the first");
    let mut receiver = ring.receiver().expect("the first");
    let receiving = thread::spawn(move || receiver.recv().expect("somebody sends"));
    let sending = thread::spawn(move || {
        kill_before(kill, move || first.try_send(1).expect("there is room")).is_none()
    });
    let mut second = attach(|| ring.sender());
    if second.position() == 0 {
        second.try_send(1).expect("there is room");
    }
    let received = receiving.join().expect("it would have failed");
    (sending.join().expect("it would have failed"), vec![received])
}

/// What may be received: the message, whoever sent it.
pub fn received_from_two() -> BTreeSet<Received> {
    BTreeSet::from([(true, vec![1]), (false, vec![1])])
}
