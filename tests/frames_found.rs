//! What lying memory has found in frames.

use std::time::Duration;

use annulus::frames::Ring;
use annulus::hooks::{Liar, budget, lie};
use annulus::{Corrupt, Fault, RecvError, TryRecvError};

const BUFFERS: u64 = 2;

/// More accesses than any of these calls makes.
const ACCESSES: u64 = 10_000;

fn ring() -> Ring {
    Ring::options().capacity(BUFFERS).max_len(64).seats(2).create_memfd("found").unwrap()
}

/// It waited for itself, with its own lock in hand.
#[test]
fn a_frame_that_is_longer_than_its_buffer_poisons_the_receiver_and_comes_back() {
    for waits in [false, true] {
        let ring = ring();
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        let mut frame = sender.try_take().unwrap();
        frame.append(b"short");
        frame.send().unwrap();
        let mut words = 0;
        let too_long: Liar = Box::new(move |edge, truth| {
            words += u64::from(edge == "payload");
            if edge == "payload" && words == 3 { 65 } else { truth }
        });
        let fault = Fault::Corrupt(Corrupt { word: "frame length", value: 65 });
        if waits {
            let said = lie(too_long, || receiver.recv_timeout(Duration::from_secs(9)));
            assert_eq!(said.err(), Some(RecvError::Fault(fault)));
        } else {
            let said = lie(too_long, || receiver.try_recv());
            assert_eq!(said.err(), Some(TryRecvError::Fault(fault)));
        }
        assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Fault(fault)));
        let all = [sender.try_take(), sender.try_take()];
        assert!(all.iter().all(Result::is_ok), "its buffer is in use");
    }
}

/// A ring of handles that is never empty, of buffers that are none of theirs.
fn endless() -> Liar {
    let mut head = 0;
    Box::new(move |edge, truth| match edge {
        "relaxed::VALIDATED" => {
            head = truth;
            truth
        }
        // The word of a slot that holds the message of `head`.
        "publish::ACQUIRE" => head << 2 | 1,
        "payload" => 1,
        _ => truth,
    })
}

#[test]
fn handles_of_no_buffer_that_never_end_make_no_call_endless() {
    let ring = ring();
    let (_sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let said = lie(endless(), || budget(ACCESSES, || receiver.try_recv()));
    assert_eq!(said.err(), Some(TryRecvError::Stalled));
    let nothing = Duration::ZERO;
    let said = lie(endless(), || budget(ACCESSES, || receiver.recv_timeout(nothing)));
    assert_eq!(said.err(), Some(RecvError::Timeout));
    receiver.cancel_handle().cancel();
    let said = lie(endless(), || budget(ACCESSES, || receiver.recv()));
    assert_eq!(said.err(), Some(RecvError::Cancelled));
}
