//! The one loop of every ring: try, spin, yield, sleep, until done, ended, cancelled or
//! the deadline passes.
//!
//! ```text
//!   spin (1 us) ──▶ yield (to 20 us) ──▶ [ prepare · look · sleep a slice ] ──┐
//!                                              ▲                              │
//!                                              └── is the peer alive? ◀───────┘
//! ```
//!
//! Imports: atomic, segment, seat, wait.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::atomic::{Bug, Slept, Word, pause, relaxed, seeded, yield_now};
use crate::error::{Corrupt, Error, WaitError};
use crate::seat::{self, SeatState};
use crate::segment::Segment;
use crate::wait::{Event, Ticket};

/// Polls between two looks at the clock, so that looking (about 25 ns) costs little.
const POLLS_A_LOOK: u32 = 32;

/// Pauses that keep a fast waiter off the line being written, until several changes have
/// come together.
const PAUSES_OFF_THE_LINE: u32 = 16;

/// Keeps off the line being written for a while.
pub(crate) fn keep_off() {
    // Models go to sleep at once: a pause there lets the peer run until nobody need sleep.
    if cfg!(loom) {
        return;
    }
    for _ in 0..PAUSES_OFF_THE_LINE {
        pause();
    }
}

/// Waits that each brought one message before the pace is tried that suits a stream; and
/// the most, for one that keeps bringing one.
const SINGLES: (u32, u32) = (64, 4096);

/// Whether a receiver should keep off the line that is being written.
///
/// A stream wants that: a receiver that polls between two messages takes the line from
/// the sender's hands, gets one message for it, and is there again for the next. A
/// question and its answer want the opposite. The two look alike from one wait, so after
/// many waits that brought one message each the other pace is tried once: if several
/// messages come then, it was a stream, and stays one until a wait brings one again.
#[derive(Default)]
pub(crate) struct Pace {
    /// Waits in a row that brought one message.
    singles: u32,
    /// How many of them before the next trial, as a power of two above the first.
    failures: u32,
    /// The last wait was a trial.
    trial: bool,
}

impl Pace {
    /// Whether to keep off before a wait's first poll, after one that brought `streak`
    /// messages.
    pub(crate) fn keeps_off(&mut self, streak: u64) -> bool {
        let streams = streak >= 2;
        if self.trial {
            self.failures = if streams { 0 } else { self.failures + 1 };
            self.trial = false;
        }
        if streams {
            self.singles = 0;
            return true;
        }
        self.singles += 1;
        let (fewest, most) = SINGLES;
        if self.singles < (fewest << self.failures.min(16)).min(most) {
            return false;
        }
        self.singles = 0;
        self.trial = true;
        true
    }
}

/// How long after a slice's end a notifier may still be on his way: a wait counts as
/// rescued only if none has come by then.
const GRACE: Duration = Duration::from_millis(20);

/// A slice that is longer than time goes is cut to this.
const ETERNITY: Duration = Duration::from_secs(3600);

/// How long a sleeper who could not be noted sleeps.
pub(crate) const UNNOTED: Duration = Duration::from_millis(1);

/// How long each stage of waiting lasts; private to a handle.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Polling with a pause in between.
    pub(crate) spin: Duration,
    /// Polling with the processor given away in between.
    pub(crate) yielding: Duration,
    /// The longest uninterrupted sleep.
    pub(crate) slice: Duration,
}

impl Patience {
    /// The default: a peer that runs answers while the waiter spins; one that shares
    /// the processor gets it after a microsecond.
    pub(crate) const DEFAULT: Self = Self {
        spin: Duration::from_micros(1),
        yielding: Duration::from_micros(19),
        slice: Duration::from_millis(100),
    };
}

/// Why a wait ended without a result.
pub(crate) enum Unfinished {
    TimedOut,
    Cancelled,
    Corrupt(Corrupt),
}

/// Ends the blocked call of one endpoint, from any thread.
///
/// ```
/// use annulus::{RecvError, spsc};
///
/// let (_sender, mut receiver) = spsc::channel::<u64>(8)?;
/// let cancel = receiver.cancel_handle();
/// let thread = std::thread::spawn(move || receiver.recv());
/// cancel.cancel();
/// assert_eq!(thread.join().unwrap(), Err(RecvError::Cancelled));
/// # Ok::<(), annulus::Error>(())
/// ```
#[derive(Clone)]
pub struct CancelHandle {
    waiter: Arc<Waiter>,
}

impl CancelHandle {
    /// Ends the call that the endpoint is blocked in; if it is in none, the next one that
    /// would block. One cancellation ends one call. Does not block; makes a system call.
    pub fn cancel(&self) {
        self.waiter.cancelled.store(1, relaxed::FENCED);
        self.waiter.event.interrupt();
    }
}

impl core::fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("CancelHandle")
    }
}

/// How an endpoint waits: on which event, for how long, until who says so.
pub struct Waiter {
    event: Event,
    patience: Patience,
    cancelled: Word,
    /// The last sleep that its slice ended although the ring was ready, and when: judged
    /// later, since a notifier may have been on his way.
    suspect: Mutex<Option<(Ticket, Instant)>>,
    /// When a wait last looked around, or the first began: one of many short waits has to.
    looked_around: Mutex<Option<Instant>>,
}

/// What a waiting operation looks at.
pub(crate) trait Blocked {
    /// What it waits for.
    type Outcome;
    /// How it waits.
    fn waiter(&self) -> &Waiter;
    /// Cheaply: has anything changed?
    fn stirs(&self) -> bool;
    /// Looks closely; `None`: nothing yet.
    fn look(&mut self) -> Option<Self::Outcome>;
    /// Once a slice: may make system calls to see whether the peer lives.
    fn look_around(&mut self) -> Option<Self::Outcome>;
}

impl Waiter {
    pub(crate) fn new(event: Event, patience: Patience) -> Arc<Self> {
        Arc::new(Self {
            event,
            patience,
            cancelled: Word::new(0),
            suspect: Mutex::new(None),
            looked_around: Mutex::new(None),
        })
    }

    /// What it waits on.
    #[cfg(not(loom))]
    pub(crate) fn event(&self) -> &Event {
        &self.event
    }

    /// How long each stage lasts.
    #[cfg(not(loom))]
    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// A handle that ends waits on it.
    pub(crate) fn cancel_handle(self: &Arc<Self>) -> CancelHandle {
        CancelHandle { waiter: Arc::clone(self) }
    }

    /// How many waits on the event only the end of a slice rescued.
    pub(crate) fn rescues(&self) -> u64 {
        self.judge();
        self.event.rescues()
    }

    /// Whether a slice has passed since anybody looked around; then the caller does. By the
    /// clock, not by how a sleep ended: a storm of signals or of idle wake-ups, or of waits
    /// shorter than a slice, must not keep a death unseen. Models know no time.
    pub(crate) fn is_time(&self, now: Instant) -> bool {
        if cfg!(loom) {
            return false;
        }
        let mut last = self.looked_around.lock().unwrap_or_else(PoisonError::into_inner);
        let due = now.saturating_duration_since(*last.get_or_insert(now)) >= self.patience.slice;
        if due {
            *last = Some(now);
        }
        due
    }

    /// Notes a sleep that its slice ended although the ring was ready.
    pub(crate) fn suspect(&self, ticket: Ticket) {
        *self.suspect.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((ticket, Instant::now()));
    }

    /// Counts the noted sleep if nobody has notified long after it.
    pub(crate) fn judge(&self) {
        let mut suspect = self.suspect.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((ticket, ended)) = *suspect {
            if !self.event.is_unnotified(&ticket) {
                *suspect = None;
            } else if ended.elapsed() >= GRACE {
                *suspect = None;
                self.event.count_rescue();
            }
        }
    }

    /// Whether there is a cancellation to take.
    #[cfg(not(loom))]
    pub(crate) fn is_waiting_cancelled(&self) -> bool {
        // As in `is_cancelled`.
        self.cancelled.load(relaxed::FENCED) != 0
    }

    /// Takes a cancellation, if there is one.
    pub(crate) fn is_cancelled(&self) -> bool {
        // Ordered by the bump of the generation, or seen a little later.
        self.cancelled.load(relaxed::FENCED) != 0
            && self.cancelled.compare_exchange(1, 0, relaxed::SOLE_WRITER, relaxed::HINT).is_ok()
    }
}

/// The first stage of waiting, in line with its caller, since a peer that runs answers
/// here: whether something stirred.
#[inline(always)]
pub(crate) fn spin(blocked: &impl Blocked) -> bool {
    // Models go to sleep at once: polling adds states and no behaviour.
    if cfg!(loom) {
        return false;
    }
    (0..POLLS_A_LOOK).any(|_| {
        pause();
        blocked.stirs()
    })
}

/// Waits until `blocked` has an outcome, in stages.
#[cold]
#[inline(never)]
pub(crate) fn wait<B: Blocked>(
    blocked: &mut B,
    deadline: Option<Instant>,
) -> Result<B::Outcome, Unfinished> {
    // Models go to sleep at once: polling adds states and no behaviour.
    if !(cfg!(loom) && blocked.waiter().event.sleeps())
        && let Some(ended) = poll(blocked, deadline)
    {
        return ended;
    }
    sleep_in_slices(blocked, deadline)
}

/// The stages without sleep; `None`: over, go to sleep.
fn poll<B: Blocked>(
    blocked: &mut B,
    deadline: Option<Instant>,
) -> Option<Result<B::Outcome, Unfinished>> {
    let Patience { spin, yielding, .. } = blocked.waiter().patience;
    let mut began = None;
    let mut polls = POLLS_A_LOOK;
    loop {
        if let Some(outcome) = blocked.look() {
            return Some(Ok(outcome));
        }
        if blocked.waiter().is_cancelled() {
            return Some(Err(Unfinished::Cancelled));
        }
        if cfg!(loom) {
            pause();
            continue;
        }
        let now = Instant::now();
        if blocked.waiter().is_time(now)
            && let Some(outcome) = blocked.look_around()
        {
            return Some(Ok(outcome));
        }
        if deadline.is_some_and(|deadline| now >= deadline) {
            return Some(Err(Unfinished::TimedOut));
        }
        let waited = now.duration_since(*began.get_or_insert(now));
        if waited >= spin {
            if blocked.waiter().event.sleeps() && waited >= spin.saturating_add(yielding) {
                return None;
            }
            polls = 1;
            yield_now();
        }
        for _ in 0..polls {
            pause();
            if blocked.stirs()
                && let Some(outcome) = blocked.look()
            {
                return Some(Ok(outcome));
            }
        }
    }
}

/// Sleeps, a slice at a time.
fn sleep_in_slices<B: Blocked>(
    blocked: &mut B,
    deadline: Option<Instant>,
) -> Result<B::Outcome, Unfinished> {
    let slice = blocked.waiter().patience.slice;
    let (mut deadline, mut slept) = (deadline, Slept::TimedOut);
    let span = match seeded(Bug::WakeRestartsTimeout) {
        true => deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())),
        false => None,
    };
    blocked.waiter().judge();
    loop {
        let ticket = blocked.waiter().event.prepare();
        if !seeded(Bug::NoRecheck)
            && let Some(outcome) = blocked.look()
        {
            return Ok(outcome);
        }
        if blocked.waiter().is_cancelled() {
            return Err(Unfinished::Cancelled);
        }
        let now = Instant::now();
        if !(seeded(Bug::LooksAroundAfterSlicesOnly) && slept != Slept::TimedOut)
            && blocked.waiter().is_time(now)
            && let Some(outcome) = blocked.look_around()
        {
            return Ok(outcome);
        }
        if deadline.is_some_and(|deadline| now >= deadline) {
            return Err(Unfinished::TimedOut);
        }
        let Some(ticket) = ticket else {
            std::thread::sleep(UNNOTED);
            continue;
        };
        let slice_end = now.checked_add(slice).unwrap_or(now + ETERNITY);
        let until = deadline.map_or(slice_end, |deadline| deadline.min(slice_end));
        slept = blocked.waiter().event.sleep(&ticket, until).map_err(Unfinished::Corrupt)?;
        if let Some(outcome) = blocked.look() {
            if slept == Slept::TimedOut {
                blocked.waiter().suspect(ticket);
            }
            return Ok(outcome);
        }
        if seeded(Bug::WakeRestartsTimeout) && slept != Slept::TimedOut {
            deadline = span.and_then(deadline_after);
        }
    }
}

/// A slice's look around of one who waits for a single peer: whether he has died, noted
/// or not (see [`seat::notice_death`]). `ended` makes the outcome of that, or of a seat
/// that is corrupt.
pub(crate) fn look_at_peer<B: Blocked>(
    blocked: &mut B,
    (segment, seat): (&Arc<Segment>, usize),
    ended: impl FnOnce(&mut B, Option<Corrupt>) -> B::Outcome,
) -> Option<B::Outcome> {
    match seat::notice_death(segment, seat) {
        Ok(SeatState::Died) => Some(match blocked.look() {
            Some(outcome) => outcome,
            None => ended(blocked, None),
        }),
        Ok(_) => blocked.look(),
        Err(Error::Corrupt(corrupt)) => Some(ended(blocked, Some(corrupt))),
        Err(_) if seeded(Bug::NoAnswerIsDead) => Some(ended(blocked, None)),
        // The kernel did not say: then nobody is dead, this time.
        Err(_) => None,
    }
}

/// The deadline that is `timeout` from now; `None` if it is further than time goes.
pub(crate) fn deadline_after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Waits until somebody lives in a seat.
pub(crate) fn wait_for_peer(
    segment: &Arc<Segment>,
    index: usize,
    waiter: &Waiter,
    timeout: Option<Duration>,
) -> Result<(), WaitError> {
    struct Presence<'a>(&'a Arc<Segment>, usize, &'a Waiter);

    impl Blocked for Presence<'_> {
        type Outcome = Result<(), Corrupt>;

        fn waiter(&self) -> &Waiter {
            self.2
        }

        fn stirs(&self) -> bool {
            seat::peek(self.0, self.1) == Ok(SeatState::Live)
        }

        fn look(&mut self) -> Option<Self::Outcome> {
            match seat::peek(self.0, self.1) {
                Ok(SeatState::Live) => Some(Ok(())),
                Ok(_) => None,
                Err(corrupt) => Some(Err(corrupt)),
            }
        }

        fn look_around(&mut self) -> Option<Self::Outcome> {
            None
        }
    }

    // One who died unnoticed is not there.
    if let Err(Error::Corrupt(corrupt)) = seat::notice_death(segment, index) {
        return Err(WaitError::Fault(corrupt.into()));
    }
    let deadline = timeout.and_then(deadline_after);
    match wait(&mut Presence(segment, index, waiter), deadline) {
        Ok(outcome) => outcome.map_err(|corrupt| WaitError::Fault(corrupt.into())),
        Err(Unfinished::TimedOut) => Err(WaitError::Timeout),
        Err(Unfinished::Cancelled) => Err(WaitError::Cancelled),
        Err(Unfinished::Corrupt(corrupt)) => Err(WaitError::Fault(corrupt.into())),
    }
}
