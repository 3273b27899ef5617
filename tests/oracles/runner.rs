//! Does each operation to the ring and to the model, and compares.

use std::time::{Duration, Instant};

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{
    Error, Message, Options, RecvError, SeatState, SendError, TryRecvError, TrySendError,
};

use super::message::{bytes, from_bytes, to_bytes};
use super::model::{Model, Why};
use super::op::{Op, Wait};
use super::place::{Place, Site};

/// A ring and its model.
pub struct Runner<T: Message> {
    pub(super) model: Model,
    pub(super) sender: Option<Sender<T>>,
    pub(super) receiver: Option<Receiver<T>>,
    site: Site<T>,
    /// For the next message's bytes.
    seed: u64,
}

/// What a refused send says.
pub fn why_not_sent<T: Message>(error: TrySendError<T>, sent: &[u8]) -> Why {
    let why = match &error {
        TrySendError::Full(_) => Why::NotNow,
        TrySendError::Closed(_) => Why::Closed,
        TrySendError::Died(_) => panic!("nobody died"),
        TrySendError::Fault(_, fault) => limit(*fault),
        _ => panic!("an unknown reason: {error:?}"),
    };
    assert_eq!(to_bytes(&error.into_message()), sent, "the message comes back as it was");
    why
}

/// What a send that has waited says.
pub fn why_not_sent_in_time<T: Message>(error: SendError<T>, sent: &[u8]) -> Why {
    let why = match &error {
        SendError::Timeout(_) => Why::Timeout,
        SendError::Closed(_) => Why::Closed,
        SendError::Died(_) => panic!("nobody died"),
        SendError::Fault(_, fault) => limit(*fault),
        _ => panic!("an unknown reason: {error:?}"),
    };
    assert_eq!(to_bytes(&error.into_message()), sent, "the message comes back as it was");
    why
}

/// What a refused receive says.
pub fn why_not_received(error: TryRecvError) -> Why {
    match error {
        TryRecvError::Empty => Why::NotNow,
        TryRecvError::Closed => Why::Closed,
        TryRecvError::Fault(fault) => limit(fault),
        _ => panic!("{error:?}"),
    }
}

/// What a receive that has waited says.
pub fn why_not_received_in_time(error: RecvError) -> Why {
    match error {
        RecvError::Timeout => Why::Timeout,
        RecvError::Closed => Why::Closed,
        RecvError::Fault(fault) => limit(fault),
        _ => panic!("{error:?}"),
    }
}

fn limit(fault: annulus::Fault) -> Why {
    assert_eq!(fault, annulus::Fault::PositionLimit);
    Why::PositionLimit
}

/// What a verb that waits in this way says instead of `NotNow`.
pub fn as_waited(why: Option<Why>, wait: Wait) -> Option<Why> {
    match why {
        Some(Why::NotNow) if wait != Wait::Try => Some(Why::Timeout),
        why => why,
    }
}

/// The deadline of [`Wait::Past`].
pub fn past() -> Instant {
    Instant::now()
}

/// The timeout of a verb that has one.
pub fn timeout(wait: Wait) -> Duration {
    if wait == Wait::Moment { Duration::from_micros(20) } else { Duration::ZERO }
}

impl<T: Message> Runner<T> {
    /// A new ring.
    pub fn new(place: Place, options: &Options<Ring<T>>, capacity: usize, start: u64) -> Self {
        let site = Site::new(place, &options.clone().capacity(capacity as u64));
        let model = Model::new(capacity, start);
        Self { model, sender: None, receiver: None, site, seed: 0 }
    }

    /// Bytes for the next message, all different.
    pub(super) fn fresh(&mut self) -> Vec<u8> {
        self.seed += 1;
        bytes(size_of::<T>(), self.seed)
    }

    /// The next message and its bytes.
    pub(super) fn fresh_message(&mut self) -> (T, Vec<u8>) {
        let bytes = self.fresh();
        (from_bytes(&bytes), bytes)
    }

    /// Does one operation.
    pub fn run(&mut self, op: &Op) {
        match op {
            Op::Send(wait) => self.send(*wait),
            Op::SendMany(wait, count) => self.send_many(*wait, *count),
            Op::Reserve(wait, puts, end) => self.reserve(*wait, puts, *end),
            Op::Recv(wait) => self.recv(*wait),
            Op::RecvMany(wait, count) => self.recv_many(*wait, *count),
            Op::RecvRef(wait, looks, end) => self.recv_ref(*wait, looks, *end),
            Op::TurnSender => self.turn_sender(),
            Op::TurnReceiver => self.turn_receiver(),
            Op::AskTwice => self.ask_twice(),
        }
        self.check();
    }

    fn turn_sender(&mut self) {
        if self.sender.take().is_some() {
            self.model.sender = SeatState::Closed;
        } else {
            self.sender = Some(self.site.one.sender().unwrap());
            self.model.sender = SeatState::Live;
        }
    }

    fn turn_receiver(&mut self) {
        if self.receiver.take().is_some() {
            self.model.settle();
            self.model.receiver = SeatState::Closed;
        } else {
            self.receiver = Some(self.site.other.receiver().unwrap());
            self.model.receiver = SeatState::Live;
        }
    }

    fn ask_twice(&mut self) {
        let own = Some(std::process::id());
        for ring in [&self.site.one, &self.site.other] {
            if self.sender.is_some() {
                let asked = ring.sender();
                assert!(
                    matches!(&asked, Err(Error::SeatTaken { role: "sender", pid }) if *pid == own)
                );
            }
            if self.receiver.is_some() {
                let asked = ring.receiver();
                assert!(
                    matches!(&asked, Err(Error::SeatTaken { role: "receiver", pid }) if *pid == own)
                );
            }
        }
    }

    /// Compares all that can be seen without doing anything.
    fn check(&self) {
        let model = &self.model;
        let capacity = model.capacity() as u64;
        if let Some(sender) = &self.sender {
            assert_eq!(sender.position(), model.tail());
            assert_eq!(sender.capacity(), capacity);
            assert_eq!(sender.peer().unwrap(), model.receiver);
        }
        if let Some(receiver) = &self.receiver {
            let position = model.head() + u64::from(model.forgotten);
            assert_eq!(receiver.position(), position);
            assert_eq!(receiver.capacity(), capacity);
            assert_eq!(receiver.peer().unwrap(), model.sender);
            assert!(!receiver.is_redelivered(position));
        }
        if let Some(observer) = &self.site.observer {
            assert_eq!(observer.capacity(), capacity);
            assert_eq!(observer.message_size(), size_of::<T>() as u64);
            assert_eq!(observer.head(), model.head());
            assert_eq!(observer.len(), model.len() as u64);
            assert_eq!(observer.is_empty(), model.len() == 0);
            let seats = observer.seats().unwrap();
            let said: Vec<_> =
                seats.iter().map(|seat| (seat.role, seat.state, seat.held)).collect();
            let held = |state| state == SeatState::Live;
            let expected = [("sender", model.sender), ("receiver", model.receiver)];
            assert_eq!(said, expected.map(|(role, state)| (role, state, held(state))));
        }
    }

    /// Both endpoints come or stay, and everything that was sent comes out.
    pub fn finish(&mut self) {
        if self.receiver.is_none() {
            self.run(&Op::TurnReceiver);
        }
        if self.sender.is_some() {
            self.run(&Op::TurnSender);
        }
        for _ in 0..=self.model.len() {
            self.run(&Op::Recv(Wait::Try));
        }
        assert_eq!(self.model.len(), 0);
    }
}
