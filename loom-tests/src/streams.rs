//! The models of the stream: as [`models`](crate::models) of the spsc ring.
//!
//! A send or receive moves a quarter of the ring at a time. So in a ring of 8 bytes commits
//! of `send` share words; what lies there as cells is sent by reservations of 8 bytes, or
//! through rings of 32.

use crate::Bounds;
use crate::model::Kind::{Bytes, Words};
use crate::model::Model;
use crate::models::{Named, comer, list, receiver, script, sender};
use crate::spec::Do::{self, *};
use crate::spec::Role::{Receiver, Sender};

/// Nobody takes over, whoever has gone and however.
const OVER: &[Do] = &[Join(Sender), Join(Receiver)];

/// As many as there are.
const ALL: usize = usize::MAX;

/// Models in which nobody dies.
pub const LIVING: &[Named] = list![
    a_commit_is_there_or_not,
    no_commit_of_two_words_is_torn,
    eight_bytes_lap_without_overwriting,
    pieces_lap_without_overwriting,
    bytes_pass_the_end_of_the_ring,
    a_send_arrives_in_pieces,
    reserved_bytes_are_sent_whole_or_not_at_all,
    a_guard_keeps_its_bytes,
    a_guard_keeps_what_it_did_not_release,
    all_is_received_before_the_end,
    all_is_received_before_an_abort,
    a_sender_hears_that_the_receiver_left,
    a_sender_hears_that_the_receiver_aborted,
    what_was_received_is_known_at_the_end,
    a_receiver_comes_when_the_sender_has_gone,
    two_senders_come_at_once_and_one_is_late,
    two_receivers_come_at_once_and_one_is_late,
];

/// Models in which one or two are killed, before any one of their accesses.
pub const DYING: &[Named] = list![
    a_dead_senders_bytes_are_received,
    a_dead_senders_pieces_are_a_prefix,
    a_dead_sender_leaves_no_half_of_a_reservation,
    a_sender_dies_while_it_finishes,
    a_sender_dies_while_it_comes,
    a_receiver_dies_while_it_receives,
    a_receiver_dies_under_a_guard,
    a_receiver_dies_while_it_comes,
    a_death_is_noted_by_one_who_comes_too_late,
    one_who_dies_while_noting_a_death_changes_nothing_of_a_stream,
];

/// Guards PUBLISH: whoever sees the tail sees the bytes.
pub fn a_commit_is_there_or_not() -> Model {
    let script = script(
        8,
        &[receiver(&[RecvBytes(8), RecvBytes(8)]), sender(&[CommitBytes(b"abcdefgh")])],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 8, kind: Words }
}

/// Guards PUBLISH and RETIRE for every word of a commit.
pub fn no_commit_of_two_words_is_torn() -> Model {
    let script = script(
        16,
        &[
            receiver(&[GuardBytes(ALL), GuardBytes(ALL)]),
            sender(&[CommitBytes(b"abcdefghijklmnop"), CommitBytes(b"ABCDEFGHIJKLMNOP")]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 21, kind: Words }
}

/// Guards RETIRE: a full ring never overwrites what is still being read.
pub fn eight_bytes_lap_without_overwriting() -> Model {
    let script = script(
        8,
        &[
            sender(&[CommitBytes(b"abcdefgh"), CommitBytes(b"ABCDEFGH"), CommitBytes(b"12345678")]),
            receiver(&[RecvBytes(8), GuardBytes(ALL), GuardBytes(ALL)]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 650, kind: Words }
}

/// Guards RETIRE for each piece of a receive, in `send`'s own loop: the room that one piece
/// leaves is filled while the next is read.
pub fn pieces_lap_without_overwriting() -> Model {
    let script = script(
        8,
        &[
            receiver(&[RecvBytes(3), RecvBytes(4)]),
            sender(&[CommitBytes(b"abcdefg"), SendBytes(b"ABC")]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 6600, kind: Bytes }
}

/// Guards that a run which passes the end goes on at the beginning, whole.
pub fn bytes_pass_the_end_of_the_ring() -> Model {
    let script = script(
        8,
        &[
            receiver(&[RecvBytes(2), GuardBytes(3), GuardBytes(ALL)]),
            sender(&[CommitBytes(b"abcde"), CommitBytes(b"ABCDEF")]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 110, kind: Bytes }
}

/// Guards PUBLISH for each piece on its own, at word size: what is there is a prefix.
pub fn a_send_arrives_in_pieces() -> Model {
    let script = script(
        32,
        &[
            receiver(&[RecvBytes(16), GuardBytes(ALL)]),
            sender(&[SendBytes(b"abcdefghijklmnopqrstuvwx")]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 110, kind: Words }
}

/// Guards PUBLISH at commit. Permitted: nothing of an aborted one is ever seen.
pub fn reserved_bytes_are_sent_whole_or_not_at_all() -> Model {
    let script = script(
        8,
        &[
            receiver(&[RecvBytes(8), RecvBytes(8)]),
            sender(&[
                AbortBytes(b"xxxxxxx"),
                CommitBytes(b"abc"),
                AbortBytes(b"yyyyyyy"),
                CommitBytes(b"ABCDEFG"),
            ]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(3), floor: 180, kind: Bytes }
}

/// Guards RETIRE at the guard's release, not before.
pub fn a_guard_keeps_its_bytes() -> Model {
    let script = script(
        8,
        &[
            receiver(&[GuardBytes(0), GuardBytes(ALL)]),
            sender(&[CommitBytes(b"abcdefgh"), CommitBytes(b"ABCDEFGH")]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 18, kind: Words }
}

/// Guards RETIRE at a part of the guard: the rest stays, and comes again.
pub fn a_guard_keeps_what_it_did_not_release() -> Model {
    let script = script(
        16,
        &[
            receiver(&[GuardBytes(8), GuardBytes(8)]),
            sender(&[
                CommitBytes(b"abcdefghijklmnop"),
                CommitBytes(b"ABCDEFGH"),
                CommitBytes(b"12345678"),
            ]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 68, kind: Words }
}

/// Guards SEAT: whoever hears the end has got all.
pub fn all_is_received_before_the_end() -> Model {
    let script = script(
        16,
        &[
            receiver(&[RecvBytes(16), RecvBytes(16), Peer]),
            sender(&[CommitBytes(b"abcdefgh"), CommitBytes(b"ABCDEFGH"), Finish]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(3), floor: 1300, kind: Words }
}

/// Guards SEAT: whoever hears of an abort has got all that was committed.
pub fn all_is_received_before_an_abort() -> Model {
    let script = script(
        8,
        &[
            receiver(&[GuardBytes(ALL), GuardBytes(ALL)]),
            sender(&[CommitBytes(b"abc"), CommitBytes(b"ABC"), Abandon]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 620, kind: Bytes }
}

/// Permitted: closed, room or not, as soon as it is known.
pub fn a_sender_hears_that_the_receiver_left() -> Model {
    let script = script(
        8,
        &[
            sender(&[SendBytes(b"ab"), CommitBytes(b"ABCDEF"), SendBytes(b"12"), Peer]),
            receiver(&[RecvBytes(2), Leave]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(3), floor: 1100, kind: Bytes }
}

/// Permitted: died, room or not, as soon as it is known.
pub fn a_sender_hears_that_the_receiver_aborted() -> Model {
    let script = script(
        8,
        &[
            sender(&[CommitBytes(b"abcdefgh"), SendBytes(b"AB"), Finish]),
            receiver(&[GuardBytes(4), Abandon]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 850, kind: Bytes }
}

/// Guards SEAT: a sender that finishes hears of no receiver that took all and left.
pub fn what_was_received_is_known_at_the_end() -> Model {
    let script = script(
        8,
        &[sender(&[CommitBytes(b"abcdefgh"), Finish]), receiver(&[GuardBytes(ALL), Leave])],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 230, kind: Words }
}

/// Guards SEAT for one who comes late: he gets everything, from the first byte on.
pub fn a_receiver_comes_when_the_sender_has_gone() -> Model {
    let script = script(
        8,
        &[sender(&[CommitBytes(b"abcde"), Finish])],
        &[Join(Sender), Join(Receiver), RecvBytes(3), RecvBytes(8), RecvBytes(8)],
    );
    Model { script, bounds: Bounds::none(), floor: 1, kind: Bytes }
}

/// Guards SEAT: one sender in a stream's life.
pub fn two_senders_come_at_once_and_one_is_late() -> Model {
    let script = script(
        16,
        &[
            comer(&[Join(Receiver), RecvBytes(8)]),
            comer(&[Join(Sender), CommitBytes(b"abcdefgh"), Finish]),
            comer(&[Join(Sender), Leave]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(2), floor: 200, kind: Words }
}

/// Guards SEAT: one receiver in a stream's life.
pub fn two_receivers_come_at_once_and_one_is_late() -> Model {
    let script = script(
        8,
        &[
            sender(&[CommitBytes(b"abcdefgh"), CommitBytes(b"ABCDEFGH")]),
            comer(&[Join(Receiver), GuardBytes(ALL), Leave]),
            comer(&[Join(Receiver), Leave]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(2), floor: 270, kind: Words }
}

/// Guards SEAT: whoever notices a death gets the last byte of the dead, then *died*.
pub fn a_dead_senders_bytes_are_received() -> Model {
    let script = script(
        16,
        &[
            receiver(&[RecvBytes(8), Peer, RecvBytes(16)]),
            sender(&[CommitBytes(b"abcdefgh"), CommitBytes(b"ABCDEFGH"), Leave]).mortal(),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(3), floor: 660, kind: Words }
}

/// Guards PUBLISH of each piece: what is there of a send is a prefix.
pub fn a_dead_senders_pieces_are_a_prefix() -> Model {
    let script = script(
        8,
        &[
            receiver(&[Peer, GuardBytes(ALL), GuardBytes(ALL)]),
            sender(&[SendBytes(b"abcde"), Abandon]).mortal(),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(3), floor: 3300, kind: Bytes }
}

/// Guards PUBLISH: bytes that were written and not committed do not exist.
pub fn a_dead_sender_leaves_no_half_of_a_reservation() -> Model {
    let script = script(
        8,
        &[
            receiver(&[RecvBytes(8), Peer, RecvBytes(8)]),
            sender(&[AbortBytes(b"xxxxxxx"), CommitBytes(b"abcdefg"), CommitBytes(b"A")]).mortal(),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(3), floor: 1000, kind: Bytes }
}

/// Guards SEAT: the end is said in one step. Before it the stream has died, after it not.
pub fn a_sender_dies_while_it_finishes() -> Model {
    let script = script(
        8,
        &[
            receiver(&[GuardBytes(ALL), Peer, GuardBytes(ALL)]),
            sender(&[CommitBytes(b"abcdefgh"), Finish]).mortal(),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::none(), floor: 1600, kind: Words }
}

/// Guards SEAT: a seat is taken in one step. Before it another may come, after it none.
pub fn a_sender_dies_while_it_comes() -> Model {
    let script = script(
        8,
        &[
            receiver(&[RecvBytes(8), Peer]),
            comer(&[Join(Sender), CommitBytes(b"abcdefgh"), Leave]).mortal(),
            comer(&[Join(Sender), Leave]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(2), floor: 2500, kind: Words }
}

/// Guards RETIRE and SEAT: the sender sees how far the dead one came, and no further.
pub fn a_receiver_dies_while_it_receives() -> Model {
    let script = script(
        8,
        &[
            sender(&[CommitBytes(b"abcdefgh"), Peer, SendBytes(b"ABC"), Finish]),
            receiver(&[RecvBytes(3), Leave]).mortal(),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(3), floor: 5500, kind: Bytes }
}

/// Guards RETIRE at the guard's release: bytes that the dead only looked at are not received.
pub fn a_receiver_dies_under_a_guard() -> Model {
    let script = script(
        8,
        &[
            sender(&[CommitBytes(b"abcdefgh"), Peer, Finish]),
            receiver(&[GuardBytes(3), GuardBytes(ALL), Abandon]).mortal(),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(3), floor: 3200, kind: Bytes }
}

/// Guards SEAT, on the other side.
pub fn a_receiver_dies_while_it_comes() -> Model {
    let script = script(
        8,
        &[
            sender(&[CommitBytes(b"abcdefgh"), Peer, Finish]),
            comer(&[Join(Receiver), GuardBytes(ALL), Leave]).mortal(),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(3), floor: 2300, kind: Words }
}

/// Guards SEAT at the noting: whoever sees that somebody noted a death sees all that the
/// dead one did.
pub fn a_death_is_noted_by_one_who_comes_too_late() -> Model {
    let script = script(
        8,
        &[
            receiver(&[GuardBytes(ALL), GuardBytes(ALL)]),
            sender(&[CommitBytes(b"abcdefgh"), Leave]).mortal(),
            comer(&[Join(Sender)]),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(2), floor: 560, kind: Words }
}

/// Guards SEAT: the next one finds the same.
pub fn one_who_dies_while_noting_a_death_changes_nothing_of_a_stream() -> Model {
    let script = script(
        8,
        &[
            receiver(&[Peer, GuardBytes(ALL)]),
            sender(&[CommitBytes(b"abcdefgh"), Leave]).mortal(),
            comer(&[Join(Sender)]).mortal(),
        ],
        OVER,
    );
    Model { script, bounds: Bounds::ci(2), floor: 6100, kind: Words }
}
