//! What is measured: cases, in groups that take turns between the same processes.
//!
//! ```text
//!   spsc / rtt / 8                  a ring or a transport, what it does, bytes in a message
//!   spsc / batch32 / 64
//!   spsc / oneway / 64 / cap256     in a ring of 256 slots
//!   pipe / handoff / 8 / busy       another program on the receiver's core
//!   mpmc / oneway / 8 / 2s2r        two senders, two receivers
//! ```
//!
//! Imports: about.

use std::fmt;

use annulus::WaitMethod;
use annulus_measure::crowd::Task;
use annulus_measure::{Kind, Lane};

use super::about::About;

/// Messages in a batch.
pub const BATCH: usize = 32;

/// Slots of a ring that carries questions and answers: it never holds more than one.
const EXCHANGE: usize = 64;

/// What the two processes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// There and back, polling.
    Rtt,
    /// There and back, sleeping where the transport can.
    Handoff,
    /// One way, one by one, polling.
    OneWay,
    /// One way, sleeping where the transport can.
    Asleep,
    /// One way, in batches of [`BATCH`].
    Batch,
    /// One way, each message written and read in its slot.
    Reserve,
}

impl Verb {
    /// Its name in a case.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Rtt => "rtt",
            Verb::Handoff => "handoff",
            Verb::OneWay => "oneway",
            Verb::Asleep => "oneway-asleep",
            Verb::Batch => "batch32",
            Verb::Reserve => "reserve",
        }
    }

    /// Whether an answer comes back.
    pub fn both_ways(self) -> bool {
        matches!(self, Verb::Rtt | Verb::Handoff)
    }

    /// Whether waiting ends sleep if they can.
    pub fn sleeps(self) -> bool {
        matches!(self, Verb::Handoff | Verb::Asleep)
    }
}

/// What else the machine does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each process has a core of its own.
    Free,
    /// Another program never leaves the receiver's core.
    Busy,
    /// Both processes share one core.
    OneCore,
}

impl Mode {
    /// Its name in rows.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Free => "free",
            Mode::Busy => "busy",
            Mode::OneCore => "one-core",
        }
    }
}

/// Two processes and one transport between them.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Which transport.
    pub kind: Kind,
    /// What they do with it.
    pub verb: Verb,
    /// Bytes in a message.
    pub size: usize,
    /// How the ends of a ring of ours wait, where that is what is looked at.
    pub method: Option<WaitMethod>,
    /// Slots, where that is what is looked at.
    pub capacity: Option<usize>,
    /// What else goes on.
    pub mode: Mode,
}

impl Case {
    /// What is said of its transport.
    pub fn about(&self) -> About {
        About::of(self.kind)
    }

    /// The lane that it needs.
    pub fn lane(&self) -> Lane {
        let mut lane = Lane::new(self.kind, self.size);
        if self.verb.both_ways() {
            lane = lane.both_ways().capacity(lane.shape.capacity.min(EXCHANGE));
        }
        if self.verb == Verb::Batch {
            // So long that the two sides seldom meet.
            lane = lane.capacity((1 << 20) / self.size.next_power_of_two());
        }
        if let Some(capacity) = self.capacity {
            lane = lane.capacity(capacity);
        }
        if let Some(method) = self.method {
            lane = lane.wait(method);
        }
        if self.verb.sleeps() { lane.blocking() } else { lane }
    }

    /// How its ends wait.
    pub fn wait(&self) -> &'static str {
        match self.method.unwrap_or_default() {
            _ if !self.about().is_ours() && self.verb.sleeps() => "block",
            _ if !self.about().is_ours() => "poll",
            WaitMethod::Spin => "spin",
            WaitMethod::Semaphore => "semaphore",
            _ => "futex",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.about().mechanism, self.verb.name(), self.size)?;
        if let Some(capacity) = self.capacity {
            write!(f, "/cap{capacity}")?;
        }
        match self.mode {
            Mode::Free => Ok(()),
            mode => write!(f, "/{}", mode.name()),
        }
    }
}

/// Several processes, and what they do together.
#[derive(Clone, Copy, Debug)]
pub struct Crowded {
    /// What.
    pub task: Task,
    /// How many send.
    pub senders: usize,
    /// How many receive.
    pub receivers: usize,
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ring, verb) = self.task.name();
        write!(f, "{ring}/{verb}/8/{}s{}r", self.senders, self.receivers)
    }
}

/// Cases that take turns.
#[derive(Clone, Debug)]
pub enum Group {
    /// Of two processes: all with the same verb, size and mode.
    Pair(Vec<Case>),
    /// Of as many processes as take part: all with the same number.
    Crowd(Vec<Crowded>),
}

impl Group {
    /// Its cases.
    pub fn len(&self) -> usize {
        match self {
            Group::Pair(cases) => cases.len(),
            Group::Crowd(cases) => cases.len(),
        }
    }

    /// Its share of the time: several processes take longer to start and to sample.
    pub fn weight(&self) -> u32 {
        match self {
            Group::Pair(cases) => cases.len() as u32,
            Group::Crowd(cases) => 3 * cases.len() as u32,
        }
    }

    /// A few words on what it is about.
    pub fn title(&self) -> String {
        match self {
            Group::Pair(cases) => cases.first().map_or_else(String::new, |case| {
                let (verb, size, mode) = (case.verb.name(), case.size, case.mode.name());
                format!("{verb} {size} B, {mode}")
            }),
            Group::Crowd(cases) => cases.first().map_or_else(String::new, |case| {
                format!("{} senders, {} receivers", case.senders, case.receivers)
            }),
        }
    }

    /// Keeps those whose name or subject the filter means.
    pub fn keep(&mut self, means: impl Fn(&str, &str) -> bool) {
        match self {
            Group::Pair(cases) => {
                cases.retain(|case| means(&case.to_string(), case.about().subject));
            }
            Group::Crowd(cases) => {
                cases.retain(|case| means(&case.to_string(), case.task.subject()))
            }
        }
    }
}

/// All that there is to measure, or what fits into a minute.
pub fn all(quick: bool) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut pairs = |verb, sizes: &[usize], mode, kinds: fn(Kind) -> bool| {
        for &size in sizes {
            let able = |kind: &Kind| kinds(*kind) && can(*kind, verb);
            let mut cases = Vec::new();
            for kind in Kind::ALL.into_iter().filter(able) {
                let case = Case { kind, verb, size, method: None, capacity: None, mode };
                cases.push(case);
                if size == 8 && mode == Mode::Free {
                    let method = |method| Case { method: Some(method), ..case };
                    cases.extend(other_methods(kind, verb).iter().copied().map(method));
                }
            }
            groups.push(Group::Pair(cases));
        }
    };
    let any = |_: Kind| true;
    let (both, one, batches): (&[usize], &[usize], &[usize]) = if quick {
        (&[8], &[64, 4096, 65536], &[8])
    } else {
        (
            &[8, 56, 256, 4096, 65536],
            &[56, 64, 256, 1024, 4096, 65536, 1 << 20],
            &[8, 56, 64, 256, 1024],
        )
    };
    pairs(Verb::Rtt, both, Mode::Free, any);
    pairs(Verb::Handoff, &[8], Mode::Free, if quick { plain } else { any });
    pairs(Verb::OneWay, &[8], Mode::Free, any);
    pairs(Verb::OneWay, one, Mode::Free, if quick { whole } else { any });
    pairs(Verb::Batch, batches, Mode::Free, batched);
    pairs(Verb::Reserve, if quick { &[64] } else { batches }, Mode::Free, in_slots);
    if !quick {
        pairs(Verb::Asleep, &[8, 4096, 65536], Mode::Free, any);
        pairs(Verb::OneWay, &[8, 4096], Mode::Busy, plain);
        pairs(Verb::Rtt, &[8], Mode::OneCore, plain);
        pairs(Verb::OneWay, &[8, 4096], Mode::OneCore, plain);
    }
    let few: fn(Kind) -> bool = if quick { named } else { plain };
    pairs(Verb::Rtt, &[8], Mode::Busy, few);
    pairs(Verb::Handoff, &[8], Mode::Busy, few);
    pairs(Verb::Handoff, &[8], Mode::OneCore, few);
    groups.extend(capacities(quick));
    groups.extend(crowds());
    groups
}

/// Whether a transport can do that at all. What it can't for want of something on this
/// machine, or at this size, it says itself.
fn can(kind: Kind, verb: Verb) -> bool {
    // A broadcast is one thing in a case: one way it must lose nothing.
    let policy = About::of(kind).policy;
    let fits = kind.keeps_every_message() != verb.both_ways() || policy.is_none();
    fits && match verb {
        Verb::Rtt | Verb::OneWay => true,
        Verb::Handoff | Verb::Asleep => annulus(kind) || kind.can_block(),
        Verb::Batch | Verb::Reserve => kind != Kind::Raw,
    }
}

/// Other ways to wait than the one by default, of rings that take turns with it.
fn other_methods(kind: Kind, verb: Verb) -> &'static [WaitMethod] {
    let about = About::of(kind);
    match about.mechanism {
        _ if !about.is_ours() || !plain(kind) => &[],
        "spsc" if verb == Verb::OneWay => &[WaitMethod::Spin],
        _ if !verb.both_ways() => &[],
        "spsc" | "stream" if verb == Verb::Handoff => &[WaitMethod::Semaphore],
        "spsc" | "stream" => &[WaitMethod::Spin, WaitMethod::Semaphore],
        _ if verb == Verb::Handoff => &[],
        _ => &[WaitMethod::Spin],
    }
}

fn annulus(kind: Kind) -> bool {
    About::of(kind).is_ours()
}

/// Rings whose messages can be written and read where they lie.
fn in_slots(kind: Kind) -> bool {
    annulus(kind) && About::of(kind).mechanism != "stream"
}

/// Those that have a way of their own to send several messages at once.
fn batched(kind: Kind) -> bool {
    annulus(kind) || ["pipe", "unix-stream", "tcp", "fifo"].contains(&kind.name())
}

/// One of each mechanism.
fn plain(kind: Kind) -> bool {
    let about = About::of(kind);
    about.subject != "raw" && about.segment.is_none_or(|segment| segment == "named")
}

/// The same, and the limit.
fn whole(kind: Kind) -> bool {
    plain(kind) || kind == Kind::Raw
}

/// The few that most people would choose among.
fn named(kind: Kind) -> bool {
    plain(kind) && (annulus(kind) || ["pipe", "unix-stream", "futex"].contains(&kind.name()))
}

/// Rings of different lengths.
fn capacities(quick: bool) -> Vec<Group> {
    let slots: &[usize] =
        if quick { &[16, 256, 4096, 65536] } else { &[4, 16, 64, 256, 1024, 4096, 16384, 65536] };
    let sizes: &[usize] = if quick { &[64] } else { &[8, 64, 4096] };
    let group = |&size: &usize| {
        let ours = |kind: &Kind| annulus(*kind) && plain(*kind) && can(*kind, Verb::OneWay);
        let rings = Kind::ALL.into_iter().filter(ours);
        let slots = slots.iter().filter(move |slots| **slots * size <= 32 << 20);
        let case = |kind| {
            slots.clone().map(move |&capacity| Case {
                kind,
                verb: Verb::OneWay,
                size,
                method: None,
                capacity: Some(capacity),
                mode: Mode::Free,
            })
        };
        Group::Pair(rings.flat_map(case).collect())
    };
    sizes.iter().map(group).collect()
}

/// From one sender and one receiver to four of each.
fn crowds() -> Vec<Group> {
    let group = |(senders, receivers): (usize, usize)| {
        let able = |task: &Task| task.able(senders, receivers);
        let crowded = |task| Crowded { task, senders, receivers };
        Group::Crowd(Task::ALL.into_iter().filter(able).map(crowded).collect())
    };
    [(1, 1), (2, 1), (1, 2), (2, 2), (1, 4), (4, 1), (4, 4)].map(group).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_has_all_mechanisms_there_and_back_and_one_way() {
        let groups = all(true);
        let named = |name: String| {
            groups.iter().any(|group| match group {
                Group::Pair(cases) => cases.iter().any(|case| case.to_string() == name),
                Group::Crowd(_) => false,
            })
        };
        for kind in Kind::ALL {
            let mechanism = About::of(kind).mechanism;
            for what in ["rtt/8", "oneway/8", "oneway/4096", "oneway/65536"] {
                assert!(named(format!("{mechanism}/{what}")), "{mechanism}/{what}");
            }
            if kind.can_block() {
                assert!(named(format!("{mechanism}/handoff/8")), "{mechanism}");
            }
        }
    }

    #[test]
    fn no_case_comes_twice() {
        for quick in [true, false] {
            let mut seen = std::collections::HashSet::new();
            for group in all(quick) {
                let Group::Pair(cases) = group else { continue };
                for case in cases {
                    let row = (case.to_string(), case.about().segment, case.wait());
                    assert!(seen.insert(row.clone()), "{row:?}");
                }
            }
        }
    }
}
