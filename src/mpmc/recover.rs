//! Settling what a dead participant left.
//!
//! ```text
//!   lock its seat ─▶ RECOVERING ─▶ its claim ─▶ for each position of it:
//!        counter not beyond        nothing was taken
//!        the word has moved on     it is dealt with
//!        a living one claims it    he may be its owner: later
//!        sender:   FREE ─▶ TOMB    never committed, receivers pass over it
//!        receiver: TOMB ─▶ FREE    nothing to receive
//!                  FULL ─▶ RECL ─▶ it comes again, marked ─▶ FREE
//!   all settled: claim = 0 ─▶ DIED ─▶ unlock      otherwise: unlock, for the next one
//! ```
//!
//! Whoever does it holds the seat's lock, so there is one at a time, and no next tenant. He
//! may die at any point himself: each step is one exchange of a word that only the holder of
//! the lock or the position's owner changes, and the claim goes last.

use super::post::{Court, EVERYBODY, Side};
use super::words::{NO_CLAIM, Slot, claimed, covers, near};
use crate::atomic::{Bug, claim as edge, publish, relaxed, seeded};
use crate::error::Corrupt;
use crate::layout::POSITION_LIMIT;
use crate::payload::Payload;
use crate::seat::{self, SeatState, Vacated};

/// A message that comes again, in the hands of whoever holds the dead one's lock.
pub(super) struct Estate {
    pub(super) position: u64,
    /// `None`: the seat is one's own.
    pub(super) vacated: Option<Vacated>,
}

impl Estate {
    pub(super) fn own(position: u64) -> Self {
        Self { position, vacated: None }
    }

    pub(super) fn of(vacated: Vacated, position: u64) -> Self {
        Self { position, vacated: Some(vacated) }
    }
}

/// How far a seat was settled.
pub(super) enum Settled {
    /// Nothing is left of its last owner.
    All,
    /// Somebody else has to move first, or to receive.
    Later,
    /// This message is to be received by whoever asked.
    Message(u64),
}

impl<M: Payload + ?Sized> Court<M> {
    /// Settles another's seat, whose lock is held, and says so in its state. `own` has
    /// withdrawn its claim.
    pub(super) fn settle_other(
        &self,
        vacated: &mut Vacated,
        own: Option<usize>,
        deliver: bool,
    ) -> Result<Settled, Corrupt> {
        let settled = self.settle_vacated(vacated, own, deliver)?;
        let free = matches!(settled, Settled::Later) && seeded(Bug::FreedTooSoon);
        if matches!(settled, Settled::All) || free {
            vacated.put(SeatState::Died);
        }
        Ok(settled)
    }

    /// The same, by one who will say himself how the seat stands.
    pub(super) fn settle_vacated(
        &self,
        vacated: &mut Vacated,
        own: Option<usize>,
        deliver: bool,
    ) -> Result<Settled, Corrupt> {
        if vacated.state() == SeatState::Live {
            vacated.put(SeatState::Recovering);
        }
        self.settle(vacated.index(), own, deliver)
    }

    /// Settles what the last owner of seat `dead` claimed.
    pub(super) fn settle(
        &self,
        dead: usize,
        own: Option<usize>,
        deliver: bool,
    ) -> Result<Settled, Corrupt> {
        let side = self.side_of(dead);
        let claim_word = self.claim(dead);
        // CLAIM: pairs with `Post::claim`.
        let (start, count) = claimed(claim_word.load(edge::LOOK));
        let mut later = false;
        if seeded(Bug::ClaimClearedFirst) {
            claim_word.store(NO_CLAIM, edge::NOTE);
        }
        for n in 0..count {
            // CLAIM: whoever took a position below has noted it. Pairs with `Post::claim`.
            let counter = self.counter(side).load(edge::COUNTER);
            if counter > POSITION_LIMIT {
                return Err(Corrupt { word: "counter", value: counter });
            }
            let position = near(counter, start.wrapping_add(n));
            if counter <= position && !seeded(Bug::NoLookAtCounter) {
                // Nobody has taken it.
                continue;
            }
            match self.settle_position(side, dead, own, position)? {
                Step::Done => {}
                Step::Mine if deliver => return Ok(Settled::Message(position)),
                Step::Mine | Step::Later => later = true,
            }
        }
        if later {
            return Ok(Settled::Later);
        }
        // CLAIM: after all that was settled. Pairs with `Court::settle` by the next one.
        claim_word.store(NO_CLAIM, edge::NOTE);
        Ok(Settled::All)
    }

    fn settle_position(
        &self,
        side: Side,
        dead: usize,
        own: Option<usize>,
        position: u64,
    ) -> Result<Step, Corrupt> {
        let stamp = self.slots.stamp(position);
        // PUBLISH: the message that comes again is written. Pairs with `Sender::put`.
        let word = stamp.load(publish::ACQUIRE);
        let settled = match (side, Slot::of(word)) {
            (Side::Senders, Slot::Free(at)) if at == position => Slot::Tomb(position),
            (Side::Receivers, Slot::Tomb(at)) if at == position => {
                Slot::Free(position + self.slots.capacity())
            }
            (Side::Receivers, Slot::Full(at))
                if at == position && seeded(Bug::DeadMessageIsFreed) =>
            {
                Slot::Free(position + self.slots.capacity())
            }
            (Side::Receivers, Slot::Full(at)) if at == position => Slot::Recl(position, dead),
            (Side::Receivers, slot @ Slot::Recl(_, of)) if of == dead => {
                // His estate already, and so in the hands of whoever holds his lock.
                return Ok(if slot.from(position) == 0 { Step::Mine } else { Step::Done });
            }
            _ => return Ok(Step::Done),
        };
        if !seeded(Bug::IgnoreLive) && self.dispute(side, dead, own, position)? {
            return Ok(Step::Later);
        }
        // Models' exchanges read the newest store. By C11 this one may come before a store of
        // the owner's, unless it is known of: then a plain load sees it too.
        #[cfg(loom)]
        let unaware = stamp.load(relaxed::VALIDATED) == word;
        // CLAIM: pairs with the loads of the word.
        let settles = stamp.compare_exchange(word, settled.word(), edge::SETTLE, relaxed::HINT);
        #[cfg(loom)]
        assert!(
            !unaware || !settles.is_err_and(|now| self.is_its_owners(now, settled, position)),
            "a position could be settled that its owner has dealt with"
        );
        if settles.is_err() {
            // Another dead one's recoverer was first.
            return Ok(Step::Done);
        }
        match settled {
            Slot::Recl(..) => return Ok(Step::Mine),
            Slot::Tomb(_) => self.not_empty.notify(EVERYBODY),
            _ => self.not_full.notify(EVERYBODY),
        }
        Ok(Step::Done)
    }

    /// Whether only a position's owner can have written this, instead of `settled`; or,
    /// where several receivers are dead, whoever received it of another one.
    #[cfg(loom)]
    fn is_its_owners(&self, word: u64, settled: Slot, position: u64) -> bool {
        match settled {
            Slot::Tomb(_) => word == Slot::Full(position).word(),
            Slot::Recl(..) => word == self.free(position),
            _ => false,
        }
    }

    /// Whether somebody who lives claims the position too: it may be his.
    fn dispute(
        &self,
        side: Side,
        dead: usize,
        own: Option<usize>,
        position: u64,
    ) -> Result<bool, Corrupt> {
        for other in self.seats_of(side) {
            if other == dead || Some(other) == own {
                continue;
            }
            // CLAIM: pairs with `Post::claim` and `Post::withdraw`.
            if !covers(self.claim(other).load(edge::LOOK), position) {
                continue;
            }
            let state = seat::peek(self.segment(), other)?;
            let recovering = state == SeatState::Recovering && seeded(Bug::RecoveringLives);
            if (state == SeatState::Live || recovering)
                // If the kernel does not say, he may live.
                && seat::is_held(self.segment(), other).unwrap_or(!seeded(Bug::NoAnswerIsDead))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What became of one position.
enum Step {
    Done,
    /// Its message comes again, and is the lock holder's to receive.
    Mine,
    /// Somebody who lives claims it too.
    Later,
}
