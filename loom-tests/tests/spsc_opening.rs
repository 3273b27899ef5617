//! Coming to a ring while it is made, and to a seat while another does.

#![cfg(loom)]

use annulus::hooks::Payload;
use annulus_loom_tests::{Bounds, explore, opening};

/// Guards FORMAT: whoever sees the magic sees the header, the first head and all stamps.
#[test]
fn a_ring_is_whole_or_not_there() {
    for payload in [Payload::Words, Payload::Cells] {
        let opened =
            explore(Bounds::none(), move || opening::a_ring_is_whole_or_not_there(payload));
        assert_eq!(opened.outcomes, opening::whole_or_not_there());
        println!("{payload:?}: {} executions", opened.executions);
        assert!(opened.executions >= 30, "only {}", opened.executions);
    }
}

/// Guards SEAT where no lock stands behind it.
#[test]
fn a_seat_without_a_lock_has_one_occupant() {
    for payload in [Payload::Words, Payload::Cells] {
        let seated = explore(Bounds::none(), move || {
            opening::a_seat_without_a_lock_has_one_occupant(payload)
        });
        assert_eq!(seated.outcomes, opening::one_occupant());
        println!("{payload:?}: {} executions", seated.executions);
        assert!(seated.executions >= 90, "only {}", seated.executions);
    }
}
