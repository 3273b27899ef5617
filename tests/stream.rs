//! The stream's verbs, one by one, in one process.

use std::io::{self, Read, Write};
use std::time::Duration;

use annulus::stream::{self, Ring};
use annulus::{Error, RecvError, SeatState, SendError, TryRecvError, TrySendError};

/// A stream between peers that need not trust one another.
fn pair(capacity: u64) -> (stream::Sender, stream::Receiver) {
    let ring = Ring::options().capacity(capacity).create_memfd("stream").unwrap();
    (ring.sender().unwrap(), ring.receiver().unwrap())
}

#[test]
fn what_is_written_is_read_in_order_across_the_ends_of_the_ring() {
    let (mut sender, mut receiver) = pair(16);
    let mut next = (0_u8, 0_u8);
    for len in (1..=16).chain((1..=16).rev()) {
        let bytes: Vec<u8> = (0..len).map(|i| next.0.wrapping_add(i)).collect();
        assert_eq!(sender.try_send(&bytes), Ok(usize::from(len)));
        next.0 = next.0.wrapping_add(len);
        let mut out = [0; 32];
        assert_eq!(receiver.try_recv(&mut out), Ok(usize::from(len)));
        assert_eq!(&out[..usize::from(len)], bytes);
        next.1 = next.1.wrapping_add(len);
    }
    assert_eq!(sender.position(), receiver.position());
}

#[test]
fn a_full_stream_takes_what_fits_and_then_nothing() {
    let (mut sender, mut receiver) = pair(8);
    assert_eq!(sender.try_send(b"0123456789"), Ok(8));
    assert_eq!(sender.try_send(b"x"), Err(TrySendError::Full(())));
    let timeout = Duration::from_millis(1);
    assert_eq!(sender.send_timeout(b"x", timeout), Err(SendError::Timeout(())));
    let mut three = [0; 3];
    assert_eq!(receiver.try_recv(&mut three), Ok(3));
    assert_eq!(sender.try_send(b"abcdef"), Ok(3));
    let mut out = [0; 9];
    assert_eq!(receiver.recv(&mut out), Ok(8));
    assert_eq!(&out[..8], b"34567abc");
    assert_eq!(receiver.try_recv(&mut out), Err(TryRecvError::Empty));
    assert_eq!(receiver.recv_timeout(&mut out, timeout), Err(RecvError::Timeout));
}

#[test]
fn nothing_is_sent_and_received_at_once() {
    let (mut sender, mut receiver) = pair(8);
    assert_eq!(sender.try_send(&[]), Ok(0));
    assert_eq!(receiver.try_recv(&mut []), Ok(0));
    assert_eq!(sender.send(&[]), Ok(0));
    assert_eq!(receiver.recv(&mut []), Ok(0));
}

#[test]
fn the_end_is_said_by_finish_and_by_a_drop() {
    for finish in [true, false] {
        let (mut sender, mut receiver) = pair(64);
        sender.write_all(b"all").unwrap();
        if finish {
            sender.finish().unwrap()
        } else {
            drop(sender)
        }
        assert_eq!(receiver.peer().unwrap(), SeatState::Closed);
        let mut all = Vec::new();
        receiver.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"all");
        assert_eq!(receiver.try_recv(&mut [0]), Err(TryRecvError::Closed));
        assert_eq!(receiver.recv(&mut [0]), Err(RecvError::Closed));
    }
}

#[test]
fn an_abort_delivers_what_was_committed_and_then_an_error() {
    let (mut sender, mut receiver) = pair(64);
    sender.write_all(b"part").unwrap();
    sender.abort();
    let mut out = [0; 64];
    assert_eq!(receiver.read(&mut out).unwrap(), 4);
    let error = receiver.read(&mut out).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(matches!(error.get_ref().unwrap().downcast_ref(), Some(RecvError::Died)));
}

#[test]
fn a_drop_while_unwinding_is_an_abort() {
    let (mut sender, mut receiver) = pair(64);
    let panicked = std::thread::spawn(move || {
        sender.write_all(b"part").unwrap();
        std::panic::resume_unwind(Box::new("a mistake"));
    });
    assert!(panicked.join().is_err());
    let mut out = [0; 64];
    assert_eq!(receiver.recv(&mut out), Ok(4));
    assert_eq!(receiver.recv(&mut out), Err(RecvError::Died));
}

#[test]
fn a_send_fails_as_soon_as_the_receiver_is_gone_room_or_not() {
    let (mut sender, receiver) = pair(64);
    sender.try_send(b"x").unwrap();
    drop(receiver);
    assert_eq!(sender.try_send(b"x"), Err(TrySendError::Closed(())));
    assert_eq!(sender.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert!(matches!(sender.reserve(1).err(), Some(SendError::Closed(()))));
    assert_eq!(sender.wait_until_received(None), Err(SendError::Closed(())));
    assert_eq!(sender.finish(), Err(SendError::Closed(())));

    let (mut sender, receiver) = pair(64);
    receiver.abort();
    assert_eq!(sender.send(b"x"), Err(SendError::Died(())));
    // Nothing was sent, so all was received.
    assert_eq!(sender.wait_until_received(None), Ok(()));
    assert_eq!(sender.finish(), Ok(()));
}

#[test]
fn each_side_comes_once() {
    let ring = Ring::options().capacity(64).create_memfd("stream").unwrap();
    let mut sender = ring.sender().unwrap();
    assert!(matches!(ring.sender(), Err(Error::SeatTaken { role: "sender", .. })));
    sender.try_send(b"kept").unwrap();
    drop(sender);
    assert!(matches!(ring.sender(), Err(Error::Over { role: "sender" })));
    // One who comes late gets everything.
    let mut receiver = ring.receiver().unwrap();
    let mut all = String::new();
    receiver.read_to_string(&mut all).unwrap();
    assert_eq!(all, "kept");
    drop(receiver);
    assert!(matches!(ring.receiver(), Err(Error::Over { role: "receiver" })));
}

#[test]
fn a_reservation_commits_what_was_written_and_no_more() {
    let (mut sender, mut receiver) = pair(8);
    assert!(matches!(sender.try_reserve(9).err(), Some(TrySendError::TooLong(()))));
    drop(sender.reserve(8).unwrap());
    let mut bytes = sender.reserve(8).unwrap();
    assert_eq!((bytes.position(), bytes.capacity()), (0, 8));
    assert_eq!(bytes.append(b"abc"), 3);
    assert_eq!(bytes.append(b"defghij"), 5);
    assert_eq!((bytes.written(), bytes.commit()), (8, 8));
    let mut out = [0; 6];
    assert_eq!(receiver.try_recv(&mut out), Ok(6));
    assert!(matches!(sender.try_reserve(7).err(), Some(TrySendError::Full(()))));
    let mut bytes = sender.try_reserve(6).unwrap();
    bytes.append(b"xy");
    assert_eq!(bytes.commit(), 2);
    let mut out = [0; 8];
    assert_eq!(receiver.try_recv(&mut out), Ok(4));
    assert_eq!(&out[..4], b"ghxy");
}

#[test]
fn a_guard_releases_all_some_or_if_forgotten_nothing() {
    let (mut sender, mut receiver) = pair(8);
    sender.try_send(b"abcdef").unwrap();
    core::mem::forget(receiver.try_recv_ref().unwrap());
    let bytes = receiver.recv_ref().unwrap();
    let mut out = [0; 8];
    assert_eq!((bytes.len(), bytes.read_at(4, &mut out), bytes.read_at(9, &mut out)), (6, 2, 0));
    bytes.release_first(4);
    // The run now passes the ring's end.
    sender.try_send(b"ghij").unwrap();
    let bytes = receiver.recv_ref_timeout(Duration::from_secs(1)).unwrap();
    assert_eq!((bytes.position(), bytes.read_at(0, &mut out)), (4, 6));
    assert_eq!(&out[..6], b"efghij");
    bytes.release();
    assert_eq!(receiver.try_recv_ref().err(), Some(TryRecvError::Empty));
}

#[test]
fn trusted_peers_are_lent_both_stretches() {
    let (mut sender, mut receiver) = stream::channel(8).unwrap();
    sender.try_send(b"abcdef").unwrap();
    receiver.recv_ref().unwrap().release_first(6);
    let mut bytes = sender.reserve(5).unwrap();
    let (first, second) = bytes.as_mut_slices();
    first.copy_from_slice(b"gh");
    second.copy_from_slice(b"ijk");
    bytes.set_written(4);
    assert_eq!(bytes.commit(), 4);
    assert_eq!(receiver.recv_ref().unwrap().as_slices(), (&b"gh"[..], &b"ij"[..]));
}

#[test]
fn vectored_writes_and_reads_wait_for_the_first_byte_alone() {
    let (mut sender, mut receiver) = pair(8);
    let slices = [&b""[..], b"abc", b"", b"defghijk"].map(io::IoSlice::new);
    assert_eq!(sender.write_vectored(&slices).unwrap(), 8);
    let (mut one, mut two, mut three) = ([0; 5], [0; 0], [0; 5]);
    let mut slices = [&mut one[..], &mut two, &mut three].map(io::IoSliceMut::new);
    assert_eq!(receiver.read_vectored(&mut slices).unwrap(), 8);
    assert_eq!((&one, &three[..3]), (b"abcde", &b"fgh"[..]));
}

#[test]
fn bytes_go_from_one_descriptor_to_another_through_the_ring() {
    let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i * 7 / 3) as u8).collect();
    let (mut from, mut to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    from.write_all(&bytes).unwrap();
    io::Seek::rewind(&mut from).unwrap();
    let (mut sender, mut receiver) = pair(4096);
    let thread = std::thread::spawn(move || {
        while sender.fill_from(&from, 1000).unwrap() > 0 {}
        sender.wait_until_received(None).unwrap();
        sender.finish().unwrap();
    });
    while receiver.drain_to(&to, 999).unwrap() > 0 {}
    thread.join().unwrap();
    io::Seek::rewind(&mut to).unwrap();
    let mut moved = Vec::new();
    to.read_to_end(&mut moved).unwrap();
    assert!(moved == bytes);
}

#[test]
fn a_descriptors_error_commits_and_retires_nothing() {
    let (mut sender, mut receiver) = pair(64);
    let directory = std::fs::File::open("/").unwrap();
    let error = sender.fill_from(&directory, 10).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    assert!(error.get_ref().is_none(), "the descriptor's own error, as it is");
    assert_eq!(sender.position(), 0);
    sender.try_send(b"stays").unwrap();
    assert!(receiver.drain_to(&directory, 10).is_err());
    assert_eq!(receiver.position(), 0);
    assert_eq!((sender.fill_from(&directory, 0).unwrap(), receiver.position()), (0, 0));
}

#[test]
fn capacities_are_powers_of_two_from_a_word_up() {
    for (capacity, next) in [(0, "8"), (1, "8"), (4, "8"), (7, "8"), (9, "16"), (100, "128")] {
        let error = Ring::options().capacity(capacity).create_heap().unwrap_err();
        assert!(matches!(error, Error::Option { option: "capacity", .. }));
        assert!(error.to_string().contains(next), "{error}");
    }
    assert_eq!(Ring::options().create_heap().unwrap().capacity(), 1 << 20);
    assert_eq!(Ring::options().capacity(8).segment_len().unwrap(), 896 + 8);
}

#[test]
fn a_stream_is_not_opened_as_another_ring_nor_another_as_a_stream() {
    let fd = |fd: Option<std::os::fd::BorrowedFd<'_>>| fd.unwrap().try_clone_to_owned().unwrap();
    let bytes = Ring::options().create_memfd("stream").unwrap();
    let spsc = annulus::spsc::Ring::<[u8]>::options().create_memfd("spsc").unwrap();
    let kind = |error| matches!(error, Some(Error::Mismatch { field: annulus::Field::Kind, .. }));
    assert!(kind(Ring::from_fd(fd(spsc.segment_fd())).err()));
    assert!(kind(annulus::spsc::Ring::<[u8]>::from_fd(fd(bytes.segment_fd())).err()));
    assert!(kind(annulus::spsc::Ring::<u64>::from_fd(fd(bytes.segment_fd())).err()));
    assert_eq!(Ring::from_fd(fd(bytes.segment_fd())).unwrap().capacity(), bytes.capacity());
}

#[test]
fn a_cancelled_wait_is_no_end() {
    let (mut sender, mut receiver) = pair(8);
    receiver.cancel_handle().cancel();
    assert_eq!(receiver.recv(&mut [0]), Err(RecvError::Cancelled));
    sender.try_send(b"01234567").unwrap();
    sender.cancel_handle().cancel();
    let error = sender.write(b"x").unwrap_err();
    assert!(matches!(error.get_ref().unwrap().downcast_ref(), Some(SendError::Cancelled(()))));
    assert_eq!(receiver.recv(&mut [0; 8]), Ok(8));
    assert_eq!(sender.send(b"x"), Ok(1));
}
