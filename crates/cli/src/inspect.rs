//! `annulus inspect ADDR`: one segment, closely.
//!
//! Imports: facts, exit.

use annulus::SeatView;
use annulus_measure::table::Table;

use crate::exit::{self, Failure, Result, shown};
use crate::facts::{Facts, occupant, state};

/// Prints what stands under an address.
pub fn run(address: &str, json: bool, all: bool) -> Result {
    let facts = Facts::of(address).map_err(|error| Failure::refused(address, &error))?;
    exit::print(&if json { format!("{:#}\n", facts.json(all)) } else { text(&facts, all) })
}

fn text(facts: &Facts, all: bool) -> String {
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
    if facts.is_pair() {
        rows.extend(facts.seats.iter().map(|seat| (seat.role, who(seat))));
    }
    let mut text: String =
        rows.into_iter().map(|(name, value)| format!("{name:14}{value}\n")).collect();
    if !facts.is_pair() {
        text += &seats(facts, all);
    }
    text
}

fn who(seat: &SeatView) -> String {
    let last = match seat.pid {
        Some(pid) if !seat.held => format!(" (last process {pid})"),
        _ if seat.held && state(seat) != "live" => format!(" (marked {})", state(seat)),
        _ => String::new(),
    };
    occupant(seat) + &last
}

/// A table of the seats.
fn seats(facts: &Facts, all: bool) -> String {
    let number = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
    let mut table = Table::new(["who", "seat", "role", "claim", "position", "lag"]);
    for (place, seat) in facts.shown(all) {
        let claim = facts.claim(seat).map(|(start, count)| format!("{count} from {start}"));
        table.row([
            who(seat),
            place.to_string(),
            seat.role.to_owned(),
            claim.unwrap_or_default(),
            number(seat.position),
            number(facts.lag(seat)),
        ]);
    }
    match (facts.shown(all).count(), facts.seats.len()) {
        (0, seats) => format!("seats         {seats}, all empty\n"),
        (shown, seats) => format!("seats         {shown} of {seats}\n\n{table}"),
    }
}
