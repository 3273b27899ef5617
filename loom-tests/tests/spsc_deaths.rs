//! The spsc ring among the dying does what the specification permits, all of it, and
//! nothing else.

#![cfg(loom)]

use annulus_loom_tests::check_each;

check_each! {
    models::DYING:
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
}
