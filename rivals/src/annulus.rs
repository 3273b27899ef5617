//! annulus itself: spsc and mpmc, between processes and between threads, through its public
//! interface alone. It waits by itself, actively ([`WaitMethod::Spin`]).
#![allow(unsafe_code)]

use ::annulus::{Copying, Trust, Trusted, TryRecvError, TrySendError, WaitMethod, mpmc, spsc};
use anyhow::{Result, anyhow};

use crate::board::Board;
use crate::rival::{
    BlockReceiving, BlockSending, Blocks, Place, Processes, Receiving, Sending, Shape, Threads,
};

/// Both rings have the same verbs, but no common trait.
macro_rules! ring {
    ($(#[$about:meta])* $name:ident, $ring:ident, $sender:ident, $receiver:ident) => {
        $(#[$about])*
        pub struct $name;

        /// The sending end.
        pub struct $sender<const W: usize, A: Trust>($ring::Sender<[u64; W], A>);

        /// The receiving end.
        pub struct $receiver<const W: usize, A: Trust>($ring::Receiver<[u64; W], A>);

        impl<const W: usize, A: Trust> Sending<W> for $sender<W, A> {
            #[inline(always)]
            fn try_send(&mut self, message: &[u64; W]) -> Result<bool> {
                match self.0.try_send(*message) {
                    Ok(_) => Ok(true),
                    Err(TrySendError::Full(_)) => Ok(false),
                    Err(other) => Err(anyhow!("{other}")),
                }
            }

            #[inline(always)]
            fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
                match self.0.try_send_many(messages) {
                    Ok(sent) => Ok(sent),
                    Err(TrySendError::Full(_)) => Ok(0),
                    Err(other) => Err(anyhow!("{other}")),
                }
            }

            #[inline(always)]
            fn send(&mut self, message: &[u64; W], _: &Board) -> Result<()> {
                self.0.send(*message).map_err(|error| anyhow!("{error}")).map(drop)
            }

            #[inline(always)]
            fn send_many(&mut self, messages: &[[u64; W]], _: &Board) -> Result<()> {
                self.0.send_many(messages).map_err(|error| anyhow!("{error}"))
            }
        }

        impl<const W: usize, A: Trust> Receiving<W> for $receiver<W, A> {
            #[inline(always)]
            fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
                match self.0.try_recv() {
                    Ok(got) => {
                        *message = got;
                        Ok(true)
                    }
                    Err(TryRecvError::Empty | TryRecvError::Stalled) => Ok(false),
                    Err(other) => Err(other.into()),
                }
            }

            #[inline(always)]
            fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
                match self.0.try_recv_many(messages) {
                    Ok(got) => Ok(got),
                    Err(TryRecvError::Empty | TryRecvError::Stalled) => Ok(0),
                    Err(other) => Err(other.into()),
                }
            }

            #[inline(always)]
            fn recv(
                &mut self,
                message: &mut [u64; W],
                _: &Board,
                _: impl FnMut() -> bool,
            ) -> Result<bool> {
                *message = self.0.recv()?;
                Ok(true)
            }

            #[inline(always)]
            fn recv_many(
                &mut self,
                messages: &mut [[u64; W]],
                _: &Board,
                _: impl FnMut() -> bool,
            ) -> Result<usize> {
                Ok(self.0.recv_many(messages)?)
            }
        }

        impl Processes for $name {
            type Sender<const W: usize> = $sender<W, Copying>;
            type Receiver<const W: usize> = $receiver<W, Copying>;

            fn sender<const W: usize>(place: &Place) -> Result<$sender<W, Copying>> {
                let options = $ring::Ring::<[u64; W]>::options();
                let options =
                    options.capacity(place.shape.capacity as u64).wait_method(WaitMethod::Spin);
                let ring = if place.first() {
                    let ring = options.create_new(&address(place))?;
                    place.publish("annulus", "")?;
                    ring
                } else {
                    place.published("annulus")?;
                    options.open(&address(place))?
                };
                Ok($sender(ring.sender()?))
            }

            fn receiver<const W: usize>(place: &Place) -> Result<$receiver<W, Copying>> {
                place.published("annulus")?;
                let ring = $ring::Ring::<[u64; W]>::open(&address(place))?;
                Ok($receiver(ring.receiver()?))
            }
        }

        impl Threads for $name {
            type Sender<const W: usize> = $sender<W, Trusted>;
            type Receiver<const W: usize> = $receiver<W, Trusted>;

            fn make<const W: usize>(
                shape: Shape,
            ) -> Result<(Vec<Self::Sender<W>>, Vec<Self::Receiver<W>>)> {
                let options = $ring::Ring::<[u64; W]>::options();
                let options =
                    options.capacity(shape.capacity as u64).wait_method(WaitMethod::Spin);
                let ring = options.create_heap()?;
                let senders = (0..shape.senders).map(|_| Ok($sender(ring.sender()?)));
                let receivers = (0..shape.receivers).map(|_| Ok($receiver(ring.receiver()?)));
                Ok((senders.collect::<Result<_>>()?, receivers.collect::<Result<_>>()?))
            }
        }
    };
}

ring! {
    /// One sender, one receiver.
    Spsc, spsc, SpscSender, SpscReceiver
}

ring! {
    /// Many of both.
    Mpmc, mpmc, MpmcSender, MpmcReceiver
}

fn address(place: &Place) -> String {
    format!("file:{}", place.path("ring").display())
}

/// Blocks of bytes, between peers that trust one another: read where they lie.
pub struct Lent;

impl Blocks for Lent {
    type Sender = LentSender;
    type Receiver = LentReceiver;

    fn sender(place: &Place, size: usize) -> Result<LentSender> {
        let options = spsc::Ring::<[u8]>::options().max_len(size as u64);
        let options = options.capacity(place.shape.capacity as u64).wait_method(WaitMethod::Spin);
        let ring = options.create_new(&address(place))?;
        place.publish("annulus", "")?;
        Ok(LentSender(ring.sender()?))
    }

    fn receiver(place: &Place, _: usize) -> Result<LentReceiver> {
        place.published("annulus")?;
        let options = spsc::Ring::<[u8]>::options();
        // SAFETY: the only other process is this program's sender, which keeps the protocol;
        // nobody shortens the file.
        let options = unsafe { options.trust_peers() };
        Ok(LentReceiver(options.open(&address(place))?.receiver()?))
    }
}

/// Reserves and commits.
pub struct LentSender(spsc::Sender<[u8]>);

impl BlockSending for LentSender {
    fn try_send(&mut self, block: &[u8]) -> Result<bool> {
        match self.0.try_reserve() {
            Ok(mut slot) => {
                slot.append(block);
                slot.commit();
                Ok(true)
            }
            Err(TrySendError::Full(())) => Ok(false),
            Err(other) => Err(anyhow!("{other}")),
        }
    }
}

/// Reads through a guard.
pub struct LentReceiver(spsc::Receiver<[u8], Trusted>);

impl BlockReceiving for LentReceiver {
    fn try_recv(&mut self, look: impl FnOnce(&[u8])) -> Result<bool> {
        match self.0.try_recv_ref() {
            Ok(guard) => {
                look(&guard);
                Ok(true)
            }
            Err(TryRecvError::Empty) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }
}

/// The same without trust: the receiver copies each block out before it looks at it.
pub struct Copied;

impl Blocks for Copied {
    type Sender = LentSender;
    type Receiver = CopiedReceiver;

    fn sender(place: &Place, size: usize) -> Result<LentSender> {
        Lent::sender(place, size)
    }

    fn receiver(place: &Place, size: usize) -> Result<CopiedReceiver> {
        place.published("annulus")?;
        let ring = spsc::Ring::<[u8]>::open(&address(place))?;
        Ok(CopiedReceiver(ring.receiver()?, vec![0; size]))
    }
}

/// With a buffer of its own.
pub struct CopiedReceiver(spsc::Receiver<[u8]>, Vec<u8>);

impl BlockReceiving for CopiedReceiver {
    fn try_recv(&mut self, look: impl FnOnce(&[u8])) -> Result<bool> {
        match self.0.try_recv_ref() {
            Ok(guard) => {
                let len = guard.read_at(0, &mut self.1);
                guard.release();
                look(&self.1[..len]);
                Ok(true)
            }
            Err(TryRecvError::Empty) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }
}
