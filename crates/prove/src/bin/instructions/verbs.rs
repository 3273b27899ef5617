//! What is done when somebody is killed, and where: verbs, rings, fills, places.
//!
//! Imports: nothing.

use std::fmt;

/// Messages of a batch.
pub const BATCH: usize = 3;

/// Messages that a ring holds.
pub const CAPACITY: u64 = 4;

/// An operation of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    TrySend,
    /// Waits while there is no room.
    Send,
    /// Reserves, writes, commits.
    Reserve,
    /// Reserves, writes, and lets go.
    Abort,
    /// Reserves, forgets that, and sends another.
    ForgetTx,
    TrySendMany,
    SendMany,
    /// Asks who of the other side lives.
    NoticeTx,
    LeaveTx,
    /// Is dropped by a panic, with a reservation in hand if there is room.
    UnwindTx,
    /// Opens the ring and takes the seat, perhaps of one who died.
    AttachTx,
    /// The same, sends a message, and leaves.
    VisitTx,
    TryRecv,
    /// Waits while there is no message.
    Recv,
    /// Waits, but not for long, and so looks for the dead.
    RecvShortly,
    /// Receives under a guard, or where there is none looks at the message in place.
    Guard,
    /// Receives under a guard, forgets that, and receives another.
    ForgetRx,
    TryRecvMany,
    RecvMany,
    Latest,
    NoticeRx,
    LeaveRx,
    AttachRx,
    /// The same, and leaves without having received.
    VisitRx,
    /// The same, and receives under a guard where there is one.
    HeirRx,
    /// Makes a ring under a new name, or a memfd.
    Create,
    /// Makes it, or opens what is there.
    OpenOrCreate,
    Open,
    Unlink,
    UnlinkUnused,
}

impl Verb {
    /// Whether it is a sender's.
    pub fn sends(self) -> bool {
        (self as u32) < Self::TryRecv as u32
    }

    /// Whether it is about a ring and not about its messages.
    pub fn makes(self) -> bool {
        self as u32 >= Self::Create as u32
    }

    /// Whether it begins with coming to the ring.
    pub fn comes(self) -> bool {
        matches!(
            self,
            Self::AttachTx | Self::VisitTx | Self::AttachRx | Self::VisitRx | Self::HeirRx
        )
    }

    /// How many messages it may be in the middle of sending.
    pub fn sending(self) -> u64 {
        match self {
            Self::VisitTx | Self::TrySend | Self::Send | Self::Reserve => 1,
            // The second one; the first is never sent.
            Self::ForgetTx => 2,
            Self::TrySendMany | Self::SendMany => BATCH as u64,
            _ => 0,
        }
    }

    /// How many messages it may be in the middle of receiving by copy: received, and nobody
    /// was told.
    pub fn receiving(self) -> u64 {
        match self {
            Self::TryRecv | Self::Recv | Self::RecvShortly => 1,
            // The second one; the first was exposed.
            Self::ForgetRx => 1,
            Self::TryRecvMany | Self::RecvMany => BATCH as u64,
            _ => 0,
        }
    }

    /// Whether messages are exposed before they are received.
    pub fn exposes(self) -> bool {
        matches!(self, Self::Guard | Self::ForgetRx | Self::HeirRx)
    }
}

/// The kinds of rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Spsc,
    /// The same, of messages that are copied in many rounds of one instruction.
    Long,
    Mpmc,
    Stream,
    Broadcast,
    Lossless,
}

impl Kind {
    pub const ALL: &[Self] =
        &[Self::Spsc, Self::Long, Self::Mpmc, Self::Stream, Self::Broadcast, Self::Lossless];

    pub fn name(self) -> &'static str {
        match self {
            Self::Spsc => "spsc",
            Self::Long => "spsc-long",
            Self::Mpmc => "mpmc",
            Self::Stream => "stream",
            Self::Broadcast => "broadcast",
            Self::Lossless => "lossless",
        }
    }

    /// Whether every receiver gets every message.
    pub fn casts(self) -> bool {
        matches!(self, Self::Broadcast | Self::Lossless)
    }

    /// The verbs of its endpoints, but for attaching.
    pub fn verbs(self) -> Vec<Verb> {
        use Verb::*;
        let all = [
            TrySend,
            Send,
            Reserve,
            Abort,
            ForgetTx,
            TrySendMany,
            SendMany,
            NoticeTx,
            LeaveTx,
            UnwindTx,
            TryRecv,
            Recv,
            Guard,
            ForgetRx,
            TryRecvMany,
            RecvMany,
            Latest,
            NoticeRx,
            LeaveRx,
        ];
        let has = |verb: &Verb| match self {
            Self::Spsc | Self::Mpmc => *verb != Latest,
            // Coming and asking know nothing of messages.
            Self::Long => {
                !matches!(verb, Latest | NoticeTx | NoticeRx | LeaveTx | LeaveRx | UnwindTx)
            }
            Self::Stream => !matches!(verb, Latest | ForgetTx | ForgetRx),
            Self::Broadcast | Self::Lossless => {
                !matches!(verb, Reserve | Abort | ForgetTx | UnwindTx | ForgetRx | RecvMany)
            }
        };
        all.into_iter().filter(has).collect()
    }
}

/// How many messages wait, and where in the lap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    Empty,
    One,
    AlmostFull,
    Full,
    /// One waits, in the last slot: the next goes into the first.
    Wrap,
}

impl Fill {
    pub const ALL: &[Self] = &[Self::Empty, Self::One, Self::AlmostFull, Self::Full, Self::Wrap];

    pub fn waiting(self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::One | Self::Wrap => 1,
            Self::AlmostFull => CAPACITY - 1,
            Self::Full => CAPACITY,
        }
    }

    /// Messages that were sent and received before.
    pub fn lap(self) -> u64 {
        if self == Self::Wrap { CAPACITY - 1 } else { CAPACITY }
    }
}

/// Where the segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Memfd,
    Named,
    File,
}

impl Place {
    pub const ALL: &[Self] = &[Self::Memfd, Self::Named, Self::File];
}

/// Who else is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Nobody does anything before the kill.
    None,
    /// One of the other side sleeps in a blocking call.
    Waiter,
    /// Before the kill at one instruction somebody does a whole operation at an earlier one.
    Rival,
    /// A second one is killed in `verb`, after the first.
    Second(Verb),
}

/// What of a second one, or of one alone, is asked of those who went before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nobody was there.
    Nobody,
    /// One left in order.
    Left,
    /// One was killed between two operations, or with a message in hand.
    Died,
    /// One was killed while it put a message into the ring.
    Midway,
}

/// One row of kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub kind: Kind,
    pub verb: Verb,
    pub fill: Fill,
    pub place: Place,
    pub company: Company,
    /// For attaching.
    pub before: Before,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, verb, fill, place, company, before } = self;
        write!(f, "{}/{verb:?}/{fill:?}/{place:?}", kind.name())?;
        if *company != Company::None {
            write!(f, "/{company:?}")?;
        }
        if *before != Before::Nobody {
            write!(f, "/{before:?}")?;
        }
        Ok(())
    }
}

impl Cell {
    /// Messages that were sent and received before. A stream's next record then passes the end
    /// of the ring where it is to wrap: what was sent before began with half a record.
    pub fn lap(&self) -> u64 {
        match self.fill {
            Fill::Wrap if self.kind == Kind::Stream && self.verb.sends() => CAPACITY - 2,
            fill => fill.lap(),
        }
    }

    /// Whether that is so.
    pub fn shifted(&self) -> bool {
        self.kind == Kind::Stream && self.fill == Fill::Wrap
    }

    /// Whether one who comes finds no seat but that of one who died.
    pub fn tight(&self) -> bool {
        let alone = match self.company {
            Company::None | Company::Rival => true,
            Company::Second(verb) => verb.comes(),
            Company::Waiter => false,
        };
        alone && matches!(self.fill, Fill::One | Fill::Full | Fill::Wrap)
    }
}

/// All cells, those of one ring after the other.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for &kind in Kind::ALL {
        for &place in Place::ALL {
            let long = kind == Kind::Long;
            if long && place != Place::Memfd {
                continue;
            }
            if !long {
                making(&mut cells, kind, place);
            }
            for &fill in Fill::ALL {
                let plain = |verb| Cell {
                    kind,
                    verb,
                    fill,
                    place,
                    company: Company::None,
                    before: Before::Nobody,
                };
                for verb in kind.verbs() {
                    cells.push(plain(verb));
                }
                if !long {
                    attaching(&mut cells, plain);
                }
                if place == Place::Memfd && !long {
                    with_company(&mut cells, plain);
                }
            }
        }
    }
    cells
}

/// Making and removing; `Died` says that there is a ring, which somebody died in.
fn making(cells: &mut Vec<Cell>, kind: Kind, place: Place) {
    let (fill, company) = (Fill::Empty, Company::None);
    let mut add = |verb, before| cells.push(Cell { kind, verb, fill, place, company, before });
    add(Verb::Create, Before::Nobody);
    if place != Place::Memfd {
        add(Verb::OpenOrCreate, Before::Nobody);
        add(Verb::OpenOrCreate, Before::Died);
        for verb in [Verb::Open, Verb::Unlink, Verb::UnlinkUnused] {
            add(verb, Before::Died);
        }
    }
}

/// Coming to a new ring, and after others.
fn attaching(cells: &mut Vec<Cell>, plain: impl Fn(Verb) -> Cell) {
    for verb in [Verb::AttachTx, Verb::VisitTx, Verb::AttachRx, Verb::VisitRx, Verb::HeirRx] {
        let cell = plain(verb);
        for before in [Before::Nobody, Before::Left, Before::Died, Before::Midway] {
            let new = before == Before::Nobody;
            let attaches = matches!(verb, Verb::AttachTx | Verb::AttachRx);
            // A stream has one of each in its life; somebody has to have filled the ring.
            if ((cell.kind == Kind::Stream || !attaches) && !new)
                && (cell.kind == Kind::Stream || cell.place != Place::Memfd)
            {
                continue;
            }
            if new && (cell.fill != Fill::Empty || !attaches) {
                continue;
            }
            // Receivers have nothing in the ring but what they hold.
            if before == Before::Midway && !verb.sends() {
                continue;
            }
            cells.push(Cell { before, ..cell });
        }
    }
}

/// Waiters, rivals, and second deaths.
fn with_company(cells: &mut Vec<Cell>, plain: impl Fn(Verb) -> Cell) {
    let with = |verb, company| Cell { company, ..plain(verb) };
    let Cell { kind, fill, .. } = plain(Verb::TrySend);
    for verb in kind.verbs() {
        // A receiver sleeps over an empty ring, a sender over a full one.
        let waits = if verb.sends() { fill == Fill::Empty } else { fill == Fill::Full };
        let wakes = !matches!(verb, Verb::NoticeTx | Verb::NoticeRx | Verb::Latest);
        if waits && wakes && (verb.sends() || kind != Kind::Broadcast) {
            cells.push(with(verb, Company::Waiter));
        }
        let leaves = matches!(verb, Verb::LeaveTx | Verb::LeaveRx | Verb::UnwindTx);
        if matches!(fill, Fill::One | Fill::Wrap) && !leaves {
            cells.push(with(verb, Company::Rival));
        }
        if !matches!(fill, Fill::One | Fill::AlmostFull) || verb == Verb::UnwindTx {
            continue;
        }
        let heirs = match verb.sends() {
            true => [Verb::VisitTx].iter(),
            false => [Verb::HeirRx, Verb::VisitRx].iter(),
        };
        for &heir in heirs {
            cells.push(with(verb, Company::Second(heir)));
        }
        if kind == Kind::Stream {
            // There is one of each side in its life: who comes is refused, and killed at that.
            continue;
        }
        let other = if verb.sends() { Verb::NoticeRx } else { Verb::NoticeTx };
        cells.push(with(verb, Company::Second(other)));
        if kind == Kind::Mpmc {
            cells.push(with(verb, Company::Second(Verb::RecvShortly)));
        }
    }
}
