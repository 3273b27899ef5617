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

use std::time::{Duration, Instant};

use annulus::Error;
use annulus_prove::step::{Led, Step, marker, sleeps_on_a_futex};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};

use crate::ends::{Got, Rx, Tx};
use crate::ledger::{Dead, Ledger, id, source};
use crate::plan::Course;
use crate::scratch::{Journal, Note, Scratch};
use crate::site::{LONG, SLICE, Site};
use crate::verbs::{Before, CAPACITY, Cell, Company, Fill, Kind, Verb};

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
        let site = Site::new(cell.kind, cell.place, tag).map_err(text)?;
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
            Verb::AttachTx | Verb::AttachRx => {
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
            (Before::Died, true) => Verb::TrySend,
            (Before::Died, false) => Verb::Guard,
            (Before::Left, true) => Verb::LeaveTx,
            (Before::Left, false) => Verb::LeaveRx,
        };
        let mut led = self.prepared(verb)?;
        if self.cell.before == Before::Left {
            led.go(SOON);
        } else if !sends && self.cell.fill != Fill::Empty {
            // With a message in hand, if it gets so far.
            led.steps_on(150);
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
        let (lap, waiting) = (self.cell.fill.lap(), self.cell.fill.waiting());
        let lap = if waits && !sends { 0 } else { lap };
        let (site, journal) = (&self.site, self.scratch.journal(FIRST));
        let role = || {
            if sends {
                let mut tx = site.open(LONG).expect("a ring").sender().expect("a seat");
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
            Verb::AttachTx | Verb::AttachRx => {
                marker();
                let ring = site.open(LONG);
                if let Ok(ring) = ring {
                    let came = if verb.sends() {
                        ring.sender().map(core::mem::forget)
                    } else {
                        ring.receiver().map(core::mem::forget)
                    };
                    if came.is_ok() {
                        journal.note(Note::Attached);
                    }
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
            Got::Nothing | Got::Over => {}
        }
        Ok(got)
    }

    /// Reads what a dead one has noted.
    pub fn bury(&mut self, verb: Verb, number: usize) {
        let (lap, waiting) = (self.cell.fill.lap(), self.cell.fill.waiting());
        let lap = if number == FIRST { lap + waiting } else { 0 };
        let first = id(if number == FIRST { source::VICTIM } else { source::SECOND }, lap);
        let notes = self.scratch.journal(number).notes().collect();
        self.ledger.dead.push(Dead { verb, first, notes });
    }

    /// The survivors go on, and the account is made. `newcomer_first`: before the survivors
    /// have looked.
    pub fn survive(mut self, newcomer_first: bool) -> Result<(), String> {
        if self.waiter.is_some() {
            return self.survive_with_a_waiter();
        }
        if self.cell.kind == Kind::Stream {
            return self.survive_a_pipe();
        }
        if !newcomer_first {
            self.drain()?;
        }
        let (sends, many) = (self.cell.verb.sends(), self.cell.kind == Kind::Mpmc);
        let mut tx = match self.tx.take() {
            Some(tx) if !(sends && many) => tx,
            other => {
                // Its own seat too is still good.
                let tx = soon(|| self.site.ring.sender())?;
                self.tx = other;
                tx
            }
        };
        let mut heir = None;
        if self.rx.is_none() {
            self.rx = Some(soon(|| self.site.ring.receiver())?);
        } else if !sends {
            heir = Some(soon(|| self.site.ring.receiver())?);
        }
        self.drain()?;
        let through = 2 * CAPACITY + 3;
        for n in 0..through {
            self.pass(&mut *tx, id(source::SUCCESSOR, n), &mut heir)?;
        }
        self.rival_send()?;
        self.settle(&mut heir)?;
        if self.cell.kind.casts() {
            let sent = tx.position() - self.began;
            let got = self.ledger.got.get(&0).map_or(0, Vec::len) as u64 + self.ledger.lags;
            // Whoever came late has not seen the beginning.
            if !self.ledger.got.is_empty() && got != sent && self.saw_all() {
                return Err(format!("{sent} positions, but {got} got or missed"));
            }
        }
        if !self.saw_all() {
            return Ok(());
        }
        self.ledger.judge(self.cell.kind, false)
    }

    /// Whether the survivors' receiver was there from the beginning.
    fn saw_all(&self) -> bool {
        !self.cell.kind.casts() || !matches!(self.cell.company, Company::Second(Verb::NoticeRx))
    }

    /// One message more: sent, and what there is received. Of an mpmc ring what a dead one held
    /// can take up the room until a receiver has waited.
    fn pass(
        &mut self,
        tx: &mut dyn Tx,
        id: u64,
        heir: &mut Option<Box<dyn Rx>>,
    ) -> Result<(), String> {
        let began = Instant::now();
        let mut time = Duration::ZERO;
        loop {
            match tx.send(id, 2 * time)? {
                Got::Message(..) => break,
                Got::Nothing if began.elapsed() < SOON => {}
                other => return Err(format!("wedged: no room for {id:#x}: {other:?}")),
            }
            // The dead are looked for once a slice.
            time = SLICE;
            if let Some(heir) = heir
                && !self.cell.kind.casts()
            {
                let got = heir.recv(time)?;
                self.note_heir(got);
            }
            self.take(time)?;
        }
        self.ledger.must.insert(id);
        if let Some(heir) = heir
            && (self.cell.kind.casts() || id.is_multiple_of(2))
        {
            let got = heir.recv(Duration::ZERO)?;
            self.note_heir(got);
            if got == Got::Nothing && self.cell.kind.casts() {
                return Err(format!("wedged: nothing for a newcomer after {id:#x}"));
            }
        }
        self.drain()
    }

    fn note_heir(&mut self, got: Got) {
        if let Got::Message(id, marked) = got
            && !self.cell.kind.casts()
        {
            self.ledger.got.entry(1).or_default().push((id, marked));
        }
    }

    /// Receives what is there now.
    fn drain(&mut self) -> Result<(), String> {
        loop {
            match self.take(Duration::ZERO)? {
                Got::Message(..) | Got::Lag(_) => {}
                Got::Nothing | Got::Over => return Ok(()),
            }
        }
    }

    /// Receives what is there, and what comes of the dead within some slices.
    fn settle(&mut self, heir: &mut Option<Box<dyn Rx>>) -> Result<(), String> {
        let many = self.cell.kind == Kind::Mpmc;
        let time = if many { 4 * SLICE } else { Duration::ZERO };
        let began = Instant::now();
        while began.elapsed() < SOON {
            let mut more = false;
            if let Some(heir) = heir {
                let got = heir.recv(Duration::ZERO)?;
                more = matches!(got, Got::Message(..) | Got::Lag(_));
                self.note_heir(got);
            }
            let got = self.take(if more { Duration::ZERO } else { time })?;
            more |= matches!(got, Got::Message(..) | Got::Lag(_));
            if !more && (self.cell.kind.casts() || !self.ledger.lacks()) {
                return Ok(());
            }
        }
        // The account says what is missing.
        Ok(())
    }

    /// A stream ends with the death of either side, once it was seen there.
    fn survive_a_pipe(mut self) -> Result<(), String> {
        let sends = self.cell.verb.sends();
        let dead = self.ledger.dead.first().is_some_and(|dead| dead.attached());
        let came = !matches!(self.cell.verb, Verb::AttachTx | Verb::AttachRx);
        let began = Instant::now();
        let until = |what: &str| match began.elapsed() > SOON {
            true => Err(format!("hang: {what}")),
            false => Ok(()),
        };
        // A newcomer who died before he had the seat has not been there.
        let again = if sends {
            self.site.ring.sender().map(|tx| self.tx = Some(tx))
        } else {
            self.site.ring.receiver().map(|rx| self.rx = Some(rx))
        };
        let over = match again {
            Ok(()) if came || dead => return Err("a stream's seat was taken twice".into()),
            Ok(()) => false,
            Err(Error::Over { .. }) => true,
            Err(error) => return Err(format!("a stream's seat: {error}")),
        };
        if !over {
            for n in 0..2 * CAPACITY + 3 {
                let id = id(source::SUCCESSOR, n);
                let tx = self.tx.as_mut().ok_or("nobody sends")?;
                expect("wedged", tx.send(id, SOON))?;
                self.ledger.must.insert(id);
                expect("wedged", self.take(SOON))?;
            }
            return self.ledger.judge(self.cell.kind, false);
        }
        if sends {
            while self.take(2 * SLICE)? != Got::Over {
                until("a receiver is not told of the end")?;
            }
            return self.ledger.judge(self.cell.kind, false);
        }
        let mut n = self.rivals;
        let tx = self.tx.as_mut().ok_or("nobody sends")?;
        while tx.send(id(source::RIVAL, n), 2 * SLICE)? != Got::Over {
            n += 1;
            until("a sender is not told of the end")?;
        }
        self.ledger.judge(self.cell.kind, true)
    }

    /// Forks one who will sleep.
    fn hire(&mut self, sends: bool) -> Result<(), String> {
        let (site, journal) = (&self.site, self.scratch.journal(WAITER));
        let parent = nix::unistd::getpid();
        // SAFETY: a worker has one thread.
        match unsafe { nix::unistd::fork() }.map_err(|error| error.to_string())? {
            ForkResult::Parent { child } => {
                self.waiter = Some(Waiter { pid: child, sends });
            }
            ForkResult::Child => {
                let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
                let role = || wait(site, journal, sends);
                let done = nix::unistd::getppid() == parent
                    && std::panic::catch_unwind(std::panic::AssertUnwindSafe(role)).is_ok();
                // SAFETY: I5: a plain call with a number. Nothing of the parent's is dropped.
                unsafe { libc::_exit(i32::from(!done)) }
            }
        }
        // It has to have its seat before the victim sends.
        let began = Instant::now();
        while !journal.notes().any(|note| note == Note::Attached) {
            if began.elapsed() > SOON {
                return Err("a waiter did not come".into());
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    fn wait_until_asleep(&self) -> Result<(), String> {
        let Some(waiter) = &self.waiter else { return Ok(()) };
        let began = Instant::now();
        let pid = waiter.pid.as_raw();
        loop {
            if sleeps_on_a_futex(pid) {
                return Ok(());
            }
            if began.elapsed() > SOON {
                return Err("a waiter did not fall asleep".into());
            }
            std::thread::yield_now();
        }
    }

    /// The sleeper gets everything, or gives everything, whatever its waker came to.
    fn survive_with_a_waiter(mut self) -> Result<(), String> {
        let waiter = self.waiter.as_ref().ok_or("no waiter")?;
        let (pid, sends) = (waiter.pid, waiter.sends);
        let stream = self.cell.kind == Kind::Stream;
        if sends {
            // It sends more than fit; a newcomer receives.
            self.rx = self.rx.take().or(match stream {
                false => Some(soon(|| self.site.ring.receiver())?),
                true => None,
            });
        } else if !stream {
            let mut tx = soon(|| self.site.ring.sender())?;
            for n in 0..=2 * CAPACITY {
                let last = n == 2 * CAPACITY;
                let id = id(if last { source::LAST } else { source::SUCCESSOR }, n);
                expect("wedged", tx.send(id, SOON))?;
                self.ledger.must.insert(id);
            }
        }
        let began = Instant::now();
        loop {
            self.drain()?;
            match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => {}
                Ok(WaitStatus::Exited(_, 0)) => break,
                other => return Err(format!("the waiter ended: {other:?}")),
            }
            if began.elapsed() > SOON {
                return Err("hang: the waiter sleeps on".into());
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        self.waiter = None;
        for note in self.scratch.journal(WAITER).notes() {
            match note {
                Note::Sent(id) => drop(self.ledger.must.insert(id)),
                Note::Returned(id, marked) => {
                    self.ledger.got.entry(0).or_default().push((id, marked));
                }
                Note::Lagged(n) => self.ledger.lags += n,
                Note::Wrong(id) => return Err(format!("the waiter met what can't be: {id:#x}")),
                _ => {}
            }
        }
        // Nobody is left who has seen all.
        let bereft = sends && (stream || self.cell.kind.casts());
        if bereft {
            return Ok(());
        }
        self.settle(&mut None)?;
        self.ledger.judge(self.cell.kind, false)
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

/// What the kernel says of a led one.
pub fn whereabouts(led: &Led) -> String {
    let read = |file| std::fs::read_to_string(format!("/proc/{}/{file}", led.pid()));
    let all = ["stat", "syscall", "wchan"].map(|file| read(file).unwrap_or_default());
    all.join(" ").replace('\n', " ")
}

/// A seat that a dead one had is to be had soon.
fn soon<T>(mut take: impl FnMut() -> Result<T, Error>) -> Result<T, String> {
    let began = Instant::now();
    loop {
        match take() {
            Ok(taken) => return Ok(taken),
            Err(Error::SeatTaken { .. } | Error::NoSeat { .. }) if began.elapsed() < SOON => {
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(error) => return Err(format!("a dead one's seat: {error}")),
        }
    }
}

/// The life of one who sleeps: receives until the last message, or sends so many.
fn wait(site: &Site, journal: Journal, sends: bool) {
    let slice = Duration::from_millis(20);
    let ring = site.open(slice).expect("a ring");
    if sends {
        let mut tx = ring.sender().expect("a seat");
        journal.note(Note::Attached);
        for n in 0..CAPACITY + 6 {
            match tx.send(id(source::WAITER, n), LONG) {
                Ok(Got::Message(id, _)) => journal.note(Note::Sent(id)),
                // A stream's sender is told.
                Ok(Got::Over) => return,
                _ => journal.note(Note::Wrong(n)),
            }
        }
        return;
    }
    let mut rx = ring.receiver().expect("a seat");
    journal.note(Note::Attached);
    loop {
        match rx.recv(LONG) {
            Ok(Got::Message(id, marked)) => {
                // The lap is nobody's business.
                let lap = CAPACITY;
                if id >> 32 != source::VICTIM || id & 0xffff_ffff >= lap {
                    journal.note(Note::Returned(id, marked));
                }
                if id >> 32 == source::LAST {
                    return;
                }
            }
            Ok(Got::Lag(n)) => journal.note(Note::Lagged(n)),
            // Between a death and a newcomer.
            Ok(Got::Over) => match site.kind_is_stream() {
                true => return,
                false => std::thread::sleep(Duration::from_micros(100)),
            },
            other => {
                journal.note(Note::Wrong(u64::from(other.is_ok())));
                return;
            }
        }
    }
}
