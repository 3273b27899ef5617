//! The executions, and who watches them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use annulus_prove::lies::{TARGETS, Target, branches, clean_up, seen};
use annulus_prove::{Depth, Options, Report, child};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::guard;
use crate::pages::{Progress, wake_in_time};

/// What a child is to do: `target count seed progress`, by words.
const TASK: &str = "ANNULUS_PROVE_LIES";

/// Set where the first finding ends a child.
const FIRST: &str = "ANNULUS_PROVE_LIES_FIRST";

/// Longest program.
const LONGEST: u64 = 160;

/// A target goes on until each error branch was reached, for at most so many executions.
const MOST: u64 = 20_000_000;

/// After so many findings a child gives up.
const ENOUGH: u64 = 5;

/// A child that has not ended by then hangs.
const SECONDS: u32 = 6 * 3600;

/// Random numbers that are the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// The bytes of one execution.
fn program(seed: u64, number: u64, bytes: &mut Vec<u8>) {
    let mut random = Random(seed ^ Random(number).next());
    let len = 8 + random.next() % LONGEST;
    bytes.clear();
    bytes.extend((0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()));
}

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The child: runs one target.
fn executions() {
    let task = std::env::var(TASK).expect("a task");
    let mut words = task.split(' ');
    let mut word = || words.next().expect("four words");
    let (name, count, seed, path) = (word(), word(), word(), word());
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let (count, seed) = (count.parse().expect("a number"), seed.parse().expect("a number"));
    let file = File::options().read(true).write(true).open(path).expect("the parent's file");
    let progress = Progress::of(&file);
    panic::set_hook(Box::new(|info| PANIC.set(info.to_string().replace('\n', " "))));
    wake_in_time();
    let (mut found, mut ran, mut bytes) = (0, 0, Vec::new());
    let hunts = std::env::var_os(FIRST).is_some();
    for number in 0..MOST.max(count) {
        if number >= count && (hunts || number % 1000 == 0 && has_seen_all(name)) {
            break;
        }
        progress.note(number);
        program(seed, number, &mut bytes);
        let run = || (target.run)(&bytes);
        ran = number + 1;
        if panic::catch_unwind(AssertUnwindSafe(run)).is_err() {
            found += 1;
            println!("found {number} {}", PANIC.take());
            // The first finding of a seeded bug will do.
            if found == ENOUGH || hunts {
                break;
            }
        }
    }
    clean_up();
    for ((kind, variant), times) in seen::all() {
        println!("seen {times} {kind}::{variant}");
    }
    println!("guarded {}", guard::COUNT.load(Ordering::Relaxed));
    println!("ran {ran}");
}

/// Whether each error branch of a target was reached.
fn has_seen_all(target: &str) -> bool {
    let seen: BTreeSet<_> =
        seen::all().into_iter().map(|((kind, variant), _)| format!("{kind}::{variant}")).collect();
    branches(target).iter().all(|branch| seen.contains(*branch))
}

/// Children that run.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Enough is found: they were killed, and what they say does not count.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Ends them all.
fn stop() {
    STOPPED.store(true, Ordering::Release);
    for pid in RUNNING.lock().expect("never poisoned").iter() {
        // One that has ended is not waited for yet.
        let _ = kill(*pid, Signal::SIGKILL);
    }
}

/// What one target came to.
struct Outcome {
    target: &'static Target,
    ran: u64,
    guarded: u64,
    findings: Vec<String>,
    seen: BTreeMap<String, u64>,
    time: Duration,
}

/// A name for a file that is ours.
fn progress_file(target: &Target, seed: u64) -> PathBuf {
    let name = format!("annulus-prove-lies-{}-{seed:x}-{}", std::process::id(), target.name);
    std::env::temp_dir().join(name)
}

/// Runs one target in a child.
fn watch(target: &'static Target, options: &Options, count: u64, seed: u64) -> Outcome {
    let began = Instant::now();
    let path = progress_file(target, seed);
    std::fs::write(&path, [0; 8]).expect("a file in the directory for temporary ones");
    let mut command = child::command("executions", options, SECONDS);
    command.env(TASK, format!("{} {count} {seed} {}", target.name, path.display()));
    if options.bug.is_some() {
        command.env(FIRST, "1");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().expect("this program again");
    let pid = Pid::from_raw(child.id().cast_signed());
    RUNNING.lock().expect("never poisoned").push(pid);
    let mut outcome = Outcome {
        target,
        ran: 0,
        guarded: 0,
        findings: Vec::new(),
        seen: BTreeMap::new(),
        time: Duration::ZERO,
    };
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    for line in lines.map_while(Result::ok) {
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "ran" => outcome.ran = rest.parse().expect("a number"),
            "guarded" => outcome.guarded = rest.parse().expect("a number"),
            "found" => outcome.findings.push(format!("execution {rest}")),
            "seen" => {
                let (times, what) = rest.split_once(' ').expect("two words");
                outcome.seen.insert(what.to_owned(), times.parse().expect("a number"));
            }
            _ => outcome.findings.push(format!("said {line}")),
        }
    }
    // Not waited for yet, its number is nobody else's.
    RUNNING.lock().expect("never poisoned").retain(|it| *it != pid);
    let status = child.wait().expect("it was started");
    if STOPPED.load(Ordering::Acquire) {
        // Not by itself: it could not clean up.
        let _ = std::fs::remove_dir_all(format!("/dev/shm/annulus-prove-open-{pid}"));
    } else if !status.success() || outcome.ran == 0 {
        let mut number = [0; 8];
        let read = File::open(&path).and_then(|file| file.read_exact_at(&mut number, 0));
        let number = read.map(|()| u64::from_le_bytes(number)).expect("it stays");
        outcome.ran = number;
        outcome.findings.push(format!("execution {number} ended the process: {status}"));
    }
    // Left behind, it does no harm.
    let _ = std::fs::remove_file(&path);
    outcome.time = began.elapsed();
    outcome
}

/// Says what a target came to; whether anything was found.
fn tell(report: &Report, outcome: &Outcome, seed: u64, hunts: bool) {
    let name = outcome.target.name;
    report.figure(&format!("lies {name} executions"), outcome.ran);
    let rate = outcome.ran as f64 / outcome.time.as_secs_f64();
    report.figure(&format!("lies {name} executions a second"), format!("{rate:.0}"));
    let possible = branches(name);
    let reached = possible.iter().filter(|branch| outcome.seen.contains_key(**branch)).count();
    let text = format!("{reached} of {}", possible.len());
    report.figure(&format!("lies {name} error branches reached"), text);
    let missed = possible.iter().filter(|branch| !outcome.seen.contains_key(**branch));
    let missed: Vec<_> = missed.copied().collect();
    if !missed.is_empty() {
        report.figure(&format!("lies {name} error branches missed"), missed.join(", "));
        // Of a seeded bug any finding would do, and this is none.
        if !hunts {
            report.found(format!("{name}: not reached: {}; seed {seed}", missed.join(", ")));
        }
    }
    for (branch, times) in &outcome.seen {
        if !possible.contains(&branch.as_str()) {
            report.found(format!("{name}: {branch}, which can't be, {times} times; seed {seed}"));
        }
    }
    // One that was killed could not say.
    if outcome.guarded == 0 && outcome.findings.is_empty() && name != "open" {
        report.found(format!("{name}: no ring lay between guards"));
    }
    for finding in &outcome.findings {
        report.found(format!("{name}: {finding}; --only {name} --seed {seed}"));
    }
}

/// Targets that run at once: one more than processors, since executions sleep a little.
const WORKERS: usize = 3;

/// The campaign.
pub fn main() -> ExitCode {
    let options = Options::from_args();
    child::enter(&options, &[("executions", executions)]);
    let report = Report::new();
    let count = options.pick(100_000, 10_000_000);
    let wanted = TARGETS.iter().filter(|target| options.wants(target.name));
    let queue = Mutex::new(wanted.collect::<Vec<_>>());
    report.figure("lies targets", queue.lock().expect("never poisoned").len());
    let (say, hear) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            let (say, queue, options) = (say.clone(), &queue, &options);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().expect("never poisoned").pop();
                    let Some(target) = next else { break };
                    // Nobody hears who has found enough.
                    let _ = say.send(watch(target, options, count, options.seed));
                }
            });
        }
        drop(say);
        for outcome in hear {
            if STOPPED.load(Ordering::Acquire) {
                continue;
            }
            report.progress(format_args!("{}: {} executions", outcome.target.name, outcome.ran));
            tell(&report, &outcome, options.seed, options.bug.is_some());
            if options.bug.is_some() && report.findings() > 0 {
                queue.lock().expect("never poisoned").clear();
                stop();
            }
        }
    });
    if options.depth == Depth::Quick {
        report.figure("lies share of the executions", "1 of 100");
    }
    report.end()
}
