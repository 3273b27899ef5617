//! stream: bytes in pieces of any length, and a death on either side, which ends the ring.

use annulus::stream::{Receiver, Ring, Sender};
use annulus::{TryRecvError, TrySendError};
use loom::thread;

use crate::{below, live};

/// Bytes that are sent if nobody dies.
const BYTES: u64 = 40;

/// What each byte is, by its position.
fn byte(position: u64) -> u8 {
    (position * 7 + 1) as u8
}

fn bytes(position: u64, len: u64) -> Vec<u8> {
    (position..position + len).map(byte).collect()
}

/// Sends all, in one way or another. Whether it came to the end.
fn send(sender: &mut Sender) -> bool {
    while sender.position() < BYTES {
        let len = (1 + below(12)).min(BYTES - sender.position());
        let piece = bytes(sender.position(), len);
        let refused = match below(3) {
            0 => match sender.try_reserve(len.min(8) as usize) {
                Ok(mut reserved) => {
                    assert_eq!(reserved.append(&piece), piece.len().min(8));
                    if below(4) > 0 {
                        reserved.commit();
                    }
                    None
                }
                Err(error) => Some(error),
            },
            _ => sender.try_send(&piece).err(),
        };
        match refused {
            None => {}
            Some(TrySendError::Full(())) => {
                sender.peer().expect("it can be asked");
                thread::yield_now();
            }
            Some(TrySendError::Closed(()) | TrySendError::Died(())) => return false,
            Some(error) => panic!("sending: {error}"),
        }
    }
    true
}

/// Receives until told that this was all, which is given, or that the sender died.
///
/// # Panics
/// If a byte is not what its position says.
fn receive(receiver: &mut Receiver) -> (u64, TryRecvError) {
    loop {
        let position = receiver.position();
        let result = match below(2) {
            0 => receiver.try_recv_ref().map(|guard| {
                let mut out = vec![0; guard.len()];
                let len = guard.read_at(0, &mut out);
                assert_eq!(out, bytes(position, len as u64), "at {position}");
                // Only a part of it is taken, or all.
                match below(2) {
                    0 => guard.release(),
                    _ => guard.release_first(1 + below(len as u64) as usize),
                }
            }),
            _ => {
                let mut out = [0; 5];
                receiver.try_recv(&mut out).map(|len| {
                    assert_eq!(out[..len], bytes(position, len as u64), "at {position}");
                })
            }
        };
        match result {
            Ok(()) => {}
            Err(TryRecvError::Empty) => {
                receiver.peer().expect("it can be asked");
                thread::yield_now();
            }
            Err(error @ (TryRecvError::Closed | TryRecvError::Died)) => {
                return (receiver.position(), error);
            }
            Err(error) => panic!("receiving: {error}"),
        }
    }
}

/// Forty bytes through sixteen; one of the two may be killed.
pub fn pieces_and_deaths() -> usize {
    let ring: Ring = Ring::options().capacity(16).create_heap().expect("a ring").into();
    let mut sender = ring.sender().expect("the first");
    let mut receiver = ring.receiver().expect("the first");
    let (tx_dies, rx_dies) = match below(4) {
        0 => (true, false),
        1 => (false, true),
        _ => (false, false),
    };
    let sending = thread::spawn(move || {
        live(tx_dies, || {
            let whole = send(&mut sender);
            assert!(whole || rx_dies, "the receiver stays");
            drop(sender);
        })
    });
    let received = live(rx_dies, || {
        let told = receive(&mut receiver);
        drop(receiver);
        told
    });
    let sent = sending.join().expect("it would have failed");
    match received {
        Some((count, TryRecvError::Closed)) => assert_eq!(count, BYTES, "not all"),
        Some((count, _)) => assert!(sent.is_none() && count <= BYTES, "died, after {count}"),
        None => assert!(rx_dies),
    }
    1
}
