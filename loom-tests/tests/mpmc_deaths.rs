//! The mpmc ring among the dying does what the specification permits, and nothing else.

#![cfg(loom)]

use annulus_loom_tests::check_each;

check_each! {
    mpmcs::DYING:
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
}
