//! Small checks of the manifests that no other tool makes.

use std::fs;

use anyhow::{Context, Result};

use crate::cargo;

/// The workspaces beside the root's, formatted on their own.
pub const OWN_WORKSPACES: &[&str] = &["loom-tests", "shuttle-tests", "fuzz", "rivals"];

/// What is wrong, one line each.
pub fn complaints() -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let root = manifest("Cargo.toml")?;
    for workspace in OWN_WORKSPACES {
        let own = manifest(&format!("{workspace}/Cargo.toml"))?;
        for tool in ["rust", "clippy"] {
            let common = section(&root, &format!("[workspace.lints.{tool}]"));
            if section(&own, &format!("[lints.{tool}]")) != common {
                complaints.push(format!("the lints of {tool} in {workspace} are not the root's"));
            }
        }
    }
    if hooks_are_on()? {
        complaints.push("the workspace builds annulus with test-hooks unasked".into());
    }
    Ok(complaints)
}

fn manifest(path: &str) -> Result<String> {
    let path = cargo::root().join(path);
    fs::read_to_string(&path).with_context(|| format!("can't read {path:?}"))
}

/// The settings under a heading, in order, without comments.
fn section<'a>(manifest: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = manifest.lines().map(str::trim);
    let after = lines.skip_while(|line| *line != heading).skip(1);
    let within = after.take_while(|line| !line.starts_with('['));
    within.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Whether some member's dependency on annulus turns its test hooks on for all: the
/// tests without hooks would then not be.
fn hooks_are_on() -> Result<bool> {
    let mut tree = cargo::cargo("tree");
    tree.args(["--workspace", "--edges=features", "--invert=annulus", "--prefix=none"]);
    let tree = cargo::stdout(&mut tree)?;
    Ok(tree.lines().any(|line| line.contains("annulus feature \"test-hooks\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_at_the_next_heading() {
        let manifest = "[a]\nx = 1\n[lints.rust]\n# why\ny = 2\n\nz = [3]\n[b]\nw = 4\n";
        assert_eq!(section(manifest, "[lints.rust]"), ["y = 2", "z = [3]"]);
        assert!(section(manifest, "[lints.clippy]").is_empty());
    }

    #[test]
    fn the_root_has_both_tables() {
        let root = manifest("Cargo.toml").unwrap();
        assert!(section(&root, "[workspace.lints.rust]").len() > 1);
        assert!(section(&root, "[workspace.lints.clippy]").len() > 1);
    }
}
