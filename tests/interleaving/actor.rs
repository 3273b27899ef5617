//! Whoever acts in a scene, on a ring of any kind.

use std::fmt::Debug;

use annulus::{Error, TryRecvError, TrySendError};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Send,
    SendMany(usize),
    /// A reservation that is committed.
    Reserve,
    /// One that is given up.
    Abort,
    Recv,
    RecvMany(usize),
    /// What is received under a guard.
    Guard,
    /// Everything there is.
    Drain,
    /// Takes a seat, unless it has one.
    Comes,
    Leaves,
    /// Tries, and finds its way barred by a call that is not over.
    IsHeldUp,
}

impl Op {
    /// All the ways to do it in fewer or more steps, of which each commits for itself.
    pub fn steps(self) -> Vec<Vec<Self>> {
        let some: fn(usize) -> Self = match self {
            Self::SendMany(_) => Self::SendMany,
            Self::RecvMany(_) => Self::RecvMany,
            _ => return vec![vec![self]],
        };
        let (Self::SendMany(count) | Self::RecvMany(count)) = self else { unreachable!() };
        let split = |first: usize| {
            let rest = some(count - first).steps().into_iter();
            rest.map(move |rest| [&[some(first)], &rest[..]].concat())
        };
        let mut all: Vec<_> = (1..count).flat_map(split).collect();
        all.push(vec![self]);
        all
    }

    /// As `steps`; and each with a hold-up at some point, after which it does no more.
    pub fn steps_or_hold_up(self) -> Vec<Vec<Self>> {
        let mut all = self.steps();
        if !matches!(self, Self::Comes | Self::Leaves) {
            let each = all.iter().flat_map(|steps| (0..steps.len()).map(|n| steps[..n].to_vec()));
            let held_up: Vec<_> = each.map(|it| [&it[..], &[Self::IsHeldUp]].concat()).collect();
            all.extend(held_up);
        }
        all
    }
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    Full,
    /// Or `Stalled`: there is nothing yet.
    Empty,
    Lagged(u64),
    Closed,
    /// The seat is another's, or was; or he has none to leave.
    Seat,
}

/// What came of a step: messages sent or received; if none, why.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    pub messages: Vec<u64>,
    why: Option<Why>,
    /// A step of a batch fell short of what was asked for, so that it ended.
    short: bool,
}

impl Said {
    fn of(asked: usize, outcome: Result<Vec<u64>, Why>) -> Self {
        match outcome {
            Ok(messages) => Self { short: messages.len() < asked, messages, why: None },
            Err(why) => Self { messages: vec![], why: Some(why), short: true },
        }
    }

    /// One more step of the same operation, unless it has ended.
    pub fn go_on(&mut self, step: impl FnOnce() -> Self) {
        if self.short {
            return;
        }
        let step = step();
        self.messages.extend(step.messages);
        self.short = step.short;
        self.why = step.why.filter(|_| self.messages.is_empty());
    }
}

/// A kind of ring. A message is one number.
pub trait Kind: Clone + Send + 'static {
    type Sender: Send;
    type Receiver: Send;
    /// Whether a call has something in hand meanwhile that others may be short of.
    const HOLDS: bool = false;
    fn sender(&self) -> Result<Self::Sender, Error>;
    fn receiver(&self) -> Result<Self::Receiver, Error>;
    /// The next message, where its sender would say `own`.
    fn next(_: &Self::Sender, own: u64) -> u64 {
        own
    }
    /// Sends some of these; says how many.
    fn send(sender: &mut Self::Sender, op: Op, messages: &[u64]) -> Result<usize, Why>;
    fn recv(receiver: &mut Self::Receiver, op: Op) -> Result<Vec<u64>, Why>;
    /// What is told of all that was drained.
    fn drained(_: &Self::Receiver, messages: Vec<u64>) -> Vec<u64> {
        messages
    }
}

/// Why nothing was sent. Nobody lies here, and nobody dies.
pub fn not_sent<T>(error: TrySendError<T>) -> Why {
    match error {
        TrySendError::Full(_) => Why::Full,
        TrySendError::Closed(_) => Why::Closed,
        TrySendError::Died(_) => panic!("nobody died"),
        TrySendError::Fault(_, fault) => panic!("{fault}"),
        _ => panic!("another error"),
    }
}

/// As above.
pub fn not_received(error: TryRecvError) -> Why {
    match error {
        TryRecvError::Empty | TryRecvError::Stalled => Why::Empty,
        TryRecvError::Lagged(missed) => Why::Lagged(missed),
        TryRecvError::Closed => Why::Closed,
        other => panic!("{other}"),
    }
}

/// Somebody with a seat, or without.
pub struct Actor<K: Kind> {
    ring: K,
    sends: bool,
    sender: Option<K::Sender>,
    receiver: Option<K::Receiver>,
    /// The next message, if nobody else says.
    next: u64,
}

impl<K: Kind> Actor<K> {
    /// With a seat.
    pub fn new(ring: &K, who: usize, sends: bool) -> Self {
        let next = 100 * who as u64;
        let mut actor = Self { ring: ring.clone(), sends, sender: None, receiver: None, next };
        actor.act(Op::Comes);
        actor
    }

    /// Does it.
    pub fn act(&mut self, op: Op) -> Said {
        let asked = match op {
            Op::SendMany(count) | Op::RecvMany(count) => count,
            Op::Abort | Op::Drain | Op::Comes | Op::Leaves => 0,
            _ => 1,
        };
        let outcome = match op {
            Op::Comes => self.comes(),
            Op::IsHeldUp => Err(if self.sends { Why::Full } else { Why::Empty }),
            Op::Leaves => {
                let left = self.sender.take().is_some() | self.receiver.take().is_some();
                if left { Ok(vec![]) } else { Err(Why::Seat) }
            }
            _ if self.sends => self.send(op),
            _ => self.recv(op),
        };
        Said::of(asked, outcome)
    }

    fn comes(&mut self) -> Result<Vec<u64>, Why> {
        let refused = match self.sends {
            true if self.sender.is_none() => self.ring.sender().map(|it| self.sender = Some(it)),
            false if self.receiver.is_none() => {
                self.ring.receiver().map(|it| self.receiver = Some(it))
            }
            _ => Ok(()),
        };
        match refused {
            Ok(()) => Ok(vec![]),
            Err(Error::SeatTaken { .. } | Error::NoSeat { .. } | Error::Over { .. }) => {
                Err(Why::Seat)
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn send(&mut self, op: Op) -> Result<Vec<u64>, Why> {
        let sender = self.sender.as_mut().ok_or(Why::Seat)?;
        let count = if let Op::SendMany(count) = op { count } else { 1 };
        let first = K::next(sender, self.next);
        let mut messages: Vec<_> = (first..first + count as u64).collect();
        messages.truncate(K::send(sender, op, &messages)?);
        self.next += messages.len() as u64;
        Ok(messages)
    }

    fn recv(&mut self, op: Op) -> Result<Vec<u64>, Why> {
        let receiver = self.receiver.as_mut().ok_or(Why::Seat)?;
        if op != Op::Drain {
            return K::recv(receiver, op);
        }
        let mut all = Vec::new();
        loop {
            match K::recv(receiver, Op::Recv) {
                Ok(messages) => all.extend(messages),
                Err(Why::Lagged(_)) => {}
                Err(_) => return Ok(K::drained(receiver, all)),
            }
        }
    }
}
