//! The words of a header, to be patched.

use annulus::hooks::{FORMAT, HEADER, checksum};

/// A segment's bytes, by words.
#[derive(Clone)]
pub struct Words(pub Vec<u8>);

/// Offset of a header word.
pub fn offset(name: &str) -> usize {
    let found = HEADER.iter().find(|(_, known)| *known == name);
    found.expect("a word of the header").0
}

/// A constant of the format.
pub fn constant(name: &str) -> u64 {
    let found = FORMAT.iter().find(|(known, _)| *known == name);
    found.expect("a constant of the format").1
}

impl Words {
    /// The word at an offset.
    pub fn at(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.0[offset..offset + 8].try_into().unwrap())
    }

    /// A header word.
    pub fn get(&self, name: &str) -> u64 {
        self.at(offset(name))
    }

    /// Sets the word at an offset.
    pub fn set_at(&mut self, offset: usize, value: u64) {
        self.0[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Sets a header word, the checksum left as it was.
    pub fn set(&mut self, name: &str, value: u64) {
        self.set_at(offset(name), value);
    }

    /// The checksum that the header should have.
    pub fn checksum(&self) -> u64 {
        let (first, end) = (offset("version"), offset("checksum"));
        let words: Vec<_> = (first..end).step_by(8).map(|at| self.at(at)).collect();
        checksum(&words)
    }

    /// Makes the checksum right.
    pub fn sign(&mut self) {
        self.set("checksum", self.checksum());
    }
}
