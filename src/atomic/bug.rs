//! Bugs that test builds can switch on, to show that the nets catch fish.
//!
//! All are here; a build without `test-hooks` has none of them.

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A bug that can be seeded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(not(feature = "test-hooks"), allow(dead_code))]
        pub enum Bug {
            $($(#[$doc])* $name,)*
        }

        #[cfg(feature = "test-hooks")]
        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

bugs! {
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

    // The system calls: `sys` asks for these itself.
    /// A name that is a symbolic link is followed.
    FollowsLinks,
    /// Opening waits for the other end of a FIFO that stands there.
    WaitsForFifo,
    /// Reserving memory does not go on after a signal.
    InterruptedAllocationFails,
    /// A seat is locked through a duplicate of the segment's descriptor, not one opened anew.
    LockThroughShared,
    /// The descriptor of a lock is not closed by `exec`.
    LockSurvivesExec,
    /// A forked child keeps the descriptors of its parent's locks.
    LockInherited,
    /// Whether a seat is held is asked as a writer would, so that readers' locks count.
    AsksAsWriter,
    /// A lock that somebody else holds leaves the descriptor that was opened for it open.
    RefusalKeepsDescriptor,
    /// Where memory can't be reserved the file gets its length without.
    SparseIfFull,
    /// A forked child's handles go on as its parent's.
    ForkedHandlesGoOn,
    /// Memory that a peer has cut off reads as zeros, as if the ring were new.
    CoversWithZeros,

    // Waiting.
    /// A sleeper reads the generation after it has noted itself, not before.
    GenerationAfterFlag,
    /// A sleeper sleeps on the generation of now, not on the one that it read before it looked.
    SleepsOnNewGeneration,
    /// A notifier clears the flag whoever has arrived since it looked.
    ClearForgetsArrivals,
    /// A signal ends a sleep with an error.
    InterruptedWaitFails,
    /// Where the barrier of sleepers is missing, a new ring asks for it all the same.
    NoFencedFallback,
    /// Every wake-up for nothing begins the time-out anew.
    WakeRestartsTimeout,
    /// One who sleeps looks for the dead only if the sleep lasted a whole slice.
    LooksAroundAfterSlicesOnly,
    /// When the kernel does not say whether a peer lives, he is dead.
    NoAnswerIsDead,
    /// One who waits for several rings has its barrier before it notes itself at them.
    BarrierBeforeFlags,
    /// Where the kernel can't sleep on several words, one who waits for several rings spins.
    MissingWaitSpins,

    // Rings of one sender and one receiver.
    /// A receiver goes on behind what a dead one had exposed.
    SkipsInDoubt,
    /// A receiver that leaves does not hand on what was in doubt before it.
    DropForgetsDoubt,
    /// The successor of a sender looks at one slot too few of a ring that is full.
    FullRingOffByOne,
    /// A batch is committed from its last message to its first.
    BatchBackwards,
    /// A sender that finds its receiver gone does not look for room again.
    GoneBeforeRoom,
    /// Who takes a seat tells nobody.
    ComesSilently,
    /// A sender that leaves tells nobody.
    LeavesSilently,
    /// A reservation notifies, then commits.
    NotifiesBeforeCommit,
    /// A receiver's head is taken as it is.
    HeadUnchecked,
    /// The length of a byte message is checked, then read again to be used.
    LengthTwice,
    /// A slot's index is masked with the capacity that the header says now.
    CapacityReread,

    // Streams.
    /// Bytes that pass the end of the ring are committed before their second part is written.
    CommitBeforeWrap,
    /// A stream that lost its sender or receiver takes another.
    StreamSuccession,
    /// A sender that is dropped by a panic says that this was all.
    UnwindIsEnd,
    /// A sender's tail is taken however far it is.
    TailUnchecked,
    /// A sender notifies only if the receiver, as it last saw it, had nothing to read.
    NotifiesIfEmpty,
    /// A descriptor that gives fewer bytes than there is room for counts as having filled it.
    ShortReadCommitsAll,
    /// A descriptor that takes fewer bytes than there are counts as having taken all.
    ShortWriteRetiresAll,
    /// A signal during the reading of a descriptor looks like its end.
    InterruptedReadIsEnd,

    // Rings of many senders and receivers, and what their dead leave.
    /// The claim of a batch says its first position alone.
    ClaimOfOne,
    /// A receiver looks whether the head still stands there, then moves it, in two steps.
    TakesWithoutExchange,
    /// A slot that others have filled since the counter was read means that there is no room.
    MovedOnIsFull,
    /// One whose position others are always quicker to take never gives up.
    TriesForEver,
    /// Who takes the seat of a dead one does not settle what he left.
    NewcomerJustSitsDown,
    /// The lock of a dead one's seat that can't be settled yet is not let go.
    LaterKeepsLock,
    /// A dead one's seat is free although something of his could not be settled yet.
    FreedTooSoon,
    /// A message that a dead receiver had in hand counts as received.
    DeadMessageIsFreed,
    /// A dead one's claim is cleared before its positions are settled.
    ClaimClearedFirst,
    /// A dead one's position is settled although nobody has taken it.
    NoLookAtCounter,
    /// A claim of one who is dead too, and just being settled, is one of the living.
    RecoveringLives,
    /// A message that comes again is not marked.
    RedeliveredUnmarked,
    /// A position that is taken and has no message yet looks like none at all.
    StalledIsEmpty,
    /// One who was woken does not wake another if there is more.
    WaiterKeepsWake,
    /// A batch with a tomb in it leaves a gap in what was received.
    TombLeavesGap,
    /// A slot is freed before its message is copied out.
    FreesBeforeCopy,
    /// A receiver that leaves with a message that was too long does not hand it on.
    KeptIsDropped,
    /// A reservation that was forgotten is not given up by the next operation.
    ForgottenStays,
    /// A batch of which only a part could be sent notifies nobody.
    PartialBatchSilent,
    /// A position that is given up is taken back, if nobody has taken the next one.
    PositionGivenBack,

    // Frames.
    /// A handle's buffer is looked up whatever its number.
    HandleUnchecked,
    /// A frame's length is taken as its handle says.
    FrameLengthUnchecked,
    /// A receiver that gives a buffer back tells nobody.
    BufferFreedSilently,
    /// A frame that could not be sent has lost its buffer.
    SendErrorLosesBuffer,
    /// A dead sender's buffer is freed although its handle is in the ring.
    ReclaimsSentFrames,
    /// A handle is received before its buffer is taken.
    HandleReleasedFirst,

    // Broadcasts.
    /// A sender that takes over does not note the tail that it found.
    TailUnnoted,
    /// A sender that takes over goes on behind the slot that its predecessor had half written.
    SkipsHalfWritten,
    /// A sender that looks for dead receivers notes the first one and looks no further.
    OneDeathASlice,
    /// A receiver that joins says where it is only after it has looked at the limit.
    JoinsLate,
    /// A sender that raises its limit does not look at the positions again.
    NoLookAfterLimit,
    /// A message of one word is not looked at twice, since it can't be torn.
    SmallNeedsNoLook,
    /// The part of a lap that one who lags leaves out beyond what is lost is not told.
    LagMiscounts,
    /// Who lags goes on behind the tail, wherever it is.
    TailHintTrusted,

    // Seats.
    /// Who takes a seat leaves its incarnation as it is.
    IncarnationStays,
    /// A seat that was taken in vain is not given back.
    NoGiveBack,
    /// Whoever's process is there lives, and nobody else.
    TrustsPids,
    /// Where there is no descriptor for a lock, the program ends.
    NoDescriptorPanics,
    /// A death is noted whoever holds the seat's lock by then.
    NotedWithoutLock,

    // Segments.
    /// The magic is written before the rest of the header.
    MagicFirst,
    /// The header's capacity is checked, then read again to be used.
    CapacityTwice,
    /// A header whose checksum is right is taken as it is.
    ChecksumTrusted,
    /// The file may be shorter than its header says.
    LengthUnchecked,
    /// One who opens a segment does not look whether the name is still this file's.
    NoNameCheck,
    /// One who removes an unused segment does not look whether the name is still this file's.
    RemovesWhateverIsThere,
    /// A segment is unused if nobody has it open by its name, whoever sits there.
    UnusedDespiteSeats,
    /// A name is removed whatever stands there.
    UnlinksAnything,
    /// One who opens a segment waits for one who is about to remove it, however long.
    WaitsForRemover,
    /// Who makes a segment does not count as having it open.
    MakerNotAttached,
    /// A new segment gets its name before it is written.
    NamedTooEarly,
    /// Where files can't be nameless, a new segment takes the place of what has its name.
    RenameReplaces,
    /// Where files can't be nameless, no segment is made.
    NoNamelessFallback,
    /// Where files can't be nameless, a segment that could not be made leaves its file.
    TemporaryLeft,
    /// A segment that could not be made leaves the names of its semaphores.
    SemaphoresLeft,
    /// A segment that was refused stays mapped.
    RefusedStaysMapped,
    /// Anybody's file will do.
    NoOwnerCheck,
    /// A file that others may write will do.
    NoModeCheck,
    /// The mode of a new segment is as the kernel made it.
    ModeLeftAsMade,
    /// A memfd that could be sealed, and is not, will do.
    SealsNotRequired,
    /// One who opens a file brings in pages that its maker has not paid for.
    FillsSparseFiles,
    /// A segment's header is read before the segment is guarded.
    GuardAfterParse,
    /// The last page of a segment is not guarded, unless the segment fills it.
    GuardsWholePages,
    /// A segment that is not mapped any more keeps its place among the guarded ones.
    GuardSlotLeaks,
    /// One who opens or makes a segment whose name comes and goes never gives up.
    OpensOrCreatesForEver,
}

#[cfg(feature = "test-hooks")]
impl Bug {
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

#[cfg(all(test, feature = "test-hooks"))]
mod tests {
    use super::*;

    #[test]
    fn bugs_of_the_system_calls_are_listed_with_the_others() {
        for bug in crate::sys::bug::Bug::ALL {
            assert!(Bug::named(&format!("{bug:?}")).is_some(), "{bug:?}");
        }
    }
}
