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
}

impl Cell {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for kind in Kind::ALL.iter().copied() {
            for fenced in [false, true] {
                cells.push(Self { kind, semaphores: false, fenced, set: false });
                if kind.has_semaphores() {
                    cells.push(Self { kind, semaphores: true, fenced, set: false });
                }
                if kind != Kind::Frames {
                    cells.push(Self { kind, semaphores: false, fenced, set: true });
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
        Self { kind: Kind::Spsc, semaphores: false, fenced: self.fenced, set: false }
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
        write!(f, "{}/{method}/{barrier}{set}", self.kind.name())
    }
}

/// An endpoint of either side.
pub enum End {
    Sender(Sender),
    Receiver(Receiver),
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
        }
    }

    /// The same, asleep until it can be done: in its own call, or in a `WaitSet`.
    pub fn asleep(&mut self, number: u64, set: bool, time: Duration) -> Result<u64, Refusal> {
        if !set {
            return match self {
                Self::Sender(sender) => sender.send(number, time).map(|()| number),
                Self::Receiver(receiver) => receiver.recv(time),
            };
        }
        let until = Instant::now() + time;
        let mut members = WaitSet::new();
        loop {
            let member = match self {
                Self::Sender(sender) => sender.waitable(),
                Self::Receiver(receiver) => receiver.waitable(),
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
