//! Bugs of this room that test builds can switch on. `atomic::bug` lists them with the
//! others, and tells this room, which imports nothing.

#[cfg(all(feature = "test-hooks", not(loom)))]
use std::sync::{Mutex, PoisonError};

/// A bug of this room, by the name that it has there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bug {
    FollowsLinks,
    WaitsForFifo,
    InterruptedAllocationFails,
    LockThroughShared,
    LockSurvivesExec,
    LockInherited,
    AsksAsWriter,
    RefusalKeepsDescriptor,
    SparseIfFull,
    ForkedHandlesGoOn,
    CoversWithZeros,
}

impl Bug {
    #[cfg(all(test, feature = "test-hooks"))]
    pub(crate) const ALL: &[Self] = &[
        Self::FollowsLinks,
        Self::WaitsForFifo,
        Self::InterruptedAllocationFails,
        Self::LockThroughShared,
        Self::LockSurvivesExec,
        Self::LockInherited,
        Self::AsksAsWriter,
        Self::RefusalKeepsDescriptor,
        Self::SparseIfFull,
        Self::ForkedHandlesGoOn,
        Self::CoversWithZeros,
    ];
}

/// The name of the bug that is switched on.
#[cfg(all(feature = "test-hooks", not(loom)))]
static TOLD: Mutex<Option<String>> = Mutex::new(None);

/// Says which bug is switched on, of whatever room.
#[cfg(all(feature = "test-hooks", not(loom)))]
pub(crate) fn tell(name: Option<String>) {
    *TOLD.lock().unwrap_or_else(PoisonError::into_inner) = name;
}

/// Whether the bug is switched on. Not for one that `fork` is in the middle of.
#[cfg(all(feature = "test-hooks", not(loom)))]
pub(super) fn seeded(bug: Bug) -> bool {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.as_ref().is_some_and(|name| *name == format!("{bug:?}"))
}

/// Never, in a release.
#[cfg(any(not(feature = "test-hooks"), loom))]
#[inline(always)]
pub(super) const fn seeded(_: Bug) -> bool {
    false
}

/// Whether a process of that number is there, for one who thinks that this says anything.
pub(crate) fn process_exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}
