//! One state of everything: shared words, participants, and what the explorer remembers.
//!
//! ```text
//!   tail head │ slots │ per seat: claim, state │ seen, crashes, stops │ participants
//! ```
//!
//! Locks are not stored: a seat is locked while a living participant says that he holds
//! it. So participants are interchangeable, and are kept sorted. Imports: machine, words.

use crate::access::{Access, Move, Setup, Word};
use crate::bugs::Bug;
use crate::machine::{FLUSH, Local, NOBODY, Pc};
use crate::words::{self, LIVE, RECOVERING, Slot, VACANT};

/// Most participants of a model.
pub const MOST: usize = 6;
/// A packed state.
pub type Packed = [u64; 2 + MOST];

/// What a run of the explorer starts from.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// For tables.
    pub name: &'static str,
    /// The ring.
    pub setup: Setup,
    /// Messages of each sender who sits at the start; then of each who comes later.
    pub senders: (&'static [u8], &'static [u8]),
    /// Receivers who sit at the start, and who come later.
    pub receivers: (u8, u8),
    /// Dead senders, then receivers, at the start, on the seats after those of the living.
    /// All of a kind claim the same position, and one of them took it.
    pub dead: (u8, u8),
    /// How many may be killed.
    pub crashes: u8,
    /// How many may be stopped for ever.
    pub stops: u8,
}

/// One state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    /// Next position to send.
    pub tail: u64,
    /// Next position to receive.
    pub head: u64,
    /// The slots' words.
    pub slots: [u64; 4],
    /// The seats' claims.
    pub claims: [u64; 6],
    /// The seats' states.
    pub states: [u64; 6],
    /// Positions whose message somebody was given, one bit each.
    pub seen: u16,
    /// Kills left.
    pub crashes: u8,
    /// Stops left.
    pub stops: u8,
    /// The participants.
    pub locals: [Local; MOST],
}

/// What a participant does next, or what is done to him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An access.
    Step(Move),
    /// The kernel has ended him and dropped his locks.
    Crash,
    /// He never moves again, but lives.
    Stop,
}

impl World {
    /// The start.
    pub fn new(config: &Config) -> Self {
        let setup = &config.setup;
        let mut slots = [0; 4];
        for p in 0..setup.capacity {
            slots[p as usize] = Slot::Free(p).word();
        }
        let nobody = Local { pc: Pc::Gone, ..Local::out(false, 0) };
        let mut world = Self {
            tail: 0,
            head: 0,
            slots,
            claims: [0; 6],
            states: [VACANT; 6],
            seen: 0,
            crashes: config.crashes,
            stops: config.stops,
            locals: [nobody; MOST],
        };
        let mut all = Vec::new();
        for (seat, budget) in (0..).zip(config.senders.0) {
            all.push(Local { seat, pc: Pc::Idle, ..Local::out(true, *budget) });
        }
        for seat in (setup.senders..).take(config.receivers.0.into()) {
            all.push(Local { seat, pc: Pc::Idle, ..Local::out(false, 0) });
        }
        all.iter().for_each(|local| world.states[usize::from(local.seat)] = LIVE);
        let (senders, receivers) = config.dead;
        let die = |world: &mut Self, seats: std::ops::Range<u8>| {
            for seat in seats.map(usize::from) {
                world.states[seat] = LIVE;
                world.claims[seat] = words::claim(world.tail, 1);
            }
        };
        if receivers > 0 {
            let first = setup.senders + config.receivers.0;
            die(&mut world, first..first + receivers);
            world.slots[0] = Slot::Full(0).word();
            (world.tail, world.head, world.seen) = (1, 1, setup.guard.into());
        }
        if senders > 0 {
            let first = config.senders.0.len() as u8;
            die(&mut world, first..first + senders);
            world.tail += 1;
        }
        all.extend(config.senders.1.iter().map(|budget| Local::out(true, *budget)));
        all.extend((0..config.receivers.1).map(|_| Local::out(false, 0)));
        assert!(all.len() <= MOST, "{}: too many participants", config.name);
        world.locals[..all.len()].copy_from_slice(&all);
        world
    }

    /// Whether a living participant other than `but` holds the seat's lock.
    pub fn locked(&self, seat: u8, but: Option<usize>) -> bool {
        let mut others = self.locals.iter().enumerate().filter(|(i, _)| Some(*i) != but);
        others.any(|(_, local)| local.holds(seat))
    }

    /// The living participant who took position `q` and has not dealt with it.
    pub fn owner(&self, sends: bool, q: u64) -> Option<&Local> {
        self.locals.iter().find(|local| local.sends == sends && local.owns(q))
    }

    /// A word's value.
    pub fn load(&self, word: Word) -> u64 {
        match word {
            Word::Tail => self.tail,
            Word::Head => self.head,
            Word::Slot(i) => self.slots[i as usize],
            Word::Claim(s) => self.claims[usize::from(s)],
            Word::State(s) => self.states[usize::from(s)],
        }
    }

    fn word(&mut self, word: Word) -> &mut u64 {
        match word {
            Word::Tail => &mut self.tail,
            Word::Head => &mut self.head,
            Word::Slot(i) => &mut self.slots[i as usize],
            Word::Claim(s) => &mut self.claims[usize::from(s)],
            Word::State(s) => &mut self.states[usize::from(s)],
        }
    }

    /// What happens when `who` does, or suffers, `event`. `Ok(None)`: nothing.
    ///
    /// # Errors
    /// The promise that is broken by it.
    pub fn next(&self, setup: &Setup, who: usize, event: Event) -> Result<Option<Self>, String> {
        let mut world = *self;
        let local = self.locals[who];
        let step = match event {
            Event::Crash => {
                world.crashes -= 1;
                world.locals[who] = Local { pc: Pc::Gone, ..Local::out(local.sends, 0) };
                return Ok(Some(world));
            }
            Event::Stop => {
                world.stops -= 1;
                world.locals[who].stopped = true;
                return Ok(Some(world));
            }
            Event::Step(step) => step,
        };
        let withheld = setup.has(Bug::RelaxedNote)
            && local.pc == Pc::Put
            && local.sends
            && local.i + 1 == local.n
            && step.choice != FLUSH;
        let got = match step.access {
            Access::Load(word) => self.load(word),
            Access::Query(seat) => self.locked(seat, Some(who)).into(),
            Access::Lock(seat) => {
                // A look at the state comes first: a vacant seat needs no recovery.
                let idle = local.seat != NOBODY && self.states[usize::from(seat)] == VACANT;
                if idle || self.locked(seat, None) {
                    return Ok(None);
                }
                1
            }
            Access::Store(..) if withheld => 0,
            Access::Store(word, new) => {
                world.write(setup, who, word, new)?;
                0
            }
            Access::Cas(word, old, new) if self.load(word) == old => {
                world.write(setup, who, word, new)?;
                1
            }
            Access::Cas(..) | Access::Unlock(_) => 0,
        };
        let now = local.after(setup, step, got);
        world.locals[who] = now;
        if setup.guard && now.pc == Pc::RDeliver && local.pc != Pc::RDeliver {
            world.lend(setup, now.base, true)?;
        }
        Ok(if world == *self { None } else { Some(world) })
    }

    fn lend(&mut self, setup: &Setup, q: u64, marked: bool) -> Result<(), String> {
        let bit = 1 << q;
        let unmarked = !marked || setup.has(Bug::Unmarked);
        let holders = self.locals.iter().filter(|l| l.pc == Pc::RDeliver && l.base == q);
        if marked && (holders.count() > 1 || self.owner(false, q).is_some()) {
            return Err(format!("the message of {q} is lent to two at once"));
        }
        if self.seen & bit != 0 && (unmarked || !setup.guard) {
            return Err(format!("the message of {q} is delivered twice, unmarked"));
        }
        self.seen |= bit;
        Ok(())
    }

    fn write(&mut self, setup: &Setup, who: usize, word: Word, new: u64) -> Result<(), String> {
        let local = self.locals[who];
        match word {
            Word::Slot(i) => self.change(setup, who, i, new)?,
            Word::Claim(s) | Word::State(s)
                if local.seat != s && self.locals.iter().any(|l| l.seat == s) =>
            {
                return Err(format!("recovery writes seat {s}, whose next tenant lives"));
            }
            // A taker who finds it so looks at nothing else.
            Word::State(s) if new == VACANT && self.claims[usize::from(s)] != 0 => {
                return Err(format!("seat {s} is free, with a claim"));
            }
            Word::Claim(_) | Word::State(_) => {}
            Word::Tail => {
                for p in self.tail..new {
                    if Slot::of(self.slots[(p % setup.capacity) as usize]) != Slot::Free(p) {
                        return Err(format!("position {p} is taken, but its slot is not free"));
                    }
                }
            }
            Word::Head => {
                for p in self.head..new {
                    match Slot::of(self.slots[(p % setup.capacity) as usize]) {
                        Slot::Full(q) if p == q && setup.guard => self.lend(setup, q, false)?,
                        Slot::Full(q) | Slot::Tomb(q) if p == q => {}
                        _ => return Err(format!("position {p} is received, but not sent")),
                    }
                }
            }
        }
        *self.word(word) = new;
        Ok(())
    }

    /// The only changes that a slot's word may undergo, and by whom.
    fn change(&mut self, setup: &Setup, who: usize, i: u64, new: u64) -> Result<(), String> {
        let local = self.locals[who];
        let (old, new) = (Slot::of(self.slots[i as usize]), Slot::of(new));
        let lap = setup.capacity;
        let mine = |sends, q| local.sends == sends && local.owns(q);
        let orphan = |sends, q, counter| q < counter && self.owner(sends, q).is_none();
        let fine = match (old, new) {
            (Slot::Free(p), Slot::Full(q)) => p == q && mine(true, q),
            (Slot::Free(p), Slot::Tomb(q)) => {
                p == q && (mine(true, q) || orphan(true, q, self.tail))
            }
            (Slot::Full(p), Slot::Recl(q, d)) => {
                p == q && local.holds(d) && orphan(false, q, self.head)
            }
            (Slot::Tomb(p), Slot::Free(q)) => {
                q == p + lap && (mine(false, p) || orphan(false, p, self.head))
            }
            (Slot::Full(p), Slot::Free(q)) => {
                // With the arbiter gone the two deliveries shall be found, not the first.
                let seeded = setup.has(Bug::NoArbiter) && orphan(false, p, self.head);
                q == p + lap && (mine(false, p) || seeded)
            }
            (Slot::Recl(p, d), Slot::Free(q)) => q == p + lap && local.holds(d),
            _ => false,
        };
        if !fine {
            return Err(format!("slot {i} goes from {old:?} to {new:?}: not by whom it may"));
        }
        if let (Slot::Full(p) | Slot::Recl(p, _), Slot::Free(_)) = (old, new) {
            if !setup.guard {
                self.lend(setup, p, matches!(old, Slot::Recl(..)))?;
            } else if self.seen & 1 << p == 0 {
                return Err(format!("the message of {p} is freed, but nobody was given it"));
            }
        }
        Ok(())
    }

    /// Whether position `q` was taken from its counter and is not dealt with.
    pub fn unresolved(&self, setup: &Setup, sends: bool, q: u64) -> bool {
        let slot = Slot::of(self.slots[(q % setup.capacity) as usize]);
        match (sends, slot) {
            (true, Slot::Free(p)) => p == q && q < self.tail,
            (false, Slot::Full(p) | Slot::Tomb(p) | Slot::Recl(p, _)) => p == q && q < self.head,
            _ => false,
        }
    }

    /// Everybody who can has done what he came for, and nothing is left over.
    pub fn good(&self, setup: &Setup) -> bool {
        let done = |local: &Local| {
            local.stopped
                || match local.pc {
                    Pc::Gone => true,
                    Pc::Out => local.budget == 0,
                    Pc::Idle | Pc::Slow => !local.sends,
                    _ => false,
                }
        };
        self.locals.iter().all(done)
            && self.head == self.tail
            && (0..setup.capacity).all(
                |i| matches!(Slot::of(self.slots[i as usize]), Slot::Free(p) if p >= self.head),
            )
            && setup.seats().all(|s| self.states[usize::from(s)] == VACANT || self.locked(s, None))
    }

    /// Why the others may be stuck: the documented exceptions, by letter.
    pub fn excuse(&self, setup: &Setup) -> Option<char> {
        let gone = |pc| matches!(pc, Pc::Gone | Pc::LeaveState | Pc::LeaveUnlock);
        let moves = |local: &&Local| !local.stopped && !gone(local.pc);
        if !self.locals.iter().filter(moves).any(|local| !local.sends) {
            return Some('r'); // nobody is left to receive
        }
        for sends in [true, false] {
            let mut all = self.locals.iter().filter(|l| moves(l) && l.sends == sends);
            let outside = all.clone().any(|l| l.pc == Pc::Out && (!sends || l.budget > 0));
            let inside = all.any(|l| l.pc != Pc::Out);
            let stopped = |s| self.locals.iter().any(|l| l.stopped && l.holds(s));
            if outside && (sends || !inside) && setup.peers(sends).all(stopped) {
                return Some('s'); // every seat is held by somebody who is stopped
            }
        }
        let positions = self.tail.saturating_sub(setup.capacity).min(self.head);
        // Whoever stops between two operations stalls nobody.
        let inside = |l: &&Local| l.stopped && !matches!(l.pc, Pc::Idle | Pc::Slow);
        for local in self.locals.iter().filter(inside) {
            for q in positions.saturating_sub(setup.capacity)..self.tail {
                let open = |sends| self.unresolved(setup, sends, q);
                if local.owns(q) && open(local.sends) {
                    return Some('o'); // stopped inside a send or receive
                }
                for d in setup.seats() {
                    let sends = setup.sends(d);
                    let claims = |d| words::covers(self.claims[usize::from(d)], q);
                    let orphan = open(sends) && self.owner(sends, q).is_none();
                    if !(orphan && local.holds(d) && claims(d)) {
                        continue;
                    }
                    if d == local.seat && !local.taking && local.pc != Pc::TakeState {
                        return Some('l'); // stopped as a loser of q
                    }
                    // Stopped while recovering d. Another dead claimant of q lets the others
                    // settle it, once d says RECOVERING, unless q is in d's estate.
                    let slot = Slot::of(self.slots[(q % setup.capacity) as usize]);
                    let other = |e| {
                        e != d
                            && claims(e)
                            && [LIVE, RECOVERING].contains(&self.states[usize::from(e)])
                            && !self.locked(e, None)
                    };
                    let free = self.states[usize::from(d)] == RECOVERING
                        && !matches!(slot, Slot::Recl(_, e) if e == d)
                        && setup.peers(sends).any(other);
                    if !free {
                        return Some('v');
                    }
                }
            }
        }
        None
    }
}
