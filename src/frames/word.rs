//! A buffer's word: whose it is.
//!
//! ```text
//!   [ generation 36 | incarnation 16 | seat 10 | state 2 ]
//!
//!   FREE   anybody's to take
//!   HELD   in the hands of whoever took that seat for the time `incarnation`, modulo 2^16
//!   SENT   its handle is in the ring
//! ```
//!
//! The generation grows each time the buffer becomes free, so that a handle of before is known
//! for what it is: after 2^36 uses of one buffer (19 hours at a million a second) the numbers
//! come again, and a handle lives no longer than a message in the ring. An incarnation comes
//! again when a seat has been taken 65,536 times more: then a buffer of one who died so long
//! ago looks like the present occupant's until that one leaves.
//!
//! Imports: nothing.

/// A buffer's word, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) generation: u64,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Held(Holder),
    Sent,
}

/// A stay in a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) seat: usize,
    incarnation: u64,
}

const GENERATIONS: u64 = 1 << 36;
const INCARNATIONS: u64 = 1 << 16;

/// The word of a buffer that was never used.
pub(super) const FIRST: u64 = 0;

impl Holder {
    pub(super) fn new(seat: usize, incarnation: u64) -> Self {
        Self { seat, incarnation: incarnation % INCARNATIONS }
    }
}

impl Word {
    /// Reads a word; `None`: no correct peer writes it.
    pub(super) fn of(word: u64) -> Option<Self> {
        let holder = Holder {
            seat: (word >> 2 & 0x3ff) as usize,
            incarnation: word >> 12 & (INCARNATIONS - 1),
        };
        let state = match word & 3 {
            0 => State::Free,
            1 => State::Held(holder),
            2 => State::Sent,
            _ => return None,
        };
        Some(Self { generation: word >> 28, state })
    }

    /// The word.
    pub(super) fn word(self) -> u64 {
        let rest = match self.state {
            State::Free => 0,
            State::Held(Holder { seat, incarnation }) => incarnation << 12 | (seat as u64) << 2 | 1,
            State::Sent => 2,
        };
        self.generation << 28 | rest
    }

    /// The same buffer, in that state.
    pub(super) fn with(self, state: State) -> Self {
        Self { state, ..self }
    }

    /// The same buffer, free again.
    pub(super) fn freed(self) -> Self {
        Self { generation: (self.generation + 1) % GENERATIONS, state: State::Free }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_what_went_in() {
        let held = State::Held(Holder::new(511, 65_536 + 7));
        for state in [State::Free, held, State::Sent] {
            for generation in [0, 1, GENERATIONS - 1] {
                let word = Word { generation, state };
                assert_eq!(Word::of(word.word()), Some(word));
            }
        }
        assert_eq!(Word { generation: GENERATIONS - 1, state: held }.freed().word(), FIRST);
        assert_eq!(Word::of(3), None);
    }
}
