//! The specification of a bounded FIFO whose slots are held for a while: spsc, stream, mpmc.
//!
//! ```text
//!    holders                  items
//!   [ done ][ held ]  |  [ 5 ][ tomb ][ 7* ]          * its sender has not committed it yet
//!                    head                  tail
//! ```
//!
//! A send takes effect when it takes its position, a receive likewise; for a while before it
//! ends, the one has not committed, the other not released. So of a ring of capacity c:
//!
//! - `Full` at tail t is right if position t - c has not been taken by a receiver, or if that
//!   receiver still held it when the refused one began;
//! - `Empty` is right if each position that was taken has been received or passed over;
//! - `Stalled` is right if the sender of the first position had not committed when the refused
//!   one began;
//! - a reservation that is given up leaves a *tomb*, which whoever receives passes over.
//!
//! Of one who was killed (see [`annulus_prove::wgl`]): a position that it had taken to send has
//! its message, or a tomb; one that it had taken to receive was received by nobody, or comes
//! again, marked, out of order and once.

use annulus_prove::wgl::{Spec, Timed};

/// What an operation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A value was sent.
    Send(u64),
    /// A position was taken, and given up.
    Abort,
    /// There was no room.
    Full,
    /// A value was received.
    Recv(u64),
    /// A value came again.
    Again(u64),
    /// There was nothing.
    Empty,
    /// There was nothing yet.
    Stalled,
    /// Whoever received gave up waiting; tombs it may have passed over.
    Nothing,
    /// Whoever received, or tried to, was killed: whatever there was, or only a value that it
    /// is known to have been given.
    Dead {
        /// It was given this.
        value: Option<u64>,
        /// What it took may have been received.
        received: bool,
        /// What it took may come again.
        again: bool,
    },
    /// As `Send`, by one who was killed: perhaps a tomb.
    DeadSend(u64),
}

/// An operation, and until when it holds its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// What it was.
    pub what: What,
    /// Not committed, or not released, before.
    pub until: u64,
}

/// A taken position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Item {
    /// None: a tomb.
    value: Option<u64>,
    until: u64,
}

/// What is in the ring.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    items: Vec<Item>,
    /// Of the last positions below the head, the latest last.
    holders: Vec<u64>,
    /// Taken by the dead, to come again.
    estate: Vec<u64>,
}

/// A bounded FIFO.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    /// Number of slots.
    pub capacity: usize,
}

impl Queue {
    fn pop(&self, state: &State, until: u64) -> State {
        let mut state = state.clone();
        state.items.remove(0);
        state.holders.push(until);
        if state.holders.len() > self.capacity {
            state.holders.remove(0);
        }
        state
    }

    fn push(&self, state: &State, value: Option<u64>, until: u64) -> Option<(State, bool)> {
        let mut state = state.clone();
        state.items.push(Item { value, until });
        (state.items.len() <= self.capacity).then_some((state, true))
    }
}

impl Spec for Queue {
    type State = State;
    type Op = Op;

    fn initial(&self) -> State {
        State::default()
    }

    fn steps(&self, state: &State, _: usize, op: &Timed<Op>, next: &mut Vec<(State, bool)>) {
        let (what, until) = (op.what.what, op.what.until);
        let first = state.items.first();
        let receives = !matches!(
            what,
            What::Send(_) | What::Abort | What::Full | What::DeadSend(_) | What::Again(_)
        );
        if receives && first.is_some_and(|item| item.value.is_none()) {
            // Passes over a tomb.
            next.push((self.pop(state, until), false));
        }
        let value = first.and_then(|item| item.value);
        match what {
            What::Send(value) => next.extend(self.push(state, Some(value), until)),
            What::Abort => next.extend(self.push(state, None, until)),
            What::DeadSend(value) => {
                next.extend(self.push(state, Some(value), until));
                next.extend(self.push(state, None, until));
            }
            What::Full => {
                let freed = self.capacity - state.items.len().min(self.capacity);
                let holder = state.holders.len().checked_sub(freed);
                let held = holder.and_then(|at| state.holders.get(at));
                if freed == 0 || held.is_some_and(|until| *until > op.start) {
                    next.push((state.clone(), true));
                }
            }
            What::Recv(wanted) if value == Some(wanted) => {
                next.push((self.pop(state, until), true));
            }
            What::Again(wanted) => {
                if let Some(at) = state.estate.iter().position(|value| *value == wanted) {
                    let mut state = state.clone();
                    state.estate.remove(at);
                    next.push((state, true));
                }
            }
            What::Nothing => next.push((state.clone(), true)),
            What::Empty if first.is_none() => next.push((state.clone(), true)),
            What::Stalled if first.is_some_and(|item| item.until > op.start) => {
                next.push((state.clone(), true));
            }
            What::Dead { value: wanted, received, again } => {
                let Some(value) = value.filter(|value| wanted.is_none_or(|it| it == *value)) else {
                    return;
                };
                let popped = self.pop(state, until);
                if again {
                    let mut state = popped.clone();
                    state.estate.push(value);
                    next.push((state, true));
                }
                if received {
                    next.push((popped, true));
                }
            }
            What::Recv(_) | What::Empty | What::Stalled => {}
        }
    }

    fn accepts(&self, state: &State) -> bool {
        state.estate.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use annulus_prove::fleet::Random;
    use annulus_prove::wgl::{Verdict, check};
    use std::collections::VecDeque;

    fn op(start: u64, end: u64, what: What) -> Timed<Op> {
        held(start, end, end, what)
    }

    fn held(start: u64, end: u64, until: u64, what: What) -> Timed<Op> {
        Timed { start, end, optional: false, what: Op { what, until } }
    }

    fn verdict(capacity: usize, lanes: &[Vec<Timed<Op>>]) -> Verdict {
        check(&Queue { capacity }, lanes)
    }

    #[track_caller]
    fn fits(capacity: usize, lanes: &[Vec<Timed<Op>>]) {
        assert_eq!(verdict(capacity, lanes), Verdict::Fits);
    }

    #[track_caller]
    fn refused(capacity: usize, lanes: &[Vec<Timed<Op>>]) {
        assert_eq!(verdict(capacity, lanes), Verdict::Refused);
    }

    use What::*;

    #[test]
    fn values_come_in_order_once_and_only_if_sent() {
        let sends = vec![op(1, 2, Send(1)), op(3, 4, Send(2))];
        fits(2, &[sends.clone(), vec![op(5, 6, Recv(1)), op(7, 8, Recv(2)), op(9, 9, Empty)]]);
        refused(2, &[sends.clone(), vec![op(5, 6, Recv(2)), op(7, 8, Recv(1))]]);
        refused(2, &[sends.clone(), vec![op(5, 6, Recv(1)), op(7, 8, Recv(1))]]);
        refused(2, &[sends.clone(), vec![op(5, 6, Recv(3))]]);
        // Lost.
        refused(2, &[sends.clone(), vec![op(5, 6, Recv(1)), op(7, 8, Empty)]]);
        // Before it was sent.
        refused(2, &[sends, vec![op(1, 2, Recv(2))]]);
    }

    #[test]
    fn empty_is_said_of_what_is_empty() {
        fits(2, &[vec![op(3, 6, Send(1))], vec![op(1, 4, Empty), op(7, 8, Recv(1))]]);
        refused(2, &[vec![op(1, 2, Send(1))], vec![op(3, 4, Empty), op(5, 6, Recv(1))]]);
    }

    #[test]
    fn full_is_said_of_what_is_full_or_still_held() {
        let sends = |full| vec![op(1, 2, Send(1)), op(3, 4, Send(2)), op(full, full + 1, Full)];
        fits(2, &[sends(5)]);
        refused(3, &[sends(5)]);
        // Received, and released at 9.
        let takes = vec![held(5, 6, 9, Recv(1))];
        fits(2, &[sends(7), takes.clone()]);
        refused(2, &[sends(10), takes]);
        // The second was released, but not the first, whose slot is needed.
        fits(2, &[sends(9), vec![held(5, 6, 20, Recv(1))], vec![op(7, 8, Recv(2))]]);
        refused(2, &[sends(9), vec![op(5, 6, Recv(1))], vec![held(7, 8, 20, Recv(2))]]);
    }

    #[test]
    fn stalled_is_said_only_while_the_first_is_not_committed() {
        let lanes = |stalled| {
            let second = vec![op(3, 4, Send(2)), op(stalled, stalled + 1, Stalled)];
            [vec![held(1, 2, 9, Send(1))], second]
        };
        fits(2, &lanes(5));
        refused(2, &lanes(10));
        refused(2, &[vec![op(5, 6, Stalled)]]);
    }

    #[test]
    fn a_tomb_takes_a_slot_until_somebody_passes_over_it() {
        let sends = vec![op(1, 2, Abort), op(3, 4, Send(1)), op(5, 6, Full), op(9, 10, Send(2))];
        fits(2, &[sends.clone(), vec![op(7, 8, Recv(1)), op(11, 12, Recv(2))]]);
        refused(2, &[sends, vec![op(11, 12, Recv(1))]]);
        fits(2, &[vec![op(1, 2, Abort)], vec![op(3, 4, Empty)]]);
    }

    fn dead(mut op: Timed<Op>) -> Timed<Op> {
        op.optional = true;
        op.what.until = u64::MAX;
        op
    }

    #[test]
    fn what_a_dead_receiver_held_comes_again_marked_and_once() {
        let any = Dead { value: None, received: true, again: true };
        let sends = vec![op(1, 2, Send(1)), op(3, 4, Send(2))];
        let dies = |what| vec![dead(op(5, 8, what))];
        let rest = |ops: &[What]| -> Vec<_> {
            ops.iter()
                .enumerate()
                .map(|(at, what)| op(9 + at as u64, 9 + at as u64, *what))
                .collect()
        };
        let all = |what, ops: &[What]| verdict(2, &[sends.clone(), dies(what), rest(ops)]);
        for right in [
            &[Recv(1), Recv(2), Empty][..],
            &[Recv(2), Empty],
            &[Again(1), Recv(2), Empty],
            &[Recv(2), Again(1), Empty],
        ] {
            assert_eq!(all(any, right), Verdict::Fits, "{right:?}");
        }
        for wrong in [
            &[Again(1), Recv(1), Recv(2), Empty][..],
            &[Again(2), Recv(1), Empty],
            &[Again(1), Again(1), Recv(2)],
            &[Empty],
        ] {
            assert_eq!(all(any, wrong), Verdict::Refused, "{wrong:?}");
        }
        // Under a guard, which was not released: it is not lost.
        let guard = Dead { value: Some(1), received: false, again: true };
        let required = vec![held(5, 6, u64::MAX, guard)];
        refused(2, &[sends.clone(), required.clone(), rest(&[Recv(2), Empty])]);
        fits(2, &[sends, required, rest(&[Recv(2), Again(1), Empty])]);
    }

    #[test]
    fn what_a_dead_sender_sent_is_there_or_not() {
        let dies = vec![dead(op(1, 4, DeadSend(1)))];
        fits(2, &[dies.clone(), vec![op(5, 6, Recv(1)), op(7, 8, Empty)]]);
        fits(2, &[dies.clone(), vec![op(5, 6, Stalled), op(7, 8, Empty)]]);
        refused(2, &[dies, vec![op(5, 6, Empty), op(7, 8, Recv(1))]]);
    }

    /// A run of one sender and one receiver through a queue that `take` takes from.
    fn run(
        random: &mut Random,
        take: impl Fn(&mut VecDeque<u64>, &mut Random) -> Option<u64>,
    ) -> [Vec<Timed<Op>>; 2] {
        let (mut queue, mut lanes, mut value) = (VecDeque::new(), [vec![], vec![]], 0);
        for time in 0..24 {
            let at = 10 * time;
            // As far as the neighbours, and no further.
            let (start, end) = (at - random.below(8).min(at), at + random.below(2));
            if random.once_in(2) {
                let what = if queue.len() < 3 {
                    value += 1;
                    queue.push_back(value);
                    Send(value)
                } else {
                    Full
                };
                lanes[0].push(op(start, end, what));
            } else {
                let what = take(&mut queue, random).map_or(Empty, Recv);
                lanes[1].push(op(start, end, what));
            }
        }
        lanes
    }

    #[test]
    fn a_broken_fifo_is_refused_and_a_right_one_is_not() {
        let mut random = Random::new(7);
        let (mut caught, mut broken) = (0, 0);
        for _ in 0..500 {
            let right = run(&mut random, |queue, _| queue.pop_front());
            fits(3, &right);
            // Sometimes the second before the first.
            let swaps = std::cell::Cell::new(false);
            let wrong = run(&mut random, |queue, random| {
                if queue.len() > 1 && random.once_in(4) {
                    swaps.set(true);
                    return queue.remove(1);
                }
                queue.pop_front()
            });
            broken += u32::from(swaps.get());
            let is_refused = verdict(3, &wrong) == Verdict::Refused;
            caught += u32::from(is_refused);
            assert!(swaps.get() || !is_refused);
        }
        assert!(broken > 300 && caught == broken, "{caught} of {broken}");
    }
}
