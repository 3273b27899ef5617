//! `cargo xtask aarch64`: the library, its assembly and its tests for aarch64, under qemu.
//!
//! qemu on another processor shows that code, layout, system calls and the assembly copies
//! are right. It shows nothing of weak memory ordering, which is the models' part. What its
//! user mode can't do is left out, by name and with the reason (`--left-out` runs just
//! that, and fails if any of it has come to work).

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::cargo;
use crate::depth::{self, Need};
use crate::process::{self, Job, Log};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const QEMU: &str = "qemu-aarch64-static";
/// Where Debian's cross packages put that processor's C library.
const PREFIX: &str = "/usr/aarch64-linux-gnu";

/// The arguments of `cargo xtask aarch64`.
#[derive(clap::Args)]
#[group(skip)]
pub struct Options {
    #[command(flatten)]
    depth: depth::Options,
    /// Run what is left out under qemu, and fail if any of it passes.
    #[arg(long)]
    left_out: bool,
}

/// The machine's own commands and files.
const NEEDS: &[Need] = &[
    Need {
        test: &[
            "sh",
            "-c",
            "test -d $(rustc --print=target-libdir --target aarch64-unknown-linux-gnu)",
        ],
        remedy: "rustup target add aarch64-unknown-linux-gnu",
    },
    Need {
        test: &[LINKER, "--version"],
        remedy: "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    },
    Need { test: &[QEMU, "--version"], remedy: "apt-get install qemu-user-static" },
];

/// Every ring against its model, messages of every length through the assembly, seats, and
/// processes that wait for one another.
const SAMPLE: &[&str] = &[
    "smoke",
    "oracle_bytes",
    "oracle_lent",
    "stream",
    "mpmc",
    "broadcast",
    "frames",
    "seats",
    "waitset",
];

const NO_WIPE: &str = "qemu's madvise says yes to anything and does not wipe pages on fork";
const NUMBERS: &str =
    "the test knows sleepers by their system call's number, and /proc has the host's";

/// What qemu's user mode can't do: test, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("an_mpmc_rings_handles_in_a_forked_child_refuse_and_change_no_word", NO_WIPE),
    ("a_forked_child_ends_neither_a_guard_nor_a_reservation_of_its_parent", NO_WIPE),
    ("a_forked_childs_handles_refuse_and_disturb_nothing", NO_WIPE),
    ("a_forked_child_ends_neither_exposed_nor_reserved_bytes_of_its_parents_stream", NO_WIPE),
    ("a_streams_handles_in_a_forked_child_refuse_and_disturb_nothing", NO_WIPE),
    (
        "a_sparse_file_is_refused_without_being_given_memory",
        "qemu can't map the TiB that the test's file is long",
    ),
    (
        "faults_of_other_memory_go_to_the_earlier_handler",
        "under qemu a fault whose signal is ignored is repeated for ever",
    ),
    (
        "a_receiver_asleep_on_an_empty_stream_is_woken_by_bytes_by_an_end_and_by_a_cancellation",
        NUMBERS,
    ),
    ("a_receiver_asleep_on_an_empty_stream_is_woken_by_the_senders_death", NUMBERS),
    ("a_sender_asleep_on_a_full_stream_is_woken_by_room_by_an_end_and_by_a_cancellation", NUMBERS),
    ("a_sender_asleep_on_a_full_stream_is_woken_by_the_receivers_death", NUMBERS),
    (
        "one_who_waits_for_a_peer_is_woken_when_it_comes_and_does_not_wait_for_one_who_is_gone",
        NUMBERS,
    ),
    ("whoever_is_killed_asleep_in_a_stream_leaves_a_peer_that_is_told", NUMBERS),
    ("sleeps_are_timed_by_the_monotonic_clock", NUMBERS),
    ("whoever_is_killed_asleep_leaves_an_event_that_works", NUMBERS),
];

/// What qemu's user mode can do most of the time only.
const UNSTEADY: &[(&str, &str)] = &[(
    "crashes_and_newcomers_by_the_hundred_leak_no_seats_descriptors_or_files",
    "a child that is forked by one of several threads can find qemu's own locks taken for ever",
)];

/// Runs; whether all that can run there passed.
pub fn main(options: &Options) -> Result<bool> {
    depth::require(NEEDS)?;
    if options.left_out {
        return left_out();
    }
    let mut command = cargo_test();
    match options.depth.files(SAMPLE, None) {
        Some(files) => command.args(files.iter().flat_map(|file| ["--test", file])),
        // The examples start themselves again, which takes a machine that runs them.
        None => command.args(["--lib", "--test", "*"]),
    };
    command.args(["--", "--exact"]);
    for (test, why) in LEFT_OUT.iter().chain(UNSTEADY) {
        println!("left out: {test}: {why}");
        command.args(["--skip", test]);
    }
    let limit = Duration::from_secs(3 * 60 * 60);
    let ended = process::run(Job::new(command, limit), &mut Log::terminal())?;
    Ok(depth::close("aarch64", ended.tests, LEFT_OUT.len() + UNSTEADY.len(), ended.failure()))
}

/// Runs what is left out: all of it must fail.
fn left_out() -> Result<bool> {
    let mut command = cargo_test();
    command.args(["--test", "*", "--", "--exact"]).args(LEFT_OUT.iter().map(|(test, _)| test));
    let limit = Duration::from_secs(60 * 60);
    let ended = process::run(Job::new(command, limit), &mut Log::terminal())?;
    let all = u64::try_from(LEFT_OUT.len())?;
    println!("left out: {} of {all} fail, {} pass", ended.tests.failed, ended.tests.passed);
    Ok(ended.tests.failed == all && ended.tests.passed == 0)
}

fn cargo_test() -> Command {
    let mut command = cargo::locked("test");
    command
        .args(["--no-fail-fast", "--package", "annulus", "--features", "test-hooks"])
        .args(["--target", TARGET])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", QEMU)
        // Children of tests are started by it too.
        .env("ANNULUS_CHILD_RUNNER", QEMU)
        .env("QEMU_LD_PREFIX", PREFIX);
    command
}
