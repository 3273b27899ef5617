//! A process that is led by the hand: one machine instruction at a time, then killed, or
//! left to go on.
//!
//! ```text
//!   leader (worker, single-threaded)          led process (forked, or started by a command)
//!   Led::fork(|| …) ─────────────────────────▶ opens its ring, makes ready
//!          ◀───────────────── stopped ──────── marker()
//!   step() ─▶ one instruction ─▶ Stepped        ┐
//!          ─▶ asleep in the kernel ─▶ Blocked   │ the operation
//!          ─▶ the next marker is due ─▶ Marker  ┘
//!   kill() ─▶ SIGKILL, reaped: its locks are free
//!   go(time) ─▶ at full speed to the next marker, its end, or until the time is over
//! ```
//!
//! The led process runs whatever was built: the optimised code, not a model of it. While it is
//! stopped between two instructions the leader, and anybody else, can do whole operations.
//!
//! * `marker` is an `int3`. Before it is led nobody traces the process, so `Led::fork` and
//!   `Led::spawn` see to it that the process asks to be traced first.
//! * A `rep` instruction takes a step for each of its rounds: long copies take many.
//! * `run_to` goes to a place that an earlier run has come by, without the steps before it.
//! * A system call is one step. One in which the process falls asleep on a futex gives
//!   `Blocked`; the step is then still under way. `kill` kills inside the call, `wake` waits
//!   until the call is over, and the next `step` goes on behind it.
//! * All calls for one `Led` are made by the thread that made it, as ptrace wants it. It dies
//!   with that thread's process.
//!
//! x86-64 Linux alone. Imports: nothing of annulus.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One instruction is done.
    Stepped,
    /// It sleeps in the kernel, in the middle of a system call.
    Blocked,
    /// It stands before, or behind, a marker: [`Led::step`] before, [`Led::go`] behind.
    Marker,
    /// The process has ended.
    Ended,
}

/// A process that is traced. Killed when it is dropped.
#[derive(Debug)]
pub struct Led {
    pid: Pid,
    state: State,
    steps: u64,
    /// Signals that came between two steps and are to be delivered with the next.
    pending: Option<Signal>,
    /// Its code, as far as it has been looked at; it does not change.
    code: HashMap<u64, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between two instructions.
    Stopped,
    /// In a system call; a step is under way.
    Asleep,
    /// Let go.
    Running,
    Ended,
}

/// `syscall`, as two bytes.
const SYSCALL: u64 = 0x050f;
/// `int3`.
const INT3: u64 = 0xcc;
/// Where `rip` lies in what ptrace calls the user area.
const RIP: usize = core::mem::offset_of!(libc::user_regs_struct, rip);
/// The same of the number of a system call.
const RAX: usize = core::mem::offset_of!(libc::user_regs_struct, rax);

/// Stops the process for whoever leads it. Without one, the process dies of it.
#[inline(never)]
pub fn marker() {
    // SAFETY: I5: it touches nothing; the tracer goes on behind it.
    unsafe { core::arch::asm!("int3") };
}

/// Runs this thread, and what it forks, on one processor: a step is then a switch between two
/// processes and wakes no sleeping processor. Refused is as good as done.
pub fn pin(core: usize) {
    let mut cores = nix::sched::CpuSet::new();
    if cores.set(core).is_ok() {
        let _ = nix::sched::sched_setaffinity(Pid::from_raw(0), &cores);
    }
}

/// Whether processes may be led here: some sandboxes forbid ptrace.
///
/// # Safety
/// As [`Led::fork`].
pub unsafe fn is_possible() -> bool {
    // SAFETY: the caller says so.
    match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Child) => {
            let may = ptrace::traceme().is_ok();
            if may {
                marker();
            }
            // SAFETY: I5: a plain call with a number.
            unsafe { libc::_exit(0) }
        }
        Ok(ForkResult::Parent { child }) => {
            let stopped = matches!(waitpid(child, None), Ok(WaitStatus::Stopped(..)));
            let _ = nix::sys::signal::kill(child, Signal::SIGKILL);
            if stopped {
                let _ = waitpid(child, None);
            }
            stopped
        }
        Err(_) => false,
    }
}

impl Led {
    /// Forks; the child runs `role` up to its first marker, and dies when `role` is done.
    ///
    /// # Panics
    /// If there is no process to be had, or the child ends before its first marker.
    ///
    /// # Safety
    /// The process has one thread.
    pub unsafe fn fork(role: impl FnOnce()) -> Self {
        // SAFETY: the caller says that no other thread holds a lock.
        match unsafe { nix::unistd::fork() }.expect("another process") {
            ForkResult::Parent { child } => Self::meet(child),
            ForkResult::Child => {
                let _ = ptrace::traceme();
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(role));
                // SAFETY: I5: a plain call with a number. Nothing of the parent's is dropped.
                unsafe { libc::_exit(if done.is_ok() { 0 } else { 101 }) }
            }
        }
    }

    /// Starts a command; it runs up to its first marker.
    ///
    /// # Errors
    /// As [`Command::spawn`].
    ///
    /// # Panics
    /// As [`fork`](Self::fork).
    pub fn spawn(command: &mut Command) -> std::io::Result<Self> {
        // SAFETY: I5: one plain system call, allowed between fork and exec.
        unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
        let child = command.spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        // The exec stops it for the first time.
        waitpid(pid, None)?;
        ptrace::cont(pid, None)?;
        Ok(Self::meet(pid))
    }

    /// Leads a child that has asked to be traced, from its first marker.
    fn meet(pid: Pid) -> Self {
        let mut led =
            Self { pid, state: State::Running, steps: 0, pending: None, code: HashMap::new() };
        let outcome = led.take(waitpid(pid, None));
        assert_eq!(outcome, Step::Marker, "a led process came to no marker");
        ptrace::setoptions(pid, ptrace::Options::PTRACE_O_EXITKILL).expect("a traced child");
        led
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Steps that are done since it was led.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Address of its next instruction.
    pub fn at(&self) -> u64 {
        self.user(RIP)
    }

    /// Whether its next instruction is a system call; its number then.
    pub fn system_call(&mut self) -> Option<u64> {
        let at = self.at();
        (self.code(at) & 0xffff == SYSCALL).then(|| self.user(RAX))
    }

    /// One instruction.
    pub fn step(&mut self) -> Step {
        match self.state {
            State::Stopped => {}
            State::Asleep | State::Running => return Step::Blocked,
            State::Ended => return Step::Ended,
        }
        let at = self.at();
        let code = self.code(at);
        if code & 0xff == INT3 {
            return Step::Marker;
        }
        let may_sleep = code & 0xffff == SYSCALL && self.user(RAX) == libc::SYS_futex as u64;
        if !self.begin_step() {
            return self.end();
        }
        if may_sleep {
            return self.over_a_call();
        }
        let status = waitpid(self.pid, None);
        self.take(status)
    }

    fn begin_step(&mut self) -> bool {
        let signal = self.pending.take();
        self.state = State::Asleep;
        ptrace::step(self.pid, signal).is_ok()
    }

    /// Up to `count` steps; fewer if something else than a step comes of one.
    pub fn steps_on(&mut self, count: u64) -> Step {
        for _ in 0..count {
            match self.step() {
                Step::Stepped => {}
                outcome => return outcome,
            }
        }
        Step::Stepped
    }

    /// Runs at full speed to where the instruction at `address` is next, for the `times`-th
    /// time from now on: `Stepped`. Much faster than many steps. `Marker`: a marker came
    /// first, and it stands behind that; `Blocked`: `time` was over first, or it sleeps on a
    /// futex, and it has to be killed, since its code is changed.
    pub fn run_to(&mut self, address: u64, times: u64, time: Duration) -> Step {
        let code = self.code(address);
        for _ in 0..times {
            // What is next now is not meant.
            if self.at() == address {
                match self.step() {
                    Step::Stepped => {}
                    outcome => return outcome,
                }
                if self.at() == address {
                    // A round of a `rep`.
                    continue;
                }
            }
            self.patch(address, code & !0xff | INT3);
            let outcome = self.run(time, true);
            if outcome == Step::Marker && self.at() == address + 1 {
                self.patch(address, code);
                let _ =
                    ptrace::write_user(self.pid, RIP as ptrace::AddressType, address.cast_signed());
                continue;
            }
            if outcome == Step::Marker {
                self.patch(address, code);
            }
            return outcome;
        }
        Step::Stepped
    }

    /// Waits until a blocked step is over; `Blocked` if it is not within `time`.
    pub fn wake(&mut self, time: Duration) -> Step {
        match self.state {
            State::Asleep => self.wait(time).unwrap_or(Step::Blocked),
            State::Running => Step::Blocked,
            State::Stopped => Step::Stepped,
            State::Ended => Step::Ended,
        }
    }

    /// Runs on at full speed: to behind the next marker, or its end. `Blocked`: `time` was over
    /// first, and it is left running, or asleep; the next `go` waits for it.
    pub fn go(&mut self, time: Duration) -> Step {
        self.run(time, false)
    }

    /// `awake`: not if it falls asleep on a futex.
    fn run(&mut self, time: Duration, awake: bool) -> Step {
        if self.state == State::Asleep {
            // The step ends with the call; then it can be let go.
            match self.wait(time) {
                Some(Step::Stepped) => {}
                Some(outcome) => return outcome,
                None => return Step::Blocked,
            }
        }
        match self.state {
            State::Ended => return Step::Ended,
            State::Running => {}
            State::Stopped | State::Asleep => {
                let signal = self.pending.take();
                if ptrace::cont(self.pid, signal).is_err() {
                    return self.end();
                }
                self.state = State::Running;
            }
        }
        let began = Instant::now();
        while awake && began.elapsed() < time {
            if let Some(outcome) = self.wait(Duration::from_micros(500)) {
                return outcome;
            }
            if sleeps_on_a_futex(self.pid.as_raw()) {
                return Step::Blocked;
            }
        }
        self.wait(time).unwrap_or(Step::Blocked)
    }

    /// Kills it where it stands, and reaps it.
    pub fn kill(mut self) {
        self.finish();
    }

    /// Whether it sleeps in the kernel now.
    pub fn sleeps(&self) -> bool {
        sleeps(self.pid.as_raw())
    }

    /// The step under way is a system call that may sleep.
    fn over_a_call(&mut self) -> Step {
        for round in 0u32.. {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => {}
                status => return self.take(status),
            }
            // It has to be seen asleep twice, since it may pass through a short sleep.
            if round > 2 && self.sleeps() {
                match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::StillAlive) if self.sleeps() => break,
                    Ok(WaitStatus::StillAlive) => {}
                    status => return self.take(status),
                }
            }
            std::thread::yield_now();
        }
        Step::Blocked
    }

    /// What it has come to, within a time.
    fn wait(&mut self, time: Duration) -> Option<Step> {
        let began = Instant::now();
        loop {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => {}
                status => return Some(self.take(status)),
            }
            let waited = began.elapsed();
            if waited >= time {
                return None;
            }
            if waited < Duration::from_micros(300) {
                std::thread::yield_now();
            } else {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    }

    /// A stop, or the end.
    fn take(&mut self, status: nix::Result<WaitStatus>) -> Step {
        let ran = self.state == State::Running;
        match status {
            Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => {
                self.state = State::Stopped;
                if ran {
                    return Step::Marker;
                }
                self.steps += 1;
                Step::Stepped
            }
            Ok(WaitStatus::Stopped(_, signal)) => {
                // Before the next instruction. What stops a process that is led, a shell's or a
                // scheduler's signal, is forgotten: it would be reported again and again. All
                // else it gets at once.
                let stops = [Signal::SIGSTOP, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
                self.pending = (!stops.contains(&signal)).then_some(signal);
                let goes_on = match ran {
                    true => ptrace::cont(self.pid, self.pending.take()).is_ok(),
                    false => self.begin_step(),
                };
                if !goes_on {
                    return self.end();
                }
                let status = waitpid(self.pid, None);
                self.take(status)
            }
            Err(Errno::EINTR) => {
                let status = waitpid(self.pid, None);
                self.take(status)
            }
            _ => self.end(),
        }
    }

    fn end(&mut self) -> Step {
        self.state = State::Ended;
        Step::Ended
    }

    fn finish(&mut self) {
        if self.state == State::Ended {
            return;
        }
        self.state = State::Ended;
        let _ = nix::sys::signal::kill(self.pid, Signal::SIGKILL);
        loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::ECHILD) => break,
                _ => {}
            }
        }
    }

    /// A word of its registers.
    fn user(&self, at: usize) -> u64 {
        let word = ptrace::read_user(self.pid, at as ptrace::AddressType);
        word.unwrap_or(0).cast_unsigned()
    }

    /// Eight bytes of its code.
    fn code(&mut self, at: u64) -> u64 {
        let pid = self.pid;
        let read = || ptrace::read(pid, at as ptrace::AddressType).unwrap_or(0).cast_unsigned();
        *self.code.entry(at).or_insert_with(read)
    }

    /// Changes eight bytes of its code.
    fn patch(&self, at: u64, code: u64) {
        let _ = ptrace::write(self.pid, at as ptrace::AddressType, code.cast_signed());
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Whether a process of this one thread sleeps in the kernel.
pub fn sleeps(pid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

/// The same, on a futex.
pub fn sleeps_on_a_futex(pid: i32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    call.starts_with("202 ") && sleeps(pid)
}

#[cfg(test)]
mod tests;
