//! The steps, in the order that tells most soonest.
//!
//! They share what they build: clippy and the documents both need the dependencies
//! checked in the dev profile, all tests need them built in it. Only the models have
//! flags of their own, and therefore a target directory of their own.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Running, package, tidy};
use crate::cargo::{self, locked};
use crate::loom;
use crate::shuttle;

/// One step.
pub struct Step {
    /// Its name on the command line and in the table.
    pub name: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
    /// How long it may take with everything to download and build: a guard against
    /// hanging, several times what it needs.
    pub limit: Duration,
    /// Does it, noting failures as it goes.
    pub run: fn(&mut Running) -> Result<()>,
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// All steps.
pub const STEPS: &[Step] = &[
    Step {
        name: "tidy",
        what: "formatting, one table of lints, no test hooks unasked",
        limit: minutes(5),
        run: tidy,
    },
    Step {
        name: "clippy",
        what: "clippy, warnings denied, with and without test hooks",
        limit: minutes(10),
        run: clippy,
    },
    Step {
        name: "test",
        what: "unit, integration and doc tests of all members",
        limit: minutes(15),
        run: test,
    },
    Step {
        name: "hooks",
        what: "the tests of annulus that need its test hooks",
        limit: minutes(15),
        run: hooks,
    },
    Step { name: "docs", what: "the documents, warnings denied", limit: minutes(5), run: docs },
    Step {
        name: "package",
        what: "the packages, built from what they contain",
        limit: minutes(10),
        run: package::run,
    },
    Step {
        name: "codegen",
        what: "the machine code of a release, beside that of a crate without hooks",
        limit: minutes(10),
        run: codegen,
    },
    Step {
        name: "loom",
        what: "clippy and the models under loom, at CI bounds",
        limit: minutes(20),
        run: loom,
    },
    Step {
        name: "shuttle",
        what: "clippy and the larger models, in random schedules",
        limit: minutes(10),
        run: shuttle,
    },
];

fn tidy(running: &mut Running) -> Result<()> {
    let mut all = cargo::cargo("fmt");
    all.args(["--all", "--check"]);
    running.run(all)?;
    for workspace in tidy::OWN_WORKSPACES {
        let mut own = cargo::cargo("fmt");
        own.arg("--check").current_dir(cargo::root().join(workspace));
        running.run(own)?;
    }
    for complaint in tidy::complaints()? {
        running.fail(complaint);
    }
    Ok(())
}

fn clippy(running: &mut Running) -> Result<()> {
    for features in [&[][..], &["--features=annulus/test-hooks"]] {
        let mut command = locked("clippy");
        command
            .args(["--workspace", "--all-targets", "--keep-going"])
            .args(features)
            .args(["--", "-Dwarnings"]);
        running.run(command)?;
    }
    Ok(())
}

fn test(running: &mut Running) -> Result<()> {
    let mut command = locked("test");
    command.args(["--workspace", "--no-fail-fast"]);
    running.run_tests(command)
}

fn hooks(running: &mut Running) -> Result<()> {
    let mut command = locked("test");
    command.args(["--package=annulus", "--features=test-hooks", "--no-fail-fast", "--lib"]);
    // The others have run in the step before.
    for test in tests_that_need_hooks()? {
        command.args(["--test", &test]);
    }
    running.run_tests(command)
}

/// The tests of annulus that name `test-hooks` among their `required-features`.
fn tests_that_need_hooks() -> Result<Vec<String>> {
    let metadata = cargo::json(cargo::cargo("metadata").args(["--no-deps", "--format-version=1"]))?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let annulus = packages.iter().find(|package| package["name"] == "annulus");
    let targets =
        annulus.and_then(|annulus| annulus["targets"].as_array()).context("no annulus")?;
    let needs_hooks = |target: &&Value| {
        let features = target["required-features"].as_array();
        features.is_some_and(|features| features.iter().any(|feature| feature == "test-hooks"))
    };
    let tests = targets.iter().filter(|target| target["kind"][0] == "test").filter(needs_hooks);
    Ok(tests.filter_map(|test| Some(test["name"].as_str()?.to_string())).collect())
}

fn docs(running: &mut Running) -> Result<()> {
    // What users see, then what developers see: links to private items are an error
    // in the first and fine in the second.
    for private in [&[][..], &["--document-private-items"]] {
        let mut command = locked("doc");
        command.args(["--workspace", "--no-deps"]).args(private);
        running.run(deny_rustdoc_warnings(command))?;
    }
    Ok(())
}

fn deny_rustdoc_warnings(mut command: Command) -> Command {
    let flags = std::env::var("RUSTDOCFLAGS").unwrap_or_default();
    command.env("RUSTDOCFLAGS", format!("{flags} -Dwarnings").trim_start());
    command
}

fn codegen(running: &mut Running) -> Result<()> {
    running.run(cargo::xtask("codegen")?)
}

fn loom(running: &mut Running) -> Result<()> {
    running.run(loom::clippy()?)?;
    running.run_tests(loom::course()?)?;
    running.run_tests(loom::models("ci")?)
}

fn shuttle(running: &mut Running) -> Result<()> {
    running.run(shuttle::clippy()?)?;
    running.run_tests(shuttle::tests(false)?)
}
