//! A holder of frames is killed before every access to shared memory: his buffers come back,
//! what he had sent is delivered, whole and once.

use std::time::Duration;

use annulus::frames::Ring;
use annulus::hooks::kill_before;
use annulus::{SendError, TryRecvError};

const BUFFERS: u64 = 4;
const SLICE: Duration = Duration::from_millis(2);

fn ring() -> Ring {
    let options = Ring::options().capacity(BUFFERS).max_len(64).seats(3).slice(SLICE);
    options.create_memfd("frames").unwrap()
}

/// All buffers can be had again, by somebody who waits for them.
fn all_come_back(ring: &Ring) {
    let mut sender = ring.sender().unwrap();
    let _company = ring.receiver().unwrap();
    let patient = Duration::from_secs(20);
    let take = |_| match sender.take_timeout(patient) {
        Ok(frame) => frame,
        Err(SendError::Timeout(())) => panic!("a buffer did not come back"),
        Err(other) => panic!("{other}"),
    };
    let frames: Vec<_> = (0..BUFFERS).map(take).collect();
    drop(frames);
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

#[test]
fn a_sender_killed_anywhere_has_sent_a_frame_whole_or_not_at_all() {
    let mut killed = 0;
    for k in 1.. {
        let ring = ring();
        let mut living = ring.sender().unwrap();
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
        let done = kill_before(k, step);
        let mut frame = living.take().unwrap();
        frame.append(b"after");
        frame.send().unwrap();
        let got = received(&ring);
        let expected = [&b"two"[..], b"one, whole"];
        let count = got.len() - 1;
        assert_eq!(got[count], (b"after".to_vec(), false), "after {k}");
        for (frame, expected) in got[..count].iter().zip(expected) {
            assert_eq!(*frame, (expected.to_vec(), false));
        }
        drop(living);
        all_come_back(&ring);
        if done.is_some() {
            assert_eq!(count, 2);
            break;
        }
        killed += 1;
    }
    assert!(killed > 20, "{killed}");
}

#[test]
fn a_receiver_killed_anywhere_loses_at_most_the_frame_in_its_hands() {
    let mut killed = 0;
    for k in 1.. {
        let ring = ring();
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
    let ring = ring();
    let mut receiver = ring.receiver().unwrap();
    assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Empty));
}
