//! What has happened, in numbers.

use std::fmt;

use annulus_prove::Report;

/// What has happened on some rings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Kills of senders.
    pub senders: u64,
    /// Kills of receivers.
    pub receivers: u64,
    /// Kills that came before their victim had a seat.
    pub early: u64,
    /// Messages that were received; of an mpmc ring, each counted once.
    pub messages: u64,
    /// Bytes that were received of a stream.
    pub bytes: u64,
    /// Committed by a sender who was killed before he knew.
    pub unawares: u64,
    /// Times that a message came again, marked.
    pub again: u64,
    /// The most that could have, by the deaths of receivers.
    pub may_again: u64,
    /// Messages copied out by one who was killed before he could say so.
    pub doubt: u64,
    /// The most that could be, by what the dead were doing.
    pub may_doubt: u64,
    /// Overwritten, and told so exactly.
    pub lagged: u64,
    /// Times that a seat was taken.
    pub taken: u64,
    /// Times that one was refused for a moment.
    pub refused: u64,
    /// Others who were stopped during a kill.
    pub stopped: u64,
    /// Rings.
    pub rings: u64,
}

impl Totals {
    fn fields(&mut self) -> [(&'static str, &mut u64); 15] {
        [
            ("kills of senders", &mut self.senders),
            ("kills of receivers", &mut self.receivers),
            ("kills before the victim had a seat", &mut self.early),
            ("messages", &mut self.messages),
            ("bytes", &mut self.bytes),
            ("committed by a death unawares", &mut self.unawares),
            ("came again, marked", &mut self.again),
            ("could have come again", &mut self.may_again),
            ("in doubt", &mut self.doubt),
            ("could be in doubt", &mut self.may_doubt),
            ("overwritten and told", &mut self.lagged),
            ("seats taken", &mut self.taken),
            ("seats refused for a moment", &mut self.refused),
            ("others stopped during a kill", &mut self.stopped),
            ("rings", &mut self.rings),
        ]
    }

    /// With those of other rings.
    pub fn add(&mut self, other: &Self) {
        let mut other = *other;
        for ((_, sum), (_, more)) in self.fields().into_iter().zip(other.fields()) {
            *sum += *more;
        }
    }

    /// All kills.
    pub fn kills(&self) -> u64 {
        self.senders + self.receivers
    }

    /// As figures.
    pub fn tell(&self, report: &Report, kind: &str) {
        report.figure(&format!("{kind}: kills"), self.kills());
        let mut copy = *self;
        for (name, value) in copy.fields() {
            if *value > 0 {
                report.figure(&format!("{kind}: {name}"), *value);
            }
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, again, doubt, may_doubt, rings, .. } = self;
        write!(
            f,
            "{} kills, {messages} messages, {again} again, {doubt} of {may_doubt} in doubt, \
             {rings} rings",
            self.kills()
        )
    }
}
