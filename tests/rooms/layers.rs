//! Who may import whom.

use super::complaint;
use super::source::Source;

/// The rooms, lowest first; a room imports from the lines above its own alone. The
/// number is the one in the map of the house; where rooms of one number stand on one
/// another, the order of the lines says how.
const LAYERS: &[(u8, &[&str])] = &[
    (0, &["sys"]),
    (1, &["atomic"]),
    (2, &["layout", "copy"]),
    (3, &["segment", "gate", "outcome"]),
    (3, &["seat", "slots"]),
    (3, &["wait"]),
    (3, &["endpoint", "observer", "payload"]),
    (3, &["waitset"]),
    (3, &["options", "lend"]),
    (4, RINGS),
    (5, &["frames"]),
];

/// The kinds of ring: they never import one another, nor make system calls.
const RINGS: &[&str] = &["stream", "spsc", "mpmc", "broadcast", "sync"];

/// Any room may import these; they import nothing.
const LEAVES: &[&str] = &["error", "message"];

/// They may import anything, and nobody them: the crate's face, and its tests' door.
const FACES: &[&str] = &["lib", "hooks"];

/// The line of a room; higher may import lower.
fn rank(room: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, rooms)| rooms.contains(&room))
}

/// Imports of rooms that are not lower, of unknown names, and rooms without a layer.
pub fn imports(source: &Source) -> Vec<String> {
    let room = source.room.as_str();
    if FACES.contains(&room) {
        return Vec::new();
    }
    let own = rank(room);
    if own.is_none() && !LEAVES.contains(&room) {
        return vec![complaint(source, 0, format!("`{room}` has no layer; give it one"))];
    }
    let refuse = |imported: &str| {
        if imported == room || LEAVES.contains(&imported) && own.is_some() {
            return None;
        }
        if RINGS.contains(&room) && imported == "sys" {
            return Some("a ring makes no system calls".to_string());
        }
        match (own, rank(imported)) {
            (Some(own), Some(other)) if other < own => None,
            (_, Some(_)) => Some(format!("`{room}` may not import `{imported}`")),
            (_, None) => Some(format!("`{imported}` is no room: import from the room itself")),
        }
    };
    let found = imported(source).into_iter();
    found.filter_map(|(line, name)| Some(complaint(source, line, refuse(name)?))).collect()
}

/// What follows each `crate::`, and each `super::` that leads to the root.
fn imported(source: &Source) -> Vec<(usize, &str)> {
    let tokens = source.tokens();
    let token = |at: usize| tokens.get(at).map_or("", |(_, token)| *token);
    let mut found = Vec::new();
    // The braces that are open, and whether each is a module's.
    let mut braces = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let modules = source.depth + braces.iter().filter(|is_module| **is_module).count();
        match token(at) {
            "{" => braces.push(at >= 2 && token(at - 2) == "mod"),
            "}" => drop(braces.pop()),
            "crate" if token(at + 1) == "::" => names_at(&tokens, at + 2, &mut found),
            // Visibility of a name, not an import of one.
            "super" if token(at + 1) == "::" => {
                let mut up = 1;
                while token(at + 2) == "super" && token(at + 3) == "::" {
                    (up, at) = (up + 1, at + 2);
                }
                if up == modules {
                    names_at(&tokens, at + 2, &mut found);
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The name at `at`, or the first of each path in the group that begins there.
fn names_at<'a>(tokens: &[(usize, &'a str)], at: usize, found: &mut Vec<(usize, &'a str)>) {
    let Some((_, "{")) = tokens.get(at) else {
        found.extend(tokens.get(at));
        return;
    };
    let mut depth = 0;
    let mut first = false;
    for (line, token) in &tokens[at..] {
        match *token {
            "{" => {
                depth += 1;
                first = depth == 1;
            }
            "}" if depth == 1 => return,
            "}" => depth -= 1,
            "," => first = depth == 1,
            name => {
                if first {
                    found.push((*line, name));
                }
                first = false;
            }
        }
    }
}

#[cfg(test)]
fn complaints(path: &str, text: &str) -> usize {
    imports(&Source::new(path, text)).len()
}

#[test]
fn every_import_of_a_higher_or_equal_room_is_found() {
    let violations = [
        ("sys/file.rs", "use crate::atomic::Word;"),
        ("copy.rs", "use crate::layout::LINE;"),
        ("seat.rs", "fn f() { crate::options::new() }"),
        ("spsc/mod.rs", "use crate::mpmc::Ring;"),
        ("mpmc.rs", "use super::broadcast;"),
        ("spsc/sender.rs", "use super::super::stream::Stream;"),
        ("spsc/sender.rs", "use crate::sys;"),
        ("spsc/sender.rs", "use crate::{copy, error::{self, Error}, mpmc};"),
        ("segment/mod.rs", "mod inner { use super::super::spsc; }"),
        ("error.rs", "use crate::segment::Segment;"),
        ("copy.rs", "use crate::hooks;"),
        ("copy.rs", "use crate::Word;"),
        ("copy.rs", "use super::*;"),
        ("cellar.rs", ""),
    ];
    for (path, text) in violations {
        assert_eq!(complaints(path, text), 1, "{path}: {text}");
    }
}

#[test]
fn lower_rooms_own_parts_and_leaves_may_be_imported() {
    let lawful = [
        ("atomic/span.rs", "use crate::sys::Mapping; use super::Word;"),
        ("spsc/sender.rs", "use crate::{copy, error::{self, sys}, seat::Seat}; use super::Ring;"),
        ("spsc/mod.rs", "use crate::spsc::sender::Sender; pub(in crate::spsc) fn f() {}"),
        ("segment/mod.rs", "mod spsc { use super::seat; } // use crate::spsc"),
        ("lib.rs", "use crate::spsc::Ring;"),
    ];
    for (path, text) in lawful {
        assert_eq!(complaints(path, text), 0, "{path}: {text}");
    }
}

#[test]
fn each_room_has_one_layer() {
    let rooms = || LAYERS.iter().flat_map(|(_, rooms)| *rooms).chain(LEAVES).chain(FACES);
    for room in rooms() {
        assert_eq!(rooms().filter(|other| *other == room).count(), 1, "{room}");
    }
    assert!(LAYERS.is_sorted_by_key(|(number, _)| number));
}
