//! Models of annulus with more threads and longer calls than loom can explore: shuttle runs
//! each in many random schedules, and threads are killed before random accesses.
//!
//! ```text
//!   a model ──▶ [`check`] ──▶ walks | few preemptions | any thread next ──▶ accounts
//!                                      each of them random, none of them all
//! ```
//!
//! What a model does is chosen at random too, by shuttle, so that the schedule that shuttle
//! prints for a failure repeats all of it. The atomics are sequentially consistent here:
//! orderings are loom's business (`loom-tests`).
//!
//! `cargo xtask shuttle` runs them; `ANNULUS_SHUTTLE=N` says how many executions a model
//! has. Without `--cfg loom` this crate is empty.

#![cfg(loom)]

pub mod account;
pub mod broadcast;
pub mod frames;
pub mod mpmc;
pub mod spsc;
pub mod stream;
pub mod waiting;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use annulus::Error;
use annulus::hooks::{Bug, kill_before, seed};
use rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler, UrwRandomScheduler};
use shuttle::{Config, Runner};

/// Executions of a model, unless `ANNULUS_SHUTTLE` says otherwise.
const EXECUTIONS: usize = 3_000;

/// Preemptions at well chosen places that a bug may need.
const DEPTH: usize = 3;

/// The most accesses that a mortal lives for.
const LONGEST_LIFE: u64 = 150;

/// A number below `end`, from shuttle.
pub fn below(end: u64) -> u64 {
    shuttle::rand::thread_rng().gen_range(0..end)
}

/// Runs `call`, killed before an access that is chosen at random, if it is `mortal` and
/// comes to it. `None`: killed.
pub fn live<R>(mortal: bool, call: impl FnOnce() -> R) -> Option<R> {
    match mortal {
        true => kill_before(1 + below(LONGEST_LIFE), call),
        false => Some(call()),
    }
}

/// Takes a seat as soon as one is free.
fn attach<E>(take: impl Fn() -> Result<E, Error>) -> E {
    loop {
        match take() {
            Ok(endpoint) => return endpoint,
            Err(Error::NoSeat { .. } | Error::SeatTaken { .. }) => shuttle::thread::yield_now(),
            Err(error) => panic!("attaching: {error}"),
        }
    }
}

/// How many executions each model has.
///
/// # Panics
/// If `ANNULUS_SHUTTLE` is no number.
fn executions() -> usize {
    match std::env::var("ANNULUS_SHUTTLE") {
        Ok(number) => number.parse().expect("ANNULUS_SHUTTLE is a number of executions"),
        Err(_) => EXECUTIONS,
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    // That orderings are not modelled is said above.
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    config
}

/// Runs a model in as many schedules, a third each by shuttle's schedulers: whichever thread
/// next; few preemptions; and walks that favour no order of all accesses.
fn run(executions: usize, model: impl Fn() + Send + Sync + 'static) {
    let model = Arc::new(model);
    let each = executions.div_ceil(3);
    let same = || {
        let model = Arc::clone(&model);
        move || model()
    };
    Runner::new(RandomScheduler::new(each), config()).run(same());
    Runner::new(PctScheduler::new(DEPTH, each), config()).run(same());
    Runner::new(UrwRandomScheduler::new(each), config()).run(same());
}

/// Runs a model in random schedules; it gives what it counts. `ANNULUS_SEEDED_BUG` puts a bug
/// of that name into the code first.
///
/// # Panics
/// If an execution panics or deadlocks, and if nothing was counted in all of them; if there
/// is no such bug.
pub fn check(name: &str, model: fn() -> usize) {
    let (began, executions) = (Instant::now(), executions());
    if let Ok(name) = std::env::var("ANNULUS_SEEDED_BUG") {
        seed(Some(Bug::named(&name).expect("a bug of src/atomic/bug.rs")));
    }
    let counts = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let [ended, counted] = counts.clone();
    run(executions, move || {
        counted.fetch_add(model(), Ordering::Relaxed);
        ended.fetch_add(1, Ordering::Relaxed);
    });
    let [ended, counted] = counts.map(|count| count.load(Ordering::Relaxed));
    println!("\nfigure: {name}: executions = {ended}");
    println!("{name}: what was done in them: {counted}; {:.1?}", began.elapsed());
    assert!(ended >= executions && counted > 0);
}

/// Runs a model of the code with a seeded bug until an execution fails: which one, counted
/// from 1, and what it said. `None` if none of them does.
pub fn find(bug: Bug, model: fn() -> usize) -> Option<(usize, String)> {
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    seed(Some(bug));
    let result = catch_unwind(AssertUnwindSafe(|| {
        run(executions() * 10, move || {
            count.fetch_add(1, Ordering::Relaxed);
            model();
        })
    }));
    seed(None);
    let payload = result.err()?;
    let message = match (payload.downcast_ref::<String>(), payload.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (_, Some(text)) => text.to_string(),
        _ => "a panic without a message".to_string(),
    };
    Some((ran.load(Ordering::Relaxed), message))
}
