//! Messages that tell their number, their sender and whether they are whole.

use annulus_prove::fleet::mix;

/// A message of `N` words: its number, its sender's life, and words told by both.
pub type Letter<const N: usize> = [u64; N];

/// The message of a number.
#[inline]
pub fn letter<const N: usize>(number: u64, life: u64) -> Letter<N> {
    let mut words = [0; N];
    let check = mix(number ^ life << 40);
    for (at, word) in words.iter_mut().enumerate() {
        *word = check.wrapping_mul(2 * at as u64 + 1) ^ number;
    }
    [words[0], words[1]] = [number, life];
    words
}

/// Its number and its sender's life.
///
/// # Panics
/// If it is not whole.
#[inline]
pub fn read<const N: usize>(words: &Letter<N>) -> (u64, u64) {
    let (number, life) = (words[0], words[1]);
    assert!(*words == letter(number, life), "torn: {words:x?}");
    (number, life)
}
