//! What a ring may do, as a state machine over whole operations: [`messages`] has those of
//! an spsc ring, [`stream`] those of a stream.
//!
//! A [`Script`] says what each thread does. [`Script::outcomes`] runs it through every
//! interleaving of the machine's steps and gives the set of everything that the threads
//! may see. There is no ring in here, no slot, stamp, claim or ordering: a log of what was
//! sent, a log of how far was received, and the history of two seats.
//!
//! Under [`Memory::Sequential`] each look at the peer sees its latest step: a FIFO queue
//! whose operations are atomic. Under [`Memory::Late`] a look may miss the peer's newest
//! steps, but never what the looker has learnt of already, itself or through what it
//! saw: `Full` and `Empty` may be said late. That is all that guarantees.md leaves open,
//! and all that the weakest permitted machine may add.

mod messages;
mod stream;
mod world;

use std::collections::{BTreeSet, HashSet};

use world::World;

/// A side of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Sends.
    Sender,
    /// Receives.
    Receiver,
}

impl Role {
    fn peer(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

/// One operation of a thread on its endpoint; nothing, if it was not let in.
#[derive(Clone, Copy, Debug)]
pub enum Do {
    /// Take the seat as soon as it is free.
    Attach(Role),
    /// `try_send`.
    Send(u64),
    /// `try_send_many`.
    SendMany(&'static [u64]),
    /// `try_reserve`, write, commit.
    Commit(u64),
    /// `try_reserve`, write, drop.
    Abort(u64),
    /// `try_recv`.
    Recv,
    /// `try_recv_many` for at most so many.
    RecvMany(usize),
    /// `try_recv_ref`, read, drop.
    Guard,
    /// `try_recv_ref`, read, forget.
    Forget,
    /// `peer`.
    Peer,
    /// Drop the endpoint.
    Leave,
    /// Of a stream: take the seat as soon as it is free, if it was never taken.
    Join(Role),
    /// Of a stream: `try_send`.
    SendBytes(&'static [u8]),
    /// Of a stream: `try_reserve`, append in two halves, commit.
    CommitBytes(&'static [u8]),
    /// Of a stream: `try_reserve`, append, drop.
    AbortBytes(&'static [u8]),
    /// Of a stream: `try_recv` of at most so many.
    RecvBytes(usize),
    /// Of a stream: `try_recv_ref`, read, release the first so many; none: forget it.
    GuardBytes(usize),
    /// Of a stream: `finish`.
    Finish,
    /// Of a stream: `abort`.
    Abandon,
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Saw {
    /// Took the seat; the next message has this position.
    Attached(u64),
    /// Sent so many.
    Sent(usize),
    /// Reserved a slot and gave it back.
    Aborted,
    /// Received these.
    Got(Vec<Got>),
    /// Nothing was sent or received, and why.
    Not(Why),
    /// How the peer's seat stands.
    Peer(Seat),
    /// The stream has had its one occupant of that seat.
    Over,
    /// Received these bytes, from that position on.
    Bytes(u64, Vec<u8>),
    /// Said the end.
    Finished,
}

/// A received message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Got {
    /// Its position.
    pub position: u64,
    /// What it says.
    pub message: u64,
    /// Whether it was marked as coming a second time.
    pub again: bool,
}

impl std::fmt::Debug for Got {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}{}", self.message, self.position, if self.again { " again" } else { "" })
    }
}

/// Why nothing was sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// No room.
    Full,
    /// No message.
    Empty,
    /// That, and the peer has left.
    Closed,
    /// That, and the peer was found dead.
    Died,
}

/// How a seat stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Seat {
    /// Nobody has come yet.
    Vacant,
    /// Occupied.
    Live,
    /// Left in order.
    Closed,
    /// Found dead.
    Died,
}

/// What one thread does.
#[derive(Clone, Debug)]
pub struct Thread {
    /// The endpoint it is given at the start.
    pub begins: Option<Role>,
    /// Its operations, in order. An endpoint that it does not leave is left at the end.
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
    /// Slots of the ring, or bytes of the stream.
    pub capacity: u64,
    /// The threads; the first runs where the ring was made.
    pub threads: Vec<Thread>,
    /// What is done when all have ended, by one who has seen them end.
    pub last: Vec<Do>,
}

/// What each thread saw, in order; at the end what `last` saw.
pub type Outcome = Vec<Vec<Saw>>;

/// How far looks at the peer may lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Not at all.
    Sequential,
    /// As far as causality permits.
    Late,
}

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
                assert!(world.ended, "the script gets stuck in {world:?}");
                outcomes.insert(world.threads.into_iter().map(|actor| actor.saw).collect());
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

/// What a seat without an occupant means to the peer.
fn ended(seat: Seat) -> Option<Why> {
    match seat {
        Seat::Vacant | Seat::Live => None,
        Seat::Closed => Some(Why::Closed),
        Seat::Died => Some(Why::Died),
    }
}
