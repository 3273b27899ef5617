//! The ordering campaign: each use of an edge weakened, one at a time.
//!
//! docs/orderings.md says of every line that names an edge what becomes of a ring without
//! it: the model in which it dies, or that it survives, and then why it is there all the
//! same. This holds the document to the code and the code to the document.

#![cfg(loom)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use annulus::hooks::{Payload, edges, uses, weaken_use};
use annulus_loom_tests::nets::{Caught, Net, first_catch};
use annulus_loom_tests::{Bounds, is_full};

/// A place that names an edge: the file and function, and the edge.
type Place = (String, String);

/// What the document says of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// It dies in the model of that name.
    Dies(String),
    Survives,
    /// No model comes by.
    NotModelled,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of "Every use".
fn documented() -> BTreeMap<Place, Verdict> {
    let text = std::fs::read_to_string(root().join("docs/orderings.md")).expect("the document");
    let section = text.split("\n## ").find(|section| section.starts_with("Every use\n"));
    let rows = section.expect("a section").lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [edge, place, verdict] = cells[..] else { panic!("three columns: {line}") };
        let verdict =
            match verdict.split_once('`').map_or((verdict, ""), |(said, rest)| (said, rest)) {
                ("dies in ", model) => Verdict::Dies(model.trim_matches('`').to_owned()),
                (said, _) if said.starts_with("survives") => Verdict::Survives,
                (said, _) if said.starts_with("not modelled") => Verdict::NotModelled,
                _ => panic!("no verdict: {line}"),
            };
        ((place.replace('`', ""), edge.replace('`', "")), verdict)
    };
    rows.map(row).collect()
}

/// The function around each line of a source file.
fn functions(text: &str) -> Vec<String> {
    let (mut of, mut function) = ("", "");
    let mut names = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("impl") {
            of = implementor(rest);
        } else if line.starts_with('}') {
            of = "";
        }
        let code = line.split("//").next().unwrap_or_default();
        if let Some((_, rest)) = code.split_once("fn ") {
            function = rest.split(['(', '<']).next().unwrap_or_default();
        }
        let separator = if of.is_empty() { "" } else { "::" };
        names.push(format!("{of}{separator}{function}"));
    }
    names
}

/// `T` of `<..> T<..> {` and of `<..> Trait for T<..> {`.
fn implementor(rest: &str) -> &str {
    let mut depth = 0;
    let after_generics = rest.find(|c| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        depth == 0 && c != '>'
    });
    let rest = &rest[after_generics.unwrap_or(0)..];
    let of = rest.rsplit_once(" for ").map_or(rest, |(_, of)| of).trim();
    of.split(['<', ' ']).next().unwrap_or_default()
}

/// Every place in the code that names an edge which orders.
fn written() -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                // The edges are defined in `atomic`, not used; broadcasts and mpmc rings have
                // sections of their own.
                let is_elsewhere =
                    ["atomic", "broadcast", "mpmc"].iter().any(|room| path.ends_with(room));
                folders.extend((!is_elsewhere).then_some(path));
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source file");
            let file = path.strip_prefix(root().join("src")).expect("below").to_owned();
            for (line, function) in text.lines().zip(functions(&text)) {
                let code = line.split("//").next().unwrap_or_default();
                // As seat.rs calls it.
                let code = code.replace("edge::", "seat::");
                let named = edges().iter().filter(|edge| !edge.starts_with("relaxed::"));
                for edge in named.filter(|edge| code.contains(**edge)) {
                    places.insert((format!("{} {function}", file.display()), edge.to_string()));
                }
            }
        }
    }
    // Fences are not named where they are used.
    for (function, edge) in
        [("Event::notify", "wake::NOTIFIER"), ("Event::prepare", "wake::SLEEPER")]
    {
        places.insert((format!("wait.rs {function}"), edge.to_owned()));
    }
    places
}

/// Every use of an edge that orders, which the models come by, and its place.
fn reached(nets: &[Net]) -> BTreeMap<annulus::hooks::Use, Place> {
    let run = |net: &Net| net.find(Payload::Words, Bounds::preemptions(1));
    let (found, uses) = uses(|| nets.iter().find_map(run));
    assert!(found.is_none(), "without a mutant too: {found:?}");
    let place = |at: &annulus::hooks::Use| {
        let file = at.file.rsplit_once("src/").expect("annulus's own code").1;
        let text = std::fs::read_to_string(root().join("src").join(file)).expect("the code");
        let function = functions(&text).swap_remove(at.line as usize - 1);
        (format!("{file} {function}"), at.edge.to_owned())
    };
    let uses = uses.into_iter().filter(|at| !at.edge.starts_with("relaxed::"));
    uses.map(|at| (at, place(&at))).collect()
}

/// What catches the code as it is now, if the document is right.
fn caught(nets: &[Net], verdict: &Verdict) -> Option<Caught> {
    let Verdict::Dies(model) = verdict else {
        // Nothing does; within two switches if there is time.
        return first_catch(nets, Bounds::preemptions(if is_full() { 2 } else { 1 }));
    };
    let net = nets.iter().position(|net| net.name() == model);
    let net = net.unwrap_or_else(|| panic!("no model is called {model}"));
    first_catch(&nets[net..=net], Bounds::preemptions(2))
}

#[test]
fn every_use_of_an_edge_is_documented() {
    assert_eq!(documented().into_keys().collect::<BTreeSet<_>>(), written());
}

#[test]
fn every_use_of_an_edge_dies_or_survives_as_documented() {
    let documented = documented();
    // What keeps sleepers from sleeping too long does nothing where nobody sleeps.
    let mut wakeful = Net::of_the_wakeful();
    wakeful.extend(Net::of_wakeful_streams());
    let mut sleeping = Net::of_the_sleeping();
    sleeping.extend(Net::of_sleeping_streams());
    let mut all = reached(&sleeping);
    all.extend(reached(&wakeful));
    let modelled: BTreeSet<_> = all.values().cloned().collect();
    let said = documented.iter().filter(|(_, verdict)| **verdict != Verdict::NotModelled);
    assert_eq!(modelled, said.map(|(place, _)| place.clone()).collect());

    let queue = Mutex::new(all.iter());
    let wrong = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = queue.lock().expect("never poisoned").next();
            let Some((at, place)) = next else { break };
            let verdict = &documented[place];
            weaken_use(Some(*at));
            let nets = if at.edge.starts_with("wake::") { &sleeping } else { &wakeful };
            let caught = caught(nets, verdict);
            let fate = caught.as_ref().map_or("survives".to_owned(), ToString::to_string);
            println!("{} {}: {fate}", place.0, place.1);
            if caught.is_some() != matches!(verdict, Verdict::Dies(_)) {
                wrong.lock().expect("never poisoned").push((place, verdict, fate));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().expect("never poisoned");
    assert!(wrong.is_empty(), "not as documented: {wrong:#?}");
}
