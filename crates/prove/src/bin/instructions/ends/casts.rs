//! The ends of a broadcast.

use std::time::Duration;

use annulus::broadcast;
use annulus_prove::step::marker;
use zerocopy::IntoBytes;

use super::{
    Got, Message, Rx, Tx, batch, not_received, not_sent, pack, refused, returned, sent, unpack,
};
use crate::scratch::{Journal, Note};
use crate::verbs::{BATCH, Verb};

impl Tx for broadcast::Sender<Message> {
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
            Verb::TrySend => {
                if self.try_send(one).is_ok() {
                    sent(journal, [first]);
                }
            }
            Verb::Send => {
                if Self::send(&mut self, one).is_ok() {
                    sent(journal, [first]);
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
            other => unreachable!("{other:?} is no sender's"),
        }
        marker();
    }

    fn position(&self) -> u64 {
        Self::position(self)
    }
}

impl Rx for broadcast::Receiver<Message> {
    fn recv(&mut self, time: Duration) -> Result<Got, String> {
        match self.recv_timeout(time) {
            Ok(message) => Ok(Got::Message(unpack(&message)?, false)),
            Err(error) => not_received(&error),
        }
    }

    fn act(mut self: Box<Self>, verb: Verb, journal: Journal) {
        let mut many = [[0; 3]; BATCH];
        marker();
        match verb {
            Verb::TryRecv => match self.try_recv() {
                Ok(message) => returned(journal, &message, false),
                Err(error) => refused(journal, &error),
            },
            Verb::Recv => {
                if let Ok(message) = Self::recv(&mut self) {
                    returned(journal, &message, false);
                }
            }
            Verb::Guard => {
                let mut message = [0; 3];
                let look =
                    |view: broadcast::View<'_, Message>| view.read_at(0, message.as_mut_bytes());
                if self.recv_with(look).is_ok() {
                    returned(journal, &message, false);
                }
            }
            Verb::Latest => match self.latest() {
                Ok(message) => returned(journal, &message, false),
                Err(error) => refused(journal, &error),
            },
            Verb::TryRecvMany => match self.try_recv_many(&mut many) {
                Ok(count) => many[..count].iter().for_each(|m| returned(journal, m, false)),
                Err(error) => refused(journal, &error),
            },
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
}
