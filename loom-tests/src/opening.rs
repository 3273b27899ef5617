//! Models of coming to a ring: making and opening one in the same memory, and two who
//! want the same seat.
//!
//! Memory that another library mapped is the one place where a ring is opened while it is
//! made: a name or a descriptor appears only when the segment is whole.

use std::collections::BTreeSet;

use annulus::hooks::{Payload, mappings, set_payload, weaken};
use annulus::spsc::Ring;
use annulus::{Error, Field, Options, Segment, TryRecvError};
use loom::thread;

/// First position of the rings: what it is not where no ring is yet.
const START: u64 = 6;

fn options() -> Options<Ring<u64>> {
    Ring::options().capacity(2).start(START)
}

fn two_mappings(payload: Payload) -> [Segment; 2] {
    set_payload(payload);
    // As in `Model`.
    weaken(Some("wake::NOTIFIER"));
    let len = options().segment_len().expect("a capacity that can be");
    mappings(len, 2).try_into().expect("two")
}

/// What an opener found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opened {
    /// No ring yet.
    NotYet,
    /// A ring without a message.
    Empty,
    /// The message.
    Got(u64),
}

/// One makes a ring and sends, another opens it and receives, if he can.
///
/// # Panics
/// If he finds half of a ring.
pub fn a_ring_is_whole_or_not_there(payload: Payload) -> Opened {
    let [here, there] = two_mappings(payload);
    let maker = thread::spawn(move || {
        let ring = options().create_in(here).expect("nobody else makes one");
        let mut sender = ring.sender().expect("nobody else sends");
        assert_eq!(sender.position(), START);
        sender.try_send(1).expect("there is room");
        // Its leaving is not looked at.
        std::mem::forget(sender);
    });
    let opened = match options().open_in(there) {
        Err(Error::Mismatch { field: Field::Magic, .. }) => Opened::NotYet,
        Err(error) => panic!("opening: {error}"),
        Ok(ring) => {
            let mut receiver = ring.receiver().expect("nobody else receives");
            assert_eq!(receiver.position(), START);
            match receiver.try_recv() {
                Ok(message) => Opened::Got(message),
                Err(TryRecvError::Empty) => Opened::Empty,
                Err(error) => panic!("receiving: {error}"),
            }
        }
    };
    maker.join().expect("it would have failed");
    opened
}

/// What the opener may find: all orders of making and sending, opening and receiving.
pub fn whole_or_not_there() -> BTreeSet<Opened> {
    let mut permitted = BTreeSet::new();
    // How many of the maker's two steps come before the opening, and before the receiving.
    for before_open in 0..=2 {
        for before_recv in before_open..=2 {
            permitted.insert(match (before_open, before_recv) {
                (0, _) => Opened::NotYet,
                (_, 2) => Opened::Got(1),
                (_, _) => Opened::Empty,
            });
        }
    }
    permitted
}

/// At which position each of two who want the sender's seat got it, if he did.
pub type Seated = [Option<u64>; 2];

/// Where no lock can be had, the state of the seat decides alone: one comes, sends and
/// leaves, another comes and stays.
///
/// # Panics
/// If a seat is refused for another reason than that it is taken.
pub fn a_seat_without_a_lock_has_one_occupant(payload: Payload) -> Seated {
    let [here, there] = two_mappings(payload);
    let ring = options().create_in(here).expect("nobody else makes one");
    let same = options().open_in(there).expect("it is made");
    let other = thread::spawn(move || {
        let sender = taken(same.sender())?;
        let position = sender.position() - START;
        std::mem::forget(sender);
        Some(position)
    });
    let first = taken(ring.sender()).map(|mut sender| {
        let position = sender.position() - START;
        sender.try_send(1).expect("there is room");
        position
    });
    [first, other.join().expect("it would have failed")]
}

fn taken<E>(result: Result<E, Error>) -> Option<E> {
    match result {
        Ok(endpoint) => Some(endpoint),
        Err(Error::SeatTaken { .. }) => None,
        Err(error) => panic!("taking a seat: {error}"),
    }
}

/// Who may get the seat, and where: the other one comes before, between or after the
/// first one's coming, sending and leaving.
pub fn one_occupant() -> BTreeSet<Seated> {
    (0..=3)
        .map(|steps_before| match steps_before {
            0 => [None, Some(0)],
            1 | 2 => [Some(0), None],
            _ => [Some(0), Some(1)],
        })
        .collect()
}
