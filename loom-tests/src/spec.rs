//! What an spsc ring may do, as a state machine over whole operations.
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

use std::collections::{BTreeSet, HashSet};

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

/// One operation of a thread on its endpoint.
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
    /// Slots of the ring.
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

/// How much of each log somebody has learnt of, and can't miss any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Known {
    sent: usize,
    heads: usize,
    seats: [usize; 2],
}

impl Known {
    fn join(&mut self, other: Self) {
        self.sent = self.sent.max(other.sent);
        self.heads = self.heads.max(other.heads);
        for (mine, other) in self.seats.iter_mut().zip(other.seats) {
            *mine = other.max(*mine);
        }
    }
}

/// One step that others may see, and what its maker knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry<T> {
    value: T,
    known: Known,
}

/// How far a thread is within an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Begin,
    /// In the seat, not yet told so.
    Seated,
    /// So many of a batch have been sent, so many will be.
    Sending(usize, usize),
    /// A message is exposed by a guard.
    Exposed,
    /// And has been read.
    Read,
    /// All is done, but the caller has not been told.
    Untold(Saw),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Actor {
    next: usize,
    stage: Stage,
    role: Option<Role>,
    /// A guard was forgotten and is not settled.
    forgotten: bool,
    mortal: bool,
    dead: bool,
    known: Known,
    saw: Vec<Saw>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    sent: Vec<Entry<u64>>,
    heads: Vec<Entry<u64>>,
    seats: [Vec<Entry<Seat>>; 2],
    held: [bool; 2],
    /// What those knew who have held the seat's lock.
    left: [Known; 2],
    /// Positions below this were exposed by one who died.
    in_doubt_until: u64,
    /// The threads, and as the last one whoever runs at the end.
    threads: Vec<Actor>,
    ended: bool,
}

impl World {
    fn new(script: &Script) -> Self {
        let entry = |value| Entry { value, known: Known::default() };
        let mut world = Self {
            sent: Vec::new(),
            heads: vec![entry(0)],
            seats: [Seat::Vacant; 2]
                .map(|seat| vec![Entry { value: seat, known: Known::default() }]),
            held: [false; 2],
            left: [Known::default(); 2],
            in_doubt_until: 0,
            threads: Vec::new(),
            ended: false,
        };
        let mut known = Known::default();
        for role in script.threads.iter().filter_map(|thread| thread.begins) {
            world.held[role as usize] = true;
            world.note_seat(role, Seat::Live, &mut known);
        }
        let threads = script.threads.iter().map(|thread| (thread.begins, thread.mortal));
        world.threads = threads
            .chain([(None, false)])
            .map(|(role, mortal)| Actor {
                next: 0,
                stage: Stage::Begin,
                role,
                forgotten: false,
                mortal,
                dead: false,
                known,
                saw: Vec::new(),
            })
            .collect();
        world
    }

    fn head(&self) -> u64 {
        self.heads.last().expect("never empty").value
    }

    fn note_seat(&mut self, role: Role, value: Seat, known: &mut Known) {
        known.seats[role as usize] = self.seats[role as usize].len();
        self.seats[role as usize].push(Entry { value, known: *known });
    }

    /// Every world that one step leads to.
    fn steps(&self, script: &Script, memory: Memory) -> Vec<Self> {
        if self.ended {
            return self.act(script.threads.len(), &script.last, script, memory);
        }
        let mut next = Vec::new();
        let mut busy = false;
        for (who, thread) in script.threads.iter().enumerate() {
            let actor = &self.threads[who];
            if actor.dead || actor.next == thread.does.len() {
                continue;
            }
            busy = true;
            next.extend(self.act(who, &thread.does, script, memory));
            if actor.mortal {
                next.push(self.kill(who));
            }
        }
        if !busy {
            next.push(self.end());
        }
        next
    }

    /// All have ended: whoever has an endpoint leaves, and the last one knows everything.
    fn end(&self) -> Self {
        let mut world = self.clone();
        let last = world.threads.len() - 1;
        for who in 0..last {
            if !world.threads[who].dead && world.threads[who].role.is_some() {
                world.settle(who);
                world.leave(who);
            }
            let known = world.threads[who].known;
            world.threads[last].known.join(known);
        }
        world.ended = true;
        world
    }

    fn kill(&self, who: usize) -> Self {
        let mut world = self.clone();
        let actor = &mut world.threads[who];
        actor.dead = true;
        let exposed = actor.forgotten || matches!(actor.stage, Stage::Exposed | Stage::Read);
        let (role, known) = (actor.role, actor.known);
        if exposed {
            world.in_doubt_until = world.in_doubt_until.max(self.head() + 1);
        }
        if let Some(role) = role {
            world.held[role as usize] = false;
            world.left[role as usize] = known;
        }
        world
    }

    fn settle(&mut self, who: usize) {
        if std::mem::take(&mut self.threads[who].forgotten) {
            self.retire(who, 1);
        }
    }

    fn retire(&mut self, who: usize, count: u64) {
        let head = self.head() + count;
        let known = &mut self.threads[who].known;
        known.heads = self.heads.len();
        let entry = Entry { value: head, known: *known };
        self.heads.push(entry);
    }

    fn leave(&mut self, who: usize) {
        let role = self.threads[who].role.take().expect("has an endpoint");
        let mut known = self.threads[who].known;
        self.note_seat(role, Seat::Closed, &mut known);
        self.held[role as usize] = false;
        self.left[role as usize] = known;
        self.threads[who].known = known;
    }

    /// The operation is over.
    fn done(mut self, who: usize, saw: Option<Saw>) -> Self {
        let actor = &mut self.threads[who];
        actor.stage = Stage::Begin;
        actor.next += 1;
        actor.saw.extend(saw);
        self
    }

    /// The operation has taken effect; one who dies may not live to be told.
    fn told(self, who: usize, saw: Saw) -> Self {
        if self.threads[who].mortal {
            self.at(who, Stage::Untold(saw))
        } else {
            self.done(who, Some(saw))
        }
    }

    fn at(mut self, who: usize, stage: Stage) -> Self {
        self.threads[who].stage = stage;
        self
    }

    /// One step of one thread, in every way that it may go.
    fn act(&self, who: usize, does: &[Do], script: &Script, memory: Memory) -> Vec<Self> {
        let actor = &self.threads[who];
        let Some(&operation) = does.get(actor.next) else { return Vec::new() };
        let mut world = self.clone();
        if actor.forgotten && actor.stage == Stage::Begin && !matches!(operation, Do::Peer) {
            world.settle(who);
            return vec![world];
        }
        match (operation, actor.stage.clone()) {
            (_, Stage::Untold(saw)) => vec![world.done(who, Some(saw))],
            (Do::Attach(role), Stage::Begin) => {
                if self.held[role as usize] {
                    return Vec::new();
                }
                world.held[role as usize] = true;
                let mut known = actor.known;
                known.join(self.left[role as usize]);
                world.note_seat(role, Seat::Live, &mut known);
                world.threads[who].known = known;
                world.threads[who].role = Some(role);
                vec![world.at(who, Stage::Seated)]
            }
            (Do::Attach(role), _) => {
                let position = match role {
                    Role::Sender => self.sent.len() as u64,
                    Role::Receiver => self.head(),
                };
                vec![world.done(who, Some(Saw::Attached(position)))]
            }
            (Do::Leave, _) => {
                world.leave(who);
                vec![world.done(who, None)]
            }
            (Do::Peer, _) => self.ask(who, memory),
            (Do::Send(message) | Do::Commit(message), _) => {
                self.with_room(who, script, memory, |mut world, _| {
                    world.commit(who, message);
                    world.told(who, Saw::Sent(1))
                })
            }
            (Do::Abort(_), _) => {
                self.with_room(who, script, memory, |world, _| world.done(who, Some(Saw::Aborted)))
            }
            (Do::SendMany(messages), Stage::Begin) => {
                self.with_room(who, script, memory, |world, room| {
                    let all = messages.len().min(room);
                    world.send_one_of(who, messages, 0, all)
                })
            }
            (Do::SendMany(messages), Stage::Sending(sent, all)) => {
                vec![world.send_one_of(who, messages, sent, all)]
            }
            (Do::Recv, _) => self.with_messages(who, 1, memory, |mut world, count| {
                let got = world.got(count);
                world.retire(who, count);
                world.told(who, got)
            }),
            (Do::RecvMany(most), _) => self.with_messages(who, most, memory, |mut world, count| {
                let got = world.got(count);
                world.retire(who, count);
                world.told(who, got)
            }),
            (Do::Guard | Do::Forget, Stage::Begin) => {
                self.with_messages(who, 1, memory, |world, _| world.at(who, Stage::Exposed))
            }
            (Do::Guard, Stage::Exposed) => {
                let got = self.got(1);
                world.threads[who].saw.push(got);
                vec![world.at(who, Stage::Read)]
            }
            (Do::Guard, _) => {
                world.retire(who, 1);
                vec![world.done(who, None)]
            }
            (Do::Forget, _) => {
                let got = self.got(1);
                world.threads[who].forgotten = true;
                vec![world.done(who, Some(got))]
            }
            (operation, stage) => unreachable!("{operation:?} in {stage:?}"),
        }
    }

    fn commit(&mut self, who: usize, message: u64) {
        let known = &mut self.threads[who].known;
        known.sent = self.sent.len() + 1;
        let entry = Entry { value: message, known: *known };
        self.sent.push(entry);
    }

    fn send_one_of(mut self, who: usize, messages: &[u64], sent: usize, all: usize) -> Self {
        self.commit(who, messages[sent]);
        if sent + 1 == all {
            self.told(who, Saw::Sent(all))
        } else {
            self.at(who, Stage::Sending(sent + 1, all))
        }
    }

    fn got(&self, count: u64) -> Saw {
        let head = self.head();
        let got = |position: u64| Got {
            position,
            message: self.sent[position as usize].value,
            again: position < self.in_doubt_until,
        };
        Saw::Got((head..head + count).map(got).collect())
    }

    /// The entries of a log that a look may find newest: from the last known one on.
    fn looks<T>(log: &[Entry<T>], known: usize, memory: Memory) -> impl Iterator<Item = usize> {
        match memory {
            Memory::Sequential => log.len() - 1..log.len(),
            Memory::Late => known..log.len(),
        }
    }

    /// Looks at a seat, in every way it may be seen.
    fn look_at_seat(&self, who: usize, role: Role, memory: Memory) -> Vec<(Self, Seat)> {
        let log = &self.seats[role as usize];
        let known = self.threads[who].known.seats[role as usize];
        Self::looks(log, known, memory)
            .map(|index| {
                let mut world = self.clone();
                let known = &mut world.threads[who].known;
                known.join(log[index].known);
                (world, log[index].value)
            })
            .collect()
    }

    fn ask(&self, who: usize, memory: Memory) -> Vec<Self> {
        let role = self.threads[who].role.expect("has an endpoint").peer();
        let look = |(mut world, seat): (Self, Seat)| {
            if seat != Seat::Live || world.held[role as usize] {
                return world.done(who, Some(Saw::Peer(seat)));
            }
            // Nobody holds the lock: under it there is no doubt about the last state.
            let mut known = world.threads[who].known;
            known.join(world.left[role as usize]);
            let now = world.seats[role as usize].last().expect("never empty").value;
            let now = if now == Seat::Live {
                world.note_seat(role, Seat::Died, &mut known);
                Seat::Died
            } else {
                now
            };
            world.left[role as usize] = known;
            world.threads[who].known = known;
            world.done(who, Some(Saw::Peer(now)))
        };
        self.look_at_seat(who, role, memory).into_iter().map(look).collect()
    }

    /// Looks for room, and goes on with it if there is some.
    fn with_room(
        &self,
        who: usize,
        script: &Script,
        memory: Memory,
        go_on: impl Fn(Self, usize) -> Self,
    ) -> Vec<Self> {
        let look = |world: &Self| {
            let known = world.threads[who].known.heads;
            let looked: Vec<_> = Self::looks(&world.heads, known, memory)
                .map(|index| {
                    let mut world = world.clone();
                    let head = world.heads[index];
                    world.threads[who].known.join(head.known);
                    let waiting = world.sent.len() as u64 - head.value;
                    (world, script.capacity - waiting)
                })
                .collect();
            looked
        };
        let mut next = Vec::new();
        for (world, room) in look(self) {
            if room > 0 {
                next.push(go_on(world, room as usize));
                continue;
            }
            for (world, seat) in world.look_at_seat(who, Role::Receiver, memory) {
                let Some(why) = ended(seat) else {
                    next.push(world.done(who, Some(Saw::Not(Why::Full))));
                    continue;
                };
                // The receiver's last words count.
                next.extend(look(&world).into_iter().map(|(world, room)| match room {
                    0 => world.done(who, Some(Saw::Not(why))),
                    room => go_on(world, room as usize),
                }));
            }
        }
        next
    }

    /// Looks for at most `most` messages, and goes on with them if there are some.
    fn with_messages(
        &self,
        who: usize,
        most: usize,
        memory: Memory,
        go_on: impl Fn(Self, u64) -> Self,
    ) -> Vec<Self> {
        let head = self.head() as usize;
        let look = |world: &Self| {
            let waiting = (world.sent.len() - head).min(most);
            let least = match memory {
                Memory::Sequential => waiting,
                Memory::Late => world.threads[who].known.sent.saturating_sub(head).min(most),
            };
            let looked: Vec<_> = (least..=waiting)
                .map(|count| {
                    let mut world = world.clone();
                    if count > 0 {
                        let known = world.sent[head + count - 1].known;
                        world.threads[who].known.join(known);
                    }
                    (world, count)
                })
                .collect();
            looked
        };
        let mut next = Vec::new();
        for (world, count) in look(self) {
            if count > 0 {
                next.push(go_on(world, count as u64));
                continue;
            }
            for (world, seat) in world.look_at_seat(who, Role::Sender, memory) {
                let Some(why) = ended(seat) else {
                    next.push(world.done(who, Some(Saw::Not(Why::Empty))));
                    continue;
                };
                // The sender's last words count.
                next.extend(look(&world).into_iter().map(|(world, count)| match count {
                    0 => world.done(who, Some(Saw::Not(why))),
                    count => go_on(world, count as u64),
                }));
            }
        }
        next
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
