//! Models of the ring of frames: a buffer that goes by its handle, comes back, and is waited
//! for; and one whose receiver dies.
//!
//! ```text
//!   sender ── take ── write ── send ──▶ handle ──▶ receive ── read ── drop ──▶ free ── take ..
//! ```
//!
//! A frame is two words that tell its number, so whoever gets one knows whether it is whole.
//! The ring of handles is modelled in `mpmc`; here it is what it is, and the buffers' words
//! are what is looked at.

use std::collections::BTreeSet;

use annulus::frames::{Frame, Receiver, Ring, Sender};
use annulus::hooks::{Payload, kill_before, set_payload, weaken};
use annulus::{Error, TryRecvError, TrySendError};
use loom::thread;

use crate::waiting::attentive_unless;

/// Endpoints of rings on the heap, which are trusted.
type Tx = Sender<annulus::Trusted>;
type Rx = Receiver<annulus::Trusted>;

/// A ring of one buffer, which is used again and again.
fn ring(seats: u64) -> Ring<annulus::Trusted> {
    let options = Ring::options().capacity(1).max_len(16).seats(seats);
    options.create_heap().expect("a ring")
}

/// The same, in which nobody sleeps, without the notifier's fence: as in `Model`.
fn wakeful(payload: Payload, seats: u64) -> Ring<annulus::Trusted> {
    set_payload(payload);
    weaken(Some("wake::NOTIFIER"));
    ring(seats)
}

fn write(frame: &mut Frame<annulus::Trusted>, number: u64) {
    let bytes = [number, !number].map(u64::to_le_bytes).concat();
    assert_eq!(frame.append(&bytes), 16);
}

/// Takes a buffer, if one is free, writes, and sends; whether it was.
fn send(sender: &mut Tx, number: u64) -> bool {
    let mut frame = match sender.try_take() {
        Ok(frame) => frame,
        Err(TrySendError::Full(())) => return false,
        Err(error) => panic!("taking: {error}"),
    };
    write(&mut frame, number);
    frame.send().expect("the receiver stays");
    true
}

/// Receives a frame, if there is one, and gives its buffer back: its number, and whether it
/// came again.
fn receive(receiver: &mut Rx) -> Option<(u64, bool)> {
    match receiver.try_recv() {
        Ok(frame) => {
            let mut bytes = [0; 16];
            assert_eq!(frame.read_at(0, &mut bytes), 16);
            let number = u64::from_le_bytes(bytes[..8].try_into().expect("eight"));
            let other = u64::from_le_bytes(bytes[8..].try_into().expect("eight"));
            assert_eq!(other, !number, "torn or stale");
            Some((number, frame.redelivered()))
        }
        Err(TryRecvError::Empty | TryRecvError::Stalled) => None,
        Err(error) => panic!("receiving: {error}"),
    }
}

/// What a receiver saw at each of its looks.
pub type Saw = Vec<Option<u64>>;

fn number(got: Option<(u64, bool)>) -> Option<u64> {
    got.map(|(number, again)| {
        assert!(!again, "nobody has died");
        number
    })
}

/// Guards PUBLISH and RETIRE of a buffer: frame 1 is sent, read and given back, and frame 2
/// is written over it. Whether frame 2 found the buffer, and what was received.
///
/// # Panics
/// If a frame is torn, or written while it is read.
pub fn a_buffer_goes_and_comes_back(payload: Payload) -> (bool, Saw) {
    let ring = wakeful(payload, 1);
    let mut sender = ring.sender().expect("the first");
    let mut receiver = ring.receiver().expect("the first");
    let sending = thread::spawn(move || {
        assert!(send(&mut sender, 1), "it is free");
        (send(&mut sender, 2), sender)
    });
    let saw = vec![number(receive(&mut receiver)), number(receive(&mut receiver))];
    let (second, sender) = sending.join().expect("it would have failed");
    drop(sender);
    (second, saw)
}

/// What the specification permits: frame 2 is sent only if 1 was given back, and each comes
/// once, in order.
pub fn gone_and_come_back() -> BTreeSet<(bool, Saw)> {
    let saws = |sent| -> &[[Option<u64>; 2]] {
        match sent {
            false => &[[None, None], [None, Some(1)], [Some(1), None]],
            true => &[[None, Some(1)], [Some(1), None], [Some(1), Some(2)]],
        }
    };
    let each = |sent| saws(sent).iter().map(move |saw| (sent, saw.to_vec()));
    each(false).chain(each(true)).collect()
}

/// Guards RETIRE and CLAIM between two senders: one takes the buffer, writes, and gives it
/// back unsent; the other takes it if it is free. Whether it was, and what was received.
///
/// # Panics
/// If both have it at a time, or a frame is torn.
pub fn a_buffer_given_up_is_taken_by_another(payload: Payload) -> (bool, Saw) {
    let ring = wakeful(payload, 2);
    let [mut one, mut other] = [(); 2].map(|()| ring.sender().expect("there are two seats"));
    let mut receiver = ring.receiver().expect("there are two seats");
    let giving_up = thread::spawn(move || {
        if let Ok(mut frame) = one.try_take() {
            write(&mut frame, 1);
        }
        one
    });
    let sent = send(&mut other, 2);
    let stays = giving_up.join().expect("it would have failed");
    let saw = vec![number(receive(&mut receiver))];
    drop((stays, other));
    (sent, saw)
}

/// What is permitted: what was sent is there.
pub fn given_up_or_sent() -> BTreeSet<(bool, Saw)> {
    [(false, vec![None]), (true, vec![Some(2)])].into()
}

/// Guards the estate of a receiver that dies before its access number `kill`, having received
/// or not, and maybe given back: its successor gets the frame marked, or not at all. Whether
/// it was killed, what it gave back, and what its successor got.
///
/// # Panics
/// If a frame comes unmarked twice, or torn.
pub fn a_frame_of_a_dead_receiver(
    payload: Payload,
    kill: u64,
) -> (bool, Option<u64>, Option<(u64, bool)>) {
    let ring = wakeful(payload, 1);
    let mut sender = ring.sender().expect("the first");
    let mut receiver = ring.receiver().expect("the first");
    let sending = thread::spawn(move || {
        assert!(send(&mut sender, 1), "it is free");
        sender
    });
    let left = kill_before(kill, move || {
        let got = number(receive(&mut receiver));
        drop(receiver);
        got
    });
    let sender = sending.join().expect("it would have failed");
    let mut successor = loop {
        match ring.receiver() {
            Ok(successor) => break successor,
            Err(Error::NoSeat { .. }) => thread::yield_now(),
            Err(error) => panic!("attaching: {error}"),
        }
    };
    let got = receive(&mut successor);
    let before = left.flatten();
    assert!(before.is_none() || got.is_none(), "received twice");
    drop((successor, sender));
    (left.is_none(), before, got)
}

/// Guards WAKE for one who waits for a buffer, and for one who waits for a frame: two frames
/// go through one buffer. A receiver that is `inattentive` does not look for sleepers: a bug.
///
/// # Panics
/// If they do not both come. A lost wake-up is a deadlock.
pub fn a_sender_waits_for_a_buffer(payload: Payload, inattentive: bool) -> Vec<u64> {
    set_payload(payload);
    weaken(None);
    let ring = ring(1);
    let mut sender = ring.sender().expect("the first");
    let mut receiver = ring.receiver().expect("the first");
    let sending = thread::spawn(move || {
        for number in [1, 2] {
            let mut frame = sender.take().expect("the receiver stays");
            write(&mut frame, number);
            frame.send().expect("the receiver stays");
        }
        sender
    });
    let mut take = || {
        let frame = receiver.recv().expect("the sender stays");
        let mut first = [0; 8];
        assert_eq!(frame.read_at(0, &mut first), 8);
        u64::from_le_bytes(first)
    };
    let received = attentive_unless(inattentive, || vec![take(), take()]);
    drop(sending.join().expect("it would have failed"));
    assert_eq!(received, [1, 2]);
    received
}
