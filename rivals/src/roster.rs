//! What is measured, and who takes part in it.

use crate::task::Task;

/// What is sent, by how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    pub name: &'static str,
    pub task: Task,
    /// Bytes of a message.
    pub size: usize,
    pub capacity: usize,
    pub senders: usize,
    pub receivers: usize,
    /// What a rival must be able to do.
    pub skill: Skill,
}

/// What a rival may be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skill {
    /// There and back.
    Trip,
    /// One by one, from one to one.
    Single,
    /// Several at once.
    Batch,
    /// One by one, by several at either end.
    Many,
    /// Several at once, by several at either end.
    ManyBatch,
    /// Large messages where they lie.
    Block,
}

const fn pair(name: &'static str, task: Task, size: usize, skill: Skill) -> Case {
    Case { name, task, size, capacity: 1024, senders: 1, receivers: 1, skill }
}

const fn crowd(name: &'static str, task: Task, each: usize, skill: Skill) -> Case {
    Case { name, task, size: 8, capacity: 1024, senders: each, receivers: each, skill }
}

const fn block(name: &'static str, size: usize, capacity: usize) -> Case {
    let task = Task::OneWay;
    Case { name, task, size, capacity, senders: 1, receivers: 1, skill: Skill::Block }
}

/// All cases.
pub const CASES: [Case; 12] = [
    pair("rtt/8", Task::RoundTrip, 8, Skill::Trip),
    pair("oneway/8", Task::OneWay, 8, Skill::Single),
    pair("oneway/64", Task::OneWay, 64, Skill::Single),
    pair("oneway/1024", Task::OneWay, 1024, Skill::Single),
    pair("batch32/8", Task::Batch, 8, Skill::Batch),
    pair("batch32/64", Task::Batch, 64, Skill::Batch),
    block("oneway/65536", 65_536, 16),
    block("oneway/1048576", 1_048_576, 4),
    crowd("mpmc/oneway/8/1s1r", Task::OneWay, 1, Skill::Many),
    crowd("mpmc/oneway/8/2s2r", Task::OneWay, 2, Skill::Many),
    crowd("mpmc/batch32/8/1s1r", Task::Batch, 1, Skill::ManyBatch),
    crowd("mpmc/batch32/8/2s2r", Task::Batch, 2, Skill::ManyBatch),
];

/// Who lives where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    Processes,
    Threads,
}

impl Between {
    pub fn name(self) -> &'static str {
        match self {
            Between::Processes => "processes",
            Between::Threads => "threads",
        }
    }
}

/// What a subject is compared with, or is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The limit.
    Raw,
    /// What the rivals are compared with, of their own kind.
    Annulus,
    /// annulus in another way, for comparison.
    Other,
    Rival,
}

/// Somebody who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    pub name: &'static str,
    pub version: &'static str,
    pub between: Between,
    pub part: Part,
    pub skills: &'static [Skill],
}

const fn rival(
    name: &'static str,
    version: &'static str,
    between: Between,
    skills: &'static [Skill],
) -> Subject {
    Subject { name, version, between, part: Part::Rival, skills }
}

const fn ours(
    name: &'static str,
    between: Between,
    part: Part,
    skills: &'static [Skill],
) -> Subject {
    Subject { name, version: "", between, part, skills }
}

use Between::{Processes, Threads};
use Skill::{Batch, Block, Many, ManyBatch, Single, Trip};

/// All of them, the limit and annulus first.
pub const SUBJECTS: &[Subject] = &[
    ours("raw", Processes, Part::Raw, &[Single, Batch, Block]),
    ours("annulus", Processes, Part::Annulus, &[Trip, Single, Batch, Many, ManyBatch, Block]),
    ours("annulus-threads", Threads, Part::Annulus, &[Trip, Single, Batch, Many, ManyBatch]),
    ours("annulus-copied", Processes, Part::Other, &[Block]),
    rival("rtrb", "0.4.1", Threads, &[Trip, Single, Batch]),
    rival("crossbeam-channel", "0.5.17", Threads, &[Trip, Many]),
    rival("ArrayQueue", "0.3.14", Threads, &[Trip, Many]),
    rival("kanal", "0.1.1", Threads, &[Trip, Many]),
    rival("ringbuf", "0.6.0", Threads, &[Trip, Single, Batch]),
    rival("disruptor", "4.4.0", Threads, &[Trip, Single, Batch]),
    rival("thingbuf", "0.1.6", Threads, &[Trip, Many]),
    rival("shaq", "4.3.0", Processes, &[Trip, Single, Batch, Many, ManyBatch]),
    rival("iceoryx2", "0.10.0", Processes, &[Trip, Single, Block]),
    rival("ringfire", "0.5.2", Processes, &[Trip, Single, Batch, Many]),
    rival("shmem-ipc", "0.3.0", Processes, &[Trip, Single, Batch, Block]),
    rival("ipc-channel", "0.23.1", Processes, &[Trip, Single, Block]),
];

impl Subject {
    pub fn takes_part(&self, case: &Case) -> bool {
        self.skills.contains(&case.skill)
    }
}

/// The case of this name.
pub fn case(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == name)
}

/// The subject of this name.
pub fn subject(name: &str) -> Option<&'static Subject> {
    SUBJECTS.iter().find(|subject| subject.name == name)
}
