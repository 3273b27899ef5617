//! Lies about what stands in a stream's shared memory, as values that proptest draws.

use annulus::hooks::{Liar, budget, lie};
use proptest::prelude::*;

use crate::streams;

/// Bytes of the streams that are lied about.
pub const CAPACITY: u64 = 16;

/// The longest piece that is sent or received: three laps.
pub const LONGEST: usize = 3 * CAPACITY as usize;

/// More accesses than any call makes that waits for no time at all: 32 polls, each with a
/// closer look if a lie makes it worth one; and each byte on its own, if a lie tells of one
/// at a time: the peer's index, two copies, the own index, the flag and a wake-up.
pub const ACCESSES: u64 = 32 * 4 + 24 + 9 * LONGEST as u64;

/// How a value is told instead of the true one.
#[derive(Clone, Copy, Debug)]
pub enum Lie {
    Always(u64),
    Plus(u64),
    Minus(u64),
    Xor(u64),
    /// Another each time.
    Random(u64),
    /// As `Plus`, more each time: an index that grows and grows.
    Growing(u64),
}

impl Lie {
    fn tell(self, truth: u64, nth: u64) -> u64 {
        match self {
            Self::Always(value) => value,
            Self::Plus(more) => truth.wrapping_add(more),
            Self::Minus(less) => truth.wrapping_sub(less),
            Self::Xor(bits) => truth ^ bits,
            Self::Random(seed) => streams::mix(seed ^ nth),
            Self::Growing(by) => truth.wrapping_add(by.wrapping_mul(nth)),
        }
    }
}

/// Which loads are lied to.
#[derive(Clone, Copy, Debug)]
pub enum When {
    All,
    /// One, counted from zero.
    Nth(u64),
    From(u64),
    /// Those of the peer's index alone.
    Index,
}

/// Any lie about any loads.
pub fn any_lie() -> impl Strategy<Value = (When, Lie)> {
    let value = || {
        prop_oneof![
            2 => 0..=2 * CAPACITY + 2,
            1 => (0..=8u64).prop_map(|near| (1u64 << 62) - 4 + near),
            1 => (0..64u32).prop_map(|bit| 1u64 << bit),
            1 => (0..64u32).prop_map(|bit| u64::MAX << bit),
            // Seat states, of some incarnation.
            1 => (0..6u64, 0..3u64).prop_map(|(state, incarnation)| incarnation << 8 | state),
            1 => any::<u64>(),
        ]
    };
    let lie = prop_oneof![
        value().prop_map(Lie::Always),
        value().prop_map(Lie::Plus),
        value().prop_map(Lie::Minus),
        value().prop_map(Lie::Xor),
        any::<u64>().prop_map(Lie::Random),
        (1..4u64).prop_map(Lie::Growing),
    ];
    let when = prop_oneof![
        1 => Just(When::All),
        3 => (0..8u64).prop_map(When::Nth),
        1 => (0..8u64).prop_map(When::From),
        2 => Just(When::Index),
    ];
    (when, lie)
}

/// Runs `call` within the budget, its loads lied to.
pub fn lied_to<R>(how: (When, Lie), call: impl FnOnce() -> R) -> R {
    lied_to_about(how, |_| true, call)
}

/// As above, of one who may wait without a time: it is told the truth about its own note
/// that it was cancelled, which is no peer's to write, and about sleepers' flags with it.
pub fn lied_to_but_cancelled<R>(how: (When, Lie), call: impl FnOnce() -> R) -> R {
    lied_to_about(how, |edge| edge != "relaxed::FENCED", call)
}

fn lied_to_about<R>(
    (when, how): (When, Lie),
    about: impl Fn(&str) -> bool + 'static,
    call: impl FnOnce() -> R,
) -> R {
    let mut nth = 0;
    let liar: Liar = Box::new(move |edge, truth| {
        let index = ["publish::ACQUIRE", "retire::ACQUIRE", "relaxed::HINT"].contains(&edge);
        let now = match when {
            When::All => true,
            When::Nth(n) => nth == n,
            When::From(n) => nth >= n,
            When::Index => index,
        };
        nth += 1;
        if now && about(edge) { how.tell(truth, nth) } else { truth }
    });
    lie(liar, || budget(ACCESSES, call))
}
