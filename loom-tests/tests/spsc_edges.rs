//! The ordering campaign: each use of an edge weakened, one at a time, until a model fails.
//!
//! A use is a line of the code that names an edge; the lines are found by running the
//! models. What no model finds is a question: it is answered in docs/orderings.md and has
//! a line in [`SURVIVORS`].

#![cfg(loom)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

use annulus::hooks::{Payload, Use, uses, weaken_use};
use annulus_loom_tests::nets::{Caught, Net, first_catch};
use annulus_loom_tests::{Bounds, is_full};

/// Uses that every model survives: file and function, edge, and why.
const SURVIVORS: &[(&str, &str, &str)] = &[
    ("seat.rs notice_death", "seat::RELEASE", "whoever acts on it has held the lock"),
    ("seat.rs take", "seat::RELEASE", "nobody acts on a live seat; it orders the pid, for people"),
    ("wait.rs prepare", "wake::ARRIVE", "guards against load buffering, which loom has not"),
    ("wait.rs wake", "wake::SEEN", "guards against load buffering, which loom has not"),
    ("wait.rs prepare", "wake::GENERATION", "the sleeper's barrier orders it too"),
    ("wait.rs wake", "wake::BUMP", "needed by an interruption, not by a notice"),
];

/// Every use of an edge that orders, which the models come by.
fn all_uses(nets: &[Net]) -> BTreeSet<Use> {
    let run = |net: &Net| net.find(Payload::Words, Bounds::preemptions(1));
    let (found, uses) = uses(|| nets.iter().find_map(run));
    assert!(found.is_none(), "without a mutant too: {found:?}");
    uses.into_iter().filter(|place| !place.edge.starts_with("relaxed::")).collect()
}

/// The file below `src`, and the function around the line.
fn function(place: &Use) -> String {
    let file = place.file.rsplit_once("src/").expect("annulus's own code").1;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src").join(file);
    let text = std::fs::read_to_string(&path).expect("the code that was compiled");
    let names = text.lines().take(place.line as usize).filter_map(|line| {
        let code = line.split("//").next()?;
        code.split_once("fn ")?.1.split(['(', '<']).next()
    });
    format!("{file} {}", names.last().expect("code is in functions"))
}

/// What catches the use, weakened. One involuntary switch is enough for most mutants, and
/// two for all that die at all.
fn verdict(place: &Use, nets: &[Net]) -> Option<Caught> {
    weaken_use(Some(*place));
    let caught = first_catch(nets, Bounds::preemptions(1));
    if caught.is_some() || (is_survivor(place) && !is_full()) {
        return caught;
    }
    first_catch(nets, Bounds::preemptions(2))
}

fn is_survivor(place: &Use) -> bool {
    let function = function(place);
    SURVIVORS.iter().any(|(name, edge, _)| *name == function && *edge == place.edge)
}

#[test]
fn every_edge_is_needed() {
    // What keeps sleepers from sleeping too long does nothing where nobody sleeps.
    let (wakeful, sleeping) = (Net::of_the_wakeful(), Net::of_the_sleeping());
    let mut all = all_uses(&sleeping);
    all.extend(all_uses(&wakeful));
    let queue = Mutex::new(all.iter());
    let verdicts = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let next = queue.lock().expect("never poisoned").next();
            let Some(place) = next else { break };
            let wakes = place.edge.starts_with("wake::");
            let verdict = verdict(place, if wakes { &sleeping } else { &wakeful });
            verdicts.lock().expect("never poisoned").insert(*place, verdict);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut survivors = BTreeSet::new();
    for (place, verdict) in verdicts.into_inner().expect("never poisoned") {
        let function = function(&place);
        print!("{function}:{} {}: ", place.line, place.edge);
        match verdict {
            Some(caught) => println!("{caught}"),
            None => {
                println!("survives");
                survivors.insert((function, place.edge));
            }
        }
    }
    let expected: BTreeSet<_> =
        SURVIVORS.iter().map(|(function, edge, _)| (function.to_string(), *edge)).collect();
    assert_eq!(survivors, expected);
}
