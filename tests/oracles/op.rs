//! What can be done to a ring, as values that proptest draws and shrinks.

use proptest::prelude::*;

/// How a verb waits. A `Forever` that would be for ever is done as `NoTime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// `try_`.
    Try,
    /// `_timeout` of zero.
    NoTime,
    /// `_timeout` of some microseconds: long enough to fall asleep.
    Moment,
    /// `_deadline` that has passed.
    Past,
    /// No suffix.
    Forever,
}

/// One step of writing in place.
#[derive(Clone, Copy, Debug)]
pub enum Put {
    /// `append` of so many bytes.
    Append(usize),
    /// `write` of a whole message.
    Write,
}

/// One step of reading in place.
#[derive(Clone, Copy, Debug)]
pub enum Look {
    /// `read`.
    Whole,
    /// `read_at(offset, len)`.
    At(usize, usize),
}

/// How a reservation or a guard ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `commit` or `release`.
    Said,
    /// Dropped: aborts a reservation, releases a guard.
    Dropped,
    /// Given to `mem::forget`.
    Forgotten,
}

/// One operation.
#[derive(Clone, Debug)]
pub enum Op {
    /// One message.
    Send(Wait),
    /// So many, `Try` or `Forever`.
    SendMany(Wait, usize),
    /// In place.
    Reserve(Wait, Vec<Put>, End),
    /// One message.
    Recv(Wait),
    /// At most so many, `Try` or `Forever`.
    RecvMany(Wait, usize),
    /// In place.
    RecvRef(Wait, Vec<Look>, End),
    /// The sender leaves, if there is one; comes, if there is none.
    TurnSender,
    /// As above.
    TurnReceiver,
    /// Both seats are asked for while they are taken.
    AskTwice,
}

fn wait() -> impl Strategy<Value = Wait> {
    use Wait::{Forever, Moment, NoTime, Past, Try};
    prop::sample::select([Try, Try, Try, Try, NoTime, Moment, Past, Forever].as_slice())
}

fn end() -> impl Strategy<Value = End> {
    use End::{Dropped, Forgotten, Said};
    prop::sample::select([Said, Said, Said, Dropped, Forgotten].as_slice())
}

fn put(size: usize) -> impl Strategy<Value = Put> {
    prop_oneof![
        4 => (0..=size + 3).prop_map(Put::Append),
        1 => (0..=9usize).prop_map(Put::Append),
        1 => Just(Put::Write),
    ]
}

fn look(size: usize) -> impl Strategy<Value = Look> {
    prop_oneof![
        1 => Just(Look::Whole),
        3 => (0..=size + 3, 0..=size + 3).prop_map(|(offset, len)| Look::At(offset, len)),
        1 => (0..=9usize, 0..=9usize).prop_map(|(offset, len)| Look::At(offset, len)),
    ]
}

/// Any operation on a ring of so many slots and messages of so many bytes.
fn op(size: usize, capacity: usize) -> impl Strategy<Value = Op> {
    let many = 0..=capacity + 2;
    prop_oneof![
        6 => wait().prop_map(Op::Send),
        3 => (wait(), many.clone()).prop_map(|(wait, count)| Op::SendMany(wait, count)),
        4 => (wait(), prop::collection::vec(put(size), 0..4), end())
            .prop_map(|(wait, puts, end)| Op::Reserve(wait, puts, end)),
        6 => wait().prop_map(Op::Recv),
        3 => (wait(), many).prop_map(|(wait, count)| Op::RecvMany(wait, count)),
        4 => (wait(), prop::collection::vec(look(size), 0..4), end())
            .prop_map(|(wait, looks, end)| Op::RecvRef(wait, looks, end)),
        1 => Just(Op::TurnSender),
        1 => Just(Op::TurnReceiver),
        1 => Just(Op::AskTwice),
    ]
}

/// A sequence of operations, both endpoints attached first.
pub fn ops(size: usize, capacity: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(size, capacity), 1..60).prop_map(|mut ops| {
        ops.splice(0..0, [Op::TurnSender, Op::TurnReceiver]);
        ops
    })
}

/// A power of two from 1 to 64.
pub fn capacity() -> impl Strategy<Value = usize> {
    (0..=6u32).prop_map(|log| 1 << log)
}
