//! Recovery of a dead participant's seat, by a peer or by whoever takes the seat.
//!
//! ```text
//!   RState ─▶ RMark ─▶ RClaim ─▶ for each position of the claim:
//!                                RCounter ─▶ RWord ─▶ RScan* ─▶ RCas ─▶ RDeliver
//!          all settled:          RClear ─▶ RFree ─▶ RUnlock
//!          something is left:    RKept ─▶ unlocked as it is, for the next one
//! ```
//!
//! Whoever runs it holds the seat's lock. Imports: machine, words, bugs.

use crate::access::{Access, Move, Setup, Word};
use crate::bugs::Bug;
use crate::machine::{Local, Pc};
use crate::words::{self, DIED, LIVE, RECOVERING, Slot};

/// Stops after this message, as a `recv` does.
pub const PAUSE: u8 = 1;

impl Local {
    pub(crate) fn recovery(&self, setup: &Setup, may: &mut impl FnMut(Access, u8)) {
        let load = Access::Load;
        let slot = Word::Slot(self.base % setup.capacity);
        let dead_sends = setup.sends(self.d);
        match self.pc {
            Pc::RState => may(load(Word::State(self.d)), 0),
            Pc::RMark => {
                let incarnation = if self.taking { self.incarnation } else { self.theirs };
                let state = setup.state(RECOVERING, incarnation);
                may(Access::Store(Word::State(self.d), state), 0);
            }
            Pc::RClaim => may(load(Word::Claim(self.d)), 0),
            Pc::RCounter => may(load(Self::counter(dead_sends)), 0),
            Pc::RWord => may(load(slot), 0),
            Pc::RScan => may(load(Word::Claim(self.s)), 0),
            Pc::RScanState => may(load(Word::State(self.s)), 0),
            Pc::RScanLock => may(Access::Query(self.s), 0),
            Pc::RCas => may(Access::Cas(slot, self.word, self.settled(setup).word()), 0),
            Pc::RDeliver => {
                may(Access::Store(slot, Slot::Free(self.base + setup.capacity).word()), 0);
                may(Access::Store(slot, Slot::Free(self.base + setup.capacity).word()), PAUSE);
            }
            Pc::RClear => may(Access::Store(Word::Claim(self.d), 0), 0),
            Pc::RFree => {
                let state = if self.taking {
                    setup.state(LIVE, self.incarnation + 1)
                } else {
                    setup.state(DIED, self.theirs)
                };
                may(Access::Store(Word::State(self.d), state), 0);
            }
            Pc::RKept => {
                if self.taking {
                    may(load(Word::Claim(self.d)), 0);
                }
                may(Access::Unlock(self.d), 1);
            }
            Pc::RUnlock => may(Access::Unlock(self.d), 0),
            _ => unreachable!("{:?} is no step of recovery", self.pc),
        }
    }

    /// What becomes of the word that was read.
    fn settled(&self, setup: &Setup) -> Slot {
        match Slot::of(self.word) {
            Slot::Free(q) => Slot::Tomb(q),
            Slot::Full(q) if !setup.has(Bug::FreesFull) => Slot::Recl(q, self.d),
            Slot::Full(q) | Slot::Tomb(q) => Slot::Free(q + setup.capacity),
            recl @ Slot::Recl(..) => recl,
        }
    }

    /// A taker has locked a seat and read its state.
    pub(crate) fn found(self, setup: &Setup, got: u64) -> Self {
        let this = Self { incarnation: got >> 8, ..self };
        let dead = Self { d: self.seat, taking: true, ..this };
        match got & 0xff {
            LIVE | RECOVERING if setup.has(Bug::TakerForgets) => Self { pc: Pc::RClear, ..dead },
            LIVE => Self { pc: Pc::RMark, ..dead },
            RECOVERING => Self { pc: Pc::RClaim, ..dead },
            _ => Self { pc: Pc::TakeLive, ..this },
        }
    }

    pub(crate) fn recovered(self, setup: &Setup, step: Move, got: u64) -> Self {
        let to = |pc| Self { pc, ..self };
        match self.pc {
            Pc::RState => {
                let this = Self { theirs: got >> 8, ..self };
                match got & 0xff {
                    LIVE => Self { pc: Pc::RMark, ..this },
                    RECOVERING => Self { pc: Pc::RClaim, ..this },
                    _ => to(Pc::RUnlock),
                }
            }
            Pc::RMark => to(Pc::RClaim),
            Pc::RClaim | Pc::RKept if step.choice == 0 => {
                let this = Self { claim: got, j: 0, keep: false, ..self };
                if setup.has(Bug::ClearFirst) && got != 0 {
                    return Self { pc: Pc::RClear, ..this };
                }
                this.position(setup)
            }
            Pc::RCounter => self.counted(setup, got),
            Pc::RWord => self.read(setup, got),
            Pc::RScan if words::covers(got, self.base) => to(Pc::RScanState),
            Pc::RScan => self.scan(setup, self.s + 1),
            Pc::RScanState => match got & 0xff {
                LIVE => to(Pc::RScanLock),
                RECOVERING if setup.has(Bug::RecoveringBlocks) => to(Pc::RScanLock),
                _ => self.scan(setup, self.s + 1),
            },
            // Alive: he may be the owner, and the dead one the loser. Later.
            Pc::RScanLock if got == 1 => Self { keep: true, ..self }.next(setup),
            Pc::RScanLock => self.scan(setup, self.s + 1),
            Pc::RCas => match self.settled(setup) {
                Slot::Recl(..) if got == 1 => self.mine(setup),
                _ => self.next(setup),
            },
            Pc::RDeliver if step.choice == PAUSE => self.end(),
            Pc::RDeliver => self.next(setup),
            Pc::RClear if setup.has(Bug::ClearFirst) && self.claim != 0 && self.j == 0 => {
                self.position(setup)
            }
            Pc::RClear if setup.has(Bug::FreeFirst) => self.free(setup),
            Pc::RClear => self.end_as(Pc::RFree),
            Pc::RFree if setup.has(Bug::FreeFirst) => to(Pc::RClear),
            Pc::RFree => self.free(setup),
            // Unlocked. A taker who gives up looks for another seat.
            _ if self.taking => Self::out(self.sends, self.budget),
            _ => Self { locked: false, ..self }.at(Pc::Slow),
        }
    }

    /// The seat is settled.
    fn free(self, _: &Setup) -> Self {
        if self.taking {
            return Self { incarnation: self.incarnation + 1, ..self }.at(Pc::Idle);
        }
        Self { d: self.d, locked: self.locked, ..self.at(Pc::RUnlock) }
    }

    /// The position at `j`, or the end.
    fn position(self, setup: &Setup) -> Self {
        let (start, count) = words::claimed(self.claim);
        let this = Self { base: 0, s: 0, word: 0, ..self };
        if self.j < count {
            if setup.has(Bug::NoCounter) || setup.has(Bug::CounterLast) {
                return Self { base: start + self.j, pc: Pc::RWord, ..this };
            }
            return Self { pc: Pc::RCounter, ..this };
        }
        if self.keep {
            return this.end();
        }
        match setup.bug {
            Some(Bug::ClearFirst) if count > 0 => this.end_as(Pc::RFree),
            Some(Bug::FreeFirst) => this.end_as(Pc::RFree),
            _ => this.end_as(Pc::RClear),
        }
    }

    fn end(self) -> Self {
        self.end_as(Pc::RKept)
    }

    /// Forgets the dead's claim.
    fn end_as(self, pc: Pc) -> Self {
        Self {
            d: self.d,
            locked: self.locked,
            taking: self.taking,
            incarnation: self.incarnation,
            theirs: self.theirs,
            ..self.at(pc)
        }
    }

    fn next(self, setup: &Setup) -> Self {
        Self { j: self.j + 1, ..self }.position(setup)
    }

    fn counted(self, setup: &Setup, got: u64) -> Self {
        let (start, _) = words::claimed(self.claim);
        let q = words::near(got, start + self.j);
        // Not taken by anybody.
        if got <= q {
            return self.next(setup);
        }
        let pc = if setup.has(Bug::CounterLast) { Pc::RCas } else { Pc::RWord };
        Self { base: q, pc, ..self }
    }

    fn read(self, setup: &Setup, got: u64) -> Self {
        let this = Self { word: got, ..self };
        let q = self.base;
        match (setup.sends(self.d), Slot::of(got)) {
            (true, Slot::Free(p)) if p == q => {}
            (false, Slot::Tomb(p)) if p == q => {}
            (false, Slot::Full(p)) if p == q => {}
            // His estate already; here the word is the lock holder's.
            (false, slot @ Slot::Recl(_, d)) if d == self.d && slot.from(q) == 0 => {
                return this.mine(setup);
            }
            _ => return self.next(setup),
        }
        if setup.has(Bug::IgnoreLive) {
            return Self { pc: Pc::RCas, ..this };
        }
        this.scan(setup, setup.peers(setup.sends(self.d)).start)
    }

    /// RECL for the seat whose lock he holds: a receiver delivers, a sender leaves it.
    fn mine(self, setup: &Setup) -> Self {
        if self.sends {
            return Self { keep: true, ..self }.next(setup);
        }
        Self { word: 0, s: 0, pc: Pc::RDeliver, ..self }
    }

    /// Looks at the claims of the others from seat `s` on.
    fn scan(self, setup: &Setup, s: u8) -> Self {
        let mut seats =
            (s..setup.peers(setup.sends(self.d)).end).filter(|s| *s != self.d && *s != self.seat);
        match seats.next() {
            Some(s) => Self { s, pc: Pc::RScan, ..self },
            None if setup.has(Bug::CounterLast) => Self { s: 0, pc: Pc::RCounter, ..self },
            None if setup.has(Bug::NoArbiter) && Slot::of(self.word) == Slot::Full(self.base) => {
                self.mine(setup)
            }
            None => Self { s: 0, pc: Pc::RCas, ..self },
        }
    }
}
