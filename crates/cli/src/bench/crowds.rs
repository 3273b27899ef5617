//! One group of cases among several processes: all take turns until the time is over.
//!
//! Imports: cases, row, time.

use std::time::Instant;

use annulus_measure::crowd::{Crowd, LIMIT, Task};
use annulus_measure::placement::{Bracket, Placement};
use annulus_measure::stats::Spread;

use super::cases::Crowded;
use super::progress::Progress;
use super::row::{Figures, middle, of_samples};
use super::time::{TOO_LATE, Time};

/// How long a sample is meant to take: there may be more processes than cores, and then
/// the scheduler's turns must not decide it.
const SAMPLE_NANOS: f64 = 2e6;

/// Samples beyond which a figure gains nothing.
const MOST_SAMPLES: usize = 400;

/// So many rounds are tried for one that is not thrown away, when the time is over.
const TRIES: usize = 5;

/// One sample of one task, in nanoseconds for a message.
pub struct Taken {
    pub placement: Placement,
    task: Task,
    nanos: f64,
    spent: f64,
    cores: f64,
    missed: f64,
    /// Which round it was, and its limit.
    round: usize,
    raw: f64,
}

/// What came of a group.
#[derive(Default)]
pub struct Gathering {
    taken: Vec<Taken>,
    /// How many samples were taken of each task, thrown away or not.
    rounds: usize,
    failed: Option<String>,
}

/// Runs these until the time is over, and at least one round.
pub fn run(cases: &[Crowded], cores: &[usize], time: Time, progress: &mut Progress) -> Gathering {
    let mut gathering = Gathering::default();
    let Some(first) = cases.first() else { return gathering };
    if time.is_over() {
        gathering.failed = Some(TOO_LATE.into());
        return gathering;
    }
    let started = Crowd::start(first.senders, first.receivers, cores, &[], LIMIT);
    let outcome = started.and_then(|mut crowd| {
        let mut tasks: Vec<(Task, u64)> = cases.iter().map(|case| (case.task, 1000)).collect();
        if tasks.iter().all(|(task, _)| *task != Task::Add) {
            tasks.insert(0, (Task::Add, 1000));
        }
        for _ in 0..2 {
            for (task, count) in &mut tasks {
                let each = crowd.sample(*task, *count)?.nanos / *count as f64;
                *count = ((SAMPLE_NANOS / each.max(0.1)) as u64).clamp(200, 2_000_000);
            }
        }
        // At least one round, and a few to have one that is not thrown away.
        let enough = |gathering: &Gathering| {
            gathering.rounds >= if gathering.taken.is_empty() { TRIES } else { 1 }
        };
        while gathering.rounds < MOST_SAMPLES
            && (!enough(&gathering) || Instant::now() < time.until)
        {
            let first = gathering.rounds % tasks.len();
            let before = crowd.line()?;
            let mut round = Vec::new();
            for turn in 0..tasks.len() {
                if time.is_over() {
                    return Ok(());
                }
                let (task, count) = tasks[(first + turn) % tasks.len()];
                let sample = crowd.sample(task, count)?;
                let (nanos, spent) = (sample.nanos / count as f64, sample.spent / count as f64);
                let cores = sample.spent / sample.nanos;
                let missed = sample.missed / count as f64;
                let (placement, raw) = (Placement::OneCore, f64::NAN);
                let number = gathering.rounds;
                let taken =
                    Taken { placement, task, nanos, spent, cores, missed, round: number, raw };
                round.push(taken);
                progress.tick();
            }
            let bracket = Bracket { before, after: crowd.line()? };
            gathering.rounds += 1;
            let raw = round.iter().find(|taken| taken.task == Task::Add);
            let raw = raw.map_or(f64::NAN, |taken| taken.nanos);
            if let Some(placement) = bracket.placement() {
                let placed = |taken: Taken| Taken { placement, raw, ..taken };
                gathering.taken.extend(round.into_iter().map(placed));
            }
        }
        Ok(())
    });
    gathering.failed = outcome.err().map(|error| error.to_string());
    gathering
}

impl Gathering {
    /// The samples of a task.
    pub fn of(&self, task: Task) -> impl Iterator<Item = &Taken> {
        self.taken.iter().filter(move |taken| taken.task == task)
    }

    /// Why there are none.
    pub fn reason(&self) -> String {
        let moved = || match self.rounds {
            0 => TOO_LATE.into(),
            _ => "the cores moved in every round".into(),
        };
        self.failed.clone().unwrap_or_else(moved)
    }

    /// What is said of a task in one placement.
    pub fn figures(&self, task: Task, placement: Placement) -> Option<Figures> {
        let used = || self.of(task).filter(move |taken| taken.placement == placement);
        let typical = Spread::of(used().map(|taken| taken.nanos))?;
        // A broadcast shares no counter.
        let against = !task.is_feed();
        let raw = Spread::of(used().map(|taken| taken.raw)).filter(|_| against);
        let ratio = Spread::of(used().map(|taken| taken.nanos / taken.raw)).filter(|_| against);
        let plain = match task {
            Task::Mpmc | Task::MpmcBatch => Some(Task::Vyukov),
            Task::Lossless => Some(Task::Broadcast),
            _ => None,
        };
        let plain = plain.and_then(|plain| {
            let nanos = |taken: &Taken| {
                self.of(plain).find(|other| other.round == taken.round).map(|other| other.nanos)
            };
            Spread::of(used().filter_map(|taken| Some(taken.nanos / nanos(taken)?)))
        });
        Some(Figures {
            placement,
            typical,
            percentiles: of_samples(used().map(|taken| taken.nanos)),
            singles: 0,
            curve: Vec::new(),
            raw,
            raw_p99: None,
            ratio,
            plain,
            rate: 1e9 / typical.median,
            spent: middle(used().map(|taken| taken.spent)),
            cores: middle(used().map(|taken| taken.cores)),
            missed: (task == Task::Broadcast).then(|| middle(used().map(|taken| taken.missed))),
            taken: self.rounds,
            discarded: 1.0 - self.of(task).count() as f64 / self.rounds as f64,
            unused: 1.0 - typical.n as f64 / self.rounds as f64,
            interrupted: 0.0,
        })
    }
}
