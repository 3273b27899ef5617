//! `cargo xtask asan`: the library's tests under AddressSanitizer, leaks included.
//!
//! The compiler's checks stand in every access that is not an atomic or a copy of the
//! crate's own assembly; of those the ends are bounded by the checks before them, which the
//! lying-memory tests try. A fault that a test asks for is its own to handle.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::cargo;
use crate::depth::{self, Need};
use crate::process::{self, Job, Log};

/// A target has to be named, or build scripts would be instrumented too.
const TARGET: &str = "x86_64-unknown-linux-gnu";

const NEEDS: &[Need] = &[Need {
    test: &["rustup", "run", "nightly", "rustc", "--version"],
    remedy: "rustup toolchain install nightly",
}];

/// Rings against their models, guards, and memory that lies.
const SAMPLE: &[&str] = &[
    "smoke",
    "oracle_lent",
    "oracle_bytes",
    "broadcast_lies",
    "mpmc_hostile",
    "stream_hostile",
    "trust",
    "frames_hooks",
];

/// The same with the long ones, and whatever maps, parses and guards.
const ALL: &[&str] = &[
    "smoke",
    "bytes",
    "oracle",
    "oracle_lent",
    "oracle_bytes",
    "oracle_positions",
    "stream",
    "stream_oracle",
    "mpmc",
    "mpmc_oracle",
    "broadcast",
    "broadcast_oracle",
    "frames",
    "frames_hooks",
    "waitset",
    "hooks_lies",
    "stream_lies",
    "broadcast_lies",
    "mpmc_hostile",
    "stream_hostile",
    "segment_header",
    "segment_kinds",
    "segment_making",
    "segment_mapping",
    "segment_memfd",
    "segment_observer",
    "sigbus",
    "sigbus_chain",
    "stream_sigbus",
    "trust",
    "seats",
    "seats_fork",
];

/// Runs; whether all passed.
pub fn main(options: &depth::Options) -> Result<bool> {
    depth::require(NEEDS)?;
    let mut command = Command::new("rustup");
    command
        .current_dir(cargo::root())
        .args(["run", "nightly", "cargo", "test", "--no-fail-fast", "--target", TARGET])
        .args(["--package", "annulus", "--features", "test-hooks"])
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("RUSTFLAGS", "-Zsanitizer=address")
        // Where it was is wanted when it fails.
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        // Tests that truncate a file under a mapping expect the signal themselves.
        .env("ASAN_OPTIONS", "detect_leaks=1:handle_sigbus=0:detect_stack_use_after_return=1");
    let files = options.files(SAMPLE, Some(ALL)).unwrap_or_default();
    command.args(files.iter().flat_map(|file| ["--test", file]));
    let limit = Duration::from_secs(2 * 60 * 60);
    let ended = process::run(Job::new(command, limit), &mut Log::terminal())?;
    Ok(depth::close("asan", ended.tests, 0, ended.failure()))
}
