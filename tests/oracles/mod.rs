//! A ring is a queue: one runner for every verb, message type and segment kind.
//!
//! ```text
//!   Op, Op, Op ──▶ Runner ──▶ the ring
//!                    │  └───▶ Model (a VecDeque)
//!                    └── results, positions, bytes: equal, each time
//! ```

// Each test binary uses its own part of this.
#![allow(dead_code, unused_imports)]

pub mod message;
pub mod model;
pub mod op;
pub mod place;
pub mod receiving;
pub mod runner;
pub mod sending;

use annulus::spsc::Ring;
use annulus::{Message, Options};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

pub use message::{Align16, Align128};
pub use runner::Runner;

/// Runs drawn operations on drawn rings of `T` that begin at a drawn position.
///
/// # Panics
/// If a ring does anything but what a queue does.
pub fn a_ring_is_a_queue<T: Message>(
    starts: impl Strategy<Value = u64>,
    options: impl Fn(u64) -> Options<Ring<T>>,
) {
    let cases = u32::try_from(crate::scale::scaled(48)).unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let rings = (place::any_place(), op::capacity(), starts);
    let sequences = rings.prop_flat_map(|(place, capacity, start)| {
        let ring = (Just(place), Just(capacity), Just(start), place::any_waiting(place));
        (ring, op::ops(size_of::<T>(), capacity))
    });
    TestRunner::new(config)
        .run(&sequences, |((place, capacity, start, waiting), ops)| {
            let options = waiting.ask(options(start));
            let mut runner = Runner::<T>::new(place, &options, capacity, start);
            for op in &ops {
                runner.run(op);
            }
            runner.finish();
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
