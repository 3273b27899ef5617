//! The parent's side: the children of one test, and what can be done to them.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{self, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::diagnose;
use super::link::Link;
use super::role::{self, Role};
use super::spawn::{Spawn, Started};

/// How long a child may take to answer or to end unless its test says otherwise.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long a child that is ending may take over its last output.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How much of a child's output is kept: its end.
const KEPT: usize = 64 * 1024;

/// The children of one test. While it lives, no other test of this binary has one:
/// tests with processes run one at a time.
pub struct Family {
    _alone: MutexGuard<'static, ()>,
}

impl Family {
    /// Waits for its turn.
    pub fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        // A test that failed has killed its children: nothing is left half done.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { _alone: alone }
    }

    /// A child that will play `role`, one of the file's [`super::roles!`].
    pub fn child<F: Fn(&mut Role)>(&self, role: F) -> Spawn<'_> {
        Spawn::new(self, role::name_of(&role))
    }

    /// As [`Family::child`], by another build of the same test, such as a 32-bit one.
    pub fn child_of<F: Fn(&mut Role)>(&self, binary: impl AsRef<OsStr>, role: F) -> Spawn<'_> {
        Spawn::of(self, role::name_of(&role), binary.as_ref())
    }
}

/// A running child. Dropped, it is killed; dropped in a panic, its output is printed.
pub struct Child<'a> {
    _family: &'a Family,
    role: &'static str,
    process: process::Child,
    link: Link,
    output: Arc<Mutex<Vec<u8>>>,
    /// Disconnected when the output has come to its end.
    output_ended: Receiver<()>,
    deadline: Duration,
    status: Option<ExitStatus>,
}

impl<'a> Child<'a> {
    pub(super) fn new(family: &'a Family, started: Started) -> Self {
        let output = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&output);
        let (open, output_ended) = mpsc::channel::<()>();
        let mut reader = started.output;
        thread::spawn(move || {
            let _open = open;
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                let mut kept = kept.lock().expect("nothing panics under this lock");
                kept.extend_from_slice(&bytes[..length]);
                let excess = kept.len().saturating_sub(KEPT);
                kept.drain(..excess);
            }
        });
        Self {
            _family: family,
            role: started.role,
            process: started.process,
            link: started.link,
            output,
            output_ended,
            deadline: DEADLINE,
            status: None,
        }
    }

    /// How long it may take from now on to answer, and to end.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it has printed so far, or its last 64 KiB.
    pub fn output(&self) -> String {
        let kept = self.output.lock().expect("nothing panics under this lock");
        String::from_utf8_lossy(&kept).into_owned()
    }

    /// Says a line to it.
    pub fn say(&mut self, line: &str) {
        let said = self.link.send(line);
        self.expect_link("take a line", said);
    }

    /// Says a line to it and passes a descriptor with it.
    pub fn say_with_fd(&mut self, line: &str, descriptor: BorrowedFd<'_>) {
        let said = self.link.send_fd(line, descriptor);
        self.expect_link("take a descriptor", said);
    }

    /// Waits for its next line.
    pub fn hear(&mut self) -> String {
        let heard = self.link.receive(self.deadline);
        self.expect_link("say a line", heard)
    }

    /// Waits for its next line and the descriptor that comes with it.
    pub fn hear_with_fd(&mut self) -> (String, OwnedFd) {
        let heard = self.link.receive_fd(self.deadline);
        self.expect_link("pass a descriptor", heard)
    }

    /// Waits for this very line.
    pub fn expect(&mut self, line: &str) {
        let heard = self.hear();
        assert_eq!(heard, line, "`{}` said otherwise", self.role);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            kill(self.as_pid(), signal).expect("a child that was not waited for");
        }
    }

    /// Stops it and waits until it *is* stopped.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let stopped = || diagnose::describe(&self.pid().to_string()).contains("T (stopped)");
        let start = Instant::now();
        while !stopped() {
            assert!(start.elapsed() < self.deadline, "{}", self.diagnosis());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills it by SIGKILL and waits for its end.
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::SIGKILL);
        self.wait()
    }

    /// Waits for its end. A child that outstays its deadline is killed and described.
    pub fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        if let Some(status) = self.status_within(self.deadline) {
            self.status = Some(status);
            // Its last words are in the pipe; a grandchild may hold it open.
            let _ = self.output_ended.recv_timeout(LAST_WORDS);
            return status;
        }
        let diagnosis = self.diagnosis();
        self.end();
        panic!("`{}` did not end in {:?}\n{diagnosis}", self.role, self.deadline);
    }

    fn status_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            let status = self.process.try_wait().expect("a child of this process");
            if status.is_some() || start.elapsed() > limit {
                return status;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    /// Waits for its end, which must be a success.
    pub fn wait_ok(&mut self) {
        let status = self.wait();
        assert!(status.success(), "{}", self.diagnosis());
    }

    /// Waits for its end, which must be by this signal.
    pub fn wait_signalled(&mut self, signal: Signal) {
        let status = self.wait();
        assert_eq!(status.signal(), Some(signal as i32), "{}", self.diagnosis());
    }

    fn as_pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.pid()).expect("a pid"))
    }

    fn expect_link<T>(&mut self, what: &str, result: io::Result<T>) -> T {
        result.unwrap_or_else(|error| {
            // One that is just dying will tell why.
            if error.kind() != io::ErrorKind::TimedOut {
                let _ = self.output_ended.recv_timeout(LAST_WORDS);
                self.status = self.status_within(LAST_WORDS);
            }
            panic!("`{}` did not {what}: {error}\n{}", self.role, self.diagnosis())
        })
    }

    /// What is known of it: what it does, or how it ended, and what it printed.
    fn diagnosis(&self) -> String {
        let state = match self.status {
            Some(status) => format!("  ended: {status}\n"),
            None => diagnose::describe(&self.pid().to_string()),
        };
        format!("`{}`, pid {}:\n{state}{}", self.role, self.pid(), self.quoted())
    }

    fn quoted(&self) -> String {
        let output = self.output();
        let lines = output.lines().map(|line| format!("  | {line}\n"));
        lines.collect()
    }

    fn end(&mut self) {
        if self.status.is_none() {
            let _ = self.process.kill();
            self.status = self.process.wait().ok();
        }
    }
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("dropped in a panic: {}", self.diagnosis());
        }
        self.end();
    }
}
