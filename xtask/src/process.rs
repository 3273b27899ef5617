//! A command under a time limit, in a process group of its own that ends with it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long what is left of a group may take to go, and its output to end.
const GRACE: Duration = Duration::from_secs(2);

/// How often a log tells what was last said.
const TELL: Duration = Duration::from_secs(30);

/// The groups that run now, for [`kill_children_when_interrupted`].
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Whoever panicked with the lock has left a set that is whole.
fn groups() -> MutexGuard<'static, BTreeSet<i32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command and how long it may take.
pub struct Job {
    command: Command,
    limit: Duration,
    silence: Duration,
}

impl Job {
    /// `command`, killed with all it started when `limit` is over.
    pub fn new(command: Command, limit: Duration) -> Self {
        Self { command, limit, silence: limit }
    }

    /// As well if it says nothing for so long: a test hangs.
    #[must_use]
    pub fn silent_for(mut self, most: Duration) -> Self {
        self.silence = most;
        self
    }
}

/// Tests that ran, as the closing lines of their runners count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tests {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Marked `#[ignore]`.
    pub ignored: u64,
}

impl Tests {
    /// Counts a line of output in if it is a runner's closing line.
    fn count(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else {
            return;
        };
        let counts = counts.split_once(". ").map_or("", |(_, counts)| counts);
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((n, "passed")) => self.passed += n.parse::<u64>().unwrap_or(0),
                Some((n, "failed")) => self.failed += n.parse::<u64>().unwrap_or(0),
                Some((n, "ignored")) => self.ignored += n.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }

    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// How a job ended.
pub struct Ended {
    /// The command's status, or `None` if its time was over.
    status: Option<ExitStatus>,
    /// What was over.
    limit: String,
    /// Processes that were still there when the command had ended, each `pid (name)`.
    left_behind: Vec<String>,
    /// The tests it ran.
    pub tests: Tests,
}

impl Ended {
    /// Whether the command came to a bad end by itself: a signal, or a code that says so
    /// (2 says that it could not run).
    pub fn broke(&self) -> bool {
        self.status.is_some_and(|status| !matches!(status.code(), Some(0 | 2)))
    }

    /// Whether its time was over.
    pub fn is_cut_short(&self) -> bool {
        self.status.is_none()
    }

    /// Why the job failed, or `None` if it passed.
    pub fn failure(&self) -> Option<String> {
        match self.status {
            None => Some(format!(
                "killed after {}; there was {}",
                self.limit,
                self.left_behind.join(", ")
            )),
            Some(status) if !status.success() => Some(status.to_string()),
            Some(_) if !self.left_behind.is_empty() => {
                Some(format!("left processes behind (killed now): {}", self.left_behind.join(", ")))
            }
            Some(_) => None,
        }
    }
}

/// Where the output of jobs goes as it comes.
pub struct Log {
    terminal: bool,
    file: Option<File>,
    kept: Option<Vec<u8>>,
    progress: Option<Progress>,
}

/// Who tells what was last said, and when that was.
struct Progress {
    name: String,
    began: Instant,
    told: Instant,
}

impl Log {
    /// To standard output alone.
    pub fn terminal() -> Self {
        Self { terminal: true, file: None, kept: None, progress: None }
    }

    /// To standard output and `file`.
    pub fn with_file(file: File) -> Self {
        Self { terminal: true, file: Some(file), kept: None, progress: None }
    }

    /// To `file` alone, and kept for [`take`](Self::take).
    pub fn quiet(file: File) -> Self {
        Self { terminal: false, file: Some(file), kept: Some(Vec::new()), progress: None }
    }

    /// The same, with a line of it on standard error now and then, under `name` and with the
    /// time since `began`.
    #[must_use]
    pub fn telling(mut self, name: &str, began: Instant) -> Self {
        self.progress = Some(Progress { name: name.into(), began, told: Instant::now() });
        self
    }

    /// What has been kept so far.
    pub fn take(&mut self) -> String {
        let kept = self.kept.as_mut().map(std::mem::take).unwrap_or_default();
        String::from_utf8_lossy(&kept).into_owned()
    }

    /// Writes one piece of output. A reader that has gone away is no failure of the job.
    pub fn write(&mut self, text: &[u8]) {
        if self.terminal {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(text).and_then(|()| out.flush());
        }
        if let Some(file) = &mut self.file {
            let _ = file.write_all(text);
        }
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(text);
        }
        if let Some(progress) = &mut self.progress {
            progress.tell(text);
        }
    }
}

impl Progress {
    fn tell(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        if text.trim().is_empty() || self.told.elapsed() < TELL {
            return;
        }
        self.told = Instant::now();
        let line: String = text.trim().chars().take(100).collect();
        eprintln!("  {:4} s  {}: {line}", self.began.elapsed().as_secs(), self.name);
    }
}

/// Runs a job to its end or its limit. Its two outputs come through in one, in order.
pub fn run(job: Job, log: &mut Log) -> Result<Ended> {
    let Job { mut command, limit, silence } = job;
    let (reader, writer) = std::io::pipe().context("can't make a pipe")?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("can't clone a pipe")?)
        .stderr(writer)
        .process_group(0);
    log.write(format!("$ {}\n", shown(&command)).as_bytes());

    let mut child = command.spawn().with_context(|| format!("can't run {command:?}"))?;
    let group = Pid::from_raw(i32::try_from(child.id()).context("a pid above i32::MAX")?);
    groups().insert(group.as_raw());
    // Ends our copies of the pipe's writing side, so that the reader sees the end.
    drop(command);

    let lines = lines_of(reader);
    let mut tests = Tests::default();
    let began = Instant::now();
    let status = watch(&mut child, (limit, silence), &lines, |line| {
        tests.count(String::from_utf8_lossy(line).trim_end());
        log.write(line);
    });
    let left_behind = match &status {
        Ok(Some(_)) => left_behind(group),
        _ => members(group),
    };
    let limit = if began.elapsed() < limit {
        format!("it had said nothing for {} s", silence.as_secs())
    } else {
        format!("its {} s were over", limit.as_secs())
    };
    end(group, &mut child);
    groups().remove(&group.as_raw());

    // The rest of the output: the group is gone, so its end is near unless one escaped.
    let start = Instant::now();
    while let Ok(line) = lines.recv_timeout(GRACE) {
        if start.elapsed() > 5 * GRACE {
            break;
        }
        tests.count(String::from_utf8_lossy(&line).trim_end());
        log.write(&line);
    }
    Ok(Ended { status: status?, limit, left_behind, tests })
}

/// Hands on lines until the child ends (its status), or the limit is over or it has been
/// silent for too long (`None`).
fn watch(
    child: &mut Child,
    (limit, silence): (Duration, Duration),
    lines: &Receiver<Vec<u8>>,
    mut line: impl FnMut(&[u8]),
) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    let mut said = start;
    let tick = Duration::from_millis(20);
    while start.elapsed() < limit && said.elapsed() < silence {
        match lines.recv_timeout(tick) {
            Ok(text) => {
                said = Instant::now();
                line(&text);
            }
            // Closed its output and lives on: only the clock is left to wait for.
            Err(mpsc::RecvTimeoutError::Disconnected) => thread::sleep(tick),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if let Some(status) = child.try_wait().context("can't wait")? {
            return Ok(Some(status));
        }
    }
    Ok(None)
}

/// Reads on a thread of its own. The last line may lack its newline.
fn lines_of(reader: PipeReader) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        loop {
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if sender.send(line).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    receiver
}

/// Who is still in the group after its leader has ended and a moment has passed.
fn left_behind(group: Pid) -> Vec<String> {
    let start = Instant::now();
    loop {
        let members = members(group);
        if members.is_empty() || start.elapsed() > GRACE {
            return members;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The group's processes that are not zombies, each `pid (name)`.
fn members(group: Pid) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let stats = entries
        .filter_map(Result::ok)
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter_map(|stat| {
            // pid (name) state ppid pgrp ...; the name may hold anything, `)` too.
            let end = stat.rfind(')')?;
            let mut fields = stat[end + 1..].split_ascii_whitespace();
            let (state, pgrp) = (fields.next()?, fields.nth(1)?);
            let there = state != "Z" && pgrp == group.to_string();
            there.then(|| stat[..=end].to_string())
        })
        .collect()
}

/// Ends the group: asks, waits a moment if the leader is there, then kills.
fn end(group: Pid, child: &mut Child) {
    let _ = killpg(group, Signal::SIGTERM);
    let start = Instant::now();
    while matches!(child.try_wait(), Ok(None)) && start.elapsed() < GRACE {
        thread::sleep(Duration::from_millis(20));
    }
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait();
}

/// The command as one would type it, without the paths and variables of this machine.
pub fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    let words: Vec<_> = std::iter::once(program.into()).chain(arguments).collect();
    words.join(" ")
}

/// Makes Ctrl-C, SIGTERM and SIGHUP end the running groups too, then xtask.
pub fn kill_children_when_interrupted() -> Result<()> {
    ctrlc::set_handler(|| {
        for group in &*groups() {
            let _ = killpg(Pid::from_raw(*group), Signal::SIGKILL);
        }
        eprintln!("xtask: interrupted");
        std::process::exit(130);
    })
    .context("can't handle signals")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Ended {
        job(script, |command| Job::new(command, limit))
    }

    fn job(script: &str, job: impl FnOnce(Command) -> Job) -> Ended {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        // Nowhere: these closing lines must not pass for this test's own.
        let mut log = Log { terminal: false, file: None, kept: None, progress: None };
        run(job(command), &mut log).unwrap()
    }

    #[test]
    fn closing_lines_are_counted() {
        let ended = shell(
            "echo 'test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out'
             echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured' >&2
             echo 'test result: nothing'",
            Duration::from_secs(20),
        );
        assert_eq!(ended.failure(), None);
        let (passed, failed, ignored) = (5, 1, 1);
        assert_eq!(ended.tests, Tests { passed, failed, ignored });
    }

    #[test]
    fn a_status_is_a_failure() {
        let ended = shell("exit 3", Duration::from_secs(20));
        assert_eq!(ended.failure().as_deref(), Some("exit status: 3"));
    }

    #[test]
    fn a_limit_ends_the_whole_group() {
        let start = Instant::now();
        let ended = shell("trap '' TERM; sleep 60 & sleep 60", Duration::from_millis(200));
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(ended.failure().unwrap().contains("killed after"));
    }

    #[test]
    fn one_that_says_nothing_for_too_long_is_killed_and_who_was_there_is_named() {
        let quiet = Duration::from_millis(300);
        let long = |command| Job::new(command, Duration::from_secs(20)).silent_for(quiet);
        let ended = job("for i in 1 2 3 4 5; do echo; sleep 0.1; done", long);
        assert_eq!(ended.failure(), None);
        let failure = job("echo a; sleep 60", long).failure().unwrap();
        let why = "killed after it had said nothing for 0 s; there was ";
        assert!(failure.starts_with(why) && failure.contains("(sleep)"), "{failure}");
    }

    #[test]
    fn who_is_left_behind_is_named_and_killed() {
        let ended = shell("sleep 60 &", Duration::from_secs(20));
        let failure = ended.failure().unwrap();
        assert!(failure.contains("(sleep)"), "{failure}");
    }
}
