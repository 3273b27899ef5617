//! A pool of worker processes on one queue, of which two are killed with a job in hand: one
//! before it has answered, one after. Their jobs come again, marked, to somebody else.
//!
//! `cargo run --release --example work_queue` starts them all.

use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use annulus::RecvError;
use annulus::mpmc::{Receiver, Ring, Sender};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const WORKERS: usize = 4;
const JOBS: usize = 2000;
/// Whoever gets this one first hangs in the middle of it.
const HANGS: u64 = 500;
/// Whoever gets this one first answers, and hangs before the job is off the queue.
const HANGS_LATE: u64 = 1200;
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Report {
    worker: u64,
    what: u64,
    job: u64,
    /// 1 if the job came again: somebody may have done it before.
    again: u64,
    answer: u64,
}

const READY: u64 = 0;
const STUCK: u64 = 1;
const DONE: u64 = 2;

type Failure = Box<dyn std::error::Error>;

/// Names, which go whatever happens.
struct Names([String; 2]);

impl Drop for Names {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = annulus::unlink(name);
        }
    }
}

fn foreman() -> Result<(), Failure> {
    let name = |what| format!("shm:work-queue-{}-{what}", std::process::id());
    let names = Names([name("jobs"), name("reports")]);
    let jobs = Ring::<u64>::options().capacity(64).create_new(&names.0[0])?.sender()?;
    let mut reports = Ring::<Report>::options().capacity(64).create_new(&names.0[1])?.receiver()?;
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let mut command = Command::new(std::env::current_exe()?);
        workers.push(command.args(["worker", &number.to_string()]).args(&names.0).spawn()?);
    }
    // A queue whose other side has left is closed, even if more are to come: first all come.
    for _ in 0..WORKERS {
        assert_eq!(reports.recv_timeout(PATIENCE)?.what, READY);
    }
    // Sending waits behind a job that hangs, a lap later: so it is not for the thread that
    // sees to the workers.
    let mut sending = jobs.try_clone()?;
    let sending = thread::spawn(move || (0..JOBS as u64).try_for_each(|job| sending.send(job)));
    let accounts = collect(&mut reports, jobs, &mut workers)?;
    sending.join().expect("it does not panic")?;
    let mut killed = 0;
    for mut worker in workers {
        killed += usize::from(!worker.wait()?.success());
    }

    // Each job was done once; if it came again, marked; and if it was answered before, both.
    let count = |done| accounts.iter().filter(|it| **it == done).count();
    let (once, again, twice) = (count([1, 0]), count([0, 1]), count([1, 1]));
    println!("{JOBS} jobs, {WORKERS} workers, {killed} of them killed");
    println!("done once: {once}; only when it came again: {again}; both times: {twice}");
    let right = accounts[HANGS as usize] == [0, 1] && accounts[HANGS_LATE as usize] == [1, 1];
    if right && (once, killed) == (JOBS - 2, 2) { Ok(()) } else { Err("wrong accounts".into()) }
}

/// How often each job was done unmarked, and marked; until all workers have left.
fn collect(
    reports: &mut Receiver<Report>,
    jobs: Sender<u64>,
    workers: &mut [Child],
) -> Result<Vec<[u32; 2]>, Failure> {
    let (mut accounts, mut open, mut done) = (vec![[0; 2]; JOBS], Some(jobs), 0);
    loop {
        let report = match reports.recv_timeout(PATIENCE) {
            Ok(report) => report,
            // The last has left. It is not `Closed`, as some had died.
            Err(RecvError::Died) if open.is_none() => return Ok(accounts),
            Err(error) => return Err(error.into()),
        };
        if report.what == STUCK {
            // Slowness is no death: the queue waits for a worker as long as it lives.
            println!("worker {} hangs in job {}: killed", report.worker, report.job);
            let worker = &mut workers[report.worker as usize];
            worker.kill()?; // SIGKILL
            worker.wait()?;
            continue;
        }
        assert_eq!(report.answer, work(report.job));
        let marks = &mut accounts[report.job as usize];
        done += usize::from(*marks == [0, 0]);
        marks[report.again as usize] += 1;
        // Close the queue when all is done, not when all is sent: as long as a worker has a
        // job in hand, somebody must be there to get it again.
        if done == JOBS {
            open = None;
        }
    }
}

fn worker(worker: u64, jobs: &str, reports: &str) -> Result<(), Failure> {
    let mut jobs = Ring::<u64>::open(jobs)?.receiver()?;
    let mut reports = Ring::<Report>::open(reports)?.sender()?;
    let mut report =
        |what, job, again, answer| reports.send(Report { worker, what, job, again, answer });
    report(READY, 0, 0, 0)?;
    loop {
        let held = match jobs.recv_ref() {
            Ok(held) => held,
            Err(RecvError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let (job, again) = (held.read(), u64::from(held.redelivered()));
        if job != HANGS || again == 1 {
            report(DONE, job, again, work(job))?;
        }
        if (job == HANGS || job == HANGS_LATE) && again == 0 {
            report(STUCK, job, again, 0)?;
            thread::sleep(PATIENCE);
            return Err("nobody came to kill it".into());
        }
        held.release(); // only now is the job off the queue
    }
}

fn work(job: u64) -> u64 {
    (1..=job).fold(1, |product, factor| product * factor % 1_000_003)
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["worker", number, jobs, reports] => worker(number.parse()?, jobs, reports),
        _ => foreman(),
    }
}
