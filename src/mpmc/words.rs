//! The words of an mpmc ring: what a slot and a claim may say.
//!
//! ```text
//!   slot   [ position 62                 | kind 2 ]   FREE 0, FULL 1, TOMB 2
//!          [ position mod 2^52 | seat 10 | kind 2 ]   RECL 3
//!   claim  [ start mod 2^52    | count 12          ]   count 0: none
//!
//!   FREE(p)      free for position p: written by nobody yet, or by whoever took p
//!   FULL(p)      holds the message of p: to be received, or being received
//!   TOMB(p)      p was taken and given up: there is no message
//!   RECL(p, d)   p's message was in the hands of d, who died: it comes again
//! ```
//!
//! Positions end at 2^62 (after 146 years at 10^9 messages a second), so the 62 bits of a
//! slot never wrap. The 52 bits of claims and of RECL wrap every 52 days at that rate; they
//! are read as the position nearest to one that is known in full, from which they are never
//! further than a claim is old: a claim is overwritten or cleared by its owner's next
//! operation, and one of a seat that lay still for 26 days at that rate may be read as one of
//! a position a whole wrap later, which then costs a look, and buries nothing (`recover.rs`:
//! the slot's word, in full, decides).
//!
//! Imports: nothing.

/// Positions are compared modulo this in claims and in RECL words.
const MODULUS: u64 = 1 << 52;

/// Most positions that one exchange takes.
pub(super) const BATCH_MAX: u64 = 256;

/// What a slot's word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Free(u64),
    Full(u64),
    Tomb(u64),
    /// The position modulo 2^52, and the seat of the dead.
    Recl(u64, usize),
}

impl Slot {
    /// The word.
    #[inline(always)]
    pub(super) const fn word(self) -> u64 {
        match self {
            Self::Free(p) => p << 2,
            Self::Full(p) => p << 2 | 1,
            Self::Tomb(p) => p << 2 | 2,
            Self::Recl(p, seat) => (p % MODULUS) << 12 | (seat as u64) << 2 | 3,
        }
    }

    /// Reads a word: any word is one of them.
    #[inline(always)]
    pub(super) const fn of(word: u64) -> Self {
        match word & 3 {
            0 => Self::Free(word >> 2),
            1 => Self::Full(word >> 2),
            2 => Self::Tomb(word >> 2),
            _ => Self::Recl(word >> 12, (word >> 2 & 0x3ff) as usize),
        }
    }

    /// How far the slot's position lies from `p`.
    pub(super) const fn from(self, p: u64) -> i64 {
        match self {
            Self::Free(q) | Self::Full(q) | Self::Tomb(q) => q.wrapping_sub(p) as i64,
            Self::Recl(q, _) => near(p, q).wrapping_sub(p) as i64,
        }
    }
}

/// The full position that `short`, known modulo 2^52, means beside `p`.
pub(super) const fn near(p: u64, short: u64) -> u64 {
    let ahead = short.wrapping_sub(p) << 12;
    p.wrapping_add_signed(ahead as i64 >> 12)
}

/// A claim of `count` positions from `start`.
#[inline(always)]
pub(super) const fn claim(start: u64, count: u64) -> u64 {
    (start % MODULUS) << 12 | count
}

/// The claim of nothing.
pub(super) const NO_CLAIM: u64 = 0;

/// The claim's start (modulo 2^52) and count: no more than can be.
pub(super) const fn claimed(claim: u64) -> (u64, u64) {
    let count = claim & 0xfff;
    (claim >> 12, if count < BATCH_MAX { count } else { BATCH_MAX })
}

/// Whether the claim covers position `q`.
pub(super) const fn covers(claim: u64, q: u64) -> bool {
    let (start, count) = claimed(claim);
    q.wrapping_sub(start) % MODULUS < count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_what_went_in() {
        for slot in [Slot::Free(7), Slot::Full((1 << 62) - 1), Slot::Tomb(0), Slot::Recl(9, 511)] {
            assert_eq!(Slot::of(slot.word()), slot);
        }
        let p = (3 << 52) + 5;
        assert_eq!(Slot::of(Slot::Recl(p - 2, 1).word()).from(p), -2);
        assert_eq!(Slot::Full(p - 8).from(p), -8);
        assert_eq!(near(3 << 52, MODULUS - 1), (3 << 52) - 1);
    }

    #[test]
    fn a_claim_covers_its_positions_and_no_others() {
        let p = (3 << 52) + 5;
        assert!(covers(claim(p, 2), p) && covers(claim(p, 2), p + 1));
        assert!(!covers(claim(p, 2), p + 2) && !covers(claim(p, 2), p - 1));
        assert!(covers(claim(MODULUS - 1, 2), MODULUS) && !covers(NO_CLAIM, 0));
        assert_eq!(claimed(u64::MAX).1, BATCH_MAX);
    }
}
