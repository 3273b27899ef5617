//! The ordering campaign of the mpmc ring: each use of an edge in it weakened, one at a
//! time, and held to what docs/orderings.md says; and its seeded bugs.

#![cfg(loom)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use annulus::hooks::Payload::{Cells, Words};
use annulus::hooks::{Bug, Use, seed, uses, weaken_use};
use annulus_loom_tests::mpmc::models::{DYING, LIVING};
use annulus_loom_tests::mpmc::{Model, waiting};
use annulus_loom_tests::{Bounds, Found, find_bug, is_full};

type Named = (&'static str, fn() -> Model);

fn all() -> impl Iterator<Item = &'static Named> {
    LIVING.iter().chain(DYING)
}

fn find((_, model): &Named, bounds: Bounds) -> Option<Found> {
    let model = Model { bounds, ..model() };
    model.find(Words).or_else(|| model.find(Cells))
}

/// What a model that is meant to catch something is given to do so.
const CATCH: usize = 2;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The function that a line of a source file is in, and whose.
fn function(text: &str, line: u32) -> String {
    let (mut of, mut function) = (String::new(), "");
    for line in text.lines().take(line as usize) {
        if let Some(rest) = line.strip_prefix("impl<") {
            let named = ["Court<", "Post<", "Sender<", "Receiver<"];
            let mut named = named.iter().filter(|name| rest.contains(**name));
            of = named.next_back().map_or(String::new(), |name| name.replace('<', "::"));
        }
        let code = line.split("//").next().unwrap_or_default();
        if let Some((_, rest)) = code.split_once("fn ") {
            function = rest.split(['(', '<']).next().unwrap_or_default();
        }
    }
    of + function
}

/// What docs/orderings.md says of each use in `src/mpmc` that is modelled: the model in which
/// it dies, if it does.
fn documented() -> BTreeMap<(String, String), Option<String>> {
    let text = std::fs::read_to_string(root().join("docs/orderings.md")).expect("the document");
    let section =
        text.split("\n## ").find(|section| section.starts_with("Every use in an mpmc ring\n"));
    let rows = section.expect("a section").lines().filter(|line| line.starts_with("| `"));
    let rows = rows.filter(|line| !line.contains("| not modelled"));
    let row = |line: &str| {
        let cells: Vec<_> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [edge, place, verdict] = &cells[..] else { panic!("three columns: {line}") };
        let dies = verdict.strip_prefix("dies in ").map(str::to_owned);
        assert!(dies.is_some() || verdict == "survives", "no verdict: {line}");
        ((place.clone(), edge.clone()), dies)
    };
    rows.map(row).collect()
}

/// Every use of an edge that orders, which the models come by in `src/mpmc`.
fn reached() -> BTreeMap<Use, (String, String)> {
    let run = |net: &&Named| Model { bounds: without_name(net), ..net.1() }.find(Words);
    let (found, uses) = uses(|| unnamed().find_map(|net| run(&net)));
    assert!(found.is_none(), "without a mutant too: {found:?}");
    let ours = uses.into_iter().filter(|at| at.file.contains("src/mpmc/"));
    let place = |at: &Use| {
        let file = at.file.rsplit_once("src/").expect("annulus's own code").1;
        let text = std::fs::read_to_string(root().join("src").join(file)).expect("the code");
        (format!("{file} {}", function(&text, at.line)), at.edge.to_owned())
    };
    ours.filter(|at| !at.edge.starts_with("relaxed::")).map(|at| (at, place(&at))).collect()
}

/// How far a model is explored that is not named: it catches nothing, if the document is
/// right. The dying have many ways to die.
fn without_name(net: &Named) -> Bounds {
    let living = LIVING.iter().any(|(name, _)| *name == net.0);
    Bounds::preemptions(usize::from(living || is_full()))
}

/// What is tried where no model is named: but for the largest models.
fn unnamed() -> impl Iterator<Item = &'static Named> {
    all().filter(|(_, model)| {
        let model = model();
        let mortals = model.script.threads.iter().filter(|thread| thread.mortal).count();
        (mortals < 2 && model.floor < 4000) || is_full()
    })
}

/// Who catches the code as it is now: the model that is named, or else any.
fn caught(named: Option<&str>) -> Option<(&'static str, Found)> {
    let Some(named) = named else {
        return unnamed().find_map(|net| Some((net.0, find(net, without_name(net))?)));
    };
    let net = all().find(|(name, _)| *name == named).expect("there is such a model");
    (1..=CATCH).find_map(|bound| Some((net.0, find(net, Bounds::preemptions(bound))?)))
}

#[test]
fn every_use_in_an_mpmc_ring_dies_or_survives_as_documented() {
    let (documented, reached) = (documented(), reached());
    let places: BTreeSet<_> = reached.values().collect();
    assert_eq!(places, documented.keys().collect(), "what is documented, and what is");
    // Of two uses in one function the first to die decides.
    let fates = Mutex::new(BTreeMap::<_, Option<&str>>::new());
    let queue = Mutex::new(reached.iter());
    let work = || {
        loop {
            let next = queue.lock().expect("never poisoned").next();
            let Some((at, place)) = next else { break };
            weaken_use(Some(*at));
            let caught = caught(documented[place].as_deref());
            weaken_use(None);
            println!("{} {}, line {}: {caught:?}", place.0, place.1, at.line);
            let mut fates = fates.lock().expect("never poisoned");
            let fate = fates.entry(place).or_default();
            *fate = fate.or(caught.map(|(name, _)| name));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    for (place, fate) in fates.into_inner().expect("never poisoned") {
        assert_eq!(documented[place].as_deref(), fate, "{place:?}");
    }
}

/// Seeds a bug, and gives what the model of that name finds of it.
fn found_by(bug: Bug, name: &str) {
    seed(Some(bug));
    let found = caught(Some(name));
    seed(None);
    println!("{bug:?}: {found:?}");
    assert!(found.is_some());
}

#[test]
fn a_claim_that_comes_after_the_taking() {
    found_by(Bug::ClaimAfterCas, "what_a_dead_sender_took_is_passed_over");
}

#[test]
fn a_living_claim_that_is_ignored() {
    found_by(Bug::IgnoreLive, "a_dead_loser_buries_nobody");
    found_by(Bug::IgnoreLive, "a_dead_loser_takes_nothing_from_a_receiver");
}

#[test]
fn no_second_look_after_closed() {
    found_by(Bug::NoLookAfterClosed, "all_is_received_before_closed");
}

/// Shows too that the receivers do sleep in the model.
#[test]
fn a_sender_who_looks_for_no_sleepers() {
    let found = find_bug(Bounds::preemptions(1), || waiting::two_sleep_and_two_send(Words, true));
    println!("{found:?}");
    assert!(found.is_some_and(|found| found.message.contains("deadlock")));
}
