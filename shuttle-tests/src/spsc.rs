//! spsc: one sender, one receiver, and those who succeed them when they die or leave.

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{TryRecvError, TrySendError};
use loom::sync::Arc;
use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::SeqCst;
use loom::thread;

use crate::account::{Message, Notes, OF_ONE, bare, number, settle, words};
use crate::{attach, below};

type Tx = Sender<Message>;
type Rx = Receiver<Message>;

/// The most messages of a batch.
const BATCH: u64 = 3;

/// Sends messages from `*next` on below `end`, in one way or another. A receiver that has
/// gone is succeeded: one waits for it.
fn send(sender: &mut Tx, next: &mut u64, end: u64, notes: &Notes) {
    while *next < end {
        let most = (*next + 1 + below(BATCH)).min(end);
        let (took, refused) = match below(4) {
            0 => {
                notes.sending(*next..most);
                let batch: Vec<_> = (*next..most).map(words).collect();
                match sender.try_send_many(&batch) {
                    Ok(count) => (count, None),
                    Err(error) => (0, Some(error)),
                }
            }
            1 => {
                let commits = below(3) > 0;
                notes.sending(commits.then_some(*next));
                match sender.try_reserve() {
                    Ok(mut slot) => {
                        slot.write(&words(if commits { *next } else { u64::MAX }));
                        if commits {
                            slot.commit();
                        }
                        (commits.into(), None)
                    }
                    Err(error) => (0, Some(error)),
                }
            }
            _ => {
                notes.sending([*next]);
                match sender.try_send(words(*next)) {
                    Ok(()) => (1, None),
                    Err(error) => (0, Some(bare(error))),
                }
            }
        };
        notes.sent(took);
        *next += took as u64;
        match refused {
            None => {}
            Some(TrySendError::Full(()) | TrySendError::Closed(()) | TrySendError::Died(())) => {
                thread::yield_now();
            }
            Some(error) => panic!("sending: {error}"),
        }
    }
}

/// Receives, in one way or another, `count` messages or until told that nobody sends.
fn receive(receiver: &mut Rx, mut count: u64, notes: &Notes) {
    while count > 0 {
        let position = receiver.position();
        let refused = match below(3) {
            0 => {
                let mut out = vec![[0; 2]; (1 + below(BATCH)).min(count) as usize];
                notes.receiving(out.len());
                match receiver.try_recv_many(&mut out) {
                    Ok(got) => {
                        count -= got as u64;
                        let again = |index| receiver.is_redelivered(position + index);
                        let got = (0..).zip(&out[..got]);
                        notes.got(got.map(|(index, words)| (number(*words), again(index))));
                        None
                    }
                    Err(error) => Some(error),
                }
            }
            1 => match receiver.try_recv_ref() {
                Ok(guard) => {
                    let got = (number(guard.read()), guard.redelivered());
                    notes.has_in_hand(got.0);
                    notes.receiving(1);
                    drop(guard);
                    count -= 1;
                    notes.got([got]);
                    None
                }
                Err(error) => Some(error),
            },
            _ => {
                notes.receiving(1);
                match receiver.try_recv() {
                    Ok(message) => {
                        count -= 1;
                        notes.got([(number(message), receiver.is_redelivered(position))]);
                        None
                    }
                    Err(error) => Some(error),
                }
            }
        };
        match refused {
            None => {}
            Some(TryRecvError::Empty) => {
                notes.got([]);
                receiver.peer().expect("it can be asked");
                thread::yield_now();
            }
            // Somebody may succeed it yet; whoever drains sees it again.
            Some(TryRecvError::Closed | TryRecvError::Died) => break,
            Some(error) => panic!("receiving: {error}"),
        }
    }
    notes.got([]);
}

/// Senders that succeed each other send `count` messages each, receivers that succeed each
/// other receive them; a third of the endpoints are killed.
pub fn successions() -> usize {
    const SENDERS: u64 = 3;
    const RECEIVERS: u64 = 3;
    const COUNT: u64 = 6;
    let ring: Ring<Message> = Ring::options().capacity(4).create_heap().expect("a ring").into();
    let senders: Vec<_> = (0..SENDERS).map(|_| Notes::default()).collect();
    let receivers: Vec<_> = (0..RECEIVERS).map(|_| Notes::default()).collect();
    let is_over = Arc::new(AtomicBool::new(false));
    let (same, notes, over) = (ring.clone(), senders.clone(), Arc::clone(&is_over));
    let sending = thread::spawn(move || {
        for (name, notes) in (1..).zip(&notes) {
            notes.play(below(3) == 0, || {
                let mut next = name * OF_ONE;
                let end = next + COUNT;
                send(&mut attach(|| same.sender()), &mut next, end, notes);
            });
        }
        over.store(true, SeqCst);
    });
    let (same, notes) = (ring.clone(), receivers.clone());
    let receiving = thread::spawn(move || {
        for notes in &notes {
            notes.play(below(3) == 0, || {
                receive(&mut attach(|| same.receiver()), below(COUNT), notes);
            });
        }
    });
    receiving.join().expect("it would have failed");
    let last = Notes::default();
    last.play(false, || {
        let mut receiver = attach(|| ring.receiver());
        loop {
            let over = is_over.load(SeqCst);
            receive(&mut receiver, u64::MAX, &last);
            if over {
                break;
            }
            thread::yield_now();
        }
    });
    sending.join().expect("it would have failed");
    let all: Vec<_> = senders.into_iter().chain(receivers).chain([last]).collect();
    settle(&all)
}
