//! What can be done to an mpmc ring, as values that proptest draws and shrinks.

use proptest::prelude::*;

/// Seats of either side.
pub const SEATS: usize = 3;

/// Longest byte message.
pub const MAX_LEN: usize = 20;

/// How a reservation or a guard ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `commit` or `release`.
    Said,
    /// Dropped: a reservation gives its position up, a guard releases.
    Dropped,
    /// Given to `mem::forget`.
    Forgotten,
}

/// One operation. Endpoints are told by number, of those that are there.
#[derive(Clone, Debug)]
pub enum Op {
    /// A sender comes; cloned from another, if asked for and there is one.
    SenderComes(bool),
    SenderLeaves(usize),
    /// As above.
    ReceiverComes(bool),
    ReceiverLeaves(usize),
    /// The same, with a message in hand that has a length.
    LeavesBehind(usize),
    /// One message of such a length, where lengths differ; for a moment, if asked for.
    Send(usize, bool, usize),
    SendMany(usize, usize),
    /// In place: pieces of such lengths, or the whole message; and what is done meanwhile.
    Reserve(usize, bool, Vec<usize>, End, Vec<Op>),
    /// To a buffer of such a length, where lengths differ.
    Recv(usize, bool, usize),
    RecvMany(usize, usize),
    RecvRef(usize, bool, End, Vec<Op>),
    /// Until a receiver that never waits looks for the dead.
    RecvForLong(usize),
    /// Is anybody of the other side there?
    SenderAsks(usize),
    /// As above.
    ReceiverAsks(usize),
}

fn end() -> impl Strategy<Value = End> {
    use End::{Dropped, Forgotten, Said};
    prop::sample::select([Said, Said, Said, Dropped, Forgotten].as_slice())
}

/// Whether to wait for a moment: seldom, since it lasts.
fn moment() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.15)
}

/// A few are too long.
fn len() -> impl Strategy<Value = usize> {
    prop_oneof![12 => 0..=MAX_LEN, 1 => Just(MAX_LEN + 1)]
}

/// Most buffers are long enough for any message.
fn room() -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(MAX_LEN), 1 => 0..=MAX_LEN]
}

fn plain(capacity: u64) -> impl Strategy<Value = Op> {
    let (who, many) = (|| 0..SEATS, || 0..=capacity as usize + 2);
    prop_oneof![
        3 => any::<bool>().prop_map(Op::SenderComes),
        1 => who().prop_map(Op::SenderLeaves),
        5 => any::<bool>().prop_map(Op::ReceiverComes),
        1 => who().prop_map(Op::ReceiverLeaves),
        2 => who().prop_map(Op::LeavesBehind),
        8 => (who(), moment(), len()).prop_map(|(who, wait, len)| Op::Send(who, wait, len)),
        3 => (who(), many()).prop_map(|(who, count)| Op::SendMany(who, count)),
        8 => (who(), moment(), room()).prop_map(|(who, wait, room)| Op::Recv(who, wait, room)),
        3 => (who(), many()).prop_map(|(who, most)| Op::RecvMany(who, most)),
        2 => who().prop_map(Op::RecvForLong),
        1 => who().prop_map(Op::SenderAsks),
        1 => who().prop_map(Op::ReceiverAsks),
    ]
}

/// Operations on a ring of so many slots, some of them in the middle of another.
pub fn ops(capacity: u64) -> impl Strategy<Value = Vec<Op>> {
    let op = plain(capacity).prop_recursive(2, 12, 4, |inner| {
        let meanwhile = || prop::collection::vec(inner.clone(), 0..4);
        let pieces = prop::collection::vec(0..MAX_LEN + 6, 0..3);
        prop_oneof![
            3 => inner.clone(),
            1 => (0..SEATS, moment(), pieces, end(), meanwhile())
                .prop_map(|(who, wait, pieces, end, ops)| Op::Reserve(who, wait, pieces, end, ops)),
            1 => (0..SEATS, moment(), end(), meanwhile())
                .prop_map(|(who, wait, end, ops)| Op::RecvRef(who, wait, end, ops)),
        ]
    });
    prop::collection::vec(op, 1..60).prop_map(|mut ops| {
        ops.splice(0..0, [Op::SenderComes(false), Op::ReceiverComes(false)]);
        ops
    })
}
