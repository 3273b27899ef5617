//! A worker that takes messages from a ring until it is told to stop, and loses none.
//!
//! ```text
//!   producer ── send 1, send 2 ──▶ ring ──▶ worker ── each(1), each(2)
//!       └────── stop.say() ──────▶ flag ──▶ stop.said()?
//! ```
//!
//! The example of docs/loom.md: a few lines that look right in either order, and are right
//! in one. Its atomics come from [`sync`], so that the models in `tests/` run this very
//! code under loom, rings of annulus included.

use annulus::TryRecvError;
use annulus::spsc::Receiver;

use sync::{AtomicBool, Ordering, yield_now};

/// The atomics of this crate: std's, or loom's when its models are built.
mod sync {
    #[cfg(loom)]
    pub use loom::{
        sync::atomic::{AtomicBool, Ordering},
        thread::yield_now,
    };
    #[cfg(not(loom))]
    pub use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread::yield_now,
    };
}

/// A flag that says: what has been sent by now is all.
#[derive(Debug)]
pub struct Stop {
    said: AtomicBool,
    publish: Ordering,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Not said yet.
    pub fn new() -> Self {
        // Release: the messages sent before are there for whoever sees the flag.
        Self::publishing(Ordering::Release)
    }

    /// The same with another ordering, for a model that shows why it is not this one.
    pub fn publishing(publish: Ordering) -> Self {
        Self { said: AtomicBool::new(false), publish }
    }

    /// Says it: nothing will be sent any more.
    pub fn say(&self) {
        self.said.store(true, self.publish);
    }

    /// Whether it has been said.
    pub fn said(&self) -> bool {
        // Acquire: pairs with `say`.
        self.said.load(Ordering::Acquire)
    }
}

/// Hands on every message until `stop` has been said and the ring is empty.
///
/// # Errors
/// What the ring says beside `Empty`: its sender has left, or something is broken.
pub fn work(
    receiver: &mut Receiver<u64>,
    stop: &Stop,
    mut each: impl FnMut(u64),
) -> Result<(), TryRecvError> {
    loop {
        // Before the look at the ring: what was sent before it was said is seen below.
        let last = stop.said();
        drain(receiver, &mut each)?;
        if last {
            return Ok(());
        }
        yield_now();
    }
}

/// The same with the two looks in the other order. It loses messages; the models show it.
///
/// # Errors
/// As [`work`].
pub fn work_hastily(
    receiver: &mut Receiver<u64>,
    stop: &Stop,
    mut each: impl FnMut(u64),
) -> Result<(), TryRecvError> {
    loop {
        drain(receiver, &mut each)?;
        if stop.said() {
            return Ok(());
        }
        yield_now();
    }
}

/// Hands on what is there now.
fn drain(receiver: &mut Receiver<u64>, each: &mut impl FnMut(u64)) -> Result<(), TryRecvError> {
    loop {
        match receiver.try_recv() {
            Ok(message) => each(message),
            Err(TryRecvError::Empty) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
