//! The specification of a broadcast: what one sender sends, each receiver gets.
//!
//! ```text
//!   [ 1 ][ 2 ][ 3 ][ 4 ]          position p holds what the sender sent as its p-th
//!     ^         ^        ^
//!   lane 1    lane 2    tail
//! ```
//!
//! A send takes effect when its message is published, a receive when it has looked for the
//! second time. A lossless ring is full if some receiver has not released what lies a lap
//! below, or had not when the refused one began. In one that overwrites, a receiver misses
//! messages only if the sender was a lap ahead, or about to be; and is told how many.

use annulus_prove::wgl::{Spec, Timed};

/// What an operation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The sender's next value was sent.
    Send,
    /// There was no room.
    Full,
    /// The value of so many sends before was received.
    Recv(u64),
    /// There was nothing.
    Empty,
    /// So many were missed.
    Lagged(u64),
    /// The receiver has left.
    Leave,
    /// It is there again, and begins with the value of so many sends.
    Join(u64),
}

/// Where one who is not there has come to: further than any sender.
const ABSENT: u64 = u64::MAX / 2;

/// How far each has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    tail: u64,
    next: Vec<u64>,
    /// When the last receive of each ended.
    ended: Vec<u64>,
}

/// A broadcast of some receivers; lane 0 is the sender's.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Number of slots.
    pub capacity: u64,
    /// Number of lanes.
    pub lanes: usize,
    /// Whether the slowest holds the sender back.
    pub lossless: bool,
}

impl Spec for Cast {
    type State = State;
    type Op = What;

    fn initial(&self) -> State {
        State { tail: 0, next: vec![0; self.lanes], ended: vec![0; self.lanes] }
    }

    fn steps(&self, state: &State, lane: usize, op: &Timed<What>, next: &mut Vec<(State, bool)>) {
        let mut after = state.clone();
        let slow = |from: u64| from + self.capacity;
        let mut receivers = 1..self.lanes;
        let right = match op.what {
            What::Send => {
                after.tail += 1;
                !self.lossless || receivers.all(|lane| state.tail < slow(state.next[lane]))
            }
            What::Full => {
                self.lossless
                    && receivers.any(|lane| {
                        let held = state.next[lane].checked_sub(1);
                        state.tail >= slow(state.next[lane])
                            || (held.is_some_and(|held| state.tail >= slow(held))
                                && state.ended[lane] > op.start)
                    })
            }
            What::Recv(value) => {
                let at = state.next[lane];
                after.next[lane] += 1;
                after.ended[lane] = op.end;
                value == at && at < state.tail && state.tail <= slow(at)
            }
            What::Empty => state.next[lane] == state.tail,
            What::Lagged(missed) => {
                after.next[lane] += missed;
                !self.lossless
                    && missed > 0
                    && state.tail >= slow(state.next[lane])
                    && after.next[lane] <= state.tail
            }
            What::Leave => {
                after.next[lane] = ABSENT;
                after.ended[lane] = op.end;
                true
            }
            What::Join(first) => {
                after.next[lane] = first;
                first <= state.tail && (!self.lossless || state.tail <= slow(first))
            }
        };
        if right {
            if !self.lossless {
                after.ended[lane] = 0;
            }
            next.push((after, true));
        }
    }

    fn accepts(&self, _: &State) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use What::*;
    use annulus_prove::wgl::{Verdict, check};

    fn lane(from: u64, ops: &[What]) -> Vec<Timed<What>> {
        let time = |at: usize| from + 10 * at as u64;
        let op = |(at, what): (usize, &What)| Timed {
            start: time(at),
            end: time(at) + 1,
            optional: false,
            what: *what,
        };
        ops.iter().enumerate().map(op).collect()
    }

    fn verdict(lossless: bool, lanes: &[Vec<Timed<What>>]) -> Verdict {
        check(&Cast { capacity: 2, lanes: lanes.len(), lossless }, lanes)
    }

    #[test]
    fn each_receiver_gets_everything_in_order() {
        let sends = lane(0, &[Send, Send]);
        let right = lane(100, &[Recv(0), Recv(1), Empty]);
        assert_eq!(verdict(true, &[sends.clone(), right.clone(), right.clone()]), Verdict::Fits);
        for wrong in
            [&[Recv(1)][..], &[Recv(0), Recv(0)], &[Recv(0), Empty], &[Lagged(1)], &[Empty]]
        {
            let lanes = [sends.clone(), right.clone(), lane(100, wrong)];
            assert_eq!(verdict(true, &lanes), Verdict::Refused, "{wrong:?}");
        }
    }

    #[test]
    fn the_slowest_holds_a_lossless_sender_back() {
        let got = |ops: &[What]| lane(31, ops);
        let sends = lane(0, &[Send, Send, Full]);
        assert_eq!(verdict(true, &[sends.clone(), got(&[])]), Verdict::Fits);
        let late = lane(15, &[Recv(0)]);
        assert_eq!(verdict(true, &[sends, late]), Verdict::Refused);
        let over = lane(0, &[Send, Send, Send]);
        assert_eq!(verdict(true, &[over.clone(), got(&[Recv(0)])]), Verdict::Refused);
        assert_eq!(verdict(false, &[over, got(&[Lagged(1), Recv(1)])]), Verdict::Fits);
    }

    #[test]
    fn who_is_away_holds_nobody_back_and_begins_anew() {
        let sends = || lane(100, &[Send, Send, Send, Send]);
        let away = |first| {
            let mut lane = lane(0, &[Leave]);
            lane.extend(self::lane(200, &[Join(first), Recv(first)]));
            lane
        };
        for (first, right) in [(1, false), (2, true), (3, true), (4, false)] {
            let said = verdict(true, &[sends(), away(first)]);
            assert_eq!(said == Verdict::Fits, right, "{first}");
        }
        assert_eq!(verdict(true, &[sends(), lane(0, &[])]), Verdict::Refused);
    }

    #[test]
    fn who_is_overwritten_is_told_how_many_he_has_missed() {
        let sends = lane(0, &[Send, Send, Send]);
        for (ops, right) in [
            (&[Lagged(1), Recv(1), Recv(2), Empty][..], true),
            (&[Recv(0)], false),
            (&[Recv(1)], false),
            (&[Lagged(1), Recv(2)], false),
            (&[Lagged(4)], false),
            (&[Empty], false),
        ] {
            let said = verdict(false, &[sends.clone(), lane(100, ops)]);
            assert_eq!(said == Verdict::Fits, right, "{ops:?}");
        }
    }
}
