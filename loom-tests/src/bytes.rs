//! Byte messages: a length and bytes in one slot, which belong together.

use annulus::hooks::{Payload, set_payload, weaken};
use annulus::spsc::Ring;
use loom::thread;

use crate::model::{no_message, no_room};
use crate::spec::{Do, Got, Outcome, Role, Saw, Script, Thread};

/// The script whose outcomes are permitted: two messages through one slot.
pub fn script() -> Script {
    let thread =
        |begins, does: &[Do]| Thread { begins: Some(begins), does: does.to_vec(), mortal: false };
    Script {
        capacity: 1,
        threads: vec![
            thread(Role::Receiver, &[Do::Recv, Do::Recv]),
            thread(Role::Sender, &[Do::Send(1), Do::Send(2)]),
        ],
        last: vec![],
    }
}

/// A message of a length of its own, each byte of which tells which it is.
fn bytes(message: u64) -> Vec<u8> {
    vec![message as u8; if message == 1 { 11 } else { 3 }]
}

/// Performs it.
///
/// # Panics
/// If a message has another's length or bytes.
pub fn perform(payload: Payload) -> Outcome {
    set_payload(payload);
    // As in `Model`.
    weaken(Some("wake::NOTIFIER"));
    let ring = Ring::<[u8]>::options().max_len(16).capacity(1).create_heap().expect("a ring");
    let mut sender = ring.sender().expect("the first");
    let mut receiver = ring.receiver().expect("the first");
    let sending = thread::spawn(move || {
        let send = |message| match sender.try_send(&bytes(message)) {
            Ok(()) => Saw::Sent(1),
            Err(error) => Saw::Not(no_room(&error)),
        };
        let saw: Vec<_> = [1, 2].map(send).into();
        (saw, sender)
    });
    let recv = |_| {
        let mut out = [0; 16];
        match receiver.try_recv(&mut out) {
            Ok(len) => {
                let message = u64::from(out[0]);
                assert_eq!(out[..len], bytes(message), "a torn message");
                let position = receiver.position() - 1;
                Saw::Got(vec![Got { position, message, again: false }])
            }
            Err(error) => Saw::Not(no_message(error)),
        }
    };
    let received = [(), ()].map(recv).into();
    let (sent, sender) = sending.join().expect("it would have failed");
    drop((sender, receiver));
    vec![received, sent, vec![]]
}
