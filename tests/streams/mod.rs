//! What the tests of the byte stream share: bytes told by their position, and places.
//!
//! ```text
//!   position ──▶ byte      whoever has a byte knows which one it should be
//! ```

// Each test binary uses its own part of this.
#![allow(dead_code)]

pub mod site;

/// The byte at a position.
pub fn byte(position: u64) -> u8 {
    mix(position / 8).to_le_bytes()[(position % 8) as usize]
}

/// The bytes from a position on.
pub fn bytes(position: u64, len: usize) -> Vec<u8> {
    (position..).map(byte).take(len).collect()
}

/// Fails unless these are the bytes from a position on.
///
/// # Panics
/// Then, with the first that is another.
pub fn check(position: u64, found: &[u8]) {
    let wrong = (position..).zip(found).find(|(at, found)| byte(*at) != **found);
    assert!(wrong.is_none(), "another byte at {wrong:?}, of those from {position}");
}

/// A number told by another: the end of splitmix64.
pub fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A piece's length at a position: odd ones, from 1 to `most`.
pub fn piece(position: u64, most: usize) -> usize {
    1 + (mix(position ^ 0x5eed) % most as u64) as usize
}
