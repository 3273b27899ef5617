//! Kills at random moments of two or three senders and as many receivers, with exact
//! accounts (guarantee 2).
//!
//! `ANNULUS_KILLS` says how many a campaign has, 100 by default; `ANNULUS_SEED` repeats the
//! choices of one (not its moments, which are the scheduler's).

mod mpmcs;
mod support;

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::time::{Duration, Instant};

use mpmcs::campaign;
use mpmcs::site::{PLACES, Place};
use support::{Family, Role, Snapshot};

support::roles! { campaigns }

fn variable(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Runs the campaign that its arguments describe, and looks what it has left.
fn campaigns(role: &mut Role) {
    let (place, kills, seed) = (PLACES[role.parse::<usize>(0)], role.parse(1), role.parse(2));
    // What is made once and stays.
    campaign::run(place, 3, seed, &mut |_| {}).unwrap();
    let (before, start) = (Snapshot::take(), Instant::now());
    let progress = role.counter("rings");
    let mut told = Instant::now();
    let outcome = campaign::run(place, kills, seed, &mut |totals| {
        progress.add(1);
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            let rate = totals.all_kills() as f64 / start.elapsed().as_secs_f64();
            role.say(&format!("so far ({rate:.0}/s): {totals}"));
        }
    });
    let totals = outcome.unwrap_or_else(|what| panic!("{place:?}, seed {seed}: {what}"));
    Snapshot::take().assert_no_more_than(&before);
    let rate = totals.all_kills() as f64 / start.elapsed().as_secs_f64();
    role.say(&format!("done ({rate:.0}/s): {totals}"));
}

fn campaign(place: Place) {
    let kills = variable("ANNULUS_KILLS").unwrap_or(100);
    let seed = variable("ANNULUS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let family = Family::new();
    let child = family.child(campaigns).arg(place as usize).arg(kills).arg(seed);
    let mut child = child.watchdog(Duration::from_secs(60)).spawn();
    child.set_deadline(Duration::from_secs(60));
    loop {
        let heard = child.hear();
        // Past the harness, which keeps what tests print.
        let line = format!("{place:?}, seed {seed}: {heard}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        if heard.starts_with("done") {
            break;
        }
    }
    child.wait_ok();
}

#[test]
fn kills_among_many_on_shared_memory_leave_an_exact_account() {
    campaign(Place::Shm);
}

#[test]
fn kills_among_many_on_files_leave_an_exact_account() {
    campaign(Place::File);
}

#[test]
fn kills_among_many_on_memfds_leave_an_exact_account() {
    campaign(Place::Memfd);
}
