//! `cargo xtask bits32`: 32-bit processes, by themselves and beside 64-bit ones.
//!
//! ```text
//!   tests/mixed_bits.rs, 64-bit ── ANNULUS_OTHER_BITS ──▶ the same, 32-bit
//!        │ parent, children                                   │ children
//!        └───────────────── one segment ──────────────────────┘
//! ```

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cargo;
use crate::depth::{self, Need};
use crate::process::{self, Job, Log, Tests};

const TARGET: &str = "i686-unknown-linux-gnu";
/// The test of both widths.
const MIXED: &str = "mixed_bits";

const NEEDS: &[Need] = &[
    Need {
        test: &[
            "sh",
            "-c",
            "test -d $(rustc --print=target-libdir --target i686-unknown-linux-gnu)",
        ],
        remedy: "rustup target add i686-unknown-linux-gnu",
    },
    Need {
        test: &["sh", "-c", "echo 'int main(void){return 0;}' | cc -m32 -x c - -o /dev/null"],
        remedy: "apt-get install gcc-multilib (or, beside other cross compilers, libc6-dev-i386 lib32gcc-12-dev)",
    },
];

/// 32-bit processes among themselves: every ring against its model, and memory that lies.
const SAMPLE: &[&str] =
    &["smoke", "oracle_bytes", "stream", "mpmc", "seats_ends", "waitset", "frames"];

const LOCKS: &str = "it looks at locks beyond 2^31 through the C library";

/// Files of tests/ that are not built for 32 bits, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    (MIXED, "it runs with both widths"),
    ("rooms", "it reads sources"),
    ("format", LOCKS),
    ("seats", LOCKS),
    ("segment_unused_moments", LOCKS),
    ("sigbus", "it cuts files by 64-bit lengths through the C library"),
    ("waiting_storms", "it sets timers by 64-bit numbers through the C library"),
];

const NUMBERS: &str =
    "it looks for the number of the wide futex call in /proc, which is another there";
const ALIGNED: &str = "it takes 8-byte numbers for aligned to 8, and they are aligned to 4 there";
const WIDE_C: &str = "the C program is compiled for 64 bits, whose semaphores are other ones";

/// Tests of the other files that can't be run there, and why.
const LEFT_OUT_TESTS: &[(&str, &str)] = &[
    (
        "a_sparse_file_is_refused_without_being_given_memory",
        "a TiB, which the test's file is long, does not fit the address space",
    ),
    ("an_impossible_alignment_is_refused_and_so_is_another", ALIGNED),
    ("messages_of_another_alignment_are_refused", ALIGNED),
    ("alignments_of_4_and_8_are_one_to_those_who_agree_on_the_type", ALIGNED),
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
    ("a_wait_is_rescued_by_a_slice_only_when_its_notifier_was_killed", NUMBERS),
    ("a_c_program_receives_by_semaphore", WIDE_C),
    ("a_c_program_sends_by_semaphore", WIDE_C),
];

/// Runs; whether all passed.
pub fn main(options: &depth::Options) -> Result<bool> {
    depth::require(NEEDS)?;
    let mut tests = Tests::default();
    let mut command = cargo_test();
    command.arg("--no-fail-fast").args(["--target", TARGET]);
    let files = options.files(SAMPLE, None).map_or_else(all, Ok)?;
    let mixed = options.files.is_empty() || files.iter().any(|file| file == MIXED);
    let alone: Vec<_> = files.iter().filter(|file| *file != MIXED).collect();
    let mut failure = None;
    if !alone.is_empty() {
        command.args(alone.iter().flat_map(|file| ["--test", file.as_str()]));
        command.args(["--", "--exact"]);
        for (test, why) in LEFT_OUT_TESTS {
            println!("left out: {test}: {why}");
            command.args(["--skip", test]);
        }
        let ended = process::run(Job::new(command, LIMIT), &mut Log::terminal())?;
        println!("figure: bits32 tests of 32 bits alone passed = {}", ended.tests.passed);
        tests.add(ended.tests);
        failure = ended.failure();
    }
    if mixed {
        let mut command = cargo_test();
        command.args(["--test", MIXED]).env("ANNULUS_OTHER_BITS", other()?);
        // Here it is there.
        command.env("ANNULUS_REQUIRE", "all");
        let ended = process::run(Job::new(command, LIMIT), &mut Log::terminal())?;
        println!("figure: bits32 tests of both widths passed = {}", ended.tests.passed);
        tests.add(ended.tests);
        failure = failure.or(ended.failure());
    }
    Ok(depth::close("bits32", tests, LEFT_OUT_TESTS.len(), failure))
}

/// All files of tests/ but those that are left out.
fn all() -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(cargo::root().join("tests"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let is_test = path.extension().is_some_and(|extension| extension == "rs");
        match LEFT_OUT.iter().find(|(file, _)| *file == name) {
            Some((file, why)) => println!("left out: {file}: {why}"),
            None if is_test => files.push(name),
            None => {}
        }
    }
    files.sort();
    Ok(files)
}

const LIMIT: Duration = Duration::from_secs(60 * 60);

fn cargo_test() -> Command {
    let mut command = cargo::locked("test");
    command.args(["--package", "annulus", "--features", "test-hooks"]);
    command
}

/// Builds the 32-bit one; where it is.
fn other() -> Result<PathBuf> {
    let mut command = cargo_test();
    command.args(["--no-run", "--message-format=json", "--test", MIXED, "--target", TARGET]);
    let messages = cargo::stdout(&mut command)?;
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let path = built
        .filter(|message| message["target"]["name"] == MIXED)
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    let path = path.context("cargo built no 32-bit test")?;
    ensure!(path.is_file(), "{} is not there", path.display());
    Ok(path)
}
