//! A live attacker: two processes use a ring, a third one scribbles over it.
//!
//! ```text
//!   main ──▶ { ring } x { memfd, shm, file } x { attack }:
//!              sender · receiver · attacker, at once ─▶ all end by themselves, in time
//!              then a new segment of the same sort works
//! ```
//!
//! Shows guarantees 7, 8 and 9: no fault, panic or abort; typed errors; each call ends by its
//! deadline and a slice, beside the time in which its thread could run and did not, which the
//! kernel counts. Named segments and files with the `SIGBUS` guard, sealed memfds without.

mod attack;
mod fresh;
mod rings;
mod task;
mod victim;

use std::collections::BTreeMap;
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use annulus_prove::{Options, Report, child};
use attack::KINDS;
use fresh::Site;
use task::{PLACES, RINGS, Task};

/// What all cells came to.
#[derive(Default)]
struct Sum {
    cells: u64,
    calls: u64,
    attacks: BTreeMap<String, u64>,
    errors: BTreeMap<String, u64>,
    worst: Duration,
    worst_in: String,
}

/// Reads what a process of a cell has said; how it ended if that was not well.
fn hear(child: Child, task: &Task, sum: &mut Sum) -> Result<(), String> {
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = rest.split(' ').next().and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
        match word {
            "calls" => sum.calls += number,
            "attacks" => *sum.attacks.entry(task.attack.clone()).or_default() += number,
            "said" => {
                let what = rest.split_once(' ').map_or(rest, |(_, what)| what);
                *sum.errors.entry(what.to_owned()).or_default() += number;
            }
            "late" if Duration::from_micros(number) > sum.worst => {
                sum.worst = Duration::from_micros(number);
                sum.worst_in = task.cell();
            }
            _ => {}
        }
        if word == "late" && Duration::from_micros(number) > victim::SLICE + victim::GRACE {
            return Err(format!("a call was {number} us late"));
        }
    }
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
    Err(format!("{}: {said}", output.status))
}

/// Runs one cell.
fn run(task: &Task, options: &Options, report: &Report, sum: &mut Sum) {
    let start = |role| {
        let mut command = task.command(role, options);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("this program again")
    };
    let children: Vec<_> = ["sender", "receiver", "attacker"].map(|it| (it, start(it))).into();
    for (role, child) in children {
        if let Err(what) = hear(child, task, sum) {
            report.found(format!("{}: {role}: {what}; seed {}", task.cell(), task.seed));
        }
    }
    sum.cells += 1;
}

/// The campaign.
fn main() -> ExitCode {
    let options = Options::from_args();
    let roles: &[(&str, fn())] =
        &[("sender", victim::sender), ("receiver", victim::receiver), ("attacker", attack::attack)];
    child::enter(&options, roles);
    let report = Report::new();
    let time = Duration::from_millis(options.pick(150, 3_000));
    let mut sum = Sum::default();
    let full = fresh::small_file_system();
    if let Err(why) = &full {
        report.skipped("file/fill", why);
    }
    let mut seed = options.seed;
    for ring in RINGS {
        for place in PLACES {
            for attack in KINDS {
                // Only a file can be put into a file system of ours.
                if attack == "fill" && (place != "file" || full.is_err()) {
                    continue;
                }
                // Those are sealed.
                if attack == "cut" && place == "memfd" {
                    continue;
                }
                if !options.wants(&format!("{ring}/{place}/{attack}")) {
                    continue;
                }
                if options.bug.is_some() && report.findings() > 0 {
                    continue;
                }
                seed = seed.wrapping_add(1);
                let directory = full.as_ref().ok().filter(|_| attack == "fill");
                let site = match Site::new(ring, place, directory, seed) {
                    Ok(site) => site,
                    Err(why) => {
                        report.skipped(&format!("{ring}/{place}/{attack}"), why);
                        continue;
                    }
                };
                let task = site.task(attack, seed, time);
                report.progress(task.cell());
                run(&task, &options, &report, &mut sum);
                drop(site);
                // What others did to theirs is nothing to a new one.
                let works =
                    Site::new(ring, place, None, seed ^ (1 << 60)).and_then(|it| it.works());
                if let Err(why) = works {
                    report.found(format!("{ring}/{place}/{attack}: a new ring afterwards: {why}"));
                }
            }
        }
    }
    drop(full);
    tell(&report, &sum);
    report.end()
}

fn tell(report: &Report, sum: &Sum) {
    report.figure("attacker cells", sum.cells);
    report.figure("attacker victims' calls", sum.calls);
    for (attack, count) in &sum.attacks {
        report.figure(&format!("attacker attacks by {attack}"), count);
    }
    for (error, count) in &sum.errors {
        report.figure(&format!("attacker victims' {error}"), count);
    }
    let worst = format!("{} in {}", sum.worst.as_micros(), sum.worst_in);
    report.figure("attacker worst lateness behind the deadline, us, a slice being 20000", worst);
    if sum.cells > 0 && sum.calls == 0 {
        report.found("no victim made a call");
    }
}
