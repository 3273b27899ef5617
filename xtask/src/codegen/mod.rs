//! `cargo xtask codegen`: a release carries nothing of the test hooks.
//!
//! The machine code of `try_send` and `try_recv` is compared between the shipped crate
//! and a copy of it without any: a facade that has no place for hooks (`bare_word.rs.txt`
//! instead of `src/atomic/word.rs`), and no seeded bugs. With `test-hooks` on it must differ: else the comparison would
//! see nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cargo;

/// What is compared: one function for each verb and size class.
const PROBE: &str = include_str!("probe.rs.txt");
/// The facade's word without hooks.
const BARE_WORD: &str = include_str!("bare_word.rs.txt");

/// Compares, and prints how many instructions each function has.
pub fn main() -> Result<bool> {
    let work = cargo::target_directory()?.join("codegen");
    let shipped = assembly(&work, "shipped", cargo::root(), "")?;
    let bare = assembly(&work, "bare", &bare_copy(&work)?, "")?;
    let hooked = assembly(&work, "hooked", cargo::root(), "\"test-hooks\"")?;
    let mut equal = true;
    for (name, code) in functions(&shipped)? {
        let same = function(&bare, &name)? == code;
        let seen = function(&hooked, &name)? != code;
        println!(
            "{name}: {} instructions; without a facade {}; with hooks {}",
            code.len(),
            if same { "the same" } else { "DIFFERENT" },
            if seen { "different, as it must" } else { "THE SAME: nothing was compared" },
        );
        equal &= same && seen;
    }
    Ok(equal)
}

/// A copy of the crate with the bare word.
fn bare_copy(work: &Path) -> Result<PathBuf> {
    let copy = work.join("bare-crate");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    copy_folder(&cargo::root().join("src"), &copy.join("src"))?;
    fs::write(copy.join("src/atomic/word.rs"), BARE_WORD)?;
    fs::copy(cargo::root().join("README.md"), copy.join("README.md"))?;
    let manifest = fs::read_to_string(cargo::root().join("Cargo.toml"))?;
    // The library alone: no members, no tests.
    let (package, rest) =
        manifest.split_once("[workspace]").context("no workspace in Cargo.toml")?;
    let (rest, _) = rest.split_once("[dev-dependencies]").context("no dev-dependencies")?;
    let rest = rest.lines().filter(|line| !line.starts_with("members ="));
    let rest: Vec<_> = rest.filter(|line| !line.starts_with("default-members")).collect();
    fs::write(copy.join("Cargo.toml"), format!("{package}[workspace]{}", rest.join("\n")))?;
    Ok(copy)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::write(target, without_bugs(fs::read_to_string(entry.path())?))?;
        }
    }
    Ok(())
}

/// No bug can be seeded where nobody asks for one: `seeded(Bug::Some)` becomes `false`.
fn without_bugs(mut source: String) -> String {
    const ASKS: &str = "seeded(Bug::";
    while let Some(start) = source.find(ASKS) {
        let end = start + source[start..].find(')').map_or(ASKS.len(), |at| at + 1);
        source.replace_range(start..end, "false");
    }
    source
}

/// The assembly of the probe built against a crate.
fn assembly(work: &Path, name: &str, annulus: &Path, features: &str) -> Result<String> {
    let probe = work.join(name);
    fs::create_dir_all(probe.join("src"))?;
    fs::write(probe.join("src/lib.rs"), PROBE)?;
    fs::write(
        probe.join("Cargo.toml"),
        format!(
            "[package]\nname = \"probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [workspace]\n[profile.release]\ndebug = false\ncodegen-units = 1\n\
             [dependencies]\nannulus = {{ path = {:?}, features = [{features}] }}\n",
            annulus.display().to_string()
        ),
    )?;
    // The same versions of everything.
    fs::copy(cargo::root().join("Cargo.lock"), probe.join("Cargo.lock"))?;
    let mut build = cargo::cargo("rustc");
    build.args(["--release", "--quiet", "--lib", "--target-dir"]).arg(work.join("target"));
    build.arg("--manifest-path").arg(probe.join("Cargo.toml"));
    // The bare copy does not use all that it has.
    build.env("RUSTFLAGS", "-Awarnings");
    let output = probe.join("probe.s");
    build.arg("--").arg(format!("--emit=asm={}", output.display()));
    ensure!(build.status()?.success(), "the probe does not build");
    Ok(fs::read_to_string(output)?)
}

/// All functions of the probe, by name, with their instructions.
fn functions(assembly: &str) -> Result<Vec<(String, Vec<String>)>> {
    let labels = assembly.lines().filter_map(|line| line.strip_suffix(':'));
    let names: Vec<_> = labels.filter(|label| label.starts_with("probe_")).collect();
    ensure!(!names.is_empty(), "the probe has no functions");
    names.iter().map(|name| Ok((name.to_string(), function(assembly, name)?))).collect()
}

/// The instructions of one function, local labels and hashes evened out.
fn function(assembly: &str, name: &str) -> Result<Vec<String>> {
    let label = format!("{name}:");
    let body = assembly.lines().skip_while(|line| **line != label).skip(1);
    let body = body.take_while(|line| !line.contains(".cfi_endproc"));
    let code: Vec<_> = body
        .map(str::trim)
        .filter(|line| !line.starts_with('.') && !line.starts_with('#') && !line.ends_with(':'))
        .filter(|line| !line.is_empty())
        .map(even_out)
        .collect();
    ensure!(!code.is_empty(), "{name} is not in the assembly");
    Ok(code)
}

/// `.LBB12_3` becomes `.L`, `..17h0123456789abcdefE` loses its hash.
fn even_out(line: &str) -> String {
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let word = word.split(".LBB").next().filter(|head| head.len() < word.len()).unwrap_or(word);
        words.push(word.split("17h").next().unwrap_or(word));
    }
    words.join(" ")
}
