//! Seats: who is attached to a ring, and whether the kernel says that he lives.
//!
//! ```text
//!   VACANT ── take ──▶ LIVE ── leave ──▶ CLOSED ── take ──▶ LIVE ..
//!                       │ (killed: the kernel drops the lock)
//!                       └─ whoever notices, under the lock ──▶ DIED ── take ──▶ LIVE ..
//! ```
//!
//! Promises: a seat has one live occupant, whatever process he is in; only a released
//! kernel lock means dead; the state word changes under the seat's lock alone.
//! Imports: sys, atomic, layout, segment.

use std::sync::Arc;
use std::time::Duration;

use crate::atomic::{Bug, Word, as_the_kernel, relaxed, seat as edge, seeded};
use crate::error::{Corrupt, Error};
use crate::layout;
use crate::segment::Segment;
use crate::sys::{self, SeatLock};

/// How a seat is occupied, or was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeatState {
    /// Nobody has come yet.
    Vacant,
    /// Occupied, as far as the segment says: the occupant may have died unnoticed.
    Live,
    /// Somebody is settling what a dead occupant left.
    Recovering,
    /// The last occupant left in order.
    Closed,
    /// The last occupant died, and that was noticed.
    Died,
}

impl SeatState {
    fn from_word(word: u64) -> Option<Self> {
        match word & 0xff {
            0 => Some(Self::Vacant),
            1 => Some(Self::Live),
            2 => Some(Self::Recovering),
            3 => Some(Self::Closed),
            4 => Some(Self::Died),
            _ => None,
        }
    }

    fn word(self, incarnation: u64) -> u64 {
        incarnation << 8
            | match self {
                Self::Vacant => 0,
                Self::Live => 1,
                Self::Recovering => 2,
                Self::Closed => 3,
                Self::Died => 4,
            }
    }
}

/// A seat's lock, held by one who looks what its last occupant left.
pub(crate) struct Vacated {
    segment: Arc<Segment>,
    index: usize,
    state: SeatState,
    incarnation: u64,
    lock: Lock,
}

impl Vacated {
    /// Locks a seat; `None`: somebody holds it.
    pub(crate) fn lock(segment: &Arc<Segment>, index: usize) -> Result<Option<Self>, Error> {
        let Some(lock) = Lock::take(segment, index)? else { return Ok(None) };
        let (state, incarnation) = state(segment, index)?;
        Ok(Some(Self { segment: Arc::clone(segment), index, state, incarnation, lock }))
    }

    /// Its number.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// How it was found, or has been put since.
    pub(crate) fn state(&self) -> SeatState {
        self.state
    }

    /// Says how it stands now.
    pub(crate) fn put(&mut self, state: SeatState) {
        self.state = state;
        // SEAT: all that was settled comes before. Pairs with `state`.
        word(&self.segment, self.index, layout::seat::STATE)
            .store(state.word(self.incarnation), edge::RELEASE);
    }

    /// Takes the seat, `state` being what is to be seen in it: live, or recovering as long
    /// as something is left to settle. `None`: somebody was quicker, in memory without locks.
    pub(crate) fn occupy(self, state: SeatState) -> Option<Seat> {
        let Self { segment, index, state: before, incarnation: was, lock } = self;
        let incarnation = next_incarnation(was);
        // An heir leaves the word as it is until he is one no more.
        if state != before {
            // SEAT: as in `Seat::take_if`.
            word(&segment, index, layout::seat::STATE)
                .compare_exchange(
                    before.word(was),
                    state.word(incarnation),
                    edge::RELEASE,
                    relaxed::HINT,
                )
                .ok()?;
        }
        word(&segment, index, layout::seat::PID)
            .store(u64::from(sys::process_id()), relaxed::SOLE_WRITER);
        Some(Seat { segment, index, incarnation, give_back: None, _lock: lock })
    }
}

/// An occupied seat. Dropped before it is settled, it is given back as it was found.
pub(crate) struct Seat {
    segment: Arc<Segment>,
    index: usize,
    incarnation: u64,
    /// The state to restore, until the seat is settled, with this stay's incarnation.
    give_back: Option<u64>,
    _lock: Lock,
}

/// How often, and how long apart, a taker asks again for a lock that is held: by a living
/// occupant, or by one who is just leaving or noting a death, and gone in a moment.
const ASKS: u32 = 5;
const BETWEEN_ASKS: Duration = Duration::from_micros(200);

/// The right to write a seat's line.
enum Lock {
    Kernel { _lock: SeatLock },
    Private { segment: Arc<Segment>, index: usize },
}

impl Lock {
    /// `None`: somebody lives there.
    fn take(segment: &Arc<Segment>, index: usize) -> Result<Option<Self>, Error> {
        let Some(file) = segment.file() else {
            // SEAT: the process-private stand-in for the kernel's lock, with its edges.
            let lock = segment.private_lock(index);
            let won = lock.compare_exchange(0, 1, edge::ACQUIRE, relaxed::HINT).is_ok();
            return Ok(won.then(|| Self::Private { segment: Arc::clone(segment), index }));
        };
        let lock = SeatLock::take(file, index);
        if seeded(Bug::NoDescriptorPanics) {
            let lock = lock.expect("a descriptor can be had");
            return Ok(lock.map(|lock| Self::Kernel { _lock: lock }));
        }
        let lock = lock.map_err(|source| Error::Os { call: "locking the seat", source })?;
        Ok(lock.map(|lock| Self::Kernel { _lock: lock }))
    }
}

impl Lock {
    /// As `take`, past those who hold the lock for a moment without living there.
    fn take_from_passers_by(segment: &Arc<Segment>, index: usize) -> Result<Option<Self>, Error> {
        // The in-process lock has no passers-by worth waiting for.
        let asks = if segment.file().is_some() { ASKS } else { 1 };
        for _ in 1..asks {
            if let Some(lock) = Self::take(segment, index)? {
                return Ok(Some(lock));
            }
            std::thread::sleep(BETWEEN_ASKS);
        }
        Self::take(segment, index)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Self::Private { segment, index } = self {
            let (segment, index) = (Arc::clone(segment), *index);
            // SEAT: as the kernel does, even for one who was killed.
            as_the_kernel(move || segment.private_lock(index).unwatched_store(0, edge::RELEASE));
        }
    }
}

/// The incarnation of whoever takes a seat.
fn next_incarnation(was: u64) -> u64 {
    if seeded(Bug::IncarnationStays) {
        return was;
    }
    was.wrapping_add(1) & (u64::MAX >> 8)
}

/// A word of a seat's line.
fn word(segment: &Segment, index: usize, at: usize) -> &Word {
    segment.span().word(layout::seat_line(index) + at)
}

/// A seat's state and incarnation, read once.
fn state(segment: &Segment, index: usize) -> Result<(SeatState, u64), Corrupt> {
    // SEAT: whoever sees how it was left sees all that was done there.
    let value = word(segment, index, layout::seat::STATE).load_fenced(edge::ACQUIRE);
    let state = SeatState::from_word(value).ok_or(Corrupt { word: "seat state", value })?;
    Ok((state, value >> 8))
}

/// A seat's state, and which stay that is or was.
pub(crate) fn stay(segment: &Segment, index: usize) -> Result<(SeatState, u64), Corrupt> {
    state(segment, index)
}

/// A seat's state, for its peer.
pub(crate) fn peek(segment: &Segment, index: usize) -> Result<SeatState, Corrupt> {
    state(segment, index).map(|(state, _)| state)
}

/// What the occupant noted as his process id. For people.
pub(crate) fn pid(segment: &Segment, index: usize) -> Option<u32> {
    let pid = word(segment, index, layout::seat::PID).load(relaxed::HINT);
    u32::try_from(pid).ok().filter(|pid| *pid != 0)
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(before) = self.give_back
            && !seeded(Bug::NoGiveBack)
        {
            // SEAT: as if nobody had come. Pairs with `state`.
            word(&self.segment, self.index, layout::seat::STATE).store(before, edge::RELEASE);
        }
    }
}

impl Seat {
    /// Takes a seat, ending the stay of an occupant who died there.
    pub(crate) fn take(
        segment: &Arc<Segment>,
        index: usize,
        role: &'static str,
    ) -> Result<Self, Error> {
        Self::take_if(segment, index, role, |_| true)
    }

    /// As `take`, of a seat that has one occupant and no successors.
    pub(crate) fn take_once(
        segment: &Arc<Segment>,
        index: usize,
        role: &'static str,
    ) -> Result<Self, Error> {
        Self::take_if(segment, index, role, |before| before == SeatState::Vacant)
    }

    /// Takes any of several seats that is free, or whose occupant has died.
    pub(crate) fn take_any(
        segment: &Arc<Segment>,
        seats: core::ops::Range<usize>,
        role: &'static str,
    ) -> Result<Self, Error> {
        let count = seats.len() as u64;
        // First those that look free, then those that only the kernel knows to be.
        for live in [false, true] {
            for index in seats.clone() {
                let lives =
                    matches!(peek(segment, index)?, SeatState::Live | SeatState::Recovering);
                if lives != live || (lives && is_held(segment, index)?) {
                    continue;
                }
                match Self::take(segment, index, role) {
                    Err(Error::SeatTaken { .. }) => {}
                    outcome => return outcome,
                }
            }
        }
        Err(Error::NoSeat { role, seats: count })
    }

    fn take_if(
        segment: &Arc<Segment>,
        index: usize,
        role: &'static str,
        free: impl Fn(SeatState) -> bool,
    ) -> Result<Self, Error> {
        let taken = || Error::SeatTaken { role, pid: pid(segment, index) };
        let lock = Lock::take_from_passers_by(segment, index)?.ok_or_else(taken)?;
        let (before, was) = state(segment, index)?;
        if segment.is_foreign_without_locks() && before == SeatState::Live {
            // Nobody can tell whether he lives.
            return Err(taken());
        }
        if !free(before) {
            if before == SeatState::Live {
                note_death(segment, index, was);
            }
            return Err(Error::Over { role });
        }
        let incarnation = next_incarnation(was);
        word(segment, index, layout::seat::PID)
            .store(u64::from(sys::process_id()), relaxed::SOLE_WRITER);
        // SEAT: pairs with `state`. A plain store would do under a lock; the exchange is
        // for memory without locks, where two may have come this far.
        let (now, new) = (before.word(was), SeatState::Live.word(incarnation));
        if word(segment, index, layout::seat::STATE)
            .compare_exchange(now, new, edge::RELEASE, relaxed::HINT)
            .is_err()
        {
            return Err(taken());
        }
        // One who lived there before, and is not there any more, died.
        let before = if before == SeatState::Live { SeatState::Died } else { before };
        // Not with the number before: nobody may see this stay's word again and take the
        // next occupant for this one.
        let give_back = Some(before.word(incarnation));
        Ok(Self { segment: Arc::clone(segment), index, incarnation, give_back, _lock: lock })
    }

    /// Its number.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Which stay in it this is.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The endpoint is made: from now on the seat is left by [`leave`](Self::leave).
    pub(crate) fn settle(&mut self) {
        self.give_back = None;
    }

    /// The end of the run of positions that the occupant has exposed.
    pub(crate) fn claim(&self) -> &Word {
        word(&self.segment, self.index, layout::seat::CLAIM)
    }

    /// Leaves the seat as one whose claims are still to be settled.
    pub(crate) fn hand_on(&mut self) {
        self.leave_as(SeatState::Recovering);
    }

    /// Says that the occupant lives and has settled what was left here.
    pub(crate) fn enliven(&mut self) {
        self.leave_as(SeatState::Live);
    }

    /// Leaves the seat in order. Not called in a forked child.
    pub(crate) fn leave(&mut self) {
        self.leave_as(SeatState::Closed);
    }

    /// Leaves the seat as one who died. Not called in a forked child.
    pub(crate) fn abandon(&mut self) {
        self.leave_as(SeatState::Died);
    }

    fn leave_as(&mut self, state: SeatState) {
        // SEAT: all that was done here comes before. Pairs with `state`.
        word(&self.segment, self.index, layout::seat::STATE)
            .store(state.word(self.incarnation), edge::RELEASE);
    }
}

/// Ends the stay of one who died, under the seat's lock.
fn note_death(segment: &Segment, index: usize, incarnation: u64) {
    // SEAT: on behalf of the dead. Pairs with `state`.
    word(segment, index, layout::seat::STATE)
        .store(SeatState::Died.word(incarnation), edge::RELEASE);
}

/// Whether somebody holds the seat's lock, or may live there as far as anybody can tell.
pub(crate) fn is_held(segment: &Segment, index: usize) -> Result<bool, Error> {
    match segment.file() {
        Some(_) if seeded(Bug::TrustsPids) => {
            Ok(pid(segment, index).is_some_and(sys::bug::process_exists))
        }
        Some(file) => SeatLock::is_held(file, index)
            .map_err(|source| Error::Os { call: "asking for the seat's lock", source }),
        None if segment.is_foreign_without_locks() => Ok(true),
        None => Ok(segment.private_lock(index).load(relaxed::HINT) != 0),
    }
}

/// Looks whether the occupant of a seat has died, and ends his stay if so.
///
/// Makes system calls. Gives the state that stands afterwards; [`SeatState::Died`] also
/// while a lock of somebody else keeps the death from being noted.
pub(crate) fn notice_death(segment: &Arc<Segment>, index: usize) -> Result<SeatState, Error> {
    let (before, was) = state(segment, index)?;
    if !matches!(before, SeatState::Live | SeatState::Recovering)
        || segment.is_foreign_without_locks()
    {
        return Ok(before);
    }
    if segment.file().is_some() && is_held(segment, index)? {
        return Ok(before);
    }
    if segment.file().is_some() && seeded(Bug::NotedWithoutLock) {
        note_death(segment, index, was);
        return Ok(SeatState::Died);
    }
    let Some(_lock) = Lock::take(segment, index)? else {
        // A reader's lock, or that of one who is about to take the seat. But while the
        // word said so nobody held it, and whoever leaves in order says so before he
        // unlocks: the same word again means that its occupant has died.
        let now = state(segment, index)?;
        let died = segment.file().is_some() && now == (before, was);
        return Ok(if died { SeatState::Died } else { now.0 });
    };
    let (now, incarnation) = state(segment, index)?;
    if !matches!(now, SeatState::Live | SeatState::Recovering) {
        return Ok(now);
    }
    note_death(segment, index, incarnation);
    Ok(SeatState::Died)
}
