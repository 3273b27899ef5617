//! A ring with its people, one of whom is led to an instruction and killed.
//!
//! ```text
//!   victim                    worker (survivor)              waiter
//!   open · seat                seat(s) of the others          seat · asleep
//!   lap, fill ◀── markers ──▶  receives the lap
//!   marker ── step k ── SIGKILL
//!                              newcomer · messages through · account
//! ```
//!
//! Imports: ends, ledger, scratch, site, verbs; step.
#![allow(unsafe_code)]

mod survive;
mod waiter;

use std::time::Duration;

use annulus::Error;
use annulus_prove::step::{Led, Step, marker};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::ends::{Got, Rx, Tx};
use crate::ledger::{Dead, Ledger, id, source};
use crate::plan::Course;
use crate::scratch::{Journal, Note, Scratch};
use crate::site::{LONG, Ring, SLICE, Site};
use crate::verbs::{Before, Cell, Company, Fill, Kind, Verb};

/// By then everything that can be had has come.
const SOON: Duration = Duration::from_secs(10);

/// Where somebody is killed: behind so many instructions, or asleep in the next, a system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub after: u64,
    pub inside: bool,
}

/// Journals, by owner.
const FIRST: usize = 0;
const SECOND: usize = 1;
const WAITER: usize = 2;

/// One sleeper, not led.
struct Waiter {
    pid: Pid,
    sends: bool,
}

/// All of it.
pub struct World<'a> {
    cell: Cell,
    pub site: Site,
    scratch: &'a Scratch,
    tx: Option<Box<dyn Tx>>,
    rx: Option<Box<dyn Rx>>,
    waiter: Option<Waiter>,
    ledger: Ledger,
    rivals: u64,
    /// First position that the survivors' receiver of a broadcast has to account for.
    began: u64,
}

fn text(error: Error) -> String {
    error.to_string()
}

fn expect(what: &str, got: Result<Got, String>) -> Result<u64, String> {
    match got {
        Ok(Got::Message(id, _)) => Ok(id),
        other => Err(format!("{what}: {other:?}")),
    }
}

impl<'a> World<'a> {
    /// A new ring, and a victim that stands before its verb.
    pub fn new(cell: Cell, scratch: &'a Scratch, tag: &str) -> Result<(Self, Led), String> {
        let site = Site::new(cell.kind, cell.place, cell.tight(), tag).map_err(text)?;
        for number in [FIRST, SECOND, WAITER] {
            scratch.journal(number).clear();
        }
        let ledger = Ledger::default();
        let mut world = Self {
            cell,
            site,
            scratch,
            tx: None,
            rx: None,
            waiter: None,
            ledger,
            rivals: 0,
            began: 0,
        };
        let led = match cell.verb {
            verb if verb.comes() => {
                world.predecessor()?;
                world.newcomer(cell.verb, FIRST)
            }
            verb => world.prepared(verb)?,
        };
        Ok((world, led))
    }

    /// The one before a newcomer.
    fn predecessor(&mut self) -> Result<(), String> {
        let sends = self.cell.verb.sends();
        let verb = match (self.cell.before, sends) {
            (Before::Nobody, _) => return self.opposite(sends),
            (Before::Died | Before::Midway, true) => Verb::TrySend,
            (Before::Died | Before::Midway, false) => Verb::Guard,
            (Before::Left, true) => Verb::LeaveTx,
            (Before::Left, false) => Verb::LeaveRx,
        };
        let mut led = self.prepared(verb)?;
        if self.cell.before == Before::Left {
            led.go(SOON);
        } else if !sends && self.cell.fill != Fill::Empty {
            // With a message in hand.
            let journal = self.scratch.journal(FIRST);
            while journal.notes().next().is_none() && led.step() == Step::Stepped {}
        } else if self.cell.before == Before::Midway {
            // A message is begun and not there, if there is room: in the middle of what its
            // changes of memory make of the way.
            let image = self.site.image();
            let (mut changes, mut last) = (0, image.hash());
            let most = 1 + self.cell.fill as u32 % 3;
            for _ in 0..5000 {
                if changes == most || led.step() != Step::Stepped {
                    break;
                }
                let now = image.hash();
                changes += u32::from(now != last);
                last = now;
            }
        }
        led.kill();
        self.bury(verb, FIRST);
        self.scratch.journal(FIRST).clear();
        Ok(())
    }

    /// The survivors' seats, before the victim comes.
    fn opposite(&mut self, sends: bool) -> Result<(), String> {
        let many = self.cell.kind == Kind::Mpmc;
        let casts = self.cell.kind.casts();
        let waits = self.cell.company == Company::Waiter;
        if !sends && !waits || many {
            self.tx = Some(self.site.ring.sender().map_err(text)?);
        }
        if ((sends || casts) && !waits) || (many && !sends) {
            self.rx = Some(self.site.ring.receiver().map_err(text)?);
        }
        Ok(())
    }

    /// A victim that has filled the ring, or seen it filled, and stands before its verb.
    fn prepared(&mut self, verb: Verb) -> Result<Led, String> {
        let sends = verb.sends();
        self.opposite(sends)?;
        let waits = self.cell.company == Company::Waiter;
        if waits && sends {
            self.hire(false)?;
        }
        let (lap, waiting) = (self.cell.lap(), self.cell.fill.waiting());
        let lap = if waits && !sends { 0 } else { lap };
        let (site, journal) = (&self.site, self.scratch.journal(FIRST));
        let shifted = self.cell.shifted();
        let role = || {
            if sends {
                let mut tx = site.open(LONG).expect("a ring").sender().expect("a seat");
                if shifted {
                    tx.shift();
                }
                for n in 0..lap + waiting {
                    if n == lap {
                        marker();
                    }
                    expect("fill", tx.send(id(source::VICTIM, n), SOON)).expect("room");
                }
                if waiting == 0 {
                    marker();
                }
                tx.act(verb, id(source::VICTIM, lap + waiting), journal);
            } else {
                let mut rx = site.open(LONG).expect("a ring").receiver().expect("a seat");
                marker();
                if shifted {
                    rx.shift();
                }
                for _ in 0..lap {
                    expect("lap", rx.recv(SOON)).expect("a message");
                }
                marker();
                rx.act(verb, journal);
            }
        };
        // SAFETY: a worker has one thread.
        let mut led = unsafe { Led::fork(role) };
        if sends {
            if let (true, Some(rx)) = (shifted, &mut self.rx) {
                rx.shift();
            }
            for _ in 0..lap {
                if let Some(rx) = &mut self.rx {
                    expect("lap", rx.recv(SOON))?;
                }
            }
            if waits {
                self.wait_until_asleep()?;
            }
            self.ledger.must.extend((lap..lap + waiting).map(|n| id(source::VICTIM, n)));
        } else if waits {
            // The victim is there first: a broadcast is for those who are.
            self.hire(true)?;
            led.go(SOON);
            self.wait_until_asleep()?;
        } else {
            if let (true, Some(tx)) = (shifted, &mut self.tx) {
                tx.shift();
            }
            for n in 0..lap {
                self.feed(n, false)?;
            }
            led.go(SOON);
            for n in lap..lap + waiting {
                self.feed(n, true)?;
            }
        }
        self.began = lap;
        match led.go(SOON) {
            Step::Marker => Ok(led),
            other => Err(format!("a victim did not get to its verb: {other:?}")),
        }
    }

    /// A message for a receiving victim.
    fn feed(&mut self, n: u64, counts: bool) -> Result<(), String> {
        let tx = self.tx.as_mut().ok_or("nobody sends")?;
        let id = id(source::RIVAL, n);
        self.rivals = n + 1;
        expect("fill", tx.send(id, SOON))?;
        if counts {
            self.ledger.must.insert(id);
        } else if let (true, Some(rx)) = (self.cell.kind.casts(), &mut self.rx) {
            expect("lap", rx.recv(SOON))?;
        }
        Ok(())
    }

    /// A led process whose verb is to come to the ring, or to look at it.
    pub fn newcomer(&self, verb: Verb, number: usize) -> Led {
        let (site, journal) = (&self.site, self.scratch.journal(number));
        let role = || match verb {
            verb if verb.comes() => {
                marker();
                if let Ok(ring) = site.open(LONG) {
                    come(&ring, verb, journal);
                }
                marker();
            }
            verb if verb.sends() => {
                let tx = site.open(SLICE).expect("a ring").sender().expect("a seat");
                tx.act(verb, 0, journal);
            }
            verb => {
                let rx = site.open(SLICE).expect("a ring").receiver().expect("a seat");
                rx.act(verb, journal);
            }
        };
        // SAFETY: a worker has one thread.
        unsafe { Led::fork(role) }
    }

    /// The second victim, who may need a seat that a survivor has.
    pub fn second(&mut self, verb: Verb) -> Led {
        if self.cell.kind == Kind::Spsc {
            match verb {
                Verb::NoticeRx => self.rx = None,
                Verb::NoticeTx => self.tx = None,
                _ => {}
            }
        }
        if self.cell.kind.casts() && verb == Verb::NoticeTx {
            self.tx = None;
        }
        self.newcomer(verb, SECOND)
    }

    /// Takes the led one, who is behind so many steps of its course, to a point; a sleeper is
    /// helped on. False: its verb was over before.
    pub fn lead(
        &mut self,
        led: &mut Led,
        (course, mut from): (&Course, u64),
        point: Point,
        sends: bool,
    ) -> Result<bool, String> {
        for &sleep in course.sleeps.iter().filter(|sleep| **sleep < point.after) {
            if !course.lead(led, from, sleep)? || !self.step(led, 1, sends)? {
                return Ok(false);
            }
            from = sleep + 1;
        }
        let there = course.lead(led, from, point.after)?;
        if point.inside && there {
            led.step();
        }
        Ok(there)
    }

    /// Leads one through its whole verb.
    pub fn course(&mut self, led: &mut Led, sends: bool) -> Result<Course, String> {
        let image = self.site.image();
        Course::of(led, || image.hash(), || self.unblock(sends))
    }

    /// Takes the led one so many steps on; a sleeper is helped on. False: its verb was over.
    pub fn step(&mut self, led: &mut Led, steps: u64, sends: bool) -> Result<bool, String> {
        for _ in 0..steps {
            match led.step() {
                Step::Stepped => {}
                Step::Blocked => {
                    self.unblock(sends)?;
                    if led.wake(SOON) != Step::Stepped {
                        return Err(format!("one who was woken sleeps on: {}", whereabouts(led)));
                    }
                }
                Step::Marker => return Ok(false),
                Step::Ended => return Err("the victim died before it was killed".into()),
            }
        }
        Ok(true)
    }

    /// Lets one go on who sleeps.
    pub fn unblock(&mut self, sends: bool) -> Result<(), String> {
        if sends {
            self.take(Duration::ZERO).map(|_| ())
        } else if self.tx.is_some() {
            self.rival_send()
        } else {
            Err("one who receives sleeps, and nobody can send".into())
        }
    }

    fn rival_send(&mut self) -> Result<(), String> {
        let id = id(source::RIVAL, self.rivals);
        if let Some(tx) = &mut self.tx
            && let Got::Message(id, _) = tx.send(id, Duration::ZERO)?
        {
            self.rivals += 1;
            self.ledger.must.insert(id);
        }
        Ok(())
    }

    /// A whole operation of whoever else is there.
    pub fn rival(&mut self, round: u64) -> Result<(), String> {
        if round.is_multiple_of(2) {
            self.rival_send()?;
            self.take(Duration::ZERO)?;
        } else {
            self.take(Duration::ZERO)?;
            self.rival_send()?;
        }
        Ok(())
    }

    /// Receives one, if there is one for the survivors' receiver.
    fn take(&mut self, time: Duration) -> Result<Got, String> {
        let Some(rx) = &mut self.rx else { return Ok(Got::Nothing) };
        let got = rx.recv(time)?;
        match got {
            Got::Message(id, marked) => self.ledger.got.entry(0).or_default().push((id, marked)),
            Got::Lag(n) => self.ledger.lags += n,
            Got::Nothing | Got::Closed | Got::Died => {}
        }
        Ok(got)
    }

    /// Reads what a dead one has noted.
    pub fn bury(&mut self, verb: Verb, number: usize) {
        let (lap, waiting) = (self.cell.lap(), self.cell.fill.waiting());
        // Who comes has not sent yet.
        let fresh = number != FIRST || verb.comes();
        let first = if fresh { id(source::SECOND, 0) } else { id(source::VICTIM, lap + waiting) };
        let notes = self.scratch.journal(number).notes().collect();
        self.ledger.dead.push(Dead { verb, first, notes });
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            let _ = kill(waiter.pid, Signal::SIGKILL);
            let _ = waitpid(waiter.pid, None);
        }
    }
}

/// Takes a seat, and does what it came for.
fn come(ring: &Ring, verb: Verb, journal: Journal) {
    if verb.sends() {
        let Ok(mut tx) = ring.sender() else { return };
        journal.note(Note::Attached);
        if verb == Verb::AttachTx {
            core::mem::forget(tx);
            return;
        }
        match tx.send(id(source::SECOND, 0), Duration::ZERO) {
            Ok(Got::Message(id, _)) => journal.note(Note::Sent(id)),
            Ok(_) => {}
            Err(_) => journal.note(Note::Wrong(5)),
        }
        drop(tx);
    } else {
        let Ok(mut rx) = ring.receiver() else { return };
        journal.note(Note::Attached);
        match verb {
            Verb::AttachRx => return core::mem::forget(rx),
            Verb::HeirRx => rx.hold(journal),
            _ => {}
        }
        drop(rx);
    }
    journal.note(Note::Left);
}

/// What the kernel says of a led one.
pub fn whereabouts(led: &Led) -> String {
    let read = |file| std::fs::read_to_string(format!("/proc/{}/{file}", led.pid()));
    let all = ["stat", "syscall", "wchan"].map(|file| read(file).unwrap_or_default());
    all.join(" ").replace('\n', " ")
}
