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
