//! Linearizability: what several processes saw of a ring, at their times, fits one order that
//! a plain queue allows. Guarantees 1 to 3, and what `Full`, `Empty` and `Stalled` mean.
//!
//! ```text
//!   processes at one ring ── each operation: start, end, result ──▶ logs outside the ring
//!                                                                      │
//!     short: is there an order? (wgl, queue, cast)  ◀──────────────────┤
//!     long:  is there something that no order mends? (long) ◀──────────┤
//!     crash: one is killed in the middle; a newcomer takes the rest ◀──┘
//! ```
//!
//! In half of the sets processes are stopped for a moment wherever they are; in some they leave
//! and come again. In a build with test hooks they pause before and behind accesses to shared
//! memory. A hang is that nobody gets on, by the time that the watching process itself had.
//!
//! That the checkers refuse wrong histories is shown by their own tests, with histories made by
//! hand and by a queue that is broken on purpose.

mod cast;
mod crash;
mod log;
mod long;
mod players;
mod queue;
mod read;
mod stage;
mod stamp;
mod tally;

use std::fmt::Debug;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use annulus::{Error, Message as Plain, RingKind, broadcast, mpmc, spsc, stream};
use annulus_prove::fleet::{Patience, Random};
use annulus_prove::ground::{Descriptor, Place, Site};
use annulus_prove::wgl::{self, Spec, Timed, Verdict};
use annulus_prove::{Report, child};

use log::Record;
use players::{Guest, Message, Player};
use stage::{Scene, Stage};
use tally::Tally;

/// A set of histories on one ring.
type Set = fn(u64, &mut Random, &mut Tally) -> Result<(), String>;

/// Each kind, how many histories a turn has, and its part of all in a full run.
const SETS: &[(&str, Set, u64, u64)] = &[
    ("spsc", spsc_set, 400, 15_000),
    ("stream", stream_set, 400, 15_000),
    ("mpmc", mpmc_set, 600, 40_000),
    ("lossless", lossless_set, 400, 15_000),
    ("broadcast", broadcast_set, 400, 15_000),
    ("crash", crash::set, 150, 10_000),
    ("long spsc", long_spsc, 1, 60),
    ("long mpmc", long_mpmc, 1, 60),
];

fn main() -> ExitCode {
    let options = annulus_prove::Options::from_args();
    child::enter(&options, &[]);
    let report = Report::new();
    let end = Instant::now() + Duration::from_secs(options.pick(45, 3 * 3600));
    let full = options.pick(false, true);
    let mut random = Random::new(options.seed);
    let wanted: Vec<_> = SETS.iter().filter(|(name, ..)| options.wants(name)).collect();
    let mut tallies = vec![Tally::default(); wanted.len()];
    'all: while Instant::now() < end {
        let mut done = full;
        for ((name, set, count, goal), tally) in wanted.iter().zip(&mut tallies) {
            if full && tally.histories >= *goal {
                continue;
            }
            done = false;
            // A hunt goes through many rings, and has little of each.
            let hunts = options.bug.is_some();
            let slow = name.starts_with("long") || *name == "crash";
            if hunts && slow && !random.once_in(8) {
                continue;
            }
            let count = if hunts { (count / 8).max(1) } else { *count };
            let seed = random.next();
            if let Err(what) = set(count, &mut Random::new(seed), tally) {
                report.found(format_args!("{name}, seed {}, set {seed}: {what}", options.seed));
                if hunts || report.findings() > 5 {
                    break 'all;
                }
            }
            report.progress(format_args!("{name}: {} histories", tally.histories));
            if Instant::now() >= end {
                break;
            }
        }
        if done {
            break;
        }
    }
    let mut short = 0;
    for ((name, ..), tally) in wanted.iter().zip(&tallies) {
        tally.tell(&report, name);
        short += if name.starts_with("long") { 0 } else { tally.histories };
    }
    report.figure("histories with a search for an order", short);
    report.end()
}

/// Short waits, so that histories with blocking verbs are short.
pub fn patient<R: RingKind>(options: annulus::Options<R>) -> annulus::Options<R> {
    let options = options.spin(Duration::from_nanos(200)).yielding(Duration::from_micros(2));
    options.slice(Duration::from_millis(1))
}

/// Lanes, for people.
pub fn shown<O: Debug>(lanes: &[Vec<Timed<O>>]) -> String {
    let first = lanes.iter().flatten().map(|op| op.start).min().unwrap_or(0);
    let mut text = String::new();
    for (at, lane) in lanes.iter().enumerate() {
        text += &format!("| lane {at}:");
        for op in lane {
            let optional = if op.optional { "?" } else { "" };
            let (start, end) = (op.start - first, op.end.wrapping_sub(first));
            text += &format!(" {start}-{end}{optional} {:x?};", op.what);
        }
    }
    text
}

/// Plays histories one after the other; reads one while the next is played.
fn play(
    scene: Scene,
    histories: u64,
    seating: stage::Seating<'_>,
    mut see: impl FnMut(&[Vec<Record>]) -> Result<(), String>,
) -> Result<(), String> {
    let mut stage = Stage::new(scene, seating)?;
    stage.next();
    for _ in 0..histories {
        stage.finish()?;
        stage.next();
        stage.finish()?;
        let history = stage.go / 2;
        stage.next();
        see(&stage.records(history))?;
    }
    stage.finish()
}

fn judge<S>(spec: &S, lanes: &[Vec<Timed<S::Op>>], tally: &mut Tally) -> Result<(), String>
where
    S: Spec<Op: Debug> + Debug,
{
    tally.count(lanes);
    match wgl::check(spec, lanes) {
        Verdict::Fits => Ok(()),
        Verdict::Unknown => {
            tally.unknown += 1;
            Ok(())
        }
        Verdict::Refused => Err(format!("no order fits {spec:?} {}", shown(lanes))),
    }
}

fn site<R: Descriptor>(
    options: annulus::Options<R>,
    random: &mut Random,
) -> Result<Site<R>, String> {
    let site = Site::new(*random.pick(&Place::ALL), &patient(options), random.next());
    site.map_err(|error| error.to_string())
}

macro_rules! seating {
    ($site:expr, $sides:expr) => {
        &|who: usize| -> Box<dyn Player + '_> {
            let ring = $site.open().expect("the ring");
            if who < $sides[0] {
                Box::new(ring.sender().expect("a seat"))
            } else {
                Box::new(ring.receiver().expect("a seat"))
            }
        }
    };
}

/// The same, of those who leave and come again.
macro_rules! guests {
    ($site:expr, $sides:expr, $receive:expr) => {
        &|who: usize| -> Box<dyn Player + '_> {
            let ring = Box::leak(Box::new($site.open().expect("the ring")));
            if who < $sides[0] {
                let come = Box::leak(Box::new(|| soon(|| ring.sender())));
                Box::new(Guest::new(come))
            } else {
                let come = Box::leak(Box::new(|| soon(|| $receive(ring))));
                Box::new(Guest::new(come))
            }
        }
    };
}

/// A seat that somebody may just be leaving.
fn soon<E>(mut take: impl FnMut() -> Result<E, Error>) -> E {
    let mut patience = Patience::new(stage::HANG);
    loop {
        match take() {
            Err(Error::NoSeat { .. } | Error::SeatTaken { .. }) if patience.lasts(0) => {}
            outcome => return outcome.expect("a seat"),
        }
    }
}

fn spsc_set(histories: u64, random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let capacity = *random.pick(&[1, 1, 2, 4]);
    let site = site(spsc::Ring::<Message>::options().capacity(capacity), random)?;
    let scene = scene([1, 1], [3, 6], random);
    let fixed = seating!(site, scene.sides);
    let coming = guests!(site, scene.sides, |ring: &'static spsc::Ring<Message>| ring.receiver());
    let seating: stage::Seating<'_> = if random.once_in(2) { coming } else { fixed };
    play(scene, histories, seating, |records| {
        let lanes: Vec<_> = records.iter().map(|it| read::queue(it, None, false)).collect();
        judge(&queue::Queue { capacity: capacity as usize }, &lanes, tally)
    })
}

fn stream_set(histories: u64, random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let site = site(stream::Ring::options().capacity(8), random)?;
    let scene = scene([1, 1], [3, 6], random);
    play(scene, histories, seating!(site, scene.sides), |records| {
        let lanes: Vec<_> = records.iter().map(|it| read::queue(it, None, false)).collect();
        judge(&queue::Queue { capacity: 8 }, &lanes, tally)
    })
}

fn mpmc_set(histories: u64, random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let capacity = *random.pick(&[1, 1, 2, 2, 4]);
    let site = site(mpmc::Ring::<Message>::options().capacity(capacity).seats(3), random)?;
    let sides = *random.pick(&[[1, 1], [2, 1], [1, 2], [2, 2], [2, 2], [3, 1], [1, 3]]);
    let scene = scene(sides, [2, 4], random);
    let fixed = seating!(site, scene.sides);
    let coming = guests!(site, scene.sides, |ring: &'static mpmc::Ring<Message>| ring.receiver());
    let seating: stage::Seating<'_> = if random.once_in(3) { coming } else { fixed };
    play(scene, histories, seating, |records| {
        let lanes: Vec<_> = records.iter().map(|it| read::queue(it, None, true)).collect();
        judge(&queue::Queue { capacity: capacity as usize }, &lanes, tally)
    })
}

/// So many processes and operations; in half of the sets they are stopped now and then.
fn scene(sides: [usize; 2], ops: [u64; 2], random: &mut Random) -> Scene {
    Scene { sides, ops, seed: random.next(), stops: random.once_in(2) }
}

fn lossless_set(histories: u64, random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    cast_set(histories, random, tally, true)
}

fn broadcast_set(histories: u64, random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    cast_set(histories, random, tally, false)
}

/// Messages of one word, which nothing tears, of some, and of many, whose copying takes time.
fn cast_set(
    histories: u64,
    random: &mut Random,
    tally: &mut Tally,
    lossless: bool,
) -> Result<(), String> {
    match random.below(4) {
        0 => casts::<1>(histories, random, tally, lossless),
        1 => casts::<100>(histories, random, tally, lossless),
        _ => casts::<6>(histories, random, tally, lossless),
    }
}

fn casts<const N: usize>(
    histories: u64,
    random: &mut Random,
    tally: &mut Tally,
    lossless: bool,
) -> Result<(), String>
where
    [u64; N]: Plain,
{
    let capacity = *random.pick(&[2, 2, 4, 8]);
    let options = broadcast::Ring::<[u64; N]>::options().capacity(capacity).seats(4);
    let site = site(options.lossless(lossless), random)?;
    let sides = *random.pick(&[[1, 1], [1, 2], [1, 3]]);
    // Enough for somebody to be overrun.
    let scene = scene(sides, [3, if capacity > 4 { 8 } else { 5 }], random);
    let fixed = seating!(site, scene.sides);
    let start = *random.pick(&[broadcast::Start::Newest, broadcast::Start::Oldest]);
    let from = move |ring: &'static broadcast::Ring<[u64; N]>| ring.receiver_from(start);
    let from = &*Box::leak(Box::new(from));
    // The sender stays: its values are positions of its own.
    let coming = |who: usize| -> Box<dyn Player + '_> {
        if who == 0 { fixed(who) } else { guests!(site, [0, 3], from)(who) }
    };
    let seating: stage::Seating<'_> = if random.once_in(2) { &coming } else { fixed };
    play(scene, histories, seating, |records| {
        let mut lanes: Vec<_> = records.iter().map(|it| read::cast(it)).collect();
        read::settled(&mut lanes);
        judge(&cast::Cast { capacity, lanes: lanes.len(), lossless }, &lanes, tally)
    })
}

fn long(
    scene: Scene,
    histories: u64,
    seating: stage::Seating<'_>,
    tally: &mut Tally,
) -> Result<(), String> {
    play(scene, histories, seating, |records| {
        let lanes: Vec<_> = records.iter().map(|it| read::queue(it, None, false)).collect();
        tally.histories += 1;
        tally.operations += lanes.iter().map(|lane| lane.len() as u64).sum::<u64>();
        let (senders, receivers) = records.split_at(scene.sides[0]);
        long::check(senders, receivers).map_or(Ok(()), Err)
    })
}

fn long_spsc(histories: u64, random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let site = site(spsc::Ring::<Message>::options().capacity(16), random)?;
    let scene = scene([1, 1], [20_000, 40_000], random);
    long(scene, histories, seating!(site, scene.sides), tally)
}

fn long_mpmc(histories: u64, random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let site = site(mpmc::Ring::<Message>::options().capacity(16).seats(3), random)?;
    let sides = *random.pick(&[[1, 2], [2, 1], [2, 2]]);
    let scene = scene(sides, [20_000, 40_000], random);
    long(scene, histories, seating!(site, scene.sides), tally)
}
