//! The verbs of fixed and of byte messages, alike for the oracle.

use std::time::Duration;

use annulus::broadcast::{Receiver, Ring, Sender};
use annulus::{Options, Payload, RecvError, SendError, TryRecvError, TrySendError};

/// Longest byte message.
const MAX_LEN: u64 = 21;

/// What the verbs of fixed and of byte messages have in common.
pub trait Carried: Payload {
    type Message: Clone + PartialEq + std::fmt::Debug;
    fn options() -> Options<Ring<Self>>;
    fn message(position: u64) -> Self::Message;
    fn try_send(sender: &mut Sender<Self>, message: &Self::Message) -> Result<(), Why>;
    fn send_at_once(sender: &mut Sender<Self>, message: &Self::Message) -> Result<(), Why>;
    fn send_many(sender: &mut Sender<Self>, messages: &[Self::Message]) -> Result<usize, Why>;
    fn try_recv(receiver: &mut Receiver<Self>) -> Result<Self::Message, Why>;
    fn recv_at_once(receiver: &mut Receiver<Self>) -> Result<Self::Message, Why>;
    fn recv_many(receiver: &mut Receiver<Self>, most: usize) -> Result<Vec<Self::Message>, Why>;
    fn latest(receiver: &mut Receiver<Self>) -> Result<Self::Message, Why>;
    fn bytes(message: &Self::Message) -> Vec<u8>;
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    NotNow,
    Timeout,
    Lagged(u64),
    Closed,
}

fn not_sent<T>(error: TrySendError<T>) -> Why {
    match error {
        TrySendError::Full(_) => Why::NotNow,
        other => panic!("{:?}", other.to_string()),
    }
}

fn not_sent_in_time<T>(error: SendError<T>) -> Why {
    match error {
        SendError::Timeout(_) => Why::Timeout,
        other => panic!("{:?}", other.to_string()),
    }
}

/// Why there is no message.
pub fn not_there(error: TryRecvError) -> Why {
    match error {
        TryRecvError::Empty => Why::NotNow,
        TryRecvError::Lagged(missed) => Why::Lagged(missed),
        TryRecvError::Closed => Why::Closed,
        other => panic!("{other}"),
    }
}

fn not_there_in_time(error: RecvError) -> Why {
    match error {
        RecvError::Timeout => Why::Timeout,
        RecvError::Lagged(missed) => Why::Lagged(missed),
        RecvError::Closed => Why::Closed,
        other => panic!("{other}"),
    }
}

impl Carried for u64 {
    type Message = u64;

    fn options() -> Options<Ring<u64>> {
        Ring::options()
    }

    fn message(position: u64) -> u64 {
        position.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn try_send(sender: &mut Sender<u64>, message: &u64) -> Result<(), Why> {
        sender.try_send(*message).map_err(not_sent)
    }

    fn send_at_once(sender: &mut Sender<u64>, message: &u64) -> Result<(), Why> {
        sender.send_timeout(*message, Duration::ZERO).map_err(not_sent_in_time)
    }

    fn send_many(sender: &mut Sender<u64>, messages: &[u64]) -> Result<usize, Why> {
        sender.try_send_many(messages).map_err(not_sent)
    }

    fn try_recv(receiver: &mut Receiver<u64>) -> Result<u64, Why> {
        receiver.try_recv().map_err(not_there)
    }

    fn recv_at_once(receiver: &mut Receiver<u64>) -> Result<u64, Why> {
        receiver.recv_timeout(Duration::ZERO).map_err(not_there_in_time)
    }

    fn recv_many(receiver: &mut Receiver<u64>, most: usize) -> Result<Vec<u64>, Why> {
        let mut out = vec![0; most];
        let count = receiver.try_recv_many(&mut out).map_err(not_there)?;
        out.truncate(count);
        Ok(out)
    }

    fn latest(receiver: &mut Receiver<u64>) -> Result<u64, Why> {
        receiver.latest().map_err(not_there)
    }

    fn bytes(message: &u64) -> Vec<u8> {
        message.to_le_bytes().to_vec()
    }
}

impl Carried for [u8] {
    type Message = Vec<u8>;

    fn options() -> Options<Ring<[u8]>> {
        Ring::options().max_len(MAX_LEN)
    }

    fn message(position: u64) -> Vec<u8> {
        let length = position.wrapping_mul(7) % (MAX_LEN + 1);
        (0..length).map(|byte| (position * 31 + byte) as u8).collect()
    }

    fn try_send(sender: &mut Sender<[u8]>, message: &Vec<u8>) -> Result<(), Why> {
        sender.try_send(message).map_err(not_sent)
    }

    fn send_at_once(sender: &mut Sender<[u8]>, message: &Vec<u8>) -> Result<(), Why> {
        sender.send_timeout(message, Duration::ZERO).map_err(not_sent_in_time)
    }

    fn send_many(sender: &mut Sender<[u8]>, messages: &[Vec<u8>]) -> Result<usize, Why> {
        let mut sent = 0;
        for message in messages {
            match Self::try_send(sender, message) {
                Err(_) if sent > 0 => break,
                outcome => outcome?,
            }
            sent += 1;
        }
        Ok(sent)
    }

    fn try_recv(receiver: &mut Receiver<[u8]>) -> Result<Vec<u8>, Why> {
        let mut out = vec![0; MAX_LEN as usize];
        // Too small a place first: what is there stays there.
        match receiver.try_recv(&mut []) {
            Ok(0) => Ok(Vec::new()),
            Err(TryRecvError::TooSmall { needed }) => {
                let count = receiver.try_recv(&mut out).map_err(not_there)?;
                assert_eq!(count, needed);
                out.truncate(count);
                Ok(out)
            }
            Err(other) => Err(not_there(other)),
            Ok(count) => panic!("{count} bytes in none"),
        }
    }

    fn recv_at_once(receiver: &mut Receiver<[u8]>) -> Result<Vec<u8>, Why> {
        let mut out = vec![0; MAX_LEN as usize];
        let count = receiver.recv_timeout(&mut out, Duration::ZERO).map_err(not_there_in_time)?;
        out.truncate(count);
        Ok(out)
    }

    fn recv_many(receiver: &mut Receiver<[u8]>, most: usize) -> Result<Vec<Vec<u8>>, Why> {
        let mut all = Vec::new();
        while all.len() < most {
            // What ends the run is looked at by the next.
            let position = receiver.position();
            let lengths = receiver.try_recv_with(|view| {
                let mut out = vec![0; view.len()];
                assert_eq!((view.position(), view.read_at(0, &mut out)), (position, view.len()));
                out
            });
            match lengths {
                Ok(message) => all.push(message),
                Err(TryRecvError::Empty | TryRecvError::Closed) if !all.is_empty() => break,
                Err(other) => return Err(not_there(other)),
            }
        }
        Ok(all)
    }

    fn latest(receiver: &mut Receiver<[u8]>) -> Result<Vec<u8>, Why> {
        let mut out = vec![0; MAX_LEN as usize];
        let count = receiver.latest(&mut out).map_err(not_there)?;
        out.truncate(count);
        Ok(out)
    }

    fn bytes(message: &Vec<u8>) -> Vec<u8> {
        message.clone()
    }
}
