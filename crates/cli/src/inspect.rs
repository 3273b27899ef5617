//! `annulus inspect ADDR`: one segment, closely.
//!
//! Imports: facts, exit.

use crate::exit::{self, Failure, Result, shown};
use crate::facts::{Facts, occupant, state};

/// Prints what stands under an address.
pub fn run(address: &str, json: bool) -> Result {
    let facts = Facts::of(address).map_err(|error| Failure::refused(address, &error))?;
    exit::print(&if json { format!("{:#}\n", facts.json()) } else { text(&facts) })
}

fn text(facts: &Facts) -> String {
    let mut rows = vec![
        ("address", shown(&facts.address)),
        ("kind", facts.kind.to_owned()),
        ("capacity", format!("{} {}", facts.capacity, facts.unit)),
        ("waiting", format!("{} {}, from position {} on", facts.waiting, facts.unit, facts.head)),
        ("message size", format!("{} bytes", facts.message_size)),
        ("type tag", format!("{:#018x}", facts.type_tag)),
        ("creation id", format!("{:#018x}", facts.creation_id)),
        ("wait method", facts.wait_method.to_owned()),
        ("rescues", format!("{} for a message, {} for room", facts.rescues.0, facts.rescues.1)),
        ("size", format!("{} bytes", facts.size)),
    ];
    for seat in &facts.seats {
        let last = match seat.pid {
            Some(pid) if !seat.held => format!(" (last process {pid})"),
            _ if seat.held && state(seat) != "live" => format!(" (marked {})", state(seat)),
            _ => String::new(),
        };
        rows.push((seat.role, occupant(seat) + &last));
    }
    rows.into_iter().map(|(name, value)| format!("{name:14}{value}\n")).collect()
}
