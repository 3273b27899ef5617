//! One participant: the numbered steps of docs/mpmc.md, one shared access each.
//!
//! ```text
//!   Out ─ lock seat ─▶ TakeState ─▶ TakeLive ─▶ Idle ◀────────────────────────┐
//!                          └─ (dead) recover ─▶ ..  │                         │
//!        Idle ─ counter ─▶ Look ─▶ Note ─▶ Cas ─▶ Put .. Put ─────────────────┤
//!                  ▲         └ Full, Empty, Stalled: Drop ─▶ Slow ─ recover ──┘
//!                  └─ lost ──────────────────┘
//! ```
//!
//! A machine knows only what it has read. `options` says which accesses it may make next,
//! `after` what it knows once one was made. The explorer and the replay drive the same
//! machine. Recovery is in recover.rs. Imports: words, bugs.

use crate::access::{Access, Move, Setup, Word};
use crate::bugs::Bug;
use crate::words::{self, CLOSED, LIVE, Slot};

/// Where a participant stands: the access named is the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Pc {
    Out,
    Idle,
    Slow,
    Load,
    Look,
    Tail,
    Relook,
    Note,
    Cas,
    Put,
    Clear,
    Drop,
    LeaveState,
    LeaveUnlock,
    TakeState,
    TakeLive,
    RState,
    RMark,
    RClaim,
    RCounter,
    RWord,
    RScan,
    RScanState,
    RScanLock,
    RCas,
    RDeliver,
    RClear,
    RFree,
    RKept,
    RUnlock,
    Gone,
}

/// No seat.
pub const NOBODY: u8 = 7;
/// Gives the reservation up.
pub const ABORT: u8 = 1;
/// Leaves the seat.
pub const LEAVE: u8 = 0x40;
/// Starts recovery of seat `choice - RECOVER`.
pub const RECOVER: u8 = 0x80;
/// Has lost too often, and returns.
pub const GIVE_UP: u8 = 0x20;
/// The last word's store, held back until now, takes effect.
pub const FLUSH: u8 = 0x30;

/// What one participant knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Local {
    /// A sender, or a receiver.
    pub sends: bool,
    /// The next step.
    pub pc: Pc,
    /// Lives, but does not move any more.
    pub stopped: bool,
    /// The own seat, whose lock he holds; or [`NOBODY`].
    pub seat: u8,
    /// Messages still to send.
    pub budget: u8,
    /// The own claim is not 0.
    pub noted: bool,
    /// The own CAS has won: positions `base + i .. base + n` are his.
    pub won: bool,
    /// First position of the operation; in recovery the position in question.
    pub base: u64,
    /// Positions of the operation.
    pub n: u64,
    /// Those dealt with.
    pub i: u64,
    /// The seat under recovery; equals `seat` in a taker.
    pub d: u8,
    /// The lock of `d` is held, beside the own one.
    pub locked: bool,
    /// The seat under recovery becomes his own.
    pub taking: bool,
    /// Something of the dead's is left to settle later.
    pub keep: bool,
    /// The dead's claim, and how far it is settled.
    pub claim: u64,
    /// Positions of it dealt with.
    pub j: u64,
    /// The seat whose claim is looked at.
    pub s: u8,
    /// The slot's word, as read.
    pub word: u64,
    /// A store that has not taken effect yet: slot and word.
    pub late: Option<(u8, u64)>,
    /// The incarnation of the own seat.
    pub incarnation: u64,
    /// That of the seat that he recovers for others.
    pub theirs: u64,
}

impl Local {
    /// Somebody who has not come yet.
    pub fn out(sends: bool, budget: u8) -> Self {
        Self {
            sends,
            pc: Pc::Out,
            stopped: false,
            seat: NOBODY,
            budget,
            noted: false,
            won: false,
            base: 0,
            n: 0,
            i: 0,
            d: NOBODY,
            locked: false,
            taking: false,
            keep: false,
            claim: 0,
            j: 0,
            s: 0,
            word: 0,
            late: None,
            incarnation: 0,
            theirs: 0,
        }
    }

    /// Between operations, with nothing in mind.
    pub fn at(self, pc: Pc) -> Self {
        Self {
            pc,
            stopped: self.stopped,
            seat: self.seat,
            noted: self.noted,
            late: self.late,
            incarnation: self.incarnation,
            ..Self::out(self.sends, self.budget)
        }
    }

    /// Whether position `q` was taken by him and is not dealt with.
    pub fn owns(&self, q: u64) -> bool {
        self.won && self.base + self.i <= q && q < self.base + self.n
            || self.late.is_some_and(|(_, word)| Slot::of(word) == Slot::Full(q))
    }

    /// Whether he holds the lock of `seat`.
    pub fn holds(&self, seat: u8) -> bool {
        self.seat == seat || self.locked && self.d == seat
    }

    pub(crate) fn counter(sends: bool) -> Word {
        if sends { Word::Tail } else { Word::Head }
    }

    fn slot(setup: &Setup, p: u64) -> Word {
        Word::Slot(p % setup.capacity)
    }

    /// The accesses he may make next.
    pub fn options(&self, setup: &Setup, out: &mut Vec<Move>) {
        let mut may = |access, choice| out.push(Move { access, choice });
        if let Some((slot, word)) = self.late {
            may(Access::Store(Word::Slot(slot.into()), word), FLUSH);
            // The CAS has release order, and a processor knows its own stores.
            let own = self.pc == Pc::Look && (self.base + self.i) % setup.capacity == slot.into();
            if own || matches!(self.pc, Pc::Cas | Pc::LeaveUnlock) {
                return;
            }
        }
        let load = Access::Load;
        match self.pc {
            Pc::Out => setup.peers(self.sends).for_each(|s| may(Access::Lock(s), s)),
            Pc::Idle | Pc::Slow => self.begin(setup, &mut may),
            Pc::Load => {
                // A record may hope for another number than before.
                let again = if setup.open { 1..=setup.batch } else { self.n..=self.n };
                again.for_each(|n| may(load(Self::counter(self.sends)), n as u8));
                if self.noted {
                    may(Access::Store(Word::Claim(self.seat), 0), GIVE_UP);
                }
            }
            Pc::Look => may(load(Self::slot(setup, self.base + self.i)), 0),
            Pc::Tail => may(load(Word::Tail), 0),
            Pc::Relook => may(load(Self::slot(setup, self.base)), 0),
            Pc::Note => {
                may(Access::Store(Word::Claim(self.seat), words::claim(self.base, self.n)), 0);
            }
            Pc::Cas => {
                may(Access::Cas(Self::counter(self.sends), self.base, self.base + self.n), 0);
            }
            Pc::Put => self.put(setup, &mut may),
            Pc::Clear | Pc::Drop => {
                may(Access::Store(Word::Claim(self.seat), 0), 0);
            }
            Pc::LeaveState => {
                let state = setup.state(CLOSED, self.incarnation);
                may(Access::Store(Word::State(self.seat), state), 0);
            }
            Pc::LeaveUnlock => may(Access::Unlock(self.seat), 0),
            Pc::TakeState => may(load(Word::State(self.seat)), 0),
            Pc::TakeLive => {
                let state = setup.state(LIVE, self.incarnation + 1);
                may(Access::Store(Word::State(self.seat), state), 0);
            }
            Pc::Gone => {}
            _ => self.recovery(setup, &mut may),
        }
    }

    /// Between operations: the next one, leaving, or after a refusal a look at a seat.
    fn begin(&self, setup: &Setup, may: &mut impl FnMut(Access, u8)) {
        let most = if self.sends { setup.batch.min(self.budget.into()) } else { setup.batch };
        for n in 1..=most {
            may(Access::Load(Self::counter(self.sends)), n as u8);
        }
        if if self.sends { self.budget == 0 || setup.open } else { setup.leavers } {
            may(self.leaving(setup), LEAVE);
        }
        if self.pc == Pc::Slow {
            for d in setup.seats().filter(|d| *d != self.seat) {
                let ask = if setup.has(Bug::NoLock) { Access::Query(d) } else { Access::Lock(d) };
                may(ask, RECOVER + d);
            }
        }
    }

    fn leaving(&self, setup: &Setup) -> Access {
        if self.noted {
            return Access::Store(Word::Claim(self.seat), 0);
        }
        Access::Store(Word::State(self.seat), setup.state(CLOSED, self.incarnation))
    }

    fn put(&self, setup: &Setup, may: &mut impl FnMut(Access, u8)) {
        let p = self.base + self.i;
        let slot = Self::slot(setup, p);
        if self.sends {
            may(Access::Store(slot, Slot::Full(p).word()), 0);
            if setup.aborts {
                may(Access::Store(slot, Slot::Tomb(p).word()), ABORT);
            }
        } else {
            may(Access::Store(slot, Slot::Free(p + setup.capacity).word()), 0);
        }
        if setup.has(Bug::LeaverForgets) {
            may(self.leaving(setup), LEAVE);
        }
    }

    /// What he knows after `step` gave `got`: the value of a load, whether a CAS won,
    /// whether a lock was got, whether somebody holds it.
    pub fn after(mut self, setup: &Setup, step: Move, got: u64) -> Self {
        if step.choice == FLUSH {
            self.late = None;
            return self;
        }
        match self.pc {
            Pc::Out if got == 0 => self,
            Pc::Out => Self { seat: step.choice, pc: Pc::TakeState, ..self },
            Pc::Idle | Pc::Slow => self.begun(setup, step, got),
            Pc::Load if step.choice == GIVE_UP => Self { noted: false, ..self }.at(Pc::Slow),
            Pc::Load => Self { base: got, n: step.choice.into(), i: 0, pc: Pc::Look, ..self },
            Pc::Look => self.looked(setup, got),
            // Nobody has taken it: Empty. Somebody has, and has not published: Stalled,
            // unless he has published since.
            Pc::Tail if got == self.base => self.refused(setup),
            Pc::Tail => Self { pc: Pc::Relook, ..self },
            Pc::Relook if Slot::of(got) == Slot::Free(self.base) => self.refused(setup),
            Pc::Relook => Self { pc: Pc::Load, base: 0, i: 0, ..self },
            Pc::Note if self.won => Self { noted: true, pc: Pc::Put, ..self },
            Pc::Note => Self { noted: true, pc: Pc::Cas, ..self },
            Pc::Cas if got == 0 => Self { pc: Pc::Load, base: 0, i: 0, ..self },
            Pc::Cas => {
                let alone = self.n == 1 && setup.clear && setup.has(Bug::RelaxedClear);
                let pc = match setup.bug {
                    Some(Bug::ClaimAfterCas) => Pc::Note,
                    _ if alone => Pc::Clear,
                    _ => Pc::Put,
                };
                Self { won: true, i: 0, pc, ..self }
            }
            Pc::Put if step.choice == LEAVE => Self { won: false, ..self.left() },
            Pc::Put => self.has_put(setup, step),
            Pc::Clear => {
                self.noted = false;
                if self.i < self.n { Self { pc: Pc::Put, ..self } } else { self.at(Pc::Idle) }
            }
            Pc::Drop => Self { noted: false, ..self }.at(Pc::Slow),
            Pc::LeaveState => self.at(Pc::LeaveUnlock),
            Pc::LeaveUnlock => Self { seat: NOBODY, pc: Pc::Gone, ..Self::out(self.sends, 0) },
            Pc::TakeState => self.found(setup, got),
            Pc::TakeLive => Self { incarnation: self.incarnation + 1, ..self }.at(Pc::Idle),
            Pc::Gone => self,
            _ => self.recovered(setup, step, got),
        }
    }

    fn begun(self, setup: &Setup, step: Move, got: u64) -> Self {
        match step.choice {
            LEAVE => self.left(),
            choice if choice >= RECOVER => {
                let mine = if setup.has(Bug::NoLock) { got == 0 } else { got == 1 };
                let locked = !setup.has(Bug::NoLock);
                let d = choice - RECOVER;
                if mine { Self { d, locked, pc: Pc::RState, ..self.at(Pc::Idle) } } else { self }
            }
            n => Self { base: got, n: n.into(), pc: Pc::Look, ..self.at(Pc::Idle) },
        }
    }

    fn left(self) -> Self {
        if self.noted {
            return Self { noted: false, ..self }.at(Pc::LeaveState);
        }
        self.at(Pc::LeaveUnlock)
    }

    /// Of a slot at or beyond the counter.
    fn looked(self, setup: &Setup, got: u64) -> Self {
        let (slot, p) = (Slot::of(got), self.base + self.i);
        let ready = match slot {
            Slot::Free(q) => self.sends && q == p,
            Slot::Full(q) | Slot::Tomb(q) => !self.sends && q == p,
            Slot::Recl(..) => false,
        };
        let i = if ready { self.i + 1 } else { self.i };
        let first = if setup.has(Bug::ClaimAfterCas) { Pc::Cas } else { Pc::Note };
        if i == self.n || i > 0 && !ready {
            return Self { n: i, i: 0, pc: first, ..self };
        }
        if ready {
            return Self { i, ..self };
        }
        match (self.sends, slot.from(p)) {
            // The lap before is not received: Full.
            (true, ..0) => self.refused(setup),
            // Not sent: Empty or Stalled, the tail says which.
            (false, ..=0) => Self { pc: Pc::Tail, ..self },
            // The counter has moved on.
            _ => Self { pc: Pc::Load, base: 0, i: 0, ..self },
        }
    }

    /// Full, Empty or Stalled: the claim goes first.
    fn refused(self, setup: &Setup) -> Self {
        if self.noted && !setup.has(Bug::StaleLoser) {
            return self.at(Pc::Drop);
        }
        self.at(Pc::Slow)
    }

    fn has_put(mut self, setup: &Setup, step: Move) -> Self {
        if let (true, Access::Store(Word::Slot(slot), word)) =
            (self.sends && setup.has(Bug::RelaxedNote) && self.i + 1 == self.n, step.access)
        {
            self.late = Some((slot as u8, word));
        }
        self.i += 1;
        if self.sends {
            self.budget = self.budget.saturating_sub(1);
        }
        let last = self.i == self.n;
        let early = self.i == 1 && self.noted && setup.has(Bug::EarlyClear)
            || self.i + 1 == self.n && setup.clear && setup.has(Bug::RelaxedClear);
        if last && setup.clear && self.noted {
            Self { won: false, ..self.at(Pc::Clear) }
        } else if last {
            self.at(Pc::Idle)
        } else if early {
            Self { pc: Pc::Clear, ..self }
        } else {
            self
        }
    }
}
