//! Is there an order of these operations that a sequential specification allows?
//!
//! ```text
//!   lane 0   ├── send 1 ──┤      ├─ full ─┤        each process does one after the other,
//!   lane 1        ├─── recv 1 ───┤  ├─ empty ─┤    from its start to its end
//!                        ▼
//!   one order, in which who ended before another began comes first, and which the
//!   specification can do step by step
//! ```
//!
//! The search of Wing and Gong (1993) with the memory of Lowe (2017): depth first over how far
//! each lane has come and the specification's state, no such pair twice.
//!
//! A process that was killed leaves operations that may have taken effect or not: *optional*
//! ones, at the end of its lane, whose end is when its death was seen. Such a one takes effect
//! before whatever began after that, or never.

use std::collections::HashSet;
use std::hash::Hash;

/// An operation and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed<O> {
    /// It began then, or later.
    pub start: u64,
    /// It took effect by then.
    pub end: u64,
    /// It may never have taken effect.
    pub optional: bool,
    /// What it was.
    pub what: O,
}

/// A sequential specification.
pub trait Spec {
    /// Its state.
    type State: Clone + Eq + Hash;
    /// Its operations.
    type Op;

    /// Where it begins.
    fn initial(&self) -> Self::State;

    /// What an operation of a lane can do in a state: each state that may come of it, and
    /// whether the operation is done with that, or has only done something on its way.
    fn steps(
        &self,
        state: &Self::State,
        lane: usize,
        op: &Timed<Self::Op>,
        next: &mut Vec<(Self::State, bool)>,
    );

    /// Whether it may end so.
    fn accepts(&self, state: &Self::State) -> bool;
}

/// What the search has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order.
    Fits,
    /// There is none.
    Refused,
    /// It would have taken too long to say.
    Unknown,
}

/// Most pairs that are looked at.
const NODES: usize = 1_000_000;

/// Looks for an order.
pub fn check<S: Spec>(spec: &S, lanes: &[Vec<Timed<S::Op>>]) -> Verdict {
    let start = (vec![0_u8; lanes.len()], spec.initial());
    let mut seen = HashSet::from([start.clone()]);
    let (mut open, mut next) = (vec![start], Vec::new());
    while let Some((progress, state)) = open.pop() {
        let rest = |lane: usize| lanes[lane].get(progress[lane] as usize);
        let required = |lane: &usize| rest(*lane).is_some_and(|op| !op.optional);
        let mut waiting = (0..lanes.len()).filter(required).peekable();
        if waiting.peek().is_none() && spec.accepts(&state) {
            return Verdict::Fits;
        }
        // Whoever began after the first of these has to wait for it.
        let first_end = waiting.filter_map(rest).map(|op| op.end).min().unwrap_or(u64::MAX);
        let done = |lane: usize| progress[lane].checked_sub(1).map(|at| &lanes[lane][at as usize]);
        let last_start = (0..lanes.len()).filter_map(done).map(|op| op.start).max().unwrap_or(0);
        for lane in 0..lanes.len() {
            let Some(op) = rest(lane) else { continue };
            if op.start > first_end || (op.optional && op.end < last_start) {
                continue;
            }
            next.clear();
            spec.steps(&state, lane, op, &mut next);
            for (state, done) in next.drain(..) {
                let mut progress = progress.clone();
                progress[lane] += u8::from(done);
                let node = (progress, state);
                if seen.insert(node.clone()) {
                    open.push(node);
                }
            }
        }
        if seen.len() > NODES {
            return Verdict::Unknown;
        }
    }
    Verdict::Refused
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register: `Ok` writes, `Err` reads.
    struct Register;

    impl Spec for Register {
        type State = u64;
        type Op = Result<u64, u64>;

        fn initial(&self) -> u64 {
            0
        }

        fn steps(&self, state: &u64, _: usize, op: &Timed<Self::Op>, next: &mut Vec<(u64, bool)>) {
            match op.what {
                Ok(value) => next.push((value, true)),
                Err(value) if value == *state => next.push((value, true)),
                Err(_) => {}
            }
        }

        fn accepts(&self, _: &u64) -> bool {
            true
        }
    }

    fn op(start: u64, end: u64, what: Result<u64, u64>) -> Timed<Result<u64, u64>> {
        Timed { start, end, optional: false, what }
    }

    #[test]
    fn overlapping_operations_may_come_in_either_order() {
        for seen in [0, 1] {
            let lanes = [vec![op(1, 5, Ok(1))], vec![op(2, 4, Err(seen))]];
            assert_eq!(check(&Register, &lanes), Verdict::Fits);
        }
    }

    #[test]
    fn who_ended_before_another_began_comes_first() {
        let lanes = [vec![op(1, 2, Ok(1))], vec![op(3, 4, Err(0))]];
        assert_eq!(check(&Register, &lanes), Verdict::Refused);
        let lanes = [vec![op(1, 9, Ok(1))], vec![op(2, 3, Err(1)), op(4, 5, Err(0))]];
        assert_eq!(check(&Register, &lanes), Verdict::Refused);
    }

    #[test]
    fn what_was_in_flight_took_effect_before_its_death_was_seen_or_never() {
        let dead = Timed { optional: true, ..op(1, 5, Ok(1)) };
        for (reads, verdict) in [
            ([0, 0, 0], Verdict::Fits),
            ([1, 1, 1], Verdict::Fits),
            ([0, 1, 1], Verdict::Fits),
            ([0, 0, 1], Verdict::Refused),
            ([1, 0, 0], Verdict::Refused),
        ] {
            // The second and the third begin after the death was seen.
            let times = [(2, 3), (6, 7), (8, 9)].into_iter().zip(reads);
            let lane = times.map(|((from, to), seen)| op(from, to, Err(seen))).collect();
            assert_eq!(check(&Register, &[vec![dead.clone()], lane]), verdict, "{reads:?}");
        }
    }
}
