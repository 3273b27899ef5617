//! The names of streams: what the command makes, finds, replaces and leaves.
//!
//! ```text
//!   nothing                      send makes it, recv waits for it
//!   no stream                    refused
//!   somebody lives there         refused, if he does not go within a moment
//!   left over, made with --keep  refused
//!   left over                    send replaces it
//! ```
//!
//! Rings of messages are joined by whoever comes, so only their going is decided here: with
//! the last one out, unless work is left.
//!
//! Whether somebody lives there is the kernel's word alone. Imports: exit, facts.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use annulus::stream::{Ring, Sender};
use annulus::{Error, Kind, Observer, SeatState, SeatView};

use crate::exit::{Failure, Result, shown};
use crate::facts::{Unread, occupant};
use crate::signals::Signals;

/// The type tag of streams that go when they are over.
pub const PASSING: u64 = u64::from_le_bytes(*b"annulus\x01");

/// The type tag of streams that stay: made with `--keep`.
pub const KEPT: u64 = u64::from_le_bytes(*b"annulus\x02");

/// How long those who are just ending may take to be gone.
pub const GRACE: Duration = Duration::from_secs(2);

/// Between two looks at a name: at first, and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Pauses between looks at a name, each longer than the one before.
pub struct Pauses(Duration);

impl Pauses {
    /// Short ones first.
    pub fn new() -> Pauses {
        Pauses(FIRST_PAUSE)
    }

    /// Waits a little.
    pub fn pause(&mut self) {
        thread::sleep(self.0);
        self.0 = (2 * self.0).min(LONGEST_PAUSE);
    }
}

/// What an observer sees of a stream.
pub struct Seen {
    pub tag: u64,
    pub id: u64,
    pub sender: SeatView,
    pub receiver: SeatView,
}

impl Seen {
    /// Looks at what stands under an address: `None`, if nothing does. What is no stream is
    /// refused.
    pub fn look(address: &str) -> Result<Option<Seen>> {
        let refused = |error: Error| Failure::refused(address, &error);
        let seen = match Observer::open_guarded(address) {
            Ok(seen) => seen,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(refused(error)),
        };
        let seats = seen.seats().map_err(refused)?;
        match (seen.kind(), &seats[..]) {
            (Kind::Stream, &[sender, receiver]) => {
                let (tag, id) = (seen.type_tag(), seen.creation_id());
                Ok(Some(Seen { tag, id, sender, receiver }))
            }
            _ => Err(Failure::unusable(format!(
                "{}: a ring of messages stands there, no stream; choose another name",
                shown(address)
            ))),
        }
    }

    /// Whether it stays when it is over.
    pub fn is_kept(&self) -> bool {
        self.tag == KEPT
    }

    /// Who is there, as far as the kernel says.
    fn living(&self) -> Option<&SeatView> {
        [&self.sender, &self.receiver].into_iter().find(|seat| seat.held)
    }
}

/// What a name stands for, and so when it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A transfer: over when one side has gone.
    Transfer,
    /// Work, which stays until it is done.
    Work,
    /// News, which nobody wants who was not there.
    News,
}

/// A ring's name, and what to do with it in the end.
#[derive(Clone)]
pub struct Named {
    pub address: String,
    /// Which of the segments that bear this name in turn.
    pub id: u64,
    /// It stays.
    pub kept: bool,
    pub holds: Holds,
}

impl Named {
    /// Removes the name, unless it stays, or work is left, or somebody still has the ring
    /// open: then he is the last one out. This process must have dropped all that it has of
    /// it.
    pub fn remove(&self) -> Result {
        if self.kept || !self.is_over(0) {
            return Ok(());
        }
        match annulus::unlink_unused(&self.address) {
            Ok(()) | Err(Error::InUse { .. } | Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Failure::refused(&self.address, &error)),
        }
    }

    /// As [`remove`](Self::remove), even though this process has the ring open.
    pub fn remove_in_use(&self) {
        if !self.kept && self.is_over(1) {
            // About to die: nobody to tell.
            let _ = annulus::unlink(&self.address);
        }
    }

    /// Says what work is left that nobody does. `own`: how many seats this process holds.
    pub fn tell_what_is_left(&self, own: usize) {
        if let Some(Unread { messages: messages @ 1.., seated }) = self.unread()
            && self.holds == Holds::Work
            && seated <= own
        {
            let are = if messages == 1 { "message is" } else { "messages are" };
            let address = shown(&self.address);
            // Nobody left to tell: no matter.
            let _ = writeln!(
                io::stderr(),
                "annulus: {messages} {are} left in {address}; `annulus recv` gets them, \
                 `annulus rm {address}` removes them"
            );
        }
    }

    /// Whether nobody needs the name, this process and its seats aside.
    fn is_over(&self, own: usize) -> bool {
        self.unread().is_some_and(|unread| match self.holds {
            Holds::Transfer => true,
            Holds::Work => unread.seated <= own && unread.messages == 0,
            Holds::News => unread.seated <= own,
        })
    }

    /// What is left, if the name is still this ring's.
    fn unread(&self) -> Option<Unread> {
        let seen = Observer::open_guarded(&self.address).ok()?;
        if seen.creation_id() != self.id {
            return None;
        }
        // What can't be told is somebody's.
        Some(Unread::of(&seen).unwrap_or(Unread { messages: 1, seated: usize::MAX }))
    }
}

/// Makes a stream and takes its sender's seat; a left-over is replaced. `None`: a signal
/// came meanwhile.
pub fn create(
    address: &str,
    capacity: u64,
    keep: bool,
    signals: &Signals,
) -> Result<Option<(Sender, Named)>> {
    let options = Ring::options()
        .capacity(capacity)
        .type_tag(if keep { KEPT } else { PASSING })
        .sigbus_guard(true);
    let until = Instant::now() + GRACE;
    let mut pauses = Pauses::new();
    while !signals.caught() {
        match options.create_new(address) {
            Ok(ring) => return seated(&ring, address, keep).map(Some),
            Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(Failure::refused(address, &error)),
        }
        if let Some(seen) = Seen::look(address)? {
            clear(address, &seen, keep, until)?;
            pauses.pause();
        }
    }
    Ok(None)
}

fn seated(ring: &Ring, address: &str, kept: bool) -> Result<(Sender, Named)> {
    let refused = |error| Failure::refused(address, &error);
    let id = Observer::open_guarded(address).map_err(refused)?.creation_id();
    let sender = ring.sender().map_err(refused)?;
    let named = Named { address: address.to_owned(), id, kept, holds: Holds::Transfer };
    Ok((sender, named))
}

/// Removes a left-over, or says why it may not. In the time of grace it may also do neither.
fn clear(address: &str, seen: &Seen, keep: bool, until: Instant) -> Result {
    let patient = Instant::now() < until;
    if let Some(seat) = seen.living() {
        // A receiver alone, whose sender has ended, is about to end too.
        let ending =
            seat.role == seen.receiver.role && !matches!(seen.sender.state, SeatState::Vacant);
        return if ending && patient { Ok(()) } else { Err(in_use(address, seat)) };
    }
    if keep || seen.is_kept() {
        return Err(Failure::unusable(format!(
            "{0}: a stream stands there that {1}; remove it with `annulus rm {0}`",
            shown(address),
            if seen.is_kept() { "was kept" } else { "was left, and --keep replaces none" },
        )));
    }
    match annulus::unlink_unused(address) {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(Error::InUse { .. }) if patient => Ok(()),
        Err(error) => Err(Failure::refused(address, &error)),
    }
}

/// Nobody sent, and waiting is over.
pub fn nobody_came(address: &str, timeout: Option<Duration>) -> Failure {
    Failure::other(format!(
        "{}: no sender came within {} s; start `annulus send`, or give more --timeout",
        shown(address),
        timeout.unwrap_or_default().as_secs_f64()
    ))
}

/// Somebody lives there.
pub fn in_use(address: &str, seat: &SeatView) -> Failure {
    Failure::other(format!(
        "{}: in use by {} ({}); wait until it has ended, or choose another name",
        shown(address),
        occupant(seat),
        seat.role
    ))
}
