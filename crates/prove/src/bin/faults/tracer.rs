//! Watches the calls of a process, and answers one of them for the kernel, or kills the
//! process in it.
//!
//! ```text
//!   entry ─ the chosen one? ─ no ──▶ kernel ──▶ exit
//!                           └ yes ─▶ number := none ──▶ exit: result := the error
//!                                 or SIGKILL: before it, asleep in it, behind it
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
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
    pub sent: u64,
    pub got: u64,
    /// Names of semaphores that it made or meant to.
    pub semaphores: BTreeSet<String>,
    /// How it ended, if that was seen here.
    pub end: Option<WaitStatus>,
}

/// Follows a child of this thread from its first stop to its end mark, or its end.
pub fn follow(pid: i32, fault: Option<&Fault>, renamed: bool) -> Result<Seen, String> {
    let mut tracer = Tracer {
        pid: Pid::from_raw(pid),
        memory: File::open(format!("/proc/{pid}/mem")).map_err(|error| error.to_string())?,
        fault,
        renamed,
        seen: Seen::default(),
    };
    tracer.run().map_err(|error| format!("ptrace: {error}"))?;
    Ok(tracer.seen)
}

struct Tracer<'a> {
    pid: Pid,
    memory: File,
    fault: Option<&'a Fault>,
    renamed: bool,
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
            match call.args[0].cast_signed() {
                SEATED => self.seen.seated = true,
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
        let Answer::Error(error, _) = answer else {
            return self.kill_in(answer);
        };
        if fault.is_some() {
            let again = [libc::EINTR, libc::EAGAIN].contains(&error);
            if again && self.seen.injected >= STORM {
                return Ok(Some(Then::Nothing));
            }
            self.seen.injected += 1;
        }
        if !calls::done_anyway(kind) {
            registers.orig_rax = u64::MAX;
            ptrace::setregs(self.pid, registers)?;
        }
        Ok(Some(Then::Answer(error)))
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
