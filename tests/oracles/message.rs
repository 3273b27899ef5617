//! Messages whose every byte is known.

use annulus::Message;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A message that must lie at a multiple of 16.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes)]
#[repr(C, align(16))]
pub struct Align16(pub [u8; 48]);

/// A message that must lie at a multiple of 128, the most there is.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes)]
#[repr(C, align(128))]
pub struct Align128(pub [u8; 256]);

/// `len` bytes, none of them zero, that differ from seed to seed.
pub fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Never zero, so that what was cleared is told from what was written.
        (state >> 32) as u8 | 1
    };
    (0..len).map(|_| next()).collect()
}

/// The message of those bytes.
pub fn from_bytes<T: Message>(bytes: &[u8]) -> T {
    T::read_from_bytes(bytes).expect("as many bytes as the message has")
}

/// The bytes of a message.
pub fn to_bytes<T: Message>(message: &T) -> Vec<u8> {
    message.as_bytes().to_vec()
}
