//! The sender's verbs, done to the stream and to the model.

use std::io::{self, IoSlice, Write};
use std::time::{Duration, Instant};

use annulus::{Fault, SendError, TrySendError};

use super::behind;
use super::model::Why;
use super::op::{Behind, End, Wait};
use super::runner::{Runner, timeout};

/// What a refused send says.
pub fn why_not_sent(error: SendError<()>) -> Why {
    match error {
        SendError::Timeout(()) => Why::Timeout,
        SendError::Closed(()) => Why::Closed,
        SendError::Died(()) => Why::Died,
        SendError::TooLong(()) => Why::TooLong,
        SendError::Fault((), Fault::PositionLimit) => Why::PositionLimit,
        other => panic!("{other:?}"),
    }
}

fn why_not_tried(error: TrySendError<()>) -> Why {
    match error {
        TrySendError::Full(()) => Why::NotNow,
        TrySendError::Closed(()) => Why::Closed,
        TrySendError::Died(()) => Why::Died,
        TrySendError::TooLong(()) => Why::TooLong,
        TrySendError::Fault((), Fault::PositionLimit) => Why::PositionLimit,
        other => panic!("{other:?}"),
    }
}

fn why_not_written(error: &io::Error) -> Why {
    let typed = error.get_ref().and_then(|inner| inner.downcast_ref::<SendError<()>>());
    why_not_sent(*typed.unwrap_or_else(|| panic!("{error}")))
}

/// One who waited in vain says so.
fn waited(why: Option<Why>, wait: Wait) -> Option<Why> {
    why.map(|why| if why == Why::NotNow && wait != Wait::Try { Why::Timeout } else { why })
}

impl Runner {
    pub(super) fn send(&mut self, wait: Wait, len: usize) {
        let bytes = self.draw(len);
        let refused = if len == 0 { self.model.receiver_gone() } else { self.model.refuses_send() };
        let would_wait = refused == Some(Why::NotNow);
        let wait = if wait == Wait::Forever && would_wait { Wait::Try } else { wait };
        let sender = self.sender.as_mut().unwrap();
        let said = match wait {
            Wait::Try => sender.try_send(&bytes).map_err(why_not_tried),
            Wait::NoTime | Wait::Moment => {
                sender.send_timeout(&bytes, timeout(wait)).map_err(why_not_sent)
            }
            Wait::Past => {
                let past = Instant::now().checked_sub(Duration::from_millis(1)).unwrap();
                sender.send_deadline(&bytes, past).map_err(why_not_sent)
            }
            Wait::Forever => sender.send(&bytes).map_err(why_not_sent),
        };
        match waited(refused, wait) {
            Some(why) => assert_eq!(said, Err(why)),
            None => {
                let count = len.min(self.model.room());
                assert_eq!(said, Ok(count));
                self.model.send(&bytes[..count]);
            }
        }
    }

    pub(super) fn write_vectored(&mut self, lens: &[usize]) {
        let slices: Vec<Vec<u8>> = lens.iter().map(|len| self.draw(*len)).collect();
        let all = slices.concat();
        let refused = if all.is_empty() { None } else { self.model.refuses_send() };
        if refused == Some(Why::NotNow) {
            return;
        }
        let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let said = self.sender.as_mut().unwrap().write_vectored(&slices);
        match (refused, said) {
            (Some(why), Err(error)) => assert_eq!(why_not_written(&error), why),
            (None, Ok(count)) => {
                assert_eq!(count, all.len().min(self.model.room()));
                self.model.send(&all[..count]);
            }
            other => panic!("{other:?}"),
        }
        self.sender.as_mut().unwrap().flush().unwrap();
    }

    #[expect(clippy::forget_non_drop, reason = "it must not begin to matter")]
    pub(super) fn reserve(&mut self, wait: Wait, len: usize, appends: &[usize], end: End) {
        let pieces: Vec<Vec<u8>> = appends.iter().map(|len| self.draw(*len)).collect();
        let refused = self.model.refuses_reserve(len);
        let would_wait = refused == Some(Why::NotNow);
        let wait = if wait == Wait::Forever && would_wait { Wait::Try } else { wait };
        let sender = self.sender.as_mut().unwrap();
        let said = match wait {
            Wait::Try => sender.try_reserve(len).map_err(why_not_tried),
            Wait::Forever => sender.reserve(len).map_err(why_not_sent),
            _ => sender.reserve_timeout(len, timeout(wait)).map_err(why_not_sent),
        };
        let mut place = match (waited(refused, wait), said) {
            (None, Ok(place)) => place,
            (why, said) => return assert_eq!(said.err(), why),
        };
        assert_eq!((place.position(), place.capacity()), (self.model.tail(), len));
        let mut written = Vec::new();
        for piece in &pieces {
            let fits = piece.len().min(len - written.len());
            assert_eq!(place.append(piece), fits);
            written.extend(&piece[..fits]);
            assert_eq!(place.written(), written.len());
        }
        match end {
            End::Said | End::Some(_) => {
                assert_eq!(place.commit(), written.len());
                self.model.send(&written);
            }
            End::Dropped => drop(place),
            End::Forgotten => std::mem::forget(place),
        }
    }

    pub(super) fn fill(&mut self, from: Behind, has: usize, most: usize) {
        let bytes = self.draw(has);
        let refused = if most == 0 { None } else { self.model.refuses_send() };
        if refused == Some(Why::NotNow) {
            return;
        }
        let source = behind::source(from, &bytes);
        let said = self.sender.as_mut().unwrap().fill_from(&source, most);
        let count = most.min(self.model.room()).min(self.model.half()).min(has);
        match (refused, said) {
            (Some(why), Err(error)) => assert_eq!(why_not_written(&error), why),
            (None, Err(error)) if from == Behind::Blocked && most > 0 => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            }
            (None, Ok(said)) if from != Behind::Blocked || most == 0 => {
                let count = if most == 0 { 0 } else { count };
                assert_eq!(said, count);
                self.model.send(&bytes[..count]);
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn wait_received(&mut self) {
        let said = self.sender.as_mut().unwrap().wait_until_received(Some(Duration::ZERO));
        let why = match self.model.len() {
            0 => None,
            _ => Some(self.model.receiver_gone().unwrap_or(Why::Timeout)),
        };
        assert_eq!(said.map_err(why_not_sent).err(), why);
    }
}
