//! Seeded bugs, and the campaigns that are meant to catch them.
//!
//! The bugs are those of src/atomic/bug.rs. A hunt runs one campaign in a build that has
//! them, with one switched on; caught is what makes it find something.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::campaigns::{self, Depth};
use super::state::{Hunt, State};
use crate::cargo;
use crate::process::{self, Job, Log};

/// The name of this on the command line.
pub const NAME: &str = "bugs";

/// How long a hunt may take. A bug that makes a campaign hang is not caught by that.
const LIMIT: Duration = Duration::from_secs(120);

/// A bug, who wrote it, and the campaigns meant to catch it.
pub struct Row {
    /// The variant of `Bug`.
    pub bug: &'static str,
    /// Whether its author had not seen the campaigns.
    pub blind: bool,
    /// Campaigns.
    pub meant: &'static [&'static str],
}

/// By somebody who had not seen the campaigns.
const fn blind(bug: &'static str, meant: &'static [&'static str]) -> Row {
    Row { bug, blind: true, meant }
}

/// By the author of the code or of a campaign.
const fn known(bug: &'static str, meant: &'static [&'static str]) -> Row {
    Row { bug, blind: false, meant }
}

/// The matrix. What each bug does is said in src/atomic/bug.rs.
pub const ROWS: &[Row] = &[
    blind("FollowsLinks", &["strangers"]),
    blind("WaitsForFifo", &["strangers", "attacker"]),
    blind("InterruptedAllocationFails", &["faults"]),
    blind("SparseIfFull", &["faults", "strangers"]),
    blind("LockThroughShared", &["strangers"]),
    blind("LockSurvivesExec", &["strangers"]),
    blind("LockInherited", &["strangers"]),
    blind("ForkedHandlesGoOn", &["strangers"]),
    blind("AsksAsWriter", &["strangers"]),
    blind("RefusalKeepsDescriptor", &["leaks"]),
    blind("CoversWithZeros", &["attacker"]),
    blind("GenerationAfterFlag", &["wakeups"]),
    blind("SleepsOnNewGeneration", &["wakeups"]),
    blind("ClearForgetsArrivals", &["wakeups"]),
    blind("InterruptedWaitFails", &["faults"]),
    blind("NoFencedFallback", &["faults"]),
    blind("WakeRestartsTimeout", &["attacker"]),
    blind("LooksAroundAfterSlicesOnly", &["attacker"]),
    blind("NoAnswerIsDead", &["faults"]),
    blind("BarrierBeforeFlags", &["wakeups"]),
    blind("MissingWaitSpins", &["faults"]),
    blind("SkipsInDoubt", &["instructions", "accesses"]),
    blind("DropForgetsDoubt", &["instructions", "accesses"]),
    blind("FullRingOffByOne", &["instructions", "accesses"]),
    blind("BatchBackwards", &["instructions", "accesses"]),
    blind("GoneBeforeRoom", &["histories"]),
    blind("ComesSilently", &["wakeups"]),
    blind("LeavesSilently", &["wakeups"]),
    blind("NotifiesBeforeCommit", &["wakeups"]),
    blind("HeadUnchecked", &["lies"]),
    blind("LengthTwice", &["lies"]),
    blind("CapacityReread", &["lies", "attacker"]),
    blind("CommitBeforeWrap", &["instructions", "accesses"]),
    blind("StreamSuccession", &["instructions"]),
    blind("UnwindIsEnd", &["instructions"]),
    blind("TailUnchecked", &["lies"]),
    blind("NotifiesIfEmpty", &["wakeups"]),
    blind("ShortReadCommitsAll", &["faults"]),
    blind("ShortWriteRetiresAll", &["faults"]),
    blind("InterruptedReadIsEnd", &["faults"]),
    blind("ClaimOfOne", &["instructions", "accesses"]),
    blind("NewcomerJustSitsDown", &["instructions", "accesses"]),
    blind("TakesWithoutExchange", &["histories"]),
    blind("MovedOnIsFull", &["histories"]),
    blind("TriesForEver", &["lies"]),
    blind("LaterKeepsLock", &["leaks", "instructions"]),
    blind("FreedTooSoon", &["instructions", "accesses"]),
    blind("ClaimClearedFirst", &["instructions", "accesses"]),
    blind("DeadMessageIsFreed", &["instructions", "accesses"]),
    blind("NoLookAtCounter", &["instructions", "accesses"]),
    blind("RecoveringLives", &["instructions"]),
    blind("RedeliveredUnmarked", &["instructions", "accesses"]),
    blind("StalledIsEmpty", &["histories"]),
    blind("TombLeavesGap", &["histories", "accesses"]),
    blind("FreesBeforeCopy", &["histories", "accesses"]),
    blind("KeptIsDropped", &["leaks"]),
    blind("ForgottenStays", &["leaks"]),
    blind("PositionGivenBack", &["histories", "instructions"]),
    blind("PartialBatchSilent", &["wakeups"]),
    blind("WaiterKeepsWake", &["wakeups"]),
    blind("LeaverKeepsWake", &["wakeups"]),
    blind("HandleUnchecked", &["lies"]),
    blind("FrameLengthUnchecked", &["lies"]),
    blind("BufferFreedSilently", &["wakeups"]),
    blind("SendErrorLosesBuffer", &["faults"]),
    blind("ReclaimsSentFrames", &["accesses"]),
    blind("HandleReleasedFirst", &["accesses"]),
    blind("TailUnnoted", &["instructions", "accesses"]),
    blind("SkipsHalfWritten", &["instructions", "accesses"]),
    blind("OneDeathASlice", &["instructions"]),
    blind("JoinsLate", &["histories"]),
    blind("NoLookAfterLimit", &["histories"]),
    blind("SmallNeedsNoLook", &["histories"]),
    blind("LagMiscounts", &["histories"]),
    blind("TailHintTrusted", &["lies"]),
    blind("IncarnationStays", &["leaks", "accesses"]),
    blind("NoGiveBack", &["faults"]),
    blind("TrustsPids", &["strangers"]),
    blind("NoDescriptorPanics", &["faults"]),
    blind("NotedWithoutLock", &["instructions"]),
    blind("MagicFirst", &["accesses"]),
    blind("NamedTooEarly", &["instructions", "strangers"]),
    blind("NoNameCheck", &["strangers"]),
    blind("RemovesWhateverIsThere", &["strangers"]),
    blind("UnusedDespiteSeats", &["strangers"]),
    blind("MakerNotAttached", &["strangers"]),
    blind("UnlinksAnything", &["strangers"]),
    blind("RenameReplaces", &["strangers"]),
    blind("WaitsForRemover", &["strangers"]),
    blind("OpensOrCreatesForEver", &["strangers"]),
    blind("CapacityTwice", &["lies"]),
    blind("ChecksumTrusted", &["lies"]),
    blind("LengthUnchecked", &["strangers", "lies"]),
    blind("GuardAfterParse", &["attacker"]),
    blind("GuardsWholePages", &["attacker"]),
    blind("SealsNotRequired", &["strangers"]),
    blind("FillsSparseFiles", &["strangers"]),
    blind("NoOwnerCheck", &["strangers"]),
    blind("NoModeCheck", &["strangers"]),
    blind("ModeLeftAsMade", &["strangers"]),
    blind("NoNamelessFallback", &["faults"]),
    blind("TemporaryLeft", &["faults"]),
    blind("SemaphoresLeft", &["faults"]),
    blind("RefusedStaysMapped", &["leaks", "strangers"]),
    blind("GuardSlotLeaks", &["leaks"]),
    known("ClearBeforeWake", &["wakeups"]),
    known("WakeBeforeBump", &["wakeups"]),
    known("ClearThoughAllWoke", &["wakeups"]),
    known("NoRecheck", &["wakeups"]),
    known("RetireBeforeCopy", &["histories", "accesses", "soak"]),
    known("PublishBeforeCopy", &["histories", "accesses"]),
    known("NoLookAfterClosed", &["accesses"]),
    known("NoWritingMark", &["soak", "instructions"]),
    known("ClaimAfterCas", &["instructions", "accesses"]),
    known("IgnoreLive", &["soak"]),
    known("StaleLoser", &["soak"]),
    known("NoClaim", &["instructions", "accesses", "soak"]),
];

/// Whether the campaign is meant to catch the bug.
pub fn is_meant(bug: &str, campaign: &str) -> bool {
    ROWS.iter().any(|row| row.bug == bug && row.meant.contains(&campaign))
}

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

/// What is hunted: in full every bug by every campaign meant for it.
fn hunts(depth: Depth) -> Vec<(&'static str, &'static str)> {
    match depth {
        Depth::Quick => QUICK.to_vec(),
        Depth::Full => {
            let all = ROWS.iter();
            all.flat_map(|row| row.meant.iter().map(|campaign| (row.bug, *campaign))).collect()
        }
    }
}

/// Hunts the bugs.
pub fn run(depth: Depth, state: &mut State, began: Instant) -> Result<()> {
    println!("{NAME:13} each seeded bug is hunted");
    let path = super::log_file(NAME)?;
    let file = std::fs::File::create(&path).with_context(|| format!("can't make {path:?}"))?;
    let mut log = Log::quiet(file);
    let mut build = cargo::locked("build");
    build.args(["--release", "--package=annulus-prove", "--features=seeded", "--target-dir"]);
    build.arg(campaigns::target(true)?);
    let built = process::run(Job::new(build, super::minutes(15)), &mut log)?;
    ensure!(built.failure().is_none(), "the programs with bugs can't be built: {}", path.display());
    for (bug, campaign) in hunts(depth) {
        if state.hunt(bug, campaign).is_some_and(|hunt| hunt.caught) {
            continue;
        }
        let hunt = hunt(bug, campaign, &mut log)?;
        let verdict = if hunt.caught { "caught" } else { "MISSED" };
        println!("  {bug:32} {verdict} by {campaign} in {:.1} s", hunt.seconds);
        eprintln!("  {:4} s", began.elapsed().as_secs());
        state.keep_hunt(bug, campaign, hunt)?;
    }
    Ok(())
}

fn hunt(bug: &str, campaign: &str, log: &mut Log) -> Result<Hunt> {
    let (command, by_tests) = match campaigns::files_of(campaign) {
        Some(files) => {
            let mut command = campaigns::tests(files);
            command.env("ANNULUS_SEEDED_BUG", bug);
            (command, true)
        }
        None => {
            let program = campaigns::target(true)?.join("release").join(campaign);
            let mut command = Command::new(program);
            command.args(["--quick", "--bug", bug]).current_dir(cargo::root());
            (command, false)
        }
    };
    let start = Instant::now();
    let ended = process::run(Job::new(command, LIMIT), log)?;
    // A bug that breaks the campaign's own process is caught too; one that only takes its
    // time away is not, and neither is one that a campaign can't run with.
    let said = log.take();
    let found = said.lines().any(|line| line.starts_with("found: "));
    let caught = if by_tests { ended.tests.failed > 0 } else { found || ended.broke() };
    Ok(Hunt { caught, seconds: start.elapsed().as_secs_f64() })
}
