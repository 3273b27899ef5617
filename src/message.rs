//! What can be a message. Imports: nothing.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A fixed-size message: plain bytes, valid whatever they are.
///
/// Implemented for every type that is [`FromBytes`], [`IntoBytes`] and [`Immutable`]:
/// numbers, arrays of them, and structures that derive the three. The bounds are what
/// makes it safe to receive from a peer that writes garbage: any bytes are a message.
///
/// ```
/// use zerocopy::{FromBytes, Immutable, IntoBytes};
///
/// #[derive(FromBytes, IntoBytes, Immutable)]
/// #[repr(C)]
/// struct Tick {
///     instrument: u32,
///     size: u32,
///     price: i64,
/// }
///
/// fn is_message<T: annulus::Message>() {}
/// is_message::<Tick>();
/// ```
pub trait Message: FromBytes + IntoBytes + Immutable + Send + 'static {}

impl<T: FromBytes + IntoBytes + Immutable + Send + 'static> Message for T {}
