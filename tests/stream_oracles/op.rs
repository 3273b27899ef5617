//! What can be done to a stream, as values that proptest draws and shrinks.

use std::time::Duration;

use annulus::stream::Ring;
use annulus::{Options, WaitMethod};
use proptest::prelude::*;

use crate::streams::site::Place;

/// How a verb waits. A `Forever` that would be for ever is done as `Try`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// `try_`.
    Try,
    /// `_timeout` of nothing.
    NoTime,
    /// `_timeout` of some microseconds: long enough to fall asleep.
    Moment,
    /// `_deadline` that has passed.
    Past,
    /// No suffix.
    Forever,
}

/// How a reservation or a guard ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `commit` or `release`.
    Said,
    /// `release_first` of some; `commit`.
    Some(usize),
    /// Dropped: aborts a reservation, releases a guard.
    Dropped,
    /// Given to `mem::forget`.
    Forgotten,
}

/// What lies behind a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A file without a name.
    File,
    /// A memfd.
    Memfd,
    /// A pipe.
    Pipe,
    /// One that gives or takes nothing now.
    Blocked,
}

/// How an endpoint goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// `finish`; for a receiver as `Drop`.
    Finish,
    /// Dropped.
    Drop,
    /// `abort`.
    Abort,
}

/// One operation.
#[derive(Clone, Debug)]
pub enum Op {
    /// So many bytes.
    Send(Wait, usize),
    /// `write_vectored` of slices of these lengths.
    WriteVectored(Vec<usize>),
    /// So many bytes, `append`s of these lengths.
    Reserve(Wait, usize, Vec<usize>, End),
    /// `fill_from` a descriptor with so many bytes, at most so many.
    Fill(Behind, usize, usize),
    /// `wait_until_received`, for no time.
    WaitReceived,
    /// To a buffer of so many bytes.
    Recv(Wait, usize),
    /// `read_vectored` to slices of these lengths.
    ReadVectored(Vec<usize>),
    /// In place: `read_at(offset, len)` of these.
    RecvRef(Wait, Vec<(usize, usize)>, End),
    /// `drain_to` a descriptor, at most so many.
    Drain(Behind, usize),
    /// The sender goes.
    SenderGoes(Going),
    /// The receiver goes.
    ReceiverGoes(Going),
    /// Each asks how the other is, and both seats are asked for.
    Ask,
}

fn wait() -> impl Strategy<Value = Wait> {
    use Wait::{Forever, Moment, NoTime, Past, Try};
    prop::sample::select([Try, Try, Try, Try, NoTime, Moment, Past, Forever, Forever].as_slice())
}

fn end(most: usize) -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Said),
        3 => (0..=most).prop_map(End::Some),
        1 => Just(End::Dropped),
        1 => Just(End::Forgotten),
    ]
}

fn behind() -> impl Strategy<Value = Behind> {
    use Behind::{Blocked, File, Memfd, Pipe};
    prop::sample::select([File, Memfd, Pipe, Pipe, Blocked].as_slice())
}

fn going() -> impl Strategy<Value = Going> {
    prop::sample::select([Going::Finish, Going::Drop, Going::Abort].as_slice())
}

/// Lengths up to three laps, short ones more often.
fn len(capacity: usize) -> impl Strategy<Value = usize> {
    prop_oneof![
        2 => 0..=capacity / 3,
        3 => 0..=capacity,
        1 => 0..=3 * capacity,
        1 => 0..=9usize,
    ]
}

fn op(capacity: usize) -> impl Strategy<Value = Op> {
    let len = || len(capacity);
    let lens = || prop::collection::vec(len(), 0..5);
    let looks = prop::collection::vec((len(), len()), 0..4);
    prop_oneof![
        12 => (wait(), len()).prop_map(|(wait, len)| Op::Send(wait, len)),
        4 => lens().prop_map(Op::WriteVectored),
        6 => (wait(), len(), lens(), end(capacity))
            .prop_map(|(wait, len, appends, end)| Op::Reserve(wait, len, appends, end)),
        6 => (behind(), len(), len()).prop_map(|(from, has, most)| Op::Fill(from, has, most)),
        1 => Just(Op::WaitReceived),
        12 => (wait(), len()).prop_map(|(wait, len)| Op::Recv(wait, len)),
        4 => lens().prop_map(Op::ReadVectored),
        6 => (wait(), looks, end(capacity))
            .prop_map(|(wait, looks, end)| Op::RecvRef(wait, looks, end)),
        6 => (behind(), len()).prop_map(|(to, most)| Op::Drain(to, most)),
        1 => going().prop_map(Op::SenderGoes),
        1 => going().prop_map(Op::ReceiverGoes),
        1 => Just(Op::Ask),
    ]
}

/// A program for a stream of so many bytes. Each endpoint comes with its first operation.
pub fn ops(capacity: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(capacity), 1..60)
}

/// A power of two from 8 to 4096.
pub fn capacity() -> impl Strategy<Value = usize> {
    (3..=12u32).prop_map(|log| 1 << log)
}

/// A wait method, whether with fences, and whether without polling first.
pub type Waiting = (WaitMethod, bool, bool);

/// Any way to wait that a stream there can have.
pub fn waiting(place: Place) -> impl Strategy<Value = Waiting> {
    let named = matches!(place, Place::Shm | Place::File) && cfg!(target_env = "gnu");
    let other = if named { WaitMethod::Semaphore } else { WaitMethod::Spin };
    let methods = [WaitMethod::Futex, WaitMethod::Futex, WaitMethod::Spin, other];
    (prop::sample::select(methods.to_vec()), any::<bool>(), any::<bool>())
}

/// The options for it.
pub fn ask((method, fenced, at_once): Waiting, options: Options<Ring>) -> Options<Ring> {
    let options = options.wait_method(method).fenced(fenced);
    if at_once { options.spin(Duration::ZERO).yielding(Duration::ZERO) } else { options }
}
