//! The models of the mpmc ring: what is done, how far it is explored, and which edge or
//! guarantee that guards. What is permitted follows from `spec`.
//!
//! A floor is about half of the executions that there were, at CI bounds, when the model
//! was written.

use super::spec::Do::{self, *};
use super::spec::{Script, Thread};
use super::{Model, Reach};
use crate::Bounds;
use crate::models::list;
use crate::spec::Role::{Receiver, Sender};

/// What is left, for one who comes when all have ended; and then the ring still works.
const DRAIN: &[Do] = &[
    Attach(Sender),
    Attach(Receiver),
    Impatient,
    Recv,
    Impatient,
    Recv,
    Impatient,
    Recv,
    Impatient,
    Recv,
    Send(9),
    Recv,
];

fn receiver(does: &[Do]) -> Thread {
    Thread { begins: Some(Receiver), ..comer(does) }
}

fn sender(does: &[Do]) -> Thread {
    Thread { begins: Some(Sender), ..comer(does) }
}

fn comer(does: &[Do]) -> Thread {
    Thread { begins: None, does: does.to_vec(), mortal: false }
}

fn script((capacity, seats): (usize, usize), threads: &[Thread]) -> Script {
    Script { capacity, seats, threads: threads.to_vec(), last: DRAIN.to_vec() }
}

/// A model and its name.
pub type Named = (&'static str, fn() -> Model);

/// Models in which nobody dies.
pub const LIVING: &[Named] = list![
    one_slot_laps_without_overwriting,
    no_message_is_torn,
    a_batch_arrives_in_order_in_parts,
    a_reservation_is_sent_whole_or_passed_over,
    a_guard_keeps_its_slot,
    two_senders_take_two_positions,
    two_senders_lap_without_overwriting,
    two_receivers_share_what_is_sent,
    two_receivers_of_batches,
    two_senders_and_two_receivers,
    what_was_given_up_is_written_anew,
    all_is_received_before_closed,
];

/// Models in which one or two are killed, before any one of their accesses.
pub const DYING: &[Named] = list![
    what_a_dead_sender_took_is_passed_over,
    a_dead_senders_batch_is_received_in_part,
    what_a_dead_receiver_took_comes_again_marked,
    what_a_dead_guard_exposed_comes_again_marked,
    a_dead_receivers_batch_comes_again_in_part,
    a_dead_loser_buries_nobody,
    a_dead_loser_takes_nothing_from_a_receiver,
    one_who_dies_settling_leaves_it_to_the_next,
    what_a_loser_claimed_is_known_to_be_sent,
    what_was_sent_is_known_by_a_withdrawal,
    two_dead_senders_leave_no_hole,
    what_two_find_is_delivered_once,
    a_sender_comes_to_a_dead_ones_seat,
    a_receiver_comes_to_a_dead_ones_seat,
];

/// Guards RETIRE: a slot is not written while it is read.
pub fn one_slot_laps_without_overwriting() -> Model {
    let script = script((1, 1), &[receiver(&[Recv; 2]), sender(&[Send(1), Send(2)])]);
    Model { script, words: 1, bounds: Bounds::none(), floor: 400, reach: Reach::All }
}

/// Guards PUBLISH and RETIRE for every word of a message.
pub fn no_message_is_torn() -> Model {
    let script = script((1, 1), &[receiver(&[Recv; 2]), sender(&[Send(1), Send(2)])]);
    Model { script, words: 2, bounds: Bounds::ci(3), floor: 100, reach: Reach::All }
}

/// Guards PUBLISH for each message of a batch on its own; RETIRE too.
pub fn a_batch_arrives_in_order_in_parts() -> Model {
    let script = script(
        (2, 1),
        &[receiver(&[RecvMany(2), RecvMany(2)]), sender(&[SendMany(&[1, 2]), SendMany(&[3, 4])])],
    );
    Model { script, words: 1, bounds: Bounds::ci(3), floor: 300, reach: Reach::All }
}

/// Guards PUBLISH at commit, and of a tomb. Permitted: nothing of what was given up is seen.
pub fn a_reservation_is_sent_whole_or_passed_over() -> Model {
    let script =
        script((2, 1), &[receiver(&[Recv; 2]), sender(&[Abort, Commit(1), Reserve, Commit(2)])]);
    Model { script, words: 1, bounds: Bounds::ci(3), floor: 2400, reach: Reach::All }
}

/// Guards RETIRE at a guard's drop, and by the operation after a forgotten one.
pub fn a_guard_keeps_its_slot() -> Model {
    let script = script((1, 1), &[receiver(&[Forget, Guard]), sender(&[Send(1), Send(2)])]);
    Model { script, words: 1, bounds: Bounds::none(), floor: 400, reach: Reach::All }
}

/// Guards that each position has one sender.
pub fn two_senders_take_two_positions() -> Model {
    let script = script((2, 2), &[receiver(&[Recv]), sender(&[Send(1)]), sender(&[Send(2)])]);
    Model { script, words: 1, bounds: Bounds::ci(2), floor: 340, reach: Reach::All }
}

/// The same on the second lap, by what another has freed and a third has taken.
pub fn two_senders_lap_without_overwriting() -> Model {
    let script =
        script((1, 2), &[receiver(&[Recv]), sender(&[Send(1)]), sender(&[Send(2), Send(3)])]);
    Model { script, words: 1, bounds: Bounds::ci(2), floor: 900, reach: Reach::All }
}

/// Guards that each message has one receiver.
pub fn two_receivers_share_what_is_sent() -> Model {
    let script =
        script((1, 2), &[sender(&[Send(1), Send(2)]), receiver(&[Recv]), receiver(&[Recv])]);
    Model { script, words: 1, bounds: Bounds::ci(1), floor: 1000, reach: Reach::All }
}

/// The same, of several at once.
pub fn two_receivers_of_batches() -> Model {
    let script = script(
        (2, 2),
        &[sender(&[SendMany(&[1, 2])]), receiver(&[RecvMany(2)]), receiver(&[RecvMany(2)])],
    );
    Model { script, words: 1, bounds: Bounds::ci(1), floor: 900, reach: Reach::All }
}

/// All of that.
pub fn two_senders_and_two_receivers() -> Model {
    let script = script(
        (1, 2),
        &[receiver(&[Recv]), receiver(&[Recv]), sender(&[Send(1)]), sender(&[Send(2)])],
    );
    Model { script, words: 1, bounds: Bounds::ci(1), floor: 1200, reach: Reach::Some(24) }
}

/// Guards PUBLISH of a tomb: one who comes after writes over what was written before it.
pub fn what_was_given_up_is_written_anew() -> Model {
    let script = script((1, 2), &[sender(&[Abort]), receiver(&[Recv; 2]), sender(&[Send(1)])]);
    Model { script, words: 1, bounds: Bounds::ci(1), floor: 480, reach: Reach::Some(17) }
}

/// Guards SEAT: whoever sees all senders gone has seen their last message.
pub fn all_is_received_before_closed() -> Model {
    let script = script((2, 1), &[receiver(&[Recv; 2]), sender(&[Send(1), Leave])]);
    Model { script, words: 1, bounds: Bounds::none(), floor: 400, reach: Reach::All }
}

/// Guards that one who dies between taking and committing stops nobody.
pub fn what_a_dead_sender_took_is_passed_over() -> Model {
    let script = script(
        (2, 2),
        &[receiver(&[Impatient, Recv]), sender(&[Send(1)]).mortal(), sender(&[Send(2)])],
    );
    Model { script, words: 1, bounds: Bounds::ci(1), floor: 900, reach: Reach::Some(20) }
}

/// Guards the same for a batch: what is committed of it arrives.
pub fn a_dead_senders_batch_is_received_in_part() -> Model {
    let script = script(
        (2, 2),
        &[receiver(&[Impatient, RecvMany(2)]), sender(&[SendMany(&[1, 2])]).mortal()],
    );
    Model { script, words: 1, bounds: Bounds::ci(2), floor: 290, reach: Reach::Some(16) }
}

/// Guards that one who dies between taking and releasing loses nothing.
pub fn what_a_dead_receiver_took_comes_again_marked() -> Model {
    let script = script(
        (1, 2),
        &[
            sender(&[Send(1), Attach(Receiver), Recv]).mortal(),
            receiver(&[Impatient, Recv]),
            sender(&[Send(2)]),
        ],
    );
    Model { script, words: 1, bounds: Bounds::ci(0), floor: 3800, reach: Reach::Some(24) }
}

/// Guards the same for what was seen already.
pub fn what_a_dead_guard_exposed_comes_again_marked() -> Model {
    let script = script(
        (1, 2),
        &[sender(&[Send(1)]), receiver(&[Guard]).mortal(), receiver(&[Impatient, Guard])],
    );
    Model { script, words: 2, bounds: Bounds::ci(1), floor: 6000, reach: Reach::All }
}

/// Guards the same for a batch: what is released of it does not come again.
pub fn a_dead_receivers_batch_comes_again_in_part() -> Model {
    let script = script((2, 2), &[sender(&[SendMany(&[1, 2])]), receiver(&[RecvMany(2)]).mortal()]);
    Model { script, words: 1, bounds: Bounds::ci(2), floor: 280, reach: Reach::Some(10) }
}

/// Guards CLAIM: of two who claim one position only the dead one's is settled.
pub fn a_dead_loser_buries_nobody() -> Model {
    let script = script(
        (1, 2),
        &[sender(&[Send(2)]).mortal(), sender(&[Reserve]), receiver(&[Impatient, Recv])],
    );
    Model { script, words: 1, bounds: Bounds::ci(1), floor: 1200, reach: Reach::All }
}

/// Guards CLAIM on the other side: what the living one is receiving does not come again.
pub fn a_dead_loser_takes_nothing_from_a_receiver() -> Model {
    let script = script(
        (1, 3),
        &[
            sender(&[Send(1), Attach(Receiver), Guard]).mortal(),
            receiver(&[Forget]),
            receiver(&[Impatient, Recv]),
        ],
    );
    Model { script, words: 1, bounds: Bounds::ci(0), floor: 4100, reach: Reach::Some(48) }
}

/// Guards that recovery can be killed anywhere: the last one settles the rest.
pub fn one_who_dies_settling_leaves_it_to_the_next() -> Model {
    let script = script(
        (1, 2),
        &[sender(&[Send(1)]), receiver(&[Guard]).mortal(), receiver(&[Impatient, Guard]).mortal()],
    );
    Model { script, words: 1, bounds: Bounds::ci(0), floor: 8800, reach: Reach::All }
}

/// Guards CLAIM: whoever sees the claim that follows sees the message that it follows.
pub fn what_a_loser_claimed_is_known_to_be_sent() -> Model {
    let script = script(
        (2, 2),
        &[sender(&[Send(3)]).mortal(), sender(&[Send(1), Send(2)]), receiver(&[Impatient, Recv])],
    );
    Model { script, words: 1, bounds: Bounds::ci(1), floor: 4400, reach: Reach::Some(20) }
}

/// Guards CLAIM: the same of one who claims nothing any more.
pub fn what_was_sent_is_known_by_a_withdrawal() -> Model {
    let script = script(
        (1, 2),
        &[sender(&[Send(3)]).mortal(), sender(&[Send(1), Send(2)]), receiver(&[Impatient, Recv])],
    );
    Model { script, words: 1, bounds: Bounds::ci(1), floor: 2600, reach: Reach::Some(25) }
}

/// Guards that each of several dead is settled.
pub fn two_dead_senders_leave_no_hole() -> Model {
    let script = script(
        (2, 2),
        &[
            receiver(&[Impatient, RecvMany(2)]),
            sender(&[Send(1)]).mortal(),
            sender(&[Commit(2)]).mortal(),
        ],
    );
    Model { script, words: 1, bounds: Bounds::ci(1), floor: 8000, reach: Reach::Some(63) }
}

/// Guards that one of two who look for the dead at once gets what comes again.
pub fn what_two_find_is_delivered_once() -> Model {
    let script = script(
        (1, 3),
        &[
            sender(&[Send(1), Attach(Receiver), Impatient, Guard]),
            receiver(&[Guard]).mortal(),
            receiver(&[Impatient, Guard]),
        ],
    );
    Model { script, words: 1, bounds: Bounds::ci(0), floor: 4400, reach: Reach::Some(6) }
}

/// Guards SEAT: a newcomer settles before he sits down.
pub fn a_sender_comes_to_a_dead_ones_seat() -> Model {
    let script = script(
        (1, 1),
        &[
            receiver(&[Recv]),
            sender(&[Send(1), Leave]).mortal(),
            comer(&[Attach(Sender), Send(2), Leave]),
        ],
    );
    Model { script, words: 1, bounds: Bounds::ci(1), floor: 350, reach: Reach::Some(11) }
}

/// Guards SEAT on the other side: a newcomer receives what his predecessor had in hand.
pub fn a_receiver_comes_to_a_dead_ones_seat() -> Model {
    let script = script(
        (1, 1),
        &[
            sender(&[Send(1)]),
            receiver(&[Guard, Leave]).mortal(),
            comer(&[Attach(Receiver), Guard]),
        ],
    );
    Model { script, words: 1, bounds: Bounds::ci(1), floor: 3500, reach: Reach::Some(11) }
}
