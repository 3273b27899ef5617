//! Does each operation to the ring and to the model, and compares.

use std::mem::forget;
use std::time::Duration;

use annulus::mpmc::{Receiver, Ring, Sender};
use annulus::{Error, Options, WaitError};

use super::Place;
use super::carried::{Carried, recv_ref, reserve};
use super::model::{Hand, Model, Why};
use super::op::{End, MAX_LEN, Op, SEATS};

/// A receiver that never waits looks for the dead at least once in so many refusals.
const PATIENCE: usize = 4096;

/// A ring and its model. Endpoints by seat; those in the middle of an operation are away.
pub struct Runner<M: Carried + ?Sized> {
    ring: Ring<M>,
    model: Model,
    senders: [Option<Sender<M>>; SEATS],
    receivers: [Option<Receiver<M>>; SEATS],
    /// For the next message's bytes.
    seed: u8,
}

impl<M: Carried + ?Sized> Runner<M> {
    pub fn new(place: Place, options: Options<Ring<M>>, capacity: u64, start: u64) -> Self {
        // Nobody's patience ends by the clock.
        let options = options.seats(SEATS as u64).slice(Duration::from_secs(600));
        let ring = match place {
            Place::Heap => options.create_heap().unwrap().into(),
            Place::Memfd => options.create_memfd("oracle").unwrap(),
        };
        Self {
            ring,
            model: Model::new(capacity, start),
            senders: [const { None }; SEATS],
            receivers: [const { None }; SEATS],
            seed: 0,
        }
    }

    pub fn run(&mut self, op: &Op) {
        match op {
            Op::SenderComes(cloned) => self.sender_comes(*cloned),
            Op::ReceiverComes(cloned) => self.receiver_comes(*cloned),
            Op::SenderLeaves(who) => {
                if let Some((who, sender)) = pick(&mut self.senders, *who) {
                    self.model.sender_leaves(who);
                    drop(sender);
                }
            }
            Op::ReceiverLeaves(who) => {
                if let Some((who, receiver)) = pick(&mut self.receivers, *who) {
                    self.model.receiver_leaves(who);
                    drop(receiver);
                }
            }
            Op::LeavesBehind(who) => {
                self.recv(*who, false, 0);
                self.run(&Op::ReceiverLeaves(*who));
            }
            Op::Send(..) | Op::SendMany(..) | Op::Reserve(..) => self.send(op),
            Op::Recv(..) | Op::RecvMany(..) | Op::RecvRef(..) => self.receive(op),
            Op::RecvForLong(who) => self.recv_for_long(*who),
            Op::SenderAsks(who) => {
                if let Some((who, mut sender)) = pick(&mut self.senders, *who) {
                    let found = sender.wait_for_peer(Some(Duration::ZERO));
                    assert_eq!(found, there(self.model.sender_asks(who)));
                    self.senders[who] = Some(sender);
                }
            }
            Op::ReceiverAsks(who) => {
                if let Some((who, mut receiver)) = pick(&mut self.receivers, *who) {
                    let found = receiver.wait_for_peer(Some(Duration::ZERO));
                    assert_eq!(found, there(self.model.receiver_asks(who)));
                    self.receivers[who] = Some(receiver);
                }
            }
        }
        self.compare_last();
    }

    /// Where each receiver's last message stood, and whether it came again.
    fn compare_last(&self) {
        for (who, receiver) in self.receivers.iter().enumerate() {
            if let Some(receiver) = receiver {
                let last = (receiver.last().position, receiver.last().redelivered);
                assert_eq!(last, self.model.last(who));
            }
        }
    }

    /// Everybody leaves, and all that is left comes to one who comes then.
    pub fn finish(&mut self) {
        for _ in 0..SEATS {
            self.run(&Op::SenderLeaves(0));
            self.run(&Op::ReceiverLeaves(0));
        }
        self.run(&Op::ReceiverComes(false));
        while self.recv(0, false, MAX_LEN) {}
        assert!(self.model.is_done(), "{:?}", self.model);
    }

    fn sender_comes(&mut self, cloned: bool) {
        let other = self.senders.iter().flatten().next().filter(|_| cloned);
        let came = other.map_or_else(|| self.ring.sender(), Sender::try_clone);
        match (came, self.model.sender_comes()) {
            (Ok(sender), Some(seat)) => {
                assert_eq!(sender.seat(), seat);
                self.senders[seat] = Some(sender);
            }
            (Err(Error::NoSeat { role: "sender", seats: 3 }), None) => {}
            other => panic!("{other:?}"),
        }
    }

    fn receiver_comes(&mut self, cloned: bool) {
        let other = self.receivers.iter().flatten().next().filter(|_| cloned);
        let came = other.map_or_else(|| self.ring.receiver(), Receiver::try_clone);
        match (came, self.model.receiver_comes()) {
            (Ok(receiver), Some(seat)) => {
                assert_eq!(receiver.seat(), SEATS + seat);
                self.receivers[seat] = Some(receiver);
            }
            (Err(Error::NoSeat { role: "receiver", seats: 3 }), None) => {}
            other => panic!("{other:?}"),
        }
    }

    /// A message of such a length, where lengths differ.
    fn draw(&mut self, len: usize) -> Vec<u8> {
        self.seed = self.seed.wrapping_add(37);
        let first = self.seed;
        (0..M::FIXED.unwrap_or(len)).map(|n| first.wrapping_add(n as u8)).collect()
    }

    fn send(&mut self, op: &Op) {
        let (Op::Send(who, ..) | Op::SendMany(who, _) | Op::Reserve(who, ..)) = *op else { return };
        let Some((who, mut sender)) = pick(&mut self.senders, who) else { return };
        match op {
            Op::Send(_, wait, len) => {
                let message = self.draw(*len);
                let sent = M::send(&mut sender, &message, *wait);
                let expected = if M::FIXED.is_none() && *len > MAX_LEN {
                    Err(Why::TooLong)
                } else {
                    self.model.reserve(who, 1).map_err(|why| why.after(*wait))
                };
                assert_eq!(sent, expected.map(drop));
                if let Ok((position, _)) = expected {
                    self.model.commit(position, message);
                }
            }
            Op::SendMany(_, count) => {
                let all: Vec<_> = (0..*count).map(|_| self.draw(0)).collect();
                if let Some(sent) = M::send_many(&mut sender, &all) {
                    let run = match count {
                        0 => Ok((0, 0)),
                        _ => self.model.reserve(who, *count),
                    };
                    assert_eq!(sent, run.map(|(_, count)| count));
                    let (start, count) = run.unwrap_or_default();
                    for (position, message) in (start..start + count as u64).zip(all) {
                        self.model.commit(position, message);
                    }
                }
            }
            Op::Reserve(_, wait, pieces, end, meanwhile) => {
                self.reserve(&mut sender, (who, *wait), pieces, (*end, meanwhile));
            }
            _ => {}
        }
        self.senders[who] = Some(sender);
    }

    fn reserve(
        &mut self,
        sender: &mut Sender<M>,
        (who, wait): (usize, bool),
        pieces: &[usize],
        (end, meanwhile): (End, &[Op]),
    ) {
        let expected = self.model.reserve(who, 1).map_err(|why| why.after(wait));
        let mut slot = match reserve(sender, wait) {
            Ok(slot) => slot,
            Err(why) => return assert_eq!(Err(why), expected),
        };
        let position = slot.position();
        assert_eq!(Ok((position, 1)), expected);
        let most = M::FIXED.unwrap_or(MAX_LEN);
        assert_eq!(slot.capacity(), most);
        let mut written = Vec::new();
        for piece in pieces {
            let bytes: Vec<_> = (1..=*piece as u8).collect();
            let fits = bytes.len().min(most - written.len());
            assert_eq!(slot.append(&bytes), fits);
            written.extend_from_slice(&bytes[..fits]);
        }
        if pieces.is_empty() {
            written = self.draw(MAX_LEN);
            M::write(&mut slot, &written);
        }
        assert_eq!(slot.written(), written.len());
        for op in meanwhile {
            self.run(op);
        }
        match end {
            End::Said => {
                written.resize(M::FIXED.unwrap_or(written.len()), 0);
                self.model.commit(position, written);
                assert_eq!(slot.commit(), position);
            }
            End::Dropped => {
                self.model.bury(position);
                drop(slot);
            }
            End::Forgotten => {
                self.model.forget_reservation(who, position);
                forget(slot);
            }
        }
    }

    fn receive(&mut self, op: &Op) {
        match op {
            Op::Recv(who, wait, room) => {
                self.recv(*who, *wait, *room);
            }
            Op::RecvMany(who, most) => {
                let Some((who, mut receiver)) = pick(&mut self.receivers, *who) else { return };
                if let Some(got) = M::recv_many(&mut receiver, *most) {
                    let expected = match most {
                        0 => Ok(Vec::new()),
                        _ => self.model.take_many(who, *most),
                    };
                    assert_eq!(got, expected);
                }
                self.receivers[who] = Some(receiver);
            }
            Op::RecvRef(who, wait, end, meanwhile) => {
                let Some((who, mut receiver)) = pick(&mut self.receivers, *who) else { return };
                self.recv_ref(&mut receiver, (who, *wait), (*end, meanwhile));
                self.receivers[who] = Some(receiver);
            }
            _ => {}
        }
    }

    /// What the model says to a receive: keeps a message that is too long.
    fn expect(&mut self, who: usize, hand: Hand, room: usize) -> Result<Vec<u8>, Why> {
        let needed = self.model.message(&hand).len();
        if M::FIXED.is_none() && needed > room {
            self.model.put_back(who, hand, true);
            return Err(Why::TooSmall(needed));
        }
        Ok(self.model.receive(who, hand))
    }

    /// Whether there was a message.
    fn recv(&mut self, who: usize, wait: bool, room: usize) -> bool {
        let Some((who, mut receiver)) = pick(&mut self.receivers, who) else { return false };
        let got = M::recv(&mut receiver, room, wait);
        self.receivers[who] = Some(receiver);
        let expected = match self.model.take(who) {
            Ok(hand) => self.expect(who, hand, room),
            Err(why) => Err(why.after(wait)),
        };
        assert_eq!(got, expected);
        self.compare_last();
        got.is_ok()
    }

    fn recv_for_long(&mut self, who: usize) {
        // Otherwise there is nothing to find.
        if self.model.is_settled() {
            return;
        }
        let Some((who, mut receiver)) = pick(&mut self.receivers, who) else { return };
        let taken = self.model.take(who);
        let refused = taken.err();
        let found = taken.ok().or_else(|| match refused {
            Some(Why::Empty | Why::Stalled) => self.model.look_around(Some(who), true),
            _ => None,
        });
        let expected = found.map(|hand| self.expect(who, hand, MAX_LEN));
        let mut got = None;
        for _ in 0..PATIENCE {
            match M::recv(&mut receiver, MAX_LEN, false) {
                Err(why) if Some(why) == refused => {}
                outcome => {
                    got = Some(outcome);
                    break;
                }
            }
        }
        assert_eq!(got, expected);
        self.receivers[who] = Some(receiver);
    }

    fn recv_ref(
        &mut self,
        receiver: &mut Receiver<M>,
        (who, wait): (usize, bool),
        (end, meanwhile): (End, &[Op]),
    ) {
        let expected = self.model.take(who).map_err(|why| why.after(wait));
        let (guard, hand) = match (recv_ref(receiver, wait), expected) {
            (Ok(guard), Ok(hand)) => (guard, hand),
            (got, expected) => {
                let got = got.map(|guard| guard.position());
                return assert_eq!(got, expected.map(|hand| hand.position));
            }
        };
        assert_eq!((guard.position(), guard.redelivered()), (hand.position, hand.again()));
        for op in meanwhile {
            self.run(op);
        }
        // It stays as it is, whatever the others do.
        let message = self.model.message(&hand);
        assert_eq!((M::read(&guard).as_slice(), guard.len()), (message, message.len()));
        match end {
            End::Said => guard.release(),
            End::Dropped => drop(guard),
            End::Forgotten => {
                forget(guard);
                return self.model.put_back(who, hand, false);
            }
        }
        self.model.retire(who, hand);
    }
}

/// Takes the endpoint of such a number, of those that are there, and says which seat it has.
fn pick<E>(all: &mut [Option<E>; SEATS], number: usize) -> Option<(usize, E)> {
    let there: Vec<_> = (0..SEATS).filter(|seat| all[*seat].is_some()).collect();
    let seat = *there.get(number % there.len().max(1))?;
    all[seat].take().map(|it| (seat, it))
}

fn there(is: bool) -> Result<(), WaitError> {
    if is { Ok(()) } else { Err(WaitError::Timeout) }
}
