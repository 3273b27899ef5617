//! What every loom model of annulus stands on: bounds, outcome sets, execution counts.
//!
//! A model is a closure that runs the shipped code on a heap ring and returns what it
//! saw. [`explore`] runs it in every execution within its bounds and gives the set of
//! outcomes and how many executions there were; the test compares the set with the one
//! that the specification permits, and the count with a minimum, so that a model can't
//! pass by exploring nothing.
//!
//! `cargo xtask loom` runs the models at CI bounds, `cargo xtask loom --full` without
//! bounds (`ANNULUS_LOOM=ci|full`). Without `--cfg loom` this crate is empty.

#![cfg(loom)]

pub mod broadcast;
pub mod bytes;
pub mod frames;
pub mod model;
pub mod models;
pub mod mpmc;
pub mod nets;
pub mod opening;
pub mod spec;
mod spsc;
mod stream;
pub mod stream_waiting;
pub mod streams;
pub mod waiting;

pub use mpmc::models as mpmcs;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// How far a model is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Involuntary context switches an execution may have; `None` explores them all.
    preemptions: Option<usize>,
    /// Accesses one execution may make: above it loom takes the model for endless.
    branches: usize,
}

impl Bounds {
    /// Everything, at CI bounds too: for models that are small enough.
    pub fn none() -> Self {
        Self { preemptions: None, branches: 10_000 }
    }

    /// At most `preemptions` involuntary switches in CI, everything under `--full`.
    pub fn ci(preemptions: usize) -> Self {
        Self { preemptions: (!is_full()).then_some(preemptions), ..Self::none() }
    }

    /// At most `preemptions` involuntary switches, always.
    pub fn preemptions(preemptions: usize) -> Self {
        Self { preemptions: Some(preemptions), ..Self::none() }
    }

    /// The same with another limit of accesses in one execution.
    #[must_use]
    pub fn branches(self, branches: usize) -> Self {
        Self { branches, ..self }
    }
}

/// Whether the whole space is asked for: `ANNULUS_LOOM=full`.
///
/// # Panics
///
/// If `ANNULUS_LOOM` is neither unset nor `ci` nor `full`.
pub fn is_full() -> bool {
    match std::env::var("ANNULUS_LOOM").as_deref() {
        Ok("full") => true,
        Ok("ci") | Err(_) => false,
        Ok(other) => panic!("ANNULUS_LOOM is `{other}`; it may be `ci` or `full`"),
    }
}

/// What the executions of a model gave.
#[derive(Debug)]
pub struct Explored<T> {
    /// Each outcome that some execution had.
    pub outcomes: BTreeSet<T>,
    /// How many executions there were.
    pub executions: usize,
}

/// Runs `model` in every execution within `bounds`.
///
/// # Panics
///
/// If an execution panics, deadlocks or races.
pub fn explore<T, F>(bounds: Bounds, model: F) -> Explored<T>
where
    T: Ord + Send + 'static,
    F: Fn() -> T + Send + Sync + 'static,
{
    let executions = Arc::new(AtomicUsize::new(0));
    run(bounds, &executions, model)
}

/// A bug that an exploration came upon.
#[derive(Debug)]
pub struct Found {
    /// The execution that showed it, counted from 1.
    pub executions: usize,
    /// What the failing execution said.
    pub message: String,
}

/// Explores a model with a seeded bug until an execution fails; `None` if none does.
pub fn find_bug<T, F>(bounds: Bounds, model: F) -> Option<Found>
where
    T: Ord + Send + 'static,
    F: Fn() -> T + Send + Sync + 'static,
{
    let executions = Arc::new(AtomicUsize::new(0));
    // The closure is used no more after a panic.
    let result = catch_unwind(AssertUnwindSafe(|| run(bounds, &executions, model)));
    let payload = result.err()?;
    let message = payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|text| text.to_string()))
        .unwrap_or_else(|| "a panic without a message".to_string());
    Some(Found { executions: executions.load(Ordering::Relaxed), message })
}

fn run<T, F>(bounds: Bounds, executions: &Arc<AtomicUsize>, model: F) -> Explored<T>
where
    T: Ord + Send + 'static,
    F: Fn() -> T + Send + Sync + 'static,
{
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bounds.preemptions;
    builder.max_branches = bounds.branches;
    // Neither may end an exploration silently.
    builder.max_permutations = None;
    builder.max_duration = None;

    let outcomes = Arc::new(Mutex::new(BTreeSet::new()));
    let (seen, count) = (Arc::clone(&outcomes), Arc::clone(executions));
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let outcome = model();
        // A std mutex, invisible to loom: no other thread of this execution takes it.
        seen.lock().expect("an earlier execution panicked").insert(outcome);
    });
    let outcomes = std::mem::take(&mut *outcomes.lock().expect("an execution panicked"));
    Explored { outcomes, executions: executions.load(Ordering::Relaxed) }
}

/// A test for each model of a list of them, by name, and one that none is left out.
#[macro_export]
macro_rules! check_each {
    ($models:ident::$list:ident: $($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            $crate::$models::$name().check(stringify!($name));
        })*

        #[test]
        fn every_model_is_checked() {
            let checked = [$(stringify!($name)),*];
            assert!($crate::$models::$list.iter().map(|(name, _)| *name).eq(checked));
        }
    };
}
