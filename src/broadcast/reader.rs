//! Reading a slot that the sender may overwrite meanwhile.
//!
//! ```text
//!   stamp of the slot of position p:
//!     (p + 1) << 1                  holds the message of p
//!     (p + 1) << 1 | 1              that message is being written
//!     (p + 1 - capacity) << 1       the lap before
//!     (p + 1 - capacity) << 1 | 1   nothing yet: the ring is new
//!     the same, of a later lap      p was overwritten
//!     anything else                 impossible: Corrupt
//! ```

use std::sync::Arc;

use crate::atomic::{Bug, fence, publish, relaxed, seeded, tear};
use crate::copy;
use crate::error::{Corrupt, Error, Fault};
use crate::gate::Gate;
use crate::layout::{self, POSITION_LIMIT};
use crate::outcome::NoMessage;
use crate::payload::Payload;
use crate::segment::{Format, Segment};
use crate::slots::{ControlWord, Slots};

/// The stamp of a slot that holds the message of `position`.
#[inline(always)]
pub(super) const fn full_stamp(position: u64) -> u64 {
    (position + 1) << 1
}

/// The stamp of a slot whose message is being written.
#[inline(always)]
pub(super) const fn writing_stamp(position: u64) -> u64 {
    full_stamp(position) | 1
}

/// The stamp of a slot that has never held one, and is free for `position`.
pub(super) const fn never_stamp(position: u64, capacity: u64) -> u64 {
    writing_stamp(position).wrapping_sub(capacity << 1)
}

/// What the stamp of a position's slot says.
pub(super) enum Slot {
    /// The message is there.
    Full,
    /// It is not yet, or is being written.
    Free,
    /// A later one is there, or being written: that of this position.
    Overrun(u64),
}

/// What a stamp says of a position.
pub(super) fn slot(stamp: u64, position: u64, capacity: u64) -> Result<Slot, Corrupt> {
    let corrupt = Corrupt { word: "stamp", value: stamp };
    let full = full_stamp(position);
    if stamp == full {
        return Ok(Slot::Full);
    }
    let before = full.wrapping_sub(capacity << 1);
    if stamp == full | 1 || stamp == before || stamp == before | 1 {
        return Ok(Slot::Free);
    }
    let there = (stamp >> 1).checked_sub(1).ok_or(corrupt)?;
    let laps = there > position && (there - position).is_multiple_of(capacity);
    if laps && there < POSITION_LIMIT { Ok(Slot::Overrun(there)) } else { Err(corrupt) }
}

/// One who reads messages in order, with or without a seat.
pub(super) struct Reader<M: Payload + ?Sized> {
    pub(super) slots: Slots<M::Shape>,
    /// Shut once the handle can't go on.
    pub(super) gate: Gate,
    /// Next position to read.
    pub(super) position: u64,
    tail_word: ControlWord,
    /// The sender can't lap it.
    lossless: bool,
}

/// A message that still lies in the ring, and may be overwritten while it is looked at: what
/// was read counts only if the receive that lent the view succeeds.
#[derive(Clone, Copy)]
pub struct View<'a, M: Payload + ?Sized> {
    reader: &'a Reader<M>,
    len: usize,
}

impl<M: Payload + ?Sized> View<'_, M> {
    /// The message's position.
    pub fn position(&self) -> u64 {
        self.reader.position
    }

    /// Length of the message in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a message is no collection")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies some of its bytes out, from byte `offset` on; says how many: fewer than asked
    /// for at the message's end.
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> usize {
        let offset = offset.min(self.len);
        let count = out.len().min(self.len - offset);
        let area = self.reader.slots.message(self.reader.position);
        copy::load(area, M::PREFIX + offset, &mut out[..count]);
        count
    }
}

impl<M: Payload + ?Sized> core::fmt::Debug for View<'_, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("broadcast::View")
            .field("position", &self.position())
            .field("len", &self.len)
            .finish()
    }
}

impl<M: Payload + ?Sized> Reader<M> {
    /// At the position that the tail says.
    pub(super) fn new(segment: &Arc<Segment>, format: &Format) -> Result<Self, Error> {
        let slots = Slots::new(Arc::clone(segment), format, M::shape(format));
        let at = layout::control_at(format.seats) + layout::broadcast::TAIL;
        let mut reader = Self {
            slots,
            gate: Gate::new(POSITION_LIMIT)?,
            position: 0,
            tail_word: ControlWord::new(segment, at),
            lossless: format.kind.is_lossless(),
        };
        reader.position = reader.newest()?;
        Ok(reader)
    }

    /// Nobody waits for this reader, not even in a lossless ring.
    pub(super) fn may_be_lapped(&mut self) {
        self.lossless = false;
    }

    /// The next position to be sent, as far as can be seen.
    pub(super) fn newest(&self) -> Result<u64, Corrupt> {
        // A hint: late by one where a sender has not noted its last message yet.
        let tail = self.tail_word.load(relaxed::HINT);
        if tail > POSITION_LIMIT {
            return Err(Corrupt { word: "tail", value: tail });
        }
        // PUBLISH: as in `stamp`.
        let noted = self.stamp(tail) != full_stamp(tail);
        Ok(if noted { tail } else { tail + 1 })
    }

    /// The oldest position from `least` on whose message is there; the newest if none is.
    pub(super) fn oldest(&self, least: u64) -> Result<u64, Corrupt> {
        let newest = self.newest()?;
        let least = least.max(newest.saturating_sub(self.slots.capacity()));
        let there = |position: &u64| self.stamp(*position) == full_stamp(*position);
        Ok((least..newest).find(there).unwrap_or(newest))
    }

    /// The stamp of a position's slot.
    #[inline(always)]
    fn stamp(&self, position: u64) -> u64 {
        // PUBLISH: the message is written. Pairs with `Sender::commit`. By a fence, since an
        // observer's pages can only be read.
        self.slots.stamp(position).load_fenced(publish::ACQUIRE)
    }

    /// Whether the next message is there.
    #[inline(always)]
    pub(super) fn is_ready(&self) -> bool {
        self.gate.admits(self.position) && self.stamp(self.position) == full_stamp(self.position)
    }

    /// Whether the next receive would find nothing, and no error either.
    #[cfg(not(loom))]
    pub(super) fn would_wait(&self) -> bool {
        let slot = slot(self.stamp(self.position), self.position, self.slots.capacity());
        self.gate.check(self.position).is_ok() && matches!(slot, Ok(Slot::Free))
    }

    /// Looks closer when the next message is not there; `Ok`: now it is.
    pub(super) fn look_closer(&mut self) -> Result<(), NoMessage> {
        self.gate.check(self.position).map_err(NoMessage::Fault)?;
        let stamp = self.stamp(self.position);
        match slot(stamp, self.position, self.slots.capacity()) {
            Ok(Slot::Full) => Ok(()),
            Ok(Slot::Free) => Err(NoMessage::Empty),
            Ok(Slot::Overrun(there)) if !self.lossless => Err(self.lag(there)),
            Ok(Slot::Overrun(_)) => {
                Err(NoMessage::Fault(self.poison(Corrupt { word: "stamp", value: stamp })))
            }
            Err(corrupt) => Err(NoMessage::Fault(self.poison(corrupt))),
        }
    }

    /// Goes on behind what was overwritten, of which `there` took this position's slot. An
    /// eighth of a lap further, so that the sender is not upon it again at once.
    fn lag(&mut self, there: u64) -> NoMessage {
        let capacity = self.slots.capacity();
        let tail = self.tail_word.load(relaxed::HINT);
        // The tail is within a lap of what was written here; a stale hint is worth nothing.
        let near = (there..=there + capacity).contains(&tail);
        let seen = if near || seeded(Bug::TailHintTrusted) { tail } else { there };
        let next = seen.max(there) + 1 - capacity + capacity / 8;
        let told = if seeded(Bug::LagMiscounts) { next - capacity / 8 } else { next };
        let missed = told - self.position;
        self.position = next;
        NoMessage::Lagged(missed)
    }

    /// Reads the message at `position`, which was ready, with `read`; what that made of it
    /// counts only if the slot was left alone meanwhile.
    #[inline(always)]
    pub(super) fn read<R>(&mut self, read: impl FnOnce(View<'_, M>) -> R) -> Result<R, NoMessage> {
        let len = self.len();
        let most = self.slots.message(self.position).len() - M::PREFIX;
        // A length that can't be is a torn one, or a lie: nothing is read by it.
        let done = (len <= most as u64).then(|| read(View { reader: self, len: len as usize }));
        if seeded(Bug::SmallNeedsNoLook)
            && self.slots.message(self.position).len() <= 8
            && let Some(done) = done
        {
            return Ok(done);
        }
        // TEAR: after the words. Pairs with `Sender::put`.
        fence(tear::LOOK);
        let stamp = self.slots.stamp(self.position).load(relaxed::FENCED);
        if stamp != full_stamp(self.position) {
            return Err(match self.look_closer() {
                // It was there, and is not, and nothing came over it.
                Ok(()) | Err(NoMessage::Empty) => {
                    NoMessage::Fault(self.poison(Corrupt { word: "stamp", value: stamp }))
                }
                Err(reason) => reason,
            });
        }
        let corrupt = Corrupt { word: "message length", value: len };
        done.ok_or_else(|| NoMessage::Fault(self.poison(corrupt)))
    }

    /// Length of the message's payload: a constant, or what the slot says, read once.
    #[inline(always)]
    fn len(&self) -> u64 {
        let area = self.slots.message(self.position);
        if M::PREFIX == 0 {
            return area.len() as u64;
        }
        let mut word = [0; 8];
        copy::load(area, 0, &mut word);
        u64::from_le_bytes(word)
    }

    /// Reads the newest message there is, wherever this reader has come to.
    pub(super) fn latest<R>(
        &mut self,
        mut read: impl FnMut(View<'_, M>) -> R,
    ) -> Result<R, NoMessage> {
        /// How often the sender may overwrite the very newest before we give up.
        const TRIES: u32 = 100;
        let own = self.position;
        // Overwriting what this reader has taken already is no lie.
        let lossless = core::mem::replace(&mut self.lossless, false);
        let mut outcome = Err(NoMessage::Empty);
        for _ in 0..TRIES {
            outcome = self.read_newest(&mut read);
            if !matches!(&outcome, Err(NoMessage::Lagged(_))) {
                break;
            }
        }
        (self.position, self.lossless) = (own, lossless);
        match outcome {
            Err(NoMessage::Lagged(_)) => Err(NoMessage::Empty),
            outcome => outcome,
        }
    }

    /// Goes to the newest message and reads it.
    fn read_newest<R>(&mut self, read: impl FnOnce(View<'_, M>) -> R) -> Result<R, NoMessage> {
        self.gate.check(0).map_err(NoMessage::Fault)?;
        let newest = self.newest().map_err(|it| NoMessage::Fault(self.poison(it)))?;
        self.position = newest.checked_sub(1).ok_or(NoMessage::Empty)?;
        self.look_closer()?;
        self.read(read)
    }

    /// The handle has seen what no correct peer writes.
    #[cold]
    pub(super) fn poison(&mut self, corrupt: Corrupt) -> Fault {
        self.gate.poison(corrupt)
    }
}
