//! Cargo as the steps call it, and where things are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root's folder")
}

/// The root workspace's target directory, wherever the user has put it.
pub fn target_directory() -> Result<&'static Path> {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    if let Some(target) = TARGET.get() {
        return Ok(target);
    }
    let metadata = json(cargo("metadata").args(["--no-deps", "--format-version=1"]))?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target directory")?;
    Ok(TARGET.get_or_init(|| target.into()))
}

/// `cargo SUBCOMMAND` in the root, free of what `cargo run` told xtask about itself.
pub fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.current_dir(root()).arg(subcommand);
    command
}

/// `cargo SUBCOMMAND` that takes Cargo.lock as it is committed where that is the point.
///
/// On a developer's machine an edited manifest may update the lock file; in CI
/// (`CI` is set) a lock file that is out of date is a failure.
pub fn locked(subcommand: &str) -> Command {
    let mut command = cargo(subcommand);
    if std::env::var_os("CI").is_some() {
        command.arg("--locked");
    }
    command
}

/// This very program, with a command of its own.
pub fn xtask(command: &str) -> Result<Command> {
    let mut xtask = Command::new(std::env::current_exe().context("where is xtask?")?);
    xtask.current_dir(root()).arg(command);
    Ok(xtask)
}

/// Runs a command for the JSON that it prints.
pub fn json(command: &mut Command) -> Result<Value> {
    let text = stdout(command)?;
    serde_json::from_str(&text).with_context(|| format!("{command:?} printed no JSON"))
}

/// Runs a command for what it prints.
pub fn stdout(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("can't run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} printed no UTF-8"))
}
