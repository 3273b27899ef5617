//! Hand-offs between processes that go to sleep at once and whom no slice wakes.
//!
//! ```text
//!   to and fro   main ── ping ──▶ echo ── pong ──▶ main          "not empty", one sleeper
//!   straight     main ── as few slots as can be ──▶ sink         "not full" too
//!   crowd        main ── work ──▶ three, each of whom takes one and waits to be let go on
//! ```

use std::process::Child;
use std::time::{Duration, Instant};

use annulus_prove::rings::{Kind, Refusal, Ring};
use annulus_prove::{Options, child};

use crate::cell::{Cell, End, Name};

/// What a child is told, in the environment: cell, and the addresses of its rings.
const TOLD: &str = "ANNULUS_PROVE_HAND_OFFS";

/// Longer than any campaign: no slice ends.
pub const NEVER: Duration = Duration::from_secs(24 * 3600);

/// How many work in a crowd.
const CROWD: usize = 3;

/// In what way numbers are handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToAndFro,
    Straight,
    /// Several sleep on "not empty".
    Crowd,
    /// Several sleep on "not full".
    CrowdOfSenders,
}

impl Way {
    /// What can be done with a cell.
    pub fn of(cell: &Cell) -> Vec<Self> {
        let mut ways = vec![Self::ToAndFro];
        if cell.kind.fills() {
            ways.push(Self::Straight);
        }
        if matches!(cell.kind, Kind::Mpmc | Kind::Frames) && !cell.set && !cell.by_hand {
            ways.extend([Self::Crowd, Self::CrowdOfSenders]);
        }
        ways
    }
}

/// What came of it.
#[derive(Default)]
pub struct Sum {
    pub hand_offs: u64,
    pub stuck: u64,
    pub rescues: u64,
    pub longest: Duration,
    pub wrong: Option<String>,
}

/// Hands on until `until`, or so many.
pub struct Limit {
    pub until: Instant,
    pub count: u64,
    /// Longer than this, and a hand-off is stuck.
    pub stuck: Duration,
}

impl Limit {
    /// For those that may wait for a process to start.
    fn patient(&self) -> Self {
        Self { stuck: self.stuck.max(Duration::from_secs(20)), ..*self }
    }
}

/// Runs one cell in one way.
pub fn run(cell: &Cell, way: Way, limit: &Limit, options: &Options) -> Result<Sum, String> {
    let mut run = Run { cell: *cell, rings: Vec::new(), names: Vec::new(), sum: Sum::default() };
    match way {
        Way::ToAndFro => run.there_and_back(limit, options)?,
        Way::Straight => run.straight(limit, options)?,
        Way::Crowd => run.crowd(false, limit, options)?,
        Way::CrowdOfSenders => run.crowd(true, limit, options)?,
    }
    for ring in &run.rings {
        let (not_empty, not_full) = ring.rescues().map_err(text)?;
        run.sum.rescues += not_empty + not_full;
    }
    Ok(run.sum)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

struct Run {
    cell: Cell,
    rings: Vec<Ring>,
    names: Vec<Name>,
    sum: Sum,
}

impl Run {
    /// A new ring; its number.
    fn ring(&mut self, cell: &Cell) -> Result<usize, String> {
        let name = Name::new();
        self.rings.push(cell.shape(NEVER).create(name.address()).map_err(text)?);
        self.names.push(name);
        Ok(self.rings.len() - 1)
    }

    fn end(&self, ring: usize, sends: bool) -> Result<End, String> {
        // The children do it the cell's way.
        End::of(&self.rings[ring], sends).map_err(text)
    }

    fn child(&self, role: &str, rings: &[usize], options: &Options) -> Result<Killed, String> {
        let mut command = child::command(role, options, 24 * 3600);
        let addresses = rings.iter().map(|ring| self.names[*ring].address());
        let told: Vec<&str> = addresses.collect();
        command.env(TOLD, format!("{} {}", self.cell, told.join(" ")));
        Ok(Killed(command.spawn().map_err(text)?))
    }

    /// One hand-off; false: it failed.
    fn hand(&mut self, end: &mut End, number: u64, limit: &Limit) -> bool {
        let began = Instant::now();
        let outcome = end.asleep(number, self.cell.set, limit.stuck * 2);
        let took = began.elapsed();
        self.sum.longest = self.sum.longest.max(took);
        match outcome {
            Ok(got) if got == number => {
                self.sum.hand_offs += 1;
                if took < limit.stuck {
                    return true;
                }
                self.sum.stuck += 1;
                self.sum.wrong = Some(format!("number {number} took {took:?}"));
            }
            Ok(got) => self.sum.wrong = Some(format!("got {got}, not {number}")),
            Err(why) => {
                self.sum.stuck += u64::from(why == Refusal::NotYet);
                self.sum.wrong = Some(format!("number {number}: {why}"));
            }
        }
        false
    }

    fn goes_on(&self, limit: &Limit) -> bool {
        self.sum.hand_offs < limit.count && Instant::now() < limit.until
    }

    fn there_and_back(&mut self, limit: &Limit, options: &Options) -> Result<(), String> {
        let cell = self.cell;
        let (ping, pong) = (self.ring(&cell)?, self.ring(&cell)?);
        let (mut sender, mut receiver) = (self.end(ping, true)?, self.end(pong, false)?);
        // A broadcast's receiver has to be there before it is sent to.
        let _child = self.child("echo", &[ping, pong], options)?;
        // It comes with a number of its own.
        let mut going = self.hand(&mut receiver, 0, &limit.patient());
        self.sum.longest = Duration::ZERO;
        for number in 1.. {
            if !going || !self.goes_on(limit) {
                break;
            }
            going =
                self.hand(&mut sender, number, limit) && self.hand(&mut receiver, number, limit);
        }
        Ok(())
    }

    fn straight(&mut self, limit: &Limit, options: &Options) -> Result<(), String> {
        let cell = self.cell;
        let ring = self.ring(&cell)?;
        let hello = self.ring(&cell.own())?;
        let (mut sender, mut greeted) = (self.end(ring, true)?, self.end(hello, false)?);
        let _child = self.child("sink", &[ring, hello], options)?;
        // Before it has come nobody holds a lossless sender back.
        let mut going = self.hand(&mut greeted, 7, &limit.patient());
        self.sum.longest = Duration::ZERO;
        for number in 1.. {
            if !going || !self.goes_on(limit) {
                break;
            }
            going = self.hand(&mut sender, number, limit);
        }
        Ok(())
    }

    fn crowd(&mut self, senders: bool, limit: &Limit, options: &Options) -> Result<(), String> {
        let cell = self.cell;
        let work = self.ring(&cell)?;
        let own = cell.own();
        let mut work_end = self.end(work, !senders)?;
        let (mut done, mut go, mut children) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..CROWD {
            let (there, back) = (self.ring(&own)?, self.ring(&own)?);
            done.push(self.end(there, false)?);
            go.push(self.end(back, true)?);
            let role = if senders { "pusher" } else { "puller" };
            children.push(self.child(role, &[work, there, back], options)?);
        }
        let mut round = 0;
        while self.goes_on(limit) {
            round += 1;
            for end in &mut go {
                if !self.hand(end, round, limit) {
                    return Ok(());
                }
            }
            // Each takes, or gives, one, and no other before it is let go on.
            for _ in 0..CROWD {
                if !self.hand(&mut work_end, 7, limit) {
                    return Ok(());
                }
            }
            for end in &mut done {
                if !self.hand(end, 7, limit) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// A child; killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The ends that a child is told of, each with whether it sends; from `own` on, those of
/// rings beside the one that is looked at.
fn ends(sends: &[bool], own: usize) -> (Cell, Vec<End>) {
    let told = std::env::var(TOLD).expect("what to do");
    let told: Vec<&str> = told.split(' ').collect();
    let cell = Cell::named(told[0]);
    let open = |(at, sends): (usize, &bool)| {
        let cell = if at < own { cell } else { cell.own() };
        let ring = cell.shape(NEVER).open(told[at + 1]).expect("a ring of the campaign's");
        cell.end(&ring, *sends).expect("a seat")
    };
    (cell, sends.iter().enumerate().map(open).collect())
}

/// Sends back what it gets.
pub fn echo() {
    let (cell, mut ends) = ends(&[false, true], 2);
    let mut number = Ok(0);
    while let Ok(got) = number {
        if ends[1].asleep(got, cell.set, NEVER).is_err() {
            break;
        }
        number = ends[0].asleep(0, cell.set, NEVER);
    }
}

/// Takes what it gets.
pub fn sink() {
    let (cell, mut ends) = ends(&[false, true], 1);
    let greeted = ends[1].asleep(7, false, NEVER);
    while greeted.is_ok() && ends[0].asleep(0, cell.set, NEVER).is_ok() {}
}

/// One of a crowd that receives.
pub fn puller() {
    crowded(ends(&[false, true, false], 1));
}

/// One of a crowd that sends.
pub fn pusher() {
    crowded(ends(&[true, true, false], 1));
}

fn crowded((cell, mut ends): (Cell, Vec<End>)) {
    while ends[2].asleep(0, false, NEVER).is_ok() {
        let worked = ends[0].asleep(7, cell.set, NEVER);
        if worked != Ok(7) || ends[1].asleep(7, false, NEVER).is_err() {
            break;
        }
    }
}
