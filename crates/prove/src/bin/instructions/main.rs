//! Killed at every instruction: shows guarantees 1 to 4 of docs/guarantees.md for the code as
//! it is built, optimisations and all.
//!
//! ```text
//!   main ── cell ──▶ worker (one a processor, one thread)
//!        ◀─ lines ──   victim ── led to instruction k ── SIGKILL
//!                      survivors go on · account (ledger) ── found?
//! ```
//!
//! A cell is a ring × a verb × how full it is × where it lies × who else is there. In each, a
//! new ring is made for every kill, so that no kill hides another. The main process is the
//! watchdog: a worker that is silent for 30 seconds hangs, and that is a finding.
//!
//! Endpoints do not spin (`spin` and `yielding` of no time), so that verbs have an end in
//! instructions; a longer verb than the figures say is sampled, at the changes of memory, at
//! system calls, and in between. So are long copies, each round of which is a step. A kill
//! point is come to at full speed, by a breakpoint at an instruction that an earlier run has
//! come by, and from there in single steps.
//!
//! Not here: several who are killed at once, kills among those who are stopped in the middle of
//! an operation (crates/explore), and what only weak memory shows (loom-tests).
//!
//! Imports: step, and the modules below.
#![allow(unsafe_code)]

mod ends;
mod ledger;
mod making;
mod plan;
mod scratch;
mod site;
mod verbs;
mod watch;
mod world;

use std::io::{BufRead, Write};
use std::process::ExitCode;

use annulus_prove::{Depth, Options, Report, child, step};

use plan::{Extent, Shop};
use verbs::{Cell, Company, Place};

fn main() -> ExitCode {
    let options = Options::from_args();
    child::enter(&options, &[("worker", worker)]);
    // SAFETY: no thread has been started yet.
    if !unsafe { step::is_possible() } {
        eprintln!("ptrace is not permitted here: nobody can be led to an instruction");
        return ExitCode::from(2);
    }
    let report = Report::new();
    watch::run(&options, &report);
    report.end()
}

/// Points of a cell.
fn extent(cell: &Cell, options: &Options) -> Extent {
    let (seed, place) = (options.seed | 1, cell.place);
    let extent = |all, sample, images| Extent { all, sample, images, seed };
    if options.depth == Depth::Full {
        return match cell.company {
            Company::None | Company::Waiter if place == Place::Memfd => extent(1000, 400, 0),
            Company::None | Company::Waiter => extent(120, 60, 0),
            Company::Rival => extent(500, 500, 0),
            Company::Second(_) => extent(60, 40, 12),
        };
    }
    match cell.company {
        _ if cell.verb.makes() => extent(40, 40, 0),
        // A build with bugs has longer verbs, and is to find one soon.
        Company::None if place == Place::Memfd && options.bug.is_none() => extent(200, 40, 0),
        Company::None if place == Place::Memfd => extent(40, 40, 0),
        Company::None => extent(6, 6, 0),
        Company::Waiter => extent(24, 24, 0),
        Company::Rival => extent(40, 40, 0),
        Company::Second(_) if options.bug.is_some() => extent(12, 12, 4),
        Company::Second(_) => extent(8, 8, 3),
    }
}

/// Does the cells whose numbers it is told, one a line; says what it does.
fn worker() {
    let options = Options::from_args();
    let cells = verbs::cells();
    let tag = std::env::var(watch::TAG).expect("a tag");
    let core: usize =
        std::env::var(watch::CORE).ok().and_then(|core| core.parse().ok()).unwrap_or(0);
    step::pin(core);
    let mut shop = Shop { scratch: scratch::Scratch::new(), tag, made: 0 };
    for line in std::io::stdin().lock().lines() {
        let Some(cell) = line.ok().and_then(|line| line.parse::<usize>().ok()) else { break };
        let cell = cells[cell];
        say(&format!("at {cell}: its course"));
        match shop.plan(cell, extent(&cell, &options)) {
            Err(what) => say(&format!("found {cell}: its course: {what}")),
            Ok(plan) => {
                let mut done = 0;
                for (number, attempt) in plan.tries.iter().enumerate() {
                    say(&format!("at {cell}: {attempt}"));
                    done += 1;
                    if let Err(what) = shop.attempt(cell, &plan, number) {
                        say(&format!("found {cell}: {attempt}: {what} (seed {})", options.seed));
                        if options.bug.is_some() {
                            break;
                        }
                    }
                }
                let (steps, images) = (plan.course.steps, plan.course.images.len());
                say(&format!("done {done} {steps} {images}"));
                continue;
            }
        }
        say("done 0 0 0");
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // With nobody to listen, it is over.
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(2);
    }
}
