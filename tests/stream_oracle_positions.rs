//! A stream is a queue of bytes at any position, to the last one.

mod scale;
mod stream_oracles;
mod streams;
mod support;

use std::io::{Read, Write};

use annulus::stream::Ring;
use annulus::{Fault, TryRecvError, TrySendError};
use proptest::prelude::*;
use stream_oracles::a_stream_is_a_queue;
use stream_oracles::model::LIMIT;
use streams::site::{PLACES, Place, Site};

fn starts() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => LIMIT - 9000..=LIMIT,
        2 => LIMIT - 40..=LIMIT,
        1 => (1u64 << 32) - 9000..1 << 32,
        1 => 0..1u64 << 40,
    ]
}

#[test]
fn a_stream_is_a_queue_of_bytes_to_its_last_position() {
    for place in [Place::Heap, Place::Memfd] {
        a_stream_is_a_queue(300, place, starts(), |start| Ring::options().start(start));
    }
}

#[test]
fn the_last_position_ends_a_piece_and_then_is_a_fault_of_both_sides() {
    for place in PLACES {
        for left in 0..20 {
            let site = Site::new(place, &Ring::options().capacity(64).start(LIMIT - left));
            let mut sender = site.one.sender().unwrap();
            let mut receiver = site.other.receiver().unwrap();
            // More than there are positions, and room for all.
            let (count, limit) = (left as usize, Fault::PositionLimit);
            let all = streams::bytes(0, 40);
            if left > 0 {
                assert_eq!(sender.try_send(&all), Ok(count));
            }
            assert_eq!(sender.try_send(&all), Err(TrySendError::Fault((), limit)));
            assert!(sender.write_all(&all).is_err());
            assert!(matches!(sender.try_reserve(1), Err(TrySendError::Fault((), _))));
            let mut out = [0; 64];
            if left > 0 {
                assert_eq!(receiver.read(&mut out).unwrap(), count);
                assert_eq!(out[..count], all[..count]);
            }
            assert_eq!(receiver.try_recv(&mut out), Err(TryRecvError::Fault(limit)));
            assert!(receiver.read(&mut out).is_err());
        }
    }
}
