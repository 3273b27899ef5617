//! How much of a second opinion is run, and what it needs of the machine.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::process::Tests;

/// The arguments of `cargo xtask aarch64`, `asan` and `bits32`.
#[derive(clap::Args)]
pub struct Options {
    /// All that there is, instead of a sample.
    #[arg(long)]
    pub full: bool,
    /// Only these files of tests/.
    pub files: Vec<String>,
}

impl Options {
    /// The files of tests/ to run: those that were named, those of the sample, or all; `None`
    /// is all there are.
    pub fn files(
        &self,
        sample: &[&'static str],
        all: Option<&[&'static str]>,
    ) -> Option<Vec<String>> {
        if !self.files.is_empty() {
            return Some(self.files.clone());
        }
        let chosen = if self.full { all? } else { sample };
        let names: Vec<_> = chosen.iter().map(|file| (*file).to_owned()).collect();
        println!("of tests/: {}", names.join(" "));
        Some(names)
    }
}

/// Something that a machine may lack, and how one gets it.
pub struct Need {
    /// A program and arguments with which it succeeds where the thing is there.
    pub test: &'static [&'static str],
    /// What to do about it.
    pub remedy: &'static str,
}

/// Refuses, and says what to install, unless all is there.
pub fn require(needs: &[Need]) -> Result<()> {
    let missing: Vec<_> =
        needs.iter().filter(|need| !runs(need.test)).map(|need| need.remedy).collect();
    if missing.is_empty() { Ok(()) } else { bail!("this needs\n  {}", missing.join("\n  ")) }
}

fn runs(words: &[&str]) -> bool {
    let (program, arguments) = words.split_first().expect("a program");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A program run by cargo inherits the toolchain that cargo was chosen with.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC");
    command.status().is_ok_and(|status| status.success())
}

/// Prints the figures of a run of tests, and whether it passed.
pub fn close(name: &str, tests: Tests, left_out: usize, failure: Option<String>) -> bool {
    println!("figure: {name} tests passed = {}", tests.passed);
    println!("figure: {name} tests failed = {}", tests.failed);
    println!("figure: {name} tests left out = {left_out}");
    let nothing = || (tests.passed == 0).then(|| "no test ran".to_owned());
    let failure = failure.or_else(nothing);
    let how = failure.as_deref().unwrap_or("all is well");
    println!(
        "{name}: {} passed, {} failed, {left_out} left out: {how}",
        tests.passed, tests.failed
    );
    failure.is_none()
}
