//! `annulus ls [PATH...]`: the segments in directories.
//!
//! Imports: facts, exit.

use std::fs;
use std::path::{Path, PathBuf};

use annulus_measure::table::Table;
use serde_json::Value;

use crate::exit::{self, Failure, Result, shown};
use crate::facts::{Facts, occupant};

/// Where named shared memory lives.
const SHM: &str = "/dev/shm";

/// Prints the segments under these paths; what is none is passed over.
///
/// A path that can't be read is complained of after the others have been listed.
pub fn run(paths: &[PathBuf], json: bool) -> Result {
    let default = [PathBuf::from(SHM)];
    let paths = if paths.is_empty() { &default } else { paths };
    let mut found = Vec::new();
    let mut unreadable = None;
    for path in paths {
        match files(path) {
            Ok(files) => found.extend(files.iter().filter_map(|file| look(file))),
            Err(error) => {
                let path = path.display().to_string();
                let complaint = format!(
                    "{}: {error}; name a directory or file that you may read",
                    shown(&path)
                );
                unreadable.get_or_insert(Failure::unusable(complaint));
            }
        }
    }
    exit::print(&if json { listed(&found) } else { table(&found) })?;
    unreadable.map_or(Ok(()), Err)
}

/// The files that a path stands for, in order.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // One that is gone by now is none.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// What stands in a file, if it is a segment of this user.
fn look(file: &Path) -> Option<Facts> {
    Facts::of(&address(file)?).ok()
}

/// A file's address, if it can have one.
fn address(file: &Path) -> Option<String> {
    let text = file.to_str()?;
    let name = file.file_name()?.to_str()?;
    let shared = file.parent() == Some(Path::new(SHM));
    Some(if shared { format!("shm:{name}") } else { format!("file:{text}") })
}

fn listed(found: &[Facts]) -> String {
    format!("{:#}\n", Value::Array(found.iter().map(|facts| facts.json(false)).collect()))
}

fn table(found: &[Facts]) -> String {
    if found.is_empty() {
        return String::new();
    }
    let mut table =
        Table::new(["address", "kind", "capacity", "waiting", "sender", "receiver", "bytes"]);
    for facts in found {
        table.row([
            shown(&facts.address),
            facts.kind.to_owned(),
            facts.capacity.to_string(),
            facts.waiting.to_string(),
            side(facts, "sender"),
            side(facts, "receiver"),
            facts.size.to_string(),
        ]);
    }
    table.to_string()
}

/// Who is on one side.
fn side(facts: &Facts, role: &str) -> String {
    let seats: Vec<_> = facts.shown(false).filter(|(_, seat)| seat.role == role).collect();
    match (&seats[..], seats.iter().filter(|(_, seat)| seat.held).count()) {
        ([], _) => "nobody".to_owned(),
        ([(_, seat)], _) => occupant(seat),
        (_, 0) => "died".to_owned(),
        (_, held) => format!("{held} of them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_memory_has_its_own_kind_of_address() {
        assert_eq!(address(Path::new("/dev/shm/x")).as_deref(), Some("shm:x"));
        assert_eq!(address(Path::new("/dev/shm/a/x")).as_deref(), Some("file:/dev/shm/a/x"));
        assert_eq!(address(Path::new("x")).as_deref(), Some("file:x"));
    }
}
