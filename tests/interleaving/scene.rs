//! A scene: who is there, what two of them do at one time, and what may come of it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use super::actor::{Actor, Kind, Op, Said, Why};
use super::moment::in_midst;

/// Who, by number; and what, in turn.
pub type Part = (usize, Vec<Op>);

/// One call, and what somebody else does in its midst.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Senders, then receivers.
    pub cast: (usize, usize),
    /// What comes before.
    pub before: Vec<(usize, Op)>,
    /// The call that is interrupted.
    pub one: (usize, Op),
    /// What is done meanwhile.
    pub other: Part,
    /// Whether what was said, and what is left, must be that of some sequence of the steps.
    pub sequence: bool,
}

/// What the one said, what the other said to each step, and what was found in the end.
pub type History = (Said, Vec<Said>, Vec<Said>);

/// What was tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub scenes: u64,
    /// Scenes in which it matters who was first.
    pub races: u64,
    pub moments: u64,
}

impl Tally {
    /// More of it.
    pub fn add(&mut self, other: Self) {
        self.scenes += other.scenes;
        self.races += other.races;
        self.moments += other.moments;
    }
}

/// All ways to put `ones` between `others`, in their orders: true is one of `ones`.
fn merges(ones: usize, others: usize) -> Vec<Vec<bool>> {
    if ones + others == 0 {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for (first, ones, others) in
        [(true, ones.checked_sub(1), Some(others)), (false, Some(ones), others.checked_sub(1))]
    {
        let (Some(ones), Some(others)) = (ones, others) else { continue };
        all.extend(merges(ones, others).into_iter().map(|mut rest| {
            rest.insert(0, first);
            rest
        }));
    }
    all
}

impl Scene {
    /// Everybody in place.
    fn set<K: Kind>(&self, ring: &dyn Fn() -> K) -> Vec<Actor<K>> {
        let (ring, (senders, receivers)) = (ring(), self.cast);
        let mut actors: Vec<_> =
            (0..senders + receivers).map(|who| Actor::new(&ring, who, who < senders)).collect();
        for (who, op) in &self.before {
            actors[*who].act(*op);
        }
        actors
    }

    /// What is left: receivers get it all, or whoever comes next; a sender sends once more.
    fn end<K: Kind>(&self, mut actors: Vec<Actor<K>>) -> Vec<Said> {
        let (senders, _) = self.cast;
        let mut said = Vec::new();
        for end in [&[Op::Comes, Op::Drain][..], &[Op::Comes, Op::Send], &[Op::Drain]] {
            let sends = end.contains(&Op::Send);
            for (who, actor) in actors.iter_mut().enumerate() {
                if sends == (who < senders) {
                    said.extend(end.iter().map(|op| actor.act(*op)));
                }
            }
        }
        said
    }

    /// All that may come of it: the steps in every order that keeps each one's own. A batch
    /// is as many steps as it has messages, or fewer.
    fn sequences<K: Kind>(&self, ring: &dyn Fn() -> K) -> BTreeSet<History> {
        let mut all = BTreeSet::new();
        // A batch frees and fills its slots one by one, or all at its end.
        let batch = matches!(self.one.1, Op::SendMany(_) | Op::RecvMany(_));
        let held_up = K::HOLDS || batch && self.other.1.len() > 1;
        let ones = if K::HOLDS { self.one.1.steps_or_hold_up() } else { self.one.1.steps() };
        for one in ones {
            let others = self.other.1.iter().fold(vec![vec![]], |all, op| {
                let longer = |so_far: &Vec<_>| {
                    let so_far = so_far.clone();
                    let steps = if held_up { op.steps_or_hold_up() } else { op.steps() };
                    steps.into_iter().map(move |steps| [&so_far[..], &[steps]].concat())
                };
                all.iter().flat_map(longer).collect()
            });
            for other in others {
                let flat: Vec<_> = (0..)
                    .zip(&other)
                    .flat_map(|(index, steps)| steps.iter().map(move |step| (index, *step)))
                    .collect();
                for order in merges(one.len(), flat.len()) {
                    let history = self.in_order(ring, &order, &one, &flat);
                    all.insert(history);
                }
            }
        }
        all
    }

    fn in_order<K: Kind>(
        &self,
        ring: &dyn Fn() -> K,
        order: &[bool],
        one: &[Op],
        other: &[(usize, Op)],
    ) -> History {
        let mut actors = self.set(ring);
        let (mut ones, mut others) = (one.iter(), other.iter());
        let mut said = Said::default();
        let mut others_said = vec![Said::default(); self.other.1.len()];
        for first in order {
            if *first {
                let op = ones.next().expect("as many as there are");
                said.go_on(|| actors[self.one.0].act(*op));
            } else {
                let (index, op) = others.next().expect("as many as there are");
                others_said[*index].go_on(|| actors[self.other.0].act(*op));
            }
        }
        (said, others_said, self.end(actors))
    }

    /// The same with all of the other's steps in one moment of the call; `None`: it has no
    /// such moment.
    fn at<K: Kind>(&self, ring: &dyn Fn() -> K, moment: u64) -> Option<History> {
        let mut actors: Vec<_> = self.set(ring).into_iter().map(Some).collect();
        let mut one = actors[self.one.0].take().expect("there");
        let mut other = actors[self.other.0].take().expect("another one");
        let (steps, back) = (self.other.1.clone(), Arc::new(Mutex::new(None)));
        let place = Arc::clone(&back);
        let meanwhile = move || {
            let said: Vec<_> = steps.iter().map(|op| other.act(*op)).collect();
            *place.lock().unwrap() = Some((other, said));
        };
        let (said, left) = in_midst(moment, || one.act(self.one.1), meanwhile);
        if left.is_some() {
            return None;
        }
        let (other, others_said) = back.lock().unwrap().take().expect("it was done");
        actors[self.one.0] = Some(one);
        actors[self.other.0] = Some(other);
        Some((said, others_said, self.end(actors.into_iter().flatten().collect())))
    }

    /// Plays it at every moment of the call, and holds it to the promise.
    pub fn play<K: Kind>(&self, ring: &dyn Fn() -> K) -> Tally {
        let allowed = self.sequences(ring);
        let mut moments = 0;
        while let Some(history) = self.at(ring, moments + 1) {
            moments += 1;
            let is = allowed.contains(&history);
            assert!(is || !self.sequence, "{self:?}\nat {moments}: {history:?}\nnot {allowed:#?}");
        }
        Tally { scenes: 1, races: u64::from(allowed.len() > 1), moments }
    }
}
