//! What a ring is meant to be: a queue with two seats and numbered messages.

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
    /// Full or empty, and the peer has left.
    Closed,
    /// The last position is used.
    PositionLimit,
}

/// The truth.
#[derive(Debug)]
pub struct Model {
    /// Bytes of the messages sent and not released, the next to receive first.
    queue: VecDeque<Vec<u8>>,
    capacity: usize,
    /// Position of the first in the queue.
    head: u64,
    /// The first in the queue was exposed by a guard that was forgotten.
    pub forgotten: bool,
    /// The sender's seat.
    pub sender: SeatState,
    /// The receiver's seat.
    pub receiver: SeatState,
}

impl Model {
    /// An empty ring that nobody has come to.
    pub fn new(capacity: usize, start: u64) -> Self {
        let vacant = SeatState::Vacant;
        let queue = VecDeque::new();
        Self { queue, capacity, head: start, forgotten: false, sender: vacant, receiver: vacant }
    }

    /// Number of slots.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Position of the first message that was not released.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Position of the next message to send.
    pub fn tail(&self) -> u64 {
        self.head + self.queue.len() as u64
    }

    /// How many messages were not released.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// How many can be sent now.
    pub fn room(&self) -> usize {
        let free = self.capacity - self.queue.len();
        free.min(usize::try_from(LIMIT - self.tail()).unwrap_or(usize::MAX))
    }

    /// Why nothing can be sent, if that is so.
    pub fn refuses_send(&self) -> Option<Why> {
        match () {
            () if self.tail() == LIMIT => Some(Why::PositionLimit),
            () if self.queue.len() < self.capacity => None,
            () if self.receiver == SeatState::Closed => Some(Why::Closed),
            () => Some(Why::NotNow),
        }
    }

    /// Why nothing can be received, if that is so.
    pub fn refuses_recv(&self) -> Option<Why> {
        match () {
            () if self.head == LIMIT => Some(Why::PositionLimit),
            () if !self.queue.is_empty() => None,
            () if self.sender == SeatState::Closed => Some(Why::Closed),
            () => Some(Why::NotNow),
        }
    }

    /// Sends.
    pub fn send(&mut self, bytes: Vec<u8>) {
        assert!(self.room() > 0);
        self.queue.push_back(bytes);
    }

    /// The next message.
    pub fn front(&self) -> &[u8] {
        &self.queue[0]
    }

    /// Receives.
    pub fn recv(&mut self) -> Vec<u8> {
        self.head += 1;
        self.queue.pop_front().expect("the caller has asked")
    }

    /// A forgotten guard counts as released by the receiver's next operation.
    pub fn settle(&mut self) {
        if std::mem::take(&mut self.forgotten) {
            self.recv();
        }
    }
}
