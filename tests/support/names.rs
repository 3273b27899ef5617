//! Names for segments that no other test has, and that leave nothing behind.

use std::fmt;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::ops::Deref;
use std::path::Path;

/// What each name of a test starts with.
pub const PREFIX: &str = "annulus-test-";

/// Where POSIX shared memory has its names.
pub const SHM: &str = "/dev/shm";

/// A name for a segment; dropped, it removes what stands under it in /dev/shm.
#[derive(Debug)]
pub struct TestName(String);

/// `annulus-test-PID-RANDOM`, of this process's pid.
///
/// `-RUN` follows if `ANNULUS_TEST_RUN` says so: `cargo xtask test` looks by it for what
/// its own tests have left.
pub fn random_name() -> TestName {
    let (pid, random) = (std::process::id(), RandomState::new().hash_one(0));
    let run = std::env::var("ANNULUS_TEST_RUN").map_or(String::new(), |run| format!("-{run}"));
    TestName(format!("{PREFIX}{pid}-{random:016x}{run}"))
}

impl TestName {
    /// Its address as POSIX shared memory: `shm:NAME`.
    pub fn shm(&self) -> String {
        format!("shm:{}", self.0)
    }

    /// What stands under it now, or under a name that contains it.
    pub fn leftovers(&self) -> Vec<String> {
        files_of(&self.0)
    }
}

impl Deref for TestName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TestName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Drop for TestName {
    fn drop(&mut self) {
        for name in self.leftovers() {
            let _ = fs::remove_file(Path::new(SHM).join(name));
        }
    }
}

/// The names in /dev/shm that contain `part`.
pub fn files_of(part: &str) -> Vec<String> {
    let entries = fs::read_dir(SHM).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.contains(part)).collect();
    names.sort();
    names
}
