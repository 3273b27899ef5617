//! Kills at random moments of a broadcast's sender and receivers, each a process: whatever
//! arrives is whole and in order, what does not was told to be missed, and of a lossless
//! ring nothing is missed.
//!
//! `ANNULUS_KILLS` says how many a campaign has, 100 by default; `ANNULUS_SEED` repeats the
//! choices of one (not its moments, which are the scheduler's).

mod casts;
mod support;

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::time::{Duration, Instant};

use casts::campaign::{self, Plan};
use casts::site::{PLACES, Place};
use support::{Family, Role, Snapshot};

support::roles! { campaigns }

fn variable(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Runs the campaign that its arguments describe, and looks what it has left.
fn campaigns(role: &mut Role) {
    let plan = Plan {
        place: PLACES[role.parse::<usize>(0)],
        lossless: role.parse(1),
        kills: role.parse(3),
        seed: role.parse(4),
    };
    let run = match role.argument(2) {
        "8" => campaign::run::<[u64; 1]>,
        _ => campaign::run::<[u64; 25]>,
    };
    // What is made once and stays.
    run(&Plan { kills: 4, ..plan.clone() }, &mut |_| {});
    let (before, start) = (Snapshot::take(), Instant::now());
    let progress = role.counter("rounds");
    let totals = run(&plan, &mut |_| progress.add(1));
    Snapshot::take().assert_no_more_than(&before);
    role.say(&format!("{:.1?}: {totals}", start.elapsed()));
}

fn campaign(place: Place, lossless: bool, size: u64) {
    let kills = variable("ANNULUS_KILLS").unwrap_or(100);
    let seed = variable("ANNULUS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let family = Family::new();
    let child = family.child(campaigns).arg(place as usize).arg(lossless).arg(size);
    let mut child = child.arg(kills).arg(seed).watchdog(Duration::from_secs(60)).spawn();
    child.set_deadline(Duration::from_secs(60 + kills / 10));
    let heard = child.hear();
    let told = format!("{place:?}, lossless {lossless}, {size} bytes, seed {seed}: {heard}\n");
    // Past the harness, which keeps what tests print.
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    child.wait_ok();
}

#[test]
fn kills_on_a_broadcast_that_overwrites_leave_exact_accounts() {
    campaign(Place::Shm, false, 8);
    campaign(Place::Memfd, false, 200);
}

#[test]
fn kills_on_a_lossless_broadcast_leave_exact_accounts() {
    campaign(Place::Memfd, true, 8);
    campaign(Place::File, true, 200);
}
