//! One goes to sleep while the other notifies, each on a processor of its own, at moments that
//! differ by some nanoseconds from round to round: what a processor may do out of order shows.
//!
//! ```text
//!   waiter     ── go ── a few pauses ── asleep until it is done ── done
//!   notifier   ── go ── a few pauses ── at once: send, or receive ── done by now? if not, poke
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annulus_prove::step;

use crate::Random;
use crate::cell::Cell;
use crate::handoffs::NEVER;
use crate::lockstep::For;
use crate::quiet::{self, Watched};

/// Pauses of either side before it begins, at most: about as long as falling asleep takes.
const PAUSES: u64 = 300;

/// Looks before others are let run.
const SPINS: u32 = 2000;

/// Who is not back by then is looked at closely.
const LATE: Duration = Duration::from_millis(3);

/// Duels until `until`; how many there were.
pub fn run(cell: &Cell, waits: For, until: Instant, seed: u64) -> Result<u64, String> {
    let text = |error: annulus::Error| error.to_string();
    let ring = cell.shape(NEVER).create_memfd().map_err(text)?;
    let room = waits == For::Room;
    // A broadcast's receiver is there first.
    let receiver = cell.end(&ring, false).map_err(text)?;
    let mut sender = cell.end(&ring, true).map_err(text)?;
    while room && sender.at_once(1).is_ok() {}
    let (mut waiter, mut notifier) = if room { (sender, receiver) } else { (receiver, sender) };
    let (go, watched, over) = (AtomicU64::new(0), Watched::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            watched.begin();
            step::pin(0);
            let mut random = Random(seed);
            for round in 1.. {
                until_it(|| go.load(Ordering::Acquire) >= round, NEVER);
                if over.load(Ordering::Acquire) {
                    return Ok(());
                }
                pause(random.below(PAUSES / 4));
                waiter.asleep(1, cell.set, NEVER).map_err(|why| why.to_string())?;
                watched.end();
            }
            Ok(())
        });
        step::pin(1);
        let mut random = Random(!seed);
        let (mut rounds, mut found) = (0, None);
        while Instant::now() < until && !thread.is_finished() {
            for _ in 0..64 {
                rounds += 1;
                watched.tell();
                go.store(rounds, Ordering::Release);
                pause(random.below(PAUSES));
                let said = notifier.at_once(1);
                if let Err(why) = said {
                    found = Some(format!("the notifier: {why}"));
                }
                until_it(|| !watched.is_busy(), LATE);
                if found.is_none() && watched.is_busy() && !thread.is_finished() {
                    if !quiet::is_quiet(&[&watched]) {
                        found = Some("the waiter never stopped".to_owned());
                    } else if watched.is_busy() {
                        quiet::poke(&[&watched]);
                        found = Some(format!("asleep on a ready ring, round {rounds}"));
                    }
                }
                if found.is_some() || thread.is_finished() {
                    break;
                }
            }
            if found.is_some() {
                break;
            }
        }
        over.store(true, Ordering::Release);
        while !thread.is_finished() {
            go.store(u64::MAX, Ordering::Release);
            // One who still waits is let go.
            let _ = notifier.at_once(1);
            quiet::poke(&[&watched]);
            std::thread::sleep(Duration::from_millis(1));
        }
        let ended: Result<(), String> = thread.join().map_err(|_| "a panic".to_owned())?;
        match found {
            Some(found) => Err(found),
            None => ended.map(|()| rounds),
        }
    })
}

/// Spins for a while, then lets others run too.
fn until_it(happens: impl Fn() -> bool, most: Duration) {
    if (0..SPINS).any(|_| {
        std::hint::spin_loop();
        happens()
    }) {
        return;
    }
    let began = Instant::now();
    while !happens() && began.elapsed() < most {
        std::thread::yield_now();
    }
}

fn pause(count: u64) {
    for _ in 0..count {
        std::hint::spin_loop();
    }
}
