//! A stream whose endpoints are killed between any two accesses to shared memory.
//!
//! ```text
//!   verb ──▶ trace(kill_before(k, verb)) ──▶ the accesses made ──▶ head, tail, seats
//!                                             what the survivor finds ── equal
//! ```

// Each test binary uses its own part of this.
#![allow(dead_code)]

pub mod verb;

use std::fs::File;
use std::io::{Read, Seek};

use annulus::hooks::{Access, Op, kill_before, trace};
use annulus::stream::{Receiver, Ring, Sender};
use annulus::{Error, RecvError, SeatState, SendError, TryRecvError, TrySendError};

use crate::streams::site::{Place, Site};
use crate::streams::{bytes, check};
pub use verb::{RecvVerb, SendVerb};

/// Before which access to kill; `None`: before none.
pub type Kill = Option<u64>;

/// The sender's seat and the receiver's.
const SENDER: usize = 0;
const RECEIVER: usize = 1;

/// A stream, who is there, and what is in its memory by the documented steps alone: a tail
/// commits, a head receives, a seat's state says how it was left.
pub struct World {
    pub capacity: u64,
    /// The shared head.
    pub head: u64,
    /// The shared tail.
    pub tail: u64,
    seats: [SeatState; 2],
    site: Site,
    pub sender: Option<Sender>,
    pub receiver: Option<Receiver>,
    /// Everything that was drained to a descriptor, from position 0 on, if all was.
    drained: File,
}

/// Keeps the kills, which unwind, from being printed as panics.
fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload_as_str().is_some() {
                print(info);
            }
        }));
    });
}

fn state(word: u64) -> SeatState {
    match word & 0xff {
        0 => SeatState::Vacant,
        1 => SeatState::Live,
        3 => SeatState::Closed,
        4 => SeatState::Died,
        other => panic!("no seat is in state {other}"),
    }
}

impl World {
    /// A new stream, nobody there.
    pub fn new(place: Place, capacity: u64) -> Self {
        quiet();
        let site = Site::new(place, &Ring::options().capacity(capacity));
        let seats = [SeatState::Vacant; 2];
        let drained = tempfile::tempfile().unwrap();
        Self { capacity, head: 0, tail: 0, seats, site, sender: None, receiver: None, drained }
    }

    /// Runs `step`, killed at `kill`, and follows what it did to shared memory; a state that
    /// it writes is that of seat `whose`.
    fn act<R>(&mut self, kill: Kill, whose: usize, step: impl FnOnce() -> R) -> Option<R> {
        let (done, accesses) = trace(|| kill_before(kill.unwrap_or(u64::MAX), step));
        if let (Some(k), None) = (kill, &done) {
            assert_eq!(accesses.len() as u64, k - 1, "nothing happens after a kill");
        }
        self.note(whose, &accesses);
        done
    }

    fn note(&mut self, whose: usize, accesses: &[Access]) {
        for access in accesses.iter().filter(|it| matches!(it.op, Op::Store | Op::Exchange)) {
            match access.edge {
                "publish::RELEASE" => {
                    assert!((self.tail..=self.head + self.capacity).contains(&access.value));
                    self.tail = access.value;
                }
                "retire::RELEASE" => {
                    assert!((self.head..=self.tail).contains(&access.value));
                    self.head = access.value;
                }
                "seat::RELEASE" => self.seats[whose] = state(access.value),
                _ => {}
            }
        }
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> u64 {
        self.tail - self.head
    }

    fn room(&self) -> usize {
        usize::try_from(self.capacity - self.waiting()).unwrap()
    }

    /// A sender comes. True: it lived to tell.
    pub fn attach_sender(&mut self, kill: Kill) -> bool {
        let ring = self.site.one.clone();
        self.sender = self.act(kill, SENDER, move || ring.sender().unwrap());
        self.sender.is_some()
    }

    /// A receiver comes. True: it lived to tell.
    pub fn attach_receiver(&mut self, kill: Kill) -> bool {
        let ring = self.site.other.clone();
        self.receiver = self.act(kill, RECEIVER, move || ring.receiver().unwrap());
        self.receiver.is_some()
    }

    /// What a sender is told when the stream has such room.
    fn refusal(&self) -> Option<TrySendError<()>> {
        match self.seats[RECEIVER] {
            SeatState::Closed => Some(TrySendError::Closed(())),
            SeatState::Died => Some(TrySendError::Died(())),
            _ => None,
        }
    }

    /// The sender does something. True: it is still there.
    pub fn send(&mut self, verb: SendVerb, kill: Kill) -> bool {
        let mut sender = self.sender.take().unwrap();
        let (tail, room, gone) = (self.tail, self.room(), self.refusal());
        let whose = if verb == SendVerb::Peer { RECEIVER } else { SENDER };
        let all_taken = self.waiting() == 0;
        let lived = self.receiver.is_some();
        if verb.ends() {
            let done = self.act(kill, whose, move || verb.end(sender));
            if let (SendVerb::Finish, Some(Err(error))) = (verb, &done) {
                assert_eq!(error, &SendError::from_try(gone.expect("gone")));
                assert!(!all_taken);
            }
            return false;
        }
        let most = verb.len(self.capacity, room);
        let done = self.act(kill, whose, move || {
            let said = verb.run(&mut sender, &bytes(tail, most), room);
            (sender, said)
        });
        let committed = usize::try_from(self.tail - tail).unwrap();
        let Some((sender, said)) = done else {
            assert!(committed <= most.min(room), "{verb:?}");
            return false;
        };
        assert_eq!(sender.position(), self.tail);
        match verb {
            SendVerb::Peer => {
                let expected = self.expected(RECEIVER, lived);
                assert_eq!(sender.peer().unwrap(), expected);
                assert_eq!(self.seats[RECEIVER], expected, "it is noted");
            }
            SendVerb::Received => {
                let full = TrySendError::Full(());
                let expected = if all_taken { Ok(0) } else { Err(gone.unwrap_or(full)) };
                assert_eq!(said, expected);
            }
            _ => match said {
                Ok(count) => assert_eq!((count, gone), (committed, None)),
                Err(error) => {
                    assert_eq!(committed, 0);
                    assert_eq!(error, gone.unwrap_or(TrySendError::Full(())));
                    assert!(gone.is_some() || verb.refused(self.capacity, room), "{verb:?}");
                }
            },
        }
        self.sender = Some(sender);
        true
    }

    /// The receiver does something. True: it is still there.
    pub fn recv(&mut self, verb: RecvVerb, kill: Kill) -> bool {
        let mut receiver = self.receiver.take().unwrap();
        let (head, here) = (self.head, self.waiting() as usize);
        let whose = if verb == RecvVerb::Peer { SENDER } else { RECEIVER };
        let lived = self.sender.is_some();
        if verb.ends() {
            self.act(kill, whose, move || verb.end(receiver));
            return false;
        }
        // What an application has got stays got when it is killed.
        let mut out = vec![0; verb.len(self.capacity)];
        let before = self.drained.stream_position().unwrap();
        let (buffer, sink) = (&mut out, self.drained.try_clone().unwrap());
        let done = self.act(kill, whose, move || {
            let said = verb.run(&mut receiver, buffer, &sink, here);
            (receiver, said)
        });
        let retired = usize::try_from(self.head - head).unwrap();
        if matches!(verb, RecvVerb::Try(_) | RecvVerb::Vectored) {
            check(head, &out[..retired]);
        }
        if matches!(verb, RecvVerb::Drain(_)) {
            // The bytes are out, retired or not.
            let written = self.written_since(before);
            check(head, &written);
            assert!(written.len() >= retired && written.len() <= here);
        }
        let Some((receiver, said)) = done else { return false };
        assert_eq!(receiver.position(), self.head);
        if verb == RecvVerb::Peer {
            let expected = self.expected(SENDER, lived);
            assert_eq!(receiver.peer().unwrap(), expected);
            assert_eq!(self.seats[SENDER], expected, "it is noted");
        } else {
            match said {
                Ok(count) => assert_eq!((count, here > 0), (retired, true), "{verb:?}"),
                Err(error) => {
                    assert_eq!((here, retired), (0, 0));
                    assert_eq!(error, self.nothing());
                }
            }
        }
        self.receiver = Some(receiver);
        true
    }

    /// The receiver was killed past this account, and that was noticed.
    pub fn recv_died(&mut self) {
        self.seats[RECEIVER] = SeatState::Died;
    }

    /// What was written to the drain since it stood at `before`.
    fn written_since(&mut self, before: u64) -> Vec<u8> {
        let mut written = Vec::new();
        self.drained.seek(std::io::SeekFrom::Start(before)).unwrap();
        self.drained.read_to_end(&mut written).unwrap();
        written
    }

    /// What a receiver is told when nothing is there.
    fn nothing(&self) -> TryRecvError {
        match self.seats[SENDER] {
            SeatState::Closed => TryRecvError::Closed,
            SeatState::Died => TryRecvError::Died,
            _ => TryRecvError::Empty,
        }
    }

    /// What a seat should be said to be by one who asks the kernel too.
    fn expected(&self, seat: usize, lives: bool) -> SeatState {
        match self.seats[seat] {
            SeatState::Live if !lives => SeatState::Died,
            state => state,
        }
    }

    /// Whoever is left, or comes because nobody has yet, finds how it ended.
    pub fn finish(mut self) {
        if self.seats[RECEIVER] == SeatState::Vacant {
            assert!(self.attach_receiver(None));
        }
        if self.seats[SENDER] == SeatState::Vacant {
            assert!(self.attach_sender(None));
        }
        if self.sender.is_some() && self.receiver.is_some() {
            self.send(SendVerb::Try(3), None);
            self.send(SendVerb::Finish, None);
        }
        if let Some(mut receiver) = self.receiver.take() {
            // A whole prefix of what was committed, and then the end or the death.
            let mut out = vec![0; self.waiting() as usize + 1];
            let (mut got, ended) = (0, loop_until_ended(&mut receiver, &mut out));
            got += ended.0;
            assert_eq!(got as u64, self.tail - self.head);
            check(self.head, &out[..got]);
            let closed = self.seats[SENDER] == SeatState::Closed;
            assert_eq!(ended.1, if closed { RecvError::Closed } else { RecvError::Died });
        }
        if let Some(mut sender) = self.sender.take() {
            let state = sender.peer().unwrap();
            assert_eq!(state, self.expected(RECEIVER, false));
            let said = sender.send(b"x");
            let expected = match state {
                SeatState::Closed => SendError::Closed(()),
                _ => SendError::Died(()),
            };
            assert_eq!(said, Err(expected));
            let taken = sender.wait_until_received(None);
            assert_eq!(taken, if self.waiting() == 0 { Ok(()) } else { Err(expected) });
        }
        for error in [self.site.one.sender().err(), self.site.other.receiver().err()] {
            assert!(matches!(error, Some(Error::Over { .. })), "{error:?}");
        }
    }
}

/// Receives until the end; how much, and which end. It asks the kernel when there is nothing.
fn loop_until_ended(receiver: &mut Receiver, out: &mut [u8]) -> (usize, RecvError) {
    let mut got = 0;
    loop {
        match receiver.try_recv(&mut out[got..]) {
            Ok(count) => got += count,
            Err(TryRecvError::Closed) => return (got, RecvError::Closed),
            Err(TryRecvError::Died) => return (got, RecvError::Died),
            Err(TryRecvError::Empty) => {
                let ended = [SeatState::Closed, SeatState::Died];
                assert!(ended.contains(&receiver.peer().unwrap()), "nobody is left");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// A try's error as that of a verb that waits.
pub trait FromTry {
    /// It.
    fn from_try(error: TrySendError<()>) -> Self;
}

impl FromTry for SendError<()> {
    fn from_try(error: TrySendError<()>) -> Self {
        match error {
            TrySendError::Closed(()) => Self::Closed(()),
            TrySendError::Died(()) => Self::Died(()),
            other => panic!("{other:?}"),
        }
    }
}
