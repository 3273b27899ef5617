//! Whether the other side has come since this one did.
//!
//! A queue may be found with work in it and nobody there: that its senders have ended is then
//! no reason to end, before another one has come. Imports: nothing of the command's.

use annulus::{Observer, SeatView};

/// The other side, as seen from this one.
pub struct Company {
    seen: Observer,
    /// The other side's role.
    role: &'static str,
    /// Who had come before: process ids, by seat.
    before: Vec<Option<u32>>,
    come: bool,
}

impl Company {
    /// `before` is what was seen before the ring was opened.
    pub fn new(seen: Observer, role: &'static str, before: &[SeatView]) -> Company {
        Company { seen, role, before: pids(before, role), come: is_there(before, role) }
    }

    /// Something has come that only the other side can have done.
    pub fn has_shown(&mut self) {
        self.come = true;
    }

    /// Whether somebody is there, or has been since.
    pub fn has_come(&mut self) -> bool {
        if !self.come {
            // What can't be seen is not waited for.
            self.come = self.seen.seats().map_or(true, |seats| {
                is_there(&seats, self.role) || pids(&seats, self.role) != self.before
            });
        }
        self.come
    }
}

/// Whether somebody is on a seat of a role.
fn is_there(seats: &[SeatView], role: &str) -> bool {
    seats.iter().any(|seat| seat.role == role && seat.held)
}

/// Who is, or was last, on the seats of a role.
fn pids(seats: &[SeatView], role: &str) -> Vec<Option<u32>> {
    let mut pids: Vec<_> =
        seats.iter().filter(|seat| seat.role == role).map(|seat| seat.pid).collect();
    // A ring that is just made has none of them.
    pids.truncate(pids.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
    pids
}
