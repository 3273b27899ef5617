//! Every reachable state, breadth first; then, from each, whether a good one is reachable.
//!
//! ```text
//!   states  [ s0 s1 s2 ..        in the order found; the queue is the rest of it
//!   table   hash → number        open addressing
//!   edges   s0: 1 2 5 │ s1: ..   the participants' own moves alone
//! ```
//!
//! Kills and stops lead to further states, but never help: a good state must be reachable
//! by the moves of those who live and are not stopped. Imports: world, machine, access, words.

use std::fmt;

use crate::access::{Access, Setup, Word};
use crate::machine::{Local, Pc};
use crate::words::{self, Slot};
use crate::world::{Config, Event, Packed, World};

/// What exploration found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Distinct states.
    pub states: usize,
    /// Moves between them, kills and stops included.
    pub transitions: usize,
    /// The longest shortest way from the start.
    pub depth: usize,
    /// States from which no good one can be reached, by the documented exception.
    pub excused: Vec<(char, usize)>,
    /// What went wrong, if anything did.
    pub verdict: Verdict,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All states are safe, and all but the excused can be got out of.
    Holds,
    /// A promise is broken; the shortest way there.
    Unsafe(String, Vec<String>),
    /// A state that nobody can get out of; the shortest way there.
    Stuck(Vec<String>),
    /// More states than allowed.
    TooMany,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => write!(f, "holds"),
            Self::Unsafe(what, trace) => write!(f, "unsafe after {} steps: {what}", trace.len()),
            // The last line says where it stands.
            Self::Stuck(trace) => write!(f, "stuck after {} steps", trace.len() - 1),
            Self::TooMany => write!(f, "too many states"),
        }
    }
}

const NONE: u32 = u32::MAX;

/// The states found, numbered.
struct Found {
    states: Vec<Packed>,
    /// The state it was found from, and by which of that one's events.
    parents: Vec<(u32, u16)>,
    table: Vec<u32>,
}

fn hash(packed: &Packed) -> usize {
    let mix = |h: u64, w: &u64| (h ^ w).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let h = packed.iter().fold(0x243f_6a88_85a3_08d3, mix);
    (h ^ h >> 32) as usize
}

impl Found {
    fn new() -> Self {
        Self { states: Vec::new(), parents: Vec::new(), table: vec![NONE; 1 << 16] }
    }

    fn add(&mut self, packed: Packed, parent: (u32, u16)) -> u32 {
        if self.states.len() * 2 > self.table.len() {
            self.table = vec![NONE; self.table.len() * 2];
            for (number, state) in (0..).zip(&self.states) {
                let at = Self::place(&self.table, &self.states, state);
                self.table[at] = number;
            }
        }
        let at = Self::place(&self.table, &self.states, &packed);
        if self.table[at] == NONE {
            self.table[at] = self.states.len() as u32;
            self.states.push(packed);
            self.parents.push(parent);
        }
        self.table[at]
    }

    fn place(table: &[u32], states: &[Packed], packed: &Packed) -> usize {
        let mask = table.len() - 1;
        let mut at = hash(packed) & mask;
        while table[at] != NONE && states[table[at] as usize] != *packed {
            at = (at + 1) & mask;
        }
        at
    }
}

/// Whom an event concerns, and what it is, in a fixed order.
pub(crate) fn events(config: &Config, world: &World, out: &mut Vec<(usize, Event)>) {
    let mut moves = Vec::new();
    for (i, local) in world.locals.iter().enumerate() {
        if local.pc == Pc::Gone || local.stopped || i > 0 && world.locals[i - 1] == *local {
            continue;
        }
        moves.clear();
        local.options(&config.setup, &mut moves);
        out.extend(moves.iter().map(|step| (i, Event::Step(*step))));
        if local.pc != Pc::Out {
            out.extend((world.crashes > 0).then_some((i, Event::Crash)));
            out.extend((world.stops > 0).then_some((i, Event::Stop)));
        }
    }
}

/// Explores `config`, at most `limit` states.
pub fn explore(config: &Config, limit: usize) -> Report {
    let setup = &config.setup;
    let mut found = Found::new();
    found.add(World::new(config).pack(setup), (NONE, 0));
    let (mut edges, mut starts) = (Vec::<u32>::new(), vec![0_usize]);
    let (mut transitions, mut depth, mut level) = (0, 0, 1);
    let mut next = Vec::new();
    let mut at = 0;
    let report = |found: &Found, transitions, depth, verdict| Report {
        states: found.states.len(),
        transitions,
        depth,
        excused: Vec::new(),
        verdict,
    };
    while at < found.states.len() {
        if at == level {
            (depth, level) = (depth + 1, found.states.len());
        }
        if found.states.len() > limit {
            return report(&found, transitions, depth, Verdict::TooMany);
        }
        let world = World::unpack(setup, &found.states[at]);
        next.clear();
        events(config, &world, &mut next);
        for (k, (who, event)) in next.iter().enumerate() {
            match world.next(setup, *who, *event) {
                Ok(None) => {}
                Ok(Some(new)) => {
                    transitions += 1;
                    let number = found.add(new.pack(setup), (at as u32, k as u16));
                    if matches!(event, Event::Step(_)) && number as usize != at {
                        edges.push(number);
                    }
                }
                Err(what) => {
                    let mut trace = trace(config, &found, at);
                    trace.push(say(&world, *who, *event));
                    return report(&found, transitions, depth, Verdict::Unsafe(what, trace));
                }
            }
        }
        at += 1;
        starts.push(edges.len());
    }
    let mut report = report(&found, transitions, depth, Verdict::Holds);
    progress(config, &found, &edges, &starts, &mut report);
    report
}

/// Walks back from the good states.
fn progress(config: &Config, found: &Found, edges: &[u32], starts: &[usize], report: &mut Report) {
    let setup = &config.setup;
    let count = found.states.len();
    // Who leads here: counted, then placed.
    let mut ends = vec![0_usize; count + 1];
    edges.iter().for_each(|to| ends[*to as usize + 1] += 1);
    for i in 0..count {
        ends[i + 1] += ends[i];
    }
    let mut sources = vec![0_u32; edges.len()];
    let mut fill = ends.clone();
    for from in 0..count {
        for to in &edges[starts[from]..starts[from + 1]] {
            sources[fill[*to as usize]] = from as u32;
            fill[*to as usize] += 1;
        }
    }
    let mut fine: Vec<bool> =
        found.states.iter().map(|packed| World::unpack(setup, packed).good(setup)).collect();
    let mut todo: Vec<u32> = (0..count as u32).filter(|i| fine[*i as usize]).collect();
    while let Some(to) = todo.pop() {
        for from in &sources[ends[to as usize]..ends[to as usize + 1]] {
            if !std::mem::replace(&mut fine[*from as usize], true) {
                todo.push(*from);
            }
        }
    }
    for at in (0..count).filter(|at| !fine[*at]) {
        let world = World::unpack(setup, &found.states[at]);
        let Some(why) = world.excuse(setup) else {
            let mut trace = trace(config, found, at);
            trace.push(format!("and there it stands: {}", shared(setup, &world)));
            report.verdict = Verdict::Stuck(trace);
            return;
        };
        match report.excused.iter_mut().find(|(letter, _)| *letter == why) {
            Some((_, n)) => *n += 1,
            None => report.excused.push((why, 1)),
        }
    }
    report.excused.sort_unstable();
}

/// The way to a state, one line an event.
fn trace(config: &Config, found: &Found, mut at: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while found.parents[at].0 != NONE {
        let (parent, k) = found.parents[at];
        let world = World::unpack(&config.setup, &found.states[parent as usize]);
        let mut next = Vec::new();
        events(config, &world, &mut next);
        let (who, event) = next[usize::from(k)];
        lines.push(say(&world, who, event));
        at = parent as usize;
    }
    lines.reverse();
    lines
}

fn name(local: &Local) -> String {
    let role = if local.sends { "sender" } else { "receiver" };
    match local.pc {
        Pc::Out => format!("a new {role}"),
        _ => format!("{role} on seat {}", local.seat),
    }
}

fn say(world: &World, who: usize, event: Event) -> String {
    let local = &world.locals[who];
    match event {
        Event::Crash => format!("{}: killed before {:?}", name(local), local.pc),
        Event::Stop => format!("{}: stopped before {:?}", name(local), local.pc),
        Event::Step(step) => {
            let what = match step.access {
                Access::Load(word) => format!("loads {word:?}: {}", value(word, world.load(word))),
                Access::Store(word, new) => format!("stores {word:?} = {}", value(word, new)),
                Access::Cas(word, old, new) => {
                    let won = if world.load(word) == old { "" } else { ", and loses" };
                    format!("CAS {word:?} {} to {}{won}", value(word, old), value(word, new))
                }
                Access::Lock(s) => format!("locks seat {s}"),
                Access::Unlock(s) => format!("unlocks seat {s}"),
                Access::Query(s) => {
                    let held = if world.locked(s, Some(who)) { "held" } else { "free" };
                    format!("asks for the lock of seat {s}: {held}")
                }
            };
            format!("{} ({:?}): {what}", name(local), local.pc)
        }
    }
}

fn value(word: Word, value: u64) -> String {
    match word {
        Word::Tail | Word::Head => value.to_string(),
        Word::Slot(_) => format!("{:?}", Slot::of(value)),
        Word::Claim(_) => match words::claimed(value) {
            (_, 0) => "none".to_string(),
            (start, count) => format!("{start}..{}", start + count),
        },
        Word::State(_) => match value & 0xff {
            words::LIVE => "LIVE".to_string(),
            words::RECOVERING => "RECOVERING".to_string(),
            _ => "free".to_string(),
        },
    }
}

fn shared(setup: &Setup, world: &World) -> String {
    let say = |word| value(word, world.load(word));
    let slots: Vec<_> = (0..setup.capacity).map(|i| say(Word::Slot(i))).collect();
    let seats: Vec<_> = setup
        .seats()
        .map(|s| format!("{s} {} claim {}", say(Word::State(s)), say(Word::Claim(s))))
        .collect();
    format!(
        "tail {} head {} slots {} seats {}",
        world.tail,
        world.head,
        slots.join(" "),
        seats.join("; ")
    )
}
