//! The ordering campaign of the broadcast: each use of an edge in it weakened, one at a
//! time, and held to what docs/orderings.md says.

#![cfg(loom)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use annulus::hooks::Payload::{self, Cells, Words};
use annulus::hooks::{Bug, Use, seed, uses, weaken_use};
use annulus_loom_tests::{Bounds, Found, broadcast as models, find_bug};

/// A model and what it is called, which is a test's name.
type Net = (&'static str, fn(Bounds) -> Option<Found>);

fn find<T: Ord + Send + 'static>(
    bounds: Bounds,
    payloads: &[Payload],
    model: fn(Payload) -> T,
) -> Option<Found> {
    payloads.iter().find_map(|payload| {
        let payload = *payload;
        find_bug(bounds, move || model(payload))
    })
}

const NETS: &[Net] = &[
    ("no_torn_message_is_returned", |bounds| {
        find(bounds, &[Words], models::no_torn_message_is_returned)
    }),
    ("everything_is_received_before_closed", |bounds| {
        find(bounds, &[Words], models::everything_is_received_before_closed)
    }),
    ("the_slowest_is_not_passed", |bounds| {
        find(bounds, &[Cells, Words], models::the_slowest_is_not_passed)
    }),
    ("whoever_comes_is_not_overrun", |bounds| {
        find(bounds, &[Cells, Words], models::whoever_comes_is_not_overrun)
    }),
    ("whoever_takes_a_used_seat_is_not_overrun", |bounds| {
        find(bounds, &[Cells, Words], models::whoever_takes_a_used_seat_is_not_overrun)
    }),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The function that a line of a source file is in.
fn function(text: &str, line: u32) -> String {
    let above = text.lines().take(line as usize);
    let named = above.filter_map(|line| line.split("//").next()?.split_once("fn "));
    let (_, rest) = named.last().expect("a line of a function");
    rest.split(['(', '<']).next().unwrap_or_default().to_owned()
}

/// What docs/orderings.md says of each use: the model in which it dies, if it does.
fn documented() -> BTreeMap<(String, String), Option<String>> {
    let text = std::fs::read_to_string(root().join("docs/orderings.md")).expect("the document");
    let section =
        text.split("\n## ").find(|section| section.starts_with("Every use in a broadcast\n"));
    let rows = section.expect("a section").lines().filter(|line| line.starts_with("| `"));
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

/// Every use of an edge that orders, which the models come by in `src/broadcast`.
fn reached() -> BTreeMap<Use, (String, String)> {
    let (found, uses) = uses(|| NETS.iter().find_map(|(_, find)| find(Bounds::preemptions(1))));
    assert!(found.is_none(), "without a mutant too: {found:?}");
    let ours = uses.into_iter().filter(|at| at.file.contains("src/broadcast/"));
    let place = |at: &Use| {
        let file = at.file.rsplit_once("src/").expect("annulus's own code").1;
        let text = std::fs::read_to_string(root().join("src").join(file)).expect("the code");
        (format!("{file} {}", function(&text, at.line)), at.edge.to_owned())
    };
    ours.filter(|at| !at.edge.starts_with("relaxed::")).map(|at| (at, place(&at))).collect()
}

#[test]
fn every_use_in_a_broadcast_dies_or_survives_as_documented() {
    let (documented, reached) = (documented(), reached());
    let places: BTreeSet<_> = reached.values().collect();
    assert_eq!(places, documented.keys().collect(), "what is documented, and what is");
    // Of two uses in one function the first to die decides.
    let mut fates: BTreeMap<_, Option<&str>> = BTreeMap::new();
    for (at, place) in &reached {
        weaken_use(Some(*at));
        let nets = match &documented[place] {
            Some(model) => NETS.iter().filter(|(name, _)| name == model).collect::<Vec<_>>(),
            None => NETS.iter().collect(),
        };
        let bounds = Bounds::preemptions(if documented[place].is_some() { 3 } else { 1 });
        let caught = nets.iter().find_map(|(name, find)| Some((*name, find(bounds)?)));
        weaken_use(None);
        let fate = caught.as_ref().map(|(name, _)| *name);
        println!("{} {}, line {}: {caught:?}", place.0, place.1, at.line);
        let known = fates.entry(place).or_default();
        *known = known.or(fate);
    }
    for (place, fate) in fates {
        assert_eq!(documented[place].as_deref(), fate, "{place:?}");
    }
}

#[test]
fn a_slot_that_is_not_marked_is_noticed() {
    seed(Some(Bug::NoWritingMark));
    let found = NETS[0].1(Bounds::preemptions(2));
    seed(None);
    println!("{found:?}");
    assert!(found.is_some_and(|found| found.message.contains("torn")));
}

/// Shows too that the receivers do sleep in the model.
#[test]
fn a_sender_who_looks_for_no_sleepers_is_noticed() {
    let found = find_bug(Bounds::preemptions(1), || models::everybody_is_woken(Words, 1, true));
    println!("{found:?}");
    assert!(found.is_some_and(|found| found.message.contains("deadlock")));
}
