//! Bugs that test builds can switch on, to show that the nets catch fish.
//!
//! All are here; a build without `test-hooks` has none of them.

/// A bug that can be seeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A notifier clears the flag before it wakes.
    ClearBeforeWake,
    /// A notifier wakes before it starts a new generation.
    WakeBeforeBump,
    /// A notifier clears the flag although as many woke as it asked for.
    ClearThoughAllWoke,
    /// A sleeper does not look again between noting itself and sleeping.
    NoRecheck,
    /// The head is published before the message is copied out.
    RetireBeforeCopy,
    /// The stamp is published before the message is copied in.
    PublishBeforeCopy,
    /// What the sender did before it left is not looked at again.
    NoLookAfterClosed,
    /// A broadcast's slot is not marked before it is written.
    NoWritingMark,
    /// A position is claimed after it was taken.
    ClaimAfterCas,
    /// What somebody who lives claims too is settled all the same.
    IgnoreLive,
    /// A claim that took nothing is not withdrawn.
    StaleLoser,
    /// A guard's exposure is not noted.
    NoClaim,
}

impl Bug {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::ClearBeforeWake,
        Self::WakeBeforeBump,
        Self::ClearThoughAllWoke,
        Self::NoRecheck,
        Self::RetireBeforeCopy,
        Self::PublishBeforeCopy,
        Self::NoLookAfterClosed,
        Self::NoWritingMark,
        Self::ClaimAfterCas,
        Self::IgnoreLive,
        Self::StaleLoser,
        Self::NoClaim,
    ];

    /// The bug of this name, which is the variant's.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| format!("{bug:?}") == name)
    }
}

/// Whether the bug is switched on.
#[cfg(feature = "test-hooks")]
#[inline(always)]
pub(crate) fn seeded(bug: Bug) -> bool {
    super::hooks::is_seeded(bug)
}

/// Never, in a release.
#[cfg(not(feature = "test-hooks"))]
#[inline(always)]
pub(crate) const fn seeded(_: Bug) -> bool {
    false
}
