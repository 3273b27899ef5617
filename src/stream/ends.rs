//! What both endpoints do with the seat of the other.

use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{self, Blocked, Unfinished, Waiter, deadline_after};
use crate::error::{Corrupt, WaitError};
use crate::gate::Gate;
use crate::seat::{self, SeatState};
use crate::segment::Segment;

/// How the other one has ended.
pub(super) enum Ended {
    Closed,
    Died,
}

/// Whether the occupant of a seat is known to have come and gone.
pub(super) fn ended(segment: &Segment, seat: usize) -> Result<Option<Ended>, Corrupt> {
    Ok(match seat::peek(segment, seat)? {
        SeatState::Closed => Some(Ended::Closed),
        SeatState::Died => Some(Ended::Died),
        SeatState::Vacant | SeatState::Live | SeatState::Recovering => None,
    })
}

/// Waits until the other one has come. One who has come and gone counts: nobody else will,
/// and the next verb tells how he ended.
pub(super) fn wait_for(
    (segment, seat): (&Arc<Segment>, usize),
    waiter: &Waiter,
    gate: &mut Gate,
    timeout: Option<Duration>,
) -> Result<(), WaitError> {
    let deadline = timeout.and_then(deadline_after);
    let corrupt = match endpoint::wait(&mut Arrival { segment, seat, waiter }, deadline) {
        Ok(Ok(())) => return Ok(()),
        Err(Unfinished::TimedOut) => return Err(WaitError::Timeout),
        Err(Unfinished::Cancelled) => return Err(WaitError::Cancelled),
        Ok(Err(corrupt)) | Err(Unfinished::Corrupt(corrupt)) => corrupt,
    };
    Err(WaitError::Fault(gate.poison(corrupt)))
}

/// Somebody who waits for the other one to come.
struct Arrival<'a> {
    segment: &'a Arc<Segment>,
    seat: usize,
    waiter: &'a Waiter,
}

impl Blocked for Arrival<'_> {
    type Outcome = Result<(), Corrupt>;

    fn waiter(&self) -> &Waiter {
        self.waiter
    }

    fn stirs(&self) -> bool {
        seat::peek(self.segment, self.seat) != Ok(SeatState::Vacant)
    }

    fn look(&mut self) -> Option<Self::Outcome> {
        match seat::peek(self.segment, self.seat) {
            Ok(SeatState::Vacant) => None,
            Ok(_) => Some(Ok(())),
            Err(corrupt) => Some(Err(corrupt)),
        }
    }

    fn look_around(&mut self) -> Option<Self::Outcome> {
        None
    }
}
