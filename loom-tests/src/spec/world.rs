//! The state of a ring and its threads, and the steps that all rings have.

use super::{Do, Memory, Role, Saw, Script, Seat, Why, ended};

/// How much of each log somebody has learnt of, and can't miss any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Known {
    pub(super) tails: usize,
    pub(super) heads: usize,
    pub(super) seats: [usize; 2],
}

impl Known {
    pub(super) fn join(&mut self, other: Self) {
        self.tails = self.tails.max(other.tails);
        self.heads = self.heads.max(other.heads);
        for (mine, other) in self.seats.iter_mut().zip(other.seats) {
            *mine = other.max(*mine);
        }
    }
}

/// One step that others may see, and what its maker knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry<T> {
    pub(super) value: T,
    pub(super) known: Known,
}

/// How far a thread is within an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Begin,
    /// In the seat, not yet told so.
    Seated,
    /// So many of a batch have been sent, so many will be.
    Sending(usize, usize),
    /// A message is exposed by a guard.
    Exposed,
    /// And has been read.
    Read,
    /// Has the seat's lock, and has not looked at the seat yet.
    Locked,
    /// So many bytes of what was asked for have been received.
    Taking(usize),
    /// So many bytes are exposed by a guard.
    Lent(usize),
    /// And were read, and so many of them will be released.
    Releasing(usize),
    /// Has said the end, and looks whether all was received.
    Ended,
    /// All is done, but the caller has not been told.
    Untold(Saw),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Actor {
    pub(super) next: usize,
    pub(super) stage: Stage,
    pub(super) role: Option<Role>,
    /// A guard was forgotten and is not settled.
    pub(super) forgotten: bool,
    pub(super) mortal: bool,
    pub(super) dead: bool,
    pub(super) known: Known,
    pub(super) saw: Vec<Saw>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    /// Messages, or bytes.
    pub(super) sent: Vec<u64>,
    /// How many were sent, after each commit.
    pub(super) tails: Vec<Entry<u64>>,
    pub(super) heads: Vec<Entry<u64>>,
    pub(super) seats: [Vec<Entry<Seat>>; 2],
    pub(super) held: [bool; 2],
    /// What those knew who have held the seat's lock.
    pub(super) left: [Known; 2],
    /// Positions below this were exposed by one who died.
    pub(super) in_doubt_until: u64,
    /// The threads, and as the last one whoever runs at the end.
    pub(super) threads: Vec<Actor>,
    pub(super) ended: bool,
}

impl World {
    pub(super) fn new(script: &Script) -> Self {
        let entry = |value| Entry { value, known: Known::default() };
        let mut world = Self {
            sent: Vec::new(),
            tails: vec![entry(0)],
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

    pub(super) fn head(&self) -> u64 {
        self.heads.last().expect("never empty").value
    }

    pub(super) fn note_seat(&mut self, role: Role, value: Seat, known: &mut Known) {
        known.seats[role as usize] = self.seats[role as usize].len();
        self.seats[role as usize].push(Entry { value, known: *known });
    }

    /// Every world that one step leads to.
    pub(super) fn steps(&self, script: &Script, memory: Memory) -> Vec<Self> {
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
    pub(super) fn end(&self) -> Self {
        let mut world = self.clone();
        let last = world.threads.len() - 1;
        for who in 0..last {
            if !world.threads[who].dead && world.threads[who].role.is_some() {
                world.settle(who);
                world.leave(who, Seat::Closed);
            }
            let known = world.threads[who].known;
            world.threads[last].known.join(known);
        }
        world.ended = true;
        world
    }

    pub(super) fn kill(&self, who: usize) -> Self {
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

    pub(super) fn settle(&mut self, who: usize) {
        if std::mem::take(&mut self.threads[who].forgotten) {
            self.retire(who, 1);
        }
    }

    pub(super) fn retire(&mut self, who: usize, count: u64) {
        let head = self.head() + count;
        let known = &mut self.threads[who].known;
        known.heads = self.heads.len();
        let entry = Entry { value: head, known: *known };
        self.heads.push(entry);
    }

    /// Leaves the seat in that state.
    pub(super) fn leave(&mut self, who: usize, how: Seat) {
        let role = self.threads[who].role.expect("has an endpoint");
        let mut known = self.threads[who].known;
        self.note_seat(role, how, &mut known);
        self.threads[who].known = known;
        self.unlock(who);
    }

    /// Gives up the seat's lock.
    pub(super) fn unlock(&mut self, who: usize) {
        let role = self.threads[who].role.take().expect("has an endpoint");
        self.held[role as usize] = false;
        self.left[role as usize] = self.threads[who].known;
    }

    /// The operation is over.
    pub(super) fn done(mut self, who: usize, saw: Option<Saw>) -> Self {
        let actor = &mut self.threads[who];
        actor.stage = Stage::Begin;
        actor.next += 1;
        actor.saw.extend(saw);
        self
    }

    /// The operation has taken effect; one who dies may not live to be told.
    pub(super) fn told(self, who: usize, saw: Saw) -> Self {
        if self.threads[who].mortal {
            self.at(who, Stage::Untold(saw))
        } else {
            self.done(who, Some(saw))
        }
    }

    pub(super) fn at(mut self, who: usize, stage: Stage) -> Self {
        self.threads[who].stage = stage;
        self
    }

    /// One step of one thread, in every way that it may go.
    pub(super) fn act(
        &self,
        who: usize,
        does: &[Do],
        script: &Script,
        memory: Memory,
    ) -> Vec<Self> {
        let actor = &self.threads[who];
        let Some(&operation) = does.get(actor.next) else { return Vec::new() };
        let mut world = self.clone();
        if actor.forgotten && actor.stage == Stage::Begin && !matches!(operation, Do::Peer) {
            world.settle(who);
            return vec![world];
        }
        let comes = matches!(operation, Do::Attach(_) | Do::Join(_));
        if actor.role.is_none() && actor.stage == Stage::Begin && !comes {
            return vec![world.done(who, None)];
        }
        match (operation, actor.stage.clone()) {
            (_, Stage::Untold(saw)) => vec![world.done(who, Some(saw))],
            (Do::Leave, _) => {
                world.leave(who, Seat::Closed);
                vec![world.done(who, None)]
            }
            (Do::Peer, _) => self.ask(who, memory),
            (
                Do::Attach(_)
                | Do::Send(_)
                | Do::SendMany(_)
                | Do::Commit(_)
                | Do::Abort(_)
                | Do::Recv
                | Do::RecvMany(_)
                | Do::Guard
                | Do::Forget,
                stage,
            ) => self.act_on_messages(who, (operation, stage), script, memory),
            (_, stage) => self.act_on_bytes(who, (operation, stage), script, memory),
        }
    }

    /// `count` messages or bytes come into being, in one step.
    pub(super) fn commit(&mut self, who: usize, sent: impl IntoIterator<Item = u64>) {
        self.sent.extend(sent);
        let known = &mut self.threads[who].known;
        known.tails = self.tails.len();
        let entry = Entry { value: self.sent.len() as u64, known: *known };
        self.tails.push(entry);
    }

    /// The entries of a log that a look may find newest: from the last known one on.
    pub(super) fn looks<T>(
        log: &[Entry<T>],
        known: usize,
        memory: Memory,
    ) -> impl Iterator<Item = usize> {
        match memory {
            Memory::Sequential => log.len() - 1..log.len(),
            Memory::Late => known..log.len(),
        }
    }

    /// Looks at a seat, in every way it may be seen.
    pub(super) fn look_at_seat(&self, who: usize, role: Role, memory: Memory) -> Vec<(Self, Seat)> {
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

    pub(super) fn ask(&self, who: usize, memory: Memory) -> Vec<Self> {
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

    /// Looks for room, in every way it may be seen.
    pub(super) fn look_for_room(
        &self,
        who: usize,
        script: &Script,
        memory: Memory,
    ) -> Vec<(Self, usize)> {
        let known = self.threads[who].known.heads;
        Self::looks(&self.heads, known, memory)
            .map(|index| {
                let mut world = self.clone();
                let head = world.heads[index];
                world.threads[who].known.join(head.known);
                let waiting = world.sent.len() as u64 - head.value;
                (world, (script.capacity - waiting) as usize)
            })
            .collect()
    }

    /// Looks for what the peer may have done, and goes on with it if there is some. If not,
    /// looks whether the peer is gone, and then once more: what it did before counts.
    pub(super) fn look_twice(
        &self,
        (who, peer, memory): (usize, Role, Memory),
        nothing: Why,
        look: impl Fn(&Self) -> Vec<(Self, usize)>,
        go_on: impl Fn(Self, usize) -> Self,
    ) -> Vec<Self> {
        let mut next = Vec::new();
        for (world, count) in look(self) {
            if count > 0 {
                next.push(go_on(world, count));
                continue;
            }
            for (world, seat) in world.look_at_seat(who, peer, memory) {
                let Some(why) = ended(seat) else {
                    next.push(world.done(who, Some(Saw::Not(nothing))));
                    continue;
                };
                next.extend(look(&world).into_iter().map(|(world, count)| match count {
                    0 => world.done(who, Some(Saw::Not(why))),
                    count => go_on(world, count),
                }));
            }
        }
        next
    }
}
