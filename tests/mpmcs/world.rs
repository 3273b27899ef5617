//! A ring with everybody at it, in one process; every step may end in a kill.
//!
//! What is committed and what is retired is told by the stores that were made, by the
//! documented steps alone: a word FULL commits, a word FREE of the next lap retires.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic;
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use annulus::hooks::{Access, Op, kill_before, trace};
use annulus::mpmc::{Receiver, Ring, Sender};
use annulus::{Error, TryRecvError, WaitError};

use super::Words;
use super::site::{Place, SeatWords, Site};
use super::verb::{RecvVerb, Seen, SendVerb};

/// Before which access to kill; `None`: before none.
pub type Kill = Option<u64>;

/// A ring with everybody at it.
pub struct World {
    pub site: Site<Words>,
    capacity: u64,
    seats: u64,
    pub senders: Vec<Option<Sender<Words>>>,
    pub receivers: Vec<Option<Receiver<Words>>>,
    /// The next message's number.
    next: u64,
    /// Committed messages, by position.
    committed: BTreeMap<u64, u64>,
    /// Positions that were retired: by the receiver's own store.
    retired: BTreeSet<u64>,
    /// Retired by one who was killed before he had said so.
    doubt: BTreeSet<u64>,
    /// Every message that an application has ever got.
    seen: Rc<RefCell<Vec<Seen>>>,
    /// The most that a death may leave in doubt, summed up.
    may_doubt: usize,
}

/// Keeps the kills, which unwind, from being printed as panics.
pub fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            if payload.is::<&str>() || payload.is::<String>() {
                print(info);
            }
        }));
    });
}

impl World {
    /// A new ring with so many senders and receivers.
    pub fn new(place: Place, capacity: u64, start: u64, seats: u64, who: (usize, usize)) -> Self {
        quiet();
        let options = Ring::options().capacity(capacity).seats(seats).start(start);
        let options = options.spin(Duration::ZERO).yielding(Duration::ZERO);
        let options = options.slice(Duration::from_millis(1));
        let site = Site::new(place, &options);
        let senders = (0..who.0).map(|_| Some(site.one.sender().unwrap())).collect();
        let receivers = (0..who.1).map(|_| Some(site.other.receiver().unwrap())).collect();
        Self {
            site,
            capacity,
            seats,
            senders,
            receivers,
            next: 0,
            committed: BTreeMap::new(),
            retired: BTreeSet::new(),
            doubt: BTreeSet::new(),
            seen: Rc::default(),
            may_doubt: 0,
        }
    }

    /// Runs `step`, killed at `kill`, and follows what it did to the slots' words.
    fn act<R>(&mut self, kill: Kill, first: u64, step: impl FnOnce() -> R) -> Option<R> {
        let (done, accesses) = trace(|| kill_before(kill.unwrap_or(u64::MAX), step));
        let mut number = first;
        for Access { op, edge, value, .. } in accesses {
            match (op, edge, value & 3) {
                (Op::Store, "publish::RELEASE", 1) => {
                    let before = self.committed.insert(value >> 2, number);
                    assert_eq!(before, None, "a position was committed twice");
                    number += 1;
                }
                (Op::Store, "retire::RELEASE", 0) => {
                    let position = (value >> 2) - self.capacity;
                    assert!(self.retired.insert(position), "{position} was retired twice");
                }
                _ => {}
            }
        }
        done
    }

    /// Messages that are committed and neither received nor in doubt.
    pub fn outstanding(&self) -> Vec<u64> {
        let seen = self.seen.borrow();
        let missing = self.committed.iter().filter(|(position, number)| {
            !self.doubt.contains(position) && !seen.iter().any(|seen| seen.number == **number)
        });
        missing.map(|(_, number)| *number).collect()
    }

    /// A sender comes, at place `who` of this world. True: it lived to tell, or there was no
    /// seat.
    pub fn attach_sender(&mut self, who: usize, kill: Kill) -> bool {
        assert!(self.senders[who].is_none());
        let ring = self.site.other.clone();
        match self.act(kill, 0, move || ring.sender()) {
            Some(Ok(sender)) => self.senders[who] = Some(sender),
            Some(Err(Error::NoSeat { .. })) => {}
            Some(Err(other)) => panic!("{other}"),
            None => return false,
        }
        true
    }

    /// A receiver comes.
    pub fn attach_receiver(&mut self, who: usize, kill: Kill) -> bool {
        assert!(self.receivers[who].is_none());
        let ring = self.site.one.clone();
        match self.act(kill, 0, move || ring.receiver()) {
            Some(Ok(receiver)) => self.receivers[who] = Some(receiver),
            Some(Err(Error::NoSeat { .. })) => {}
            Some(Err(other)) => panic!("{other}"),
            None => return false,
        }
        true
    }

    /// A sender leaves.
    pub fn leave_sender(&mut self, who: usize, kill: Kill) -> bool {
        let sender = self.senders[who].take().unwrap();
        self.act(kill, 0, move || drop(sender)).is_some()
    }

    /// A receiver leaves.
    pub fn leave_receiver(&mut self, who: usize, kill: Kill) -> bool {
        let receiver = self.receivers[who].take().unwrap();
        self.act(kill, 0, move || drop(receiver)).is_some()
    }

    /// A sender does something. True: it lived to tell.
    pub fn send(&mut self, who: usize, verb: SendVerb, room: usize, kill: Kill) -> bool {
        let mut sender = self.senders[who].take().unwrap();
        let (first, before) = (self.next, self.committed.len());
        self.next += 4;
        let done = self.act(kill, first, move || {
            let said = verb.run(&mut sender, first, room);
            (sender, said)
        });
        let count = self.committed.len() - before;
        let Some((sender, said)) = done else {
            assert!(count <= verb.sends(usize::MAX));
            return false;
        };
        assert_eq!(count, said.unwrap_or(0), "{verb:?}: what was said is what was committed");
        self.senders[who] = Some(sender);
        true
    }

    /// A receiver does something. True: it lived to tell.
    pub fn recv(&mut self, who: usize, verb: RecvVerb, kill: Kill) -> bool {
        self.recv_said(who, verb, kill).is_some()
    }

    /// As `recv`, with what it said.
    pub fn recv_said(
        &mut self,
        who: usize,
        verb: RecvVerb,
        kill: Kill,
    ) -> Option<Result<usize, TryRecvError>> {
        let mut receiver = self.receivers[who].take().unwrap();
        let retired = self.retired.clone();
        let log = Rc::clone(&self.seen);
        let done = self.act(kill, 0, move || {
            let said = verb.run(&mut receiver, |seen| log.borrow_mut().push(seen));
            (receiver, said)
        });
        let Some((receiver, said)) = done else {
            let seen = self.seen.borrow();
            let mut doubt = 0;
            for position in self.retired.difference(&retired) {
                let Some(number) = self.committed.get(position) else { continue };
                if !seen.iter().any(|seen| seen.number == *number) {
                    self.doubt.insert(*position);
                    doubt += 1;
                }
            }
            let most = match verb {
                RecvVerb::TryMany(count) => count,
                _ => usize::from(!verb.lends()),
            };
            assert!(doubt <= most, "{verb:?}: {doubt} in doubt");
            self.may_doubt += doubt;
            return None;
        };
        self.receivers[who] = Some(receiver);
        Some(said)
    }

    /// A sender looks for the dead, or dies while it does.
    pub fn ask_sender(&mut self, who: usize, kill: Kill) -> bool {
        let mut sender = self.senders[who].take().unwrap();
        let done = self.act(kill, 0, move || {
            let said = sender.wait_for_peer(Some(Duration::ZERO));
            (sender, said)
        });
        let Some((sender, said)) = done else { return false };
        assert!(matches!(said, Ok(()) | Err(WaitError::Timeout)), "{said:?}");
        self.senders[who] = Some(sender);
        true
    }

    /// A receiver looks for the dead, or dies while it does.
    pub fn ask_receiver(&mut self, who: usize, kill: Kill) -> bool {
        let mut receiver = self.receivers[who].take().unwrap();
        let done = self.act(kill, 0, move || {
            let said = receiver.wait_for_peer(Some(Duration::ZERO));
            (receiver, said)
        });
        let Some((receiver, said)) = done else { return false };
        assert!(matches!(said, Ok(()) | Err(WaitError::Timeout)), "{said:?}");
        self.receivers[who] = Some(receiver);
        true
    }

    fn ask_all(&mut self) {
        for who in 0..self.senders.len() {
            if self.senders[who].is_some() {
                self.ask_sender(who, None);
            }
        }
        for who in 0..self.receivers.len() {
            if self.receivers[who].is_some() {
                self.ask_receiver(who, None);
            }
        }
    }

    /// Successors take what seats are free; everything comes out, the seats of the dead are
    /// settled, and the ring goes on for two laps.
    pub fn finish(mut self) {
        for who in 0..self.senders.len() {
            if self.senders[who].is_none() {
                self.attach_sender(who, None);
            }
        }
        for who in 0..self.receivers.len() {
            if self.receivers[who].is_none() {
                self.attach_receiver(who, None);
            }
        }
        let here: Vec<_> =
            (0..self.receivers.len()).filter(|who| self.receivers[*who].is_some()).collect();
        let who = *here.first().expect("a receiver has a seat");
        self.ask_all();
        // Each of them: an heir's estate is his alone. Also what was read before.
        let mut quiet = 0_u32;
        let mut rounds = 0;
        while !self.outstanding().is_empty() || !self.is_settled(quiet) {
            rounds += 1;
            assert!(rounds < 200, "lost: {:?}", self.outstanding());
            let mut got = 0;
            for who in &here {
                let said = self.recv_said(*who, RecvVerb::Wait(3), None).unwrap();
                got += said.unwrap_or(0);
            }
            quiet = if got > 0 { 0 } else { quiet + 1 };
        }
        // Passes over tombs.
        let said = self.recv_said(who, RecvVerb::Try, None).unwrap();
        assert!(said.is_err(), "{said:?}");
        self.ask_all();
        self.check_seats();
        self.check_laps(who);
        self.check_seen();
    }

    /// Whether nothing is left of the dead; on the heap nobody can look, so after a round in
    /// which nothing came.
    fn is_settled(&self, quiet: u32) -> bool {
        let states = [0, 1, 3, 4];
        match self.site.file {
            Some(_) => (0..2 * self.seats).all(|seat| states.contains(&self.site.seat(seat).state)),
            None => quiet > 0,
        }
    }

    /// Those who live claim nothing unsettled; of the dead nothing is left.
    fn check_seats(&self) {
        if self.site.file.is_none() {
            return;
        }
        let senders = self.senders.iter().flatten().map(Sender::seat);
        let receivers = self.receivers.iter().flatten().map(Receiver::seat);
        let live: BTreeSet<_> = senders.chain(receivers).collect();
        for seat in 0..2 * self.seats {
            let SeatWords { state, claim } = self.site.seat(seat);
            if live.contains(&(seat as usize)) {
                assert_eq!(state, 1, "seat {seat} is live");
            } else {
                assert!(matches!(state, 0 | 3 | 4), "seat {seat} is in state {state}");
                assert_eq!(claim, 0, "seat {seat} is free");
            }
        }
    }

    fn check_laps(&mut self, receiver: usize) {
        let sender = self.senders.iter().position(Option::is_some).expect("a sender has a seat");
        let capacity = usize::try_from(self.capacity).unwrap();
        for _ in 0..2 {
            let before = self.committed.len();
            for _ in 0..capacity {
                self.send(sender, SendVerb::Try, 1, None);
            }
            assert_eq!(self.committed.len(), before + capacity, "the whole ring is free");
            self.send(sender, SendVerb::Try, 0, None);
            for _ in 0..capacity {
                assert_eq!(self.recv_said(receiver, RecvVerb::Try, None), Some(Ok(1)));
            }
            assert_eq!(self.outstanding(), []);
        }
    }

    /// Guarantee 2: nothing that was not sent, nothing twice unmarked, nothing in doubt that
    /// comes again; and what is not marked comes in order.
    fn check_seen(&self) {
        let seen = self.seen.borrow();
        let positions: BTreeMap<_, _> = self.committed.iter().map(|(p, n)| (*n, *p)).collect();
        let mut last = None;
        let mut before = BTreeSet::new();
        for seen in seen.iter() {
            let position = *positions.get(&seen.number).expect("it was committed");
            assert!(seen.position == u64::MAX || seen.position == position);
            assert!(!self.doubt.contains(&position), "what is in doubt does not come again");
            assert!(before.insert(seen.number) || seen.marked, "{} twice unmarked", seen.number);
            if !seen.marked {
                assert!(last < Some(position), "{position} after {last:?}");
                last = Some(position);
            }
        }
        for (position, number) in &self.committed {
            assert!(before.contains(number) || self.doubt.contains(position), "{number} is lost");
        }
        assert!(self.doubt.len() <= self.may_doubt);
    }
}
