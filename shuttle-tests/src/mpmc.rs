//! mpmc: many senders and receivers, each of which does what chance says; some are killed.

use annulus::mpmc::{Receiver, Ring, Sender};
use annulus::{TryRecvError, TrySendError};
use loom::thread;

use crate::account::{Message, Notes, OF_ONE, bare, number, settle, words};
use crate::{attach, below};

type Tx = Sender<Message>;
type Rx = Receiver<Message>;

/// The most messages of a batch.
const BATCH: u64 = 3;

fn ring(capacity: u64, seats: u64) -> Ring<Message> {
    Ring::options().capacity(capacity).seats(seats).create_heap().expect("a ring").into()
}

/// Sends `count` messages, in one way or another, until told that nobody receives.
fn send(mut sender: Tx, name: u64, count: u64, notes: &Notes) {
    let end = name * OF_ONE + count;
    let mut next = name * OF_ONE;
    while next < end {
        let most = (next + 1 + below(BATCH)).min(end);
        let (took, refused) = match below(5) {
            0 => {
                notes.sending(next..most);
                let batch: Vec<_> = (next..most).map(words).collect();
                match sender.try_send_many(&batch) {
                    Ok(count) => (count, None),
                    Err(error) => (0, Some(error)),
                }
            }
            1 => {
                notes.sending([next]);
                match sender.try_reserve() {
                    Ok(mut slot) => {
                        slot.write(&words(next));
                        slot.commit();
                        (1, None)
                    }
                    Err(error) => (0, Some(error)),
                }
            }
            2 => {
                // Given up, or forgotten: the next operation gives it up then.
                if let Ok(mut slot) = sender.try_reserve() {
                    slot.write(&words(u64::MAX));
                    if below(2) == 0 {
                        std::mem::forget(slot);
                    }
                }
                (0, None)
            }
            _ => {
                notes.sending([next]);
                match sender.try_send(words(next)) {
                    Ok(()) => (1, None),
                    Err(error) => (0, Some(bare(error))),
                }
            }
        };
        notes.sent(took);
        next += took as u64;
        match refused {
            None => {}
            Some(TrySendError::Full(())) => {
                sender.lose_patience();
                thread::yield_now();
            }
            Some(TrySendError::Closed(()) | TrySendError::Died(())) => break,
            Some(error) => panic!("sending: {error}"),
        }
    }
}

/// Receives, in one way or another, until told that nobody sends.
fn receive(mut receiver: Rx, notes: &Notes) {
    loop {
        let refused = match below(3) {
            0 => {
                let mut out = vec![[0; 2]; 1 + below(BATCH) as usize];
                notes.receiving(out.len());
                match receiver.try_recv_many(&mut out) {
                    Ok(count) => {
                        let again = receiver.last().redelivered;
                        assert!(!again || count == 1, "what comes again comes alone");
                        notes.got(out[..count].iter().map(|words| (number(*words), again)));
                        None
                    }
                    Err(error) => Some(error),
                }
            }
            1 => match receiver.try_recv_ref() {
                Ok(guard) => {
                    let got = (number(guard.read()), guard.redelivered());
                    notes.has_in_hand(got.0);
                    if below(2) == 0 {
                        thread::yield_now();
                    }
                    notes.receiving(1);
                    drop(guard);
                    notes.got([got]);
                    None
                }
                Err(error) => Some(error),
            },
            _ => {
                notes.receiving(1);
                match receiver.try_recv() {
                    Ok(message) => {
                        notes.got([(number(message), receiver.last().redelivered)]);
                        None
                    }
                    Err(error) => Some(error),
                }
            }
        };
        match refused {
            None => {}
            Some(TryRecvError::Empty | TryRecvError::Stalled) => {
                notes.got([]);
                receiver.lose_patience();
                thread::yield_now();
            }
            Some(TryRecvError::Closed | TryRecvError::Died) => break,
            Some(error) => panic!("receiving: {error}"),
        }
    }
    notes.got([]);
}

/// So many of each, of whom up to `deaths` may be killed; then one who receives what is left.
fn crowd(capacity: u64, senders: u64, receivers: u64, count: u64, deaths: u64) -> usize {
    let ring = ring(capacity, senders.max(receivers));
    let mut mortals = deaths;
    let mut is_mortal = || {
        let mortal = mortals > 0 && below(2) == 0;
        mortals -= u64::from(mortal);
        mortal
    };
    let mut all = Vec::new();
    let mut threads = Vec::new();
    let mut begin = |play: Box<dyn FnOnce(&Notes) + Send>, mortal| {
        let notes = Notes::default();
        all.push(notes.clone());
        threads.push(thread::spawn(move || notes.play(mortal, || play(&notes))));
    };
    let txs: Vec<_> = (0..senders).map(|_| ring.sender().expect("a seat")).collect();
    let rxs: Vec<_> = (0..receivers).map(|_| ring.receiver().expect("a seat")).collect();
    for (name, tx) in (1..).zip(txs) {
        begin(Box::new(move |notes| send(tx, name, count, notes)), is_mortal());
    }
    for rx in rxs {
        begin(Box::new(move |notes| receive(rx, notes)), is_mortal());
    }
    for thread in threads {
        thread.join().expect("it would have failed");
    }
    let last = Notes::default();
    last.play(false, || receive(attach(|| ring.receiver()), &last));
    all.push(last);
    settle(&all)
}

/// Three senders and three receivers on four slots; nobody dies.
pub fn a_crowd() -> usize {
    crowd(4, 3, 3, 5, 0)
}

/// The same on two slots, with up to two deaths.
pub fn a_crowd_with_deaths() -> usize {
    crowd(2, 3, 3, 5, 2)
}

/// Two of each on eight slots: batches that pass each other, up to three deaths.
pub fn batches_with_deaths() -> usize {
    crowd(8, 2, 2, 10, 3)
}
