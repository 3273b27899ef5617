//! The lives at an mpmc ring: each goes on with verb after verb, and waits to be killed.

use std::time::{Duration, Instant};

use annulus::mpmc::{Receiver, Ring, Sender};
use annulus::{Error, RecvError, SendError, TryRecvError, TrySendError};
use annulus_prove::fleet::{Note, Random};

use crate::ledger::{AGAIN, BLOCK, BLOCKS, GOT, Journal, Ledger};
use crate::letters::{Letter, letter, read};

/// Longest batch.
pub const BATCH: usize = 256;

/// The number of a message that is never sent.
const GARBAGE: u64 = u64::MAX;

/// Longest wait of a verb that ends by itself.
const WAIT: Duration = Duration::from_millis(3);

/// Takes a seat. All may be taken, or in somebody's hands, for a moment.
pub fn take<T>(taken: &Note, refused: &Note, mut attach: impl FnMut() -> Result<T, Error>) -> T {
    let start = Instant::now();
    loop {
        match attach() {
            Err(Error::NoSeat { .. } | Error::SeatTaken { .. })
                if start.elapsed() < Duration::from_secs(15) =>
            {
                refused.grow(1);
                std::thread::sleep(Duration::from_micros(50));
            }
            outcome => {
                taken.grow(1);
                return outcome.unwrap_or_else(|error| panic!("no seat: {error}"));
            }
        }
    }
}

/// Rests while a pause is asked for.
fn rest(ledger: &Ledger, own: &Journal) {
    while ledger.pause().get() != 0 {
        own.idle.set(1);
        std::thread::sleep(Duration::from_micros(200));
    }
    own.idle.set(0);
}

/// Some time with a guard or a reservation in hand.
fn dawdle(random: &mut Random) {
    for _ in 0..random.below(100) {
        std::hint::spin_loop();
    }
    if random.once_in(256) {
        std::thread::sleep(Duration::from_micros(random.below(200)));
    }
}

/// Lengths of batches: long ones more often than not, so that many messages pass.
fn length(random: &mut Random) -> usize {
    let most = *random.pick(&[3, 16, 64, 64, BATCH as u64]);
    1 + random.below(most) as usize
}

/// A sender's life.
pub fn send<const N: usize>(
    ring: &Ring<Letter<N>>,
    (ledger, who, life): (&Ledger, usize, u64),
    mut random: Random,
) {
    let own = &ledger.journals[who];
    let attach = || take(&own.taken, &own.refused, || ring.sender());
    let mut sender: Sender<Letter<N>> = attach();
    own.seated.set(1);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let number = ledger.next().add(1);
        if number >= BLOCKS {
            // Enough for one ring; the parent sees that.
            std::thread::sleep(Duration::from_millis(1));
            rest(ledger, own);
            continue;
        }
        let block = &ledger.blocks[number as usize];
        block.owner.set(life);
        let mut sent = 0;
        while sent < BLOCK {
            rest(ledger, own);
            let first = number * BLOCK + sent;
            let many = length(&mut random).min((BLOCK - sent) as usize);
            let verb = random.below(16);
            let count = if verb < 9 { many } else { 1 };
            batch.clear();
            batch.extend((first..first + count as u64).map(|number| letter::<N>(number, life)));
            block.may.set(sent + if verb < 15 { count as u64 } else { 0 });
            let one = batch[0];
            let more = match verb {
                0..=5 => at_once(sender.try_send_many(&batch)) as u64,
                6..=8 => match sender.send_many(&batch) {
                    Ok(()) => count as u64,
                    Err(error) => {
                        waited::<()>(Err(error.reason));
                        error.sent as u64
                    }
                },
                9 => waited(sender.send(one)),
                10 => waited(sender.send_timeout(one, WAIT)),
                11 | 12 => at_once(sender.try_send(one).map(|()| 1)) as u64,
                13 | 14 => match sender.reserve_timeout(WAIT) {
                    Ok(mut slot) => {
                        slot.write(&one);
                        dawdle(&mut random);
                        slot.commit();
                        1
                    }
                    Err(error) => waited(Err::<(), _>(error)),
                },
                _ => {
                    if let Ok(mut slot) = sender.try_reserve() {
                        slot.write(&letter(GARBAGE, life));
                        if random.once_in(2) {
                            std::mem::forget(slot);
                        }
                    }
                    0
                }
            };
            sent += more;
            block.sent.set(sent);
            block.may.set(sent);
            // What is refused is no progress.
            own.done.grow(more);
            if random.once_in(2000) {
                drop(sender);
                sender = attach();
            }
            if random.once_in(400) {
                std::thread::sleep(Duration::from_micros(random.below(200)));
            }
        }
    }
}

/// Only what the other side's end explains.
fn waited<T>(said: Result<(), SendError<T>>) -> u64 {
    match said {
        Ok(()) => 1,
        Err(SendError::Timeout(_) | SendError::Closed(_) | SendError::Died(_)) => 0,
        Err(SendError::Fault(_, fault)) => panic!("a send met {fault}"),
        Err(_) => panic!("a send failed otherwise"),
    }
}

fn at_once<T>(said: Result<usize, TrySendError<T>>) -> usize {
    match said {
        Ok(count) => count,
        Err(TrySendError::Full(_) | TrySendError::Closed(_) | TrySendError::Died(_)) => 0,
        Err(TrySendError::Fault(_, fault)) => panic!("a send met {fault}"),
        Err(_) => panic!("a send failed otherwise"),
    }
}

/// Notes the messages that an application has got, and sees to their order.
pub struct Reader<'a> {
    ledger: &'a Ledger,
    /// One more than the last number of each sender's life.
    last: Vec<u64>,
}

impl<'a> Reader<'a> {
    /// Of one life.
    pub fn new(ledger: &'a Ledger) -> Self {
        Self { ledger, last: Vec::new() }
    }

    /// It got one.
    ///
    /// # Panics
    /// If that can't be.
    pub fn got<const N: usize>(&mut self, message: &Letter<N>, marked: bool) {
        let (number, life) = read(message);
        assert_ne!(number, GARBAGE, "a message of {life} that was given up");
        let before = self.ledger.received(number, marked);
        if marked {
            return;
        }
        assert_eq!(before & (GOT | AGAIN), 0, "{number} of {life} came twice unmarked");
        let life = life as usize;
        if self.last.len() <= life {
            self.last.resize(life + 1, 0);
        }
        assert!(self.last[life] <= number, "{number} of {life} after {}", self.last[life] - 1);
        self.last[life] = number + 1;
    }
}

/// What receivers do on a ring, so that what may be in doubt there is known the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diet {
    /// Everything.
    All,
    /// Guards alone: nothing is ever in doubt.
    Guards,
    /// One message by copy: one is in doubt for each death at most.
    Singles,
}

/// A receiver's life.
pub fn receive<const N: usize>(
    ring: &Ring<Letter<N>>,
    (ledger, who): (&Ledger, usize),
    diet: Diet,
    mut random: Random,
) {
    let own = &ledger.journals[who];
    let mut reader = Reader::new(ledger);
    let attach = || take(&own.taken, &own.refused, || ring.receiver());
    let mut receiver: Receiver<Letter<N>> = attach();
    own.seated.set(1);
    let mut out = [[0; N]; BATCH];
    let (mut forgot, mut fresh) = (false, true);
    loop {
        if ledger.pause().get() != 0 {
            // A newcomer may be the heir of one who died with messages in hand: until he has
            // received them nobody else can.
            own.again.set(1);
            own.doubt.set(1);
            while std::mem::take(&mut fresh)
                && let Ok(message) = receiver.try_recv()
            {
                let marked = receiver.last().redelivered;
                own.marked.grow(u64::from(marked));
                reader.got(&message, marked);
                fresh = true;
            }
            own.doubt.set(0);
            if forgot {
                // Who rests with a message in hand holds the senders up.
                let _ = receiver.wait_for_peer(Some(Duration::ZERO));
            }
            rest(ledger, own);
        }
        (forgot, fresh) = (false, false);
        let verb = match diet {
            Diet::All => random.below(16),
            Diet::Guards => 13 + random.below(3),
            Diet::Singles => 9 + random.below(4),
        };
        let many = if verb < 9 { length(&mut random) } else { 1 };
        own.again.set(many as u64);
        if verb >= 13 {
            let guard = match verb {
                13 => receiver.recv_ref_timeout(WAIT).map_err(|error| {
                    received(Err(error));
                }),
                _ => receiver.try_recv_ref().map_err(|error| {
                    tried(Err(error));
                }),
            };
            if let Ok(guard) = guard {
                own.marked.grow(u64::from(guard.redelivered()));
                reader.got(&guard.read(), guard.redelivered());
                dawdle(&mut random);
                own.done.grow(1);
                if random.once_in(3) {
                    // Settled by the next verb.
                    std::mem::forget(guard);
                    forgot = true;
                } else {
                    guard.release();
                }
            }
            continue;
        }
        own.doubt.set(many as u64);
        let got = match verb {
            0..=6 => tried(receiver.try_recv_many(&mut out[..many])),
            7 | 8 => received(receiver.recv_many(&mut out[..many])),
            9 => received(receiver.recv().map(|message| {
                out[0] = message;
                1
            })),
            10 => received(receiver.recv_timeout(WAIT).map(|message| {
                out[0] = message;
                1
            })),
            _ => tried(receiver.try_recv().map(|message| {
                out[0] = message;
                1
            })),
        };
        let marked = receiver.last().redelivered;
        own.doubt.set(got as u64);
        for (at, message) in out[..got].iter().enumerate() {
            own.marked.grow(u64::from(marked));
            reader.got(message, marked);
            own.doubt.set((got - at - 1) as u64);
        }
        own.done.grow(got as u64);
        if random.once_in(2000) {
            drop(receiver);
            receiver = attach();
            fresh = true;
        }
        if random.once_in(400) {
            std::thread::sleep(Duration::from_micros(random.below(200)));
        }
    }
}

fn tried(said: Result<usize, TryRecvError>) -> usize {
    match said {
        Ok(count) => count,
        Err(
            TryRecvError::Empty | TryRecvError::Stalled | TryRecvError::Closed | TryRecvError::Died,
        ) => 0,
        Err(other) => panic!("a receive met {other}"),
    }
}

fn received(said: Result<usize, RecvError>) -> usize {
    match said {
        Ok(count) => count,
        Err(RecvError::Timeout | RecvError::Closed | RecvError::Died) => 0,
        Err(other) => panic!("a receive met {other}"),
    }
}
