//! One who sleeps in a blocking call, not led, while another is.
//!
//! Imports: ends, ledger, scratch, site, verbs; step.
#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use annulus_prove::step::sleeps_on_a_futex;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::ForkResult;

use super::survive::soon;
use super::{SOON, WAITER, Waiter, World, expect};
use crate::ends::Got;
use crate::ledger::{id, source};
use crate::scratch::{Journal, Note};
use crate::site::{LONG, Site};
use crate::verbs::{CAPACITY, Kind};

impl World<'_> {
    /// Forks one who will sleep.
    pub(super) fn hire(&mut self, sends: bool) -> Result<(), String> {
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

    pub(super) fn wait_until_asleep(&self) -> Result<(), String> {
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
    pub(super) fn survive_with_a_waiter(mut self) -> Result<(), String> {
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
                Ok(got) if got.is_over() => return,
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
            Ok(got) if got.is_over() => match site.kind_is_stream() {
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
