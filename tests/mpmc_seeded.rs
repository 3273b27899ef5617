//! The nets of tests/mpmc_hooks.rs catch fish: with a bug seeded, the account does not fit.
//! And losers, which no single thread ever is: one who claims what another took.

mod mpmcs;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use annulus::hooks::{self, Bug, forge, kill_before};
use annulus::mpmc::{Ring, Sender};
use annulus::{RecvError, TrySendError};
use mpmcs::site::{Place, Site};
use mpmcs::verb::{RecvVerb, SendVerb};
use mpmcs::world::{World, quiet};

/// Bugs are the process's: one test at a time.
fn with<R>(bug: Option<Bug>, call: impl FnOnce() -> R) -> R {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone: MutexGuard<'_, ()> = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    hooks::seed(bug);
    let result = catch_unwind(AssertUnwindSafe(call));
    hooks::seed(None);
    result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// Whether some kill of a sender or a receiver leaves an account that does not fit.
fn some_kill_is_noticed(bug: Option<Bug>) -> bool {
    with(bug, || {
        (1..40).any(|k| {
            catch_unwind(AssertUnwindSafe(|| {
                for sends in [true, false] {
                    let mut world = World::new(Place::Memfd, 2, 0, 2, (2, 2));
                    world.send(0, SendVerb::Try, 1, None);
                    if sends {
                        world.send(0, SendVerb::Try, 1, Some(k));
                    } else {
                        world.recv(0, RecvVerb::Guard, Some(k));
                    }
                    world.finish();
                }
            }))
            .is_err()
        })
    })
}

#[test]
fn a_position_claimed_after_it_was_taken_is_noticed() {
    assert!(!some_kill_is_noticed(None));
    assert!(some_kill_is_noticed(Some(Bug::ClaimAfterCas)));
}

type Shared<T> = Arc<Mutex<Option<T>>>;

/// `loser` sends, and between its claim and its exchange another takes the position, and
/// holds it.
fn lose(loser: &mut Sender<u64>, winner: &Shared<Sender<u64>>) -> Result<(), TrySendError<u64>> {
    let (winner, mut first) = (Arc::clone(winner), true);
    let overtaken = move |edge: &'static str, _: usize, value: u64| {
        // On a thread of its own, which has hooks of its own.
        if edge == "claim::NOTE" && std::mem::take(&mut first) {
            let winner = Arc::clone(&winner);
            let take = move || {
                let mut winner = winner.lock().unwrap();
                std::mem::forget(winner.as_mut().unwrap().reserve().unwrap());
            };
            thread::spawn(take).join().unwrap();
        }
        Some(value)
    };
    forge(Box::new(overtaken), || loser.try_send(9))
}

fn site(capacity: u64) -> Site<u64> {
    quiet();
    let options = Ring::options().capacity(capacity).seats(3);
    Site::new(Place::Memfd, &options.slice(Duration::from_millis(2)))
}

/// A loser is killed, the winner lives: is his position left alone?
fn the_living_winner_keeps_his_position() -> bool {
    (1..12).all(|k| {
        let site = site(4);
        let (mut loser, winner) = (site.one.sender().unwrap(), site.one.sender().unwrap());
        let winner: Shared<_> = Arc::new(Mutex::new(Some(winner)));
        let mut receiver = site.other.receiver().unwrap();
        let of = Arc::clone(&winner);
        let _ = kill_before(k, move || lose(&mut loser, &of).is_ok());
        let _ = receiver.wait_for_peer(Some(Duration::ZERO));
        // The first slot's word, behind header, six seats and four lines: free, not a tomb.
        site.word(128 * 7 + 512) & 3 == 0
    })
}

#[test]
fn a_dead_losers_claim_does_not_bury_the_living_winner() {
    assert!(with(None, the_living_winner_keeps_his_position));
}

#[test]
fn a_recoverer_who_ignores_the_living_is_noticed() {
    assert!(!with(Some(Bug::IgnoreLive), the_living_winner_keeps_his_position));
}

/// A loser lives and is idle, the winner is killed: is his position settled?
fn the_dead_winners_position_is_settled() -> bool {
    let site = site(1);
    let (mut loser, winner) = (site.one.sender().unwrap(), site.one.sender().unwrap());
    let winner: Shared<_> = Arc::new(Mutex::new(Some(winner)));
    let mut receiver = site.other.receiver().unwrap();
    assert_eq!(lose(&mut loser, &winner), Err(TrySendError::Full(9)));
    let mut dying = winner.lock().unwrap().take().unwrap();
    assert!(kill_before(1, move || dying.try_send(1)).is_none());
    // Whoever waits looks for the dead, some slices later.
    let mut settled = false;
    for _ in 0..50 {
        let _ = receiver.recv_timeout(Duration::from_millis(10));
        settled = loser.try_send(7).is_ok();
        if settled {
            break;
        }
    }
    let said = receiver.recv_timeout(Duration::from_millis(10));
    assert_eq!(said, if settled { Ok(7) } else { Err(RecvError::Timeout) });
    settled
}

#[test]
fn an_idle_losers_claim_is_withdrawn() {
    assert!(with(None, the_dead_winners_position_is_settled));
}

#[test]
fn a_loser_who_keeps_his_claim_is_noticed() {
    // The other one's next try withdraws it: so a third one looks, and he stays idle.
    let noticed = with(Some(Bug::StaleLoser), || {
        let site = site(1);
        let (mut loser, winner) = (site.one.sender().unwrap(), site.one.sender().unwrap());
        let winner: Shared<_> = Arc::new(Mutex::new(Some(winner)));
        let mut receiver = site.other.receiver().unwrap();
        assert_eq!(lose(&mut loser, &winner), Err(TrySendError::Full(9)));
        let mut dying = winner.lock().unwrap().take().unwrap();
        assert!(kill_before(1, move || dying.try_send(1)).is_none());
        let _ = receiver.wait_for_peer(Some(Duration::ZERO));
        site.seat(1).state == 2
    });
    assert!(noticed, "nothing keeps the dead one from being settled");
}
