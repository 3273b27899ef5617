//! What both endpoints do with the seat of the other.

use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{Waiter, wait_for_peer};
use crate::error::{Corrupt, Fault, WaitError};
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

/// Waits until the other one is there.
pub(super) fn wait_for(
    (segment, seat): (&Arc<Segment>, usize),
    waiter: &Waiter,
    gate: &mut Gate,
    timeout: Option<Duration>,
) -> Result<(), WaitError> {
    let outcome = wait_for_peer(segment, seat, waiter, timeout);
    if let Err(WaitError::Fault(Fault::Corrupt(corrupt))) = outcome {
        gate.poison(corrupt);
    }
    outcome
}
