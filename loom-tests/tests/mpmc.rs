//! The mpmc ring among the living does what the specification permits, and nothing else.

#![cfg(loom)]

use annulus_loom_tests::check_each;

check_each! {
    mpmcs::LIVING:
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
}
