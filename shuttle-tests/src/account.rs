//! What was sent and received, thread by thread, and whether the two agree.
//!
//! A message is known by its sender's number and its own. Of each death one operation is in
//! doubt: what was being sent may be there or not, what was being received may be gone; and
//! what a dead receiver had in hand comes again, marked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use annulus::TrySendError;

use crate::live;

/// Messages of one sender are numbered from here on.
pub const OF_ONE: u64 = 1 << 32;

/// What a message is on the ring: two words that must fit each other.
pub type Message = [u64; 2];

/// The words of message `number`.
pub fn words(number: u64) -> Message {
    [number, !number]
}

/// The number of a message.
///
/// # Panics
/// If it is torn.
pub fn number(message: Message) -> u64 {
    assert_eq!(message[1], !message[0], "a torn message");
    message[0]
}

/// The error without the message.
pub fn bare<T>(error: TrySendError<T>) -> TrySendError<()> {
    match error {
        TrySendError::Full(_) => TrySendError::Full(()),
        TrySendError::Closed(_) => TrySendError::Closed(()),
        TrySendError::Died(_) => TrySendError::Died(()),
        error => panic!("sending: {error}"),
    }
}

#[derive(Default)]
struct Entries {
    sent: Vec<u64>,
    sending: Vec<u64>,
    got: Vec<(u64, bool)>,
    receiving: usize,
    in_hand: Option<u64>,
    ended: bool,
}

/// The notes of one thread, which outlive it. Nobody else of the model sees them.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Entries>>);

impl Notes {
    fn with<R>(&self, f: impl FnOnce(&mut Entries) -> R) -> R {
        f(&mut self.0.lock().expect("no panic while it is held"))
    }

    /// These are about to be sent.
    pub fn sending(&self, messages: impl IntoIterator<Item = u64>) {
        self.with(|notes| notes.sending = messages.into_iter().collect());
    }

    /// As many of them were sent, and no more.
    pub fn sent(&self, count: usize) {
        self.with(|notes| {
            let sending = std::mem::take(&mut notes.sending);
            notes.sent.extend(&sending[..count]);
        });
    }

    /// At most so many are about to be received.
    pub fn receiving(&self, most: usize) {
        self.with(|notes| notes.receiving = most);
    }

    /// This one is lent: if the thread dies now, it comes again, marked.
    pub fn has_in_hand(&self, message: u64) {
        self.with(|notes| {
            notes.in_hand = Some(message);
            notes.receiving = 0;
        });
    }

    /// These were received; of each, whether it was marked as coming again.
    pub fn got(&self, messages: impl IntoIterator<Item = (u64, bool)>) {
        self.with(|notes| {
            notes.got.extend(messages);
            notes.receiving = 0;
            notes.in_hand = None;
        });
    }

    /// Runs what a thread does; if it is `mortal` it may be killed in the middle. If it is
    /// not killed nothing of it is in doubt.
    pub fn play(&self, mortal: bool, play: impl FnOnce()) {
        if live(mortal, play).is_some() {
            self.with(|notes| notes.ended = true);
        }
    }
}

/// Compares what all have noted. Gives how many messages were received.
///
/// # Panics
/// If a message is lost, comes twice without a mark, out of its sender's order, or from
/// nowhere.
pub fn settle(all: &[Notes]) -> usize {
    let mut due = BTreeMap::new();
    let mut shown = BTreeSet::new();
    let mut doubts = 0;
    let mut deaths = 0;
    for notes in all {
        notes.with(|notes| {
            due.extend(notes.sent.iter().map(|message| (*message, true)));
            if !notes.ended {
                deaths += 1;
                doubts += notes.receiving;
                shown.extend(notes.in_hand);
                due.extend(notes.sending.iter().map(|message| (*message, false)));
            }
        });
    }
    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    let mut received = 0;
    for notes in all {
        let mut last = BTreeMap::new();
        notes.with(|notes| {
            for (message, again) in &notes.got {
                assert!(due.contains_key(message), "nobody sent {message:#x}");
                assert!(!again || deaths > 0, "{message:#x} came again, and nobody died");
                assert!(*again || !shown.contains(message), "{message:#x} is not marked");
                received += 1;
                *times.entry(*message).or_default() += usize::from(!again);
                // Marked ones may come late: another had them in hand.
                if !again {
                    let before = last.insert(message / OF_ONE, *message);
                    assert!(before < Some(*message), "{message:#x} came behind {before:#x?}");
                }
            }
        });
    }
    for (message, times) in &times {
        assert!(*times <= 1, "{message:#x} came twice and not marked");
    }
    let came = |message: u64| {
        all.iter().any(|notes| notes.with(|notes| notes.got.iter().any(|(got, _)| *got == message)))
    };
    let lost: Vec<_> = due.iter().filter(|(message, due)| **due && !came(**message)).collect();
    assert!(lost.len() <= doubts, "lost beyond the {doubts} in doubt: {lost:x?}");
    received
}
