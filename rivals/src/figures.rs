//! What the samples of a case come to: each subject's figure in one placement, and its ratio
//! to annulus's and to the limit's, round by round.

use annulus_measure::placement::Placement;
use annulus_measure::stats::Spread;

use crate::roster::{Between, Case, Part, Subject};
use crate::team::{Faults, Sample};

/// So many samples without interruption are enough to do without the others.
const ENOUGH: usize = 8;

/// One subject in one case.
pub struct Entry {
    pub subject: &'static Subject,
    /// One for each round, `None` from where it stopped.
    pub samples: Vec<Option<Sample>>,
    pub faults: Faults,
    /// Why there is no figure, or why there are no more samples.
    pub reason: Option<String>,
}

/// All subjects of one case.
pub struct Finding {
    pub case: &'static Case,
    pub entries: Vec<Entry>,
}

/// How annulus stands to a rival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// By more than the spread.
    Ahead,
    Level,
    Behind,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ahead => "ahead",
            Verdict::Level => "level",
            Verdict::Behind => "behind",
        }
    }

    /// Of annulus's time over the rival's, round by round.
    pub fn of(ratio: Spread) -> Verdict {
        match ratio {
            _ if ratio.p90 < 1.0 => Verdict::Ahead,
            _ if ratio.p10 > 1.0 => Verdict::Behind,
            _ => Verdict::Level,
        }
    }
}

impl Finding {
    /// The placement that most samples were taken in.
    pub fn placement(&self) -> Option<Placement> {
        let samples = || self.entries.iter().flat_map(|entry| entry.samples.iter().flatten());
        let count = |place| samples().filter(|sample| sample.placement == Some(place)).count();
        let mut places: Vec<_> = samples().filter_map(|sample| sample.placement).collect();
        places.sort();
        places.dedup();
        places.into_iter().max_by_key(|&place| count(place))
    }

    /// annulus's own entry of this kind, or the limit's.
    pub fn entry(&self, part: Part, between: Between) -> Option<&Entry> {
        let found = |entry: &&Entry| entry.subject.part == part && entry.subject.between == between;
        self.entries.iter().find(found)
    }
}

impl Entry {
    pub fn new(subject: &'static Subject) -> Entry {
        Entry { subject, samples: Vec::new(), faults: Faults::default(), reason: None }
    }

    /// The sample of this round, if it counts in this placement: nothing was lost, for whose
    /// sake a receiver waits in vain.
    fn used(&self, round: usize, placement: Placement) -> Option<&Sample> {
        let here =
            |sample: &&Sample| sample.placement == Some(placement) && sample.faults.lost == 0;
        let sample = self.samples.get(round)?.as_ref().filter(here)?;
        let quiet = self.samples.iter().flatten().filter(here).filter(|other| !other.interrupted);
        (!sample.interrupted || quiet.count() < ENOUGH).then_some(sample)
    }

    fn spread_of(&self, placement: Placement, figure: fn(&Sample) -> f64) -> Option<Spread> {
        let rounds = 0..self.samples.len();
        Spread::of(rounds.filter_map(|round| self.used(round, placement).map(figure)))
    }

    /// Its figure.
    pub fn spread(&self, placement: Placement) -> Option<Spread> {
        self.spread_of(placement, |sample| sample.nanos)
    }

    /// The bare line's round trip around its samples.
    pub fn line(&self, placement: Placement) -> Option<Spread> {
        self.spread_of(placement, |sample| sample.line)
    }

    /// Its figure over the bare line's.
    pub fn over_line(&self, placement: Placement) -> Option<Spread> {
        self.spread_of(placement, |sample| sample.nanos / sample.line)
    }

    /// Its figure over another's, in the rounds that both have one of.
    pub fn over(&self, other: &Entry, placement: Placement) -> Option<Spread> {
        let rounds = 0..self.samples.len().min(other.samples.len());
        let ratios = rounds.filter_map(|round| {
            let (mine, its) = (self.used(round, placement)?, other.used(round, placement)?);
            Some(mine.nanos / its.nanos)
        });
        Spread::of(ratios)
    }

    /// Samples taken, and those thrown away since the cores moved meanwhile.
    pub fn taken(&self) -> (usize, usize) {
        let taken = || self.samples.iter().flatten();
        (taken().count(), taken().filter(|sample| sample.placement.is_none()).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::SUBJECTS;

    fn entry(figures: &[f64]) -> Entry {
        let sample = |nanos: &f64| {
            let placement = Some(Placement::SameComplex).filter(|_| *nanos > 0.0);
            let faults = Faults::default();
            Some(Sample { placement, line: 80.0, interrupted: false, nanos: *nanos, faults })
        };
        Entry { samples: figures.iter().map(sample).collect(), ..Entry::new(&SUBJECTS[0]) }
    }

    #[test]
    fn ratios_are_taken_round_by_round_where_both_stayed() {
        let (ours, its) = (entry(&[1.0, 2.0, -1.0, 3.0]), entry(&[2.0, 4.0, 5.0, -1.0]));
        let against = ours.over(&its, Placement::SameComplex).unwrap();
        assert_eq!((against.median, against.n), (0.5, 2));
        assert_eq!(its.taken(), (4, 1));
        assert!(ours.over(&its, Placement::Across).is_none());
    }

    #[test]
    fn ahead_is_by_more_than_the_spread() {
        let verdict = |low, high| {
            Verdict::of(Spread { p10: low, median: (low + high) / 2.0, p90: high, n: 9 })
        };
        assert_eq!(verdict(0.5, 0.99), Verdict::Ahead);
        assert_eq!(verdict(0.5, 1.01), Verdict::Level);
        assert_eq!(verdict(0.99, 2.0), Verdict::Level);
        assert_eq!(verdict(1.01, 2.0), Verdict::Behind);
    }
}
