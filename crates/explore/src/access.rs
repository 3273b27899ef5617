//! The ring as its participants know it, and what they do to it. Imports: words, bugs.

use crate::bugs::Bug;
use crate::words::{self, CLOSED, VACANT};

/// What all participants of a ring share and may know.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Slots; a power of two.
    pub capacity: u64,
    /// Seats for senders: 0 and up.
    pub senders: u8,
    /// Seats for receivers: after those of the senders.
    pub receivers: u8,
    /// Most positions taken with one CAS.
    pub batch: u64,
    /// Messages are lent under a guard, not copied.
    pub guard: bool,
    /// The claim is also cleared after each operation that won.
    pub clear: bool,
    /// Reservations may be given up.
    pub aborts: bool,
    /// Receivers may leave.
    pub leavers: bool,
    /// State words carry incarnation and manner of leaving. No step depends on either.
    pub numbered: bool,
    /// For records: what a participant wants of an operation is not known beforehand.
    pub open: bool,
    /// The seeded mistake.
    pub bug: Option<Bug>,
}

impl Setup {
    /// Whether the seat is for senders.
    pub fn sends(&self, seat: u8) -> bool {
        seat < self.senders
    }

    /// All seats.
    pub fn seats(&self) -> std::ops::Range<u8> {
        0..self.senders + self.receivers
    }

    /// The seats of those who take positions from the same counter.
    pub fn peers(&self, sends: bool) -> std::ops::Range<u8> {
        if sends { 0..self.senders } else { self.senders..self.senders + self.receivers }
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The state word, as far as it is told apart.
    pub(crate) fn state(&self, state: u64, incarnation: u64) -> u64 {
        match (self.numbered, state) {
            (true, _) => incarnation << 8 | state,
            (false, CLOSED | words::DIED) => VACANT,
            (false, _) => state,
        }
    }
}

/// A word in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// Next position to send.
    Tail,
    /// Next position to receive.
    Head,
    /// The word of the slot with this index.
    Slot(u64),
    /// A seat's claim.
    Claim(u8),
    /// A seat's state.
    State(u8),
}

/// One access to shared memory or to a seat's kernel lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads a word.
    Load(Word),
    /// Writes a word.
    Store(Word, u64),
    /// Writes the second value if the word holds the first.
    Cas(Word, u64, u64),
    /// Tries to lock a seat.
    Lock(u8),
    /// Asks whether anybody else holds a seat's lock.
    Query(u8),
    /// Unlocks a seat.
    Unlock(u8),
}

/// A possible next access, and which of the participant's choices it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The access.
    pub access: Access,
    /// Tells apart moves of one step.
    pub choice: u8,
}
