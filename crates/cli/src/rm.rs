//! `annulus rm ADDR`: removes a segment that nobody uses, or any by force.
//!
//! Imports: facts, exit.

use annulus::Error;

use crate::exit::{Failure, Result, shown};
use crate::facts::{Facts, occupant};

/// Removes the name; whoever has the segment open keeps it.
pub fn run(address: &str, force: bool) -> Result {
    let refused = |error: Error| Failure::refused(address, &error);
    if force {
        return annulus::unlink(address).map_err(refused);
    }
    let facts = Facts::of(address).map_err(refused)?;
    if let Some(seat) = facts.living().next() {
        let (role, who) = (seat.role, occupant(seat));
        return Err(Failure::other(format!(
            "{}: in use, {who} is its {role}; end it first, or remove the name with --force",
            shown(address)
        )));
    }
    annulus::unlink_unused(address).map_err(refused)
}
