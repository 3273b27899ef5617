//! The lives at an spsc ring: each goes on with verb after verb, and waits to be killed.

use std::time::Duration;

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{RecvError, SendError, TryRecvError, TrySendError};
use annulus_prove::fleet::Random;

use crate::letters::letter;
use crate::pair::{Message, Notes, told};
use crate::work::{BATCH, take};

/// Longest wait of a verb that ends by itself.
const WAIT: Duration = Duration::from_millis(2);

/// The end of what is said to come again, or zero.
pub fn marked_below(receiver: &Receiver<Message>) -> u64 {
    let start = receiver.position();
    let last = (start..=start + receiver.capacity()).rev();
    let mut last = last.skip_while(|position| !receiver.is_redelivered(*position));
    last.next().map_or(0, |last| last + 1)
}

fn pause(random: &mut Random) {
    if random.once_in(300) {
        std::thread::sleep(Duration::from_micros(random.below(300)));
    }
}

fn dawdle(random: &mut Random) {
    for _ in 0..random.below(200) {
        std::hint::spin_loop();
    }
}

/// A sender's life.
pub fn send(ring: &Ring<Message>, own: &Notes, mut random: Random) {
    let attach = || take(&own.taken, &own.refused, || ring.sender());
    let mut sender: Sender<Message> = attach();
    [&own.start, &own.reached].into_iter().for_each(|note| note.set(sender.position()));
    own.seated.set(1);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let (p, verb) = (sender.position(), random.below(10));
        let count = if verb < 5 { 1 + random.below(BATCH as u64) } else { 1 };
        batch.clear();
        batch.extend((p..p + count).map(told));
        own.may.set(p + count);
        let gone = match verb {
            0..=2 => sent_at_once(sender.try_send_many(&batch)),
            3 | 4 => sent(sender.send_many(&batch).map_err(|error| error.reason)),
            5 => sent(sender.send(batch[0])),
            6 => sent(sender.send_timeout(batch[0], WAIT)),
            7 => sent_at_once(sender.try_send(batch[0])),
            8 => match sender.reserve_timeout(WAIT) {
                Ok(mut slot) => {
                    slot.write(&batch[0]);
                    dawdle(&mut random);
                    assert_eq!(slot.commit(), p);
                    false
                }
                Err(error) => sent::<()>(Err(error)),
            },
            _ => match sender.try_reserve() {
                Ok(mut slot) => {
                    // Given up.
                    slot.write(&letter(u64::MAX, 9));
                    false
                }
                Err(error) => sent_at_once::<()>(Err(error)),
            },
        };
        own.reached.set(sender.position());
        if gone {
            let _ = sender.wait_for_peer(Some(WAIT));
        }
        if random.once_in(2000) {
            drop(sender);
            sender = attach();
            assert_eq!(sender.position(), own.reached.get(), "after an orderly leave");
        }
        pause(&mut random);
    }
}

fn sent<T>(said: Result<T, SendError<impl Sized>>) -> bool {
    match said {
        Ok(_) | Err(SendError::Timeout(_)) => false,
        Err(SendError::Closed(_) | SendError::Died(_)) => true,
        Err(SendError::Fault(_, fault)) => panic!("a send met {fault}"),
        Err(_) => panic!("a send failed otherwise"),
    }
}

fn sent_at_once<T>(said: Result<T, TrySendError<impl Sized>>) -> bool {
    match said {
        Ok(_) | Err(TrySendError::Full(_)) => false,
        Err(TrySendError::Closed(_) | TrySendError::Died(_)) => true,
        Err(TrySendError::Fault(_, fault)) => panic!("a send met {fault}"),
        Err(_) => panic!("a send failed otherwise"),
    }
}

/// A receiver's life.
pub fn receive(ring: &Ring<Message>, own: &Notes, mut random: Random) {
    let attach = || take(&own.taken, &own.refused, || ring.receiver());
    let mut receiver: Receiver<Message> = attach();
    own.marked.set(marked_below(&receiver));
    let start = receiver.position();
    [&own.start, &own.got, &own.reached].into_iter().for_each(|note| note.set(start));
    own.seated.set(1);
    let mut out = vec![[0; 6]; BATCH];
    loop {
        let (p, verb) = (receiver.position(), random.below(10));
        let many = if verb < 5 { 1 + random.below(BATCH as u64) as usize } else { 1 };
        if verb >= 8 {
            own.exposed.set(p + 1);
        }
        own.guards.set(u64::from(verb >= 8));
        own.may.set(p + many as u64);
        let one = |out: &mut [Message], message| {
            out[0] = message;
            1
        };
        let got = match verb {
            0..=2 => at_once(receiver.try_recv_many(&mut out[..many])),
            3 | 4 => waited(receiver.recv_many(&mut out[..many])),
            5 => waited(receiver.recv().map(|message| one(&mut out, message))),
            6 => waited(receiver.recv_timeout(WAIT).map(|message| one(&mut out, message))),
            7 => at_once(receiver.try_recv().map(|message| one(&mut out, message))),
            _ => match receiver.recv_ref_timeout(WAIT) {
                Err(error) => waited(Err(error)),
                Ok(guard) => {
                    assert_eq!(guard.redelivered(), p < own.marked.get());
                    assert!(guard.read() == told(p), "torn or out of order at {p}");
                    own.got.set(p + 1);
                    dawdle(&mut random);
                    if verb == 9 {
                        // Settled by the next verb.
                        std::mem::forget(guard);
                    } else {
                        guard.release();
                        own.reached.set(p + 1);
                    }
                    None
                }
            },
        };
        if let Some(got @ 1..) = got {
            let right = (p..).zip(&out[..got]).all(|(at, message)| *message == told(at));
            assert!(right, "torn or out of order at {p}: {:x?}", &out[..got]);
            own.got.set(p + got as u64);
            own.reached.set(p + got as u64);
        } else if got == Some(0) {
            let _ = receiver.wait_for_peer(Some(WAIT));
        }
        if random.once_in(2000) {
            let position = receiver.position();
            drop(receiver);
            receiver = attach();
            assert_eq!(receiver.position(), position, "after an orderly leave");
        }
        pause(&mut random);
    }
}

/// How many; none because the other has ended is `Some(0)`.
fn at_once(said: Result<usize, TryRecvError>) -> Option<usize> {
    match said {
        Ok(count) => Some(count),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Closed | TryRecvError::Died) => Some(0),
        Err(other) => panic!("a receive met {other}"),
    }
}

fn waited(said: Result<usize, RecvError>) -> Option<usize> {
    match said {
        Ok(count) => Some(count),
        Err(RecvError::Timeout) => None,
        Err(RecvError::Closed | RecvError::Died) => Some(0),
        Err(other) => panic!("a receive met {other}"),
    }
}
