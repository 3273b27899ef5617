//! Watches the calls of a process, and answers one of them for the kernel, or kills the
//! process in it.
//!
//! ```text
//!   entry ─ the chosen one? ─ no ──▶ kernel ──▶ exit
//!                           └ yes ─▶ number := none ──▶ exit: result := the error
//!                                 or SIGKILL: before it, asleep in it, behind it
//!                                 or less of it: half of what it was asked for
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use annulus_prove::step;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::calls::{self, Call, TMPFILE};

/// A system call that no kernel has, by which the traced process tells of itself.
pub const MARK: i64 = 0x5eed_0000;
/// It has done all that is to be traced.
pub const END: i64 = 1;
/// It sits in a seat of the other's ring.
pub const SEATED: i64 = 2;
/// It has sent this number.
pub const SENT: i64 = 3;
/// It has received this number.
pub const GOT: i64 = 4;
/// It sits in a seat of the other's other ring.
pub const SEATED_HERE: i64 = 5;

/// How often at most a call is answered by what another try would mend.
const STORM: u32 = 200;

/// What is made of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Error(i32, &'static str),
    KillBefore,
    /// Only if it falls asleep.
    KillAsleep,
    KillBehind,
    /// It does a part of what it is asked for, and says so.
    Short,
}

/// One fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub kind: &'static str,
    /// Which of them, from 1; `None`: each.
    pub nth: Option<u32>,
    pub answer: Answer,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// How many calls there were of each kind.
    pub calls: BTreeMap<&'static str, u32>,
    /// How many of them were answered, or killed in.
    pub injected: u32,
    /// Killed by the tracer.
    pub killed: bool,
    /// Came to its end mark, and runs on untraced.
    pub ended: bool,
    pub seated: bool,
    pub seated_here: bool,
    pub sent: u64,
    pub got: u64,
    /// Names of semaphores that it made or meant to.
    pub semaphores: BTreeSet<String>,
    /// Waits in which it asked for sleep far more often than a millisecond has room for.
    pub restless: Vec<String>,
    /// How it ended, if that was seen here.
    pub end: Option<WaitStatus>,
}

/// Follows a child of this thread from its first stop to its end mark, or its end.
pub fn follow(pid: i32, fault: Option<&Fault>, renamed: bool) -> Result<Seen, String> {
    let mut tracer = Tracer {
        pid: Pid::from_raw(pid),
        memory: memory(pid).map_err(|error| error.to_string())?,
        fault,
        renamed,
        asks: 0,
        since: Instant::now(),
        seen: Seen::default(),
    };
    tracer.run().map_err(|error| format!("ptrace: {error}"))?;
    Ok(tracer.seen)
}

/// Of how many askings for sleep nothing is said, and how many a millisecond there may be
/// beyond: who looks without sleeping looks once.
const ASKS: (u128, u128) = (24, 3);

fn memory(pid: i32) -> std::io::Result<File> {
    File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))
}

struct Tracer<'a> {
    pid: Pid,
    memory: File,
    fault: Option<&'a Fault>,
    renamed: bool,
    /// How often it has asked for sleep since its last mark, and when that was.
    asks: u32,
    since: Instant,
    seen: Seen,
}

/// What is to be done when the call is over.
enum Then {
    Nothing,
    Answer(i32),
    Kill,
    AlsoAsleep,
}

impl Tracer<'_> {
    fn run(&mut self) -> nix::Result<()> {
        // The stop that it asked for.
        if !matches!(waitpid(self.pid, None)?, WaitStatus::Stopped(_, Signal::SIGSTOP)) {
            return Err(nix::Error::ECHILD);
        }
        ptrace::setoptions(self.pid, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL)?;
        while self.stopped_at_a_call()? {
            let Some(then) = self.enter()? else { return Ok(()) };
            if matches!(then, Then::AlsoAsleep) && self.asleep()? {
                return self.kill();
            }
            if !matches!(then, Then::AlsoAsleep) && !self.stopped_at_a_call()? {
                return Ok(());
            }
            match then {
                Then::Nothing | Then::AlsoAsleep => {}
                Then::Kill => return self.kill(),
                Then::Answer(error) => {
                    let mut registers = ptrace::getregs(self.pid)?;
                    registers.rax = i64::from(-error).cast_unsigned();
                    ptrace::setregs(self.pid, registers)?;
                }
            }
        }
        Ok(())
    }

    /// On to the next entry or exit; false: it has ended by itself.
    fn stopped_at_a_call(&mut self) -> nix::Result<bool> {
        let mut signal = None;
        loop {
            ptrace::syscall(self.pid, signal.take())?;
            match waitpid(self.pid, None)? {
                WaitStatus::PtraceSyscall(_) => return Ok(true),
                WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
                WaitStatus::Stopped(_, other) => signal = Some(other),
                status => {
                    self.seen.end = Some(status);
                    return Ok(false);
                }
            }
        }
    }

    /// At an entry. `None`: no more to follow.
    fn enter(&mut self) -> nix::Result<Option<Then>> {
        let mut registers = ptrace::getregs(self.pid)?;
        let r = &registers;
        let call = Call {
            number: r.orig_rax.cast_signed(),
            args: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9],
        };
        if call.number == MARK {
            self.judge_asks(call.args[0].cast_signed());
            match call.args[0].cast_signed() {
                SEATED => self.seen.seated = true,
                SEATED_HERE => self.seen.seated_here = true,
                SENT => self.seen.sent = call.args[1],
                GOT => self.seen.got = call.args[1],
                _ => {
                    self.seen.ended = true;
                    ptrace::detach(self.pid, None)?;
                    return Ok(None);
                }
            }
            return Ok(Some(Then::Nothing));
        }
        self.seen.semaphores.extend(calls::semaphores(&call, &self.memory));
        let Some(kind) = calls::kind(&call, &self.memory, 4096) else {
            return Ok(Some(Then::Nothing));
        };
        self.asks += u32::from(calls::sleeps(kind));
        let nth = self.seen.calls.entry(kind).or_insert(0);
        *nth += 1;
        let fault = self.fault.filter(|fault| fault.kind == kind);
        let fault = fault.filter(|fault| fault.nth.is_none_or(|chosen| chosen == *nth));
        let answer = match fault.map(|fault| fault.answer) {
            Some(answer) => answer,
            None if self.renamed && kind == TMPFILE => {
                Answer::Error(libc::EOPNOTSUPP, "EOPNOTSUPP")
            }
            None => return Ok(Some(Then::Nothing)),
        };
        if answer == Answer::Short {
            self.seen.injected += 1;
            self.shorten(call.args[1], call.args[2])?;
            return Ok(Some(Then::Nothing));
        }
        let Answer::Error(error, _) = answer else {
            return self.kill_in(answer);
        };
        if fault.is_some() {
            let again = [libc::EINTR, libc::EAGAIN].contains(&error);
            if again && self.seen.injected >= STORM {
                return Ok(Some(Then::Nothing));
            }
            self.seen.injected += 1;
            // Whoever is told to try again does so at once.
            self.asks -= u32::from(again && calls::sleeps(kind));
        }
        if !calls::done_anyway(kind) {
            registers.orig_rax = u64::MAX;
            ptrace::setregs(self.pid, registers)?;
        }
        Ok(Some(Then::Answer(error)))
    }

    /// At a mark: how often it asked for sleep on the way there, by the clock.
    fn judge_asks(&mut self, mark: i64) {
        let (asks, time) = (u128::from(self.asks), self.since.elapsed());
        if asks > ASKS.0 + ASKS.1 * time.as_millis() {
            self.seen.restless.push(format!("{asks} x in {time:?}, before mark {mark}"));
        }
        (self.asks, self.since) = (0, Instant::now());
    }

    /// Of the stretches that it is about to read or write, half of the first is left.
    fn shorten(&self, stretches: u64, count: u64) -> nix::Result<()> {
        let failed = |_| nix::Error::EIO;
        for at in 0..count {
            let at = stretches + 16 * at + 8;
            let mut len = [0; 8];
            self.memory.read_exact_at(&mut len, at).map_err(failed)?;
            let half = if at == stretches + 8 { u64::from_ne_bytes(len).div_ceil(2) } else { 0 };
            self.memory.write_all_at(&half.to_ne_bytes(), at).map_err(failed)?;
        }
        Ok(())
    }

    fn kill_in(&mut self, answer: Answer) -> nix::Result<Option<Then>> {
        Ok(match answer {
            Answer::KillBefore => {
                self.kill()?;
                None
            }
            Answer::KillAsleep => Some(Then::AlsoAsleep),
            _ => {
                self.seen.injected += 1;
                Some(Then::Kill)
            }
        })
    }

    /// Lets it into the call; whether it fell asleep there. Otherwise it stands at the exit.
    fn asleep(&mut self) -> nix::Result<bool> {
        ptrace::syscall(self.pid, None)?;
        let began = Instant::now();
        loop {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG))? {
                WaitStatus::StillAlive => {}
                _ => return Ok(false),
            }
            if step::sleeps(self.pid.as_raw()) {
                return Ok(true);
            }
            if began.elapsed() > Duration::from_secs(5) {
                return Ok(false);
            }
        }
    }

    fn kill(&mut self) -> nix::Result<()> {
        self.seen.killed = true;
        self.seen.injected = self.seen.injected.max(1);
        kill(self.pid, Signal::SIGKILL)?;
        Ok(())
    }
}
