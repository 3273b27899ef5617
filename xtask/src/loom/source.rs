//! The patched loom: the published source, copied into the target directory and patched.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::patch;
use crate::cargo;

/// The version that the patch is for.
const VERSION: &str = "0.7.3";

/// The file in a finished copy that says what was made of what.
const STAMP: &str = "annulus-patch-stamp";

/// Which loom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// With our patch.
    Patched,
    /// As it was published, to see what it misses.
    Published,
}

/// The folder of a copy of loom; makes it unless it is there already.
pub fn prepare(which: Which) -> Result<PathBuf> {
    match which {
        Which::Patched => patched(),
        Which::Published => as_published(),
    }
}

/// A copy too, so that Cargo.lock, in which loom has no source, fits.
fn as_published() -> Result<PathBuf> {
    let copy = cargo::target_directory()?.join(format!("loom/loom-{VERSION}-published"));
    remove(&copy)?;
    copy_folder(&published()?, &copy)?;
    make_a_workspace(&copy)?;
    Ok(copy)
}

fn patched() -> Result<PathBuf> {
    let patch = cargo::root().join(format!("loom-tests/patches/loom-{VERSION}-dpor.patch"));
    let patch = fs::read_to_string(&patch).with_context(|| format!("can't read {patch:?}"))?;
    let parent = cargo::target_directory()?.join("loom");
    let copy = parent.join(format!("loom-{VERSION}-patched"));
    // The stamp is the patch itself: equal means made from it, whatever a hash would say.
    let stamp = format!("loom {VERSION}\n{patch}");
    if is_made(&copy, &stamp) {
        return Ok(copy);
    }

    // Made beside its place and renamed, so that a copy that is there is complete.
    let scratch = parent.join(format!("scratch-{}", std::process::id()));
    remove(&scratch)?;
    let published = published()?;
    copy_folder(&published, &scratch)
        .with_context(|| format!("can't copy {published:?} to {scratch:?}"))?;
    let files = patch::apply(&patch, |path| Ok(fs::read_to_string(scratch.join(path))?))
        .with_context(|| format!("the patch does not fit loom {VERSION} in {published:?}"))?;
    for file in &files {
        let path = scratch.join(&file.path);
        fs::write(&path, &file.text).with_context(|| format!("can't write {path:?}"))?;
    }
    make_a_workspace(&scratch)?;
    fs::write(scratch.join(STAMP), &stamp)?;
    remove(&copy)?;
    if let Err(error) = fs::rename(&scratch, &copy) {
        // Somebody else's may have come in between; the same will do.
        remove(&scratch)?;
        ensure!(is_made(&copy, &stamp), "can't move {scratch:?} to {copy:?}: {error}");
    }
    println!("patched loom {VERSION}: {} files changed in {}", files.len(), copy.display());
    Ok(copy)
}

/// Whether there is a finished copy with this stamp.
fn is_made(copy: &Path, stamp: &str) -> bool {
    fs::read_to_string(copy.join(STAMP)).is_ok_and(|found| found == stamp)
}

/// Where cargo has unpacked the published loom, whose checksum Cargo.lock pins.
fn published() -> Result<PathBuf> {
    // With `--cfg loom` and this platform alone, so that nothing else is downloaded.
    let host = cargo::stdout(std::process::Command::new("rustc").arg("-vV"))?;
    let host =
        host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let metadata = cargo::json(
        cargo::locked("metadata")
            .args(["--format-version=1", "--filter-platform", host])
            .env("RUSTFLAGS", "--cfg loom"),
    )?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let loom = packages
        .iter()
        .find(|package| package["name"] == "loom")
        .context("annulus does not depend on loom under cfg(loom)")?;
    ensure!(
        loom["version"] == VERSION,
        "the patch is for loom {VERSION}, Cargo.lock has {}: rework the patch or the lock",
        loom["version"]
    );
    let source = loom["source"].as_str().unwrap_or_default();
    ensure!(source.starts_with("registry+"), "loom comes from {source:?}, not from the registry");
    let manifest = loom["manifest_path"].as_str().context("loom has no manifest")?;
    let folder = Path::new(manifest).parent().context("no folder")?;
    Ok(folder.into())
}

/// Makes the copy a workspace of its own: it lies below the root's, which would claim it.
fn make_a_workspace(copy: &Path) -> Result<()> {
    let manifest = copy.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    ensure!(!text.contains("[workspace]"), "loom is a workspace already");
    fs::write(&manifest, text + "\n[workspace]\n")?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            // Contents alone: the registry's files may be read-only.
            fs::write(&target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {folder:?}"))
        }
        _ => Ok(()),
    }
}
