//! What is in shared memory, kept from the accesses that were made, by the documented
//! steps alone: a stamp commits, the head receives, the claim exposes.

use annulus::SeatState;
use annulus::hooks::{Access, FORMAT, HEADER, Op};

/// An offset of the format, by its name.
pub fn offset(name: &str) -> usize {
    let found = FORMAT.iter().find(|(known, _)| *known == name);
    usize::try_from(found.expect("a name of the format").1).unwrap()
}

/// The sender's seat and the receiver's.
pub const SENDER: usize = 0;
/// As above.
pub const RECEIVER: usize = 1;

/// The exact account of one ring.
#[derive(Debug)]
pub struct Account {
    /// Where the segment begins in each of its mappings.
    bases: Vec<usize>,
    /// Its length in bytes.
    len: usize,
    /// Position of the first message that was not received.
    pub head: u64,
    /// Position of the next message to be committed.
    pub tail: u64,
    /// The receiver's note of what it exposes.
    pub claim: u64,
    /// Messages below this were exposed by a receiver that died.
    pub in_doubt: u64,
    /// What the seats say.
    pub seats: [SeatState; 2],
}

impl Account {
    /// Of a new ring, from the accesses by which it was made and opened.
    pub fn new(made: &[Access], start: u64) -> Self {
        let at_magic = |access: &&Access| access.edge.starts_with("format::");
        let bases: Vec<_> = made.iter().filter(at_magic).map(|access| access.address).collect();
        let (length, _) = HEADER.iter().find(|(_, name)| *name == "length").unwrap();
        let said = made.iter().find(|access| access.address == bases[0] + length).unwrap();
        Self {
            bases,
            len: usize::try_from(said.value).unwrap(),
            head: start,
            tail: start,
            claim: 0,
            in_doubt: start,
            seats: [SeatState::Vacant; 2],
        }
    }

    /// The word's offset in its segment; `None` for words outside.
    pub fn offset(&self, access: &Access) -> Option<usize> {
        let offsets = self.bases.iter().filter_map(|base| access.address.checked_sub(*base));
        offsets.min().filter(|offset| *offset < self.len)
    }

    /// Follows one access after the other.
    pub fn note(&mut self, accesses: &[Access]) {
        let seats =
            ["sender seat", "receiver seat"].map(|seat| offset(seat) + offset("seat state"));
        let claim = offset("receiver seat") + offset("seat claim");
        for access in accesses {
            let writes = matches!(access.op, Op::Store | Op::Exchange);
            match access.edge {
                _ if !writes => {}
                "publish::RELEASE" => {
                    assert_eq!(access.value, self.tail + 1, "stamps ascend");
                    self.tail += 1;
                }
                "retire::RELEASE" => {
                    assert!((self.head..=self.tail).contains(&access.value));
                    self.head = access.value;
                }
                "seat::RELEASE" => {
                    let at = self.offset(access).expect("in the segment");
                    let seat = seats.iter().position(|seat| *seat == at).expect("a seat's state");
                    self.seats[seat] = state(access.value);
                }
                "relaxed::SOLE_WRITER" if self.offset(access) == Some(claim) => {
                    self.claim = access.value;
                }
                _ => {}
            }
        }
    }

    /// The receiver has died: what it exposed and did not release is in doubt.
    pub fn receiver_died(&mut self) {
        if self.seats[RECEIVER] == SeatState::Live {
            self.in_doubt = self.in_doubt.max(self.claim);
        }
    }

    /// Messages that wait.
    pub fn waiting(&self) -> u64 {
        self.tail - self.head
    }
}

fn state(word: u64) -> SeatState {
    match word & 0xff {
        0 => SeatState::Vacant,
        1 => SeatState::Live,
        2 => SeatState::Recovering,
        3 => SeatState::Closed,
        4 => SeatState::Died,
        other => panic!("no seat is in state {other}"),
    }
}
