//! The rings that scenes play on.

use std::time::Duration;

use annulus::{Error, SendError, Trusted, broadcast, frames, mpmc, spsc, stream};

use super::actor::{Kind, Op, Why, not_received, not_sent};

/// A ring of slots: both have the same verbs.
macro_rules! of_slots {
    ($ring:ident) => {
        impl Kind for $ring::Ring<u64> {
            type Sender = $ring::Sender<u64>;
            type Receiver = $ring::Receiver<u64>;

            fn sender(&self) -> Result<Self::Sender, Error> {
                Self::sender(self)
            }

            fn receiver(&self) -> Result<Self::Receiver, Error> {
                Self::receiver(self)
            }

            fn send(sender: &mut Self::Sender, op: Op, messages: &[u64]) -> Result<usize, Why> {
                match op {
                    Op::SendMany(_) => return sender.try_send_many(messages).map_err(not_sent),
                    Op::Send => sender.try_send(messages[0]).map_err(not_sent)?,
                    Op::Reserve => {
                        let mut reservation = sender.try_reserve().map_err(not_sent)?;
                        reservation.write(&messages[0]);
                        reservation.commit();
                    }
                    Op::Abort => {
                        drop(sender.try_reserve().map_err(not_sent)?);
                        return Ok(0);
                    }
                    other => panic!("{other:?} is no sender's"),
                }
                Ok(1)
            }

            fn recv(receiver: &mut Self::Receiver, op: Op) -> Result<Vec<u64>, Why> {
                match op {
                    Op::Recv => Ok(vec![receiver.try_recv().map_err(not_received)?]),
                    Op::RecvMany(most) => {
                        let mut out = vec![0; most];
                        let count = receiver.try_recv_many(&mut out).map_err(not_received)?;
                        out.truncate(count);
                        Ok(out)
                    }
                    Op::Guard => Ok(vec![receiver.try_recv_ref().map_err(not_received)?.read()]),
                    other => panic!("{other:?} is no receiver's"),
                }
            }
        }
    };
}

of_slots!(spsc);
of_slots!(mpmc);

/// A message is one byte.
impl Kind for stream::Ring {
    type Sender = stream::Sender;
    type Receiver = stream::Receiver;

    fn sender(&self) -> Result<Self::Sender, Error> {
        Self::sender(self)
    }

    fn receiver(&self) -> Result<Self::Receiver, Error> {
        Self::receiver(self)
    }

    fn send(sender: &mut Self::Sender, op: Op, messages: &[u64]) -> Result<usize, Why> {
        let bytes: Vec<_> = messages.iter().map(|number| *number as u8).collect();
        match op {
            Op::Send | Op::SendMany(_) => sender.try_send(&bytes).map_err(not_sent),
            Op::Reserve => {
                let mut reservation = sender.try_reserve(bytes.len()).map_err(not_sent)?;
                reservation.append(&bytes);
                Ok(reservation.commit())
            }
            Op::Abort => {
                drop(sender.try_reserve(bytes.len()).map_err(not_sent)?);
                Ok(0)
            }
            other => panic!("{other:?} is no sender's"),
        }
    }

    fn recv(receiver: &mut Self::Receiver, op: Op) -> Result<Vec<u64>, Why> {
        let most = if let Op::RecvMany(most) = op { most } else { 1 };
        let mut out = vec![0; most];
        let count = match op {
            Op::Recv | Op::RecvMany(_) => receiver.try_recv(&mut out).map_err(not_received)?,
            Op::Guard => {
                let guard = receiver.try_recv_ref().map_err(not_received)?;
                let count = guard.read_at(0, &mut out);
                guard.release_first(count);
                count
            }
            other => panic!("{other:?} is no receiver's"),
        };
        Ok(out[..count].iter().map(|byte| u64::from(*byte)).collect())
    }
}

/// A message is a frame: whoever sends takes a buffer first, whoever receives gives it back.
impl Kind for frames::Ring<Trusted> {
    type Sender = frames::Sender<Trusted>;
    type Receiver = frames::Receiver<Trusted>;
    const HOLDS: bool = true;

    fn sender(&self) -> Result<Self::Sender, Error> {
        Self::sender(self)
    }

    fn receiver(&self) -> Result<Self::Receiver, Error> {
        Self::receiver(self)
    }

    fn send(sender: &mut Self::Sender, op: Op, messages: &[u64]) -> Result<usize, Why> {
        let mut frame = sender.try_take().map_err(not_sent)?;
        assert_eq!(frame.append(&messages[0].to_le_bytes()), 8);
        if op == Op::Abort {
            return Ok(0);
        }
        match frame.send_timeout(Duration::ZERO).map_err(|error| error.reason) {
            Ok(()) => Ok(1),
            Err(SendError::Timeout(())) => Err(Why::Full),
            Err(SendError::Closed(())) => Err(Why::Closed),
            Err(other) => panic!("{other}"),
        }
    }

    fn recv(receiver: &mut Self::Receiver, _: Op) -> Result<Vec<u64>, Why> {
        let frame = receiver.try_recv().map_err(not_received)?;
        assert!(!frame.redelivered(), "nobody died");
        Ok(vec![u64::from_le_bytes(frame.to_vec().try_into().unwrap())])
    }
}

/// A broadcast, and from where its receivers begin. A message is its own position.
#[derive(Clone)]
pub struct Cast(pub broadcast::Ring<u64>, pub broadcast::Start);

/// A receiver, with the account of what it got and was told to have missed.
pub struct Subscriber {
    receiver: broadcast::Receiver<u64>,
    at: u64,
    lossless: bool,
    /// It was told of some.
    lagged: bool,
}

impl Kind for Cast {
    type Sender = broadcast::Sender<u64>;
    type Receiver = Subscriber;

    fn sender(&self) -> Result<Self::Sender, Error> {
        self.0.sender()
    }

    fn receiver(&self) -> Result<Self::Receiver, Error> {
        let receiver = self.0.receiver_from(self.1)?;
        let (at, lossless) = (receiver.position(), self.0.is_lossless());
        Ok(Subscriber { receiver, at, lossless, lagged: false })
    }

    fn next(sender: &Self::Sender, _: u64) -> u64 {
        sender.position()
    }

    fn send(sender: &mut Self::Sender, op: Op, messages: &[u64]) -> Result<usize, Why> {
        match op {
            Op::Send => sender.try_send(messages[0]).map(|()| 1).map_err(not_sent),
            Op::SendMany(_) => sender.try_send_many(messages).map_err(not_sent),
            other => panic!("{other:?} is no sender's"),
        }
    }

    /// Each subscriber gets every message, or is told exactly how many it missed: none, in a
    /// ring that loses none.
    fn recv(who: &mut Self::Receiver, op: Op) -> Result<Vec<u64>, Why> {
        let receiver = &mut who.receiver;
        let mut out = vec![0; if let Op::RecvMany(most) = op { most } else { 1 }];
        let received = match op {
            Op::Recv => receiver.try_recv().map(|message| {
                out[0] = message;
                1
            }),
            Op::RecvMany(_) => receiver.try_recv_many(&mut out),
            Op::Guard => receiver.try_recv_with(|view| {
                let mut bytes = [0; 8];
                assert_eq!(view.read_at(0, &mut bytes), 8);
                out[0] = u64::from_le_bytes(bytes);
                1
            }),
            other => panic!("{other:?} is no receiver's"),
        };
        match received.map_err(not_received) {
            Ok(count) => {
                out.truncate(count);
                let there: Vec<_> = (who.at..who.at + count as u64).collect();
                assert_eq!(out, there, "each message at its own position");
                who.at += count as u64;
                Ok(if who.lagged { vec![0; count] } else { out })
            }
            Err(Why::Lagged(missed)) => {
                assert!(!who.lossless, "{missed} lost of a ring that loses none");
                (who.at, who.lagged) = (who.at + missed, true);
                assert_eq!(receiver.position(), who.at, "as many as were told");
                // How far it goes on depends on what it knew of the tail by then.
                Err(Why::Lagged(0))
            }
            Err(why) => Err(why),
        }
    }

    /// Where it has come to: from where on, depends on what it knew of the tail.
    fn drained(who: &Self::Receiver, _: Vec<u64>) -> Vec<u64> {
        assert_eq!(who.receiver.position(), who.at, "every message, or told of");
        vec![who.at]
    }
}
