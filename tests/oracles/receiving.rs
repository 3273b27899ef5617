//! The receiver's verbs, against the model.

use annulus::Message;

use super::message::to_bytes;
use super::model::Why;
use super::op::{End, Look, Wait};
use super::runner::{Runner, as_waited, past, timeout, why_not_received, why_not_received_in_time};

impl<T: Message> Runner<T> {
    /// The wait of a verb that would be for ever otherwise. A forgotten guard is settled.
    fn recv_wait(&mut self, wait: Wait) -> Wait {
        self.model.settle();
        let blocked = self.model.refuses_recv() == Some(Why::NotNow);
        if wait == Wait::Forever && blocked { Wait::NoTime } else { wait }
    }

    pub(super) fn recv(&mut self, wait: Wait) {
        if self.receiver.is_none() {
            return;
        }
        let wait = self.recv_wait(wait);
        let receiver = self.receiver.as_mut().unwrap();
        let said = match wait {
            Wait::Try => receiver.try_recv().map_err(why_not_received),
            waits => match waits {
                Wait::NoTime | Wait::Moment => receiver.recv_timeout(timeout(wait)),
                Wait::Past => receiver.recv_deadline(past()),
                _ => receiver.recv(),
            }
            .map_err(why_not_received_in_time),
        };
        let said = said.map(|message| to_bytes(&message));
        match as_waited(self.model.refuses_recv(), wait) {
            None => assert_eq!(said, Ok(self.model.recv())),
            Some(why) => assert_eq!(said, Err(why)),
        }
    }

    pub(super) fn recv_many(&mut self, wait: Wait, count: usize) {
        if self.receiver.is_none() {
            return;
        }
        let mut out: Vec<T> = (0..count).map(|_| T::new_zeroed()).collect();
        if count == 0 {
            // Done at once, whatever there is to settle or to report.
            let receiver = self.receiver.as_mut().unwrap();
            assert_eq!(receiver.try_recv_many(&mut out), Ok(0));
            assert_eq!(receiver.recv_many(&mut out), Ok(0));
            return;
        }
        let wait = match self.recv_wait(wait) {
            Wait::Forever => Wait::Forever,
            _ => Wait::Try,
        };
        let receiver = self.receiver.as_mut().unwrap();
        let said = match wait {
            Wait::Forever => receiver.recv_many(&mut out).map_err(why_not_received_in_time),
            _ => receiver.try_recv_many(&mut out).map_err(why_not_received),
        };
        let here = self.model.len().min(count);
        match self.model.refuses_recv() {
            None => assert_eq!(said, Ok(here)),
            Some(why) => assert_eq!(said, Err(why)),
        }
        for (index, message) in out.iter().enumerate() {
            // What was not received is left as it was.
            let truth = if index < here { self.model.recv() } else { vec![0; size_of::<T>()] };
            assert_eq!(to_bytes(message), truth);
        }
    }

    pub(super) fn recv_ref(&mut self, wait: Wait, looks: &[Look], end: End) {
        if self.receiver.is_none() {
            return;
        }
        let wait = self.recv_wait(wait);
        let refusal = as_waited(self.model.refuses_recv(), wait);
        let receiver = self.receiver.as_mut().unwrap();
        let exposed = match wait {
            Wait::Try => receiver.try_recv_ref().map_err(why_not_received),
            waits => match waits {
                Wait::NoTime | Wait::Moment | Wait::Past => {
                    receiver.recv_ref_timeout(timeout(wait))
                }
                _ => receiver.recv_ref(),
            }
            .map_err(why_not_received_in_time),
        };
        let guard = match (exposed, refusal) {
            (Ok(guard), None) => guard,
            (exposed, refusal) => {
                assert_eq!(exposed.map(|guard| guard.position()).err(), refusal);
                return;
            }
        };
        assert_eq!(guard.position(), self.model.head());
        assert!(!guard.redelivered());
        let truth = self.model.front();
        for look in looks {
            match *look {
                Look::Whole => assert_eq!(to_bytes(&guard.read()), truth),
                Look::At(offset, len) => {
                    let mut out = vec![0xa5; len];
                    let count = len.min(truth.len().saturating_sub(offset));
                    assert_eq!(guard.read_at(offset, &mut out), count);
                    let mut expected = vec![0xa5; len];
                    if count > 0 {
                        expected[..count].copy_from_slice(&truth[offset..offset + count]);
                    }
                    assert_eq!(out, expected);
                }
            }
        }
        match end {
            End::Said => guard.release(),
            End::Dropped => drop(guard),
            End::Forgotten => {
                std::mem::forget(guard);
                self.model.forgotten = true;
                return;
            }
        }
        self.model.recv();
    }
}
