//! Those who note a death do not get in the way of those who come after it.

mod hooks;
mod oracles;
mod scale;
mod support;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use annulus::SeatState;
use annulus::hooks::{Liar, kill_before, lie};
use annulus::spsc::Ring;
use oracles::place::{Place, Site};

/// A survivor holds a dead one's lock, about to note the death, when the successor comes.
#[test]
fn a_successor_is_not_refused_because_the_death_is_being_noted() {
    static INSIDE: AtomicBool = AtomicBool::new(false);
    static COMING: AtomicBool = AtomicBool::new(false);
    hooks::quiet();
    // Not on the heap: threads do not die alone.
    for place in [Place::Shm, Place::File, Place::Memfd] {
        let site = Site::<u64>::new(place, &Ring::options().capacity(4));
        let mut receiver = site.other.receiver().unwrap();
        let (died, rounds) = (&Barrier::new(2), scale::scaled(200));
        let mut refused = || {
            let receiver = &mut receiver;
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    for _ in 0..rounds {
                        died.wait();
                        let mut looks = 0;
                        let waiting: Liar = Box::new(move |_, truth| {
                            // The second look at the state is the one under the lock.
                            looks += 1;
                            if looks == 2 {
                                INSIDE.store(true, Ordering::SeqCst);
                                while !COMING.load(Ordering::SeqCst) {
                                    std::thread::yield_now();
                                }
                            }
                            truth
                        });
                        assert_eq!(lie(waiting, || receiver.peer().unwrap()), SeatState::Died);
                        died.wait();
                    }
                });
                let mut refused = 0;
                for _ in 0..rounds {
                    let sender = site.one.sender().unwrap();
                    assert!(kill_before(1, move || drop(sender)).is_none());
                    died.wait();
                    while !INSIDE.swap(false, Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    COMING.store(true, Ordering::SeqCst);
                    refused += u64::from(site.one.sender().is_err());
                    died.wait();
                    COMING.store(false, Ordering::SeqCst);
                }
                refused
            })
        };
        // One who loses the processor while it holds the lock does get in the way, as on a
        // busy machine now and then many will. Without a second look all are refused.
        let mut all = Vec::new();
        let few = (0..5).any(|_| {
            all.push(refused());
            all[all.len() - 1] * 4 <= rounds
        });
        assert!(few, "{all:?} of {rounds} on {place:?}");
    }
}
