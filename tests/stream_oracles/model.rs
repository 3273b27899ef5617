//! What a stream is meant to be: a queue of bytes with two seats, each used once.

use std::collections::VecDeque;

use annulus::SeatState;

/// Positions stay below this.
pub const LIMIT: u64 = 1 << 62;

/// Why a verb did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Full or empty, and the verb does not wait.
    NotNow,
    /// Full or empty, and the verb has waited.
    Timeout,
    /// The peer has left in order.
    Closed,
    /// The peer has aborted.
    Died,
    /// More than there ever can be.
    TooLong,
    /// The last position is used.
    PositionLimit,
}

/// The truth.
#[derive(Debug)]
pub struct Model {
    /// Bytes committed and not retired, the next to receive first.
    queue: VecDeque<u8>,
    /// Bytes that fit.
    pub capacity: usize,
    /// Position of the first in the queue.
    pub head: u64,
    /// The sender's seat.
    pub sender: SeatState,
    /// The receiver's seat.
    pub receiver: SeatState,
}

impl Model {
    /// An empty stream that nobody has come to.
    pub fn new(capacity: usize, start: u64) -> Self {
        let vacant = SeatState::Vacant;
        Self { queue: VecDeque::new(), capacity, head: start, sender: vacant, receiver: vacant }
    }

    /// Position of the next byte to send.
    pub fn tail(&self) -> u64 {
        self.head + self.queue.len() as u64
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// How many can be sent now.
    pub fn room(&self) -> usize {
        let free = self.capacity - self.queue.len();
        free.min(usize::try_from(LIMIT - self.tail()).unwrap_or(usize::MAX))
    }

    /// How many bytes go from or to a descriptor at once: not more than half of all.
    pub fn half(&self) -> usize {
        self.capacity / 2
    }

    /// Why no send of anything is begun, if that is so.
    pub fn receiver_gone(&self) -> Option<Why> {
        match self.receiver {
            SeatState::Closed => Some(Why::Closed),
            SeatState::Died => Some(Why::Died),
            _ => None,
        }
    }

    /// Why not one byte can be sent, if that is so.
    pub fn refuses_send(&self) -> Option<Why> {
        match self.receiver_gone() {
            Some(why) => Some(why),
            None if self.tail() == LIMIT => Some(Why::PositionLimit),
            None => (self.room() == 0).then_some(Why::NotNow),
        }
    }

    /// Why so many bytes can't be reserved, if that is so.
    pub fn refuses_reserve(&self, len: usize) -> Option<Why> {
        match self.receiver_gone() {
            _ if len > self.capacity => Some(Why::TooLong),
            Some(why) => Some(why),
            None if self.tail() == LIMIT || self.tail() + len as u64 > LIMIT => {
                Some(Why::PositionLimit)
            }
            None => (self.room() < len).then_some(Why::NotNow),
        }
    }

    /// Why not one byte can be received, if that is so.
    pub fn refuses_recv(&self) -> Option<Why> {
        match self.sender {
            _ if !self.queue.is_empty() => None,
            _ if self.head == LIMIT => Some(Why::PositionLimit),
            SeatState::Closed => Some(Why::Closed),
            SeatState::Died => Some(Why::Died),
            _ => Some(Why::NotNow),
        }
    }

    /// Sends.
    pub fn send(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room());
        self.queue.extend(bytes);
    }

    /// Some of the bytes that wait, from one of them on.
    pub fn peek(&self, offset: usize, len: usize) -> Vec<u8> {
        self.queue.iter().skip(offset).take(len).copied().collect()
    }

    /// Receives the first ones.
    pub fn recv(&mut self, len: usize) -> Vec<u8> {
        self.head += len as u64;
        self.queue.drain(..len).collect()
    }
}
