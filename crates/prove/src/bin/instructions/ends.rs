//! Senders and receivers of all rings behind one face, and their verbs between two markers.
//!
//! ```text
//!   act(verb): marker · the verb · a note of how it ended · marker
//! ```
//!
//! A message carries its number three times over, so that one that is torn is seen.
//! Imports: scratch, verbs, the rings.

mod bytes;
mod casts;

use std::time::Duration;

use annulus::{RecvError, SendError, TryRecvError, TrySendError, mpmc, spsc};
use annulus_prove::step::marker;

pub use bytes::RECORD;

use crate::scratch::{Journal, Note};
use crate::verbs::{BATCH, Verb};

/// A message: a number, and two more words that say the same.
pub type Message = [u64; 3];

/// One that is copied by the processor's string instruction: many rounds of one.
pub type Long = [u64; 96];

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The message of a number.
pub fn pack<const N: usize>(id: u64) -> [u64; N] {
    core::array::from_fn(|n| match n {
        0 => id,
        1 => id.wrapping_mul(SPREAD),
        n => !id ^ (n as u64 - 2).rotate_right(8),
    })
}

/// The number of a message, or that it is torn.
pub fn unpack<const N: usize>(message: &[u64; N]) -> Result<u64, String> {
    if *message == pack(message[0]) { Ok(message[0]) } else { Err(format!("torn: {message:x?}")) }
}

fn batch<const N: usize>(first: u64) -> [[u64; N]; BATCH] {
    core::array::from_fn(|n| pack(first + n as u64))
}

/// What a receive brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// A message; whether it was marked.
    Message(u64, bool),
    /// So many were overwritten.
    Lag(u64),
    /// Nothing now.
    Nothing,
    /// The other side has closed: that was all.
    Closed,
    /// The other side has died.
    Died,
}

impl Got {
    /// Whether nobody of the other side is there any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Died)
    }
}

/// A sender of any ring.
pub trait Tx {
    /// Sends, if there is room within `time`. `Closed`, `Died`: nobody receives any more.
    fn send(&mut self, id: u64, time: Duration) -> Result<Got, String>;
    /// Does a verb, for messages from `first` on.
    fn act(self: Box<Self>, verb: Verb, first: u64, journal: Journal);
    /// Position of the next message, where it has one.
    fn position(&self) -> u64;
    /// Sends half a record, where that can be.
    fn shift(&mut self) {}
}

/// A receiver of any ring.
pub trait Rx {
    /// Receives within `time`.
    fn recv(&mut self, time: Duration) -> Result<Got, String>;
    /// Does a verb.
    fn act(self: Box<Self>, verb: Verb, journal: Journal);
    /// Receives one that is there, under a guard if it can, and notes what it sees.
    fn hold(&mut self, journal: Journal) {
        match self.recv(Duration::ZERO) {
            Ok(Got::Message(id, marked)) => journal.note(Note::Returned(id, marked)),
            Ok(Got::Lag(n)) => journal.note(Note::Lagged(n)),
            Ok(_) => {}
            Err(_) => journal.note(Note::Wrong(4)),
        }
    }
    /// Receives half a record.
    fn shift(&mut self) {}
}

/// Is gone by a panic, as far as it can tell.
fn unwound(role: impl FnOnce()) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(role));
}

fn sent(journal: Journal, ids: impl IntoIterator<Item = u64>) {
    for id in ids {
        journal.note(Note::Sent(id));
    }
}

fn returned<const N: usize>(journal: Journal, message: &[u64; N], marked: bool) {
    journal.note(unpack(message).map_or(Note::Wrong(message[0]), |id| Note::Returned(id, marked)));
}

/// How a send that may not wait, or may, has ended.
fn no_room<T>(error: &TrySendError<T>) -> Result<Got, String> {
    match error {
        TrySendError::Full(_) => Ok(Got::Nothing),
        TrySendError::Closed(_) => Ok(Got::Closed),
        TrySendError::Died(_) => Ok(Got::Died),
        other => Err(format!("{other}")),
    }
}

fn not_sent<T>(error: &SendError<T>) -> Result<Got, String> {
    match error {
        SendError::Timeout(_) => Ok(Got::Nothing),
        SendError::Closed(_) => Ok(Got::Closed),
        SendError::Died(_) => Ok(Got::Died),
        other => Err(format!("{other}")),
    }
}

fn not_received(error: &RecvError) -> Result<Got, String> {
    match error {
        RecvError::Timeout => Ok(Got::Nothing),
        RecvError::Lagged(n) => Ok(Got::Lag(*n)),
        RecvError::Closed => Ok(Got::Closed),
        RecvError::Died => Ok(Got::Died),
        other => Err(format!("{other}")),
    }
}

/// Notes what a receive that failed may not say.
fn refused(journal: Journal, error: &TryRecvError) {
    match error {
        TryRecvError::Empty | TryRecvError::Closed | TryRecvError::Died | TryRecvError::Stalled => {
        }
        TryRecvError::Lagged(n) => journal.note(Note::Lagged(*n)),
        _ => journal.note(Note::Wrong(0)),
    }
}

/// What spsc and mpmc senders do alike.
macro_rules! sender_with_reservations {
    ($sender:ty, |$this:ident| $position:expr) => {
        #[allow(clippy::forget_non_drop, reason = "an spsc ring's reservation holds nothing")]
        impl Tx for $sender {
            fn send(&mut self, id: u64, time: Duration) -> Result<Got, String> {
                match self.send_timeout(pack(id), time) {
                    Ok(()) => Ok(Got::Message(id, false)),
                    Err(error) => not_sent(&error),
                }
            }

            fn act(mut self: Box<Self>, verb: Verb, first: u64, journal: Journal) {
                let (one, many): (_, [_; BATCH]) = (pack(first), batch(first));
                marker();
                match verb {
                    Verb::TrySend => match self.try_send(one) {
                        Ok(()) => sent(journal, [first]),
                        Err(error) if no_room(&error).is_err() => journal.note(Note::Wrong(1)),
                        Err(_) => {}
                    },
                    Verb::Send => match Self::send(&mut self, one) {
                        Ok(()) => sent(journal, [first]),
                        Err(error) if not_sent(&error).is_err() => journal.note(Note::Wrong(2)),
                        Err(_) => {}
                    },
                    Verb::Reserve => {
                        if let Ok(mut room) = self.try_reserve() {
                            room.write(&one);
                            room.commit();
                            sent(journal, [first]);
                        }
                    }
                    Verb::Abort => {
                        if let Ok(mut room) = self.try_reserve() {
                            room.write(&one);
                            drop(room);
                        }
                    }
                    Verb::ForgetTx => {
                        if let Ok(room) = self.try_reserve() {
                            core::mem::forget(room);
                        }
                        if self.try_send(pack(first + 1)).is_ok() {
                            sent(journal, [first + 1]);
                        }
                    }
                    Verb::TrySendMany => {
                        if let Ok(count) = self.try_send_many(&many) {
                            sent(journal, first..first + count as u64);
                        }
                    }
                    Verb::SendMany => match self.send_many(&many) {
                        Ok(()) => sent(journal, first..first + BATCH as u64),
                        Err(error) => sent(journal, first..first + error.sent as u64),
                    },
                    Verb::NoticeTx => {
                        let _ = self.wait_for_peer(Some(Duration::ZERO));
                    }
                    Verb::LeaveTx => {
                        drop(self);
                        journal.note(Note::Left);
                    }
                    Verb::UnwindTx => unwound(move || {
                        let mut room = self.try_reserve();
                        if let Ok(room) = &mut room {
                            room.write(&one);
                        }
                        std::panic::resume_unwind(Box::new(()));
                    }),
                    other => unreachable!("{other:?} is no sender's"),
                }
                marker();
            }

            fn position(&self) -> u64 {
                let $this = self;
                $position
            }
        }
    };
}

sender_with_reservations!(spsc::Sender<Message>, |this| spsc::Sender::position(this));
sender_with_reservations!(spsc::Sender<Long>, |this| spsc::Sender::position(this));
sender_with_reservations!(mpmc::Sender<Message>, |_this| 0);

/// Whether what was received last was marked.
trait Marks {
    /// To be asked before the receive.
    fn before(&self) -> u64;
    /// Afterwards.
    fn marked(&self, before: u64) -> bool;
}

impl<const N: usize> Marks for spsc::Receiver<[u64; N]> {
    fn before(&self) -> u64 {
        self.position()
    }
    fn marked(&self, before: u64) -> bool {
        self.is_redelivered(before)
    }
}

impl Marks for mpmc::Receiver<Message> {
    fn before(&self) -> u64 {
        0
    }
    fn marked(&self, _: u64) -> bool {
        self.last().redelivered
    }
}

/// What spsc and mpmc receivers do alike.
macro_rules! receiver_with_guards {
    ($receiver:ty, $words:literal) => {
        impl Rx for $receiver {
            fn recv(&mut self, time: Duration) -> Result<Got, String> {
                let before = self.before();
                match self.recv_timeout(time) {
                    Ok(message) => Ok(Got::Message(unpack(&message)?, self.marked(before))),
                    Err(error) => not_received(&error),
                }
            }

            fn act(mut self: Box<Self>, verb: Verb, journal: Journal) {
                let mut many = [[0; $words]; BATCH];
                let before = self.before();
                marker();
                match verb {
                    Verb::TryRecv => match self.try_recv() {
                        Ok(message) => returned(journal, &message, self.marked(before)),
                        Err(error) => refused(journal, &error),
                    },
                    Verb::Recv => {
                        if let Ok(message) = Self::recv(&mut self) {
                            returned(journal, &message, self.marked(before));
                        }
                    }
                    Verb::RecvShortly => {
                        if let Ok(message) = self.recv_timeout(Duration::from_millis(4)) {
                            returned(journal, &message, self.marked(before));
                        }
                    }
                    Verb::Guard => {
                        if let Ok(guard) = self.recv_ref() {
                            let (message, marked) = (guard.read(), guard.redelivered());
                            journal.note(Note::Exposed(message[0]));
                            guard.release();
                            returned(journal, &message, marked);
                        }
                    }
                    Verb::ForgetRx => {
                        let mut shown = None;
                        if let Ok(guard) = self.try_recv_ref() {
                            let message = guard.read();
                            journal.note(Note::Exposed(message[0]));
                            core::mem::forget(guard);
                            shown = Some(message);
                        }
                        let next = self.try_recv();
                        // The second verb has settled what the first one left.
                        if let Some(message) = shown {
                            returned(journal, &message, false);
                        }
                        if let Ok(message) = next {
                            returned(journal, &message, self.marked(before + 1));
                        }
                    }
                    Verb::TryRecvMany => match self.try_recv_many(&mut many) {
                        Ok(count) => {
                            for (n, message) in many[..count].iter().enumerate() {
                                returned(journal, message, self.marked(before + n as u64));
                            }
                        }
                        Err(error) => refused(journal, &error),
                    },
                    Verb::RecvMany => {
                        if let Ok(count) = self.recv_many(&mut many) {
                            {
                                for (n, message) in many[..count].iter().enumerate() {
                                    returned(journal, message, self.marked(before + n as u64));
                                }
                            };
                        }
                    }
                    Verb::NoticeRx => {
                        let _ = self.wait_for_peer(Some(Duration::ZERO));
                    }
                    Verb::LeaveRx => {
                        drop(self);
                        journal.note(Note::Left);
                    }
                    other => unreachable!("{other:?} is no receiver's"),
                }
                marker();
            }

            fn hold(&mut self, journal: Journal) {
                if let Ok(guard) = self.try_recv_ref() {
                    let (message, marked) = (guard.read(), guard.redelivered());
                    journal.note(Note::Exposed(message[0]));
                    guard.release();
                    returned(journal, &message, marked);
                }
            }
        }
    };
}

receiver_with_guards!(spsc::Receiver<Message>, 3);
receiver_with_guards!(spsc::Receiver<Long>, 96);
receiver_with_guards!(mpmc::Receiver<Message>, 3);
