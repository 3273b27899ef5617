//! Random SIGKILLs among four to six processes, with exact accounts: guarantees 1 to 4.
//!
//! ```text
//!   ring ◀──▶ lives (forked; each opens the ring, takes a seat, works)
//!                │ notes before and after each verb, and what became of each message
//!                ▼
//!   ledger (memory outside the ring) ◀── after kills, drain, look: all must fit
//! ```
//!
//! What is checked: each message that its sender says was sent was received, or is in doubt by
//! a receiver's death, of which at most one message, or one batch, may be; no message comes
//! twice unmarked, none that was not sent comes at all; what comes again does so because
//! somebody died with it; each sender's messages come in order to each receiver; every message
//! is whole; nobody waits for ten seconds; at the end the seats of the dead are free, a ring is
//! good for two more laps, and nothing is left in the process or in /dev/shm.
//!
//! At an mpmc ring some of those who are not killed are stopped meanwhile, wherever they are. In
//! a build with test hooks lives pause before and behind accesses to shared memory.
//!
//! Kinds in turn: `mpmc` has most of the kills, with seats used again and again; `spsc` and
//! `broadcast` (both modes) a part; a stream ends with its first death, so `stream` makes one
//! after the other.

mod cast;
mod ledger;
mod letters;
mod pair;
mod pair_lives;
mod pipe;
mod round;
mod totals;
mod work;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use annulus_prove::fleet::Random;
use annulus_prove::{Options, Report, child, ground};

use totals::Totals;

/// One turn: a fresh ring or several, some hundred kills, the account.
type Turn = fn(&Plan, &mut Random) -> Result<Totals, String>;

/// What a turn is told.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Kills until the turn ends.
    pub kills: u64,
    /// When it ends in any case.
    pub deadline: Instant,
    /// After which time without any progress something hangs.
    pub hang: Duration,
}

/// Each kind, how it is shown, and how much of the kills it has, in parts of twenty.
const KINDS: &[(&str, Turn, u64)] = &[
    ("mpmc", round::turn, 14),
    ("spsc", pair::turn, 2),
    ("stream", pipe::turn, 1),
    ("broadcast", cast::overwritten, 1),
    ("lossless", cast::lossless, 2),
];

fn main() -> ExitCode {
    let options = Options::from_args();
    child::enter(&options, &[]);
    let report = Report::new();
    // How many kills the mpmc ring has at least; how long it takes at least and at most.
    let (kills, least, time) = options.pick((10_000, 0, 45), (100_000, 1800, 3 * 3600));
    let start = Instant::now();
    let end = Instant::now() + Duration::from_secs(time);
    let hang = Duration::from_secs(if options.bug.is_some() { 4 } else { 20 });
    let mut random = Random::new(options.seed);
    let wanted: Vec<_> = KINDS.iter().filter(|(name, ..)| options.wants(name)).collect();
    let mut totals = vec![Totals::default(); wanted.len()];
    let parts: u64 = wanted.iter().map(|(.., part)| part).sum();
    let mut before = None;
    'all: while Instant::now() < end {
        let mut done = true;
        for ((name, turn, part), sum) in wanted.iter().zip(&mut totals) {
            // The mpmc ring alone has as many kills as are asked for.
            let goal = if *name == "mpmc" { kills } else { kills * part / parts };
            if sum.kills() >= goal && start.elapsed().as_secs() >= least {
                continue;
            }
            done = false;
            let seed = random.next();
            let plan = Plan { kills: 25 * part, deadline: end, hang };
            match turn(&plan, &mut Random::new(seed)) {
                Ok(more) => sum.add(&more),
                Err(what) => {
                    report
                        .found(format_args!("{name}, seed {}, turn {seed}: {what}", options.seed));
                    if options.bug.is_some() || report.findings() > 10 {
                        break 'all;
                    }
                }
            }
            report.progress(format_args!("{name}: {sum}"));
            if Instant::now() >= end {
                break;
            }
        }
        // From the second time on nothing may be added.
        let now = ground::held();
        match &before {
            None => before = Some(now),
            Some(before) => {
                for thing in ground::more(&now, before) {
                    report.found(format_args!("left behind: {thing}"));
                }
            }
        }
        if done {
            break;
        }
    }
    for ((name, ..), sum) in wanted.iter().zip(&totals) {
        sum.tell(&report, name);
    }
    let mut all = Totals::default();
    totals.iter().for_each(|sum| all.add(sum));
    all.tell(&report, "all");
    report.end()
}
