//! Kills at random moments, on each kind of segment, with exact accounts (guarantee 2).
//!
//! `ANNULUS_KILLS` says how many a campaign has, 150 by default; `ANNULUS_SEED` repeats
//! the choices of one (not its moments, which are the scheduler's).

mod ground;
mod killing;
mod support;

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::time::{Duration, Instant};

use annulus::WaitMethod;
use ground::Kind;
use killing::campaign::{self, Plan};
use killing::traffic::Words;
use support::{Family, Role, Snapshot};

support::roles! { campaigns }

fn variable(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Runs the campaign that its arguments describe, and looks what it has left.
fn campaigns(role: &mut Role) {
    let plan = Plan {
        kind: ground::KINDS[role.parse::<usize>(0)],
        method: match role.argument(1) {
            "futex" => WaitMethod::Futex,
            "semaphore" => WaitMethod::Semaphore,
            _ => WaitMethod::Spin,
        },
        kills: role.parse(3),
        seed: role.parse(4),
    };
    // What is made once and stays.
    let warm = Plan { kills: 4, ..plan.clone() };
    campaign::run::<Words>(&warm, &mut |_| {}).unwrap();
    let (before, start) = (Snapshot::take(), Instant::now());
    let words = role.argument(2) == "words";
    let progress = role.counter("kills");
    let mut news = |totals: &killing::account::Totals| {
        progress.add(1);
        let rate = totals.kills() as f64 / start.elapsed().as_secs_f64();
        role.say(&format!("so far ({rate:.0}/s): {totals}"));
    };
    let outcome = if words {
        campaign::run::<Words>(&plan, &mut news)
    } else {
        campaign::run::<[u8]>(&plan, &mut news)
    };
    let totals = outcome.unwrap_or_else(|violation| panic!("{plan:?}: {violation}"));
    Snapshot::take().assert_no_more_than(&before);
    let rate = totals.kills() as f64 / start.elapsed().as_secs_f64();
    role.say(&format!("done ({rate:.0}/s): {totals}"));
}

fn campaign(kind: Kind, method: &str, traffic: &str, share: u64) {
    let kills = (variable("ANNULUS_KILLS").unwrap_or(150) / share).max(1);
    let seed = variable("ANNULUS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let name = format!("{kind:?}, {method}, {traffic}, seed {seed}");
    let family = Family::new();
    let child = family.child(campaigns).arg(kind as usize).arg(method).arg(traffic);
    let mut child = child.arg(kills).arg(seed).watchdog(Duration::from_secs(60)).spawn();
    child.set_deadline(Duration::from_secs(60));
    loop {
        let heard = child.hear();
        // Past the harness, which keeps what tests print.
        std::io::stderr().write_all(format!("{name}: {heard}\n").as_bytes()).unwrap();
        if heard.starts_with("done") {
            break;
        }
    }
    child.wait_ok();
}

#[test]
fn kills_on_shared_memory_leave_an_exact_account() {
    campaign(Kind::Shm, "futex", "words", 1);
}

#[test]
fn kills_on_files_leave_an_exact_account() {
    campaign(Kind::File, "futex", "words", 1);
}

#[test]
fn kills_on_memfds_leave_an_exact_account() {
    campaign(Kind::Memfd, "futex", "words", 1);
}

#[test]
fn kills_with_semaphores_leave_an_exact_account() {
    campaign(Kind::Shm, "semaphore", "words", 2);
    campaign(Kind::File, "semaphore", "bytes", 2);
}

#[test]
fn kills_of_spinning_endpoints_leave_an_exact_account() {
    campaign(Kind::Memfd, "spin", "words", 2);
}

#[test]
fn kills_of_byte_messages_leave_an_exact_account() {
    campaign(Kind::Shm, "futex", "bytes", 2);
    campaign(Kind::Memfd, "futex", "bytes", 2);
}
