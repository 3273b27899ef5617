//! Many short samples, each between two probes of the placement.

use crate::placement::{Bracket, Placement, probe};
use crate::stats::Spread;
use crate::{Error, Pair};

/// A figure, and where the cores stood while it was taken.
#[derive(Clone, Copy, Debug)]
pub struct Sample<T> {
    /// What both probes say.
    pub placement: Placement,
    /// The raw two-line round trip around it, in nanoseconds.
    pub line: f64,
    /// Whether another program had one of the two cores meanwhile.
    pub interrupted: bool,
    /// The figure.
    pub value: T,
}

/// The samples of one comparison.
#[derive(Clone, Debug)]
pub struct Samples<T> {
    kept: Vec<Sample<T>>,
    moved: usize,
}

/// So many samples without interruption are enough to do without the others.
const ENOUGH: usize = 8;

impl<T> Default for Samples<T> {
    fn default() -> Samples<T> {
        Samples { kept: Vec::new(), moved: 0 }
    }
}

impl<T> Samples<T> {
    /// None yet.
    pub fn new() -> Samples<T> {
        Samples::default()
    }

    /// Takes one more sample; says where, or `None` if it was thrown away. Whatever
    /// `body` measures, and its raw partners, belongs inside, so that all of it saw the
    /// same placement.
    pub fn take(
        &mut self,
        pair: &mut Pair,
        body: impl FnOnce(&mut Pair) -> Result<T, Error>,
    ) -> Result<Option<Placement>, Error> {
        let before = probe(pair)?;
        let interruptions = pair.interruptions();
        let value = body(pair)?;
        let after = probe(pair)?;
        let interrupted = pair.interruptions() != interruptions;
        Ok(self.add(Bracket { before, after }, interrupted, value))
    }

    fn add(&mut self, bracket: Bracket, interrupted: bool, value: T) -> Option<Placement> {
        let placement = bracket.placement();
        match placement {
            None => self.moved += 1,
            Some(placement) => {
                let line = bracket.round_trip();
                self.kept.push(Sample { placement, line, interrupted, value });
            }
        }
        placement
    }

    /// Completes the sample taken last, if there is one.
    pub(crate) fn amend_last(&mut self, amend: impl FnOnce(&mut Sample<T>)) {
        if let Some(sample) = self.kept.last_mut() {
            amend(sample);
        }
    }

    /// The placement that most of the samples were taken in.
    pub fn placement(&self) -> Option<Placement> {
        let count = |placement| self.of(placement).count();
        self.placements().into_iter().max_by_key(|&placement| count(placement))
    }

    /// All placements that were met.
    pub fn placements(&self) -> Vec<Placement> {
        let mut placements: Vec<_> = self.kept.iter().map(|sample| sample.placement).collect();
        placements.sort();
        placements.dedup();
        placements
    }

    /// Where each sample was taken, and the raw round trip there.
    pub fn met(&self) -> impl Iterator<Item = (Placement, f64)> {
        self.kept.iter().map(|sample| (sample.placement, sample.line))
    }

    /// The samples of one placement: those without interruption, unless there are only
    /// a few.
    pub fn of(&self, placement: Placement) -> impl Iterator<Item = &Sample<T>> {
        let here = move || self.kept.iter().filter(move |sample| sample.placement == placement);
        let quiet = here().filter(|sample| !sample.interrupted).count() >= ENOUGH;
        here().filter(move |sample| !(quiet && sample.interrupted))
    }

    /// The samples of one placement, interrupted or not: where somebody else is meant to
    /// be on a core.
    pub fn all_of(&self, placement: Placement) -> impl Iterator<Item = &Sample<T>> {
        self.kept.iter().filter(move |sample| sample.placement == placement)
    }

    /// The spread of one figure in one placement.
    pub fn spread(
        &self,
        placement: Placement,
        figure: impl Fn(&Sample<T>) -> f64,
    ) -> Option<Spread> {
        Spread::of(self.of(placement).map(figure))
    }

    /// Samples taken, thrown away or not.
    pub fn taken(&self) -> usize {
        self.kept.len() + self.moved
    }

    /// The share thrown away since the cores moved while the sample was taken.
    pub fn discarded(&self) -> f64 {
        share(self.moved, self.taken())
    }

    /// The share of the samples of one placement that other programs had a part in,
    /// and that are used nevertheless, for want of better ones.
    pub fn interrupted(&self, placement: Placement) -> f64 {
        let of = || self.of(placement);
        share(of().filter(|sample| sample.interrupted).count(), of().count())
    }

    /// The share not used by a report on this placement alone.
    pub fn outside(&self, placement: Placement) -> f64 {
        share(self.taken() - self.of(placement).count(), self.taken())
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_kept_by_placement_and_thrown_away_when_it_changed() {
        let mut samples = Samples::new();
        for (before, after, value) in
            [(60.0, 62.0, 1.0), (60.0, 200.0, 99.0), (200.0, 210.0, 5.0), (64.0, 60.0, 3.0)]
        {
            samples.add(Bracket { before, after }, false, value);
        }
        assert_eq!(samples.placements(), [Placement::SameComplex, Placement::Across]);
        assert_eq!(samples.placement(), Some(Placement::SameComplex));
        let spread = samples.spread(Placement::SameComplex, |sample| sample.value).unwrap();
        assert_eq!((spread.median, spread.n), (2.0, 2));
        assert_eq!(samples.discarded(), 0.25);
        assert_eq!(samples.outside(Placement::SameComplex), 0.5);
        assert_eq!(samples.spread(Placement::Far, |sample| sample.value), None);
    }
    #[test]
    fn interrupted_samples_count_only_for_want_of_others() {
        let bracket = Bracket { before: 60.0, after: 60.0 };
        let (mut samples, here) = (Samples::new(), Placement::SameComplex);
        let median =
            |samples: &Samples<f64>| samples.spread(here, |sample| sample.value).unwrap().median;
        for _ in 0..20 {
            samples.add(bracket, true, 9.0);
        }
        samples.add(bracket, false, 1.0);
        assert_eq!((median(&samples), samples.interrupted(here)), (9.0, 20.0 / 21.0));
        for _ in 1..ENOUGH {
            samples.add(bracket, false, 1.0);
        }
        assert_eq!((median(&samples), samples.interrupted(here)), (1.0, 0.0));
        assert_eq!(samples.outside(here), 20.0 / (20 + ENOUGH) as f64);
    }
}
