//! Does each operation to the stream and to the model, and compares: the two together.

use std::time::{Duration, Instant};

use annulus::stream::{Receiver, Ring, Sender};
use annulus::{Error, Options, SeatState};

use super::model::Model;
use super::op::{Going, Op, Wait};
use crate::streams::bytes;
use crate::streams::site::{LONG, Place, Site};

/// A stream and its model.
pub struct Runner {
    pub(super) model: Model,
    pub(super) sender: Option<Sender>,
    pub(super) receiver: Option<Receiver>,
    site: Site,
    /// For the next bytes.
    seed: u64,
}

/// Long enough to fall asleep.
pub(super) const MOMENT: Duration = Duration::from_micros(60);

/// How long a verb with a timeout has.
pub(super) fn timeout(wait: Wait) -> Duration {
    if wait == Wait::Moment { MOMENT } else { Duration::ZERO }
}

impl Runner {
    /// A new stream, nobody there.
    pub fn new(place: Place, options: &Options<Ring>, capacity: usize, start: u64) -> Self {
        let site = Site::new(place, &options.clone().capacity(capacity as u64));
        assert_eq!(site.one.capacity(), capacity as u64);
        let model = Model::new(capacity, start);
        Self { model, sender: None, receiver: None, site, seed: start }
    }

    /// Bytes that are not these again soon.
    pub(super) fn draw(&mut self, len: usize) -> Vec<u8> {
        self.seed += 1;
        bytes(self.seed.wrapping_mul(0x0100_0003), len)
    }

    /// Does one operation to both.
    pub fn run(&mut self, op: &Op) {
        use Op::{
            Ask, Drain, Fill, ReadVectored, ReceiverGoes, Recv, RecvRef, Reserve, Send, SenderGoes,
            WaitReceived, WriteVectored,
        };
        let sends = matches!(
            op,
            Send(..) | WriteVectored(_) | Reserve(..) | Fill(..) | WaitReceived | SenderGoes(_)
        );
        if matches!(op, Ask) {
            self.ask();
        } else if sends && self.sender_is_there() {
            match op {
                Send(wait, len) => self.send(*wait, *len),
                WriteVectored(lens) => self.write_vectored(lens),
                Reserve(wait, len, appends, end) => self.reserve(*wait, *len, appends, *end),
                Fill(from, has, most) => self.fill(*from, *has, *most),
                WaitReceived => self.wait_received(),
                SenderGoes(how) => self.sender_goes(*how),
                _ => unreachable!("sorted above"),
            }
        } else if !sends && self.receiver_is_there() {
            match op {
                Recv(wait, len) => self.recv(*wait, *len),
                ReadVectored(lens) => self.read_vectored(lens),
                RecvRef(wait, looks, end) => self.recv_ref(*wait, looks, *end),
                Drain(to, most) => self.drain(*to, *most),
                ReceiverGoes(how) => self.receiver_goes(*how),
                _ => unreachable!("sorted above"),
            }
        }
        if let Some(sender) = &self.sender {
            assert_eq!(sender.position(), self.model.tail());
        }
        if let Some(receiver) = &self.receiver {
            assert_eq!(receiver.position(), self.model.head);
        }
    }

    /// It comes if it has not yet; false if it has gone.
    fn sender_is_there(&mut self) -> bool {
        if self.model.sender == SeatState::Vacant {
            self.sender = Some(self.site.one.sender().unwrap());
            self.model.sender = SeatState::Live;
        }
        self.sender.is_some()
    }

    fn receiver_is_there(&mut self) -> bool {
        if self.model.receiver == SeatState::Vacant {
            self.receiver = Some(self.site.other.receiver().unwrap());
            self.model.receiver = SeatState::Live;
        }
        self.receiver.is_some()
    }

    fn sender_goes(&mut self, how: Going) {
        let sender = self.sender.take().unwrap();
        self.model.sender = SeatState::Closed;
        match how {
            Going::Finish => {
                let gone = self.model.receiver_gone().filter(|_| self.model.len() > 0);
                let said = sender.finish().map_err(super::sending::why_not_sent);
                assert_eq!(said.err(), gone);
            }
            Going::Drop => drop(sender),
            Going::Abort => {
                sender.abort();
                self.model.sender = SeatState::Died;
            }
        }
    }

    fn receiver_goes(&mut self, how: Going) {
        let receiver = self.receiver.take().unwrap();
        if how == Going::Abort {
            receiver.abort();
            self.model.receiver = SeatState::Died;
        } else {
            drop(receiver);
            self.model.receiver = SeatState::Closed;
        }
    }

    /// Each about the other; and a second of each, who is refused.
    fn ask(&mut self) {
        if let Some(sender) = &self.sender {
            assert_eq!(sender.peer().unwrap(), self.model.receiver);
        }
        if let Some(receiver) = &self.receiver {
            assert_eq!(receiver.peer().unwrap(), self.model.sender);
        }
        let refused = |outcome: Option<Error>, state| match (outcome, state) {
            (_, SeatState::Vacant) => true,
            (Some(Error::SeatTaken { .. }), SeatState::Live) => true,
            (Some(Error::Over { .. }), SeatState::Closed | SeatState::Died) => true,
            (other, state) => panic!("{other:?} of a seat that is {state:?}"),
        };
        // A vacant one would be taken by the asking.
        if self.model.sender != SeatState::Vacant {
            assert!(refused(self.site.one.sender().err(), self.model.sender));
        }
        if self.model.receiver != SeatState::Vacant {
            assert!(refused(self.site.other.receiver().err(), self.model.receiver));
        }
    }

    /// The receiver gets what is left, and how it ended.
    pub fn finish(mut self) {
        if self.sender_is_there() {
            self.sender_goes(Going::Finish);
        }
        let start = Instant::now();
        while self.receiver_is_there() && self.model.len() > 0 {
            self.recv(Wait::Forever, self.model.capacity / 3 + 1);
            assert!(start.elapsed() < LONG);
        }
        if self.receiver_is_there() {
            self.recv(Wait::Forever, 1);
            self.read_vectored(&[1]);
            self.receiver_goes(Going::Drop);
        }
        self.ask();
    }
}
