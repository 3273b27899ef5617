//! What tests have left in /dev/shm.

use std::fs;
use std::path::Path;

/// What the names of tests begin with (tests/support/names.rs); the pid follows.
const PREFIX: &str = "annulus-test-";

/// Removes the files of tests whose process has ended, and names them.
///
/// A test's name holds its pid, so those of a test that runs now elsewhere stay.
pub fn take() -> Vec<String> {
    let folder = Path::new("/dev/shm");
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let left: Vec<_> = names.filter(|name| is_of_a_dead_test(name)).collect();
    for name in &left {
        // A neighbour's, if it can't be removed; named all the same.
        let _ = fs::remove_file(folder.join(name));
    }
    left
}

fn is_of_a_dead_test(name: &str) -> bool {
    let Some((_, rest)) = name.split_once(PREFIX) else {
        return false;
    };
    let pid = rest.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
    pid.is_none_or(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_living_and_of_others_stay() {
        let own = std::process::id();
        assert!(!is_of_a_dead_test(&format!("{PREFIX}{own}-00")));
        assert!(!is_of_a_dead_test("somebody-else"));
        // Above the kernel's highest pid.
        assert!(is_of_a_dead_test(&format!("{PREFIX}4194305-00")));
        assert!(is_of_a_dead_test(&format!(".tmp-{PREFIX}4194305-00")));
    }
}
