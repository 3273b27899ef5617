//! Waiting for several rings at once, of any kind.
//!
//! ```text
//!   look at each ─ spin ─▶ yield ─▶ [ note at each · one barrier · look at each ·
//!                                      sleep on all ] ─▶ is somebody dead? ─┐
//!                                      ▲                                     │
//!                                      └─────────────────────────────────────┘
//! ```
//!
//! Imports: endpoint, wait.

use std::time::{Duration, Instant};

use crate::atomic::{Bug, Slept, pause, seeded, yield_now};
use crate::endpoint::{UNNOTED, Waiter, deadline_after};
use crate::error::WaitError;
use crate::wait::{Event, Ticket};

/// An endpoint that a [`WaitSet`] can wait for: every sender and receiver.
pub trait Waitable: sealed::Sealed {}

impl<E: sealed::Sealed + ?Sized> Waitable for E {}

pub(crate) mod sealed {
    use super::Waiter;

    /// The part of `Waitable` that is this crate's own.
    pub trait Sealed {
        /// How it waits.
        #[doc(hidden)]
        fn how(&self) -> &Waiter;
        /// Whether its next operation would not wait; takes nothing.
        #[doc(hidden)]
        fn is_due(&mut self) -> bool;
        /// Once a slice: may make system calls to see who is dead.
        #[doc(hidden)]
        fn look_for_the_dead(&mut self);
        /// Passes a wake-up on that was meant for one, if there is more than one thing to do.
        #[doc(hidden)]
        fn pass_on(&self) {}
    }
}

/// Waits for the first of several endpoints that has something to do: a message or room, the
/// end, or an error.
///
/// The endpoints stay the caller's: he names them at each wait, and calls `try_recv` (or what
/// it may be) on the one that is due. Whoever was due last is asked last, so that one busy
/// ring starves no other.
///
/// A member that has ended stays due: the caller leaves it out of the next wait.
///
/// It spins, yields and sleeps as the first endpoint's options say. Asleep it waits on all
/// rings with one system call (`futex_waitv`, Linux 5.16), of up to 128 rings; of more, of
/// rings that wait by spinning or by semaphores, and on older kernels, it looks once a
/// millisecond. Going to sleep costs a compare-and-exchange per ring and one barrier for all.
///
/// ```
/// use annulus::{WaitSet, spsc, stream};
///
/// let (mut ticks, mut tick) = spsc::channel::<u64>(8)?;
/// let (mut bytes, mut byte) = stream::channel(64)?;
/// let mut set = WaitSet::new();
/// bytes.send(b"x")?;
/// assert_eq!(set.wait(&mut [&mut tick, &mut byte], None)?, 1);
/// ticks.send(7)?;
/// // Both are due: the one that was not last.
/// assert_eq!(set.wait(&mut [&mut tick, &mut byte], None)?, 0);
/// assert_eq!(tick.try_recv()?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct WaitSet {
    /// Where the next look begins.
    next: usize,
    /// When somebody last looked for the dead, or the first wait began.
    looked_around: Option<Instant>,
}

impl WaitSet {
    /// A set that has not waited yet. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until one of the members is due, for at most `timeout` if one is given, and says
    /// which, by its number.
    ///
    /// # Errors
    /// [`WaitError::Timeout`]; [`WaitError::Cancelled`] if a member's
    /// [`CancelHandle`](crate::CancelHandle) was used.
    pub fn wait(
        &mut self,
        members: &mut [&mut dyn Waitable],
        timeout: Option<Duration>,
    ) -> Result<usize, WaitError> {
        self.wait_until(members, timeout.and_then(deadline_after))
    }

    /// As [`wait`](Self::wait), until `deadline` at the latest.
    ///
    /// # Errors
    /// The same.
    pub fn wait_deadline(
        &mut self,
        members: &mut [&mut dyn Waitable],
        deadline: Instant,
    ) -> Result<usize, WaitError> {
        self.wait_until(members, Some(deadline))
    }

    fn wait_until(
        &mut self,
        members: &mut [&mut dyn Waitable],
        deadline: Option<Instant>,
    ) -> Result<usize, WaitError> {
        let index = match self.due(members) {
            Some(index) => index,
            None => {
                let index = wait(self, members, deadline)?;
                // The caller may take one message of several, and not come back.
                members[index].pass_on();
                index
            }
        };
        self.next = index + 1;
        Ok(index)
    }

    /// The first member that is due, from the next on.
    fn due(&self, members: &mut [&mut dyn Waitable]) -> Option<usize> {
        let count = members.len();
        (0..count).map(|n| (self.next + n) % count).find(|index| members[*index].is_due())
    }
}

/// The stages of waiting.
fn wait(
    set: &mut WaitSet,
    members: &mut [&mut dyn Waitable],
    deadline: Option<Instant>,
) -> Result<usize, WaitError> {
    let Some(patience) = members.first().map(|first| first.how().patience()) else {
        // Nobody will ever be due.
        return match deadline {
            Some(deadline) => {
                std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
                Err(WaitError::Timeout)
            }
            None => Err(WaitError::Cancelled),
        };
    };
    let began = Instant::now();
    let mut polling = true;
    for member in &*members {
        member.how().judge();
    }
    loop {
        let now = Instant::now();
        if members.iter().any(|member| member.how().is_cancelled()) {
            return Err(WaitError::Cancelled);
        }
        // By the clock: many short waits must not keep a death unseen.
        if now.saturating_duration_since(*set.looked_around.get_or_insert(now)) >= patience.slice {
            set.looked_around = Some(now);
            for member in &mut *members {
                member.look_for_the_dead();
            }
            if let Some(index) = set.due(members) {
                return Ok(index);
            }
        }
        if deadline.is_some_and(|deadline| now >= deadline) {
            return Err(WaitError::Timeout);
        }
        let waited = now.duration_since(began);
        let asleep = waited >= patience.spin.saturating_add(patience.yielding);
        if !asleep || !polling {
            if waited >= patience.spin { yield_now() } else { pause() }
        }
        if let Some(index) = set.due(members) {
            return Ok(index);
        }
        if asleep {
            let slice_end = now.checked_add(patience.slice).unwrap_or(now + DAY);
            let until = deadline.map_or(slice_end, |deadline| deadline.min(slice_end));
            if let Some(index) = sleep(set, members, until) {
                return Ok(index);
            }
            polling = false;
        }
    }
}

/// A slice that is longer than time goes is cut to this.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Sleeps once; the member that is due.
fn sleep(set: &WaitSet, members: &mut [&mut dyn Waitable], until: Instant) -> Option<usize> {
    let Some(tickets) = arm(members) else {
        std::thread::sleep(UNNOTED.min(until.saturating_duration_since(Instant::now())));
        return set.due(members);
    };
    if let Some(index) = set.due(members) {
        return Some(index);
    }
    if members.iter().any(|member| member.how().is_waiting_cancelled()) {
        return None;
    }
    let events: Vec<_> =
        members.iter().map(|member| member.how().event()).zip(tickets.iter().copied()).collect();
    let slept = Event::sleep_any(&events, until);
    let spins = seeded(Bug::MissingWaitSpins) && matches!(slept, Ok(None));
    if !matches!(slept, Ok(Some(_))) && !spins {
        // The kernel can't, or a member's memory is gone, which its own look will say.
        std::thread::sleep(UNNOTED.min(until.saturating_duration_since(Instant::now())));
    }
    let index = set.due(members)?;
    if matches!(slept, Ok(Some(Slept::TimedOut))) {
        members[index].how().suspect(tickets[index]);
    }
    Some(index)
}

/// Notes the caller as a sleeper at each member, if that can be done.
fn arm(members: &[&mut dyn Waitable]) -> Option<Vec<Ticket>> {
    if members.len() > crate::wait::SLEEP_MOST {
        return None;
    }
    if !members.iter().all(|member| member.how().event().is_futex()) {
        return None;
    }
    let events = || members.iter().map(|member| member.how().event());
    if seeded(Bug::BarrierBeforeFlags) {
        Event::settle(events()).ok()?;
    }
    let tickets: Option<Vec<_>> = events().map(Event::arm).collect();
    if !seeded(Bug::BarrierBeforeFlags) {
        Event::settle(events()).ok()?;
    }
    tickets
}
