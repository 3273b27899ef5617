//! What has been seen, so that nobody takes silence for proof.

use annulus_prove::Report;
use annulus_prove::wgl::Timed;

/// Counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Histories.
    pub histories: u64,
    /// Operations in them.
    pub operations: u64,
    /// Those that overlap one of another process.
    pub overlapping: u64,
    /// Histories for which the search gave up.
    pub unknown: u64,
    /// Kills.
    pub kills: u64,
    /// Those in the middle of an operation.
    pub in_flight: u64,
    /// With another process stopped.
    pub stopped: u64,
}

impl Tally {
    /// One history more.
    pub fn count<O>(&mut self, lanes: &[Vec<Timed<O>>]) {
        self.histories += 1;
        for (at, lane) in lanes.iter().enumerate() {
            self.operations += lane.len() as u64;
            for op in lane {
                let others = lanes.iter().enumerate().filter(|(other, _)| *other != at);
                let mut others = others.flat_map(|(_, lane)| lane);
                let overlaps = |other: &Timed<O>| other.start < op.end && op.start < other.end;
                self.overlapping += u64::from(others.any(overlaps));
            }
        }
    }

    /// As figures.
    pub fn tell(&self, report: &Report, name: &str) {
        report.figure(&format!("{name}: histories"), self.histories);
        report.figure(&format!("{name}: operations"), self.operations);
        for (what, count) in [
            ("operations that overlap another", self.overlapping),
            ("not decided", self.unknown),
            ("kills", self.kills),
            ("kills in the middle of an operation", self.in_flight),
            ("with another process stopped", self.stopped),
        ] {
            if count > 0 {
                report.figure(&format!("{name}: {what}"), count);
            }
        }
    }
}
