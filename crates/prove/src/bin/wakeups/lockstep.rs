//! Every place in the waiter's code against every place in the notifier's.
//!
//! ```text
//!   waiter    ──── to its k-th instruction ─┐           ┌─▶ done, or asleep ┐      ┌─▶ done
//!   notifier                                └─ to its j ┘                   └ rest ┘
//! ```
//!
//! Then a second round, so that a flag that was cleared wrongly shows. No slice ends
//! meanwhile, so who sleeps on a ready ring sleeps on. Two such rounds are all that the
//! event count remembers: a generation, and a flag with its arrivals.
//!
//! In a crowd somebody else sleeps already, and is owed the second round.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use annulus_prove::rings::Ring;
use annulus_prove::step::{self, Led, Step};
use annulus_prove::{Options, child};

use crate::cell::{Cell, End, Name};
use crate::handoffs::NEVER;

pub const TOLD: &str = "ANNULUS_PROVE_LOCKSTEP";

/// The same number on every architecture.
const FUTEX_WAITV: u64 = 449;

/// Who runs by itself gets there within that.
const SETTLES: Duration = Duration::from_secs(20);

/// Who does not come to a place within that went another way: the clock decides some.
const COMES: Duration = Duration::from_millis(100);

/// What the waiter waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    Message,
    Room,
}

/// A waiter, a notifier, and perhaps a waiter who sleeps already.
pub struct Bench {
    cell: Cell,
    waits: For,
    stuck: Duration,
    ring: Ring,
    _name: Name,
    waiter: Led,
    notifier: Led,
    other: Option<Led>,
}

/// What came of a pair of places.
#[derive(Debug, PartialEq, Eq)]
pub enum Met {
    /// All as it should be.
    Well,
    /// The same, but that the notifier had nobody to wake, and did not come to its place.
    Never,
    /// One of them went another way, and is of no use any more.
    Broken,
    /// Somebody sleeps on a ready ring, or ended.
    Wrong(&'static str),
}

/// A place: the address of an instruction, and how often it comes by it.
pub type Place = (u64, u64);

impl Bench {
    /// Sets them up, each at the beginning of its call.
    pub fn new(
        cell: Cell,
        waits: For,
        crowd: bool,
        stuck: Duration,
        options: &Options,
    ) -> Result<Self, String> {
        let name = Name::new();
        let shape = cell.shape(NEVER);
        let ring = shape.create(name.address()).map_err(|error| error.to_string())?;
        let start = |role: &str| {
            let mut command = child::command(role, options, 24 * 3600);
            command.env(TOLD, format!("{cell} {waits:?} {}", name.address()));
            stay(&mut command);
            Led::spawn(&mut command).map_err(|error| error.to_string())
        };
        // The one that receives comes first: a broadcast's sender must not be ahead.
        let (waiter, other, notifier);
        if waits == For::Message {
            waiter = start("waiter")?;
            other = if crowd { Some(start("waiter")?) } else { None };
            notifier = start("notifier")?;
        } else {
            notifier = start("notifier")?;
            waiter = start("waiter")?;
            other = if crowd { Some(start("waiter")?) } else { None };
        }
        let mut bench = Self { cell, waits, stuck, ring, _name: name, waiter, notifier, other };
        // The first calls do what is done once.
        for _ in 0..3 {
            match bench.meet(None, None) {
                Met::Well => {}
                met => return Err(format!("undisturbed, {met:?}")),
            }
        }
        Ok(bench)
    }

    /// The places of the waiter's call, up to its sleep.
    pub fn places(&mut self) -> Vec<Place> {
        let (mut places, mut times) = (Vec::new(), HashMap::new());
        loop {
            let at = self.waiter.at();
            let count = times.entry(at).or_insert(0);
            *count += 1;
            places.push((at, *count));
            // It is led into no other sleep than this one's elder brother.
            if self.waiter.system_call() == Some(FUTEX_WAITV) {
                break;
            }
            if self.waiter.step() != Step::Stepped {
                break;
            }
        }
        // It sleeps; two rounds bring all to where they were.
        let _ = self.rest(false);
        places
    }

    /// The places of the notifier's call if somebody sleeps.
    pub fn notifier_places(&mut self) -> Vec<Place> {
        let _ = settle(&mut self.waiter);
        let (mut places, mut times) = (Vec::new(), HashMap::new());
        loop {
            let at = self.notifier.at();
            let count = times.entry(at).or_insert(0);
            *count += 1;
            places.push((at, *count));
            if self.notifier.step() != Step::Stepped {
                break;
            }
        }
        let _ = self.rest(false);
        places
    }

    /// Brings the waiter to a place (`None`: lets it be), then the notifier to one, lets the
    /// waiter go on, then the notifier; and a second round.
    pub fn meet(&mut self, waiter: Option<Place>, notifier: Option<Place>) -> Met {
        if let Some(other) = &mut self.other
            && settle(other) != Settled::Asleep
        {
            return Met::Wrong("the other one did not fall asleep");
        }
        let mut notified = false;
        for (led, place) in [(&mut self.waiter, waiter), (&mut self.notifier, notifier)] {
            let Some((address, times)) = place else { continue };
            // The first time it comes by may be now.
            let times = times - u64::from(led.at() == address);
            match led.run_to(address, times, COMES) {
                Step::Stepped => {}
                // Nobody to wake: its call is over. The waiter's can't be.
                Step::Marker => notified = true,
                // The breakpoint is still there.
                _ => return Met::Broken,
            }
        }
        match self.rest(notified) {
            Met::Well if notified => Met::Never,
            met => met,
        }
    }

    /// From wherever they are to the beginnings of their next calls.
    /// `notified`: the notifier's first call is over.
    fn rest(&mut self, notified: bool) -> Met {
        // In a crowd whoever is done keeps out of the second round, which is the other's.
        let crowd = self.other.is_some();
        let mut done = false;
        match settle(&mut self.waiter) {
            Settled::Asleep => {}
            Settled::Done if crowd => done = true,
            Settled::Done => {
                done = true;
                if settle(&mut self.waiter) != Settled::Asleep {
                    return Met::Wrong("the waiter got what nobody gave");
                }
            }
            Settled::Gone => return Met::Wrong("the waiter ended, or never settled"),
        }
        if !notified && !self.notify() {
            return Met::Wrong("the notifier did not end its call");
        }
        if !crowd && !done {
            if self.waiter.go(self.stuck) != Step::Marker {
                return Met::Wrong("asleep on a ready ring");
            }
            if settle(&mut self.waiter) != Settled::Asleep {
                return Met::Wrong("the waiter got what nobody gave");
            }
        }
        if !self.notify() {
            return Met::Wrong("the notifier did not end its second call");
        }
        let stuck = self.stuck;
        if !(crowd && done) && self.waiter.go(stuck) != Step::Marker {
            return Met::Wrong("asleep on a ready ring, the second time");
        }
        if let Some(other) = &mut self.other
            && other.go(stuck) != Step::Marker
        {
            return Met::Wrong("the other one, asleep on a ready ring");
        }
        Met::Well
    }

    /// The notifier's call to its end, and on to the next one's beginning.
    fn notify(&mut self) -> bool {
        self.notifier.go(SETTLES) == Step::Marker
    }

    /// Waits that only a slice rescued, which is none.
    pub fn rescues(&self) -> u64 {
        self.ring.rescues().map_or(u64::MAX, |(not_empty, not_full)| not_empty + not_full)
    }

    /// As it is written in findings.
    pub fn name(&self) -> String {
        let crowd = if self.other.is_some() { ", a crowd" } else { "" };
        format!("{} for {:?}{crowd}", self.cell, self.waits)
    }
}

#[derive(PartialEq, Eq)]
enum Settled {
    /// At the end of its call, and so at the beginning of the next.
    Done,
    Asleep,
    Gone,
}

/// Lets it go on until it sleeps, or is done.
fn settle(led: &mut Led) -> Settled {
    let began = Instant::now();
    let mut asleep = 0;
    while began.elapsed() < SETTLES {
        match led.go(Duration::ZERO) {
            Step::Marker => return Settled::Done,
            Step::Ended => return Settled::Gone,
            _ => {}
        }
        // Seen asleep a few times: it does not only pass through.
        asleep = if led.sleeps() { asleep + 1 } else { 0 };
        if asleep > 3 {
            return Settled::Asleep;
        }
        std::thread::yield_now();
    }
    Settled::Gone
}

/// Its code lies where it lies in all of them.
fn stay(command: &mut Command) {
    let stay = || {
        // SAFETY: I5: a plain call with a number, allowed between fork and exec.
        let outcome = unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
        if outcome < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: I5: one system call.
    unsafe { command.pre_exec(stay) };
}

fn told() -> (Cell, bool, End) {
    let told = std::env::var(TOLD).expect("what to do");
    let told: Vec<&str> = told.split(' ').collect();
    let (cell, room) = (Cell::named(told[0]), told[1] == "Room");
    let ring = cell.shape(NEVER).open(told[2]).expect("the campaign's ring");
    let sends = room == (std::env::var("ANNULUS_PROVE_ROLE").as_deref() == Ok("waiter"));
    let end = cell.end(&ring, sends).expect("a seat");
    (cell, room, end)
}

/// Waits, again and again, each time between two markers.
pub fn waiter() {
    let (cell, room, mut end) = told();
    // One that waits for room has none.
    while room && end.at_once(1).is_ok() {}
    loop {
        step::marker();
        if let Err(why) = end.asleep(1, cell.set, NEVER) {
            eprintln!("the waiter: {why}");
            return;
        }
    }
}

/// Sends, or receives, what is waited for.
pub fn notifier() {
    let (_, _, mut end) = told();
    loop {
        step::marker();
        // Not yet: a seat's peer is a moment behind.
        if let Err(why) = end.at_once(1) {
            eprintln!("the notifier: {why}");
            return;
        }
    }
}
