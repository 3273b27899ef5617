//! Files and descriptors that are no proper segment, and what is said of them.

// Each test binary uses its own part of this.
#![allow(dead_code, unused_imports)]

pub mod spot;
#[cfg(feature = "test-hooks")]
pub mod words;

pub use spot::{SPOTS, Spot, Traits};
#[cfg(feature = "test-hooks")]
pub use words::Words;

use std::io;

use annulus::{Error, Field, Found};

/// An error, so that it can be compared.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    /// This differs; found, expected.
    Mismatch(Field, Found, Found),
    /// A word that no correct peer writes.
    Corrupt(&'static str, u64),
    /// Something stands there.
    AlreadyExists,
    /// Nothing stands there.
    NotFound,
    /// The kernel's word.
    Os(Option<i32>),
    /// Anything else, in words.
    Other(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Mismatch { field, found, expected } => Self::Mismatch(field, found, expected),
            Error::Corrupt(corrupt) => Self::Corrupt(corrupt.word, corrupt.value),
            Error::AlreadyExists { .. } => Self::AlreadyExists,
            Error::NotFound { .. } => Self::NotFound,
            Error::Os { source, .. } => Self::Os(source.raw_os_error()),
            other => Self::Other(other.to_string()),
        }
    }
}

/// The refusal that a result is.
///
/// # Panics
/// If it is none.
pub fn refusal<R>(result: Result<R, Error>) -> Refusal {
    match result {
        Ok(_) => panic!("not refused"),
        Err(error) => error.into(),
    }
}

/// The refusal for a length.
pub fn too_short(len: u64) -> Refusal {
    Refusal::Mismatch(Field::Length, Found::Number(len), Found::Text("a whole segment"))
}

/// The refusal for what is no file.
pub fn no_file(found: &'static str) -> Refusal {
    Refusal::Mismatch(Field::FileType, Found::Text(found), Found::Text("a regular file"))
}
