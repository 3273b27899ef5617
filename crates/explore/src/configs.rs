//! What is explored: the configurations and the seeded mistakes.
//!
//! Names say senders and receivers at the start, who comes later behind a plus, then `k`
//! kills, `s` stopped, `c` capacity, `b` batch, and what else is special.
//! Imports: world, machine, bugs.

use crate::access::Setup;
use crate::bugs::Bug;
use crate::world::Config;

/// Two seats a side, capacity 2, single messages under a guard.
pub const PLAIN: Setup = Setup {
    capacity: 2,
    senders: 2,
    receivers: 2,
    batch: 1,
    guard: true,
    clear: false,
    aborts: false,
    leavers: false,
    numbered: false,
    open: false,
    bug: None,
};

type Messages = (&'static [u8], &'static [u8]);

const fn config(
    name: &'static str,
    senders: Messages,
    receivers: (u8, u8),
    (crashes, stops): (u8, u8),
    setup: Setup,
) -> Config {
    Config { name, setup, senders, receivers, dead: (0, 0), crashes, stops }
}

const COPY: Setup = Setup { guard: false, ..PLAIN };
const CLEAR: Setup = Setup { clear: true, ..PLAIN };
const BATCH: Setup = Setup { batch: 2, ..PLAIN };
const ABORT: Setup = Setup { aborts: true, ..PLAIN };
const LEAVE: Setup = Setup { leavers: true, ..PLAIN };
const C1: Setup = Setup { capacity: 1, ..PLAIN };
const C4: Setup = Setup { capacity: 4, ..PLAIN };
const S1: Setup = Setup { senders: 1, ..PLAIN };
const R1: Setup = Setup { receivers: 1, ..PLAIN };
const ONE: Setup = Setup { senders: 1, receivers: 1, ..PLAIN };
const S3: Setup = Setup { senders: 3, receivers: 1, ..PLAIN };
const R3: Setup = Setup { senders: 1, receivers: 3, ..PLAIN };

/// With dead claimants at the start.
const fn after(dead: (u8, u8), config: Config) -> Config {
    Config { dead, ..config }
}

const R4: Setup = Setup { senders: 1, receivers: 4, ..PLAIN };
const S4: Setup = Setup { senders: 4, receivers: 1, ..PLAIN };

/// Explored by the tests: each takes about a second without optimisation.
pub const SMALL: &[Config] = &[
    config("1s1r", (&[3], &[]), (1, 0), (0, 0), ONE),
    config("1s1r c1", (&[3], &[]), (1, 0), (0, 0), Setup { capacity: 1, ..ONE }),
    config("1s1r+1r k1", (&[2], &[]), (1, 1), (1, 0), ONE),
    config("1s1r+1r k1 copy", (&[2], &[]), (1, 1), (1, 0), Setup { guard: false, ..ONE }),
    config("1s1r+1s1r k2", (&[1], &[1]), (1, 1), (2, 0), ONE),
    config("2s1r k1", (&[1, 1], &[]), (1, 0), (1, 0), R1),
    config("1s2r k1", (&[2], &[]), (2, 0), (1, 0), S1),
    config("2s1r k1 b2", (&[2, 1], &[]), (1, 0), (1, 0), Setup { batch: 2, ..R1 }),
    config("1s2r k1 s1", (&[1], &[]), (2, 0), (1, 1), S1),
    config("2s1r k1 s1 c1", (&[1, 1], &[]), (1, 0), (1, 1), Setup { capacity: 1, ..R1 }),
    after((0, 2), config("1r+1r s1, 2r dead", (&[], &[]), (1, 1), (0, 1), R3)),
    after((2, 0), config("1s1r k1, 2s dead", (&[1], &[]), (1, 0), (1, 0), S3)),
];

/// Explored by default.
pub const USUAL: &[Config] = &[
    config("1s1r+1s1r k1", (&[2], &[1]), (1, 1), (1, 0), PLAIN),
    config("1s1r+1s1r k2", (&[2], &[1]), (1, 1), (2, 0), ONE),
    config("2s1r+1r k2", (&[2, 2], &[]), (1, 1), (2, 0), PLAIN),
    config("2s1r+1r k2 clear", (&[2, 1], &[]), (1, 1), (2, 0), CLEAR),
    config("2s1r+1r k2 b2 small", (&[2, 1], &[]), (1, 1), (2, 0), BATCH),
    config("2s1r+1r k2 abort", (&[2, 1], &[]), (1, 1), (2, 0), ABORT),
    config("2s1r+1s k2", (&[1, 1], &[1]), (1, 0), (2, 0), R1),
    config("1s2r+1r k2", (&[3], &[]), (2, 1), (2, 0), S1),
    config("1s2r+1r k3", (&[2], &[]), (2, 1), (3, 0), S1),
    config("1s2r+1r k2 copy", (&[3], &[]), (2, 1), (2, 0), COPY),
    config("1s2r+1r k2 b2", (&[3], &[]), (2, 1), (2, 0), Setup { senders: 1, ..BATCH }),
    config("1s2r+1r k2 leave", (&[2], &[]), (2, 1), (2, 0), Setup { senders: 1, ..LEAVE }),
    config("1s2r+1r k2 b2 abort", (&[3], &[]), (2, 1), (2, 0), Setup { batch: 2, ..ABORT }),
    config("1s2r+1r k2 s1", (&[2], &[]), (2, 1), (2, 1), S1),
    config("2s1r+1r k2 s1", (&[1, 1], &[]), (1, 1), (2, 1), PLAIN),
    after((0, 2), config("1s2r k2, 2r dead", (&[1], &[]), (2, 0), (2, 0), R4)),
    after((0, 2), config("2r+1r k2 s1, 2r dead", (&[], &[]), (2, 1), (2, 1), R4)),
    after((2, 0), config("1s1r+1s1r k2, 2s dead", (&[1], &[1]), (1, 1), (2, 0), S3)),
    after((2, 0), config("1s1r+1r k1 s1, 2s dead", (&[1], &[]), (1, 1), (1, 1), S4)),
    after((1, 1), config("1s1r+1r k2 s1, 1s1r dead", (&[1], &[]), (1, 1), (2, 1), PLAIN)),
    config("2s2r k1", (&[1, 1], &[]), (2, 0), (1, 0), PLAIN),
    config("2s2r k2", (&[1, 1], &[]), (2, 0), (2, 0), PLAIN),
    config("2s2r k2 c1", (&[1, 1], &[]), (2, 0), (2, 0), C1),
    config("2s2r k2 c4", (&[1, 1], &[]), (2, 0), (2, 0), C4),
    config("3s1r k1", (&[1, 1, 1], &[]), (1, 0), (1, 0), S3),
    config("3s1r k2", (&[1, 1, 1], &[]), (1, 0), (2, 0), S3),
    config("1s3r k2", (&[2], &[]), (3, 0), (2, 0), R3),
];

/// Explored with `--full` too.
pub const FULL: &[Config] = &[
    config("2s1r+1s k2 s1 c1", (&[1, 1], &[1]), (1, 0), (2, 1), Setup { capacity: 1, ..R1 }),
    config("2s1r+1s k2 b2", (&[2, 1], &[2]), (1, 0), (2, 0), Setup { batch: 2, ..R1 }),
    config("1s2r+1r k3 b2", (&[3], &[]), (2, 1), (3, 0), Setup { senders: 1, ..BATCH }),
    config("1s2r+1r k2 s1 b2", (&[3], &[]), (2, 1), (2, 1), Setup { senders: 1, ..BATCH }),
    config("2s2r+1r k2", (&[1, 1], &[]), (2, 1), (2, 0), PLAIN),
    config("2s2r k2 s1", (&[1, 1], &[]), (2, 0), (2, 1), PLAIN),
    config("2s2r k2 b2", (&[2, 1], &[]), (2, 0), (2, 0), BATCH),
    config("2s2r k3", (&[1, 1], &[]), (2, 0), (3, 0), PLAIN),
    config("2s2r k2 2 each", (&[2, 2], &[]), (2, 0), (2, 0), PLAIN),
    config("3s1r k2 s1", (&[1, 1, 1], &[]), (1, 0), (2, 1), S3),
    config("3s1r k2 b2", (&[2, 1, 1], &[]), (1, 0), (2, 0), Setup { batch: 2, ..S3 }),
    config("1s3r k3", (&[3], &[]), (3, 0), (3, 0), R3),
    config("1s3r k2 s1", (&[2], &[]), (3, 0), (2, 1), R3),
    config("2s1r+1r k2 b2", (&[2, 2], &[]), (1, 1), (2, 0), BATCH),
    config("2s1r+1s1r k2", (&[1, 1], &[1]), (1, 1), (2, 0), PLAIN),
    config("2s1r+1s1r k1 s1", (&[1, 1], &[1]), (1, 1), (1, 1), PLAIN),
];

/// The mistakes, each with a configuration that shows it.
pub fn seeded() -> Vec<Config> {
    let few = |bug| {
        let (senders, receivers, come, kills, setup): (Messages, _, _, _, Setup) = match bug {
            Bug::TakerForgets | Bug::FreeFirst => ((&[1], &[]), 1, 1, (1, 0), ONE),
            Bug::NoLock => ((&[1], &[]), 2, 1, (1, 0), S1),
            Bug::IgnoreLive | Bug::CounterLast | Bug::NoCounter => {
                ((&[1, 1], &[]), 1, 0, (1, 0), R1)
            }
            Bug::RelaxedClear => ((&[1, 1], &[]), 1, 0, (1, 0), Setup { clear: true, ..R1 }),
            Bug::RelaxedNote => ((&[2, 1], &[]), 1, 0, (1, 0), R1),
            Bug::EarlyClear => ((&[2], &[]), 1, 0, (1, 0), Setup { batch: 2, ..ONE }),
            Bug::StaleLoser => ((&[1, 1], &[]), 1, 0, (1, 1), Setup { capacity: 1, ..R1 }),
            Bug::ClaimAfterCas | Bug::LeaverForgets => ((&[1], &[]), 2, 0, (1, 0), S1),
            Bug::FreesFull | Bug::Unmarked => ((&[1], &[]), 2, 0, (1, 0), S1),
            Bug::NoArbiter => ((&[], &[]), 2, 0, (0, 0), R4),
            Bug::ClearFirst => ((&[1], &[]), 2, 0, (2, 0), S1),
            Bug::RecoveringBlocks => ((&[], &[]), 1, 1, (0, 1), R3),
        };
        let setup = Setup { bug: Some(bug), ..setup };
        let config = config(bug.what(), senders, (receivers, come), kills, setup);
        let dead = match bug {
            Bug::RecoveringBlocks | Bug::NoArbiter => (0, 2),
            _ => (0, 0),
        };
        Config { dead, ..config }
    };
    Bug::ALL.into_iter().map(few).collect()
}
