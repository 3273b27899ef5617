//! The ends of a stream, which carries a number as a record of so many bytes.

use std::time::Duration;

use annulus::stream;
use annulus_prove::step::marker;

use super::{Got, Rx, SPREAD, Tx, not_received, not_sent, refused, sent, unwound};
use crate::scratch::{Journal, Note};
use crate::verbs::{BATCH, Verb};

/// A record of a stream: a number, twice.
pub const RECORD: usize = 16;

fn record(id: u64) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[..8].copy_from_slice(&id.to_le_bytes());
    bytes[8..].copy_from_slice(&id.wrapping_mul(SPREAD).to_le_bytes());
    bytes
}

fn number(bytes: &[u8]) -> Option<u64> {
    let id = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    (record(id) == *bytes).then_some(id)
}

fn records(first: u64) -> [u8; RECORD * BATCH] {
    let mut all = [0; RECORD * BATCH];
    for (n, bytes) in all.chunks_mut(RECORD).enumerate() {
        bytes.copy_from_slice(&record(first + n as u64));
    }
    all
}

impl Tx for stream::Sender {
    fn send(&mut self, id: u64, time: Duration) -> Result<Got, String> {
        match self.send_timeout(&record(id), time) {
            Ok(RECORD) => Ok(Got::Message(id, false)),
            Ok(part) => Err(format!("{part} bytes of a record were sent")),
            Err(error) => not_sent(&error),
        }
    }

    fn act(mut self: Box<Self>, verb: Verb, first: u64, journal: Journal) {
        let (one, many) = (record(first), records(first));
        marker();
        match verb {
            Verb::TrySend => {
                if self.try_send(&one).is_ok() {
                    sent(journal, [first]);
                }
            }
            Verb::Send => {
                if Self::send(&mut self, &one).is_ok() {
                    sent(journal, [first]);
                }
            }
            Verb::Reserve => {
                if let Ok(mut room) = self.try_reserve(RECORD) {
                    room.append(&one);
                    room.commit();
                    sent(journal, [first]);
                }
            }
            Verb::Abort => {
                if let Ok(mut room) = self.try_reserve(RECORD) {
                    room.append(&one);
                    drop(room);
                }
            }
            Verb::TrySendMany => {
                if let Ok(bytes) = self.try_send(&many) {
                    sent(journal, first..first + (bytes / RECORD) as u64);
                }
            }
            Verb::SendMany => {
                let mut bytes = 0;
                while bytes < many.len()
                    && let Ok(more) = Self::send(&mut self, &many[bytes..])
                {
                    bytes += more;
                }
                sent(journal, first..first + (bytes / RECORD) as u64);
            }
            Verb::NoticeTx => {
                let _ = self.peer();
            }
            Verb::LeaveTx => {
                drop(self);
                journal.note(Note::Left);
            }
            Verb::UnwindTx => unwound(move || {
                let mut room = self.try_reserve(RECORD);
                if let Ok(room) = &mut room {
                    room.append(&one);
                }
                std::panic::resume_unwind(Box::new(()));
            }),
            other => unreachable!("{other:?} is no sender's"),
        }
        marker();
    }

    fn position(&self) -> u64 {
        Self::position(self) / RECORD as u64
    }

    fn shift(&mut self) {
        assert_eq!(self.try_send(&[0; RECORD / 2]), Ok(RECORD / 2));
    }
}

fn returned_bytes(journal: Journal, bytes: &[u8]) {
    for bytes in bytes.chunks(RECORD) {
        journal.note(number(bytes).map_or(Note::Wrong(3), |id| Note::Returned(id, false)));
    }
}

impl Rx for stream::Receiver {
    fn recv(&mut self, time: Duration) -> Result<Got, String> {
        let mut bytes = [0; RECORD];
        match self.recv_timeout(&mut bytes, time) {
            Ok(RECORD) => match number(&bytes) {
                Some(id) => Ok(Got::Message(id, false)),
                None => Err(format!("torn: {bytes:x?}")),
            },
            Ok(part) => Err(format!("torn: {part} bytes of a record were there")),
            Err(error) => not_received(&error),
        }
    }

    fn act(mut self: Box<Self>, verb: Verb, journal: Journal) {
        let mut many = [0; RECORD * BATCH];
        marker();
        match verb {
            Verb::TryRecv => match self.try_recv(&mut many[..RECORD]) {
                Ok(bytes) => returned_bytes(journal, &many[..bytes]),
                Err(error) => refused(journal, &error),
            },
            Verb::Recv => {
                if let Ok(bytes) = Self::recv(&mut self, &mut many[..RECORD]) {
                    returned_bytes(journal, &many[..bytes]);
                }
            }
            Verb::Guard => {
                if let Ok(guard) = self.recv_ref() {
                    let bytes = guard.read_at(0, &mut many[..RECORD]);
                    guard.release_first(bytes);
                    returned_bytes(journal, &many[..bytes]);
                }
            }
            Verb::TryRecvMany => match self.try_recv(&mut many) {
                Ok(bytes) => returned_bytes(journal, &many[..bytes]),
                Err(error) => refused(journal, &error),
            },
            Verb::RecvMany => {
                if let Ok(bytes) = Self::recv(&mut self, &mut many) {
                    returned_bytes(journal, &many[..bytes]);
                }
            }
            Verb::NoticeRx => {
                let _ = self.peer();
            }
            Verb::LeaveRx => {
                drop(self);
                journal.note(Note::Left);
            }
            other => unreachable!("{other:?} is no receiver's"),
        }
        marker();
    }

    fn shift(&mut self) {
        let mut half = [0; RECORD / 2];
        assert_eq!(self.recv_timeout(&mut half, Duration::from_secs(10)), Ok(RECORD / 2));
    }
}
