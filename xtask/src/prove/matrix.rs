//! Seeded bugs, and the campaigns that are meant to catch them.
//!
//! The bugs are those of src/atomic/bug.rs. `meant` is a promise: a hunt that misses fails
//! the run. `missed` is what hunts have shown: known, on record, and no failure.

use super::campaigns::Depth;

/// A bug, who wrote it, and which campaigns look for it.
pub struct Row {
    /// The variant of `Bug`.
    pub bug: &'static str,
    /// Whether its author had not seen the campaigns.
    pub blind: bool,
    /// Campaigns that catch it.
    pub meant: &'static [&'static str],
    /// Campaigns that were meant to, hunted it, and missed it.
    pub missed: &'static [&'static str],
    /// The file of tests/ that is run first where the campaign is tests.
    pub file: Option<&'static str>,
}

/// By somebody who had not seen the campaigns.
const fn blind(bug: &'static str, meant: &'static [&'static str]) -> Row {
    Row { bug, blind: true, meant, missed: &[], file: None }
}

/// By the author of the code or of a campaign.
const fn known(bug: &'static str, meant: &'static [&'static str]) -> Row {
    Row { blind: false, ..blind(bug, meant) }
}

impl Row {
    const fn missed(mut self, campaigns: &'static [&'static str]) -> Self {
        self.missed = campaigns;
        self
    }

    const fn file(mut self, file: &'static str) -> Self {
        self.file = Some(file);
        self
    }
}

/// The matrix. What each bug does is said in src/atomic/bug.rs.
pub const ROWS: &[Row] = &[
    blind("FollowsLinks", &["strangers"]).file("segment_files"),
    blind("WaitsForFifo", &["strangers"]).missed(&["attacker"]).file("segment_files"),
    blind("InterruptedAllocationFails", &["faults"]),
    blind("SparseIfFull", &["strangers", "faults"]).file("segment_making"),
    blind("LockThroughShared", &["strangers"]).file("seats"),
    blind("LockSurvivesExec", &["strangers"]).file("seats_fork"),
    blind("LockInherited", &["strangers", "leaks"]).file("seats_fork"),
    blind("ForkedHandlesGoOn", &["strangers"]).file("seats_fork"),
    blind("AsksAsWriter", &["strangers"]).file("seats"),
    blind("RefusalKeepsDescriptor", &["leaks"]),
    blind("CoversWithZeros", &["strangers", "attacker"]).file("segment_cut"),
    blind("GenerationAfterFlag", &["wakeups"]),
    blind("SleepsOnNewGeneration", &["wakeups"]),
    blind("ClearForgetsArrivals", &["wakeups"]),
    blind("InterruptedWaitFails", &["faults"]),
    blind("NoFencedFallback", &["faults"]),
    blind("WakeRestartsTimeout", &["strangers"]).missed(&["attacker"]).file("waiting_wakes"),
    blind("LooksAroundAfterSlicesOnly", &["strangers"]).missed(&["attacker"]).file("waiting_wakes"),
    blind("NoAnswerIsDead", &["faults"]),
    blind("BarrierBeforeFlags", &[]).missed(&["wakeups"]),
    blind("MissingWaitSpins", &["faults"]),
    blind("SkipsInDoubt", &["instructions", "accesses", "schedules"]).file("hooks_kills"),
    blind("DropForgetsDoubt", &["accesses", "instructions"]).file("hooks_kills"),
    blind("FullRingOffByOne", &["instructions", "accesses"]).file("hooks_kills"),
    blind("BatchBackwards", &["instructions", "accesses"]).file("hooks_kills"),
    blind("GoneBeforeRoom", &["accesses"]).missed(&["histories"]).file("interleave"),
    blind("ComesSilently", &["wakeups"]),
    blind("LeavesSilently", &["wakeups"]),
    blind("NotifiesBeforeCommit", &["wakeups"]),
    blind("HeadUnchecked", &["lies"]),
    blind("LengthTwice", &["lies"]),
    blind("CapacityReread", &["lies", "attacker"]),
    blind("CommitBeforeWrap", &["accesses", "instructions", "schedules"])
        .file("stream_kills_hooks"),
    blind("StreamSuccession", &["instructions"]),
    blind("UnwindIsEnd", &["instructions"]),
    blind("TailUnchecked", &["lies"]),
    blind("NotifiesIfEmpty", &["wakeups"]),
    blind("ShortReadCommitsAll", &["faults"]),
    blind("ShortWriteRetiresAll", &["faults"]),
    blind("InterruptedReadIsEnd", &["faults"]),
    blind("ClaimOfOne", &["instructions", "accesses"]).file("mpmc_hooks"),
    blind("NewcomerJustSitsDown", &["accesses", "instructions"]).file("mpmc_hooks"),
    blind("TakesWithoutExchange", &["histories", "schedules", "accesses"]).file("interleave"),
    blind("MovedOnIsFull", &["accesses"]).missed(&["histories"]).file("interleave"),
    blind("TriesForEver", &["lies"]),
    blind("LaterKeepsLock", &["leaks", "instructions"]),
    blind("FreedTooSoon", &["instructions", "accesses"]).file("mpmc_hooks"),
    blind("ClaimClearedFirst", &["instructions", "accesses"]).file("mpmc_hooks"),
    blind("DeadMessageIsFreed", &["instructions", "accesses", "schedules"]).file("mpmc_hooks"),
    blind("NoLookAtCounter", &["instructions", "accesses"]).file("mpmc_hooks"),
    blind("RecoveringLives", &["accesses"]).missed(&["instructions"]).file("interleave_kills"),
    blind("RedeliveredUnmarked", &["instructions", "accesses"]).file("mpmc_hooks"),
    blind("StalledIsEmpty", &["histories"]),
    blind("TombLeavesGap", &["histories", "accesses"]).file("mpmc_hooks"),
    blind("FreesBeforeCopy", &["histories", "accesses"]).file("mpmc_hooks"),
    blind("KeptIsDropped", &["leaks"]),
    blind("ForgottenStays", &["leaks"]),
    blind("PositionGivenBack", &["histories"]).missed(&["instructions"]),
    blind("PartialBatchSilent", &["wakeups"]),
    blind("WaiterKeepsWake", &["wakeups"]),
    blind("HandleUnchecked", &["lies"]),
    blind("FrameLengthUnchecked", &["lies"]),
    blind("BufferFreedSilently", &["wakeups"]),
    blind("SendErrorLosesBuffer", &["faults"]),
    blind("ReclaimsSentFrames", &["accesses"]).file("frames_hooks"),
    blind("HandleReleasedFirst", &["accesses"]).file("frames_hooks"),
    blind("TailUnnoted", &["accesses"]).missed(&["instructions"]).file("broadcast_hooks"),
    blind("SkipsHalfWritten", &["instructions", "accesses"]).file("broadcast_hooks"),
    blind("OneDeathASlice", &["accesses"]).missed(&["instructions"]).file("broadcast_hooks"),
    blind("JoinsLate", &["accesses"]).missed(&["histories"]).file("interleave"),
    blind("NoLookAfterLimit", &["accesses"]).missed(&["histories"]).file("interleave"),
    blind("SmallNeedsNoLook", &["accesses"]).missed(&["histories"]).file("interleave"),
    blind("LagMiscounts", &["histories"]),
    blind("TailHintTrusted", &["accesses"]).missed(&["lies"]).file("broadcast_hooks"),
    blind("IncarnationStays", &["leaks", "accesses"]).file("frames_hooks"),
    blind("NoGiveBack", &["faults"]),
    blind("TrustsPids", &["strangers"]).file("segment_observer"),
    blind("NoDescriptorPanics", &["faults"]),
    blind("NotedWithoutLock", &["accesses"]).missed(&["instructions"]).file("interleave_looks"),
    blind("MagicFirst", &["accesses"]).file("hooks_making"),
    blind("NamedTooEarly", &["instructions", "strangers"]).file("segment_making"),
    blind("NoNameCheck", &["strangers"]).file("segment_unused_moments"),
    blind("RemovesWhateverIsThere", &["strangers"]).file("segment_unused_moments"),
    blind("UnusedDespiteSeats", &["strangers"]).file("segment_unused"),
    blind("MakerNotAttached", &["strangers"]).file("segment_unused"),
    blind("UnlinksAnything", &["strangers"]).file("segment_files"),
    blind("RenameReplaces", &["strangers"]).file("segment_making"),
    blind("WaitsForRemover", &["strangers"]).file("segment_unused_moments"),
    blind("OpensOrCreatesForEver", &["faults"]).missed(&["strangers"]),
    blind("CapacityTwice", &["lies"]),
    blind("ChecksumTrusted", &["lies"]),
    blind("LengthUnchecked", &["strangers", "lies"]).file("segment_files"),
    blind("GuardAfterParse", &["attacker"]),
    blind("GuardsWholePages", &["attacker"]),
    blind("SealsNotRequired", &["strangers"]).file("segment_memfd"),
    blind("FillsSparseFiles", &["strangers"]).file("segment_files"),
    blind("NoOwnerCheck", &["strangers"]).file("segment_files"),
    blind("NoModeCheck", &["strangers"]).file("segment_files"),
    blind("ModeLeftAsMade", &["strangers"]).file("segment_making"),
    blind("NoNamelessFallback", &["faults"]),
    blind("TemporaryLeft", &["faults"]),
    blind("SemaphoresLeft", &["faults"]),
    blind("RefusedStaysMapped", &["strangers", "leaks"]).file("segment_observer"),
    blind("GuardSlotLeaks", &["leaks"]),
    known("ClearBeforeWake", &["wakeups"]),
    known("WakeBeforeBump", &["wakeups", "schedules"]),
    known("ClearThoughAllWoke", &["wakeups"]),
    known("NoRecheck", &["wakeups", "schedules"]),
    known("RetireBeforeCopy", &["histories", "accesses", "soak"]),
    known("PublishBeforeCopy", &["histories", "accesses"]).file("hooks_kills"),
    known("NoLookAfterClosed", &["accesses", "schedules"]).file("interleave"),
    known("NoWritingMark", &["soak", "instructions", "accesses"])
        .missed(&["histories"])
        .file("interleave"),
    known("ClaimAfterCas", &["instructions", "accesses", "schedules"])
        .missed(&["histories"])
        .file("mpmc_hooks"),
    known("IgnoreLive", &["soak", "schedules"]),
    known("StaleLoser", &["accesses"]).missed(&["soak"]).file("interleave_kills"),
    known("NoClaim", &["instructions", "accesses", "soak", "schedules"]).file("mpmc_hooks"),
];

/// What is hunted in quick: some of each campaign's, which take it seconds.
const QUICK: &[(&str, &str)] = &[
    ("SkipsInDoubt", "instructions"),
    ("FullRingOffByOne", "instructions"),
    ("StreamSuccession", "instructions"),
    ("ClaimOfOne", "instructions"),
    ("RedeliveredUnmarked", "accesses"),
    ("DropForgetsDoubt", "accesses"),
    ("SkipsInDoubt", "accesses"),
    ("FrameLengthUnchecked", "lies"),
    ("HandleUnchecked", "lies"),
    ("ChecksumTrusted", "lies"),
    ("GuardsWholePages", "attacker"),
    ("CapacityReread", "attacker"),
    ("SleepsOnNewGeneration", "wakeups"),
    ("ClearForgetsArrivals", "wakeups"),
    ("NoRecheck", "wakeups"),
    ("TakesWithoutExchange", "histories"),
    ("TakesWithoutExchange", "schedules"),
    ("TombLeavesGap", "histories"),
    ("FreesBeforeCopy", "histories"),
    ("StalledIsEmpty", "histories"),
    ("NoClaim", "soak"),
    ("NoWritingMark", "soak"),
    ("RetireBeforeCopy", "soak"),
    ("RefusalKeepsDescriptor", "leaks"),
    ("LaterKeepsLock", "leaks"),
    ("IncarnationStays", "leaks"),
    ("NoOwnerCheck", "strangers"),
    ("NoModeCheck", "strangers"),
    ("SealsNotRequired", "strangers"),
    ("InterruptedWaitFails", "faults"),
    ("NoFencedFallback", "faults"),
    ("NoDescriptorPanics", "faults"),
];

/// A hunt.
#[derive(Clone, Copy)]
pub struct Pair {
    /// For this bug.
    pub bug: &'static str,
    /// By this campaign.
    pub campaign: &'static str,
    /// This file of tests/ first.
    pub file: Option<&'static str>,
}

/// What is hunted: in full every bug by every campaign meant for it, and those that missed;
/// the same of one bug if one is named.
pub fn pairs(depth: Depth, only: Option<&str>) -> Vec<Pair> {
    let all = ROWS.iter().flat_map(|row| {
        let campaigns = row.meant.iter().chain(row.missed);
        campaigns.map(|campaign| Pair { bug: row.bug, campaign, file: row.file })
    });
    let quick = |pair: &Pair| QUICK.contains(&(pair.bug, pair.campaign));
    let wanted = |pair: &Pair| match only {
        Some(bug) => pair.bug == bug,
        None => depth == Depth::Full || quick(pair),
    };
    all.filter(wanted).collect()
}

/// Whether the campaign is meant to catch the bug.
pub fn is_meant(bug: &str, campaign: &str) -> bool {
    ROWS.iter().any(|row| row.bug == bug && row.meant.contains(&campaign))
}

/// Whether the campaign is known to miss the bug.
pub fn is_missed(bug: &str, campaign: &str) -> bool {
    ROWS.iter().any(|row| row.bug == bug && row.missed.contains(&campaign))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cargo;
    use crate::prove::campaigns::{Runs, named};

    #[test]
    fn every_bug_of_the_library_has_one_row() {
        let path = cargo::root().join("src/atomic/bug.rs");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, list) = text.split_once("bugs! {").unwrap();
        let (list, _) = list.split_once("\n}").unwrap();
        let names = list.lines().filter_map(|line| line.trim().strip_suffix(','));
        let names: BTreeSet<_> = names.filter(|name| !name.starts_with("//")).collect();
        let rows: BTreeSet<_> = ROWS.iter().map(|row| row.bug).collect();
        assert_eq!(names, rows);
        assert_eq!(rows.len(), ROWS.len());
    }

    #[test]
    fn a_row_names_campaigns_and_files_that_there_are() {
        for row in ROWS {
            assert!(!row.meant.is_empty() || !row.missed.is_empty(), "{}", row.bug);
            let both = row.meant.iter().find(|campaign| row.missed.contains(campaign));
            assert_eq!(both, None, "{}", row.bug);
            let campaigns = row.meant.iter().chain(row.missed);
            let runs: Vec<_> = campaigns.map(|name| &named(name).expect(name).runs).collect();
            let has = |file: &str| {
                runs.iter().any(|runs| matches!(runs, Runs::Tests(files) if files.contains(&file)))
            };
            assert!(row.file.is_none_or(has), "{}", row.bug);
        }
    }

    #[test]
    fn what_is_hunted_in_quick_is_meant() {
        for (bug, campaign) in QUICK {
            assert!(is_meant(bug, campaign), "{bug} {campaign}");
        }
        assert_eq!(pairs(Depth::Quick, None).len(), QUICK.len());
    }
}
