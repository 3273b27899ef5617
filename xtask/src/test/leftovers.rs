//! What the tests of this run have left in /dev/shm.

use std::fs;
use std::path::Path;

/// Tells tests the mark of the run; it ends up in their names (tests/support/names.rs).
pub const VARIABLE: &str = "ANNULUS_TEST_RUN";

/// A mark that no other run has.
pub fn mark() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = now.map_or(0, |now| now.as_nanos() as u64);
    format!("run{:x}x{nanoseconds:x}", std::process::id())
}

/// Removes the files whose names have the mark, and names them.
pub fn take(mark: &str) -> Vec<String> {
    take_from(Path::new("/dev/shm"), mark)
}

fn take_from(folder: &Path, mark: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let left: Vec<_> = names.filter(|name| name.contains(mark)).collect();
    for name in &left {
        // Named all the same if it can't be removed.
        let _ = fs::remove_file(folder.join(name));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_this_run_are_taken_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mark = mark();
        let (own, other) = (format!("annulus-test-1-00-{mark}"), "annulus-test-1-00");
        for name in [&own, other] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(take_from(folder.path(), &mark), [own]);
        assert!(take_from(folder.path(), &mark).is_empty());
        assert!(folder.path().join(other).exists());
    }
}
