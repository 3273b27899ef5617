//! The packages, each built from what it contains and from the others as packaged.
//!
//! Cargo verifies a package against a registry of the others that it makes below the
//! target directory, and takes what a registry holds for unchangeable: at the same place
//! it would use what it unpacked and built there last time, however long ago. So each
//! run has a place of its own, and takes away what cargo unpacked on account of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::Running;
use crate::cargo;

/// Packages and verifies the default members.
pub fn run(running: &mut Running) -> Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
    let place = cargo::target_directory()?.join(format!("xtask/package-{now}"));
    let before = nameless_registries();

    let mut command = cargo::locked("package");
    // A work tree with changes in it may be checked too.
    command.args(["--allow-dirty", "--target-dir"]).arg(&place);
    // Whether it builds is all that matters here.
    command.env("CARGO_PROFILE_DEV_DEBUG", "none");
    let result = running.run(command);

    for unpacked in nameless_registries().difference(&before) {
        remove(unpacked)?;
    }
    remove(&place)?;
    result
}

/// Where cargo has unpacked packages of registries on this machine: folders named by a
/// hash alone, where those of others begin with the host.
fn nameless_registries() -> BTreeSet<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let sources = home.map(|home| home.join("registry/src")).map(fs::read_dir);
    let entries = sources.into_iter().flatten().flatten();
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    folders.filter(|folder| is_nameless(folder)).collect()
}

fn is_nameless(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    let hash = name.and_then(|name| name.strip_prefix('-'));
    hash.is_some_and(|hash| hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()))
}

fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("can't remove {folder:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_with_a_host_are_left_alone() {
        assert!(is_nameless(Path::new("/registry/src/-089d5fc141bbf048")));
        assert!(!is_nameless(Path::new("/registry/src/index.example-089d5fc141bbf048")));
        assert!(!is_nameless(Path::new("/registry/src/-annulus")));
    }
}
