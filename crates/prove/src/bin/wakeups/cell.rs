//! One cell: a kind of ring, how its endpoints sleep, and on what.

use std::fmt;
use std::time::{Duration, Instant};

use annulus::{Error, WaitMethod, WaitSet};
use annulus_prove::rings::{Kind, Receiver, Refusal, Ring, Sender, Shape};

/// A cell of the campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub kind: Kind,
    pub semaphores: bool,
    pub fenced: bool,
    /// Asleep in a `WaitSet`, not in the endpoint's own call.
    pub set: bool,
    /// By reservation and guard, not by copy.
    pub by_hand: bool,
}

impl Cell {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for kind in Kind::ALL.iter().copied() {
            for fenced in [false, true] {
                let plain = Self { kind, semaphores: false, fenced, set: false, by_hand: false };
                cells.push(plain);
                if kind.has_semaphores() {
                    cells.push(Self { semaphores: true, ..plain });
                }
                if kind != Kind::Frames {
                    cells.push(Self { set: true, ..plain });
                }
                if matches!(kind, Kind::Spsc | Kind::Stream | Kind::Mpmc) {
                    cells.push(Self { by_hand: true, ..plain });
                }
            }
        }
        cells
    }

    /// The cell of this name.
    pub fn named(name: &str) -> Self {
        let cell = Self::all().into_iter().find(|cell| cell.to_string() == name);
        cell.unwrap_or_else(|| panic!("no cell is called {name}"))
    }

    /// Endpoints that go to sleep at once, for `slice` at a time.
    pub fn shape(&self, slice: Duration) -> Shape {
        Shape {
            kind: self.kind,
            method: if self.semaphores { WaitMethod::Semaphore } else { WaitMethod::Futex },
            fenced: self.fenced,
            capacity: self.capacity(),
            slice,
            polls: Duration::ZERO,
        }
    }

    /// The cell of rings beside the one that is looked at, for what has to be said.
    pub fn own(&self) -> Self {
        Self {
            kind: Kind::Spsc,
            semaphores: false,
            fenced: self.fenced,
            set: false,
            by_hand: false,
        }
    }

    /// An endpoint of a ring of this cell.
    pub fn end(&self, ring: &Ring, sends: bool) -> Result<End, Error> {
        Ok(match End::of(ring, sends)? {
            End::Sender(sender) if self.by_hand => End::Reserver(sender),
            End::Receiver(receiver) if self.by_hand => End::Borrower(receiver),
            end => end,
        })
    }

    /// As few numbers as a ring of the kind can hold.
    fn capacity(&self) -> u64 {
        match self.kind {
            Kind::Spsc => 1,
            // It commits a quarter of its capacity at a time: one number.
            Kind::Stream => 4,
            _ => 2,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = if self.semaphores { "semaphore" } else { "futex" };
        let barrier = if self.fenced { "fenced" } else { "asymmetric" };
        let set = if self.set { "/set" } else { "" };
        let by_hand = if self.by_hand { "/by-hand" } else { "" };
        write!(f, "{}/{method}/{barrier}{set}{by_hand}", self.kind.name())
    }
}

/// An endpoint of either side.
pub enum End {
    Sender(Sender),
    Receiver(Receiver),
    /// One that reserves and commits.
    Reserver(Sender),
    /// One that takes guards and releases them.
    Borrower(Receiver),
}

/// Writes a number into a reservation, or reads one from a guard, without waiting or asleep.
macro_rules! by_hand {
    ($try:expr, $timed:expr, $time:expr, |$held:ident| $use:expr) => {
        match $time {
            None => $try.map(|$held| $use).map_err(Refusal::from),
            Some(_) => $timed.map(|$held| $use).map_err(Refusal::from),
        }
    };
}

fn reserve(sender: &mut Sender, number: u64, time: Option<Duration>) -> Result<u64, Refusal> {
    let (long, bytes) = (time.unwrap_or_default(), number.to_le_bytes());
    match sender {
        Sender::Spsc(it) => by_hand!(it.try_reserve(), it.reserve_timeout(long), time, |held| {
            let mut held = held;
            held.write(&number);
            held.commit();
            number
        }),
        Sender::Mpmc(it) => by_hand!(it.try_reserve(), it.reserve_timeout(long), time, |held| {
            let mut held = held;
            held.write(&number);
            held.commit();
            number
        }),
        Sender::Stream(it) => {
            by_hand!(it.try_reserve(8), it.reserve_timeout(8, long), time, |held| {
                let mut held = held;
                held.append(&bytes);
                held.commit();
                number
            })
        }
        Sender::Broadcast(_) | Sender::Frames(_) => Err(Refusal::Other("no such verb".into())),
    }
}

fn borrow(receiver: &mut Receiver, time: Option<Duration>) -> Result<u64, Refusal> {
    let long = time.unwrap_or_default();
    match receiver {
        Receiver::Spsc(it) => {
            by_hand!(it.try_recv_ref(), it.recv_ref_timeout(long), time, |held| held.read())
        }
        Receiver::Mpmc(it) => {
            by_hand!(it.try_recv_ref(), it.recv_ref_timeout(long), time, |held| held.read())
        }
        Receiver::Stream(it) => {
            by_hand!(it.try_recv_ref(), it.recv_ref_timeout(long), time, |held| {
                let mut bytes = [0; 8];
                held.read_at(0, &mut bytes);
                held.release_first(8);
                u64::from_le_bytes(bytes)
            })
        }
        Receiver::Broadcast(_) | Receiver::Frames(_) => Err(Refusal::Other("no such verb".into())),
    }
}

impl End {
    /// An endpoint of the ring.
    pub fn of(ring: &Ring, sends: bool) -> Result<Self, Error> {
        Ok(if sends { Self::Sender(ring.sender()?) } else { Self::Receiver(ring.receiver()?) })
    }

    /// Does its work if that can be done at once. Gives what was received, or what was sent.
    pub fn at_once(&mut self, number: u64) -> Result<u64, Refusal> {
        match self {
            Self::Sender(sender) => sender.try_send(number).map(|()| number),
            Self::Receiver(receiver) => receiver.try_recv(),
            Self::Reserver(sender) => reserve(sender, number, None),
            Self::Borrower(receiver) => borrow(receiver, None),
        }
    }

    /// The same, asleep until it can be done: in its own call, or in a `WaitSet`.
    pub fn asleep(&mut self, number: u64, set: bool, time: Duration) -> Result<u64, Refusal> {
        if !set {
            return match self {
                Self::Sender(sender) => sender.send(number, time).map(|()| number),
                Self::Receiver(receiver) => receiver.recv(time),
                Self::Reserver(sender) => reserve(sender, number, Some(time)),
                Self::Borrower(receiver) => borrow(receiver, Some(time)),
            };
        }
        let until = Instant::now() + time;
        let mut members = WaitSet::new();
        loop {
            let member = match self {
                Self::Sender(sender) | Self::Reserver(sender) => sender.waitable(),
                Self::Receiver(receiver) | Self::Borrower(receiver) => receiver.waitable(),
            };
            let member = member.expect("cells without a set have none");
            let due = members.wait_deadline(&mut [member], until);
            match self.at_once(number) {
                Err(Refusal::NotYet) if due.is_ok() => {}
                outcome => return outcome,
            }
        }
    }
}

/// A name that no other run has; what stands there goes with it.
pub struct Name(String);

impl Name {
    /// A new one.
    pub fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let random = RandomState::new().hash_one(0);
        Self(format!("shm:annulus-prove-{random:016x}"))
    }

    /// The address.
    pub fn address(&self) -> &str {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // There may have been nothing.
        let _ = annulus::unlink(&self.0);
    }
}
