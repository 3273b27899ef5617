//! Names that nobody else has, for what must have one for a moment.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// `annulus-measure-` and 16 random digits.
pub(crate) fn random() -> String {
    format!("annulus-measure-{:016x}", number())
}

/// A random number; seeded by the system.
pub(crate) fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_differ() {
        let names: std::collections::HashSet<_> = (0..100).map(|_| super::random()).collect();
        assert_eq!(names.len(), 100);
    }
}
