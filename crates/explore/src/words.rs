//! The words of the MPMC ring, as they stand in the segment.
//!
//! ```text
//!   slot   [ position 62                      | kind 2 ]   FREE 0, FULL 1, TOMB 2
//!          [ position mod 2^52 | seat 10      | kind 2 ]   RECL 3
//!   claim  [ start mod 2^52    | count 12             ]    count 0: none
//!   state  [ incarnation 56    | state 8              ]    as in src/seat.rs
//!   tail, head                 64
//! ```
//!
//! Imports: nothing.

/// Positions are compared modulo this in claims and in RECL words.
const MODULUS: u64 = 1 << 52;

/// A seat that nobody has taken yet, or left: the taker has nothing to settle.
pub const VACANT: u64 = 0;
/// Occupied, as far as the segment says.
pub const LIVE: u64 = 1;
/// Known to be dead; being settled, or waiting for it.
pub const RECOVERING: u64 = 2;
/// Left in order.
pub const CLOSED: u64 = 3;
/// Settled after a death.
pub const DIED: u64 = 4;

/// What a slot's word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Free for this position.
    Free(u64),
    /// Holds the message of this position.
    Full(u64),
    /// The position was taken and given up: there is no message.
    Tomb(u64),
    /// The message was taken by somebody who died; it belongs to this seat's estate.
    Recl(u64, u8),
}

impl Slot {
    /// The word.
    pub fn word(self) -> u64 {
        match self {
            Self::Free(p) => p << 2,
            Self::Full(p) => p << 2 | 1,
            Self::Tomb(p) => p << 2 | 2,
            Self::Recl(p, seat) => (p % MODULUS) << 12 | u64::from(seat) << 2 | 3,
        }
    }

    /// Reads a word. Seats above 255 do not occur in models.
    pub fn of(word: u64) -> Self {
        match word & 3 {
            0 => Self::Free(word >> 2),
            1 => Self::Full(word >> 2),
            2 => Self::Tomb(word >> 2),
            _ => Self::Recl(word >> 12, u8::try_from(word >> 2 & 0x3ff).unwrap_or(u8::MAX)),
        }
    }

    /// How far the slot's position lies from `p`.
    pub fn from(self, p: u64) -> i64 {
        match self {
            Self::Free(q) | Self::Full(q) | Self::Tomb(q) => q.wrapping_sub(p) as i64,
            Self::Recl(q, _) => near(p, q).wrapping_sub(p) as i64,
        }
    }
}

/// The full position that `short`, known modulo 2^52, means beside `p`.
pub fn near(p: u64, short: u64) -> u64 {
    let ahead = short.wrapping_sub(p) << 12;
    p.wrapping_add_signed(ahead as i64 >> 12)
}

/// A claim of `count` positions from `start`.
pub fn claim(start: u64, count: u64) -> u64 {
    (start % MODULUS) << 12 | count
}

/// The claim's start (modulo 2^52) and count.
pub fn claimed(claim: u64) -> (u64, u64) {
    (claim >> 12, claim & 0xfff)
}

/// Whether the claim covers position `q`.
pub fn covers(claim: u64, q: u64) -> bool {
    let (start, count) = claimed(claim);
    q.wrapping_sub(start) % MODULUS < count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_what_went_in() {
        for slot in [Slot::Free(7), Slot::Full((1 << 62) - 1), Slot::Tomb(0), Slot::Recl(9, 3)] {
            assert_eq!(Slot::of(slot.word()), slot);
        }
        let p = (3 << 52) + 5;
        assert_eq!(Slot::of(Slot::Recl(p - 2, 1).word()).from(p), -2);
        assert_eq!(near(3 << 52, MODULUS - 1), (3 << 52) - 1);
        assert!(covers(claim(p, 2), p + 1) && !covers(claim(p, 2), p + 2));
        assert!(covers(claim(MODULUS - 1, 2), MODULUS) && !covers(0, 0));
    }
}
