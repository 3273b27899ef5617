//! The models of the spsc ring: what is done, how far it is explored, and which edge or
//! guarantee that guards. What is permitted follows from `spec`.
//!
//! A floor is about half of the executions that there were, at CI bounds, when the model
//! was written.

use crate::Bounds;
use crate::model::Kind::Messages;
use crate::model::Model;
use crate::spec::Do::{self, *};
use crate::spec::Role::{Receiver, Sender};
use crate::spec::{Script, Thread};

/// What is left, for one who comes when all have ended.
const DRAIN: &[Do] = &[Attach(Receiver), RecvMany(8), Recv];

pub(crate) fn receiver(does: &[Do]) -> Thread {
    Thread { begins: Some(Receiver), ..comer(does) }
}

pub(crate) fn sender(does: &[Do]) -> Thread {
    Thread { begins: Some(Sender), ..comer(does) }
}

pub(crate) fn comer(does: &[Do]) -> Thread {
    Thread { begins: None, does: does.to_vec(), mortal: false }
}

pub(crate) fn script(capacity: u64, threads: &[Thread], last: &[Do]) -> Script {
    Script { capacity, threads: threads.to_vec(), last: last.to_vec() }
}

/// Names models after their functions.
macro_rules! list {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), $name as fn() -> Model)),*]
    };
}
pub(crate) use list;

/// A model and its name.
pub type Named = (&'static str, fn() -> Model);

/// Models in which nobody dies.
pub const LIVING: &[Named] = list![
    a_message_is_there_or_not,
    one_slot_laps_without_overwriting,
    two_slots_lap_without_overwriting,
    no_message_is_torn,
    a_batch_arrives_in_order_in_parts,
    what_was_sent_one_by_one_arrives_in_a_batch,
    a_reservation_is_sent_whole_or_not_at_all,
    a_guard_keeps_its_slot,
    a_forgotten_guard_keeps_its_slot_until_the_next_operation,
    a_forgotten_guard_is_settled_by_leaving,
    all_is_received_before_closed,
    a_batch_is_received_before_closed,
    room_is_seen_before_closed,
    a_sender_follows_another,
    a_sender_follows_another_into_a_used_slot,
    a_receiver_follows_another,
    two_senders_come_at_once,
    two_receivers_come_at_once,
];

/// Models in which one or two are killed, before any one of their accesses.
pub const DYING: &[Named] = list![
    a_dead_senders_messages_are_received,
    a_dead_senders_batch_is_received_in_part,
    a_dead_sender_leaves_no_half_of_a_message,
    a_sender_takes_over,
    a_sender_takes_over_on_the_second_lap,
    a_receiver_takes_over,
    a_receiver_takes_over_in_a_batch,
    what_a_dead_guard_exposed_comes_again_marked,
    what_was_exposed_and_forgotten_comes_again_marked,
    a_mark_outlives_one_who_leaves_without_the_message,
    a_mark_outlives_two_who_die,
    two_dead_senders_leave_no_hole,
    a_death_is_noticed_while_a_successor_comes,
    one_who_dies_while_noticing_a_death_changes_nothing,
];

/// Guards PUBLISH: whoever sees the stamp sees the message.
pub fn a_message_is_there_or_not() -> Model {
    let script = script(1, &[receiver(&[Recv, Recv]), sender(&[Send(1)])], DRAIN);
    Model { script, bounds: Bounds::none(), floor: 32, kind: Messages(1) }
}

/// Guards RETIRE: a full ring never overwrites a slot that is still being read.
pub fn one_slot_laps_without_overwriting() -> Model {
    let script = script(1, &[receiver(&[Recv; 3]), sender(&[Send(1), Send(2), Send(3)])], DRAIN);
    Model { script, bounds: Bounds::none(), floor: 2000, kind: Messages(1) }
}

/// Guards RETIRE, and that what is received is a prefix of what was sent, in order.
pub fn two_slots_lap_without_overwriting() -> Model {
    let script =
        script(2, &[receiver(&[Recv; 3]), sender(&[Send(1), Send(2), Send(3), Send(4)])], DRAIN);
    Model { script, bounds: Bounds::none(), floor: 8000, kind: Messages(1) }
}

/// Guards PUBLISH and RETIRE for every word of a message.
pub fn no_message_is_torn() -> Model {
    let script = script(1, &[receiver(&[Recv; 2]), sender(&[Send(1), Send(2)])], DRAIN);
    Model { script, bounds: Bounds::none(), floor: 110, kind: Messages(2) }
}

/// Guards PUBLISH for each message of a batch on its own; RETIRE for a run at once.
pub fn a_batch_arrives_in_order_in_parts() -> Model {
    let script = script(
        2,
        &[
            receiver(&[RecvMany(3), RecvMany(3)]),
            sender(&[SendMany(&[1, 2, 3]), SendMany(&[4, 5])]),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::none(), floor: 910, kind: Messages(1) }
}

/// Guards PUBLISH for each message that a batch receives: a batch that is sent writes all its
/// messages before the first stamp.
pub fn what_was_sent_one_by_one_arrives_in_a_batch() -> Model {
    let script = script(
        2,
        &[receiver(&[RecvMany(3), RecvMany(3)]), sender(&[Send(1), Send(2), Send(3)])],
        DRAIN,
    );
    Model { script, bounds: Bounds::none(), floor: 300, kind: Messages(1) }
}

/// Guards PUBLISH at commit. Permitted: nothing of an aborted one is ever seen.
pub fn a_reservation_is_sent_whole_or_not_at_all() -> Model {
    let script = script(
        1,
        &[receiver(&[Recv; 2]), sender(&[Abort(1), Commit(2), Abort(3), Commit(4)])],
        DRAIN,
    );
    Model { script, bounds: Bounds::none(), floor: 300, kind: Messages(1) }
}

/// Guards RETIRE at the guard's drop, not before.
pub fn a_guard_keeps_its_slot() -> Model {
    let script = script(1, &[receiver(&[Guard; 2]), sender(&[Send(1), Send(2), Send(3)])], DRAIN);
    Model { script, bounds: Bounds::none(), floor: 340, kind: Messages(1) }
}

/// Guards RETIRE by the next operation.
pub fn a_forgotten_guard_keeps_its_slot_until_the_next_operation() -> Model {
    let script =
        script(1, &[receiver(&[Forget, Recv]), sender(&[Send(1), Send(2), Send(3)])], DRAIN);
    Model { script, bounds: Bounds::none(), floor: 210, kind: Messages(1) }
}

/// Guards RETIRE by leaving.
pub fn a_forgotten_guard_is_settled_by_leaving() -> Model {
    let script =
        script(1, &[receiver(&[Forget, Leave]), sender(&[Send(1), Send(2), Send(3)])], DRAIN);
    Model { script, bounds: Bounds::none(), floor: 240, kind: Messages(1) }
}

/// Guards SEAT: whoever sees a sender gone sees his last message.
pub fn all_is_received_before_closed() -> Model {
    let script = script(2, &[receiver(&[Recv; 3]), sender(&[Send(1), Send(2), Leave])], DRAIN);
    Model { script, bounds: Bounds::none(), floor: 1600, kind: Messages(1) }
}

/// Guards SEAT, for the stamps of a run.
pub fn a_batch_is_received_before_closed() -> Model {
    let script =
        script(2, &[receiver(&[RecvMany(2); 2]), sender(&[SendMany(&[1, 2]), Leave])], DRAIN);
    Model { script, bounds: Bounds::none(), floor: 490, kind: Messages(1) }
}

/// Guards SEAT: whoever sees a receiver gone sees how far he came.
pub fn room_is_seen_before_closed() -> Model {
    let script =
        script(1, &[sender(&[Send(1), Send(2), Send(3)]), receiver(&[Recv, Leave])], DRAIN);
    Model { script, bounds: Bounds::none(), floor: 370, kind: Messages(1) }
}

/// Guards SEAT: a successor sees all stamps of one who left.
pub fn a_sender_follows_another() -> Model {
    let script = script(
        2,
        &[receiver(&[Recv; 2]), sender(&[Send(1), Leave]), comer(&[Attach(Sender), Send(2)])],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(3), floor: 6400, kind: Messages(1) }
}

/// Guards RETIRE, seen by one who comes when the slot is free already.
pub fn a_sender_follows_another_into_a_used_slot() -> Model {
    let script = script(
        1,
        &[receiver(&[Recv]), sender(&[Send(1), Leave]), comer(&[Attach(Sender), Send(2)])],
        DRAIN,
    );
    Model { script, bounds: Bounds::none(), floor: 2700, kind: Messages(1) }
}

/// Guards SEAT: a successor sees the head and the stamps that one who left saw.
pub fn a_receiver_follows_another() -> Model {
    let script = script(
        1,
        &[sender(&[Send(1), Send(2)]), receiver(&[Recv, Leave]), comer(&[Attach(Receiver), Recv])],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(3), floor: 2900, kind: Messages(1) }
}

/// Guards SEAT: one at a time, and the second sees all that the first did.
pub fn two_senders_come_at_once() -> Model {
    let script = script(
        2,
        &[comer(&[Attach(Sender), Send(1), Leave]), comer(&[Attach(Sender), Send(2), Leave])],
        DRAIN,
    );
    Model { script, bounds: Bounds::none(), floor: 22, kind: Messages(1) }
}

/// Guards SEAT, on the other side.
pub fn two_receivers_come_at_once() -> Model {
    let script = script(
        2,
        &[
            sender(&[Send(1), Send(2), Leave]),
            comer(&[Attach(Receiver), Recv, Leave]),
            comer(&[Attach(Receiver), Recv, Leave]),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(3), floor: 4400, kind: Messages(1) }
}

/// Guards SEAT: whoever notices a death sees the last message of the dead.
pub fn a_dead_senders_messages_are_received() -> Model {
    let script = script(
        2,
        &[receiver(&[Recv, Peer, Recv]), sender(&[Send(1), Send(2), Leave]).mortal()],
        DRAIN,
    );
    Model { script, bounds: Bounds::none(), floor: 2300, kind: Messages(1) }
}

/// Guards PUBLISH in ascending order: what is there of a batch is a prefix, without a
/// hole.
pub fn a_dead_senders_batch_is_received_in_part() -> Model {
    let script = script(
        2,
        &[receiver(&[RecvMany(2)]), sender(&[SendMany(&[1, 2])]).mortal()],
        &[Attach(Sender), SendMany(&[3, 4]), Leave, Attach(Receiver), RecvMany(8), Recv],
    );
    Model { script, bounds: Bounds::none(), floor: 66, kind: Messages(1) }
}

/// Guards PUBLISH: a slot that was written and not committed is written anew.
pub fn a_dead_sender_leaves_no_half_of_a_message() -> Model {
    let script = script(
        1,
        &[
            receiver(&[Recv]),
            sender(&[Commit(1), Abort(2), Leave]).mortal(),
            comer(&[Attach(Sender), Send(3)]),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(3), floor: 6500, kind: Messages(2) }
}

/// Guards SEAT: a successor sees all stamps of the dead.
pub fn a_sender_takes_over() -> Model {
    let script = script(
        2,
        &[
            receiver(&[Recv; 2]),
            sender(&[Send(1), Leave]).mortal(),
            comer(&[Attach(Sender), Send(2)]),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(3), floor: 19000, kind: Messages(1) }
}

/// Guards SEAT and RETIRE: a successor finds the tail behind a full ring.
pub fn a_sender_takes_over_on_the_second_lap() -> Model {
    let script = script(
        1,
        &[
            receiver(&[Recv; 2]),
            sender(&[Send(1), Commit(2), Leave]).mortal(),
            comer(&[Attach(Sender), Send(3)]),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(3), floor: 57000, kind: Messages(1) }
}

/// Guards SEAT: a successor sees the head of the dead. Permitted: each message once, or
/// never if its receiver died with it.
pub fn a_receiver_takes_over() -> Model {
    let script = script(
        1,
        &[
            sender(&[Send(1), Send(2)]),
            receiver(&[Recv, Leave]).mortal(),
            comer(&[Attach(Receiver), Recv]),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(3), floor: 16000, kind: Messages(1) }
}

/// The same for a run, which is received in one step.
pub fn a_receiver_takes_over_in_a_batch() -> Model {
    let script = script(
        2,
        &[
            sender(&[SendMany(&[1, 2]), Send(3)]),
            receiver(&[RecvMany(2), Leave]).mortal(),
            comer(&[Attach(Receiver), RecvMany(2)]),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(2), floor: 15000, kind: Messages(1) }
}

/// Guards SEAT: a successor sees the claim of the dead. Permitted: the mark exactly where
/// guarantee 2 puts it.
pub fn what_a_dead_guard_exposed_comes_again_marked() -> Model {
    let script = script(
        2,
        &[
            sender(&[Send(1), Send(2)]),
            receiver(&[Guard, Leave]).mortal(),
            comer(&[Attach(Receiver), Guard, Recv]),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(3), floor: 16000, kind: Messages(1) }
}

/// The same for a forgotten guard, until the next operation settles it.
pub fn what_was_exposed_and_forgotten_comes_again_marked() -> Model {
    let script = script(
        2,
        &[
            sender(&[Send(1), Send(2)]),
            receiver(&[Forget, Recv, Leave]).mortal(),
            comer(&[Attach(Receiver), Recv]),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(3), floor: 19000, kind: Messages(1) }
}

/// Guarantee 2, handed on by the living.
pub fn a_mark_outlives_one_who_leaves_without_the_message() -> Model {
    let script = script(
        2,
        &[
            sender(&[Send(1)]),
            receiver(&[Guard, Leave]).mortal(),
            comer(&[Attach(Receiver), Leave]),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::none(), floor: 380, kind: Messages(1) }
}

/// Guarantee 2, handed on by the dead.
pub fn a_mark_outlives_two_who_die() -> Model {
    let script = script(
        2,
        &[
            sender(&[Send(1)]),
            receiver(&[Guard, Leave]).mortal(),
            comer(&[Attach(Receiver), Guard, Leave]).mortal(),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(2), floor: 13000, kind: Messages(1) }
}

/// SEAT twice: the third sender continues behind all that was committed.
pub fn two_dead_senders_leave_no_hole() -> Model {
    let script = script(
        2,
        &[
            receiver(&[Recv]),
            sender(&[Send(1), Leave]).mortal(),
            comer(&[Attach(Sender), Send(2), Leave]).mortal(),
        ],
        &[Attach(Sender), Send(3), Leave, Attach(Receiver), RecvMany(8), Recv],
    );
    Model { script, bounds: Bounds::ci(2), floor: 11000, kind: Messages(1) }
}

/// Guards SEAT: nobody takes the successor for the dead.
pub fn a_death_is_noticed_while_a_successor_comes() -> Model {
    let script = script(
        2,
        &[
            receiver(&[Peer, Recv]),
            sender(&[Send(1), Leave]).mortal(),
            comer(&[Attach(Sender), Leave]),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(3), floor: 13000, kind: Messages(1) }
}

/// Guards SEAT: the next one finds the same.
pub fn one_who_dies_while_noticing_a_death_changes_nothing() -> Model {
    let script = script(
        2,
        &[
            comer(&[Attach(Receiver), Peer]),
            receiver(&[Peer, Leave]).mortal(),
            sender(&[Send(1), Leave]).mortal(),
        ],
        DRAIN,
    );
    Model { script, bounds: Bounds::ci(3), floor: 19000, kind: Messages(1) }
}
