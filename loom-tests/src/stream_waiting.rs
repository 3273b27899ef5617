//! Models of a stream's endpoints that sleep, as [`waiting`](crate::waiting) of the spsc
//! ring's. A lost wake-up is a deadlock, which loom reports.

use annulus::Trusted;
use annulus::hooks::{Payload, set_payload, weaken};
use annulus::stream::{self, Receiver, Ring, Sender};
use annulus::{RecvError, SendError};
use loom::thread;

use crate::spec::Role;
use crate::waiting::attentive_unless;

/// What is sent in two steps.
pub const BOTH: [u8; 16] = *b"abcdefghABCDEFGH";

/// Both endpoints of a stream of 8 bytes.
fn channel(payload: Payload) -> (Sender<Trusted>, Receiver<Trusted>) {
    set_payload(payload);
    weaken(None);
    stream::channel(8).expect("a ring")
}

/// Fills the ring, waiting until it is empty.
fn fill(sender: &mut Sender<Trusted>, bytes: &[u8; 8]) -> Result<(), SendError<()>> {
    let mut reserved = sender.reserve(8)?;
    assert_eq!(reserved.append(bytes), 8);
    assert_eq!(reserved.commit(), 8);
    Ok(())
}

/// Receives until there is no more, and gives all of it and why it ended.
fn receive_all(receiver: &mut Receiver<Trusted>) -> (Vec<u8>, RecvError) {
    let mut received = Vec::new();
    loop {
        match receiver.recv_ref() {
            Ok(guard) => {
                let begin = received.len();
                received.resize(begin + guard.len(), 0);
                guard.read_at(0, &mut received[begin..]);
            }
            Err(error) => return (received, error),
        }
    }
}

/// Fills a ring of 8 bytes twice and ends the stream in some way, both sides sleeping when
/// they must; gives what was received and how it ended. One who is `inattentive` does not
/// look for sleepers: a bug.
///
/// # Panics
/// If the sender is told of anything else.
pub fn sixteen_bytes(
    payload: Payload,
    end: fn(Sender<Trusted>),
    inattentive: Option<Role>,
) -> (Vec<u8>, RecvError) {
    let (mut sender, mut receiver) = channel(payload);
    let sending = thread::spawn(move || {
        attentive_unless(inattentive == Some(Role::Sender), || {
            for bytes in BOTH.as_chunks().0 {
                fill(&mut sender, bytes).expect("the receiver stays");
            }
            end(sender);
        });
    });
    let received =
        attentive_unless(inattentive == Some(Role::Receiver), || receive_all(&mut receiver));
    sending.join().expect("it would have failed");
    received
}

/// Says the end of a stream.
///
/// # Panics
/// If the receiver has gone, which it has not in these models.
pub fn finish(sender: Sender<Trusted>) {
    sender.finish().expect("the receiver stays");
}

/// As `send` and `recv` do it: bytes by the piece, as many as there is room for.
///
/// # Panics
/// If either side is told of anything but the end.
pub fn some_bytes_by_the_piece(payload: Payload) -> Vec<u8> {
    let (mut sender, mut receiver) = channel(payload);
    let sending = thread::spawn(move || {
        let mut rest: &[u8] = b"abcdefghij";
        while !rest.is_empty() {
            let sent = sender.send(rest).expect("the receiver stays");
            rest = &rest[sent..];
        }
    });
    let mut received = Vec::new();
    let mut out = [0; 5];
    loop {
        match receiver.recv(&mut out) {
            Ok(count) => received.extend(&out[..count]),
            Err(RecvError::Closed) => break,
            Err(error) => panic!("receiving: {error}"),
        }
    }
    sending.join().expect("it would have failed");
    received
}

/// A sender waits for room that never comes: the receiver goes.
///
/// # Panics
/// If the first bytes do not fit.
pub fn no_room_any_more(payload: Payload, go: fn(Receiver<Trusted>)) -> Result<(), SendError<()>> {
    let (mut sender, receiver) = channel(payload);
    fill(&mut sender, b"abcdefgh").expect("there is room");
    let going = thread::spawn(move || go(receiver));
    let told = fill(&mut sender, b"ABCDEFGH");
    going.join().expect("it would have failed");
    told
}

/// A sender waits until all was received, by one who does something and goes.
///
/// # Panics
/// If the bytes do not fit.
pub fn until_received(payload: Payload, go: fn(Receiver<Trusted>)) -> Result<(), SendError<()>> {
    let (mut sender, receiver) = channel(payload);
    fill(&mut sender, b"abcdefgh").expect("there is room");
    let going = thread::spawn(move || go(receiver));
    let told = sender.wait_until_received(None);
    going.join().expect("it would have failed");
    told
}

/// Takes what there is.
///
/// # Panics
/// If that is nothing.
pub fn take(mut receiver: Receiver<Trusted>) {
    assert_eq!(receiver.recv_ref().expect("it was sent before").len(), 8);
}

/// Each comes and waits until the other has come.
///
/// # Panics
/// If it is told of anything else.
pub fn both_come(payload: Payload) {
    set_payload(payload);
    weaken(None);
    let ring: Ring = Ring::options().capacity(8).create_heap().expect("a ring").into();
    let other = ring.clone();
    let coming = thread::spawn(move || {
        let mut sender = other.sender().expect("the first");
        sender.wait_for_peer(None).expect("he comes");
        sender
    });
    let mut receiver = ring.receiver().expect("the first");
    receiver.wait_for_peer(None).expect("he comes");
    drop(coming.join().expect("it would have failed"));
}
