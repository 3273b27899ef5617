//! The sender's verbs, against the model.

use annulus::{Message, SeatState, SendError};

use super::message::from_bytes;
use super::model::Why;
use super::op::{End, Put, Wait};
use super::runner::{Runner, as_waited, past, timeout, why_not_sent, why_not_sent_in_time};

impl<T: Message> Runner<T> {
    /// The wait of a verb that would be for ever otherwise.
    fn send_wait(&self, wait: Wait) -> Wait {
        let blocked = self.model.refuses_send() == Some(Why::NotNow);
        if wait == Wait::Forever && blocked { Wait::NoTime } else { wait }
    }

    pub(super) fn send(&mut self, wait: Wait) {
        if self.sender.is_none() {
            return;
        }
        let wait = self.send_wait(wait);
        let (message, bytes) = self.fresh_message();
        let sender = self.sender.as_mut().unwrap();
        let said = match wait {
            Wait::Try => sender.try_send(message).map_err(|error| why_not_sent(error, &bytes)),
            waits => match waits {
                Wait::NoTime | Wait::Moment => sender.send_timeout(message, timeout(wait)),
                Wait::Past => sender.send_deadline(message, past()),
                _ => sender.send(message),
            }
            .map_err(|error| why_not_sent_in_time(error, &bytes)),
        };
        match as_waited(self.model.refuses_send(), wait) {
            None => {
                assert_eq!(said, Ok(()));
                self.model.send(bytes);
            }
            Some(why) => assert_eq!(said, Err(why)),
        }
    }

    pub(super) fn send_many(&mut self, wait: Wait, count: usize) {
        if self.sender.is_none() {
            return;
        }
        let (messages, bytes): (Vec<T>, Vec<Vec<u8>>) =
            (0..count).map(|_| self.fresh_message()).unzip();
        let room = self.model.room().min(count);
        let ends = self.model.receiver == SeatState::Closed
            || self.model.tail() + room as u64 == super::model::LIMIT;
        let sender = self.sender.as_mut().unwrap();
        if wait == Wait::Try || (room < count && !ends) {
            let said = sender.try_send_many(&messages).map_err(|error| why_not_sent(error, &[]));
            match self.model.refuses_send() {
                Some(why) if count > 0 => assert_eq!(said, Err(why)),
                _ => assert_eq!(said, Ok(room)),
            }
        } else {
            let said = sender.send_many(&messages);
            if room == count {
                said.unwrap();
            } else {
                let error = said.unwrap_err();
                assert_eq!(error.sent, room);
                let limit = self.model.tail() + room as u64 == super::model::LIMIT;
                assert_eq!(matches!(error.reason, SendError::Fault(..)), limit);
                assert_eq!(matches!(error.reason, SendError::Closed(())), !limit);
            }
        }
        for bytes in bytes.into_iter().take(room) {
            self.model.send(bytes);
        }
    }

    #[allow(clippy::forget_non_drop, reason = "that is what is tested")]
    pub(super) fn reserve(&mut self, wait: Wait, puts: &[Put], end: End) {
        if self.sender.is_none() {
            return;
        }
        let wait = self.send_wait(wait);
        let size = size_of::<T>();
        let sources: Vec<_> = puts
            .iter()
            .map(|put| {
                let whole = self.fresh();
                match put {
                    Put::Append(len) => {
                        whole.iter().copied().cycle().take((*len).min(size.max(1) * 2)).collect()
                    }
                    Put::Write => whole,
                }
            })
            .collect::<Vec<Vec<u8>>>();
        let tail = self.model.tail();
        let refusal = as_waited(self.model.refuses_send(), wait);
        let sender = self.sender.as_mut().unwrap();
        let reserved = match wait {
            Wait::Try => sender.try_reserve().map_err(|error| why_not_sent(error, &[])),
            waits => match waits {
                Wait::NoTime | Wait::Moment | Wait::Past => sender.reserve_timeout(timeout(wait)),
                _ => sender.reserve(),
            }
            .map_err(|error| why_not_sent_in_time(error, &[])),
        };
        let mut slot = match (reserved, refusal) {
            (Ok(slot), None) => slot,
            (reserved, refusal) => {
                assert_eq!(reserved.map(|slot| slot.position()).err(), refusal);
                return;
            }
        };
        assert_eq!(slot.position(), tail);
        let (mut truth, mut written) = (vec![0; size], 0);
        for (put, source) in puts.iter().zip(&sources) {
            assert_eq!(slot.written(), written);
            match put {
                Put::Append(_) => {
                    let taken = source.len().min(size - written);
                    assert_eq!(slot.append(source), taken);
                    truth[written..written + taken].copy_from_slice(&source[..taken]);
                    written += taken;
                }
                Put::Write => {
                    slot.write(&from_bytes(source));
                    truth.copy_from_slice(source);
                    written = size;
                }
            }
        }
        assert_eq!(slot.written(), written);
        match end {
            End::Said => {
                assert_eq!(slot.commit(), tail);
                self.model.send(truth);
            }
            End::Dropped => drop(slot),
            End::Forgotten => std::mem::forget(slot),
        }
    }
}
