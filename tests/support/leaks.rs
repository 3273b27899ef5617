//! What a process holds: descriptors, shared mappings, names in /dev/shm.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use super::names;

/// What is held at one moment, each kind of thing with how many there are of it.
///
/// All threads count: compare two of them where nothing else runs, in a [`super::Role`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, usize>);

impl Snapshot {
    /// What this process holds now.
    pub fn take() -> Self {
        let mut held = BTreeMap::new();
        for thing in descriptors().into_iter().chain(mappings()).chain(files()) {
            *held.entry(thing).or_insert(0) += 1;
        }
        Self(held)
    }

    /// What there is more of than in an earlier one, each with how many more.
    pub fn more_than(&self, earlier: &Self) -> Vec<String> {
        let more = self.0.iter().filter_map(|(thing, count)| {
            let before = earlier.0.get(thing).copied().unwrap_or(0);
            let more = count.checked_sub(before).filter(|more| *more > 0)?;
            Some(format!("{more} x {thing}"))
        });
        more.collect()
    }

    /// Fails if there is more of anything than in `earlier`.
    ///
    /// # Panics
    ///
    /// Then, with a list of it.
    pub fn assert_no_more_than(&self, earlier: &Self) {
        let more = self.more_than(earlier);
        assert!(more.is_empty(), "leaked:\n  {}", more.join("\n  "));
    }
}

/// Each open descriptor by what it is open on.
fn descriptors() -> Vec<String> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let targets = paths.filter_map(|path| {
        // The one that reads this folder is gone by then.
        let inode = fs::metadata(&path).map_or(0, |metadata| metadata.ino());
        let target = fs::read_link(path).ok()?;
        Some((inode, target.to_string_lossy().into_owned()))
    });
    let own = format!("/proc/{}/fd", std::process::id());
    targets
        .filter(|(_, target)| *target != own)
        .map(|(inode, target)| format!("descriptor of {target} (inode {inode})"))
        .collect()
}

/// Each shared mapping, by its access, its length and its file.
fn mappings() -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    let shared = maps.lines().filter_map(|line| {
        // start-end access offset device inode path
        let mut fields = line.split_ascii_whitespace();
        let (range, access) = (fields.next()?, fields.next()?);
        let (start, end) = range.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        let length = address(end)? - address(start)?;
        let (inode, path) = (fields.nth(2)?, fields.collect::<Vec<_>>().join(" "));
        let shared = access.ends_with('s');
        shared.then(|| format!("mapping {access} of {length} bytes of {path} (inode {inode})"))
    });
    shared.collect()
}

/// Each file in /dev/shm under a name of this process or of its parent, the test.
fn files() -> Vec<String> {
    let pids = [std::process::id(), std::os::unix::process::parent_id()];
    let files = pids.map(|pid| names::files_of(&format!("{}{pid}-", names::PREFIX)));
    let files = files.into_iter().flatten();
    files.map(|name| format!("file {name} in /dev/shm")).collect()
}
