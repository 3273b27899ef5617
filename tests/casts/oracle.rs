//! The oracle: programs of verbs, drawn at random, done to a broadcast and to a model.
//!
//! Where a receiver goes on after it was overrun is the ring's choice within bounds: behind
//! what is gone and may be going, at most an eighth of a lap further. The model holds it to the bounds, and
//! then to its word.

use annulus::broadcast::{Observer, Receiver, Sender, Start};
use annulus::{Error, SeatState};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::carried::{Carried, Why, not_there};
use super::site::{Place, Site};

/// Receivers' seats.
const SEATS: usize = 3;

/// What is done. Receivers are told by number; those that are not there are not asked.
#[derive(Clone, Debug)]
pub enum Op {
    SenderComes,
    SenderLeaves,
    Comes(usize, From),
    Leaves(usize),
    Send(usize),
    SendMany(usize),
    Recv(usize),
    RecvTimeout(usize),
    RecvMany(usize, usize),
    RecvWith(usize),
    Latest(usize),
    Peer(usize),
    Look,
    LookAtNewest,
    ObserverComes,
}

/// Where a receiver begins.
#[derive(Clone, Copy, Debug)]
pub enum From {
    Newest,
    Oldest,
    /// So far below the newest, or above.
    Below(i64),
}

fn any_op() -> impl Strategy<Value = Op> {
    let who = || 0..SEATS;
    let from = prop_oneof![
        2 => Just(From::Newest),
        2 => Just(From::Oldest),
        3 => (-2..150_i64).prop_map(From::Below),
    ];
    prop_oneof![
        3 => Just(Op::SenderComes),
        1 => Just(Op::SenderLeaves),
        4 => (who(), from).prop_map(|(who, from)| Op::Comes(who, from)),
        1 => who().prop_map(Op::Leaves),
        8 => (1..4_usize).prop_map(Op::Send),
        4 => (0..80_usize).prop_map(Op::SendMany),
        10 => who().prop_map(Op::Recv),
        3 => who().prop_map(Op::RecvTimeout),
        5 => (who(), 0..90_usize).prop_map(|(who, most)| Op::RecvMany(who, most)),
        3 => who().prop_map(Op::RecvWith),
        3 => who().prop_map(Op::Latest),
        1 => who().prop_map(Op::Peer),
        3 => Just(Op::Look),
        1 => Just(Op::LookAtNewest),
        1 => Just(Op::ObserverComes),
    ]
}

/// The broadcast, everybody at it, and what must be so.
struct Runner<M: Carried + ?Sized> {
    site: Site<M>,
    capacity: u64,
    lossless: bool,
    /// Messages ever sent.
    tail: u64,
    sender: Option<Sender<M>>,
    gone: SeatState,
    /// Each with its position.
    receivers: [Option<(Receiver<M>, u64)>; SEATS],
    observer: Option<(Observer<M>, u64)>,
}

impl<M: Carried + ?Sized> Runner<M> {
    fn new(place: Place, capacity: u64, lossless: bool) -> Self {
        let options = M::options().capacity(capacity).lossless(lossless).seats(1 + SEATS as u64);
        Self {
            site: Site::new(place, &options),
            capacity,
            lossless,
            tail: 0,
            sender: None,
            gone: SeatState::Vacant,
            receivers: [const { None }; SEATS],
            observer: None,
        }
    }

    /// Positions below are overwritten.
    fn oldest(&self) -> u64 {
        self.tail.saturating_sub(self.capacity)
    }

    /// How far a lossless sender is told that it may go: a receiver keeps less than an
    /// eighth of a lap to itself.
    fn has_room(&self, sent: u64, exactly: bool) -> Option<bool> {
        if !self.lossless {
            return Some(true);
        }
        let slowest = self.receivers.iter().flatten().map(|(it, _)| it.position()).min();
        let taken = self.tail + sent - slowest.unwrap_or(self.tail + sent);
        let untold = if exactly { 0 } else { (self.capacity / 8).clamp(1, 32) - 1 };
        match taken {
            taken if taken >= self.capacity => Some(false),
            taken if taken + untold < self.capacity => Some(true),
            _ => None,
        }
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::SenderComes if self.sender.is_none() => {
                let sender = self.site.open().sender().unwrap();
                assert_eq!(sender.position(), self.tail);
                (self.sender, self.gone) = (Some(sender), SeatState::Live);
            }
            Op::SenderComes => {
                let refused = self.site.ring.sender().err();
                assert!(matches!(refused, Some(Error::SeatTaken { role: "sender", .. })));
            }
            Op::SenderLeaves if self.sender.is_some() => {
                (self.sender, self.gone) = (None, SeatState::Closed);
            }
            Op::SenderLeaves => {}
            Op::Comes(who, from) => self.comes(who, from),
            Op::Leaves(who) => self.receivers[who] = None,
            Op::Send(count) => (0..count).for_each(|which| self.send(which == 1)),
            Op::SendMany(count) => self.send_many(count),
            Op::Recv(who) => self.recv(who, M::try_recv, Why::NotNow),
            Op::RecvTimeout(who) => self.recv(who, M::recv_at_once, Why::Timeout),
            Op::RecvWith(who) => self.recv(who, with, Why::NotNow),
            Op::RecvMany(who, most) => self.recv_many(who, most),
            Op::Latest(who) => {
                let Some((receiver, at)) = &mut self.receivers[who] else { return };
                let newest = self.tail.checked_sub(1).map(M::message);
                assert_eq!(M::latest(receiver), newest.ok_or(Why::NotNow));
                assert_eq!(receiver.capacity(), self.capacity);
                assert!(receiver.position() >= *at);
            }
            Op::Peer(who) => {
                let Some((receiver, _)) = &self.receivers[who] else { return };
                assert_eq!(receiver.peer().unwrap(), self.gone);
                if let Some(sender) = &self.sender {
                    let there = self.receivers.iter().flatten().count();
                    assert_eq!(sender.receivers().unwrap(), there);
                }
            }
            Op::Look => self.look(),
            Op::LookAtNewest => {
                let Some((observer, _)) = &mut self.observer else { return };
                let newest = observer.latest_with(|view| (view.position(), view.len()));
                let expected = self.tail.checked_sub(1);
                let expected = expected.map(|at| (at, M::bytes(&M::message(at)).len()));
                assert_eq!(newest.map_err(not_there), expected.ok_or(Why::NotNow));
            }
            Op::ObserverComes => {
                self.observer = self.site.observe().map(|observer| (observer, self.tail));
                if let Some((observer, at)) = &self.observer {
                    assert_eq!(observer.position(), *at);
                }
            }
        }
    }

    fn comes(&mut self, who: usize, from: From) {
        if self.receivers[who].is_some() {
            return;
        }
        let (start, asked) = match from {
            From::Newest => (Start::Newest, self.tail),
            From::Oldest => (Start::Oldest, self.oldest()),
            From::Below(below) => {
                let at = self.tail.saturating_add_signed(-below);
                if below > self.tail as i64 {
                    return;
                }
                (Start::Position(at), at)
            }
        };
        let came = self.site.open().receiver_from(start);
        if asked > self.tail {
            assert!(matches!(came, Err(Error::Option { option: "position", .. })));
            return;
        }
        let receiver = came.unwrap();
        let at = receiver.position();
        // A lossless sender may have been promised what nobody was there to read.
        let least = asked.max(self.oldest());
        match (self.lossless, from) {
            (false, _) => assert_eq!(at, asked),
            (true, From::Newest) => assert_eq!(at, self.tail),
            (true, _) => assert!((least..=self.tail).contains(&at), "{at} for {asked}"),
        }
        // What was asked for and is not there will be told.
        let told = if matches!(from, From::Below(_)) { asked } else { at };
        self.receivers[who] = Some((receiver, told));
    }

    fn send(&mut self, in_time: bool) {
        let (room, message) = (self.has_room(0, false), M::message(self.tail));
        let Some(sender) = &mut self.sender else { return };
        let said =
            if in_time { M::send_at_once(sender, &message) } else { M::try_send(sender, &message) };
        let full = if in_time { Why::Timeout } else { Why::NotNow };
        match room {
            Some(true) => assert_eq!(said, Ok(())),
            Some(false) => assert_eq!(said, Err(full)),
            None => assert!(said == Ok(()) || said == Err(full)),
        }
        self.tail += u64::from(said.is_ok());
        assert_eq!(sender.position(), self.tail);
    }

    fn send_many(&mut self, count: usize) {
        let batch: Vec<_> = (self.tail..self.tail + count as u64).map(M::message).collect();
        let room = |exactly| {
            let fits =
                (0..count as u64).take_while(|sent| self.has_room(*sent, exactly) == Some(true));
            fits.count()
        };
        let (least, most) = (room(false), room(true));
        let Some(sender) = &mut self.sender else { return };
        let sent = match M::send_many(sender, &batch) {
            Ok(sent) => sent,
            Err(why) => {
                assert!(why == Why::NotNow && count > 0);
                0
            }
        };
        assert!((least..=most).contains(&sent), "{sent} of {least}..={most}");
        self.tail += sent as u64;
    }

    fn recv(
        &mut self,
        who: usize,
        verb: fn(&mut Receiver<M>) -> Result<M::Message, Why>,
        nothing: Why,
    ) {
        let (tail, oldest, capacity) = (self.tail, self.oldest(), self.capacity);
        let Some((receiver, at)) = &mut self.receivers[who] else { return };
        match verb(receiver) {
            Ok(message) => {
                assert!(*at >= oldest && *at < tail);
                assert_eq!(message, M::message(*at));
                *at += 1;
            }
            Err(Why::Lagged(missed)) => lagged(at, missed, (oldest, capacity, tail), self.lossless),
            Err(why) => {
                assert_eq!(*at, tail, "{why:?}");
                assert_eq!(why, if self.gone == SeatState::Closed { Why::Closed } else { nothing });
            }
        }
        assert_eq!(receiver.position(), *at);
    }

    fn recv_many(&mut self, who: usize, most: usize) {
        let (tail, oldest, capacity) = (self.tail, self.oldest(), self.capacity);
        let Some((receiver, at)) = &mut self.receivers[who] else { return };
        match M::recv_many(receiver, most) {
            Ok(messages) if most == 0 => assert!(messages.is_empty()),
            Ok(messages) => {
                assert!(*at >= oldest);
                let end = tail.min(*at + most as u64);
                assert_eq!(messages, (*at..end).map(M::message).collect::<Vec<_>>());
                *at = end;
            }
            Err(Why::Lagged(missed)) => lagged(at, missed, (oldest, capacity, tail), self.lossless),
            Err(why) => {
                assert_eq!(*at, tail, "{why:?}");
                let closed = self.gone == SeatState::Closed;
                assert_eq!(why, if closed { Why::Closed } else { Why::NotNow });
            }
        }
    }

    /// The observer's turn: it may miss messages of a lossless ring too.
    fn look(&mut self) {
        let (tail, oldest, capacity) = (self.tail, self.oldest(), self.capacity);
        let Some((observer, at)) = &mut self.observer else { return };
        let read = observer.try_recv_with(|view| {
            let mut bytes = vec![0; view.len()];
            view.read_at(0, &mut bytes);
            bytes
        });
        match read.map_err(not_there) {
            Ok(bytes) => {
                assert_eq!(bytes, M::bytes(&M::message(*at)));
                *at += 1;
            }
            Err(Why::Lagged(missed)) => lagged(at, missed, (oldest, capacity, tail), false),
            Err(why) => assert_eq!((why, *at), (Why::NotNow, tail)),
        }
        assert_eq!(observer.position(), *at);
    }
}

/// Holds a lag to its bounds, and to its word.
fn lagged(at: &mut u64, missed: u64, (oldest, capacity, tail): (u64, u64, u64), lossless: bool) {
    let next = *at + missed;
    let most = if lossless { tail } else { oldest + 1 + capacity / 8 };
    assert!(missed > 0 && *at < next && (oldest..=most).contains(&next), "{at} to {next}");
    assert!(lossless || *at < oldest, "{at} is there");
    *at = next;
}

/// `try_recv_with`, as a copy.
fn with<M: Carried + ?Sized>(receiver: &mut Receiver<M>) -> Result<M::Message, Why> {
    let position = receiver.position();
    let bytes = receiver.try_recv_with(|view| {
        let mut bytes = vec![0xee; view.len() + 3];
        // In two parts, the second past the end.
        let half = view.len() / 2;
        assert_eq!(view.read_at(0, &mut bytes[..half]), half);
        assert_eq!(view.read_at(half, &mut bytes[half..]), view.len() - half);
        bytes.truncate(view.len());
        (view.position(), bytes)
    });
    let (seen, bytes) = bytes.map_err(not_there)?;
    let message = M::message(position);
    assert_eq!((seen, bytes), (position, M::bytes(&message)));
    Ok(message)
}

/// Draws programs and runs them.
pub fn a_broadcast_is_a_log<M: Carried + ?Sized>(cases: u64, place: Place) {
    let cases = u32::try_from(cases).unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let programs = (1..7_u32, any::<bool>(), prop::collection::vec(any_op(), 1..120));
    TestRunner::new(config)
        .run(&programs, |(power, lossless, program)| {
            let mut runner = Runner::<M>::new(place, 1 << power, lossless);
            for op in &program {
                runner.run(op);
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
