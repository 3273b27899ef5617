//! How much of a thing that could go on for ever: `ANNULUS_TEST_SCALE` times the default.

/// `count`, times what `ANNULUS_TEST_SCALE` says: a number such as 10 or 0.1, 1 by default.
///
/// # Panics
/// If it is no number above zero.
pub fn scaled(count: u64) -> u64 {
    let factor = match std::env::var("ANNULUS_TEST_SCALE") {
        Ok(text) => text.parse::<f64>().ok().filter(|factor| *factor > 0.0),
        Err(_) => Some(1.0),
    };
    let factor = factor.expect("ANNULUS_TEST_SCALE is a number above zero");
    ((count as f64 * factor) as u64).max(1)
}
