//! Where the two cores stand to each other while a sample is taken.
//!
//! On a virtual machine the host moves cores about within seconds, and no topology
//! file says so. The bare line between them does: its round trip is probed before and
//! after each sample, and a sample whose two probes disagree is thrown away.

use std::fmt;

use crate::raw::Lines;
use crate::stats::median;
use crate::{Error, Pair};

/// What the round trip of a bare cache line says about the two cores.
///
/// The bounds lie in the gaps between the clusters that x86-64 servers show: 20-45 ns
/// for two threads of one core, 50-120 within a cache complex, 150-250 between
/// complexes of a socket, 350 and more between sockets; and no progress but by the
/// scheduler, thousands of nanoseconds, where both share one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placement {
    /// Two hardware threads of one core.
    Siblings,
    /// Under one last-level cache.
    SameComplex,
    /// Under different last-level caches.
    Across,
    /// Probably in different sockets.
    Far,
    /// Taking turns on one core.
    OneCore,
}

impl Placement {
    /// The class of a two-line round trip in nanoseconds.
    pub fn of(round_trip: f64) -> Placement {
        match round_trip {
            ..47.0 => Placement::Siblings,
            ..135.0 => Placement::SameComplex,
            ..320.0 => Placement::Across,
            ..1500.0 => Placement::Far,
            _ => Placement::OneCore,
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Placement::Siblings => "hyperthreads of one core",
            Placement::SameComplex => "same cache complex",
            Placement::Across => "different cache complexes",
            Placement::Far => "far apart (different sockets?)",
            Placement::OneCore => "one core, taking turns",
        })
    }
}

/// Round trips between two readings of the clock, so that reading it does not show.
pub const GROUP: u64 = 20;

/// A round trip this slow, in nanoseconds, is one of processes that wait for a core.
const CROWDED: f64 = 50_000.0;

/// The median two-line round trip over groups of [`GROUP`]: some 50 us in all.
pub fn probe(pair: &mut Pair) -> Result<f64, Error> {
    let (batches, each) = if pair.cores().shared() { (3, 3) } else { (25, GROUP) };
    // Where the two seldom have their cores at the same time, hundreds would take seconds.
    let first = median(pair.lines(Lines::Two, 3, 1)?).unwrap_or_default();
    if first > CROWDED {
        return Ok(first);
    }
    Ok(median(pair.lines(Lines::Two, batches, each)?).unwrap_or_default())
}

/// The probes before and after a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bracket {
    /// Nanoseconds before.
    pub before: f64,
    /// Nanoseconds after.
    pub after: f64,
}

/// Two probes of an unmoved pair differ by less than this share.
pub const TOLERANCE: f64 = 0.25;

impl Bracket {
    /// The placement that both probes agree on, if they do.
    pub fn placement(&self) -> Option<Placement> {
        let (low, high) = (self.before.min(self.after), self.before.max(self.after));
        let placement = Placement::of(self.before);
        // A turn on a shared core takes as long as the scheduler likes.
        let steady = placement == Placement::OneCore || high <= low * (1.0 + TOLERANCE);
        (steady && placement == Placement::of(self.after)).then_some(placement)
    }

    /// The raw round trip that this sample is held against.
    pub fn round_trip(&self) -> f64 {
        (self.before + self.after) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(before: f64, after: f64) -> Option<Placement> {
        Bracket { before, after }.placement()
    }

    #[test]
    fn probes_that_agree_name_the_placement() {
        assert_eq!(placement(24.0, 25.0), Some(Placement::Siblings));
        assert_eq!(placement(50.0, 60.0), Some(Placement::SameComplex));
        assert_eq!(placement(110.0, 95.0), Some(Placement::SameComplex));
        assert_eq!(placement(160.0, 190.0), Some(Placement::Across));
        assert_eq!(placement(440.0, 430.0), Some(Placement::Far));
        assert_eq!(placement(4_000.0, 9_000.0), Some(Placement::OneCore));
    }

    #[test]
    fn probes_that_disagree_name_none() {
        assert_eq!(placement(60.0, 80.0), None, "a third more, in one class");
        assert_eq!(placement(80.0, 60.0), None, "the other way round");
        assert_eq!(placement(130.0, 140.0), None, "close, but of two classes");
        assert_eq!(placement(60.0, 180.0), None, "moved away");
        assert_eq!(placement(180.0, 5_000.0), None, "lost its core");
    }
}
