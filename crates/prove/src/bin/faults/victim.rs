//! The process whose calls fail: it does everything that a ring can do, twice. The first
//! time it is traced, the second time it is left alone, and all must go well.
//!
//! ```text
//!   own ring     create · open · seats · send · receive · full · empty · WaitSet · leave · unlink
//!   the others'  open · hand numbers to and fro, asleep in between · leave
//! ```
//!
//! It says on standard output what went otherwise than it should:
//! `error: STEP: WHY` (typed), `wrong: STEP: WHAT` (never right), `leak: WHAT`.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use annulus::{Error, WaitError, WaitSet};
use annulus_prove::rings::{Receiver, Refusal, Ring, Sender};

use crate::cell::{CAPACITY, Cell, Home, LONG, Passed};
use crate::tracer::{END, GOT, MARK, SEATED, SEATED_HERE, SENT};
use crate::transfer::Files;

/// What it is told, in the environment: cell, token, whether the fault is there once or each
/// time, and where memfds are to be found.
pub const TOLD: &str = "ANNULUS_PROVE_FAULTS";

/// Numbers that are handed to and fro.
pub const HAND_OFFS: u64 = 6;

const SOON: Duration = Duration::from_millis(1);

/// Tells the tracer, by a system call that is none.
fn mark(what: i64, value: u64) {
    // SAFETY: I5: a number that no kernel knows, and two more.
    unsafe { libc::syscall(MARK, what, value) };
}

/// What went otherwise.
#[derive(Default)]
pub struct Log {
    lines: Vec<String>,
    /// What fails, fails once.
    once: bool,
}

impl Log {
    /// What was never right.
    pub fn wrong(&mut self, what: impl std::fmt::Display) {
        self.lines.push(format!("wrong: {what}"));
    }

    /// What may be, if the kernel said so.
    pub fn error(&mut self, what: impl std::fmt::Display) {
        self.lines.push(format!("error: {what}"));
    }

    /// Does a step, and once more if it fails: what failed has left everything as it was, so
    /// it succeeds then, unless the kernel fails each time.
    fn firmly<T>(&mut self, step: &str, mut make: impl FnMut() -> Result<T, Error>) -> Option<T> {
        if let Some(value) = self.step(step, make()) {
            return Some(value);
        }
        match make() {
            Err(error) if self.once => {
                self.wrong(format_args!("{step}: and again: {error}"));
                None
            }
            again => again.ok(),
        }
    }

    /// Does a send, or the like, to one who is there.
    fn sent(&mut self, step: &str, outcome: Result<(), Refusal>) -> bool {
        match outcome {
            Ok(()) => return true,
            Err(why @ (Refusal::Closed | Refusal::Died)) => {
                self.wrong(format_args!("{step}: {why}, and the other is there"));
            }
            Err(why) => self.error(format_args!("{step}: {why}")),
        }
        false
    }

    /// Does a step; what can't be done is noted.
    fn step<T, E: std::fmt::Display>(&mut self, step: &str, outcome: Result<T, E>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(format_args!("{step}: {error}"));
                None
            }
        }
    }

    /// A step that is to be refused in this way.
    fn refused<T: std::fmt::Debug>(
        &mut self,
        step: &str,
        outcome: Result<T, Refusal>,
        refusal: &Refusal,
    ) {
        match outcome {
            Err(why) if why == *refusal => {}
            Err(why @ (Refusal::Closed | Refusal::Died)) => {
                self.wrong(format_args!("{step}: {why}, not: {refusal}"));
            }
            Err(why) => self.error(format_args!("{step}: {why}, not: {refusal}")),
            Ok(value) => self.wrong(format_args!("{step}: got {value:?}, not: {refusal}")),
        }
    }

    /// A receive of this very number.
    fn received(&mut self, step: &str, outcome: Result<u64, Refusal>, number: u64) -> bool {
        match outcome {
            Ok(got) if got == number => return true,
            Ok(got) => self.wrong(format_args!("{step}: got {got}, not {number}")),
            Err(Refusal::Lagged(by)) => self.wrong(format_args!("{step}: lagged by {by}")),
            Err(why @ (Refusal::Closed | Refusal::Died)) => {
                self.wrong(format_args!("{step}: {why}, and the other is there"));
            }
            Err(why) => self.error(format_args!("{step}: {why}")),
        }
        false
    }
}

/// The role.
pub fn run() {
    let told = std::env::var(TOLD).expect("what to do");
    let told: Vec<&str> = told.split(' ').collect();
    let cell = Cell::named(told[0]).expect("a cell");
    let home = std::mem::ManuallyDrop::new(Home { token: told[1].to_owned() });
    let passed: Vec<Passed> = told[3..].iter().map(|from| Passed::receive(from)).collect();
    let files = Files::new();
    let before = held();

    nix::sys::ptrace::traceme().expect("a tracer");
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP).expect("a stop");
    let mut log = Log { once: told[2] == "once", ..Log::default() };
    own(&cell, &home, "own", &files, &mut log);
    others(&cell, &home, ["there", "back"], [&passed[0], &passed[1]], &mut log);
    mark(END, 0);

    for line in log.lines.iter().chain(&leaks(&before)) {
        println!("{line}");
    }
    // Whatever failed must not have left anything that fails now.
    let mut log = Log::default();
    files.begin_anew();
    own(&cell, &home, "own2", &files, &mut log);
    others(&cell, &home, ["there2", "back2"], [&passed[2], &passed[3]], &mut log);
    for line in &log.lines {
        println!("wrong: afterwards: {line}");
    }
}

/// All that can be done with a ring of one's own.
fn own(cell: &Cell, home: &Home, name: &str, files: &Files, log: &mut Log) {
    let Some(ring) = log.firmly("create", || cell.create_unless_there(home, name)) else {
        if let Some(address) = cell.address(home, name)
            && annulus::unlink(&address).is_ok()
        {
            log.wrong("create: refused, and there it stands");
        }
        return;
    };
    use_own(cell, home, name, &ring, files, log);
    drop(ring);
    if let Some(address) = cell.address(home, name) {
        log.step("unlink", annulus::unlink_unused(&address));
    }
}

fn use_own(cell: &Cell, home: &Home, name: &str, ring: &Ring, files: &Files, log: &mut Log) {
    let open = || match cell.address(home, name) {
        Some(address) => cell.shape().open(&address),
        None => ring
            .fd()
            .try_clone_to_owned()
            .map_err(|source| Error::Os { call: "copying", source })
            .and_then(|memfd| cell.shape().from_fd(memfd)),
    };
    let Some(again) = log.firmly("open", open) else { return };
    let Some(mut receiver) = log.firmly("receiver", || again.receiver()) else { return };
    let Some(mut sender) = log.firmly("sender", || ring.sender()) else { return };
    let mut next = Next { sent: 0, got: 0 };
    log.refused("nothing", receiver.recv(SOON), &Refusal::NotYet);
    next.send(&mut sender, log);
    next.wait_set(&mut receiver, log);
    next.receive(&mut receiver, log);
    if let (Sender::Stream(sender), Receiver::Stream(receiver), true) =
        (&mut sender, &mut receiver, next.got == next.sent)
    {
        files.through(sender, receiver, log);
    }
    while next.sent - next.got < CAPACITY && next.send(&mut sender, log) {}
    if cell.kind.fills() && next.sent - next.got == CAPACITY {
        log.refused("full", sender.try_send(0), &Refusal::NotYet);
        log.refused("full", sender.send(0, SOON), &Refusal::NotYet);
    }
    next.receive(&mut receiver, log);
    // Of the same ring a second one is refused, or has a seat of its own.
    let _ = ring.sender();
    let end = end(&mut sender, log);
    drop(sender);
    while next.got < next.sent && next.receive(&mut receiver, log) {}
    log.refused("end", receiver.recv(SOON), &end);
}

/// What comes after the last message of a sender that leaves now. A stream's sender that has
/// met a fault can't say that this was all: its end is that of one who died.
fn end(sender: &mut Sender, log: &mut Log) -> Refusal {
    let Sender::Stream(sender) = sender else { return Refusal::Closed };
    match sender.wait_for_peer(Some(Duration::ZERO)) {
        Ok(()) => Refusal::Closed,
        Err(WaitError::Fault(fault)) => {
            log.error(format_args!("before the end: {fault}"));
            Refusal::Died
        }
        Err(why) => {
            log.wrong(format_args!("before the end: {why}, and the other is there"));
            Refusal::Closed
        }
    }
}

/// Where the numbers are.
struct Next {
    sent: u64,
    got: u64,
}

impl Next {
    fn send(&mut self, sender: &mut Sender, log: &mut Log) -> bool {
        let sent = log.sent("send", sender.send(self.sent + 1, LONG));
        self.sent += u64::from(sent);
        sent
    }

    fn receive(&mut self, receiver: &mut Receiver, log: &mut Log) -> bool {
        if self.got == self.sent {
            return true;
        }
        let got = log.received("receive", receiver.recv(LONG), self.got + 1);
        self.got += u64::from(got);
        got
    }

    fn wait_set(&mut self, receiver: &mut Receiver, log: &mut Log) {
        let due = self.sent > self.got;
        let Some(member) = receiver.waitable() else { return };
        match WaitSet::new().wait(&mut [member], Some(LONG)) {
            Ok(0) if due => {}
            outcome => log.error(format_args!("WaitSet: {outcome:?}")),
        }
    }
}

/// Hands numbers to and fro with those who made two rings.
fn others(cell: &Cell, home: &Home, names: [&str; 2], passed: [&Passed; 2], log: &mut Log) {
    let join = |at: usize| cell.open(home, names[at], passed[at]);
    let Some(there) = log.firmly("join", || join(0)) else { return };
    let Some(back) = log.firmly("join", || join(1)) else { return };
    let Some(mut sender) = log.firmly("sender there", || there.sender()) else { return };
    mark(SEATED, 0);
    let Some(mut receiver) = log.firmly("receiver here", || back.receiver()) else { return };
    mark(SEATED_HERE, 0);
    for number in 1..=HAND_OFFS {
        if !log.sent("send there", sender.send(number, LONG)) {
            return;
        }
        mark(SENT, number);
        if number % 2 == 0
            && let Some(member) = receiver.waitable()
        {
            match WaitSet::new().wait(&mut [member], Some(LONG)) {
                Ok(_) => {}
                Err(error @ (WaitError::Timeout | WaitError::Cancelled)) => {
                    log.wrong(format_args!("asleep in a WaitSet: {error}"));
                }
                Err(error) => log.error(format_args!("asleep in a WaitSet: {error}")),
            }
        }
        let outcome = receiver.recv(LONG);
        if matches!(outcome, Err(Refusal::NotYet)) {
            log.wrong(format_args!("asleep: number {number} never came"));
            return;
        }
        if !log.received("receive here", outcome, number) {
            return;
        }
        mark(GOT, number);
    }
}

/// What this process holds: descriptors, shared mappings, pages that forks clear.
fn held() -> BTreeMap<String, usize> {
    let mut held = BTreeMap::new();
    let mut count = |what: String| *held.entry(what).or_insert(0) += 1;
    for entry in std::fs::read_dir("/proc/self/fd").expect("/proc").flatten() {
        if let Ok(target) = std::fs::read_link(entry.path()) {
            let target = target.display().to_string();
            // What another thread of the campaign was just making when it forked.
            let target = target.trim_end_matches(" (deleted)");
            // The folder that is being read.
            if !target.ends_with("/fd") {
                count(format!("descriptor of {target}"));
            }
        }
    }
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("/proc");
    let (mut last, mut pages) = (String::new(), 0);
    for line in maps.lines() {
        if line.starts_with(|first: char| first.is_ascii_digit() || first.is_ascii_lowercase()) {
            last = line.to_owned();
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            if fields[1].ends_with('s') {
                count(format!("mapping of {}", fields.get(5).unwrap_or(&"memory")));
            }
        } else if line.starts_with("VmFlags:") && line.contains(" wf") {
            let (from, to) = last
                .split_once(' ')
                .map_or(("", ""), |(range, _)| range.split_once('-').unwrap_or(("", "")));
            let number = |text| u64::from_str_radix(text, 16).unwrap_or(0);
            pages += (number(to) - number(from)) / 4096;
        }
    }
    for _ in 0..pages {
        count("mapping of a page that forks clear".to_owned());
    }
    held
}

/// What there is more of than before, but for the one `/dev/null` that a process with seats
/// keeps for its children.
fn leaks(before: &BTreeMap<String, usize>) -> Vec<String> {
    let mut leaks = Vec::new();
    for (what, count) in held() {
        let before = before.get(&what).copied().unwrap_or(0);
        let more = count.saturating_sub(before + usize::from(what.ends_with(" /dev/null")));
        if more > 0 {
            leaks.push(format!("leak: {more} x {what}"));
        }
    }
    leaks
}
