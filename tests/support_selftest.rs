//! The helpers of tests/support do what they say: above all, they fail when they should.

mod support;

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;

use support::{Family, Role, Snapshot, random_name};

support::roles! {
    answers, fails, hangs, works, takes_descriptors, is_a_parent, skips, fills_shm, leaks,
}

fn answers(role: &mut Role) {
    let twice: u64 = 2 * role.parse::<u64>(0);
    assert_eq!(role.argument(1), "a b");
    role.say(&twice.to_string());
    role.expect("go");
    role.say("gone");
}

#[test]
fn a_child_takes_arguments_and_answers() {
    let family = Family::new();
    let mut child = family.child(answers).arg(21).arg("a b").spawn();
    child.expect("42");
    child.say("go");
    child.expect("gone");
    child.wait_ok();
}

fn fails(role: &mut Role) {
    role.say("ready");
    panic!("as it was told");
}

#[test]
fn a_failed_child_fails_its_test_with_what_it_printed() {
    let family = Family::new();
    let mut child = family.child(fails).spawn();
    child.expect("ready");
    let message = panic_of(|| child.wait_ok());
    assert!(message.contains("as it was told"), "{message}");
    assert!(message.contains("exit status: 101"), "{message}");
}

#[test]
fn a_child_that_says_nothing_more_is_described() {
    let family = Family::new();
    let mut child = family.child(fails).spawn();
    child.expect("ready");
    let message = panic_of(|| drop(child.hear()));
    assert!(message.contains("as it was told"), "{message}");
    assert!(message.contains("exit status: 101"), "{message}");
}

#[test]
fn a_role_that_is_not_declared_is_refused() {
    fn undeclared(_: &mut Role) {}
    let family = Family::new();
    let message = panic_of(|| family.child(undeclared).spawn().wait_ok());
    assert!(message.contains("`undeclared` is not among roles!"), "{message}");
}

fn hangs(role: &mut Role) {
    role.counter("sent").add(7);
    role.say("ready");
    loop {
        std::thread::park();
    }
}

#[test]
fn the_watchdog_prints_the_state_and_aborts() {
    let family = Family::new();
    let limit = Duration::from_millis(200);
    let mut child = family.child(hangs).watchdog(limit).spawn();
    child.wait_signalled(Signal::SIGABRT);
    let output = child.output();
    assert!(output.contains("`hangs` made no progress for 200ms"), "{output}");
    assert!(output.contains("sent=7"), "{output}");
    assert!(output.contains("syscall"), "{output}");
}

fn works(role: &mut Role) {
    let steps = role.counter("steps");
    role.say("ready");
    for _ in 0..role.parse(0) {
        steps.add(1);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_watchdog_leaves_alone_who_works_or_is_stopped() {
    let family = Family::new();
    let limit = Duration::from_millis(300);
    let mut child = family.child(works).arg(100).watchdog(limit).spawn();
    child.expect("ready");
    child.stop();
    std::thread::sleep(2 * limit);
    child.resume();
    child.wait_ok();
}

#[test]
fn a_child_that_outstays_its_deadline_is_killed_and_described() {
    let family = Family::new();
    let mut child = family.child(hangs).watchdog(Duration::ZERO).spawn();
    child.expect("ready");
    child.set_deadline(Duration::from_millis(100));
    let start = Instant::now();
    let message = panic_of(|| assert!(child.wait().success()));
    assert!(start.elapsed() < Duration::from_secs(5));
    for part in ["did not end in 100ms", "State:", "wchan", "running 1 test"] {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
    child.wait_signalled(Signal::SIGKILL);
}

fn is_a_parent(role: &mut Role) {
    let family = Family::new();
    let mut grandchild = family.child(hangs).watchdog(Duration::ZERO);
    if role.argument(0) == "private" {
        grandchild = grandchild.private_shm(1 << 20);
    }
    match grandchild.try_spawn() {
        Ok(mut grandchild) => {
            grandchild.expect("ready");
            role.say(&grandchild.pid().to_string());
            role.hear();
        }
        Err(unavailable) => role.say(&format!("skip: {unavailable}")),
    }
}

/// The pid of a grandchild whose parent was killed, and whether it is gone in time;
/// or why there was none.
fn orphan(kind: &str) -> Result<bool, String> {
    let family = Family::new();
    let mut child = family.child(is_a_parent).arg(kind).spawn();
    let line = child.hear();
    let Ok(grandchild) = line.parse::<u32>() else {
        return Err(line);
    };
    assert!(support::lives(grandchild));
    child.kill();
    let start = Instant::now();
    while support::lives(grandchild) {
        if start.elapsed() > Duration::from_secs(5) {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(true)
}

#[test]
fn an_orphan_dies_with_its_parent() {
    assert_eq!(orphan("plain"), Ok(true));
}

#[test]
fn an_orphan_with_a_private_mount_dies_with_its_parent() {
    match orphan("private") {
        Ok(died) => assert!(died),
        Err(why) => support::skip!("{why}"),
    }
}

#[test]
fn a_child_dies_when_it_is_dropped() {
    let family = Family::new();
    let mut child = family.child(hangs).spawn();
    child.expect("ready");
    let pid = child.pid();
    drop(child);
    assert!(!support::lives(pid));
}

fn takes_descriptors(role: &mut Role) {
    let inherited = role.inherited();
    assert_eq!(contents(inherited), "inherited");
    let (line, passed) = role.hear_with_fd();
    assert_eq!((line.as_str(), contents(passed).as_str()), ("here", "passed"));
    role.say_with_fd("back", memfd("returned").as_fd());
}

#[test]
fn descriptors_are_inherited_and_passed_both_ways() {
    let family = Family::new();
    let mut child = family.child(takes_descriptors).inherit(memfd("inherited").as_fd()).spawn();
    child.say_with_fd("here", memfd("passed").as_fd());
    let (line, returned) = child.hear_with_fd();
    assert_eq!((line.as_str(), contents(returned).as_str()), ("back", "returned"));
    child.wait_ok();
}

fn memfd(text: &str) -> OwnedFd {
    let descriptor = memfd_create("annulus-test", MFdFlags::MFD_CLOEXEC).unwrap();
    let mut file = File::from(descriptor);
    file.write_all(text.as_bytes()).unwrap();
    file.into()
}

fn contents(descriptor: OwnedFd) -> String {
    let mut file = File::from(descriptor);
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

fn skips(_: &mut Role) {
    support::skip!("no {}", "luck");
}

#[test]
fn a_skip_is_printed_and_logged() {
    let family = Family::new();
    let log = tempfile::NamedTempFile::new().unwrap();
    for _ in 0..2 {
        let child = family.child(skips).env("ANNULUS_SKIP_LOG", log.path());
        let mut child = child.env("ANNULUS_REQUIRE", "").spawn();
        child.wait_ok();
        let output = child.output();
        assert!(output.contains("skipped support_selftest::skips: no luck"), "{output}");
    }
    let line = "support_selftest::skips: no luck\n";
    assert_eq!(fs::read_to_string(log.path()).unwrap(), line.repeat(2));
}

#[test]
fn a_skip_fails_where_all_is_required() {
    let family = Family::new();
    let log = tempfile::NamedTempFile::new().unwrap();
    let child = family.child(skips).env("ANNULUS_SKIP_LOG", log.path());
    let mut child = child.env("ANNULUS_REQUIRE", "all").spawn();
    assert_eq!(child.wait().code(), Some(101));
    assert!(child.output().contains("no luck"), "{}", child.output());
    assert_eq!(fs::read_to_string(log.path()).unwrap(), "");
}

fn fills_shm(role: &mut Role) {
    let path = Path::new("/dev/shm").join(role.argument(0));
    let mut file = File::create(&path).unwrap();
    let error = file.write_all(&vec![1; 2 << 20]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    role.say("full");
    role.hear();
}

#[test]
fn a_private_shm_is_small_and_private() {
    let family = Family::new();
    let name = random_name();
    let child = family.child(fills_shm).arg(&name).private_shm(1 << 20);
    let mut child = match child.try_spawn() {
        Ok(child) => child,
        Err(unavailable) => support::skip!("{unavailable}"),
    };
    child.expect("full");
    assert!(name.leftovers().is_empty());
    child.say("end");
    child.wait_ok();
}

#[test]
fn a_name_removes_what_stands_under_it() {
    let name = random_name();
    assert!(name.starts_with(&format!("annulus-test-{}-", std::process::id())));
    let path = Path::new("/dev/shm").join(&*name);
    fs::write(&path, "left over").unwrap();
    assert_eq!(name.leftovers(), [name.to_string()]);
    drop(name);
    assert!(!path.exists());
}

fn leaks(role: &mut Role) {
    let before = Snapshot::take();
    Snapshot::take().assert_no_more_than(&before);

    let name = random_name();
    let file = File::create_new(Path::new("/dev/shm").join(&*name)).unwrap();
    file.set_len(4096).unwrap();
    let shared = memmap2::MmapOptions::new().map_raw_read_only(&file);
    let more = Snapshot::take().more_than(&before);
    let kinds = ["descriptor of /dev/shm", "mapping r--s of 4096", "file annulus-test-"];
    for kind in kinds {
        let found = more.iter().filter(|thing| thing.contains(kind)).count();
        assert_eq!(found, 1, "{kind}: {more:?}");
    }
    assert_eq!(more.len(), kinds.len(), "{more:?}");

    drop((shared, file, name));
    Snapshot::take().assert_no_more_than(&before);
    role.say("no leak");
}

#[test]
fn what_is_held_is_counted() {
    let family = Family::new();
    let mut child = family.child(leaks).spawn();
    child.expect("no leak");
    child.wait_ok();
}

/// What `body` panics with.
fn panic_of(body: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(body)).expect_err("it did not panic");
    *payload.downcast::<String>().expect("a formatted message")
}
