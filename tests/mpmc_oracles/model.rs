//! The model: messages by position, and what each endpoint has in hand. It knows no words.
//!
//! ```text
//!             head                   tail
//!              v                      v
//!   [ held ][ message | tomb | reserved ][ .. ]     a position p is free if p - capacity is gone
//! ```

use std::collections::BTreeMap;

use super::op::SEATS;

/// No message has this position or a higher one.
pub const LIMIT: u64 = 1 << 62;

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Full,
    Empty,
    Stalled,
    Timeout,
    Closed,
    Died,
    TooLong,
    TooSmall(usize),
    PositionLimit,
}

impl Why {
    /// What a verb says that has waited for a moment, if it did.
    pub fn after(self, wait: bool) -> Self {
        match self {
            Self::Full | Self::Empty | Self::Stalled if wait => Self::Timeout,
            why => why,
        }
    }
}

/// What is at a position, until its slot is free again.
#[derive(Clone, Debug)]
enum At {
    Reserved,
    Message(Vec<u8>),
    Tomb,
}

/// How a seat looks to those who come and those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chair {
    Vacant,
    Live,
    /// Left with something in it: nobody's, an heir's, or with its messages in other hands.
    Left,
    Closed,
    Died,
}

/// Whose a message was before.
#[derive(Clone, Copy, Debug)]
enum Before {
    Nobody,
    /// The last occupant of the own seat.
    Forerunner,
    /// That of another seat.
    Other(usize),
}

/// A message in a receiver's hands.
#[derive(Clone, Copy, Debug)]
pub struct Hand {
    pub position: u64,
    before: Before,
    /// Still to be received.
    kept: bool,
}

impl Hand {
    /// Whether it comes a second time.
    pub fn again(&self) -> bool {
        !matches!(self.before, Before::Nobody)
    }
}

/// A receiver's seat.
#[derive(Clone, Debug)]
struct Seat {
    chair: Chair,
    /// Somebody has it in hand: its occupant, or who receives what was left there.
    locked: bool,
    /// A message that was left there.
    left: Option<u64>,
    hand: Option<Hand>,
    last: (u64, bool),
}

/// The ring.
#[derive(Clone, Debug)]
pub struct Model {
    capacity: u64,
    tail: u64,
    head: u64,
    slots: BTreeMap<u64, At>,
    /// Each with the position of a forgotten reservation.
    senders: [(Chair, Option<u64>); SEATS],
    receivers: [Seat; SEATS],
}

/// Sending.
impl Model {
    pub fn new(capacity: u64, start: u64) -> Self {
        let seat =
            Seat { chair: Chair::Vacant, locked: false, left: None, hand: None, last: (0, false) };
        Self {
            capacity,
            tail: start,
            head: start,
            slots: BTreeMap::new(),
            senders: [(Chair::Vacant, None); SEATS],
            receivers: [const { None::<Seat> }; SEATS].map(|_| seat.clone()),
        }
    }

    /// Which seat a sender gets.
    pub fn sender_comes(&mut self) -> Option<usize> {
        let seat = self.senders.iter().position(|(chair, _)| *chair != Chair::Live)?;
        self.senders[seat].0 = Chair::Live;
        Some(seat)
    }

    pub fn sender_leaves(&mut self, who: usize) {
        self.settle_sender(who);
        self.senders[who].0 = Chair::Closed;
    }

    /// Gives a forgotten reservation up.
    pub fn settle_sender(&mut self, who: usize) {
        if let Some(position) = self.senders[who].1.take() {
            self.slots.insert(position, At::Tomb);
        }
    }

    fn is_free(&self, position: u64) -> bool {
        !position.checked_sub(self.capacity).is_some_and(|lap| self.slots.contains_key(&lap))
    }

    /// Takes up to so many positions.
    pub fn reserve(&mut self, who: usize, most: usize) -> Result<(u64, usize), Why> {
        self.settle_sender(who);
        let start = self.tail;
        if start == LIMIT {
            return Err(Why::PositionLimit);
        }
        let most = (most as u64).min(self.capacity).min(LIMIT - start);
        let count = (0..most).take_while(|n| self.is_free(start + n)).count();
        if count == 0 {
            return Err(self.receivers_ended().unwrap_or(Why::Full));
        }
        self.tail += count as u64;
        self.slots.extend((start..self.tail).map(|position| (position, At::Reserved)));
        Ok((start, count))
    }

    pub fn commit(&mut self, position: u64, message: Vec<u8>) {
        self.slots.insert(position, At::Message(message));
    }

    pub fn bury(&mut self, position: u64) {
        self.slots.insert(position, At::Tomb);
    }

    pub fn forget_reservation(&mut self, who: usize, position: u64) {
        self.senders[who].1 = Some(position);
    }

    fn receivers_ended(&self) -> Option<Why> {
        let mut ended = None;
        for seat in &self.receivers {
            match seat.chair {
                Chair::Live => return None,
                Chair::Left if seat.locked => return None,
                Chair::Left | Chair::Died => ended = Some(Why::Died),
                Chair::Closed => ended = ended.or(Some(Why::Closed)),
                Chair::Vacant => {}
            }
        }
        ended
    }

    /// Whether a receiver is there, for one who looks for the dead before.
    pub fn sender_asks(&mut self, who: usize) -> bool {
        self.settle_sender(who);
        self.look_around(None, false);
        self.receivers.iter().any(|seat| seat.chair == Chair::Live)
    }
}

/// Receiving.
impl Model {
    /// Which seat a receiver gets: one that is free, else one in which nothing was left, else
    /// one with a message, which will be his.
    pub fn receiver_comes(&mut self) -> Option<usize> {
        let find = |is: &dyn Fn(&Seat) -> bool| self.receivers.iter().position(is);
        let left = |seat: &Seat| seat.chair == Chair::Left && !seat.locked;
        let seat = find(&|seat| !matches!(seat.chair, Chair::Live | Chair::Left))
            .or_else(|| find(&|seat| left(seat) && seat.left.is_none()))
            .or_else(|| find(&left))?;
        let it = &mut self.receivers[seat];
        it.chair = if it.left.is_some() { Chair::Left } else { Chair::Live };
        (it.locked, it.last) = (true, (0, false));
        Some(seat)
    }

    pub fn receiver_leaves(&mut self, who: usize) {
        self.settle_receiver(who);
        let hand = self.receivers[who].hand.take();
        let it = &mut self.receivers[who];
        it.locked = false;
        match hand {
            Some(hand) => {
                it.chair = Chair::Left;
                match hand.before {
                    Before::Nobody => it.left = Some(hand.position),
                    Before::Forerunner => {}
                    Before::Other(seat) => self.receivers[seat].locked = false,
                }
            }
            None if it.left.is_none() => it.chair = Chair::Closed,
            None => {}
        }
    }

    /// Releases a forgotten guard.
    pub fn settle_receiver(&mut self, who: usize) {
        if let Some(hand) = self.receivers[who].hand.take_if(|hand| !hand.kept) {
            self.retire(who, hand);
        }
    }

    /// Whether nothing was there for a receiver to settle that left.
    pub fn is_settled(&self) -> bool {
        !self.receivers.iter().any(|seat| seat.chair == Chair::Left && !seat.locked)
    }

    /// Looks for what was left; a message of it, if asked for.
    pub fn look_around(&mut self, who: Option<usize>, deliver: bool) -> Option<Hand> {
        let hand = |position, before| Hand { position, before, kept: false };
        if let Some(who) = who
            && deliver
            && let Some(position) = self.receivers[who].left
        {
            return Some(hand(position, Before::Forerunner));
        }
        for (index, seat) in self.receivers.iter_mut().enumerate() {
            if seat.chair != Chair::Left || seat.locked {
                continue;
            }
            match seat.left {
                None => seat.chair = Chair::Died,
                Some(position) if deliver => {
                    seat.locked = true;
                    return Some(hand(position, Before::Other(index)));
                }
                Some(_) => {}
            }
        }
        None
    }

    /// Passes tombs over; why there is no message at the head, if so.
    fn next(&mut self, who: usize) -> Result<(), Why> {
        loop {
            match self.slots.get(&self.head) {
                // At the limit nobody looks for what was left.
                _ if self.head == LIMIT => return Err(Why::PositionLimit),
                // What an heir finds in his seat comes first.
                _ if self.receivers[who].left.is_some() => return Err(Why::Empty),
                Some(At::Message(_)) => return Ok(()),
                Some(At::Reserved) => return Err(Why::Stalled),
                Some(At::Tomb) => {
                    self.slots.remove(&self.head);
                    self.head += 1;
                }
                None => return Err(Why::Empty),
            }
        }
    }

    /// Takes the next message.
    pub fn take(&mut self, who: usize) -> Result<Hand, Why> {
        self.settle_receiver(who);
        if let Some(hand) = self.receivers[who].hand.take() {
            return Ok(Hand { kept: false, ..hand });
        }
        match self.next(who) {
            Ok(()) => {
                self.head += 1;
                let position = self.head - 1;
                Ok(Hand { position, before: Before::Nobody, kept: false })
            }
            Err(Why::Empty) => {
                let heir = self.receivers[who].left.is_some();
                let closed = self.senders.iter().any(|(chair, _)| *chair == Chair::Closed)
                    && self.senders.iter().all(|(chair, _)| *chair != Chair::Live);
                let found = if heir || closed { self.look_around(Some(who), true) } else { None };
                found.ok_or(if closed { Why::Closed } else { Why::Empty })
            }
            Err(why) => Err(why),
        }
    }

    /// Receives what was taken: its bytes.
    pub fn receive(&mut self, who: usize, hand: Hand) -> Vec<u8> {
        self.receivers[who].last = (hand.position, hand.again());
        let message = self.message(&hand).to_vec();
        self.retire(who, hand);
        message
    }

    /// Receives as many as there are, of so many positions.
    pub fn take_many(&mut self, who: usize, most: usize) -> Result<Vec<Vec<u8>>, Why> {
        self.settle_receiver(who);
        let most = (most as u64).min(self.capacity);
        loop {
            // A run of positions is taken as it is: tombs count.
            let start = self.head;
            let heir = self.receivers[who].left.is_some();
            let there = |position| {
                matches!(self.slots.get(&position), Some(At::Message(_) | At::Tomb)) && !heir
            };
            let run: Vec<_> = (start..start + most).take_while(|it| there(*it)).collect();
            if run.is_empty() {
                let hand = self.take(who)?;
                return Ok(vec![self.receive(who, hand)]);
            }
            self.head += run.len() as u64;
            let mut got = Vec::new();
            for position in run {
                if let Some(At::Message(message)) = self.slots.remove(&position) {
                    self.receivers[who].last = (position, false);
                    got.push(message);
                }
            }
            if !got.is_empty() {
                return Ok(got);
            }
        }
    }

    /// The message in hand.
    pub fn message(&self, hand: &Hand) -> &[u8] {
        match &self.slots[&hand.position] {
            At::Message(message) => message,
            other => panic!("{other:?} is no message"),
        }
    }

    /// Keeps a message, to be received later; or leaves it in hand.
    pub fn put_back(&mut self, who: usize, hand: Hand, kept: bool) {
        self.receivers[who].hand = Some(Hand { kept, ..hand });
    }

    /// Frees the slot of a message.
    pub fn retire(&mut self, who: usize, hand: Hand) {
        self.slots.remove(&hand.position);
        let (seat, chair) = match hand.before {
            Before::Nobody => return,
            Before::Forerunner => (who, Chair::Live),
            Before::Other(seat) => (seat, Chair::Died),
        };
        let it = &mut self.receivers[seat];
        (it.chair, it.left, it.locked) = (chair, None, seat == who);
    }

    /// Whether a sender is there, for one who looks for the dead before, unless something is
    /// to be received first.
    pub fn receiver_asks(&mut self, who: usize) -> bool {
        self.settle_receiver(who);
        if self.receivers[who].hand.is_none() {
            self.look_around(Some(who), false);
        }
        self.senders.iter().any(|(chair, _)| *chair == Chair::Live)
    }

    pub fn last(&self, who: usize) -> (u64, bool) {
        self.receivers[who].last
    }

    /// Whether nothing is left in it, or can be got out.
    pub fn is_done(&self) -> bool {
        self.slots.is_empty() || self.head == LIMIT
    }
}
