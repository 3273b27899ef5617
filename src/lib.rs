// Models use heap rings alone: what maps and names segments lies idle there.
#![cfg_attr(loom, allow(dead_code))]
//! Lock-free ring buffers in shared memory: separate processes move data to each other
//! at the speed of the cache.
//!
//! ```
//! use annulus::spsc::Ring;
//!
//! let ring = Ring::<u64>::options().capacity(1024).create_memfd("ticks")?;
//! let (mut sender, mut receiver) = (ring.sender()?, ring.receiver()?);
//! sender.send(42)?;
//! assert_eq!(receiver.recv()?, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`spsc`] has the ring of one sender and one receiver, [`stream`] that for bytes, [`mpmc`]
//! the queue of many senders and many receivers, [`broadcast`] the ring whose every receiver
//! gets every message. They live on the heap (between threads), in named POSIX shared memory,
//! in a file or in a memfd: see [`Options`]. A [`WaitSet`] waits on several at once. What is
//! promised when peers die or lie stands in docs/guarantees.md.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "annulus needs Linux: its liveness, sealing and publication rest on Linux system calls"
);
#[cfg(not(any(target_pointer_width = "64", target_pointer_width = "32")))]
compile_error!("annulus needs a 32- or 64-bit target");
#[cfg(not(target_has_atomic = "64"))]
compile_error!("annulus needs 64-bit atomics: every shared word is one");
#[cfg(not(target_endian = "little"))]
compile_error!("annulus needs a little-endian target: its shared words are little-endian");

mod atomic;
pub mod broadcast;
mod copy;
mod endpoint;
mod error;
pub mod frames;
mod gate;
mod layout;
mod lend;
mod message;
pub mod mpmc;
mod observer;
mod options;
mod outcome;
mod payload;
mod seat;
mod segment;
mod slots;
pub mod spsc;
pub mod stream;
#[cfg_attr(loom, allow(unused_imports))]
mod sys;
mod wait;
#[cfg(not(loom))]
mod waitset;

#[cfg(feature = "test-hooks")]
#[doc(hidden)]
pub mod hooks;

pub use endpoint::CancelHandle;
pub use error::{
    Corrupt, Error, Fault, Field, Found, RecvError, SendError, SendManyError, TryRecvError,
    TrySendError, WaitError,
};
pub use layout::{Kind, WaitMethod};
pub use message::Message;
pub use observer::{Observer, SeatView};
pub use options::{Options, RingKind};
pub use payload::{Copying, Payload, Trust, Trusted};
pub use seat::SeatState;
pub use segment::{Segment, unlink, unlink_unused};
#[cfg(not(loom))]
pub use waitset::{WaitSet, Waitable};

/// The examples of README.md, run with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
