//! The stream among the dying does what the specification permits, all of it, and nothing
//! else.

#![cfg(loom)]

use annulus_loom_tests::check_each;

check_each! {
    streams::DYING:
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
}
