//! Which cases are wanted.
//!
//! Imports: nothing of the command's.

/// Whether a filter means this case: part of its name, or all of it with `*` and `?`; or its
/// subject.
pub fn means(filter: &str, case: &str, subject: &str) -> bool {
    if filter.contains(['*', '?']) {
        return glob(filter.as_bytes(), case.as_bytes())
            || glob(filter.as_bytes(), subject.as_bytes());
    }
    case.contains(filter) || subject.contains(filter)
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skipped| glob(rest, &text[skipped..])),
        ([b'?', rest @ ..], [_, more @ ..]) => glob(rest, more),
        ([one, rest @ ..], [other, more @ ..]) => one == other && glob(rest, more),
        ([], []) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_part_or_a_pattern() {
        assert!(means("rtt/8", "spsc/rtt/8", "annulus"));
        assert!(means("unix", "unix-stream/rtt/8", "unix-stream"));
        assert!(means("annulus", "spsc/rtt/8", "annulus"));
        assert!(means("spsc/*/8", "spsc/rtt/8", "annulus"));
        assert!(means("*/rtt/?", "pipe/rtt/8", "pipe"));
        assert!(!means("spsc/*/8", "spsc/rtt/8/busy", "annulus"));
        assert!(!means("mpmc", "spsc/rtt/8", "annulus"));
    }
}
