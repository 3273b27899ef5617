//! A stream is a queue of bytes: one runner for every verb and every kind of segment.
//!
//! ```text
//!   Op, Op, Op ──▶ Runner ──▶ the stream
//!                    │  └───▶ Model (a VecDeque of bytes)
//!                    └── results, positions, bytes: equal, each time
//! ```

// Each test binary uses its own part of this.
#![allow(dead_code)]

pub mod behind;
pub mod model;
pub mod op;
pub mod receiving;
pub mod runner;
pub mod sending;

use annulus::Options;
use annulus::stream::Ring;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::streams::site::Place;
use runner::Runner;

/// Runs drawn programs on drawn streams in one place that begin at a drawn position.
///
/// # Panics
/// If a stream does anything but what a queue of bytes does.
pub fn a_stream_is_a_queue(
    cases: u64,
    place: Place,
    starts: impl Strategy<Value = u64>,
    options: impl Fn(u64) -> Options<Ring>,
) {
    let cases = u32::try_from(crate::scale::scaled(cases)).unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let programs = op::capacity().prop_flat_map(|capacity| (Just(capacity), op::ops(capacity)));
    let drawn = (starts, op::waiting(place), programs);
    TestRunner::new(config)
        .run(&drawn, |(start, waiting, (capacity, ops))| {
            let options = op::ask(waiting, options(start));
            let mut runner = Runner::new(place, &options, capacity, start);
            for op in &ops {
                runner.run(op);
            }
            runner.finish();
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
