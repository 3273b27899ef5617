//! The event count: sleep until a ring changes, without a lock and without cost to the
//! one who changes it while nobody sleeps.
//!
//! ```text
//!   sleeper:   g = generation · flag := (arrivals + 1, set) · BARRIER · look again · sleep while generation == g
//!   notifier:  change the ring · barrier · flag set? ── no ──▶ done
//!                                            └─ yes: generation += 1 · wake n · fewer woke? clear the flag
//! ```
//!
//! Nobody sleeps on a ready ring, by cases. The sleeper's barrier lies between its flag
//! and its look, the notifier's between its change and its look at the flag.
//! 1. The sleeper's came first: the notifier sees the flag. It bumps the generation that
//!    the sleeper read before setting the flag: the sleeper is woken, or does not sleep.
//! 2. The notifier's came first: the sleeper's look sees the change.
//!
//! The flag is cleared only when fewer woke than were asked for, so that nobody else can
//! be asleep, and only if nobody has arrived since it was read (`arrivals`). With one
//! word for both, "wake, then clear" loses wake-ups. The scheme is that of event counts
//! (Reed and Kanodia 1979; Vyukov's for the flag).
//!
//! Imports: sys, atomic, layout, segment, slots.

use std::sync::Arc;
use std::time::Instant;

use crate::atomic::{Barrier, Bug, Futex, Slept, Word, relaxed, seeded, wake};
use crate::error::{Corrupt, Error};
use crate::layout::{WaitMethod, event};
use crate::segment::{Format, Segment};
use crate::slots::ControlWord;
use crate::sys::{self, Until};

/// Asks for one more than can sleep, where only one participant ever does: then fewer
/// always wake, and the flag is cleared at once.
pub(crate) const ONE_SLEEPER: u32 = 2;

/// Most events that one can sleep on at once.
#[cfg(not(loom))]
pub(crate) const SLEEP_MOST: usize = sys::futex::WAIT_MOST;

/// How often a sleeper tries to set the flag against others before it goes without.
const ARM_TRIES: u32 = 64;

/// One event of a ring, as one handle sees it.
pub(crate) struct Event {
    flag: ControlWord,
    barrier: Barrier,
    method: WaitMethod,
    at: usize,
    which: usize,
    segment: Arc<Segment>,
}

/// A sleeper's place: good for one sleep.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    generation: u32,
}

impl Event {
    /// The event on the line at `at`, the ring's number `which`.
    pub(crate) fn new(segment: &Arc<Segment>, format: &Format, at: usize, which: usize) -> Self {
        Self {
            flag: ControlWord::new(segment, at + event::FLAG),
            barrier: format.barrier,
            method: format.wait_method,
            at,
            which,
            segment: Arc::clone(segment),
        }
    }

    fn generation(&self) -> Futex<'_> {
        self.segment.span().futex(self.at + event::GENERATION, self.which)
    }

    /// Whether participants sleep at all.
    pub(crate) fn sleeps(&self) -> bool {
        self.method != WaitMethod::Spin
    }

    /// After a change of the ring: wakes up to `count` sleepers, if there are any. One
    /// load if there are none.
    #[inline(always)]
    pub(crate) fn notify(&self, count: u32) {
        // In a model the barrier is a fence, whatever its form: it would order for free what
        // a user of a ring in which nobody sleeps has left without order.
        if cfg!(loom) && !self.sleeps() {
            return;
        }
        // WAKE: between the change and the look at the flag. Pairs with `prepare`.
        self.barrier.notifier();
        if self.flag.load(relaxed::FENCED) & 1 != 0 {
            self.wake(count);
        }
    }

    /// Wakes sleepers, and clears the flag if there can be none left.
    #[cold]
    #[inline(never)]
    fn wake(&self, count: u32) {
        // WAKE: every sleeper counted here has read the generation. Pairs with `prepare`.
        let seen = self.flag.load(wake::SEEN);
        if seen & 1 == 0 {
            return;
        }
        // Fails if somebody arrived since: he is owed the next look.
        let clear = || {
            let seen = match seeded(Bug::ClearForgetsArrivals) {
                true => self.flag.load(relaxed::FENCED),
                false => seen,
            };
            self.flag.compare_exchange(seen, seen & !1, relaxed::FENCED, relaxed::HINT).is_ok()
        };
        if seeded(Bug::ClearBeforeWake) {
            clear();
        }
        let woken = match (self.method, self.segment.semaphore(self.which)) {
            (WaitMethod::Futex, _) => {
                if seeded(Bug::WakeBeforeBump) {
                    let woken = self.generation().wake(count);
                    self.generation().bump(wake::BUMP);
                    woken.unwrap_or(0)
                } else {
                    // WAKE: pairs with `prepare`. A sleeper with the old one does not sleep.
                    self.generation().bump(wake::BUMP);
                    // An error means that the memory is gone: then nobody sleeps there.
                    self.generation().wake(count).unwrap_or(0)
                }
            }
            (WaitMethod::Semaphore, Some(semaphore)) => {
                // One sleeper, one token; too many are hints that he looks up for nothing.
                semaphore.post();
                0
            }
            // A set flag where nobody sleeps is a peer's joke.
            _ => return,
        };
        if woken < count || seeded(Bug::ClearThoughAllWoke) {
            clear();
        }
    }

    /// Wakes everybody, whatever the flag says: for news that is not in the ring.
    pub(crate) fn interrupt(&self) {
        // WAKE: the news comes before the bump. Pairs with `prepare`.
        self.generation().bump(wake::BUMP);
        match self.segment.semaphore(self.which) {
            Some(semaphore) => semaphore.post(),
            None => {
                // As in `wake`.
                let _ = self.generation().wake(u32::MAX);
            }
        }
    }

    /// Notes the caller as a sleeper. He looks at the ring once more, then sleeps.
    ///
    /// `None` if he can't be noted, and so must not sleep long.
    pub(crate) fn prepare(&self) -> Option<Ticket> {
        // WAKE: what was interrupted before is seen. Pairs with `interrupt`.
        let mut generation = self.generation().load(wake::GENERATION);
        if !self.note() {
            return None;
        }
        // WAKE: between the flag and the look at the ring. Pairs with `notify`.
        self.barrier.sleeper().ok()?;
        if seeded(Bug::GenerationAfterFlag) {
            generation = self.generation().load(wake::GENERATION);
        }
        Some(Ticket { generation })
    }

    /// Notes the caller as a sleeper, as `prepare` does, but for the barrier: that comes
    /// after several were noted, by [`Event::settle`].
    #[cfg(not(loom))]
    pub(crate) fn arm(&self) -> Option<Ticket> {
        // WAKE: as in `prepare`.
        let generation = self.generation().load(wake::GENERATION);
        self.note().then_some(Ticket { generation })
    }

    /// The barrier between several flags and the looks at the rings: once for each form.
    #[cfg(not(loom))]
    pub(crate) fn settle<'a>(events: impl Iterator<Item = &'a Self>) -> std::io::Result<()> {
        let (mut asymmetric, mut fenced) = (false, false);
        for event in events {
            match event.barrier {
                Barrier::Asymmetric => asymmetric = true,
                Barrier::Fenced => fenced = true,
            }
        }
        // WAKE: as in `prepare`. Pairs with `notify`.
        if asymmetric {
            Barrier::Asymmetric.sleeper()?;
        }
        if fenced {
            Barrier::Fenced.sleeper()?;
        }
        Ok(())
    }

    /// Whether one can sleep on this event beside others.
    #[cfg(not(loom))]
    pub(crate) fn is_futex(&self) -> bool {
        self.method == WaitMethod::Futex
    }

    /// Sleeps until one of several events is notified or interrupted, or `until`. `None`:
    /// this kernel can't.
    #[cfg(not(loom))]
    pub(crate) fn sleep_any(
        events: &[(&Self, Ticket)],
        until: Instant,
    ) -> Result<Option<Slept>, Corrupt> {
        let futexes: Vec<_> =
            events.iter().map(|(event, ticket)| (event.generation(), ticket.generation)).collect();
        match Futex::wait_any(&futexes, Until::instant(until)) {
            Ok(slept) => Ok(Some(slept)),
            Err(error) if sys::futex::is_missing(&error) => Ok(None),
            // As in `sleep`.
            Err(_) => Err(Corrupt { word: "event", value: 0 }),
        }
    }

    /// Sets the flag and counts an arrival. False: others were always first.
    fn note(&self) -> bool {
        (0..ARM_TRIES).any(|_| {
            let flag = self.flag.load(relaxed::VALIDATED);
            let armed = flag.wrapping_add(2) | 1;
            // WAKE: after the reading of the generation. Pairs with `wake`.
            self.flag.compare_exchange(flag, armed, wake::ARRIVE, relaxed::HINT).is_ok()
        })
    }

    /// Sleeps until notified, interrupted, or `until`.
    pub(crate) fn sleep(&self, ticket: &Ticket, until: Instant) -> Result<Slept, Corrupt> {
        let until = Until::instant(until);
        let expected = match seeded(Bug::SleepsOnNewGeneration) {
            true => self.generation().load(relaxed::HINT),
            false => ticket.generation,
        };
        let slept = match self.segment.semaphore(self.which) {
            Some(semaphore) => semaphore.wait(until),
            None => self.generation().wait(expected, until),
        };
        if seeded(Bug::InterruptedWaitFails) && matches!(slept, Ok(Slept::Interrupted)) {
            return Err(Corrupt { word: "event", value: 0 });
        }
        // The one error left is memory that is gone: truncated by a peer.
        slept.map_err(|_| Corrupt { word: "event", value: 0 })
    }

    /// Whether nobody has notified since the ticket was drawn.
    pub(crate) fn is_unnotified(&self, ticket: &Ticket) -> bool {
        self.generation().load(relaxed::HINT) == ticket.generation
    }

    /// Counts a wait that only the end of its slice rescued.
    pub(crate) fn count_rescue(&self) {
        let rescues = self.rescues_word();
        // A count for people: two sleepers that count at once may count one.
        rescues.store(rescues.load(relaxed::HINT).wrapping_add(1), relaxed::HINT);
    }

    /// How many waits on this event only the end of a slice rescued.
    pub(crate) fn rescues(&self) -> u64 {
        self.rescues_word().load(relaxed::HINT)
    }

    fn rescues_word(&self) -> &Word {
        self.segment.span().word(self.at + event::RESCUES)
    }
}

/// Whether this process can take part in a ring with this barrier form.
pub(crate) fn comply(format: &Format) -> Result<(), Error> {
    let asymmetric =
        format.barrier == Barrier::Asymmetric && format.wait_method != WaitMethod::Spin;
    if asymmetric && !cfg!(loom) && !sys::barrier::register() {
        return Err(Error::Unsupported(
            "the segment's asymmetric barrier (membarrier is missing or forbidden here): make it with `fenced(true)`",
        ));
    }
    if format.wait_method == WaitMethod::Semaphore && !sys::SEMAPHORES_AVAILABLE {
        return Err(Error::Unsupported("semaphores with this C library"));
    }
    Ok(())
}

/// The form for a new segment.
pub(crate) fn barrier_form(fenced: bool) -> Barrier {
    let relies = || cfg!(loom) || seeded(Bug::NoFencedFallback) || sys::barrier::register();
    if fenced || !relies() { Barrier::Fenced } else { Barrier::Asymmetric }
}
