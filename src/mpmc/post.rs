//! What senders and receivers have in common: a seat, a claim, and a counter from which
//! positions are taken.

use std::sync::Arc;
use std::time::Duration;

use super::Ring;
use super::recover::{Estate, Settled};
use super::words::{BATCH_MAX, NO_CLAIM, Slot, claim};
use crate::atomic::{Bug, claim as edge, publish, relaxed, retire, seeded};
use crate::endpoint::{self, Blocked, Unfinished, Waiter, deadline_after};
use crate::error::{Corrupt, Error, Fault, WaitError};
use crate::gate::Gate;
use crate::layout::{self, POSITION_LIMIT};
use crate::payload::{Payload, Trust};
use crate::seat::{self, Seat, SeatState, Vacated};
use crate::segment::Segment;
use crate::slots::{ControlWord, Slots};
use crate::wait::Event;

/// The two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Senders,
    Receivers,
}

/// All shared words of a ring.
pub(super) struct Court<M: Payload + ?Sized> {
    pub(super) slots: Slots<M::Shape>,
    pub(super) tail: ControlWord,
    pub(super) head: ControlWord,
    pub(super) not_empty: Event,
    pub(super) not_full: Event,
    /// Seats of either side.
    pub(super) seats: usize,
}

/// Wakes all who sleep.
pub(super) const EVERYBODY: u32 = u32::MAX;

impl<M: Payload + ?Sized> Court<M> {
    pub(super) fn new<A: Trust>(ring: &Ring<M, A>) -> Self {
        let (segment, format) = (&ring.segment, &ring.format);
        let at = layout::control_at(format.seats);
        Self {
            slots: Slots::new(Arc::clone(segment), format, M::shape(format)),
            tail: ControlWord::new(segment, at + layout::mpmc::TAIL),
            head: ControlWord::new(segment, at + layout::mpmc::HEAD),
            not_empty: ring.event(super::NOT_EMPTY),
            not_full: ring.event(super::NOT_FULL),
            seats: (format.seats / 2) as usize,
        }
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        self.slots.segment()
    }

    /// The seats of a side.
    pub(super) fn seats_of(&self, side: Side) -> core::ops::Range<usize> {
        match side {
            Side::Senders => 0..self.seats,
            Side::Receivers => self.seats..2 * self.seats,
        }
    }

    /// The side of a seat.
    pub(super) fn side_of(&self, seat: usize) -> Side {
        if seat < self.seats { Side::Senders } else { Side::Receivers }
    }

    /// The counter that a side takes positions from.
    pub(super) fn counter(&self, side: Side) -> &ControlWord {
        match side {
            Side::Senders => &self.tail,
            Side::Receivers => &self.head,
        }
    }

    /// A seat's claim.
    pub(super) fn claim(&self, seat: usize) -> ControlWord {
        ControlWord::new(self.segment(), layout::seat_line(seat) + layout::seat::CLAIM)
    }

    /// A position's slot is free again, or for the first time.
    #[inline(always)]
    pub(super) fn free(&self, position: u64) -> u64 {
        Slot::Free(position + self.slots.capacity()).word()
    }

    /// How a side has ended, if nobody of it is there any more.
    pub(super) fn ended(&self, side: Side) -> Result<Option<SeatState>, Corrupt> {
        let mut ended = None;
        for index in self.seats_of(side) {
            match seat::peek(self.segment(), index)? {
                SeatState::Live => return Ok(None),
                // Somebody settles it, perhaps as his own; or nobody: an estate that waits
                // for a receiver, whose owner has died all the same.
                SeatState::Recovering if seat::is_held(self.segment(), index).unwrap_or(true) => {
                    return Ok(None);
                }
                SeatState::Vacant => {}
                SeatState::Recovering | SeatState::Died => ended = Some(SeatState::Died),
                SeatState::Closed => ended = ended.or(Some(SeatState::Closed)),
            }
        }
        Ok(ended)
    }
}

/// One participant's place.
pub(super) struct Post<M: Payload + ?Sized> {
    pub(super) court: Court<M>,
    /// Open until the handle can't go on.
    pub(super) gate: Gate,
    pub(super) seat: Seat,
    claim: ControlWord,
    /// The claim is not "none".
    noted: bool,
    /// The own seat's last occupant died and is not settled: that is done before anything
    /// is claimed here.
    pub(super) heir: bool,
    /// Refusals in a row.
    refusals: u32,
    /// A seat of the other side that was seen taken.
    company: usize,
}

/// How often others may take a position before us in one call that does not wait.
const TRIES: u32 = 128;

/// The same before a call looks closer.
const GRABS: u32 = 8;

/// So many refusals in a row make one who never waits look for the dead.
const PATIENCE: u32 = 4096;

/// Why no position was taken.
pub(super) enum Refused {
    /// The slot at the counter is not ready: its word, and the counter.
    NotReady {
        word: u64,
        at: u64,
    },
    /// Others were always first.
    Contended,
    /// What the seat's last occupant left has to be settled first.
    Heir,
    Fault(Fault),
}

/// Positions taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) count: u64,
}

impl<M: Payload + ?Sized> Post<M> {
    /// Takes a seat of a side.
    pub(super) fn take<A: Trust>(
        ring: &Ring<M, A>,
        side: Side,
        role: &'static str,
    ) -> Result<Self, Error> {
        let court = Court::new(ring);
        // What can fail comes before the seat, so that nobody has to leave it again.
        let mut gate = Gate::new(POSITION_LIMIT)?;
        let (seat, heir) = court.seat(side, role)?;
        if heir {
            gate.shut();
        }
        let claim = court.claim(seat.index());
        let company = match side {
            Side::Senders => court.seats,
            Side::Receivers => 0,
        };
        Ok(Self { court, gate, seat, claim, noted: false, heir, refusals: 0, company })
    }

    /// Takes up to `most` positions whose slots are `ready`, in one step. Others may take
    /// them first, for a bounded number of times.
    #[inline(always)]
    pub(super) fn claim(
        &mut self,
        side: Side,
        most: u64,
        ready: impl Fn(&Court<M>, u64) -> Result<(), u64>,
    ) -> Result<Run, Refused> {
        let tries = if seeded(Bug::TriesForEver) { u32::MAX } else { TRIES };
        for _ in 0..tries {
            // Checked by the exchange.
            let start = self.court.counter(side).load(relaxed::VALIDATED);
            if !self.gate.admits(start) {
                return Err(self.stopped(start));
            }
            if let Err(word) = ready(&self.court, start) {
                let slot = Slot::of(word);
                let ahead = slot.from(start);
                if ahead >= 0 && seeded(Bug::MovedOnIsFull) {
                    return Err(Refused::NotReady { word, at: start });
                }
                if ahead > 0 || (ahead == 0 && slot != Slot::Free(start)) {
                    // The counter has moved on since.
                    continue;
                }
                if ahead != 0 && ahead.unsigned_abs() != self.court.slots.capacity() {
                    // CLAIM: a word from laps ago may be an old one, read before those who
                    // brought the counter here are known of. Pairs with their exchanges.
                    self.court.counter(side).load(edge::COUNTER);
                    if ready(&self.court, start) != Err(word) {
                        continue;
                    }
                    let corrupt = Corrupt { word: "slot", value: word };
                    self.withdraw();
                    return Err(Refused::Fault(self.gate.poison(corrupt)));
                }
                return Err(Refused::NotReady { word, at: start });
            }
            let count = match most.min(POSITION_LIMIT - start) {
                1 => 1,
                most => {
                    let more = |n: &u64| ready(&self.court, start + n).is_ok();
                    (1..most).take_while(more).count() as u64 + 1
                }
            };
            if self.exchange(side, start, count) {
                return Ok(Run { start, count });
            }
        }
        Err(Refused::Contended)
    }

    /// As `claim`, of one position, where nothing speaks against it: the way that most calls
    /// go. `None`: look closer.
    #[inline(always)]
    pub(super) fn grab(
        &mut self,
        side: Side,
        is_ready: impl Fn(&Court<M>, u64) -> bool,
    ) -> Option<u64> {
        for _ in 0..GRABS {
            // Checked by the exchange.
            let start = self.court.counter(side).load(relaxed::VALIDATED);
            if !self.gate.admits(start) || !is_ready(&self.court, start) {
                return None;
            }
            if self.exchange(side, start, 1) {
                return Some(start);
            }
        }
        None
    }

    /// Notes positions and takes them. False: somebody else was first.
    #[inline(always)]
    fn exchange(&mut self, side: Side, start: u64, count: u64) -> bool {
        let late = seeded(Bug::ClaimAfterCas);
        if !late {
            // CLAIM: before the exchange, and after all of the operation before. Pairs with
            // `Court::dispute` and `Court::settle`.
            let noted = if seeded(Bug::ClaimOfOne) { 1 } else { count };
            self.claim.store(claim(start, noted), edge::NOTE);
        }
        self.noted = true;
        let counter = self.court.counter(side);
        let taken = if seeded(Bug::TakesWithoutExchange) && side == Side::Receivers {
            let stands = counter.load(edge::COUNTER) == start;
            if stands {
                counter.store(start + count, edge::NOTE);
            }
            if stands { Ok(start) } else { Err(start) }
        } else {
            // CLAIM: as above. Pairs with `Court::settle`'s load of the counter.
            counter.compare_exchange(start, start + count, edge::TAKE, relaxed::HINT)
        };
        if late && taken.is_ok() {
            self.claim.store(claim(start, count), edge::NOTE);
        }
        if taken.is_ok() {
            self.refusals = 0;
        }
        taken.is_ok()
    }

    /// Why the gate does not admit a position.
    #[cold]
    fn stopped(&mut self, start: u64) -> Refused {
        match self.gate.check(start) {
            Err(fault) => {
                // Of one who goes on no more, a claim would keep the dead from being settled.
                if fault != Fault::Forked {
                    self.withdraw();
                }
                Refused::Fault(fault)
            }
            Ok(()) if self.heir => Refused::Heir,
            // Beyond a counter that nobody can have written.
            Ok(()) => {
                let corrupt = Corrupt { word: "counter", value: start };
                Refused::Fault(self.gate.poison(corrupt))
            }
        }
    }

    /// Says that nothing is being taken: a claim on what others got would keep the dead from
    /// being settled.
    pub(super) fn withdraw(&mut self) {
        if self.noted && !seeded(Bug::StaleLoser) {
            self.noted = false;
            // CLAIM: after all of the operation. Pairs with `Court::dispute`.
            self.claim.store(NO_CLAIM, edge::NOTE);
        }
    }

    /// Withdraws after a refusal; whether it is time to look for the dead.
    pub(super) fn refused(&mut self) -> bool {
        self.withdraw();
        self.refusals += 1;
        let look = self.refusals >= PATIENCE;
        if look {
            self.refusals = 0;
        }
        look
    }

    /// The next refusal says so.
    #[cfg(feature = "test-hooks")]
    pub(super) fn lose_patience(&mut self) {
        self.refusals = PATIENCE - 1;
    }

    /// Whether the other side is known to have ended; remembers who is there.
    pub(super) fn ended(&mut self, side: Side) -> Result<Option<SeatState>, Corrupt> {
        let segment = self.court.segment();
        if seat::peek(segment, self.company)? == SeatState::Live {
            return Ok(None);
        }
        for index in self.court.seats_of(side) {
            if seat::peek(segment, index)? == SeatState::Live {
                self.company = index;
                return Ok(None);
            }
        }
        self.court.ended(side)
    }

    /// Looks for the dead of both sides and settles what they left. A receiver (`deliver`)
    /// gets the first message that comes again.
    pub(super) fn look_around(&mut self, deliver: bool) -> Result<Option<Estate>, Corrupt> {
        self.withdraw();
        if self.heir
            && let Some(position) = self.settle_own(deliver)?
        {
            return Ok(Some(Estate::own(position)));
        }
        for index in 0..2 * self.court.seats {
            if index == self.seat.index() {
                continue;
            }
            let Some(mut vacated) = self.court.find_dead(index)? else { continue };
            match self.court.settle_other(&mut vacated, Some(self.seat.index()), deliver)? {
                Settled::Later if seeded(Bug::LaterKeepsLock) => core::mem::forget(vacated),
                Settled::All | Settled::Later => {}
                Settled::Message(position) => return Ok(Some(Estate::of(vacated, position))),
            }
        }
        Ok(None)
    }

    /// Retires what was received of the dead, and goes on settling.
    pub(super) fn release(&mut self, estate: Estate) -> Result<(), Corrupt> {
        let word = self.court.free(estate.position);
        self.court.slots.stamp(estate.position).store(word, retire::RELEASE);
        self.court.not_full.notify(EVERYBODY);
        match estate.vacated {
            Some(mut vacated) => {
                self.court.settle_other(&mut vacated, Some(self.seat.index()), false)?;
            }
            None => {
                self.settle_own(false)?;
            }
        }
        Ok(())
    }

    /// Settles what the own seat's last occupant left; a message of it, if asked for.
    fn settle_own(&mut self, deliver: bool) -> Result<Option<u64>, Corrupt> {
        match self.court.settle(self.seat.index(), None, deliver)? {
            Settled::All => {
                self.seat.enliven();
                self.heir = false;
                self.gate.open_to(POSITION_LIMIT);
                // Senders may be waiting for somebody to come.
                self.court.not_full.notify(EVERYBODY);
            }
            Settled::Later => {}
            Settled::Message(position) => return Ok(Some(position)),
        }
        Ok(None)
    }

    /// Leaves the seat to whoever looks for the dead: what is claimed is still in hand.
    pub(super) fn hand_on(&mut self) {
        self.seat.hand_on();
    }

    /// Waits until somebody of a side is there.
    pub(super) fn wait_for_company(
        &mut self,
        side: Side,
        waiter: &Waiter,
        timeout: Option<Duration>,
    ) -> Result<(), WaitError> {
        self.gate.check(0)?;
        let deadline = timeout.and_then(deadline_after);
        let mut waiting = Company { court: &self.court, side, waiter };
        let outcome = match endpoint::wait(&mut waiting, deadline) {
            Ok(outcome) => outcome,
            Err(Unfinished::TimedOut) => return Err(WaitError::Timeout),
            Err(Unfinished::Cancelled) => return Err(WaitError::Cancelled),
            Err(Unfinished::Corrupt(corrupt)) => Err(corrupt),
        };
        outcome.map_err(|corrupt| WaitError::Fault(self.gate.poison(corrupt)))
    }

    /// Leaves the seat in order.
    pub(super) fn leave(&mut self) {
        if self.heir {
            // As it was found: something is left to settle.
            return;
        }
        self.withdraw();
        self.seat.leave();
    }
}

/// One who waits for somebody to come.
struct Company<'a, M: Payload + ?Sized> {
    court: &'a Court<M>,
    side: Side,
    waiter: &'a Waiter,
}

impl<M: Payload + ?Sized> Blocked for Company<'_, M> {
    type Outcome = Result<(), Corrupt>;

    fn waiter(&self) -> &Waiter {
        self.waiter
    }

    fn stirs(&self) -> bool {
        let live = |seat| seat::peek(self.court.segment(), seat) == Ok(SeatState::Live);
        self.court.seats_of(self.side).any(live)
    }

    fn look(&mut self) -> Option<Self::Outcome> {
        for seat in self.court.seats_of(self.side) {
            match seat::peek(self.court.segment(), seat) {
                Ok(SeatState::Live) => return Some(Ok(())),
                Ok(_) => {}
                Err(corrupt) => return Some(Err(corrupt)),
            }
        }
        None
    }

    fn look_around(&mut self) -> Option<Self::Outcome> {
        None
    }
}

impl<M: Payload + ?Sized> Court<M> {
    /// Takes a seat: one that is free, else one whose dead owner can be settled, else, for a
    /// receiver, one whose dead owner's messages it will receive.
    fn seat(&self, side: Side, role: &'static str) -> Result<(Seat, bool), Error> {
        let seats = self.seats_of(side);
        let count = seats.len() as u64;
        for (dead, inherits) in [(false, false), (true, false), (true, true)] {
            if inherits && side == Side::Senders {
                // Who settles what a dead sender left has nothing more to do for it.
                break;
            }
            for index in seats.clone() {
                let state = seat::peek(self.segment(), index)?;
                let lives = matches!(state, SeatState::Live | SeatState::Recovering);
                if lives != dead || (lives && seat::is_held(self.segment(), index)?) {
                    continue;
                }
                let Some(mut vacated) = Vacated::lock(self.segment(), index)? else { continue };
                let dead = matches!(vacated.state(), SeatState::Live | SeatState::Recovering);
                if dead && !seeded(Bug::NewcomerJustSitsDown) {
                    match self.settle_vacated(&mut vacated, None, false)? {
                        Settled::All => {}
                        _ if inherits => match vacated.occupy(SeatState::Recovering) {
                            Some(seat) => return Ok((seat, true)),
                            None => continue,
                        },
                        _ => continue,
                    }
                }
                if let Some(seat) = vacated.occupy(SeatState::Live) {
                    return Ok((seat, false));
                }
            }
        }
        Err(Error::NoSeat { role, seats: count })
    }

    /// Locks a seat whose owner has died, if that is so.
    fn find_dead(&self, index: usize) -> Result<Option<Vacated>, Corrupt> {
        let dead = |state| matches!(state, SeatState::Live | SeatState::Recovering);
        if !dead(seat::peek(self.segment(), index)?) {
            return Ok(None);
        }
        // What the kernel does not say is asked again.
        let locked = match seat::is_held(self.segment(), index) {
            Ok(false) => Vacated::lock(self.segment(), index),
            _ => return Ok(None),
        };
        match locked {
            Ok(vacated) => Ok(vacated.filter(|vacated| dead(vacated.state()))),
            Err(Error::Corrupt(corrupt)) => Err(corrupt),
            Err(_) => Ok(None),
        }
    }

    /// Whether the slot of a position is free for it; otherwise its word.
    #[inline(always)]
    pub(super) fn is_free(&self, position: u64) -> Result<(), u64> {
        // RETIRE: the reads of the lap before are over. Pairs with `Receiver::release`.
        let word = self.slots.stamp(position).load(retire::ACQUIRE);
        if word == Slot::Free(position).word() { Ok(()) } else { Err(word) }
    }

    /// Whether the slot of a position holds its message, or a tomb; otherwise its word.
    #[inline(always)]
    pub(super) fn is_there(&self, position: u64) -> Result<(), u64> {
        // PUBLISH: the message is written. Pairs with `Sender::put`.
        let word = self.slots.stamp(position).load(publish::ACQUIRE);
        let there = word == Slot::Full(position).word() || word == Slot::Tomb(position).word();
        if there { Ok(()) } else { Err(word) }
    }

    /// Whether the slot of a position holds its message.
    #[inline(always)]
    pub(super) fn is_full(&self, position: u64) -> bool {
        // PUBLISH: as in `is_there`.
        self.slots.stamp(position).load(publish::ACQUIRE) == Slot::Full(position).word()
    }

    /// The most positions that one call takes.
    pub(super) fn most(&self, wanted: usize) -> u64 {
        (wanted as u64).min(self.slots.capacity()).min(BATCH_MAX)
    }
}
