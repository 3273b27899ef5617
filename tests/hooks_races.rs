//! Those who notice a death do not get in the way of those who come after it.

mod hooks;
mod oracles;
mod scale;
mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use annulus::SeatState;
use annulus::hooks::kill_before;
use annulus::spsc::Ring;
use oracles::place::{PLACES, Site};

#[test]
#[ignore = "known: while a survivor notes a death it holds the seat's lock, and one who comes just then is refused"]
fn a_successor_is_not_refused_because_the_death_is_being_noticed() {
    hooks::quiet();
    for place in PLACES {
        let site = Site::<u64>::new(place, &Ring::options().capacity(4));
        let receiver = site.other.receiver().unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let over = &over;
            let asking = scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    assert!(receiver.peer().is_ok());
                }
                receiver.peer().unwrap()
            });
            let mut refused = 0;
            let rounds = scale::scaled(2_000);
            for _ in 0..rounds {
                match site.one.sender() {
                    // Killed as it leaves: before its first access.
                    Ok(sender) => _ = kill_before(1, move || drop(sender)),
                    Err(_) => refused += 1,
                }
            }
            over.store(true, Ordering::Relaxed);
            assert_eq!(refused, 0, "of {rounds} on {place:?}");
            assert_eq!(asking.join().unwrap(), SeatState::Died);
        });
    }
}
