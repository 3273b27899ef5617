//! Mistakes that can be seeded, each of which the explorer must find.
//!
//! Imports: nothing.

/// A mistake in the protocol, chosen at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The claim is written only after the CAS has won.
    ClaimAfterCas,
    /// Recovery does not ask whether somebody alive claims the position.
    IgnoreLive,
    /// Recovery asks for the seat's lock but does not take it.
    NoLock,
    /// The clear after an operation takes effect before the last word's store.
    RelaxedClear,
    /// Without a clear: the next store to the claim takes effect before the last word's.
    RelaxedNote,
    /// A batch's claim is cleared after its first message.
    EarlyClear,
    /// A loser returns `Full` or `Empty` with the claim of what he lost.
    StaleLoser,
    /// Recovery does not look whether the position was taken at all.
    NoCounter,
    /// Recovery looks at the counter after it has looked at the claims.
    CounterLast,
    /// Recovery frees a dead receiver's slot instead of keeping the message.
    FreesFull,
    /// Recovery delivers from FULL, without the CAS that decides whose estate it is.
    NoArbiter,
    /// A taker that finds LIVE clears the claim and sits down.
    TakerForgets,
    /// Recovery clears the claim before it settles the positions.
    ClearFirst,
    /// Recovery declares the seat free before it clears the claim.
    FreeFirst,
    /// What is under recovery still counts as alive while the recoverer holds the lock.
    RecoveringBlocks,
    /// A message that comes again is not marked.
    Unmarked,
    /// One who leaves clears his claim but forgets what he holds.
    LeaverForgets,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::ClaimAfterCas,
        Self::IgnoreLive,
        Self::NoLock,
        Self::RelaxedClear,
        Self::RelaxedNote,
        Self::EarlyClear,
        Self::StaleLoser,
        Self::NoCounter,
        Self::CounterLast,
        Self::FreesFull,
        Self::NoArbiter,
        Self::TakerForgets,
        Self::ClearFirst,
        Self::FreeFirst,
        Self::RecoveringBlocks,
        Self::Unmarked,
        Self::LeaverForgets,
    ];

    /// What is done wrong, for tables.
    pub fn what(self) -> &'static str {
        match self {
            Self::ClaimAfterCas => "claim after the CAS",
            Self::IgnoreLive => "recovery ignores live claims",
            Self::NoLock => "recovery without the seat's lock",
            Self::RelaxedClear => "relaxed clear overtakes the word",
            Self::RelaxedNote => "relaxed next claim overtakes the word",
            Self::EarlyClear => "batch's claim cleared after its first message",
            Self::StaleLoser => "stale loser's claim on Full or Empty",
            Self::NoCounter => "recovery without a look at the counter",
            Self::CounterLast => "counter read after the claims",
            Self::FreesFull => "recovery frees a dead receiver's message",
            Self::NoArbiter => "redelivery without the CAS to RECL",
            Self::TakerForgets => "taker does not recover",
            Self::ClearFirst => "recovery clears the claim first",
            Self::FreeFirst => "seat free before its claim is cleared",
            Self::RecoveringBlocks => "RECOVERING seats count as alive",
            Self::Unmarked => "redelivery without a mark",
            Self::LeaverForgets => "leaver forgets what he holds",
        }
    }
}
