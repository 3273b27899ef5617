//! Named edges: every ordering in the crate, with its partner.
//!
//! An edge is a constant. With `test-hooks` it also carries its name, so that one
//! build can weaken any single edge at run time (`hooks::weaken`) and the ordering
//! campaign needs no rebuild; without, it is the plain ordering and folds away.

use core::sync::atomic::Ordering;
#[cfg(not(loom))]
use core::sync::atomic::fence;
#[cfg(loom)]
use loom::sync::atomic::fence;

/// An ordering and, in test builds, the name of the edge that it is one side of.
#[derive(Clone, Copy)]
pub(crate) struct Edge {
    ordering: Ordering,
    #[cfg(feature = "test-hooks")]
    name: &'static str,
}

impl Edge {
    #[cfg_attr(not(feature = "test-hooks"), expect(unused_variables))]
    const fn new(ordering: Ordering, name: &'static str) -> Self {
        Self {
            ordering,
            #[cfg(feature = "test-hooks")]
            name,
        }
    }

    /// The ordering to use now: the edge's own, unless a test has weakened it, or this
    /// one use of it.
    #[inline(always)]
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(super) fn ordering(self) -> Ordering {
        #[cfg(feature = "test-hooks")]
        if super::hooks::is_weakened(self.name) {
            return Ordering::Relaxed;
        }
        self.ordering
    }

    /// The same edge's name, and no order: for a load that a fence follows.
    pub(super) const fn relaxed(self) -> Self {
        Self {
            ordering: relaxed::FENCED.ordering,
            #[cfg(feature = "test-hooks")]
            name: self.name,
        }
    }

    /// A fence of the edge's ordering.
    #[inline(always)]
    #[cfg_attr(feature = "test-hooks", track_caller)]
    pub(super) fn fence(self) {
        let ordering = self.ordering();
        if ordering != relaxed::FENCED.ordering {
            fence(ordering);
        }
    }

    /// The edge's own ordering, which no test weakens.
    #[inline(always)]
    pub(super) const fn plain(self) -> Ordering {
        self.ordering
    }

    #[cfg(feature = "test-hooks")]
    pub(super) fn name(self) -> &'static str {
        self.name
    }
}

macro_rules! edges {
    ($($(#[$doc:meta])* $room:ident { $($(#[$line:meta])* $name:ident = $ordering:ident;)* })*) => {
        $($(#[$doc])* pub(crate) mod $room {
            use super::{Edge, Ordering};
            $($(#[$line])*
            pub(crate) const $name: Edge = Edge::new(
                Ordering::$ordering,
                concat!(stringify!($room), "::", stringify!($name)),
            );)*
        })*

        /// The name of every edge, for the ordering campaign; the last four are fences.
        #[cfg(feature = "test-hooks")]
        pub(super) const NAMES: &[&str] = &[
            $($(concat!(stringify!($room), "::", stringify!($name)),)*)*
            "wake::NOTIFIER",
            "wake::SLEEPER",
            "join::RECEIVER",
            "join::SENDER",
        ];
    };
}

edges! {
    /// FORMAT: whoever sees the magic sees the whole header and all first stamps.
    format {
        /// The creator's store of the magic, last. Pairs with [`ACQUIRE`].
        RELEASE = Release;
        /// An opener's load of the magic, first. Pairs with [`RELEASE`].
        ACQUIRE = Acquire;
    }

    /// SEAT: whoever sees how a seat was left sees all that its occupant did.
    seat {
        /// The occupant's store when it takes or leaves, a recoverer's when it ends
        /// a dead one's stay. Pairs with [`ACQUIRE`].
        RELEASE = Release;
        /// A peer's or successor's load. Pairs with [`RELEASE`].
        ACQUIRE = Acquire;
    }

    /// PUBLISH: whoever sees the stamp of a position sees its message.
    publish {
        /// The sender's store of the stamp. Pairs with [`ACQUIRE`].
        RELEASE = Release;
        /// The receiver's load of the stamp. Pairs with [`RELEASE`].
        ACQUIRE = Acquire;
    }

    /// RETIRE: whoever sees a position retired knows that its reads are over.
    retire {
        /// The receiver's store of the head. Pairs with [`ACQUIRE`].
        RELEASE = Release;
        /// The sender's load of the head. Pairs with [`RELEASE`].
        ACQUIRE = Acquire;
    }

    /// CLAIM: whoever settles what a dead participant left sees who had taken what.
    claim {
        /// A participant's note of the positions that it is about to take, or of none: all
        /// that it did with those noted before comes before. Pairs with [`LOOK`].
        NOTE = Release;
        /// The exchange that takes positions, after the note. Pairs with [`COUNTER`].
        TAKE = AcqRel;
        /// A recoverer's load of the counter: whoever took a position below has noted it.
        /// Pairs with [`TAKE`].
        COUNTER = Acquire;
        /// A recoverer's load of a claim. Pairs with [`NOTE`].
        LOOK = Acquire;
        /// A recoverer's exchange of a slot's word, which publishes or retires on behalf of
        /// the dead. Pairs with the loads of the word.
        SETTLE = AcqRel;
    }

    /// TEAR: whoever has read a word of a later message sees that the slot was marked.
    tear {
        /// The sender's fence between its mark and the words. Pairs with [`LOOK`].
        MARK = Release;
        /// The receiver's fence between the words and its second look at the stamp. Pairs
        /// with [`MARK`].
        LOOK = Acquire;
    }

    /// WAKE: nobody sleeps on a ready ring. The store-load order of its two sides is
    /// that of [`Barrier`](super::Barrier); these are the rest.
    wake {
        /// A sleeper's arrival, which takes place after it read the generation.
        /// Pairs with [`SEEN`].
        ARRIVE = Release;
        /// A notifier's load of the flag: its bump of the generation comes after every
        /// sleeper's reading of it. Pairs with [`ARRIVE`].
        SEEN = Acquire;
        /// A notifier's bump of the generation. Pairs with [`GENERATION`].
        BUMP = Release;
        /// A sleeper's reading of the generation: a cancellation before the bump is seen.
        /// Pairs with [`BUMP`].
        GENERATION = Acquire;
    }

    /// Accesses that order nothing, each with its reason.
    relaxed {
        /// This word has one writer and it is the caller.
        SOLE_WRITER = Relaxed;
        /// Nothing depends on the value: a stale one costs time alone.
        HINT = Relaxed;
        /// The value is checked afterwards in a way that orders.
        VALIDATED = Relaxed;
        /// A fence, lock or edge beside the access, named there, orders it.
        FENCED = Relaxed;
    }
}
