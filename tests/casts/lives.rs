//! One life of a sender or a receiver: verb after verb until it is killed. What a message
//! says is told by its position, so that a life checks what it gets by itself.
#![allow(unsafe_code)]

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annulus::broadcast::{Receiver, Ring, Sender, Start};
use annulus::{Error, Message, RecvError, SendError, TryRecvError, TrySendError};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, fork};

/// So many receivers.
pub const RECEIVERS: usize = 3;

/// A message that its position tells.
pub trait Told: Message + Copy + PartialEq + std::fmt::Debug {
    /// The message of a position.
    fn told(position: u64) -> Self;
}

impl<const N: usize> Told for [u64; N]
where
    Self: Message,
{
    fn told(position: u64) -> Self {
        std::array::from_fn(|word| {
            (position ^ (word as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    }
}

/// A note of one number. The last one made before a kill is there after it.
#[derive(Debug, Default)]
pub struct Note(AtomicU64);

impl Note {
    /// Notes a number.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::SeqCst);
    }

    /// The last one.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn add(&self, more: u64) {
        self.set(self.get() + more);
    }
}

/// The notes of one life.
#[derive(Debug, Default)]
pub struct Journal {
    /// One: it has its seat.
    pub attached: Note,
    /// The position that it began at.
    pub start: Note,
    /// The position that it has come to.
    pub reached: Note,
    /// Before a verb of the sender: the end of what it may commit.
    pub may_reach: Note,
    /// One: something was wrong, and it has printed what.
    pub failed: Note,
    /// Messages got, by all lives of this number so far.
    pub got: Note,
    /// Positions that were said to have been missed, by all of them.
    pub missed: Note,
}

/// The sender's journal, and those of the receivers.
pub struct Journals(NonNull<[Journal; 1 + RECEIVERS]>);

impl Journals {
    /// Empty ones, shared with the processes that are forked from now on.
    pub fn new() -> Self {
        let size = NonZeroUsize::new(size_of::<[Journal; 1 + RECEIVERS]>()).unwrap();
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice; zeros are journals.
        let base = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED) };
        Self(base.unwrap().cast())
    }

    /// All of them; the sender's is the first.
    pub fn all(&self) -> &[Journal; 1 + RECEIVERS] {
        // SAFETY: mapped while `self` lives, and all of it atomic.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Journals {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing borrowed is left.
        unsafe { munmap(self.0.cast(), size_of::<[Journal; 1 + RECEIVERS]>()) }.unwrap();
    }
}

/// A generator of numbers that need not be good: splitmix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Begins a life: a forked child that ends by a kill, or says that something is wrong.
pub fn begin<T: Told>(
    number: usize,
    open: &dyn Fn() -> Ring<T>,
    notes: &Journal,
    random: Random,
) -> Pid {
    for note in [&notes.attached, &notes.start, &notes.may_reach, &notes.failed] {
        note.set(0);
    }
    // SAFETY: the campaign has one thread besides the harness's, which waits.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            set_pdeathsig(Signal::SIGKILL).unwrap();
            let lived = catch_unwind(AssertUnwindSafe(|| match number {
                0 => send(&open(), notes, random),
                _ => receive(&open(), notes, random),
            }));
            notes.failed.set(u64::from(lived.is_err()));
            // SAFETY: ends the process at once, as a forked child should.
            unsafe { libc::_exit(1) };
        }
    }
}

/// Takes a seat. The last occupant has ended, but who notes that holds its lock a moment.
pub fn take<T>(mut attach: impl FnMut() -> Result<T, Error>) -> T {
    let start = Instant::now();
    loop {
        match attach() {
            Err(Error::SeatTaken { .. } | Error::NoSeat { .. })
                if start.elapsed() < Duration::from_secs(5) => {}
            outcome => return outcome.unwrap(),
        }
    }
}

/// Some idleness now and then, so that rings run empty and full.
fn rest(random: &mut Random) {
    if random.below(40) == 0 {
        std::thread::sleep(Duration::from_micros(random.below(300)));
    }
}

const TIMEOUT: Duration = Duration::from_millis(1);

fn send<T: Told>(ring: &Ring<T>, notes: &Journal, mut random: Random) {
    let mut sender: Sender<T> = take(|| ring.sender());
    notes.start.set(sender.position());
    notes.reached.set(sender.position());
    notes.may_reach.set(sender.position());
    notes.attached.set(1);
    loop {
        let (position, count) = (sender.position(), 1 + random.below(5));
        let verb = random.below(6);
        notes.may_reach.set(position + if verb > 3 { count } else { 1 });
        let batch: Vec<_> = (position..position + count).map(T::told).collect();
        match verb {
            0 => sent(sender.send(batch[0])),
            1 => sent(sender.send_timeout(batch[0], TIMEOUT)),
            2 | 3 => tried(sender.try_send(batch[0])),
            4 => sent(sender.send_many(&batch).map_err(|error| error.reason)),
            _ => tried(sender.try_send_many(&batch).map(|_| ())),
        }
        notes.reached.set(sender.position());
        if random.below(500) == 0 {
            let position = sender.position();
            drop(sender);
            sender = take(|| ring.sender());
            assert_eq!(sender.position(), position, "after an orderly leave");
        }
        rest(&mut random);
    }
}

fn sent<T>(outcome: Result<(), SendError<T>>) {
    assert!(matches!(outcome, Ok(()) | Err(SendError::Timeout(_))));
}

fn tried<T>(outcome: Result<(), TrySendError<T>>) {
    assert!(matches!(outcome, Ok(()) | Err(TrySendError::Full(_))));
}

/// What a receive came to.
enum Came<T> {
    Messages(Vec<T>),
    Missed(u64),
    Nothing,
}

fn at_once<T>(outcome: Result<Vec<T>, TryRecvError>) -> Came<T> {
    match outcome {
        Ok(messages) => Came::Messages(messages),
        Err(TryRecvError::Lagged(missed)) => Came::Missed(missed),
        Err(TryRecvError::Empty | TryRecvError::Closed | TryRecvError::Died) => Came::Nothing,
        Err(other) => panic!("{other:?}"),
    }
}

fn waited<T>(outcome: Result<T, RecvError>) -> Came<T> {
    match outcome {
        Ok(message) => Came::Messages(vec![message]),
        Err(RecvError::Lagged(missed)) => Came::Missed(missed),
        Err(RecvError::Timeout | RecvError::Closed | RecvError::Died) => Came::Nothing,
        Err(other) => panic!("{other:?}"),
    }
}

fn receive<T: Told>(ring: &Ring<T>, notes: &Journal, mut random: Random) {
    let before = notes.reached.get();
    let (start, asked) = match random.below(3) {
        0 => (Start::Newest, None),
        1 => (Start::Oldest, None),
        _ => (Start::Position(before), Some(before)),
    };
    let mut receiver: Receiver<T> = take(|| ring.receiver_from(start));
    let mut next = receiver.position();
    // Of a lossless ring nothing is missed, but what somebody asked for too late.
    let mut may_miss = !ring.is_lossless();
    if let Some(asked) = asked
        && next > asked
    {
        may_miss = true;
        next = asked;
    }
    notes.start.set(receiver.position());
    notes.reached.set(next);
    notes.attached.set(1);
    let mut out = [T::told(0); 7];
    loop {
        let count = 1 + random.below(7) as usize;
        let came = match random.below(7) {
            0 => waited(receiver.recv()),
            1 => waited(receiver.recv_timeout(TIMEOUT)),
            2 => at_once(receiver.try_recv().map(|message| vec![message])),
            3 => at_once(receiver.try_recv_with(|view| {
                assert_eq!(view.position(), next);
                let mut message = T::told(0);
                view.read_at(0, zerocopy::IntoBytes::as_mut_bytes(&mut message));
                vec![message]
            })),
            4 => {
                if let Ok((position, newest)) = receiver.latest_with(|view| {
                    let mut message = T::told(0);
                    view.read_at(0, zerocopy::IntoBytes::as_mut_bytes(&mut message));
                    (view.position(), message)
                }) {
                    assert_eq!(newest, T::told(position), "torn, the newest at {position}");
                }
                Came::Nothing
            }
            _ => at_once(
                receiver.try_recv_many(&mut out[..count]).map(|count| out[..count].to_vec()),
            ),
        };
        match came {
            Came::Messages(messages) => {
                for message in messages {
                    assert_eq!(message, T::told(next), "torn or out of order at {next}");
                    next += 1;
                    notes.got.add(1);
                }
            }
            Came::Missed(missed) => {
                assert!(may_miss && missed > 0, "missed {missed} of a lossless ring at {next}");
                may_miss = !ring.is_lossless();
                next += missed;
                notes.missed.add(missed);
            }
            Came::Nothing => {
                let _ = receiver.wait_for_peer(Some(TIMEOUT));
            }
        }
        notes.reached.set(next);
        rest(&mut random);
    }
}
