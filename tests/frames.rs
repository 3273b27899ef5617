//! The verbs of a ring of frames, one by one, in one process.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use annulus::frames::{Receiver, Ring, Sender};
use annulus::{Error, Field, RecvError, SendError, TryRecvError, TrySendError, mpmc};

fn ring(buffers: u64) -> Ring {
    let options = Ring::options().capacity(buffers).max_len(10_000).seats(4);
    options.create_memfd("frames").unwrap()
}

fn send(sender: &mut Sender, bytes: &[u8]) {
    let mut frame = sender.try_take().unwrap();
    assert_eq!(frame.append(bytes), bytes.len());
    frame.send().unwrap();
}

fn recv(receiver: &mut Receiver) -> Vec<u8> {
    receiver.try_recv().unwrap().to_vec()
}

#[test]
fn frames_come_in_the_order_in_which_they_were_sent() {
    let ring = ring(4);
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    assert_eq!((ring.capacity(), ring.max_len(), ring.seats()), (4, 10_000, 4));
    for lap in 0..20_u8 {
        let mut first = sender.take().unwrap();
        send(&mut sender, &[lap; 7]);
        first.append(&[lap; 3]);
        first.append(&[0xff; 2]);
        assert_eq!((first.written(), first.capacity()), (5, 10_000));
        first.send_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(recv(&mut receiver), [lap; 7]);
        assert_eq!(recv(&mut receiver), [lap, lap, lap, 0xff, 0xff]);
        assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Empty));
    }
}

#[test]
fn a_frame_that_is_written_or_read_for_long_stalls_nobody() {
    let ring = ring(4);
    let (mut slow, mut fast) = (ring.sender().unwrap(), ring.sender().unwrap());
    let (mut one, mut two) = (ring.receiver().unwrap(), ring.receiver().unwrap());
    let mut long = slow.take().unwrap();
    long.append(b"half");
    send(&mut fast, b"kept");
    let kept = one.recv().unwrap();
    for number in 0..100_u8 {
        send(&mut fast, &[number]);
        assert_eq!(recv(&mut two), [number]);
    }
    long.append(b" done");
    long.send().unwrap();
    assert_eq!(recv(&mut two), b"half done");
    assert_eq!(kept.to_vec(), b"kept");
    let mut out = [0; 3];
    assert_eq!((kept.read_at(2, &mut out), &out[..2]), (2, &b"pt"[..]));
}

#[test]
fn buffers_are_finite_and_given_back() {
    let ring = ring(2);
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let (one, two) = (sender.take().unwrap(), sender.take().unwrap());
    assert_eq!(sender.try_take().err(), Some(TrySendError::Full(())));
    let timeout = Duration::from_millis(1);
    assert_eq!(sender.take_timeout(timeout).err(), Some(SendError::Timeout(())));
    drop(one);
    two.send().unwrap();
    let three = sender.take().unwrap();
    assert!(sender.try_take().is_err());
    let got = receiver.recv().unwrap();
    assert!(sender.try_take().is_err());
    drop((got, three));
    drop((sender.take().unwrap(), sender.take().unwrap()));
}

#[test]
fn a_frame_outlives_its_endpoint_and_keeps_the_seat() {
    let ring = ring(4);
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let frame = sender.take().unwrap();
    drop(sender);
    // The seat is kept: somebody is still to send.
    assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Empty));
    frame.send().unwrap();
    let got = receiver.recv().unwrap();
    assert_eq!(receiver.recv().err(), Some(RecvError::Closed));
    drop(receiver);
    let mut sender = ring.sender().unwrap();
    drop(got);
    for _ in 0..4 {
        sender.try_take().unwrap().send().unwrap();
    }
    assert_eq!(sender.try_take().err(), Some(TrySendError::Closed(())));
}

#[test]
fn frames_go_to_other_threads_and_a_wait_ends_when_one_comes_back() {
    let ring = ring(2);
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    const COUNT: u32 = 20_000;
    let sending = std::thread::spawn(move || {
        for number in 0..COUNT {
            let mut frame = sender.take().unwrap();
            frame.append(&number.to_le_bytes());
            frame.send().unwrap();
        }
    });
    let (hand, over) = std::sync::mpsc::channel::<annulus::frames::Received>();
    let reading = std::thread::spawn(move || {
        for (expected, frame) in (0..COUNT).zip(over) {
            assert_eq!(frame.to_vec(), expected.to_le_bytes());
        }
    });
    for _ in 0..COUNT {
        hand.send(receiver.recv().unwrap()).unwrap();
    }
    sending.join().unwrap();
    reading.join().unwrap();
}

#[test]
fn trusted_peers_are_lent_the_buffer() {
    let ring = Ring::options().capacity(2).max_len(4).create_heap().unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let mut frame = sender.take().unwrap();
    frame.as_mut_slice()[..3].copy_from_slice(b"abc");
    frame.set_written(3);
    frame.send().unwrap();
    assert_eq!(*receiver.recv().unwrap(), *b"abc");
}

#[test]
fn a_ring_of_frames_is_opened_as_one_and_as_nothing_else() {
    let ring = ring(4);
    let fd = || ring.segment_fd().unwrap().try_clone_to_owned().unwrap();
    assert_eq!(Ring::from_fd(fd()).unwrap().capacity(), 4);
    let kind = |error| matches!(error, Some(Error::Mismatch { field: Field::Kind, .. }));
    assert!(kind(mpmc::Ring::<[u64; 3]>::from_fd(fd()).err()));
    let max = Ring::options().max_len(9_999).from_fd(fd()).err();
    assert!(matches!(max, Some(Error::Mismatch { field: Field::MessageSize, .. })));
    assert_eq!(Ring::options().create_heap().unwrap().capacity(), 8);
}

#[test]
fn a_send_that_a_liar_keeps_waiting_ends_by_its_timeout_and_gives_the_frame_back() {
    let ring = ring(4);
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    for number in 0..4 {
        send(&mut sender, &[number]);
        assert_eq!(recv(&mut receiver), [number]);
    }
    // The slots of handles, 32 bytes each, are free for positions 4 to 7: the words `p << 2`.
    let segment = File::from(ring.segment_fd().unwrap().try_clone_to_owned().unwrap());
    let mut bytes = vec![0; 16 * 1024];
    segment.read_exact_at(&mut bytes, 0).unwrap();
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let are_slots = |at: &usize| (0..4).all(|i| word(at + 32 * i) == (4 + i as u64) << 2);
    let slots = (0..8 * 1024).step_by(8).find(are_slots).unwrap();
    // Somebody says that the lap before has not been received yet.
    for i in 0..4_u64 {
        segment.write_all_at(&(i << 2 | 1).to_le_bytes(), slots as u64 + 32 * i).unwrap();
    }
    let mut frame = sender.take().unwrap();
    frame.append(b"kept");
    let refused = frame.send_timeout(Duration::from_millis(30)).unwrap_err();
    assert_eq!(refused.reason, SendError::Timeout(()));
    assert_eq!(refused.frame.written(), 4);
    for i in 0..4_u64 {
        segment.write_all_at(&((4 + i) << 2).to_le_bytes(), slots as u64 + 32 * i).unwrap();
    }
    refused.frame.send_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(recv(&mut receiver), b"kept");
}
