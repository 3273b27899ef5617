//! Queues of many senders and many receivers, all in threads of one process:
//! crossbeam-channel, crossbeam-queue's `ArrayQueue` and kanal. One by one: none of them
//! takes or gives several messages at once.

use std::sync::Arc;

use ::crossbeam_channel::{TryRecvError, TrySendError};
use ::crossbeam_queue::ArrayQueue;
use anyhow::Result;

use crate::rival::{Receiving, Sending, Shape, Threads};

/// A queue's two ends, of which there may be several.
macro_rules! queue {
    (
        $(#[$about:meta])* $name:ident, $sender:ty, $receiver:ty,
        |$capacity:ident| $make:expr,
        |$s:ident, $m:ident| $try_send:expr,
        |$r:ident| $try_recv:expr
    ) => {
        $(#[$about])*
        pub struct $name;

        impl Threads for $name {
            type Sender<const W: usize> = $sender;
            type Receiver<const W: usize> = $receiver;

            fn make<const W: usize>(
                shape: Shape,
            ) -> Result<(Vec<Self::Sender<W>>, Vec<Self::Receiver<W>>)> {
                let $capacity = shape.capacity;
                let (sender, receiver) = $make;
                Ok((vec![sender; shape.senders], vec![receiver; shape.receivers]))
            }
        }

        impl<const W: usize> Sending<W> for $sender {
            #[inline(always)]
            fn try_send(&mut self, $m: &[u64; W]) -> Result<bool> {
                let $s = self;
                $try_send
            }

            #[inline(always)]
            fn try_send_many(&mut self, messages: &[[u64; W]]) -> Result<usize> {
                Ok(usize::from(Sending::<W>::try_send(self, &messages[0])?))
            }
        }

        impl<const W: usize> Receiving<W> for $receiver {
            #[inline(always)]
            fn try_recv(&mut self, message: &mut [u64; W]) -> Result<bool> {
                let $r = self;
                let got: Option<[u64; W]> = $try_recv;
                if let Some(got) = got {
                    *message = got;
                }
                Ok(got.is_some())
            }

            #[inline(always)]
            fn try_recv_many(&mut self, messages: &mut [[u64; W]]) -> Result<usize> {
                Ok(usize::from(Receiving::<W>::try_recv(self, &mut messages[0])?))
            }
        }
    };
}

queue! {
    /// crossbeam-channel, bounded.
    Crossbeam, ::crossbeam_channel::Sender<[u64; W]>, ::crossbeam_channel::Receiver<[u64; W]>,
    |capacity| ::crossbeam_channel::bounded(capacity),
    |sender, message| match ::crossbeam_channel::Sender::try_send(sender, *message) {
        Ok(()) => Ok(true),
        Err(TrySendError::Full(_)) => Ok(false),
        Err(other) => Err(other.into()),
    },
    |receiver| match ::crossbeam_channel::Receiver::try_recv(receiver) {
        Ok(message) => Some(message),
        Err(TryRecvError::Empty) => None,
        Err(other) => return Err(other.into()),
    }
}

queue! {
    /// crossbeam-queue's bounded queue.
    Array, ArrayEnd<W>, ArrayEnd<W>,
    |capacity| {
        let queue = ArrayEnd(Arc::new(ArrayQueue::new(capacity)));
        (queue.clone(), queue)
    },
    |queue, message| Ok(queue.0.push(*message).is_ok()),
    |queue| queue.0.pop()
}

/// Both ends are the queue itself.
#[derive(Clone)]
pub struct ArrayEnd<const W: usize>(Arc<ArrayQueue<[u64; W]>>);

queue! {
    /// kanal, bounded.
    Kanal, ::kanal::Sender<[u64; W]>, ::kanal::Receiver<[u64; W]>,
    |capacity| ::kanal::bounded(capacity),
    |sender, message| Ok(::kanal::Sender::try_send(sender, *message)?),
    |receiver| ::kanal::Receiver::try_recv(receiver)?
}
