//! The nets of the kill campaigns catch fish: with a bug seeded, the account does not fit.

mod ground;
mod killing;
mod support;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use annulus::WaitMethod;
use annulus::hooks::{self, Bug};
use ground::Kind;
use killing::campaign::{self, Plan};
use killing::traffic::Words;
use support::{Family, Role};

support::roles! { campaigns_with_a_bug }

/// Kills after which a campaign should have noticed: many times what it takes.
const MOST: u64 = 20_000;

/// Seeds the bug that argument 0 names and runs campaigns until one notices.
fn campaigns_with_a_bug(role: &mut Role) {
    let bug = match role.argument(0) {
        "NoClaim" => Some(Bug::NoClaim),
        "RetireBeforeCopy" => Some(Bug::RetireBeforeCopy),
        "PublishBeforeCopy" => Some(Bug::PublishBeforeCopy),
        _ => None,
    };
    hooks::seed(bug);
    let plan = Plan {
        kind: Kind::Memfd,
        method: WaitMethod::Futex,
        kills: if bug.is_some() { MOST } else { 300 },
        seed: role.parse(2),
    };
    let progress = role.counter("kills");
    let outcome = if role.argument(1) == "words" {
        campaign::run::<Words>(&plan, &mut |_| progress.add(1))
    } else {
        campaign::run::<[u8]>(&plan, &mut |_| progress.add(1))
    };
    role.say(&match outcome {
        Ok(totals) => format!("fits: {totals}"),
        Err(violation) => format!("noticed: {}", violation.replace('\n', " ")),
    });
}

/// What a campaign with a bug says in the end.
fn with(bug: &str, traffic: &str) -> String {
    let family = Family::new();
    let seed = RandomState::new().hash_one(0);
    let child = family.child(campaigns_with_a_bug).arg(bug).arg(traffic).arg(seed);
    let mut child = child.watchdog(Duration::from_secs(60)).spawn();
    child.set_deadline(Duration::from_secs(120));
    let said = child.hear();
    child.wait_ok();
    println!("{bug}, {traffic}, seed {seed}: {said}\n{}", child.output());
    said
}

#[test]
fn without_a_bug_the_account_fits() {
    for traffic in ["words", "bytes"] {
        let said = with("none", traffic);
        assert!(said.starts_with("fits"), "{said}");
    }
}

#[test]
fn a_guard_that_notes_no_claim_is_noticed() {
    let said = with("NoClaim", "words");
    assert!(said.starts_with("noticed") && said.contains("was read and comes again"), "{said}");
    let said = with("NoClaim", "bytes");
    assert!(said.starts_with("noticed") && said.contains("was read and comes again"), "{said}");
}

#[test]
fn a_receive_that_retires_before_it_copies_is_noticed() {
    let said = with("RetireBeforeCopy", "words");
    assert!(said.starts_with("noticed"), "{said}");
}

#[test]
fn a_send_that_publishes_before_it_copies_is_noticed() {
    let said = with("PublishBeforeCopy", "words");
    assert!(said.starts_with("noticed"), "{said}");
}
