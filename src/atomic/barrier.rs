//! Ordering a store before a load of another word: the one thing that edges can't do.
//!
//! A notifier changes the ring, then looks for sleepers; a sleeper notes itself, then
//! looks at the ring. Each needs its store to come before its load. With a fence on both
//! sides the notifier would pay 10 ns a message; with the asymmetric form it pays
//! nothing and the sleeper, who has time, runs a barrier on everybody's processor.

#[cfg(not(loom))]
use core::sync::atomic::{self, Ordering, compiler_fence};
#[cfg(loom)]
use loom::sync::atomic::{self, Ordering};

use super::edge::Edge;

/// The fence of an edge that is one.
#[inline(always)]
#[cfg_attr(feature = "test-hooks", track_caller)]
pub(crate) fn fence(edge: Edge) {
    #[cfg(any(loom, feature = "test-hooks"))]
    if super::is_inert() {
        return;
    }
    edge.fence();
}

/// JOIN: of a receiver that comes and a sender that raises its limit, one sees the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// Between the receiver's position and its look at the limit.
    Receiver,
    /// Between the sender's limit and its look at the positions.
    Sender,
}

impl Join {
    /// A full fence. Pairs with the other one's.
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn fence(self) {
        #[cfg(any(loom, feature = "test-hooks"))]
        if super::is_inert() {
            return;
        }
        #[cfg(feature = "test-hooks")]
        {
            let name = match self {
                Self::Receiver => "join::RECEIVER",
                Self::Sender => "join::SENDER",
            };
            if super::hooks::is_weakened(name) {
                return;
            }
        }
        atomic::fence(Ordering::SeqCst);
    }
}

/// How the two sides of the WAKE edge are ordered; fixed when a segment is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// `membarrier` by the sleeper, nothing by the notifier.
    Asymmetric,
    /// A `SeqCst` fence by both.
    Fenced,
}

impl Barrier {
    /// WAKE, the notifier's side: after the change, before the load of the flag.
    #[inline(always)]
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn notifier(self) {
        #[cfg(any(loom, feature = "test-hooks"))]
        if super::is_inert() {
            return;
        }
        #[cfg(feature = "test-hooks")]
        if super::hooks::is_weakened("wake::NOTIFIER") {
            return;
        }
        #[cfg(loom)]
        atomic::fence(Ordering::SeqCst);
        #[cfg(not(loom))]
        match self {
            Self::Asymmetric => compiler_fence(Ordering::SeqCst),
            Self::Fenced => atomic::fence(Ordering::SeqCst),
        }
    }

    /// WAKE, the sleeper's side: after the flag is set, before the re-check.
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(crate) fn sleeper(self) -> std::io::Result<()> {
        #[cfg(feature = "test-hooks")]
        if super::hooks::is_weakened("wake::SLEEPER") {
            return Ok(());
        }
        #[cfg(loom)]
        atomic::fence(Ordering::SeqCst);
        #[cfg(not(loom))]
        match self {
            Self::Asymmetric => crate::sys::barrier::heavy()?,
            Self::Fenced => atomic::fence(Ordering::SeqCst),
        }
        Ok(())
    }
}

/// Keeps the compiler to program order here. Enough where the other side looks only
/// after the kernel has ended this process: its stores are all done by then.
#[inline(always)]
pub(crate) fn program_order() {
    #[cfg(not(loom))]
    compiler_fence(Ordering::SeqCst);
}
