//! The members of one subject in one case, as this process sees them: it gives orders,
//! sleeps until they are carried out, and ends who stands still.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annulus_measure::placement::{Bracket, GROUP, Placement};
use anyhow::{Result, bail};

use crate::board::{Board, Order, Outcome};
use crate::member::{ROLE, board_path, children};
use crate::raw::CHUNK;
use crate::roster::{Case, Part, Skill, Subject};
use crate::task::Task;

/// How long an order may take before something is held to be stuck.
const LIMIT: Duration = Duration::from_secs(20);
/// How long all members may take to get ready.
const START: Duration = Duration::from_secs(30);
/// How long a sample is meant to take: short, since the cores move.
const SAMPLE_NANOS: f64 = 0.4e6;
/// Groups of round trips in a probe of the bare line.
const PROBES: u64 = 25;

/// The members.
pub struct Team {
    case: &'static Case,
    task: Task,
    /// What one message of the case is of one that the team sends.
    part: f64,
    board: Board,
    folder: PathBuf,
    children: Vec<Child>,
    round: u64,
    arrivals: u64,
    sent: u64,
    /// Numbers given to messages, and to raw round trips, so far.
    number: u64,
    trips: u64,
    /// Messages of a sample.
    count: u64,
}

/// One sample.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Where both probes say it was taken, if they agree.
    pub placement: Option<Placement>,
    /// The bare line's round trip around it, in nanoseconds.
    pub line: f64,
    /// Whether another program had a core meanwhile.
    pub interrupted: bool,
    /// Nanoseconds of a message, or of a round trip.
    pub nanos: f64,
    pub faults: Faults,
}

/// What did not arrive as it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub lost: u64,
    pub repeated: u64,
    pub damaged: u64,
    /// Samples whose sums of sent and received differ, though no receiver saw why.
    pub unsettled: u64,
}

impl Faults {
    pub fn add(&mut self, other: Faults) {
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.damaged += other.damaged;
        self.unsettled += other.unsettled;
    }

    pub fn any(&self) -> bool {
        *self != Faults::default()
    }
}

impl Team {
    /// Starts the members, asleep until there is an order.
    pub fn start(subject: &'static Subject, case: &'static Case, cores: &[usize]) -> Result<Team> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let parent = std::process::id();
        let folder = PathBuf::from(format!("/dev/shm/annulus-rivals-{parent}-{number}"));
        fs::create_dir(&folder)?;
        let board = Board::create(&board_path(&folder))?;
        let chunks = subject.part == Part::Raw && case.skill != Skill::Block;
        let mut team = Team {
            case,
            task: if chunks { Task::OneWay } else { case.task },
            part: if chunks { case.size as f64 / CHUNK as f64 } else { 1.0 },
            board,
            folder,
            children: Vec::new(),
            round: 0,
            arrivals: 0,
            sent: 0,
            number: 1,
            trips: 0,
            count: 64,
        };
        let list: Vec<String> = cores.iter().map(usize::to_string).collect();
        for me in 0..children(subject, case) {
            let (folder, list) = (team.folder.display(), list.join(","));
            let role = format!("{parent}|{folder}|{}|{}|{list}|{me}", subject.name, case.name);
            let mut command = Command::new("/proc/self/exe");
            command.env(ROLE, role).stdin(Stdio::null()).stdout(Stdio::null());
            team.children.push(command.spawn()?);
        }
        let members = team.members() as u64;
        team.until(START, |board| board.ready() == members)?;
        // All have it open: so nothing is left behind if this process is killed.
        fs::remove_dir_all(&team.folder)?;
        Ok(team)
    }

    fn members(&self) -> usize {
        self.case.senders + self.case.receivers
    }

    /// Sleeps until this is so.
    fn until(&mut self, limit: Duration, done: impl Fn(&Board) -> bool) -> Result<()> {
        let start = Instant::now();
        loop {
            let told = self.board.told();
            if done(&self.board) {
                return Ok(());
            }
            self.board.check()?;
            for child in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    self.board.check()?;
                    bail!("ended by itself: {status}");
                }
            }
            if start.elapsed() > limit {
                self.board.fail("stood still");
                bail!("stood still for {} s", limit.as_secs());
            }
            self.board.sleep(told);
        }
    }

    /// Has an order carried out by the first members.
    fn give(&mut self, task: Task, first: u64, count: u64) -> Result<Vec<Outcome>> {
        let (members, senders) = match task {
            Task::Line => (2, 0),
            Task::RoundTrip => (2, 0),
            _ => (self.members(), self.case.senders as u64),
        };
        self.round += 1;
        self.arrivals += members as u64;
        self.sent += senders;
        let Team { round, arrivals, sent, .. } = *self;
        let order = Order { task: task.word(), first, count, arrivals, sent };
        self.board.order(round, order);
        // All of them, so that nobody reads this order from the words of the next.
        let all = self.members();
        self.until(LIMIT, |board| (0..all).all(|member| board.is_done(member, round)))?;
        Ok((0..members).map(|member| self.board.outcome(member)).collect())
    }

    /// The median round trip over the bare lines, in nanoseconds.
    fn probe(&mut self) -> Result<f64> {
        let (first, count) = (self.trips, PROBES * GROUP);
        self.trips += count;
        let outcomes = self.give(Task::Line, first, count)?;
        Ok(outcomes[0].figure as f64 / 1000.0)
    }

    /// Nanoseconds of a message, or of a round trip, and what went wrong.
    fn work(&mut self) -> Result<(f64, bool, Faults)> {
        let trip = self.task == Task::RoundTrip;
        let count =
            if trip { self.count.next_multiple_of(GROUP).clamp(60, 10_000) } else { self.count };
        let first = self.number;
        self.number += count;
        let outcomes = self.give(self.task, first, count)?;
        let mut faults = Faults::default();
        for outcome in &outcomes {
            let Outcome { lost, repeated, damaged, .. } = *outcome;
            faults.add(Faults { lost, repeated, damaged, unsettled: 0 });
        }
        let sum = outcomes.iter().fold(0_u64, |sum, outcome| sum.wrapping_add(outcome.sum));
        let words = self.case.skill != Skill::Block;
        if words && sum != 0 && !faults.any() {
            faults.unsettled = 1;
        }
        let interrupted = outcomes.iter().any(|outcome| outcome.switches > 0);
        let nanos = if trip {
            outcomes[0].figure as f64 / 1000.0
        } else {
            let begin = outcomes.iter().map(|outcome| outcome.begin).min().unwrap_or_default();
            let end = outcomes.iter().map(|outcome| outcome.end).max().unwrap_or_default();
            (end - begin) as f64 / count as f64
        };
        Ok((nanos, interrupted, faults))
    }

    /// Brings pages, caches and predictors in, and learns how many messages make a sample.
    pub fn warm_up(&mut self) -> Result<Faults> {
        let mut faults = Faults::default();
        for _ in 0..4 {
            let (nanos, _, seen) = self.work()?;
            faults.add(seen);
            // A receiver that waits for what was lost says nothing about the time.
            if seen.lost == 0 {
                self.count = (SAMPLE_NANOS / nanos.max(0.1)).clamp(16.0, 500_000.0) as u64;
            }
        }
        Ok(faults)
    }

    /// Takes one bracketed sample.
    pub fn sample(&mut self) -> Result<Sample> {
        let before = self.probe()?;
        let (nanos, interrupted, faults) = self.work()?;
        let after = self.probe()?;
        let bracket = Bracket { before, after };
        let (placement, line) = (bracket.placement(), bracket.round_trip());
        Ok(Sample { placement, line, interrupted, nanos: nanos * self.part, faults })
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        let quit = Order { task: Task::Quit.word(), first: 0, count: 0, arrivals: 0, sent: 0 };
        self.board.order(self.round + 1, quit);
        let patience = Instant::now() + Duration::from_secs(2);
        for child in &mut self.children {
            while matches!(child.try_wait(), Ok(None)) {
                if Instant::now() > patience {
                    let _ = child.kill();
                    let _ = child.wait();
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
