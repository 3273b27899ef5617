//! What an observer sees of a segment, for `inspect` and `ls`.
//!
//! Imports: nothing of the command's.

use annulus::{Error, Kind, Observer, SeatState, SeatView, WaitMethod};
use serde_json::{Value, json};

/// A look at a segment.
pub struct Facts {
    pub address: String,
    pub kind: &'static str,
    /// What capacity and waiting count.
    pub unit: &'static str,
    pub capacity: u64,
    pub waiting: u64,
    pub head: u64,
    pub message_size: u64,
    pub type_tag: u64,
    pub creation_id: u64,
    pub wait_method: &'static str,
    pub rescues: (u64, u64),
    pub size: u64,
    pub seats: Vec<SeatView>,
}

impl Facts {
    /// Looks at what stands under an address. Nothing is changed.
    pub fn of(address: &str) -> Result<Facts, Error> {
        let seen = Observer::open_guarded(address)?;
        Ok(Facts {
            address: address.to_owned(),
            kind: kind(seen.kind()),
            unit: unit(seen.kind()),
            capacity: seen.capacity(),
            waiting: seen.len(),
            head: seen.head(),
            message_size: seen.message_size(),
            type_tag: seen.type_tag(),
            creation_id: seen.creation_id(),
            wait_method: wait_method(seen.wait_method()),
            rescues: seen.rescues(),
            size: seen.segment_len(),
            seats: seen.seats()?,
        })
    }

    /// Those that the kernel says live.
    pub fn living(&self) -> impl Iterator<Item = &SeatView> {
        self.seats.iter().filter(|seat| seat.held)
    }

    /// For programs. Bit patterns are text: a JSON number can't hold them all.
    pub fn json(&self) -> Value {
        let seat = |seat: &SeatView| {
            json!({
                "role": seat.role,
                "state": state(seat),
                "held": seat.held,
                "pid": seat.pid,
            })
        };
        json!({
            "address": self.address,
            "kind": self.kind,
            "capacity": self.capacity,
            "waiting": self.waiting,
            "unit": self.unit,
            "head": self.head,
            "message_size": self.message_size,
            "type_tag": format!("{:#018x}", self.type_tag),
            "creation_id": format!("{:#018x}", self.creation_id),
            "wait_method": self.wait_method,
            "rescues": { "message": self.rescues.0, "room": self.rescues.1 },
            "size": self.size,
            "seats": self.seats.iter().map(seat).collect::<Vec<_>>(),
        })
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Spsc => "spsc",
        Kind::SpscBytes => "spsc-bytes",
        Kind::Stream => "stream",
        _ => "unknown",
    }
}

/// What a ring of that kind counts.
fn unit(kind: Kind) -> &'static str {
    match kind {
        Kind::Spsc | Kind::SpscBytes => "messages",
        _ => "bytes",
    }
}

fn wait_method(method: WaitMethod) -> &'static str {
    match method {
        WaitMethod::Spin => "spin",
        WaitMethod::Futex => "futex",
        WaitMethod::Semaphore => "semaphore",
        _ => "unknown",
    }
}

/// How a seat is, in a word: the kernel's where it knows better than the segment.
pub fn state(seat: &SeatView) -> &'static str {
    match seat.state {
        SeatState::Vacant => "vacant",
        SeatState::Live if seat.held => "live",
        SeatState::Live => "died",
        SeatState::Recovering => "recovering",
        SeatState::Closed => "closed",
        SeatState::Died => "died",
    }
}

/// Who is on a seat, for people.
pub fn occupant(seat: &SeatView) -> String {
    match (seat.held, seat.pid) {
        (true, Some(pid)) => format!("process {pid}"),
        (true, None) => "somebody".to_owned(),
        (false, _) => state(seat).to_owned(),
    }
}
