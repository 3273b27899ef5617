//! Programs of every verb, drawn at random, done to an mpmc ring and to a model by one
//! thread, so that each outcome is known beforehand.
//!
//! ```text
//!   Op, Op, Op ──▶ Runner ──▶ the ring
//!                    │  └───▶ Model (messages by position, and who has what in hand)
//!                    └── messages, positions, marks, refusals: equal, each time
//! ```

mod carried;
pub mod model;
mod op;
mod runner;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

pub use carried::Carried;
use runner::Runner;

/// Where the ring lives.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Heap,
    Memfd,
}

/// Runs so many drawn programs on rings that begin at a drawn position.
///
/// # Panics
/// If a ring does anything but what the model does.
pub fn a_ring_is_its_model<M: Carried + ?Sized>(
    cases: u64,
    starts: impl Strategy<Value = u64>,
    options: impl Fn(
        annulus::Options<annulus::mpmc::Ring<M>>,
        u64,
    ) -> annulus::Options<annulus::mpmc::Ring<M>>,
) {
    let cases = u32::try_from(crate::scale::scaled(cases)).unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let places = prop::sample::select([Place::Heap, Place::Memfd].as_slice());
    let capacities = (0..=4_u32).prop_map(|log| 1_u64 << log);
    let programs = (places, capacities, starts).prop_flat_map(|(place, capacity, start)| {
        (Just(place), Just(capacity), Just(start), op::ops(capacity))
    });
    TestRunner::new(config)
        .run(&programs, |(place, capacity, start, ops)| {
            let options = options(M::options().capacity(capacity), start);
            let mut runner = Runner::<M>::new(place, options, capacity, start);
            for op in &ops {
                runner.run(op);
            }
            runner.finish();
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
