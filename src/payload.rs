//! What a ring carries, and how far its peers are trusted. Imports: layout, slots.

use crate::message::Message;
use crate::segment::Format;
use crate::slots::{Bytes, Fixed};

/// What a ring carries: fixed-size messages ([`Message`]) or byte messages (`[u8]`).
pub trait Payload: sealed::Sealed + 'static {}

pub(crate) mod sealed {
    use super::Format;

    /// The part of `Payload` that is this crate's own.
    pub trait Sealed {
        /// The shape of its slots.
        #[doc(hidden)]
        type Shape: crate::slots::Shape;
        /// Whether these are byte messages.
        #[doc(hidden)]
        const BYTES: bool;
        /// Bytes before the payload: the length of a byte message.
        #[doc(hidden)]
        const PREFIX: usize = if Self::BYTES { 8 } else { 0 };
        /// Message size in bytes, if it is a constant.
        #[doc(hidden)]
        const SIZE: Option<usize>;
        /// Message alignment in bytes.
        #[doc(hidden)]
        const ALIGN: usize;
        /// The shape in a segment of this format.
        #[doc(hidden)]
        fn shape(format: &Format) -> Self::Shape;
    }
}

impl<T: Message> Payload for T {}

impl<T: Message> sealed::Sealed for T {
    type Shape = Fixed<T>;
    const BYTES: bool = false;
    const SIZE: Option<usize> = Some(size_of::<T>());
    const ALIGN: usize = align_of::<T>();

    fn shape(_: &Format) -> Fixed<T> {
        Fixed::NEW
    }
}

impl Payload for [u8] {}

impl sealed::Sealed for [u8] {
    type Shape = Bytes;
    const BYTES: bool = true;
    const SIZE: Option<usize> = None;
    const ALIGN: usize = 8;

    fn shape(format: &Format) -> Bytes {
        Bytes::new(format.shape())
    }
}

/// Whether guards lend memory ([`Trusted`]) or copy ([`Copying`]).
pub trait Trust: trust::Sealed + Send + 'static {}

mod trust {
    pub trait Sealed {}
}

/// Peers may be broken: messages are copied in and out.
#[derive(Clone, Copy, Debug)]
pub enum Copying {}

/// Peers keep the protocol: guards lend slices and references into the segment. See
/// [`Options::trust_peers`](crate::Options::trust_peers).
#[derive(Clone, Copy, Debug)]
pub enum Trusted {}

impl Trust for Copying {}
impl trust::Sealed for Copying {}
impl Trust for Trusted {}
impl trust::Sealed for Trusted {}
