//! The steps of the state machine.

use super::{Actor, Do, Got, Memory, Place, Role, Saw, Script, Stage, UNTOLD, View, Why, World};

fn bit(position: usize) -> u16 {
    1 << position
}

impl Actor {
    fn new(begins: Option<Role>, view: View) -> Self {
        let mut sits = [false; 2];
        if let Some(role) = begins {
            sits[role as usize] = true;
        }
        Self {
            next: 0,
            stage: Stage::Begin,
            view,
            saw: Vec::new(),
            dead: false,
            sits,
            impatient: false,
            heir: false,
            forgotten: None,
        }
    }
}

impl World {
    pub(super) fn new(script: &Script) -> Self {
        let actor = |thread: &super::Thread| Actor::new(thread.begins, View::default());
        Self {
            places: Vec::new(),
            head: 0,
            tails: vec![View::default()],
            heads: vec![View::default()],
            actors: script.threads.iter().map(actor).collect(),
            is_last: false,
        }
    }

    fn does<'a>(&self, who: usize, script: &'a Script) -> &'a [Do] {
        script.threads.get(who).map_or(&script.last, |thread| &thread.does)
    }

    pub(super) fn all_have_ended(&self, script: &Script) -> bool {
        let mut actors = self.actors.iter().enumerate();
        actors.all(|(who, actor)| actor.dead || actor.next == self.does(who, script).len())
    }

    /// Every world that may be next.
    pub(super) fn steps(&self, script: &Script, memory: Memory) -> Vec<Self> {
        if !self.is_last && self.all_have_ended(script) {
            return vec![self.last()];
        }
        let mut next = Vec::new();
        for (who, actor) in self.actors.iter().enumerate() {
            let does = self.does(who, script);
            if actor.dead || actor.next == does.len() {
                continue;
            }
            next.extend(self.step(who, does[actor.next], script, memory));
            if script.threads.get(who).is_some_and(|thread| thread.mortal) {
                let mut world = self.clone();
                world.actors[who].dead = true;
                for place in &mut world.places {
                    place.lent = place.lent.filter(|lent| *lent != who);
                }
                next.push(world);
            }
        }
        next
    }

    /// All have ended: who lives leaves, and one comes who has seen it all.
    fn last(&self) -> Self {
        let mut world = self.clone();
        let mut view = View { tail: self.places.len(), head: self.head, ..View::default() };
        for who in 0..world.actors.len() {
            if !world.actors[who].dead {
                if let Some(position) = world.actors[who].forgotten.take() {
                    world.settle_own(who, position);
                }
                world.actors[who].sits = [false; 2];
            }
        }
        for (position, place) in world.places.iter().enumerate() {
            view.committed |= if place.says.is_some() { bit(position) } else { 0 };
            view.released |= if place.released { bit(position) } else { 0 };
        }
        world.is_last = true;
        world.actors.push(Actor::new(None, view));
        world
    }

    fn at(mut self, who: usize, stage: Stage) -> Self {
        self.actors[who].stage = stage;
        self
    }

    fn done(mut self, who: usize, saw: Option<Saw>) -> Self {
        let actor = &mut self.actors[who];
        actor.saw.extend(saw);
        actor.next += 1;
        self.at(who, Stage::Begin)
    }

    fn commit(&mut self, who: usize, position: usize, says: Option<u64>) {
        let view = &mut self.actors[who].view;
        view.committed |= bit(position);
        let place = &mut self.places[position];
        assert!(place.says.is_none(), "committed twice");
        (place.says, place.of_commit) = (Some(says), *view);
    }

    fn release(&mut self, who: usize, position: usize) {
        let view = &mut self.actors[who].view;
        view.released |= bit(position);
        let place = &mut self.places[position];
        assert!(!place.released, "released twice");
        (place.released, place.lent, place.of_release) = (true, None, *view);
    }

    /// What was forgotten is released, or given up.
    fn settle_own(&mut self, who: usize, position: usize) {
        if self.places[position].says.is_none() {
            self.commit(who, position, None);
        } else {
            self.release(who, position);
        }
    }

    fn got(&self, positions: impl Iterator<Item = usize>) -> Vec<Got> {
        let message = |position: usize| {
            let message = self.places[position].says.flatten()?;
            let again = self.places[position].lent.is_some();
            Some(Got { position: position as u64, message, again })
        };
        let mut got: Vec<_> = positions.filter_map(message).collect();
        let untold = got.len().saturating_sub(1);
        for got in &mut got[..untold] {
            got.position = UNTOLD;
        }
        got
    }

    fn is_anybody_there(&self, role: Role) -> bool {
        self.actors.iter().any(|actor| !actor.dead && actor.sits[role as usize])
    }

    fn gone(&self, role: Role) -> Vec<Why> {
        if self.is_anybody_there(role) {
            return Vec::new();
        }
        // Only one who died at that side can have left more than `Closed`.
        let died = self.actors.iter().any(|actor| actor.dead && actor.sits[role as usize]);
        if died { vec![Why::Closed, Why::Died] } else { vec![Why::Closed] }
    }

    /// What can be settled of the dead, without and with a message that comes again.
    fn settled(&self, who: usize, stage: &Stage, deliver: bool) -> Vec<Self> {
        let mut next = Vec::new();
        let is_dead = |who: usize| self.actors[who].dead;
        for (position, place) in self.places.iter().enumerate() {
            let mut world = self.clone();
            match (place.says, place.receiver) {
                (None, _) if is_dead(place.sender) => world.commit(who, position, None),
                (Some(None), Some(receiver)) if is_dead(receiver) && !place.released => {
                    world.release(who, position);
                }
                (Some(Some(_)), Some(receiver))
                    if deliver && is_dead(receiver) && !place.released && place.lent.is_none() =>
                {
                    world.places[position].lent = Some(who);
                    next.push(world.at(who, Stage::Again(position)));
                    continue;
                }
                _ => continue,
            }
            next.push(world.at(who, stage.clone()));
        }
        next
    }

    /// One step of an operation, in every way that it may go.
    fn step(&self, who: usize, operation: Do, script: &Script, memory: Memory) -> Vec<Self> {
        let mut world = self.clone();
        let must = self.is_last || memory == Memory::Sequential;
        let stage = self.actors[who].stage.clone();
        match (operation, stage) {
            (Do::Impatient, _) => {
                world.actors[who].impatient = true;
                vec![world.done(who, None)]
            }
            (Do::Attach(role), Stage::Begin) => {
                let sit = |actor: &&Actor| !actor.dead && actor.sits[role as usize];
                if self.actors.iter().filter(sit).count() == script.seats {
                    return Vec::new();
                }
                world.actors[who].sits[role as usize] = true;
                let mut heir = world.clone();
                heir.actors[who].heir = role == Role::Receiver;
                [world, heir].map(|world| world.at(who, Stage::Seating)).into()
            }
            (Do::Attach(_), stage) => {
                let mut next = self.settled(who, &stage, false);
                next.push(world.done(who, None));
                next
            }
            (_, Stage::Begin) if self.actors[who].forgotten.is_some() => {
                let position = world.actors[who].forgotten.take().expect("just seen");
                world.settle_own(who, position);
                vec![world]
            }
            (Do::Leave, _) => {
                world.actors[who].sits = [false; 2];
                vec![world.done(who, None)]
            }
            (_, Stage::Told(saw)) => vec![world.done(who, Some(saw))],
            (_, Stage::Settling(saw)) => {
                let mut next = self.settled(who, &Stage::Settling(saw.clone()), false);
                next.push(world.done(who, Some(saw)));
                next
            }
            (_, Stage::Released) => {
                let mut next = self.settled(who, &Stage::Released, false);
                next.push(world.done(who, None));
                next
            }
            (_, Stage::Looking(then)) => {
                let mut next = self.settled(who, &Stage::Looking(then), then.is_none());
                if !must || next.is_empty() {
                    world.actors[who].heir = false;
                    next.push(match then {
                        Some(why) => world.at(who, Stage::Told(Saw::Not(why))),
                        None => world.at(who, Stage::Begin),
                    });
                }
                next
            }
            (Do::Send(_) | Do::SendMany(_) | Do::Commit(_) | Do::Abort | Do::Reserve, stage) => {
                self.send(who, (operation, stage), script, memory)
            }
            (Do::Recv | Do::RecvMany(_) | Do::Guard | Do::Forget, stage) => {
                self.receive(who, (operation, stage), script, memory)
            }
        }
    }

    fn send(
        &self,
        who: usize,
        (operation, stage): (Do, Stage),
        script: &Script,
        memory: Memory,
    ) -> Vec<Self> {
        let messages: &[u64] = match &operation {
            Do::SendMany(messages) => messages,
            Do::Send(message) | Do::Commit(message) => core::slice::from_ref(message),
            _ => &[0],
        };
        match stage {
            Stage::Begin => {
                let most = messages.len().min(script.capacity);
                let mut next = self.take_to_send(who, most, script.capacity, memory);
                for world in self.refused_to_send(who, script.capacity, memory) {
                    let looks = world.actors[who].impatient;
                    let mut whys = self.gone(Role::Receiver);
                    whys.push(Why::Full);
                    for why in whys {
                        let mut world = world.clone();
                        world.actors[who].impatient = false;
                        next.push(if looks && why == Why::Full {
                            world.at(who, Stage::Looking(Some(why)))
                        } else {
                            world.at(who, Stage::Told(Saw::Not(why)))
                        });
                    }
                }
                next
            }
            Stage::Sending(start, count, done) => {
                let mut world = self.clone();
                match operation {
                    Do::Reserve => {
                        world.actors[who].forgotten = Some(start);
                        return vec![world.done(who, Some(Saw::Reserved))];
                    }
                    Do::Abort => world.commit(who, start, None),
                    _ => world.commit(who, start + done, Some(messages[done])),
                }
                let saw =
                    if matches!(operation, Do::Abort) { Saw::Reserved } else { Saw::Sent(count) };
                let done = done + 1;
                vec![world.at(
                    who,
                    if done == count {
                        Stage::Told(saw)
                    } else {
                        Stage::Sending(start, count, done)
                    },
                )]
            }
            stage => unreachable!("{operation:?} in {stage:?}"),
        }
    }

    /// Takes positions, in every number that a look may give.
    fn take_to_send(&self, who: usize, most: usize, capacity: usize, memory: Memory) -> Vec<Self> {
        let start = self.places.len();
        let mut next = Vec::new();
        let mut view = self.actors[who].view;
        for count in 1..=most {
            // The slot of the last of them.
            if let Some(before) = (start + count - 1).checked_sub(capacity) {
                let Some(place) = self.places.get(before).filter(|place| place.released) else {
                    break;
                };
                if view.released & bit(before) != 0 || memory == Memory::Sequential {
                    // It is seen: fewer are not taken.
                    next.clear();
                }
                view.join(place.of_release);
            } else {
                next.clear();
            }
            let mut world = self.clone();
            let mut view = view;
            view.join(self.tails[start]);
            view.tail = start + count;
            let place = Place {
                sender: who,
                says: None,
                receiver: None,
                released: false,
                lent: None,
                of_commit: View::default(),
                of_release: View::default(),
            };
            world.places.resize(start + count, place);
            world.tails.resize(start + count + 1, view);
            world.actors[who].view = view;
            world.actors[who].impatient = false;
            next.push(world.at(who, Stage::Sending(start, count, 0)));
        }
        next
    }

    /// The worlds in which there was no room.
    fn refused_to_send(&self, who: usize, capacity: usize, memory: Memory) -> Vec<Self> {
        let view = self.actors[who].view;
        let refuses = |tail: &usize| {
            let Some(before) = tail.checked_sub(capacity) else { return false };
            match memory {
                Memory::Sequential => *tail == self.places.len() && !self.places[before].released,
                Memory::Late => view.released & bit(before) == 0,
            }
        };
        let seen = (view.tail..=self.places.len()).filter(refuses);
        seen.map(|tail| {
            let mut world = self.clone();
            world.actors[who].view.tail = tail;
            world
        })
        .collect()
    }

    fn receive(
        &self,
        who: usize,
        (operation, stage): (Do, Stage),
        script: &Script,
        memory: Memory,
    ) -> Vec<Self> {
        let mut world = self.clone();
        match stage {
            Stage::Begin => self.begin_to_receive(who, operation, script, memory),
            Stage::Receiving(start, count, done) if done < count => {
                world.release(who, start + done);
                vec![world.at(who, Stage::Receiving(start, count, done + 1))]
            }
            Stage::Receiving(start, count, _) => {
                let got = self.got(start..start + count);
                vec![if got.is_empty() {
                    world.at(who, Stage::Begin)
                } else {
                    world.done(who, Some(Saw::Got(got)))
                }]
            }
            Stage::Again(position) => {
                let saw = Saw::Got(self.got(position..position + 1));
                match operation {
                    Do::Guard => {
                        world.actors[who].saw.push(saw);
                        vec![world.at(who, Stage::Read(position))]
                    }
                    Do::Forget => {
                        world.actors[who].forgotten = Some(position);
                        vec![world.done(who, Some(saw))]
                    }
                    _ => {
                        world.release(who, position);
                        vec![world.at(who, Stage::Settling(saw))]
                    }
                }
            }
            Stage::Exposed(position) => {
                let saw = Saw::Got(self.got(position..position + 1));
                if matches!(operation, Do::Forget) {
                    world.actors[who].forgotten = Some(position);
                    return vec![world.done(who, Some(saw))];
                }
                world.actors[who].saw.push(saw);
                vec![world.at(who, Stage::Read(position))]
            }
            Stage::Read(position) => {
                world.release(who, position);
                vec![world.at(who, Stage::Released)]
            }
            stage => unreachable!("{operation:?} in {stage:?}"),
        }
    }

    fn begin_to_receive(
        &self,
        who: usize,
        operation: Do,
        script: &Script,
        memory: Memory,
    ) -> Vec<Self> {
        let look = |mut world: Self| {
            world.actors[who].impatient = false;
            world.at(who, Stage::Looking(None))
        };
        if self.actors[who].heir {
            // What was inherited comes first; if that can't be had, nothing does.
            let mut next = vec![look(self.clone())];
            if memory == Memory::Late && !self.is_last {
                next.push(self.clone().at(who, Stage::Told(Saw::Not(Why::Stalled))));
            }
            return next;
        }
        let most = match operation {
            Do::RecvMany(most) => most.min(script.capacity),
            _ => 1,
        };
        let mut next = self.take_to_receive(who, (operation, most), memory);
        for (world, why) in self.refused_to_receive(who, script.capacity, memory) {
            next.push(if world.actors[who].impatient {
                look(world)
            } else {
                world.at(who, Stage::Told(Saw::Not(why)))
            });
        }
        if self.head == self.places.len() {
            for why in self.gone(Role::Sender) {
                // What the dead held comes before the end.
                next.push(look(self.clone()));
                next.push(self.clone().at(who, Stage::Told(Saw::Not(why))));
            }
        }
        next
    }

    fn take_to_receive(
        &self,
        who: usize,
        (operation, most): (Do, usize),
        memory: Memory,
    ) -> Vec<Self> {
        let mut next = Vec::new();
        let mut view = self.actors[who].view;
        for count in 1..=most {
            let last = self.head + count - 1;
            let Some(place) = self.places.get(last).filter(|place| place.says.is_some()) else {
                break;
            };
            if view.committed & bit(last) != 0 || memory == Memory::Sequential {
                next.clear();
            }
            view.join(place.of_commit);
            let mut world = self.clone();
            let mut view = view;
            view.join(self.heads[self.head]);
            view.head = last + 1;
            world.heads.resize(last + 2, view);
            world.head = last + 1;
            for place in &mut world.places[self.head..=last] {
                place.receiver = Some(who);
            }
            world.actors[who].view = view;
            world.actors[who].impatient = false;
            let exposes = matches!(operation, Do::Guard | Do::Forget)
                && self.places[self.head].says != Some(None);
            next.push(world.at(
                who,
                if exposes {
                    Stage::Exposed(self.head)
                } else {
                    Stage::Receiving(self.head, count, 0)
                },
            ));
        }
        next
    }

    /// The worlds in which there was no message, and why.
    fn refused_to_receive(&self, who: usize, capacity: usize, memory: Memory) -> Vec<(Self, Why)> {
        let tail = self.places.len();
        if memory == Memory::Sequential {
            let why = if self.head == tail { Why::Empty } else { Why::Stalled };
            let is_there = self.places.get(self.head).is_some_and(|place| place.says.is_some());
            return if is_there { Vec::new() } else { vec![(self.clone(), why)] };
        }
        let mut next = Vec::new();
        let view = self.actors[who].view;
        for head in view.head..=self.head {
            if view.committed & bit(head) != 0 {
                continue;
            }
            let mut world = self.clone();
            world.actors[who].view.head = head;
            if head.checked_sub(capacity).is_some_and(|before| view.released & bit(before) == 0) {
                // As far as he knows the lap before is not over.
                next.push((world.clone(), Why::Empty));
            }
            for tail in view.tail..=tail {
                let mut world = world.clone();
                let view = &mut world.actors[who].view;
                view.join(self.tails[tail]);
                view.tail = view.tail.max(tail);
                if view.committed & bit(head) == 0 {
                    next.push((world, if tail <= head { Why::Empty } else { Why::Stalled }));
                }
            }
        }
        next
    }
}
