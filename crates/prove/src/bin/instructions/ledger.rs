//! The account that survivors and the dead's own notes have to add up to: guarantee 2.
//!
//! Imports: scratch, verbs.

use std::collections::{BTreeMap, BTreeSet};

use crate::scratch::Note;
use crate::verbs::{BATCH, Kind, Verb};

/// Who sent a message: the high bits of its number.
pub mod source {
    pub const VICTIM: u64 = 1;
    pub const SECOND: u64 = 2;
    pub const RIVAL: u64 = 3;
    pub const SUCCESSOR: u64 = 4;
    pub const WAITER: u64 = 5;
    pub const LAST: u64 = 6;
}

/// The number of a message.
pub fn id(source: u64, n: u64) -> u64 {
    source << 32 | n
}

/// One who was killed.
pub struct Dead {
    pub verb: Verb,
    /// The first message that its verb would have sent.
    pub first: u64,
    pub notes: Vec<Note>,
}

impl Dead {
    fn has(&self, note: Note) -> bool {
        self.notes.contains(&note)
    }

    pub fn attached(&self) -> bool {
        self.has(Note::Attached)
    }

    fn exposed(&self, id: u64) -> bool {
        self.has(Note::Exposed(id))
    }

    fn returned(&self, id: u64) -> bool {
        self.has(Note::Returned(id, false)) || self.has(Note::Returned(id, true))
    }

    /// What it may have sent: all it began to.
    fn attempted(&self) -> Vec<u64> {
        match self.verb {
            Verb::ForgetTx => vec![self.first + 1],
            verb => (self.first..self.first + verb.sending()).collect(),
        }
    }
}

/// What was sent and what came.
#[derive(Default)]
pub struct Ledger {
    /// Sends that have returned.
    pub must: BTreeSet<u64>,
    /// What the survivors got, one after the other, by receiver.
    pub got: BTreeMap<usize, Vec<(u64, bool)>>,
    /// How many they were told they had missed.
    pub lags: u64,
    pub dead: Vec<Dead>,
}

impl Ledger {
    /// Whether the account is right; why not.
    pub fn judge(&self, kind: Kind, bereft: bool) -> Result<(), String> {
        for dead in &self.dead {
            if let Some(Note::Wrong(id)) = dead.notes.iter().find(|n| matches!(n, Note::Wrong(_))) {
                return Err(format!("{:?} met what can't be: {id:#x}", dead.verb));
            }
        }
        let mut may = self.must.clone();
        may.extend(self.dead.iter().flat_map(Dead::attempted));
        for got in self.got.values() {
            in_order(got)?;
            if let Some((id, _)) = got.iter().find(|(id, _)| !may.contains(id)) {
                return Err(format!("{id:#x} was never sent"));
            }
        }
        self.prefixes()?;
        if kind.casts() { self.casts(kind) } else { self.queues(kind, bereft) }
    }

    fn sent_for_sure(&self) -> BTreeSet<u64> {
        let acknowledged = self.dead.iter().flat_map(|dead| &dead.notes);
        let acknowledged = acknowledged.filter_map(|note| match note {
            Note::Sent(id) => Some(*id),
            _ => None,
        });
        self.must.iter().copied().chain(acknowledged).collect()
    }

    fn all(&self) -> impl Iterator<Item = (u64, bool)> + '_ {
        self.got.values().flatten().copied()
    }

    /// Of a batch there is a prefix.
    fn prefixes(&self) -> Result<(), String> {
        let seen = |id| {
            self.all().any(|(got, _)| got == id) || self.dead.iter().any(|dead| dead.returned(id))
        };
        for dead in self.dead.iter().filter(|dead| dead.verb.sending() == BATCH as u64) {
            let there: Vec<bool> = dead.attempted().into_iter().map(seen).collect();
            // What was overwritten leaves no trace.
            if self.lags == 0 && there.windows(2).any(|pair| !pair[0] && pair[1]) {
                let by_dead = self.dead.iter().any(|dead| !dead.verb.sends());
                if !by_dead {
                    return Err(format!("of a batch, not a prefix: {there:?}"));
                }
            }
        }
        Ok(())
    }

    /// Every message to every receiver, or an exact count of those that were missed.
    fn casts(&self, kind: Kind) -> Result<(), String> {
        if kind == Kind::Lossless && self.lags > 0 {
            return Err(format!("{} were overwritten in a lossless ring", self.lags));
        }
        let got: BTreeSet<u64> = self.got.get(&0).into_iter().flatten().map(|it| it.0).collect();
        let missing = self.sent_for_sure().difference(&got).count() as u64;
        if missing > self.lags {
            return Err(format!("lost: {missing} messages, {} are accounted for", self.lags));
        }
        Ok(())
    }

    /// Every message to one receiver, once, or marked. `bereft`: what nobody can get any more.
    fn queues(&self, kind: Kind, bereft: bool) -> Result<(), String> {
        let mut times = BTreeMap::new();
        for (id, marked) in self.all() {
            let before = times.insert(id, marked);
            if before.is_some() {
                return Err(format!("{id:#x} came twice to the living"));
            }
        }
        let receivers: Vec<&Dead> = self.dead.iter().filter(|dead| !dead.verb.sends()).collect();
        for (n, heir) in receivers.iter().enumerate() {
            for note in &heir.notes {
                // What one had in hand who had died before.
                if let Note::Returned(id, false) = note
                    && receivers[..n].iter().any(|dead| dead.exposed(*id) && !dead.returned(*id))
                {
                    return Err(format!("unmarked double: {id:#x} to {:?}", heir.verb));
                }
            }
        }
        for dead in &receivers {
            let (exposes, name) = (dead.verb.exposes(), dead.verb);
            for (&id, &marked) in &times {
                if dead.returned(id) {
                    return Err(format!("{id:#x} came again after {name:?} had returned"));
                }
                if !marked && dead.exposed(id) {
                    return Err(format!("unmarked double: {id:#x} after {name:?}"));
                }
            }
            let marks = times.values().any(|marked| *marked);
            if marks && matches!(kind, Kind::Spsc | Kind::Long) && !exposes && receivers.len() == 1
            {
                return Err(format!("marked, though {name:?} exposed nothing"));
            }
        }
        if receivers.is_empty() && times.values().any(|marked| *marked) {
            return Err("marked, though no receiver died".into());
        }
        let (missing, doubt) = self.missing();
        if !bereft && missing.len() as u64 > doubt {
            return Err(format!("lost: {missing:x?}, in doubt are {doubt}"));
        }
        Ok(())
    }

    /// What was sent to one receiver and is nowhere, and how many of that are in doubt.
    fn missing(&self) -> (Vec<u64>, u64) {
        let receivers = self.dead.iter().filter(|dead| !dead.verb.sends());
        let doubt = receivers.clone().map(|dead| dead.verb.receiving()).sum();
        let mut known: BTreeSet<u64> = self.all().map(|(id, _)| id).collect();
        known.extend(receivers.flat_map(|dead| &dead.notes).filter_map(|note| match note {
            Note::Exposed(id) | Note::Returned(id, _) => Some(*id),
            _ => None,
        }));
        (self.sent_for_sure().difference(&known).copied().collect(), doubt)
    }

    /// Whether more has to come.
    pub fn lacks(&self) -> bool {
        let (missing, doubt) = self.missing();
        missing.len() as u64 > doubt
    }
}

/// Unmarked messages of one sender come in its order.
fn in_order(got: &[(u64, bool)]) -> Result<(), String> {
    let mut last = BTreeMap::new();
    for (id, _) in got.iter().filter(|(_, marked)| !marked) {
        if last.insert(id >> 32, *id).is_some_and(|before| before >= *id) {
            return Err(format!("out of order: {id:#x}"));
        }
    }
    Ok(())
}
