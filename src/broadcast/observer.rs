//! Receiving without taking part.

use core::fmt;
use std::sync::Arc;

use super::Ring;
use super::reader::{Reader, View};
use super::receiver::copied;
use crate::error::{Error, TryRecvError};
use crate::message::Message;
use crate::options::Options;
use crate::options::sealed::Sealed;
use crate::payload::Payload;
use crate::segment::{Access, Address, Expect, Segment};

/// One who receives a broadcast without the right to write: it maps the segment read-only,
/// takes no seat, holds nobody back and can't be woken, so it polls. Of a lossless ring it
/// may miss messages too.
///
/// ```
/// # let name = format!("shm:annulus-doc-broadcast-{}", std::process::id());
/// let ring = annulus::broadcast::Ring::<u64>::options().capacity(8).create_new(&name)?;
/// let mut observer = annulus::broadcast::Observer::<u64>::open(&name)?;
/// ring.sender()?.send(42)?;
/// assert_eq!(observer.try_recv()?, 42);
/// # annulus::unlink(&name)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Observer<M: Payload + ?Sized> {
    reader: Reader<M>,
    /// `Send`, not `Sync`.
    _not_sync: core::marker::PhantomData<core::cell::Cell<()>>,
}

impl<M: Payload + ?Sized> Observer<M> {
    /// Opens what stands under an address, read-only, if the user that this process acts as
    /// owns it. Begins with the next message to be sent.
    ///
    /// # Errors
    /// As [`Options::open`](crate::Options::open).
    pub fn open(address: &str) -> Result<Self, Error> {
        Self::with(address, Access::OBSERVER)
    }

    /// As [`open`](Self::open), of a segment that another user owns.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_owned_by(address: &str, uid: u32) -> Result<Self, Error> {
        Self::with(address, Access { owner: Some(uid), ..Access::OBSERVER })
    }

    fn with(address: &str, access: Access) -> Result<Self, Error> {
        Self::expecting(address, access, &Ring::<M>::expect())
    }

    /// As [`open`](Self::open), of a ring that is as these options say: with a type tag of
    /// their own, say, or another owner's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as(address: &str, options: &Options<Ring<M>>) -> Result<Self, Error> {
        let access = Access { owner: options.owner_asked(), ..Access::OBSERVER };
        Self::expecting(address, access, &options.expect())
    }

    fn expecting(address: &str, access: Access, expect: &Expect) -> Result<Self, Error> {
        let (segment, format) = Segment::open_named(&Address::parse(address)?, access, false)?;
        format.check(expect)?;
        let mut reader = Reader::new(&Arc::new(segment), &format)?;
        // Nobody waits for one who is not there.
        reader.may_be_lapped();
        Ok(Self { reader, _not_sync: core::marker::PhantomData })
    }

    /// Position of the next message.
    pub fn position(&self) -> u64 {
        self.reader.position
    }

    /// Looks at the next message in place, as
    /// [`Receiver::try_recv_with`](super::Receiver::try_recv_with).
    ///
    /// # Errors
    /// [`TryRecvError::Empty`], whether or not there is a sender;
    /// [`TryRecvError::Lagged`]; [`TryRecvError::Fault`].
    pub fn try_recv_with<R>(
        &mut self,
        look: impl FnOnce(View<'_, M>) -> R,
    ) -> Result<R, TryRecvError> {
        self.reader.look_closer()?;
        let taken = self.reader.read(look)?;
        self.reader.position += 1;
        Ok(taken)
    }

    /// Looks at the newest message, as
    /// [`Receiver::latest_with`](super::Receiver::latest_with).
    ///
    /// # Errors
    /// The same.
    pub fn latest_with<R>(
        &mut self,
        look: impl FnMut(View<'_, M>) -> R,
    ) -> Result<R, TryRecvError> {
        Ok(self.reader.latest(look)?)
    }
}

/// Fixed-size messages.
impl<T: Message> Observer<T> {
    /// The next message, if it is there.
    ///
    /// # Errors
    /// As [`try_recv_with`](Self::try_recv_with).
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.try_recv_with(copied)
    }

    /// The newest message; takes nothing.
    ///
    /// # Errors
    /// As [`latest_with`](Self::latest_with).
    pub fn latest(&mut self) -> Result<T, TryRecvError> {
        self.latest_with(copied)
    }
}

impl<M: Payload + ?Sized> fmt::Debug for Observer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("broadcast::Observer")
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
