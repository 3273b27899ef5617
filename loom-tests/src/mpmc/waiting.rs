//! Models in which somebody sleeps: nobody does on a ready ring, and a wake-up that one
//! could not use is passed on.

use annulus::hooks::{Payload, set_payload, weaken};
use annulus::mpmc::Ring;
use loom::thread;

use crate::waiting::attentive_unless;

/// Two receive a message each, asleep while there is none; two senders send them.
///
/// # Panics
/// If a message is lost or comes twice. A lost wake-up is a deadlock.
pub fn two_sleep_and_two_send(payload: Payload, inattentive: bool) -> Vec<u64> {
    set_payload(payload);
    weaken(None);
    let ring = Ring::<u64>::options().capacity(2).seats(2).create_heap().expect("a ring");
    let receivers = [(); 2].map(|()| ring.receiver().expect("there are two seats"));
    let [mut one, mut other] = [(); 2].map(|()| ring.sender().expect("there are two seats"));
    let receiving = receivers.map(|mut receiver| {
        thread::spawn(move || (receiver.recv().expect("two are sent"), receiver))
    });
    let sending = thread::spawn(move || {
        attentive_unless(inattentive, || one.try_send(1).expect("there is room"));
        one
    });
    attentive_unless(inattentive, || other.try_send(2).expect("there is room"));
    // One who leaves wakes everybody: only when all have ended.
    let _stays = sending.join().expect("it would have failed");
    let received = receiving.map(|receiving| receiving.join().expect("it would have failed"));
    let received: Vec<_> = received.into_iter().map(|(message, _receiver)| message).collect();
    assert!(received == [1, 2] || received == [2, 1], "received: {received:?}");
    received
}

/// Two send a message each, asleep while there is no room; one receives them.
///
/// # Panics
/// As [`two_sleep_and_two_send`].
pub fn two_sleep_for_room(payload: Payload) -> Vec<u64> {
    set_payload(payload);
    weaken(None);
    let ring = Ring::<u64>::options().capacity(1).seats(2).create_heap().expect("a ring");
    let senders = [(); 2].map(|()| ring.sender().expect("there are two seats"));
    let mut receiver = ring.receiver().expect("there are two seats");
    let mut message = 0;
    let sending = senders.map(|mut sender| {
        message += 1;
        thread::spawn(move || {
            sender.send(message).expect("there will be room");
            sender
        })
    });
    let received = [(); 2].map(|()| receiver.recv().expect("two are sent"));
    for sending in sending {
        drop(sending.join().expect("it would have failed"));
    }
    assert!(received == [1, 2] || received == [2, 1], "received: {received:?}");
    received.into()
}
