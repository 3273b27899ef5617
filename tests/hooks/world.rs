//! A ring, its endpoints and its account; every step may end in a kill.

use std::cell::RefCell;
use std::rc::Rc;

use annulus::hooks::{Access, kill_before, trace};
use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{SeatState, TryRecvError, TrySendError};

use super::account::{Account, RECEIVER, SENDER};
use super::verb::{RecvVerb, Seen, SendVerb};
use super::{Words, quiet, words};
use crate::oracles::place::{Place, Site};

/// Before which access to kill; `None`: before none.
pub type Kill = Option<u64>;

/// A ring with everybody at it.
pub struct World {
    /// What must be so.
    pub account: Account,
    site: Site<Words>,
    capacity: u64,
    sender: Option<Sender<Words>>,
    receiver: Option<Receiver<Words>>,
    /// The receiver has exposed a message and forgotten it.
    forgotten: bool,
    /// Positions that were sent with their first word alone.
    partly: Vec<u64>,
    /// Every message that an application has ever got.
    seen: Rc<RefCell<Vec<Seen>>>,
}

impl World {
    /// A new ring, nobody there.
    pub fn new(place: Place, capacity: u64, start: u64) -> Self {
        quiet();
        let options = Ring::options().capacity(capacity).start(start);
        let (site, made) = trace(|| Site::new(place, &options));
        Self {
            account: Account::new(&made, start),
            site,
            capacity,
            sender: None,
            receiver: None,
            forgotten: false,
            partly: Vec::new(),
            seen: Rc::default(),
        }
    }

    /// Runs `step`, killed at `kill`, and follows what it did to shared memory.
    fn act<R>(&mut self, kill: Kill, step: impl FnOnce() -> R) -> (Option<R>, Vec<Access>) {
        let (done, accesses) = trace(|| kill_before(kill.unwrap_or(u64::MAX), step));
        self.account.note(&accesses);
        if let (Some(k), None) = (kill, &done) {
            assert_eq!(accesses.len() as u64, k - 1, "nothing happens after a kill");
        }
        (done, accesses)
    }

    fn room(&self) -> usize {
        usize::try_from(self.capacity - self.account.waiting()).unwrap()
    }

    /// Whether there is a sender.
    pub fn has_sender(&self) -> bool {
        self.sender.is_some()
    }

    /// Whether there is a receiver.
    pub fn has_receiver(&self) -> bool {
        self.receiver.is_some()
    }

    /// A sender comes. True: it lived to tell.
    pub fn attach_sender(&mut self, kill: Kill) -> bool {
        assert!(self.sender.is_none());
        let ring = self.site.one.clone();
        self.sender = self.act(kill, move || ring.sender().unwrap()).0;
        if let Some(sender) = &self.sender {
            assert_eq!(sender.position(), self.account.tail);
            assert_eq!(self.account.seats[SENDER], SeatState::Live);
        }
        self.sender.is_some()
    }

    /// A receiver comes. True: it lived to tell.
    pub fn attach_receiver(&mut self, kill: Kill) -> bool {
        assert!(self.receiver.is_none());
        let ring = self.site.other.clone();
        self.receiver = self.act(kill, move || ring.receiver().unwrap()).0;
        let Some(receiver) = &self.receiver else {
            self.receiver_died();
            return false;
        };
        assert_eq!(receiver.position(), self.account.head);
        for position in self.account.head..=self.account.tail {
            let in_doubt = position < self.account.in_doubt;
            assert_eq!(receiver.is_redelivered(position), in_doubt, "of {position}");
        }
        assert_eq!(self.account.seats[RECEIVER], SeatState::Live);
        true
    }

    fn receiver_died(&mut self) {
        self.account.receiver_died();
        self.forgotten = false;
    }

    /// The sender leaves, or dies while it does.
    pub fn leave_sender(&mut self, kill: Kill) -> bool {
        let sender = self.sender.take().unwrap();
        let done = self.act(kill, move || drop(sender)).0;
        if done.is_some() {
            assert_eq!(self.account.seats[SENDER], SeatState::Closed);
        }
        done.is_some()
    }

    /// The receiver leaves, or dies while it does.
    pub fn leave_receiver(&mut self, kill: Kill) -> bool {
        let receiver = self.receiver.take().unwrap();
        let head = self.account.head + u64::from(self.forgotten);
        let done = self.act(kill, move || drop(receiver)).0;
        if done.is_none() {
            self.receiver_died();
            return false;
        }
        self.forgotten = false;
        assert_eq!(self.account.head, head);
        assert_eq!(self.account.seats[RECEIVER], SeatState::Closed);
        true
    }

    /// The sender does something. True: it lived to tell.
    pub fn send(&mut self, verb: SendVerb, kill: Kill) -> bool {
        let mut sender = self.sender.take().unwrap();
        let (tail, room) = (self.account.tail, self.room());
        let should = verb.sends(room);
        let (done, _) = self.act(kill, move || {
            let said = verb.run(&mut sender, room);
            (sender, said)
        });
        let committed = usize::try_from(self.account.tail - tail).unwrap();
        if verb == SendVerb::AppendPart && committed == 1 {
            self.partly.push(tail);
        }
        let Some((sender, said)) = done else {
            assert!(committed <= should);
            return false;
        };
        assert_eq!(committed, should);
        assert_eq!(sender.position(), self.account.tail);
        match said {
            Ok(sent) => assert_eq!(sent, should),
            Err(error) => {
                assert_eq!(room, 0);
                // Only what was noticed is told.
                let expected = match self.account.seats[RECEIVER] {
                    SeatState::Closed => TrySendError::Closed(()),
                    SeatState::Died => TrySendError::Died(()),
                    _ => TrySendError::Full(()),
                };
                assert_eq!(error, expected);
            }
        }
        self.sender = Some(sender);
        true
    }

    /// The receiver does something. True: it lived to tell.
    pub fn recv(&mut self, verb: RecvVerb, kill: Kill) -> bool {
        let mut receiver = self.receiver.take().unwrap();
        let settled = u64::from(self.forgotten);
        let (head, here) = (self.account.head + settled, self.account.waiting() - settled);
        let log = Rc::clone(&self.seen);
        let (done, _) = self.act(kill, move || {
            let said = verb.run(&mut receiver, |seen| log.borrow_mut().push(seen));
            (receiver, said)
        });
        let Some((receiver, said)) = done else {
            self.receiver_died();
            return false;
        };
        self.forgotten = verb == RecvVerb::Forget && said.is_ok();
        let taken = match said {
            Ok(count) => {
                let asked = if let RecvVerb::TryMany(count) = verb { count as u64 } else { 1 };
                assert_eq!(count as u64, asked.min(here));
                if self.forgotten { 0 } else { count as u64 }
            }
            Err(error) => {
                assert_eq!(here, 0);
                let expected = match self.account.seats[SENDER] {
                    SeatState::Closed => TryRecvError::Closed,
                    SeatState::Died => TryRecvError::Died,
                    _ => TryRecvError::Empty,
                };
                assert_eq!(error, expected);
                0
            }
        };
        assert_eq!(self.account.head, head + taken);
        assert_eq!(receiver.position(), self.account.head + u64::from(self.forgotten));
        self.receiver = Some(receiver);
        true
    }

    /// What a seat should be said to be by one who asks the kernel too.
    fn expected(&self, seat: usize, lives: bool) -> SeatState {
        match self.account.seats[seat] {
            SeatState::Live if !lives => SeatState::Died,
            state => state,
        }
    }

    /// The sender looks for the receiver, or dies while it does.
    pub fn ask_sender(&mut self, kill: Kill) -> bool {
        let sender = self.sender.take().unwrap();
        let expected = self.expected(RECEIVER, self.receiver.is_some());
        let (done, _) = self.act(kill, move || {
            let said = sender.peer();
            (sender, said)
        });
        let Some((sender, said)) = done else { return false };
        assert_eq!(said.unwrap(), expected);
        assert_eq!(self.account.seats[RECEIVER], expected, "it is noted");
        self.sender = Some(sender);
        true
    }

    /// The receiver looks for the sender, or dies while it does.
    pub fn ask_receiver(&mut self, kill: Kill) -> bool {
        let receiver = self.receiver.take().unwrap();
        let expected = self.expected(SENDER, self.sender.is_some());
        let (done, _) = self.act(kill, move || {
            let said = receiver.peer();
            (receiver, said)
        });
        let Some((receiver, said)) = done else {
            self.receiver_died();
            return false;
        };
        assert_eq!(said.unwrap(), expected);
        assert_eq!(self.account.seats[SENDER], expected, "it is noted");
        self.receiver = Some(receiver);
        true
    }

    /// Successors take what seats are free; everything comes out, and a lap more.
    pub fn finish(mut self) {
        if self.sender.is_none() {
            self.attach_sender(None);
        }
        if self.receiver.is_none() {
            self.attach_receiver(None);
        }
        assert!(self.ask_sender(None) && self.ask_receiver(None));
        while self.room() > 0 {
            self.send(SendVerb::Try, None);
        }
        for verb in [RecvVerb::Guard, RecvVerb::TryMany(3), RecvVerb::Try] {
            self.recv(verb, None);
        }
        for _ in 0..self.capacity {
            self.send(SendVerb::Try, None);
        }
        while self.account.waiting() > 0 {
            self.recv(RecvVerb::Try, None);
        }
        self.check_seen();
    }

    /// Guarantee 2: nothing torn, nothing out of order, nothing twice unmarked.
    fn check_seen(&self) {
        let seen = self.seen.borrow();
        for (index, one) in seen.iter().enumerate() {
            let mut expected = words(one.position);
            if self.partly.contains(&one.position) {
                expected[1..].fill(0);
            }
            assert_eq!(one.message, expected, "at {}", one.position);
            let earlier = &seen[..index];
            let again = earlier.iter().any(|other| other.position == one.position);
            assert!(!again || one.marked, "{} came again unmarked", one.position);
            // In order; the same again at most.
            assert!(earlier.iter().all(|other| other.position <= one.position));
        }
    }
}
