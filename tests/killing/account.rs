//! The exact account of one ring: what each life and its successor say must fit.

use std::fmt;

use super::journal::Journal;

/// What has happened, for people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Kills of senders.
    pub senders: u64,
    /// Kills of receivers.
    pub receivers: u64,
    /// Kills that came before their victim had its seat.
    pub early: u64,
    /// Messages committed that the dead sender did not know to be.
    pub committed_unknown: u64,
    /// Deaths that left a copied message, or a run, in doubt: retired, and not used.
    pub deaths_in_doubt: u64,
    /// Messages in doubt by them.
    pub in_doubt: u64,
    /// Messages that came again, each marked.
    pub redelivered: u64,
    /// Messages that the dead receiver's application had read from a guard among them.
    pub read_before: u64,
    /// Seats refused for a moment, to a successor.
    pub refusals: u64,
    /// Times that a survivor was told of an end.
    pub endings: u64,
    /// Messages sent.
    pub messages: u64,
}

impl Totals {
    /// With those of another ring.
    pub fn with(&self, other: &Self) -> Self {
        Self {
            senders: self.senders + other.senders,
            receivers: self.receivers + other.receivers,
            early: self.early + other.early,
            committed_unknown: self.committed_unknown + other.committed_unknown,
            deaths_in_doubt: self.deaths_in_doubt + other.deaths_in_doubt,
            in_doubt: self.in_doubt + other.in_doubt,
            redelivered: self.redelivered + other.redelivered,
            read_before: self.read_before + other.read_before,
            refusals: self.refusals + other.refusals,
            endings: self.endings + other.endings,
            messages: self.messages + other.messages,
        }
    }

    /// All kills.
    pub fn kills(&self) -> u64 {
        self.senders + self.receivers
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills ({} senders, {} receivers, {} before they had a seat), {} messages: \
             0 lost, 0 torn, 0 twice unmarked; {} came again marked ({} of them read before), \
             {} in doubt by {} deaths, {} committed by a death unawares; \
             {} ends told, {} seats refused for a moment",
            self.kills(),
            self.senders,
            self.receivers,
            self.early,
            self.messages,
            self.redelivered,
            self.read_before,
            self.in_doubt,
            self.deaths_in_doubt,
            self.committed_unknown,
            self.endings,
            self.refusals,
        )
    }
}

/// What is known of one ring between its lives.
#[derive(Debug, Default)]
pub struct Account {
    /// What has happened.
    pub totals: Totals,
    /// The tail lies between these.
    tail: (u64, u64),
    /// The head lies between these.
    head: (u64, u64),
    /// The end of what applications have got.
    got: u64,
    /// Whether the last receiver died in a verb with a guard.
    exposes: bool,
    /// The end of all that was exposed, and of all that is said to come again.
    exposed: u64,
    marked: u64,
}

/// Something that guarantee 2 does not allow.
pub type Violation = String;

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(what()) }
}

impl Account {
    /// A sender has come at `start`.
    pub fn sender_came(&mut self, start: u64) -> Result<(), Violation> {
        let (low, high) = self.tail;
        check((low..=high).contains(&start), || {
            format!("the next sender began at {start}; {low}..={high} was committed")
        })?;
        self.totals.committed_unknown += start - low;
        self.tail = (start, start);
        Ok(())
    }

    /// A sender was killed.
    pub fn sender_died(&mut self, notes: &Journal) -> Result<(), Violation> {
        self.totals.senders += 1;
        self.died(notes);
        if notes.attached.get() == 0 {
            return Ok(());
        }
        self.sender_came(notes.start.get())?;
        let reached = notes.reached.get();
        self.tail = (reached, reached.max(notes.may_reach.get()));
        Ok(())
    }

    /// A receiver has come at `start`, told that what is below `marked` comes again.
    pub fn receiver_came(&mut self, start: u64, marked: u64) -> Result<(), Violation> {
        let ((low, high), got) = (self.head, self.got);
        check((low..=high).contains(&start), || {
            format!("the next receiver began at {start}; {low}..={high} was retired")
        })?;
        if start > got {
            check(!self.exposes, || format!("{got}..{start} was lost from under a guard"))?;
            self.totals.deaths_in_doubt += 1;
            self.totals.in_doubt += start - got;
        }
        check(got <= start || marked >= got, || {
            format!("{start}..{got} was read and comes again, marked below {marked} alone")
        })?;
        check(self.marked <= start || marked >= self.marked, || {
            format!("marks below {} shrank to {marked}", self.marked)
        })?;
        let most = self.marked.max(self.exposed);
        check(marked == 0 || marked <= most, || {
            format!("marked below {marked}, but exposed below {most} alone")
        })?;
        self.totals.redelivered += marked.saturating_sub(start);
        self.totals.read_before += got.saturating_sub(start);
        (self.head, self.got) = ((start, start), start);
        (self.exposes, self.exposed, self.marked) = (false, marked, marked);
        Ok(())
    }

    /// A receiver was killed.
    pub fn receiver_died(&mut self, notes: &Journal) -> Result<(), Violation> {
        self.totals.receivers += 1;
        self.died(notes);
        if notes.attached.get() == 0 {
            return Ok(());
        }
        self.receiver_came(notes.start.get(), notes.marked_until.get())?;
        let (reached, got) = (notes.reached.get(), notes.got.get());
        self.head = (reached, got.max(notes.may_reach.get()));
        self.got = got;
        self.exposes = notes.exposes.get() == 1;
        self.exposed = self.exposed.max(notes.exposed.get());
        Ok(())
    }

    fn died(&mut self, notes: &Journal) {
        self.totals.early += u64::from(notes.attached.get() == 0);
        self.totals.refusals += notes.refusals.get();
        self.totals.endings += notes.endings.get();
    }

    /// The end of what is surely committed.
    pub fn tail(&self) -> u64 {
        self.tail.0
    }
}
