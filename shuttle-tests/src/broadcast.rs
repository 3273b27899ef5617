//! broadcast: a sender and who succeeds it, receivers that are there or come later.

use annulus::broadcast::{Receiver, Ring, Sender, Start};
use annulus::{TryRecvError, TrySendError};
use loom::thread;

use crate::account::{Message, number, words};
use crate::{attach, below, live};

/// Messages in all.
const COUNT: u64 = 14;

/// Sends each position's message, one by one or in batches, until all have been sent.
fn send(sender: &mut Sender<Message>) {
    while sender.position() < COUNT {
        let first = sender.position();
        let result = match below(3) {
            0 => {
                let end = (first + 1 + below(3)).min(COUNT);
                let batch: Vec<_> = (first..end).map(words).collect();
                sender.try_send_many(&batch).map(|sent| assert!(sent <= batch.len()))
            }
            _ => sender.try_send(words(first)).map_err(crate::account::bare),
        };
        match result {
            Ok(()) => {}
            Err(TrySendError::Full(())) => thread::yield_now(),
            Err(error) => panic!("sending: {error}"),
        }
    }
}

/// Receives until the last message has come or gone by; how many came. One who may not
/// lose any does not.
///
/// # Panics
/// If a message is torn or another's, or a lag is not what the position says.
fn receive(receiver: &mut Receiver<Message>, lossless: bool) -> usize {
    let (mut count, mut at) = (0, receiver.position());
    while at < COUNT {
        let result = match below(3) {
            0 => {
                let mut out = [[0; 2]; 3];
                receiver.try_recv_many(&mut out).map(|got| out[..got].to_vec())
            }
            _ => receiver.try_recv().map(|message| vec![message]),
        };
        match result {
            Ok(got) => {
                let numbers: Vec<_> = got.into_iter().map(number).collect();
                assert!((at..).zip(&numbers).all(|(at, got)| at == *got), "{numbers:?} at {at}");
                count += numbers.len();
                at += numbers.len() as u64;
            }
            // Died and Closed: somebody succeeds it.
            Err(TryRecvError::Empty | TryRecvError::Died | TryRecvError::Closed) => {
                thread::yield_now();
            }
            Err(TryRecvError::Lagged(missed)) => {
                assert!(!lossless, "overrun at {at}");
                at += missed;
                assert_eq!(receiver.position(), at);
            }
            Err(error) => panic!("receiving: {error}"),
        }
    }
    count
}

/// Two senders, one after the other, the first of whom may be killed; two receivers that
/// are there, and one that comes while they send.
fn cast(lossless: bool) -> usize {
    let options = Ring::<Message>::options().capacity(4).lossless(lossless).seats(4);
    let ring = options.create_heap().expect("a ring");
    let mut first = ring.sender().expect("the first");
    let there = [(); 2].map(|()| ring.receiver_from(Start::Oldest).expect("a seat"));
    let receiving = there.map(|mut receiver| {
        thread::spawn(move || {
            let count = receive(&mut receiver, lossless);
            assert!(!lossless || count as u64 == COUNT, "{count}");
            count
        })
    });
    let same = ring.clone();
    let coming = thread::spawn(move || {
        let start = if below(2) == 0 { Start::Oldest } else { Start::Newest };
        let mut receiver = same.receiver_from(start).expect("a seat");
        let first = receiver.position();
        let count = receive(&mut receiver, lossless);
        assert!(!lossless || first + count as u64 == COUNT, "{count} from {first} on");
        count
    });
    live(below(2) == 0, || {
        send(&mut first);
        drop(first);
    });
    send(&mut attach(|| ring.sender()));
    let counts = receiving.map(|thread| thread.join().expect("it would have failed"));
    coming.join().expect("it would have failed") + counts.iter().sum::<usize>()
}

/// Whoever is too slow is overrun, and told by how much.
pub fn overwriting() -> usize {
    cast(false)
}

/// Nobody is overrun.
pub fn lossless() -> usize {
    cast(true)
}
