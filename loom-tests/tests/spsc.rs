//! The spsc ring among the living does what the specification permits, all of it, and
//! nothing else.

#![cfg(loom)]

use annulus::hooks::Payload;
use annulus_loom_tests::spec::Memory;
use annulus_loom_tests::{Bounds, bytes, check_each, explore};

check_each! {
    models::LIVING:
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
}

/// Guards PUBLISH and RETIRE for a length and the bytes that it is of.
#[test]
fn a_byte_message_has_a_length_of_its_own() {
    let permitted = bytes::script().outcomes(Memory::Late);
    for payload in [Payload::Words, Payload::Cells] {
        let explored = explore(Bounds::none(), move || bytes::perform(payload));
        assert_eq!(explored.outcomes, permitted);
        println!("{payload:?}: {} executions", explored.executions);
        assert!(explored.executions >= 90, "only {}", explored.executions);
    }
}
