//! A holder of frames is killed before every access to shared memory: his buffers come back,
//! what he had sent is delivered, whole and once.

use std::time::Duration;

use annulus::frames::{Frame, Ring, Sender};
use annulus::hooks::kill_before;
use annulus::{SendError, TryRecvError};

const BUFFERS: u64 = 4;
const SLICE: Duration = Duration::from_millis(2);

fn ring(seats: u64) -> Ring {
    let options = Ring::options().capacity(BUFFERS).max_len(64).seats(seats).slice(SLICE);
    options.create_memfd("frames").unwrap()
}

/// All buffers can be had again, by somebody who waits for them.
fn all_come_back(ring: &Ring) {
    let mut sender = ring.sender().unwrap();
    let _company = ring.receiver().unwrap();
    let frames: Vec<_> = (0..BUFFERS).map(|_| taken(&mut sender)).collect();
    drop(frames);
}

fn taken(sender: &mut Sender) -> Frame {
    match sender.take_timeout(Duration::from_secs(20)) {
        Ok(frame) => frame,
        Err(SendError::Timeout(())) => panic!("a buffer did not come back"),
        Err(other) => panic!("{other}"),
    }
}

/// Everything that can be received, the dead one's seat settled by who looks for it.
fn received(ring: &Ring) -> Vec<(Vec<u8>, bool)> {
    let mut receiver = ring.receiver().unwrap();
    let mut all = Vec::new();
    loop {
        match receiver.recv_timeout(5 * SLICE) {
            Ok(frame) => all.push((frame.to_vec(), frame.redelivered())),
            Err(_) => return all,
        }
    }
}

/// A sender of two frames, killed before access `k`; whether it was.
fn killed_while_it_sends(ring: &Ring, k: u64) -> bool {
    let mut sender = ring.sender().unwrap();
    let step = move || {
        let mut one = sender.take().unwrap();
        let mut two = sender.take().unwrap();
        two.append(b"two");
        two.send().unwrap();
        one.append(b"one, ");
        one.append(b"whole");
        one.send().unwrap();
        sender
    };
    kill_before(k, step).is_none()
}

/// Of what it sent, how many frames come: whole, unmarked, in order, before `after`.
fn arrived(ring: &Ring, sent_after: bool, k: u64) -> usize {
    let mut got = received(ring);
    if sent_after {
        assert_eq!(got.pop(), Some((b"after".to_vec(), false)), "after {k}");
    }
    for (frame, expected) in got.iter().zip([&b"two"[..], b"one, whole"]) {
        assert_eq!(*frame, (expected.to_vec(), false));
    }
    got.len()
}

#[test]
fn a_sender_killed_anywhere_has_sent_a_frame_whole_or_not_at_all() {
    let mut killed = 0;
    for k in 1.. {
        let ring = ring(3);
        let mut living = ring.sender().unwrap();
        let was = killed_while_it_sends(&ring, k);
        let mut frame = living.take().unwrap();
        frame.append(b"after");
        frame.send().unwrap();
        let count = arrived(&ring, true, k);
        drop(living);
        all_come_back(&ring);
        if !was {
            assert_eq!(count, 2);
            break;
        }
        killed += 1;
    }
    assert!(killed > 20, "{killed}");
}

/// What was sent is there, whether or not somebody has looked for the dead one's buffers
/// before it is received.
#[test]
fn who_takes_back_a_dead_senders_buffers_leaves_those_that_it_had_sent() {
    for k in 1.. {
        let undisturbed = ring(3);
        let mut was = killed_while_it_sends(&undisturbed, k);
        let sent = arrived(&undisturbed, false, k);
        // One seat: whoever comes sits where the dead one sat.
        for seats in [1, 3] {
            let ring = ring(seats);
            was &= killed_while_it_sends(&ring, k);
            let mut sender = ring.sender().unwrap();
            let _company = ring.receiver().unwrap();
            let frames: Vec<_> = (sent as u64..BUFFERS).map(|_| taken(&mut sender)).collect();
            // None but those that were sent is in use now.
            let more = sender.take_timeout(5 * SLICE).err();
            assert!(sent == 0 || more == Some(SendError::Timeout(())), "after {k}: {more:?}");
            drop((frames, sender, _company));
            assert_eq!(arrived(&ring, false, k), sent, "after {k}");
            all_come_back(&ring);
        }
        if !was {
            assert_eq!(sent, 2);
            assert!(k > 20, "{k}");
            break;
        }
    }
}

#[test]
fn a_receiver_killed_anywhere_loses_at_most_the_frame_in_its_hands() {
    let mut killed = 0;
    for k in 1.. {
        let ring = ring(3);
        let mut sender = ring.sender().unwrap();
        for number in 0..3_u8 {
            let mut frame = sender.take().unwrap();
            frame.append(&[number; 5]);
            frame.send().unwrap();
        }
        let mut receiver = ring.receiver().unwrap();
        let mut seen = Vec::new();
        let step = || {
            for _ in 0..2 {
                let frame = receiver.try_recv().unwrap();
                seen.push((frame.to_vec(), frame.redelivered()));
            }
            assert_eq!(receiver.try_recv().unwrap().len(), 5);
            receiver
        };
        let done = kill_before(k, step).map(drop);
        let rest = received(&ring);
        // In order; what was seen by one is not seen by another, unless marked.
        let mut numbers: Vec<u8> = seen.iter().chain(&rest).map(|(bytes, _)| bytes[0]).collect();
        assert!(seen.iter().chain(&rest).all(|(bytes, _)| *bytes == [bytes[0]; 5]));
        for (bytes, marked) in &rest {
            assert!(*marked || !seen.iter().any(|(other, _)| other == bytes), "after {k}");
        }
        numbers.sort_unstable();
        numbers.dedup();
        let lost = 3 - numbers.len();
        assert!(lost <= 1, "{lost} lost after {k}");
        drop(sender);
        all_come_back(&ring);
        if done.is_some() {
            break;
        }
        killed += 1;
    }
    assert!(killed > 20, "{killed}");
}

#[test]
fn nothing_is_received_of_a_ring_that_nobody_sends_to() {
    let ring = ring(3);
    let mut receiver = ring.receiver().unwrap();
    assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Empty));
}
