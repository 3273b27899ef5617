//! The receiver's verbs, done to the stream and to the model.

use std::io::{self, IoSliceMut, Read};
use std::time::{Duration, Instant};

use annulus::{Fault, RecvError, TryRecvError};

use super::behind;
use super::model::Why;
use super::op::{Behind, End, Wait};
use super::runner::{Runner, timeout};

fn why_not_received(error: RecvError) -> Why {
    match error {
        RecvError::Timeout => Why::Timeout,
        RecvError::Closed => Why::Closed,
        RecvError::Died => Why::Died,
        RecvError::Fault(Fault::PositionLimit) => Why::PositionLimit,
        other => panic!("{other:?}"),
    }
}

fn why_not_tried(error: TryRecvError) -> Why {
    match error {
        TryRecvError::Empty => Why::NotNow,
        TryRecvError::Closed => Why::Closed,
        TryRecvError::Died => Why::Died,
        TryRecvError::Fault(Fault::PositionLimit) => Why::PositionLimit,
        other => panic!("{other:?}"),
    }
}

fn why_not_read(error: &io::Error) -> Why {
    let typed = error.get_ref().and_then(|inner| inner.downcast_ref::<RecvError>());
    why_not_received(*typed.unwrap_or_else(|| panic!("{error}")))
}

fn waited(why: Option<Why>, wait: Wait) -> Option<Why> {
    why.map(|why| if why == Why::NotNow && wait != Wait::Try { Why::Timeout } else { why })
}

impl Runner {
    pub(super) fn recv(&mut self, wait: Wait, len: usize) {
        let refused = if len == 0 { None } else { self.model.refuses_recv() };
        let would_wait = refused == Some(Why::NotNow);
        let wait = if wait == Wait::Forever && would_wait { Wait::Try } else { wait };
        // What lies behind the bytes that come stays as it was.
        let mut out = vec![0xa5; len];
        let receiver = self.receiver.as_mut().unwrap();
        let said = match wait {
            Wait::Try => receiver.try_recv(&mut out).map_err(why_not_tried),
            Wait::NoTime | Wait::Moment => {
                receiver.recv_timeout(&mut out, timeout(wait)).map_err(why_not_received)
            }
            Wait::Past => {
                let past = Instant::now().checked_sub(Duration::from_millis(1)).unwrap();
                receiver.recv_deadline(&mut out, past).map_err(why_not_received)
            }
            Wait::Forever => receiver.recv(&mut out).map_err(why_not_received),
        };
        match waited(refused, wait) {
            Some(why) => assert_eq!(said, Err(why)),
            None => {
                let count = len.min(self.model.len());
                assert_eq!(said, Ok(count));
                assert!(out[..count] == self.model.recv(count));
                assert!(out[count..].iter().all(|byte| *byte == 0xa5));
            }
        }
    }

    pub(super) fn read_vectored(&mut self, lens: &[usize]) {
        let total: usize = lens.iter().sum();
        let refused = if total == 0 { None } else { self.model.refuses_recv() };
        if refused == Some(Why::NotNow) {
            return;
        }
        let mut slices: Vec<Vec<u8>> = lens.iter().map(|len| vec![0; *len]).collect();
        let mut views: Vec<_> = slices.iter_mut().map(|slice| IoSliceMut::new(slice)).collect();
        let said = self.receiver.as_mut().unwrap().read_vectored(&mut views);
        match (refused, said) {
            // The end is no error here.
            (Some(Why::Closed), Ok(0)) => {}
            (Some(why), Err(error)) => assert_eq!(why_not_read(&error), why),
            (None, Ok(count)) => {
                assert_eq!(count, total.min(self.model.len()));
                assert!(slices.concat()[..count] == self.model.recv(count));
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn recv_ref(&mut self, wait: Wait, looks: &[(usize, usize)], end: End) {
        let refused = self.model.refuses_recv();
        let would_wait = refused == Some(Why::NotNow);
        let wait = if wait == Wait::Forever && would_wait { Wait::Try } else { wait };
        let receiver = self.receiver.as_mut().unwrap();
        let said = match wait {
            Wait::Try => receiver.try_recv_ref().map_err(why_not_tried),
            Wait::Forever => receiver.recv_ref().map_err(why_not_received),
            _ => receiver.recv_ref_timeout(timeout(wait)).map_err(why_not_received),
        };
        let guard = match (waited(refused, wait), said) {
            (None, Ok(guard)) => guard,
            (why, said) => return assert_eq!(said.err(), why),
        };
        let len = self.model.len();
        assert_eq!((guard.position(), guard.len()), (self.model.head, len));
        for (offset, most) in looks {
            let mut out = vec![0; *most];
            let expected = self.model.peek(*offset, *most);
            assert_eq!(guard.read_at(*offset, &mut out), expected.len());
            assert!(out[..expected.len()] == expected);
        }
        let released = match end {
            End::Said => {
                guard.release();
                len
            }
            End::Some(count) => {
                guard.release_first(count.min(len));
                count.min(len)
            }
            End::Dropped => {
                drop(guard);
                len
            }
            End::Forgotten => {
                std::mem::forget(guard);
                0
            }
        };
        self.model.recv(released);
    }

    pub(super) fn drain(&mut self, to: Behind, most: usize) {
        let refused = if most == 0 { None } else { self.model.refuses_recv() };
        if refused == Some(Why::NotNow) {
            return;
        }
        let sink = behind::sink(to);
        let said = self.receiver.as_mut().unwrap().drain_to(&sink, most);
        let count = most.min(self.model.len()).min(self.model.half());
        match (refused, said) {
            (Some(Why::Closed), Ok(0)) => {}
            (Some(why), Err(error)) => assert_eq!(why_not_read(&error), why),
            (None, Err(error)) if to == Behind::Blocked && most > 0 => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            }
            (None, Ok(said)) if to != Behind::Blocked || most == 0 => {
                assert_eq!(said, count);
                if to != Behind::Blocked {
                    assert!(sink.taken() == self.model.recv(count));
                }
            }
            other => panic!("{other:?}"),
        }
    }
}
