//! What the messages carry, so that every transport moves bytes and none only indices.
//!
//! Message `n` carries `n + i` in its `i`-th marked word. All words are marked up to
//! [`FULLY_MARKED`] words, above that the first word of each 64-byte line: the sender
//! writes and the receiver reads every line of every message.

use zerocopy::{FromZeros, IntoBytes};

use crate::Error;

/// Up to this many words (56 bytes), every word is written and checked.
pub const FULLY_MARKED: usize = 7;

/// Words from one marked word to the next, in messages of `words` words.
const fn stride(words: usize) -> usize {
    if words <= FULLY_MARKED { 1 } else { 8 }
}

/// Writes message `number`'s marks.
#[inline(always)]
pub fn mark<const W: usize>(message: &mut [u64; W], number: u64) {
    for (index, word) in message.iter_mut().step_by(stride(W)).enumerate() {
        *word = number.wrapping_add(index as u64);
    }
}

/// Checks that these are message `number`'s marks.
#[inline(always)]
pub fn check<const W: usize>(message: &[u64; W], number: u64) -> Result<(), Error> {
    let mut difference = 0;
    for (index, word) in message.iter().step_by(stride(W)).enumerate() {
        difference |= word ^ number.wrapping_add(index as u64);
    }
    if difference == 0 { Ok(()) } else { Err(blame(message, number)) }
}

#[cold]
#[inline(never)]
fn blame(message: &[u64], number: u64) -> Error {
    let stride = stride(message.len());
    let expected = |index: usize| number.wrapping_add(index as u64);
    let wrong = message
        .iter()
        .step_by(stride)
        .enumerate()
        .find(|&(index, &word)| word != expected(index))
        .map_or((0, message[0]), |(index, &word)| (index, word));
    Error::Payload {
        message: number,
        word: wrong.0 * stride,
        found: wrong.1,
        expected: expected(wrong.0),
    }
}

/// The sum of the first word of each line: the cheapest proof that a receiver has
/// touched all of a file's part. A last, incomplete word counts as if zero-filled.
#[inline]
pub fn line_sum(bytes: &[u8]) -> u64 {
    let (lines, rest) = bytes.as_chunks::<64>();
    let first = |line: &[u8]| {
        let mut word = [0; 8];
        let len = line.len().min(8);
        word[..len].copy_from_slice(&line[..len]);
        u64::from_le_bytes(word)
    };
    lines.iter().fold(first(rest), |sum, line| {
        sum.wrapping_add(u64::from_le_bytes([
            line[0], line[1], line[2], line[3], line[4], line[5], line[6], line[7],
        ]))
    })
}

/// A message that begins on a line of its own, as the buffers of all transports do:
/// where a buffer happens to lie must not decide a comparison.
#[derive(FromZeros)]
#[repr(C, align(64))]
pub struct Aligned<const W: usize>(pub [u64; W]);

impl<const W: usize> Aligned<W> {
    /// A zeroed message on the heap, never on the stack on its way there.
    pub fn boxed() -> Box<Aligned<W>> {
        Aligned::new_box_zeroed().expect("memory for one message")
    }

    /// Its bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_mut_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_marked_word_counts<const W: usize>() {
        let mut message = [0; W];
        mark(&mut message, 41);
        check(&message, 41).unwrap();
        assert!(check(&message, 42).is_err(), "another message's number");
        for index in (0..W).step_by(stride(W)) {
            let mut damaged = message;
            damaged[index] ^= 1 << 40;
            match check(&damaged, 41) {
                Err(Error::Payload { message: 41, word, .. }) => assert_eq!(word, index),
                other => panic!("word {index} of {W}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_any_marked_word_is_named() {
        every_marked_word_counts::<1>();
        every_marked_word_counts::<7>();
        every_marked_word_counts::<8>();
        every_marked_word_counts::<32>();
        every_marked_word_counts::<512>();
    }

    #[test]
    fn line_sum_sees_every_line_and_the_rest() {
        let mut bytes: Vec<u8> = (0..200u8).collect();
        let sum = line_sum(&bytes);
        for line in (0..200).step_by(64) {
            bytes[line] ^= 0x80;
            assert_ne!(line_sum(&bytes), sum, "line at {line}");
            bytes[line] ^= 0x80;
        }
        assert_eq!(line_sum(&bytes), sum);
        assert_eq!(line_sum(&[]), 0);
        assert_eq!(line_sum(&[7]), 7);
    }
}
