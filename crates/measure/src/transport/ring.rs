//! annulus's rings that lend their slots, through its public interface alone: one sender
//! and one receiver, or as many as want (of whom a lane has one each).

use std::os::fd::BorrowedFd;

use annulus::{Options, RecvError, SendError, mpmc, spsc};
use zerocopy::IntoBytes;

use crate::Error;
use crate::transport::place::Family;
use crate::transport::{Receiving, Sending, Shape};

/// From this many bytes on a message is written and read in place, by reserve and
/// commit and by guard, as a user would who has it in a buffer of his own.
pub const IN_PLACE: usize = 4096;

/// Both have the same verbs, but no common trait.
macro_rules! ring {
    ($(#[$about:meta])* $family:ident, $name:literal, $ring:ident, $sender:ident, $receiver:ident) => {
        $(#[$about])*
        pub struct $family;

        impl Family for $family {
            type Ring<const W: usize> = $ring::Ring<[u64; W]>;
            type Sender<const W: usize> = $sender<W>;
            type Receiver<const W: usize> = $receiver<W>;

            const NAME: &'static str = $name;

            fn options<const W: usize>(shape: Shape) -> Options<Self::Ring<W>> {
                $ring::Ring::options().capacity(shape.capacity as u64)
            }

            fn segment_fd<const W: usize>(ring: &Self::Ring<W>) -> Option<BorrowedFd<'_>> {
                ring.segment_fd()
            }

            fn sender<const W: usize>(ring: &Self::Ring<W>) -> Result<$sender<W>, annulus::Error> {
                ring.sender().map($sender)
            }

            fn receiver<const W: usize>(
                ring: &Self::Ring<W>,
            ) -> Result<$receiver<W>, annulus::Error> {
                ring.receiver().map($receiver)
            }
        }

        /// The sending end.
        pub struct $sender<const W: usize>($ring::Sender<[u64; W]>);

        impl<const W: usize> $sender<W> {
            // On its own, so that a large message is on the stack in debug builds alone,
            // and there only if it is called.
            #[inline(always)]
            fn by_value(&mut self, message: &[u64; W]) -> Result<(), Error> {
                self.0.send(*message).map_err(|error| cannot_send($name, error))
            }

            #[inline(always)]
            fn in_place(&mut self, bytes: &[u8]) -> Result<(), Error> {
                let mut slot = self.0.reserve().map_err(|error| cannot_send($name, error))?;
                slot.append(bytes);
                slot.commit();
                Ok(())
            }
        }

        impl<const W: usize> Sending<W> for $sender<W> {
            #[inline(always)]
            fn send(&mut self, message: &[u64; W]) -> Result<(), Error> {
                if 8 * W < IN_PLACE {
                    self.by_value(message)
                } else {
                    self.in_place(message.as_bytes())
                }
            }

            #[inline]
            fn send_many(&mut self, messages: &[[u64; W]]) -> Result<(), Error> {
                self.0.send_many(messages).map_err(|error| cannot_send($name, error.reason))
            }

            #[inline]
            fn send_part(&mut self, bytes: &[u8]) -> Result<(), Error> {
                self.in_place(bytes)
            }
        }

        /// The receiving end.
        pub struct $receiver<const W: usize>($ring::Receiver<[u64; W]>);

        impl<const W: usize> $receiver<W> {
            #[inline(always)]
            fn by_value(&mut self, message: &mut [u64; W]) -> Result<(), Error> {
                *message = self.0.recv().map_err(|error| cannot_recv($name, error))?;
                Ok(())
            }

            #[inline(always)]
            fn in_place(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
                let guard = self.0.recv_ref().map_err(|error| cannot_recv($name, error))?;
                guard.read_at(0, bytes);
                guard.release();
                Ok(())
            }
        }

        impl<const W: usize> Receiving<W> for $receiver<W> {
            #[inline(always)]
            fn recv(&mut self, message: &mut [u64; W]) -> Result<(), Error> {
                if 8 * W < IN_PLACE {
                    self.by_value(message)
                } else {
                    self.in_place(message.as_mut_bytes())
                }
            }

            #[inline]
            fn recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize, Error> {
                self.0.recv_many(messages).map_err(|error| cannot_recv($name, error))
            }

            #[inline]
            fn recv_part(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
                self.in_place(bytes)
            }
        }
    };
}

ring! {
    /// The ring of one sender and one receiver.
    Spsc, "ring", spsc, RingSender, RingReceiver
}

ring! {
    /// The ring of many, each message to one.
    Mpmc, "mpmc ring", mpmc, MpmcSender, MpmcReceiver
}

#[cold]
pub(crate) fn cannot_send<T>(transport: &'static str, error: SendError<T>) -> Error {
    match error {
        SendError::Closed(_) | SendError::Died(_) => Error::Disconnected { transport },
        other => Error::Transport { transport, reason: other.to_string() },
    }
}

#[cold]
pub(crate) fn cannot_recv(transport: &'static str, error: RecvError) -> Error {
    match error {
        RecvError::Closed | RecvError::Died => Error::Disconnected { transport },
        other => Error::Transport { transport, reason: other.to_string() },
    }
}
