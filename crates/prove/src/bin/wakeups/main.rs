//! Lost wake-ups: there are none, and where a death makes one a slice heals it.
//!
//! ```text
//!   scenes      endpoints that do all they can, at random; whenever nobody runs, each sleeper
//!               is poked: who has something to do then had been forgotten
//!   duels       one goes to sleep while another notifies, on two processors, by the million
//!   lockstep    waiter stopped at instruction k × notifier stopped at instruction j
//!   hand-offs   millions, between processes that sleep at once and whom no slice wakes
//!   kills       of the process that was woken, before it looks
//! ```
//!
//! Shows guarantee 6, and of guarantee 4 what concerns those who sleep. The code is the
//! real, optimised one. x86-64.

mod cell;
mod duels;
mod handoffs;
mod killed;
mod lockstep;
mod quiet;
mod scenes;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use annulus_prove::rings::Kind;
use annulus_prove::{Depth, Options, Report, child};
use nix::sys::resource::{UsageWho, getrusage};

use cell::Cell;
use handoffs::{Limit, Way};
use lockstep::{Bench, For, Met, Place};

/// Seconds that a quick campaign's parts may take.
const QUICK_SCENES: u64 = 7;
const QUICK_DUELS: u64 = 6;
const QUICK_LOCKSTEP: u64 = 12;
const QUICK_HAND_OFFS: u64 = 12;

/// Seconds of a full campaign's parts: with time for the processes that each cell starts, half
/// an hour.
const FULL_SCENES: u64 = 60;
const FULL_DUELS: u64 = 60;
const FULL_LOCKSTEP: u64 = 180;
const FULL_HAND_OFFS: u64 = 900;

/// Hand-offs of a full campaign, unless its time is over before.
const FULL: u64 = 100_000_000;

/// Seconds of a pass over the cells of hand-offs, in a full campaign.
const PASS: u64 = 180;

/// Roles, each with what it does.
const ROLES: &[(&str, fn())] = &[
    ("echo", handoffs::echo),
    ("sink", handoffs::sink),
    ("puller", handoffs::puller),
    ("pusher", handoffs::pusher),
    ("waiter", lockstep::waiter),
    ("notifier", lockstep::notifier),
    ("taker", killed::taker),
];

fn main() -> ExitCode {
    let options = Options::from_args();
    child::enter(&options, ROLES);
    let report = Report::new();
    let parts = [scenes_part, duels_part, lockstep_part, hand_offs_part, kills_part];
    for part in parts {
        if options.bug.is_none() || report.findings() == 0 {
            part(&options, &report);
        }
    }
    report.end()
}

/// Longer than this, and somebody sleeps on a ready ring.
fn stuck(options: &Options) -> Duration {
    Duration::from_secs(if options.bug.is_some() { 2 } else { 10 })
}

fn seconds(options: &Options, quick: u64, full: u64) -> Instant {
    Instant::now() + Duration::from_secs(options.pick(quick, full))
}

fn scenes_part(options: &Options, report: &Report) {
    let quick = if options.bug.is_some() { 2 * QUICK_SCENES } else { QUICK_SCENES };
    let until = seconds(options, quick, FULL_SCENES);
    let mut random = Random(options.seed);
    let (mut scenes, mut acts) = (0, 0);
    let kinds: Vec<_> = Kind::ALL
        .iter()
        .flat_map(|kind| [(*kind, false), (*kind, true)])
        .filter(|(kind, fenced)| options.wants(&scene(*kind, *fenced)))
        .collect();
    // Those with several of a side twice as often as others.
    let many = |kind: &Kind| matches!(kind, Kind::Mpmc | Kind::Frames);
    while !kinds.is_empty() && Instant::now() < until {
        let (kind, fenced) = kinds[random.below(kinds.len() as u64) as usize];
        if !many(&kind) && random.below(2) == 0 {
            continue;
        }
        let seed = random.below(u64::MAX);
        scenes += 1;
        if let Err(what) = scenes::run(kind, fenced, seed, &mut acts) {
            report.found(format!("{}, seed {seed}: {what}", scene(kind, fenced)));
            if options.bug.is_some() || report.findings() > 20 {
                break;
            }
        }
        report.progress(format!("scenes: {scenes}, {acts} acts"));
    }
    report.figure("scenes", scenes);
    report.figure("scenes: acts", acts);
}

fn scene(kind: Kind, fenced: bool) -> String {
    format!("scene {} {}", kind.name(), if fenced { "fenced" } else { "asymmetric" })
}

fn duels_part(options: &Options, report: &Report) {
    let me = nix::unistd::Pid::from_raw(0);
    let everywhere = nix::sched::sched_getaffinity(me);
    let mut cells: Vec<(Cell, For)> = Vec::new();
    for cell in Cell::all() {
        cells.push((cell, For::Message));
        if cell.kind.fills() {
            cells.push((cell, For::Room));
        }
    }
    cells.retain(|(cell, waits)| {
        !cell.semaphores && options.wants(&format!("duel {cell} {waits:?}"))
    });
    if cells.is_empty() {
        return;
    }
    let (count, began) = (cells.len() as u32, Instant::now());
    let all = Duration::from_secs(options.pick(QUICK_DUELS, FULL_DUELS));
    let (mut random, mut duels, mut ran) = (Random(options.seed), 0, 0);
    for at in (1..cells.len()).rev() {
        cells.swap(at, random.below(at as u64 + 1) as usize);
    }
    for (nth, (cell, waits)) in cells.iter().enumerate() {
        // Those that are left out on a machine that is busy with other work are told.
        if began.elapsed() > all {
            break;
        }
        ran += 1;
        let until = began + all * (nth as u32 + 1) / count;
        match duels::run(cell, *waits, until, random.below(u64::MAX)) {
            Ok(rounds) => duels += rounds,
            Err(what) => report.found(format!("duel {cell} {waits:?}: {what}")),
        }
        report.progress(format!("duels: {} of {count} cells, {duels}", nth + 1));
        if options.bug.is_some() && report.findings() > 0 {
            break;
        }
    }
    if let Ok(everywhere) = everywhere {
        // Refused, it is only slower.
        let _ = nix::sched::sched_setaffinity(me, &everywhere);
    }
    report.figure("duels: cells", format!("{ran} of {count}"));
    report.figure("duels", duels);
}

fn lockstep_part(options: &Options, report: &Report) {
    let me = nix::unistd::Pid::from_raw(0);
    let everywhere = nix::sched::sched_getaffinity(me);
    annulus_prove::step::pin(std::process::id() as usize % 2);
    pairs_part(options, report);
    if let Ok(everywhere) = everywhere {
        // Refused, it is only slower.
        let _ = nix::sched::sched_setaffinity(me, &everywhere);
    }
}

fn pairs_part(options: &Options, report: &Report) {
    let mut benches = Vec::new();
    for cell in Cell::all() {
        benches.push((cell, For::Message, false));
        if cell.kind.fills() {
            benches.push((cell, For::Room, false));
        }
        if matches!(cell.kind, Kind::Mpmc | Kind::Frames) && !cell.set && !cell.by_hand {
            benches.push((cell, For::Message, true));
            benches.push((cell, For::Room, true));
        }
    }
    benches.retain(|(cell, waits, crowd)| {
        let crowd = if *crowd { "crowd" } else { "alone" };
        options.wants(&format!("lockstep {cell} {waits:?} {crowd}"))
    });
    if benches.is_empty() {
        return;
    }
    let there_are = benches.len();
    let mut random = Random(options.seed);
    for at in (1..there_are).rev() {
        benches.swap(at, random.below(at as u64 + 1) as usize);
    }
    if options.bug.is_some() {
        // One of each kind, those first with the most code of all.
        benches.retain(|(cell, ..)| !cell.semaphores && !cell.set && !cell.fenced);
        benches.sort_by_key(|(cell, waits, _)| (cell.kind != Kind::Mpmc, *waits == For::Room));
    }
    let until = seconds(options, QUICK_LOCKSTEP, FULL_LOCKSTEP);
    let mut sums = Pairs::default();
    for (nth, (cell, waits, crowd)) in benches.into_iter().enumerate() {
        if Instant::now() > until {
            break;
        }
        // What is left, evenly; in a quick campaign some cells are not come to.
        let left = until.saturating_duration_since(Instant::now()) / (there_are - nth) as u32;
        let time = if options.bug.is_some() { 2 * A_CELL } else { left.max(A_CELL) };
        let mut pairs = PairsOf { cell, waits, crowd, time, ..PairsOf::new(&mut random) };
        if let Err(why) = pairs.run(options, report, &mut sums) {
            let crowd = if crowd { ", a crowd" } else { "" };
            report.found(format!("lockstep {cell} for {waits:?}{crowd}: {why}"));
        }
        sums.cells += 1;
        report.progress(format!("lockstep: {} of {there_are} cells", sums.cells));
        if options.bug.is_some() && report.findings() > 0 {
            break;
        }
    }
    report.figure("lockstep: cells", format!("{} of {there_are}", sums.cells));
    report.figure("lockstep: places in waiters", sums.places);
    report.figure("lockstep: places in notifiers", sums.steps);
    report.figure("lockstep: pairs there are in these", sums.there_are);
    report.figure("lockstep: pairs run", sums.run);
    let share = 100.0 * sums.run as f64 / sums.there_are.max(1) as f64;
    report.figure("lockstep: share of the pairs, sampled (%)", format!("{share:.3}"));
    report.figure("lockstep: of them, nobody to wake yet", sums.never);
    report.figure("lockstep: pairs that went another way", sums.broken);
    report.figure("lockstep: lost wake-ups", sums.lost);
    report.figure("lockstep: rescues", sums.rescues);
}

/// What came of all pairs.
#[derive(Default)]
struct Pairs {
    cells: u64,
    places: u64,
    steps: u64,
    there_are: u64,
    run: u64,
    never: u64,
    broken: u64,
    lost: u64,
    rescues: u64,
}

/// How long a campaign stays with one cell at least.
const A_CELL: Duration = Duration::from_millis(400);

/// The pairs of one cell.
struct PairsOf {
    cell: Cell,
    waits: For,
    crowd: bool,
    time: Duration,
    random: Random,
    waiter: Vec<Place>,
    notifier: Vec<Place>,
}

impl PairsOf {
    fn new(random: &mut Random) -> Self {
        let random = Random(random.below(u64::MAX));
        let (waits, crowd) = (For::Message, false);
        let (cell, time, waiter, notifier) = (Cell::all()[0], A_CELL, vec![], vec![]);
        Self { cell, waits, crowd, time, random, waiter, notifier }
    }

    fn bench(&self, options: &Options) -> Result<Bench, String> {
        Bench::new(self.cell, self.waits, self.crowd, stuck(options), options)
    }

    fn run(&mut self, options: &Options, report: &Report, sums: &mut Pairs) -> Result<(), String> {
        let mut bench = self.bench(options)?;
        self.waiter = bench.places();
        self.notifier = bench.notifier_places();
        let all = (self.waiter.len() as u64 + 1) * (self.notifier.len() as u64 + 1);
        sums.places += self.waiter.len() as u64;
        sums.steps += self.notifier.len() as u64;
        sums.there_are += all;
        let (began, mut nth) = (Instant::now(), 0);
        while began.elapsed() < self.time && nth < all {
            let (waiter, notifier) = self.pair(nth);
            nth += 1;
            sums.run += 1;
            match bench.meet(self.waiter.get(waiter).copied(), self.notifier.get(notifier).copied())
            {
                Met::Well => {}
                Met::Never => sums.never += 1,
                Met::Broken => {
                    sums.broken += 1;
                    sums.rescues += bench.rescues();
                    bench = self.bench(options)?;
                }
                Met::Wrong(what) => {
                    sums.lost += 1;
                    report.found(format!(
                        "lockstep {}, waiter at {waiter} of {}, notifier at {notifier} of {}: {what}",
                        bench.name(),
                        self.waiter.len(),
                        self.notifier.len()
                    ));
                    if options.bug.is_some() || sums.lost > 20 {
                        break;
                    }
                    bench = self.bench(options)?;
                }
            }
        }
        sums.rescues += bench.rescues();
        if bench.rescues() > 0 {
            report.found(format!("lockstep {}: {} rescues", bench.name(), bench.rescues()));
        }
        Ok(())
    }

    /// One of all pairs: with the notifier's whole call, with a waiter who has not
    /// begun, with one who sleeps, and any. The last place and one: none, not begun.
    fn pair(&mut self, nth: u64) -> (usize, usize) {
        let (waiter, notifier) = (self.waiter.len() as u64, self.notifier.len() as u64);
        // The last quarter is where it notes itself, looks again and falls asleep.
        let place = match self.random.below(4) {
            0 => self.random.below(waiter),
            _ => waiter - 1 - self.random.below(waiter / 4),
        };
        let other = self.random.below(notifier);
        let (waiter, notifier) = match nth % 6 {
            0 => (place, notifier - 1),
            1 => (waiter, other),
            2 => (waiter - 1, other),
            _ => (place, other),
        };
        (waiter as usize, notifier as usize)
    }
}

fn hand_offs_part(options: &Options, report: &Report) {
    let mut cells: Vec<(Cell, Way)> = Vec::new();
    for cell in Cell::all() {
        cells.extend(Way::of(&cell).into_iter().map(|way| (cell, way)));
    }
    cells.retain(|(cell, way)| options.wants(&format!("hand-offs {cell} {way:?}")));
    if cells.is_empty() {
        return;
    }
    let (count, before) = (cells.len(), sleeps());
    let (mut hand_offs, mut stuck_ones, mut rescues) = (0, 0, 0);
    let mut longest = Duration::ZERO;
    let end = seconds(options, QUICK_HAND_OFFS, FULL_HAND_OFFS);
    let pass = Duration::from_secs(options.pick(QUICK_HAND_OFFS, PASS));
    // Again and again, so that each cell has its share.
    'all: loop {
        let began = Instant::now();
        for (nth, (cell, way)) in cells.iter().enumerate() {
            let until = (began + pass * (nth as u32 + 1) / count as u32).min(end);
            let limit = Limit { until, count: u64::MAX, stuck: stuck(options) };
            match handoffs::run(cell, *way, &limit, options) {
                Ok(sum) => {
                    hand_offs += sum.hand_offs;
                    stuck_ones += sum.stuck;
                    rescues += sum.rescues;
                    longest = longest.max(sum.longest);
                    if let Some(wrong) = sum.wrong {
                        report.found(format!("hand-offs {cell} {way:?}: {wrong}"));
                    }
                    if sum.rescues > 0 {
                        report.found(format!("hand-offs {cell} {way:?}: {} rescues", sum.rescues));
                    }
                }
                Err(why) => report.found(format!("hand-offs {cell} {way:?}: {why}")),
            }
            report.progress(format!("hand-offs: {} of {count} cells, {hand_offs}", nth + 1));
            if options.bug.is_some() && report.findings() > 0 {
                break 'all;
            }
        }
        if options.depth == Depth::Quick || hand_offs >= FULL || Instant::now() >= end {
            break;
        }
    }
    report.figure("hand-offs: cells", cells.len());
    report.figure("hand-offs, no slice ends", hand_offs);
    report.figure("hand-offs: sleeps in the kernel, on both sides", sleeps() - before);
    report.figure("hand-offs: stuck", stuck_ones);
    report.figure("hand-offs: rescues", rescues);
    report.figure("hand-offs: longest (ms)", longest.as_millis());
}

fn kills_part(options: &Options, report: &Report) {
    let (mut kills, mut woken, mut most) = (0, 0, Duration::ZERO);
    for kind in [Kind::Mpmc, Kind::Frames] {
        for (fenced, waits) in [(false, For::Message), (true, For::Room)] {
            let cell = Cell { kind, semaphores: false, fenced, set: false, by_hand: false };
            let name = format!("kills {cell} {waits:?}");
            if !options.wants(&name) {
                continue;
            }
            match killed::run(cell, waits, options.pick(4, 100), options) {
                Ok(ones) => {
                    kills += ones.len();
                    for kill in ones {
                        woken += usize::from(kill.woken);
                        most = most.max(kill.delay);
                        // One slice, and time to be given a processor on a busy machine.
                        if kill.delay > 5 * killed::SLICE {
                            report.found(format!("{name}: another waited {:?}", kill.delay));
                        }
                    }
                }
                Err(why) => report.found(format!("{name}: {why}")),
            }
        }
    }
    if kills == 0 {
        return;
    }
    report.figure("kills of sleepers", kills);
    report.figure("kills of sleepers: woken before", woken);
    report.figure("kills of sleepers: longest delay of another (ms)", most.as_millis());
}

/// How often this process, and those that it has waited for, went to sleep by themselves.
fn sleeps() -> i64 {
    let of = |who| getrusage(who).map_or(0, |usage| usage.voluntary_context_switches());
    of(UsageWho::RUSAGE_SELF) + of(UsageWho::RUSAGE_CHILDREN)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}
