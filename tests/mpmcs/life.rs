//! One life: takes a seat, goes on with verb after verb, and waits to be killed.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use annulus::mpmc::{Receiver, Ring, Sender};
use annulus::{Error, RecvError, SendError, TryRecvError, TrySendError};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, fork};

use super::journal::{AGAIN, GIVEN_UP, GOT, Journal, Note, Notes, SENT};
use super::{Random, mix};

/// A message: its number, its sender's life, its place among that life's, and a check.
pub type Letter = [u64; 6];

/// Longest wait of a verb.
const WAIT: Duration = Duration::from_millis(1);

fn letter(number: u64, life: u64) -> Letter {
    let check = mix(number ^ life << 32);
    [number, life, check, !number, mix(check), check ^ number]
}

/// Which side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A sender.
    Sends,
    /// A receiver.
    Receives,
}

/// Begins a life: a forked child that ends by a kill, or tells in its journal that
/// something is wrong.
pub fn begin(
    side: Side,
    open: &dyn Fn() -> Ring<Letter>,
    (notes, own, life): (&Notes, &Journal, u64),
    random: Random,
) -> Pid {
    for note in
        [&own.attached, &own.first, &own.count, &own.doubt, &own.done, &own.refusals, &own.failed]
    {
        note.set(0);
    }
    // SAFETY: the campaign has one thread besides the harness's, which waits.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            set_pdeathsig(Signal::SIGKILL).unwrap();
            let lived = catch_unwind(AssertUnwindSafe(|| match side {
                Side::Sends => send(&open(), notes, own, life, random),
                Side::Receives => counting_doubt(own, || recv(&open(), notes, own, random)),
            }));
            own.failed.set(u64::from(lived.is_err()));
            // SAFETY: ends the process at once, as a forked child should.
            unsafe { libc::_exit(1) };
        }
    }
}

/// Takes a seat; all may be taken, or in somebody's hands, for a moment.
pub fn take<T>(own: &Journal, mut attach: impl FnMut() -> Result<T, Error>) -> T {
    let start = Instant::now();
    loop {
        match attach() {
            Err(Error::NoSeat { .. }) if start.elapsed() < Duration::from_secs(8) => {
                own.refusals.add(1);
                std::thread::sleep(Duration::from_micros(50));
            }
            outcome => return outcome.unwrap(),
        }
    }
}

/// Some time with a guard or a reservation in hand.
fn dawdle(random: &mut Random) {
    for _ in 0..random.below(100) {
        std::hint::spin_loop();
    }
    if random.once_in(64) {
        std::thread::sleep(Duration::from_micros(random.below(200)));
    }
}

fn send(ring: &Ring<Letter>, notes: &Notes, own: &Journal, life: u64, mut random: Random) {
    let mut sender: Sender<Letter> = take(own, || ring.sender());
    own.attached.set(1);
    loop {
        let verb = random.below(12);
        let count = if verb < 3 { 1 + random.below(6) } else { 1 };
        let first = notes.next.add(count);
        if first + count >= super::journal::MESSAGES as u64 {
            // Enough for one ring.
            std::thread::sleep(WAIT);
            continue;
        }
        let letters: Vec<_> = (first..first + count).map(|number| letter(number, life)).collect();
        own.count.set(0);
        own.first.set(first);
        own.count.set(count);
        let sent = match verb {
            0 => match sender.send_many(&letters) {
                Ok(()) => count,
                Err(error) => {
                    ended(Some(&error.reason));
                    error.sent as u64
                }
            },
            1 | 2 => at_once(sender.try_send_many(&letters)) as u64,
            3 | 4 => waited(sender.send(letters[0])),
            5 | 6 => waited(sender.send_timeout(letters[0], WAIT)),
            7 | 8 => at_once(sender.try_send(letters[0]).map(|()| 1)) as u64,
            9 | 10 => match sender.reserve_timeout(WAIT) {
                Ok(mut slot) => {
                    slot.write(&letters[0]);
                    dawdle(&mut random);
                    slot.commit();
                    1
                }
                Err(error) => waited(Err::<(), _>(error)),
            },
            _ => {
                own.count.set(0);
                notes.note(first, GIVEN_UP);
                if let Ok(mut slot) = sender.try_reserve() {
                    slot.write(&letters[0]);
                    if random.once_in(2) {
                        std::mem::forget(slot);
                    }
                }
                0
            }
        };
        for number in first..first + sent {
            notes.note(number, SENT);
        }
        own.count.set(0);
        own.done.add(sent);
        if random.once_in(500) {
            drop(sender);
            sender = take(own, || ring.sender());
        }
        if random.once_in(50) {
            std::thread::sleep(Duration::from_micros(random.below(200)));
        }
    }
}

/// Only what the other side's end explains.
fn ended<T>(error: Option<&SendError<T>>) {
    let fine = matches!(
        error,
        Some(SendError::Timeout(_) | SendError::Closed(_) | SendError::Died(_)) | None
    );
    assert!(fine, "a send failed otherwise");
}

fn waited<T>(said: Result<(), SendError<T>>) -> u64 {
    ended(said.as_ref().err());
    u64::from(said.is_ok())
}

fn at_once<T>(said: Result<usize, TrySendError<T>>) -> usize {
    match said {
        Ok(count) => count,
        Err(TrySendError::Full(_) | TrySendError::Closed(_) | TrySendError::Died(_)) => 0,
        Err(_) => panic!("a send failed otherwise"),
    }
}

/// Notes a message that the application has got.
pub struct Reader<'a> {
    notes: &'a Notes,
    /// The last number of each sender's life.
    last: HashMap<u64, u64>,
}

impl<'a> Reader<'a> {
    /// Of one life.
    pub fn new(notes: &'a Notes) -> Self {
        Self { notes, last: HashMap::new() }
    }

    /// It got one.
    pub fn got(&mut self, message: &Letter, marked: bool) {
        let [number, life, ..] = *message;
        assert_eq!(*message, letter(number, life), "torn");
        let before = self.notes.note(number, if marked { AGAIN } else { GOT });
        assert_eq!(before & GIVEN_UP, 0, "{number} was given up");
        if !marked {
            assert_eq!(before & (GOT | AGAIN), 0, "{number} came twice unmarked");
            let last = self.last.insert(life, number);
            assert!(last.is_none_or(|last| last < number), "{number} after {last:?}");
        }
    }
}

/// Counts what is retired: noted before each store that does it, so that of a message in
/// doubt it is known that it can be.
fn counting_doubt(own: &Journal, call: impl FnOnce()) {
    let doubt = std::ptr::from_ref(&own.doubt) as usize;
    let noting = move |edge: &'static str, _: usize, value: u64| {
        if edge == "retire::RELEASE" {
            // SAFETY: a forked child never unmaps what its notes are in, and all is atomic.
            unsafe { &*(doubt as *const Note) }.add(1);
        }
        Some(value)
    };
    annulus::hooks::forge(Box::new(noting), call);
}

fn recv(ring: &Ring<Letter>, notes: &Notes, own: &Journal, mut random: Random) {
    let mut forgot = false;
    let mut reader = Reader::new(notes);
    let mut receiver: Receiver<Letter> = take(own, || ring.receiver());
    own.attached.set(1);
    let mut out = [Letter::default(); 6];
    loop {
        let verb = random.below(11);
        let many = 1 + random.below(6) as usize;
        if std::mem::take(&mut forgot) {
            // Settled on its own, so that it is not counted below.
            let _ = receiver.wait_for_peer(Some(Duration::ZERO));
            own.doubt.set(0);
        }
        let got = match verb {
            0 | 1 => tried(receiver.try_recv_many(&mut out[..many])),
            // What comes first may come again, and the rest not: one by one.
            2 => tried(receiver.try_recv_many(&mut out[..1])),
            3 | 4 => tried(receiver.try_recv().map(|message| {
                out[0] = message;
                1
            })),
            5 => received(receiver.recv().map(|message| out[0] = message)),
            6 => received(receiver.recv_timeout(WAIT).map(|message| out[0] = message)),
            _ => {
                let guard = match verb {
                    7 => receiver.recv_ref_timeout(WAIT).map_err(|error| {
                        received(Err(error));
                    }),
                    _ => receiver.try_recv_ref().map_err(|error| {
                        tried(Err(error));
                    }),
                };
                if let Ok(guard) = guard {
                    let passed = own.doubt.get();
                    reader.got(&guard.read(), guard.redelivered());
                    own.done.add(1);
                    dawdle(&mut random);
                    if random.once_in(3) {
                        std::mem::forget(guard);
                        forgot = true;
                    } else {
                        drop(guard);
                    }
                    own.doubt.set(passed);
                }
                0
            }
        };
        for message in &out[..got] {
            reader.got(message, receiver.last().redelivered);
        }
        own.doubt.set(0);
        own.done.add(got as u64);
        if random.once_in(500) {
            drop(receiver);
            receiver = take(own, || ring.receiver());
        }
        if random.once_in(50) {
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
        Err(other) => panic!("{other:?}"),
    }
}

fn received(said: Result<(), RecvError>) -> usize {
    match said {
        Ok(()) => 1,
        Err(RecvError::Timeout | RecvError::Closed | RecvError::Died) => 0,
        Err(other) => panic!("{other:?}"),
    }
}
