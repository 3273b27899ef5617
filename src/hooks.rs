//! The test hooks of the facade and the constants of the format, for annulus's own
//! tests. Not part of the public interface.

pub use crate::atomic::Bug;
pub use crate::atomic::hooks::{
    Access, Forger, Liar, Op, Use, asked_about, budget, count, edges, forge, kill_before, lie,
    seed, trace, unlocks, uses, weaken, weaken_use,
};
#[cfg(loom)]
pub use crate::atomic::{Payload, set_payload};

/// `count` mappings of the same zeroed memory, for models of one who makes a ring in it
/// while others open it.
#[cfg(loom)]
pub fn mappings(len: u64, count: usize) -> Vec<crate::Segment> {
    let len = usize::try_from(len).expect("models are small");
    crate::Segment::mappings(len, count)
}

/// Header words: byte offset and name.
pub const HEADER: &[(usize, &str)] = crate::layout::header::TABLE;

const CAST: crate::layout::Kind = crate::layout::Kind::Broadcast;
const MPMC: crate::layout::Kind = crate::layout::Kind::Mpmc;

/// Constants of the format, by name.
pub const FORMAT: &[(&str, u64)] = &[
    ("magic", crate::layout::MAGIC),
    ("version", crate::layout::VERSION),
    ("line", crate::layout::LINE as u64),
    ("position limit", crate::layout::POSITION_LIMIT),
    ("largest capacity", crate::layout::CAPACITY_MAX),
    ("most seats", crate::layout::SEATS_MAX),
    ("smallest stream", crate::layout::STREAM_MIN),
    ("largest message", crate::layout::MESSAGE_MAX),
    ("largest alignment", crate::layout::ALIGN_MAX),
    ("largest segment", crate::layout::SEGMENT_MAX),
    ("spsc", crate::layout::Kind::Spsc as u64),
    ("spsc bytes", crate::layout::Kind::SpscBytes as u64),
    ("stream", crate::layout::Kind::Stream as u64),
    ("mpmc", crate::layout::Kind::Mpmc as u64),
    ("mpmc bytes", crate::layout::Kind::MpmcBytes as u64),
    ("broadcast", crate::layout::Kind::Broadcast as u64),
    ("broadcast bytes", crate::layout::Kind::BroadcastBytes as u64),
    ("lossless", crate::layout::Kind::Lossless as u64),
    ("lossless bytes", crate::layout::Kind::LosslessBytes as u64),
    ("frames", crate::layout::Kind::Frames as u64),
    ("spin", crate::layout::WaitMethod::Spin as u64),
    ("futex", crate::layout::WaitMethod::Futex as u64),
    ("semaphore", crate::layout::WaitMethod::Semaphore as u64),
    ("asymmetric", crate::layout::ASYMMETRIC),
    ("fenced", crate::layout::FENCED),
    ("event flag", crate::layout::event::FLAG as u64),
    ("event generation", crate::layout::event::GENERATION as u64),
    ("event rescues", crate::layout::event::RESCUES as u64),
    ("sender seat", crate::layout::seat_line(crate::layout::spsc::SENDER) as u64),
    ("receiver seat", crate::layout::seat_line(crate::layout::spsc::RECEIVER) as u64),
    ("seat state", crate::layout::seat::STATE as u64),
    ("seat pid", crate::layout::seat::PID as u64),
    ("seat position", crate::layout::seat::POSITION as u64),
    ("seat claim", crate::layout::seat::CLAIM as u64),
    ("head", crate::layout::spsc::HEAD as u64),
    ("not empty", crate::layout::spsc::NOT_EMPTY as u64),
    ("not full", crate::layout::spsc::NOT_FULL as u64),
    ("slots", crate::layout::slots_at(crate::layout::Kind::Spsc, 2) as u64),
    ("tail", crate::layout::stream::TAIL as u64),
    ("bytes", crate::layout::slots_at(crate::layout::Kind::Stream, 2) as u64),
    ("mpmc tail", crate::layout::mpmc::TAIL as u64),
    ("mpmc not empty", (MPMC.events(2)[0] - crate::layout::control_at(2)) as u64),
    ("mpmc not full", (MPMC.events(2)[1] - crate::layout::control_at(2)) as u64),
    ("mpmc head", crate::layout::mpmc::HEAD as u64),
    ("mpmc slots", (crate::layout::slots_at(MPMC, 2) - crate::layout::control_at(2)) as u64),
    ("broadcast tail", crate::layout::broadcast::TAIL as u64),
    ("broadcast limit", crate::layout::broadcast::LIMIT as u64),
    ("broadcast not empty", (CAST.events(2)[0] - crate::layout::control_at(2)) as u64),
    ("broadcast not full", (CAST.events(2)[1] - crate::layout::control_at(2)) as u64),
    ("broadcast slots", (crate::layout::slots_at(CAST, 2) - crate::layout::control_at(2)) as u64),
];

/// Bytes from one slot to the next, and from a slot to its message.
pub fn slot_shape(size: usize, align: usize) -> (usize, usize) {
    let shape = crate::layout::SlotShape::new(0, size, align);
    (shape.stride, shape.message_at)
}

/// The header's checksum over its words from version to creation id, in order.
pub fn checksum(words: &[u64]) -> u64 {
    words.iter().fold(crate::layout::FNV_OFFSET, |hash, word| {
        crate::layout::fnv1a(hash, &word.to_le_bytes())
    })
}

/// An event on its own, for models of the event count with several sleepers and
/// notifiers; the shipped code.
pub struct TestEvent(crate::wait::Event);

/// A sleeper's place on a [`TestEvent`].
pub struct TestTicket(crate::wait::Ticket);

impl TestEvent {
    /// An event on the heap.
    pub fn new() -> Self {
        let segment = crate::spsc::Ring::<u64>::options().capacity(1).create_heap();
        Self(segment.expect("a small ring on the heap").test_event())
    }

    /// After a change: wakes up to `count` sleepers.
    pub fn notify(&self, count: u32) {
        self.0.notify(count);
    }

    /// Notes the caller as a sleeper, who then looks once more.
    pub fn prepare(&self) -> TestTicket {
        TestTicket(self.0.prepare().expect("few sleepers contend"))
    }

    /// Sleeps until notified, or `time` has passed; models know no time.
    pub fn sleep(&self, ticket: &TestTicket, time: std::time::Duration) {
        let until = std::time::Instant::now() + time;
        self.0.sleep(&ticket.0, until).expect("the heap does not go away");
    }

    /// Wakes everybody.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

impl Default for TestEvent {
    fn default() -> Self {
        Self::new()
    }
}
