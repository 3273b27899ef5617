//! The stream among the living does what the specification permits, all of it, and nothing
//! else.

#![cfg(loom)]

use annulus_loom_tests::check_each;

check_each! {
    streams::LIVING:
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
}
