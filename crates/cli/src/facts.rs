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
    /// Position behind the last message or byte, where there is such a word.
    pub tail: Option<u64>,
    /// Whether it has two seats, both of which are always shown.
    pair: bool,
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
            tail: seen.tail(),
            pair: matches!(seen.kind(), Kind::Spsc | Kind::SpscBytes | Kind::Stream),
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

    /// The seats to be shown, with their numbers: of rings with many of them not those that
    /// are empty, unless all are asked for.
    pub fn shown(&self, all: bool) -> impl Iterator<Item = (usize, &SeatView)> {
        let empty = |seat: &SeatView| {
            !seat.held && matches!(seat.state, SeatState::Vacant | SeatState::Closed)
        };
        let seats = self.seats.iter().enumerate();
        seats.filter(move |(_, seat)| all || self.pair || !empty(seat))
    }

    /// Whether its seats are a sender's and a receiver's, and no more.
    pub fn is_pair(&self) -> bool {
        self.pair
    }

    /// How many messages a broadcast's receiver is behind its sender.
    pub fn lag(&self, seat: &SeatView) -> Option<u64> {
        Some(self.tail?.saturating_sub(seat.position?))
    }

    /// What a seat claims: the first position, and how many.
    pub fn claim(&self, seat: &SeatView) -> Option<(u64, u64)> {
        match (seat.claim?, self.tail) {
            (0, _) => None,
            // An spsc ring's receiver notes where its claim ends.
            (end, None) => Some((self.head, end.checked_sub(self.head).filter(|n| *n > 0)?)),
            // Known modulo 2^52: the one that is nearest to where the ring is.
            (claim, Some(tail)) => {
                let (start, count) = (claim >> 12, claim & 0xfff);
                let ahead = start.wrapping_sub(tail) << 12;
                let start = tail.wrapping_add_signed(ahead as i64 >> 12);
                (count > 0).then_some((start, count))
            }
        }
    }

    /// For programs. Bit patterns are text: a JSON number can't hold them all.
    pub fn json(&self, all: bool) -> Value {
        let seat = |(number, seat): (usize, &SeatView)| {
            let claim = self.claim(seat);
            json!({
                "seat": number,
                "role": seat.role,
                "state": state(seat),
                "held": seat.held,
                "pid": seat.pid,
                "claim": claim.map(|(start, count)| json!({ "start": start, "count": count })),
                "position": seat.position,
                "lag": self.lag(seat),
            })
        };
        json!({
            "address": self.address,
            "kind": self.kind,
            "capacity": self.capacity,
            "waiting": self.waiting,
            "unit": self.unit,
            "head": self.head,
            "tail": self.tail,
            "message_size": self.message_size,
            "type_tag": format!("{:#018x}", self.type_tag),
            "creation_id": format!("{:#018x}", self.creation_id),
            "wait_method": self.wait_method,
            "rescues": { "message": self.rescues.0, "room": self.rescues.1 },
            "size": self.size,
            "seats": self.shown(all).map(seat).collect::<Vec<_>>(),
        })
    }
}

/// What stands in a queue that nobody has done, and who is there.
pub struct Unread {
    /// Messages that were not released, those of dead receivers included.
    pub messages: u64,
    /// Seats that somebody is on.
    pub seated: usize,
}

impl Unread {
    /// Looks.
    pub fn of(seen: &Observer) -> Result<Unread, Error> {
        let seats = seen.seats()?;
        // What is claimed is in hand still, or was a moment ago.
        let claimed = |seat: &SeatView| match (seat.role, seat.state) {
            ("receiver", SeatState::Live | SeatState::Recovering) => {
                seat.claim.map_or(0, |claim| claim & 0xfff)
            }
            _ => 0,
        };
        Ok(Unread {
            messages: seen.len() + seats.iter().map(claimed).sum::<u64>(),
            seated: seats.iter().filter(|seat| seat.held).count(),
        })
    }
}

/// A kind's name.
pub fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Mpmc => "mpmc",
        Kind::MpmcBytes => "mpmc-bytes",
        Kind::Broadcast => "broadcast",
        Kind::BroadcastBytes => "broadcast-bytes",
        Kind::Lossless => "lossless",
        Kind::LosslessBytes => "lossless-bytes",
        Kind::Spsc => "spsc",
        Kind::SpscBytes => "spsc-bytes",
        Kind::Stream => "stream",
        _ => "unknown",
    }
}

/// What a ring of that kind counts.
fn unit(kind: Kind) -> &'static str {
    match kind {
        Kind::Stream => "bytes",
        _ => "messages",
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
