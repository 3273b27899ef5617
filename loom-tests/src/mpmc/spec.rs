//! What an mpmc ring may do, as a state machine over whole operations.
//!
//! There is no slot, claim, seat or ordering in here: positions are taken in order, each is
//! committed with a message or given up, taken by a receiver, and released; what the dead
//! held is given up, or comes again and marked, at some look for the dead. [`Script::outcomes`]
//! runs a script through every interleaving of those steps.
//!
//! Under [`Memory::Sequential`] a look sees everything, and a look for the dead settles all.
//! Under [`Memory::Late`] it may miss what the looker has not learnt of, itself or through
//! what it saw: `Full`, `Empty` and `Stalled` may be said late, and the dead be overlooked;
//! but not by one who comes when all have ended.

use std::collections::{BTreeSet, HashSet};

use crate::spec::{Got, Memory, Role};

mod steps;

/// One operation of a thread on its endpoint.
#[derive(Clone, Copy, Debug)]
pub enum Do {
    /// Take a seat as soon as there is one.
    Attach(Role),
    /// `try_send`.
    Send(u64),
    /// `try_send_many`.
    SendMany(&'static [u64]),
    /// `try_reserve`, write, commit.
    Commit(u64),
    /// `try_reserve`, drop.
    Abort,
    /// `try_reserve`, forget.
    Reserve,
    /// `try_recv`.
    Recv,
    /// `try_recv_many` for at most so many.
    RecvMany(usize),
    /// `try_recv_ref`, read, drop.
    Guard,
    /// `try_recv_ref`, read, forget.
    Forget,
    /// The next refusal looks for the dead.
    Impatient,
    /// Drop the endpoint.
    Leave,
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Saw {
    /// Sent so many.
    Sent(usize),
    /// Took a position, for nothing.
    Reserved,
    /// Received these. Of several only the last one's position is told.
    Got(Vec<Got>),
    /// Nothing was sent or received, and why.
    Not(Why),
}

/// The position of one that is not told.
pub const UNTOLD: u64 = u64::MAX;

/// Why nothing was sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// No room.
    Full,
    /// No message.
    Empty,
    /// The next message is not there yet.
    Stalled,
    /// Nothing, and all others have left.
    Closed,
    /// Nothing, and the others are gone, somebody among them dead.
    Died,
}

/// What one thread does.
#[derive(Clone, Debug)]
pub struct Thread {
    /// The endpoint it is given at the start.
    pub begins: Option<Role>,
    /// Its operations, in order.
    pub does: Vec<Do>,
    /// It may be killed between any two steps.
    pub mortal: bool,
}

impl Thread {
    /// The same, killed somewhere.
    #[must_use]
    pub fn mortal(self) -> Self {
        Self { mortal: true, ..self }
    }
}

/// What all threads do.
#[derive(Clone, Debug)]
pub struct Script {
    /// Slots of the ring.
    pub capacity: usize,
    /// Seats of either side.
    pub seats: usize,
    /// The threads; the first runs where the ring was made.
    pub threads: Vec<Thread>,
    /// What is done when all have ended, by one who has seen them end.
    pub last: Vec<Do>,
}

/// What each thread saw, in order; at the end what `last` saw.
pub type Outcome = Vec<Vec<Saw>>;

impl Script {
    /// Everything that the threads may see.
    pub fn outcomes(&self, memory: Memory) -> BTreeSet<Outcome> {
        let mut outcomes = BTreeSet::new();
        let first = World::new(self);
        let mut seen = HashSet::from([first.clone()]);
        let mut open = vec![first];
        while let Some(world) = open.pop() {
            let next = world.steps(self, memory);
            if next.is_empty() {
                assert!(world.is_last && world.all_have_ended(self), "stuck in {world:?}");
                outcomes.insert(world.actors.into_iter().map(|actor| actor.saw).collect());
                continue;
            }
            for world in next {
                if seen.insert(world.clone()) {
                    open.push(world);
                }
            }
        }
        outcomes
    }
}

/// What somebody has learnt: how far the ring was taken, and what became of the positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct View {
    tail: usize,
    head: usize,
    /// Bits by position.
    committed: u16,
    released: u16,
}

impl View {
    fn join(&mut self, other: Self) {
        self.tail = self.tail.max(other.tail);
        self.head = self.head.max(other.head);
        self.committed |= other.committed;
        self.released |= other.released;
    }
}

/// A position that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    sender: usize,
    /// `Some(None)`: given up.
    says: Option<Option<u64>>,
    receiver: Option<usize>,
    released: bool,
    /// In whose hands it is again, its receiver being dead.
    lent: Option<usize>,
    /// What is learnt by who sees it committed, or released.
    of_commit: View,
    of_release: View,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Begin,
    /// Of so many positions from the first, so many are done.
    Sending(usize, usize, usize),
    Receiving(usize, usize, usize),
    Exposed(usize),
    Read(usize),
    /// A guard is dropped, but for settling what else is met.
    Released,
    /// In hand, of a dead receiver.
    Again(usize),
    /// Done, but for settling what else is met.
    Settling(Saw),
    Told(Saw),
    /// Looks for the dead, and says that, or looks for a message once more.
    Looking(Option<Why>),
    Seating,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Actor {
    next: usize,
    stage: Stage,
    view: View,
    saw: Vec<Saw>,
    dead: bool,
    /// By `Role`: occupies such a seat.
    sits: [bool; 2],
    impatient: bool,
    heir: bool,
    /// A position in hand that was forgotten.
    forgotten: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    places: Vec<Place>,
    head: usize,
    /// What is learnt by who sees so many taken.
    tails: Vec<View>,
    heads: Vec<View>,
    actors: Vec<Actor>,
    is_last: bool,
}
