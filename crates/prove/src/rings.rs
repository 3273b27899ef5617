//! Any ring behind one face, for campaigns whose cells are kind × backing × way of waiting.
//!
//! ```text
//!   Shape { kind, method, fenced, patience, capacity } ── create · open · from_fd ──▶ Ring
//!   Ring ── sender · receiver ──▶ Sender · Receiver: numbers, each a message of its own
//! ```
//!
//! A stream carries a number as eight bytes, a ring of frames as a frame of eight bytes.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use annulus::{
    Error, Options, RecvError, RingKind, SendError, TryRecvError, TrySendError, WaitMethod,
    Waitable, broadcast, frames, mpmc, spsc, stream,
};

/// The kinds of rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One sender, one receiver.
    Spsc,
    /// The same, of bytes.
    Stream,
    /// Many of both.
    Mpmc,
    /// A broadcast that overwrites.
    Broadcast,
    /// A broadcast whose sender waits for the slowest.
    Lossless,
    /// Buffers by handle.
    Frames,
}

impl Kind {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Spsc, Self::Stream, Self::Mpmc, Self::Broadcast, Self::Lossless, Self::Frames];

    /// As it is written in cells and arguments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spsc => "spsc",
            Self::Stream => "stream",
            Self::Mpmc => "mpmc",
            Self::Broadcast => "broadcast",
            Self::Lossless => "lossless",
            Self::Frames => "frames",
        }
    }

    /// The kind of this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn named(name: &str) -> Self {
        let kind = Self::ALL.iter().find(|kind| kind.name() == name);
        *kind.unwrap_or_else(|| panic!("no kind of ring is called {name}"))
    }

    /// Whether semaphores are for it.
    pub fn has_semaphores(self) -> bool {
        matches!(self, Self::Spsc | Self::Stream)
    }

    /// Whether its sender is ever held back.
    pub fn fills(self) -> bool {
        self != Self::Broadcast
    }
}

/// What a ring is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its kind.
    pub kind: Kind,
    /// How its endpoints sleep.
    pub method: WaitMethod,
    /// A fence on both sides, or `membarrier` by the sleeper.
    pub fenced: bool,
    /// Numbers that it holds; of a stream at least four, or numbers come in pieces.
    pub capacity: u64,
    /// The longest sleep of this process's endpoints.
    pub slice: Duration,
    /// How long they poll before they sleep.
    pub polls: Duration,
}

/// How one comes by a ring.
enum Way<'a> {
    Create(&'a str),
    OpenOrCreate(&'a str),
    CreateMemfd,
    Open(&'a str),
    FromFd(OwnedFd),
}

impl Shape {
    fn make(&self, way: Way<'_>) -> Result<Ring, Error> {
        Ok(match self.kind {
            Kind::Spsc => Ring::Spsc(self.ring(way, 1, spsc::Ring::options())?),
            Kind::Stream => Ring::Stream(self.ring(way, 8, stream::Ring::options())?),
            Kind::Mpmc => Ring::Mpmc(self.ring(way, 1, mpmc::Ring::options().seats(SEATS))?),
            Kind::Broadcast | Kind::Lossless => {
                let options = broadcast::Ring::options().seats(SEATS);
                let options = options.lossless(self.kind == Kind::Lossless);
                Ring::Broadcast(self.ring(way, 1, options)?)
            }
            Kind::Frames => {
                let options = frames::Ring::options().seats(SEATS).max_len(8);
                Ring::Frames(self.ring(way, 1, options)?)
            }
        })
    }

    /// `per_number`: what a number takes of the capacity.
    fn ring<R: RingKind>(
        &self,
        way: Way<'_>,
        per_number: u64,
        options: Options<R>,
    ) -> Result<R, Error> {
        let options = options.wait_method(self.method).fenced(self.fenced);
        let options = options.slice(self.slice).spin(self.polls).yielding(Duration::ZERO);
        let options = options.capacity(per_number * self.capacity);
        match way {
            Way::Create(address) => options.create_new(address),
            Way::OpenOrCreate(address) => options.open_or_create(address),
            Way::CreateMemfd => options.create_memfd("annulus-prove"),
            Way::Open(address) => options.open(address),
            Way::FromFd(memfd) => options.from_fd(memfd),
        }
    }

    /// A new ring under an address.
    ///
    /// # Errors
    /// As `Options::create_new`.
    pub fn create(&self, address: &str) -> Result<Ring, Error> {
        self.make(Way::Create(address))
    }

    /// The ring under an address, or a new one.
    ///
    /// # Errors
    /// As `Options::open_or_create`.
    pub fn open_or_create(&self, address: &str) -> Result<Ring, Error> {
        self.make(Way::OpenOrCreate(address))
    }

    /// A new ring in a memfd.
    ///
    /// # Errors
    /// As `Options::create_memfd`.
    pub fn create_memfd(&self) -> Result<Ring, Error> {
        self.make(Way::CreateMemfd)
    }

    /// The ring under an address.
    ///
    /// # Errors
    /// As `Options::open`.
    pub fn open(&self, address: &str) -> Result<Ring, Error> {
        self.make(Way::Open(address))
    }

    /// The ring in a memfd.
    ///
    /// # Errors
    /// As `Options::from_fd`.
    pub fn from_fd(&self, memfd: OwnedFd) -> Result<Ring, Error> {
        self.make(Way::FromFd(memfd))
    }
}

/// Seats of a ring that can say how many: of each side, or the sender's included.
const SEATS: u64 = 4;

/// An opened ring.
pub enum Ring {
    /// See [`Kind::Spsc`].
    Spsc(spsc::Ring<u64>),
    /// See [`Kind::Stream`].
    Stream(stream::Ring),
    /// See [`Kind::Mpmc`].
    Mpmc(mpmc::Ring<u64>),
    /// Of either kind.
    Broadcast(broadcast::Ring<u64>),
    /// See [`Kind::Frames`].
    Frames(frames::Ring),
}

impl Ring {
    /// Its sender, or one of them.
    ///
    /// # Errors
    /// As the ring's own method.
    pub fn sender(&self) -> Result<Sender, Error> {
        Ok(match self {
            Self::Spsc(ring) => Sender::Spsc(ring.sender()?),
            Self::Stream(ring) => Sender::Stream(ring.sender()?),
            Self::Mpmc(ring) => Sender::Mpmc(ring.sender()?),
            Self::Broadcast(ring) => Sender::Broadcast(ring.sender()?),
            Self::Frames(ring) => Sender::Frames(ring.sender()?),
        })
    }

    /// Its receiver, or one of them; of a broadcast, from the oldest message on.
    ///
    /// # Errors
    /// As the ring's own method.
    pub fn receiver(&self) -> Result<Receiver, Error> {
        Ok(match self {
            Self::Spsc(ring) => Receiver::Spsc(ring.receiver()?),
            Self::Stream(ring) => Receiver::Stream(ring.receiver()?),
            Self::Mpmc(ring) => Receiver::Mpmc(Box::new(ring.receiver()?)),
            Self::Broadcast(ring) => {
                Receiver::Broadcast(ring.receiver_from(broadcast::Start::Oldest)?)
            }
            Self::Frames(ring) => Receiver::Frames(ring.receiver()?),
        })
    }

    /// The descriptor of its segment.
    ///
    /// # Panics
    /// If it is on the heap, which none of [`Shape`]'s is.
    pub fn fd(&self) -> BorrowedFd<'_> {
        let fd = match self {
            Self::Spsc(ring) => ring.segment_fd(),
            Self::Stream(ring) => ring.segment_fd(),
            Self::Mpmc(ring) => ring.segment_fd(),
            Self::Broadcast(ring) => ring.segment_fd(),
            Self::Frames(ring) => ring.segment_fd(),
        };
        fd.expect("a segment that has a file")
    }

    /// Waits that only the end of a slice rescued: for a message, for room.
    ///
    /// # Errors
    /// As `Observer::from_fd`.
    pub fn rescues(&self) -> Result<(u64, u64), Error> {
        Ok(annulus::Observer::from_fd(self.fd().try_clone_to_owned().map_err(os)?)?.rescues())
    }
}

fn os(source: std::io::Error) -> Error {
    Error::Os { call: "copying a descriptor", source }
}

/// Why a send or a receive did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not now, or not in time.
    NotYet,
    /// The peer has left, or all of them have.
    Closed,
    /// The peer has died, or one of the last has.
    Died,
    /// A broadcast's receiver was overrun by so many.
    Lagged(u64),
    /// Anything else, in the error's own words.
    Other(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet => f.write_str("not yet"),
            Self::Closed => f.write_str("closed"),
            Self::Died => f.write_str("died"),
            Self::Lagged(by) => write!(f, "lagged by {by}"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl<T> From<SendError<T>> for Refusal {
    fn from(error: SendError<T>) -> Self {
        match error {
            SendError::Timeout(_) => Self::NotYet,
            SendError::Closed(_) => Self::Closed,
            SendError::Died(_) => Self::Died,
            SendError::Cancelled(_) => Self::Other("cancelled".to_owned()),
            SendError::Fault(_, fault) => Self::Other(fault.to_string()),
            _ => Self::Other("a message too long".to_owned()),
        }
    }
}

impl<T> From<TrySendError<T>> for Refusal {
    fn from(error: TrySendError<T>) -> Self {
        match error {
            TrySendError::Full(_) => Self::NotYet,
            TrySendError::Closed(_) => Self::Closed,
            TrySendError::Died(_) => Self::Died,
            TrySendError::Fault(_, fault) => Self::Other(fault.to_string()),
            _ => Self::Other("a message too long".to_owned()),
        }
    }
}

impl From<RecvError> for Refusal {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Timeout => Self::NotYet,
            RecvError::Closed => Self::Closed,
            RecvError::Died => Self::Died,
            RecvError::Lagged(by) => Self::Lagged(by),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<TryRecvError> for Refusal {
    fn from(error: TryRecvError) -> Self {
        match error {
            TryRecvError::Empty | TryRecvError::Stalled => Self::NotYet,
            TryRecvError::Closed => Self::Closed,
            TryRecvError::Died => Self::Died,
            TryRecvError::Lagged(by) => Self::Lagged(by),
            other => Self::Other(other.to_string()),
        }
    }
}

/// A sending endpoint.
pub enum Sender {
    /// See [`Kind::Spsc`].
    Spsc(spsc::Sender<u64>),
    /// See [`Kind::Stream`].
    Stream(stream::Sender),
    /// See [`Kind::Mpmc`].
    Mpmc(mpmc::Sender<u64>),
    /// Of either kind.
    Broadcast(broadcast::Sender<u64>),
    /// See [`Kind::Frames`].
    Frames(frames::Sender),
}

impl Sender {
    /// Sends without waiting.
    ///
    /// # Errors
    /// [`Refusal::NotYet`] if there is no room.
    pub fn try_send(&mut self, number: u64) -> Result<(), Refusal> {
        match self {
            Self::Spsc(sender) => Ok(sender.try_send(number)?),
            // The capacity is a multiple of eight, so it goes whole or not at all.
            Self::Stream(sender) => whole(sender.try_send(&number.to_le_bytes())?),
            Self::Mpmc(sender) => Ok(sender.try_send(number)?),
            Self::Broadcast(sender) => Ok(sender.try_send(number)?),
            Self::Frames(sender) => frame(sender.try_take()?, number),
        }
    }

    /// Sends, waiting for room as long as `timeout`.
    ///
    /// # Errors
    /// [`Refusal::NotYet`] if there was none.
    pub fn send(&mut self, number: u64, timeout: Duration) -> Result<(), Refusal> {
        match self {
            Self::Spsc(sender) => Ok(sender.send_timeout(number, timeout)?),
            Self::Stream(sender) => whole(sender.send_timeout(&number.to_le_bytes(), timeout)?),
            Self::Mpmc(sender) => Ok(sender.send_timeout(number, timeout)?),
            Self::Broadcast(sender) => Ok(sender.send_timeout(number, timeout)?),
            Self::Frames(sender) => frame(sender.take_timeout(timeout)?, number),
        }
    }

    /// As a member of a `WaitSet`, if it can be one.
    pub fn waitable(&mut self) -> Option<&mut dyn Waitable> {
        Some(match self {
            Self::Spsc(sender) => sender,
            Self::Stream(sender) => sender,
            Self::Mpmc(sender) => sender,
            Self::Broadcast(sender) => sender,
            Self::Frames(_) => return None,
        })
    }
}

fn whole(bytes: usize) -> Result<(), Refusal> {
    if bytes == 8 { Ok(()) } else { Err(Refusal::Other(format!("{bytes} bytes of a number"))) }
}

fn frame(mut frame: frames::Frame, number: u64) -> Result<(), Refusal> {
    frame.append(&number.to_le_bytes());
    frame.send().map_err(|error| error.reason.into())
}

/// A receiving endpoint.
pub enum Receiver {
    /// See [`Kind::Spsc`].
    Spsc(spsc::Receiver<u64>),
    /// See [`Kind::Stream`].
    Stream(stream::Receiver),
    /// See [`Kind::Mpmc`].
    Mpmc(Box<mpmc::Receiver<u64>>),
    /// Of either kind.
    Broadcast(broadcast::Receiver<u64>),
    /// See [`Kind::Frames`].
    Frames(frames::Receiver),
}

impl Receiver {
    /// Receives without waiting.
    ///
    /// # Errors
    /// [`Refusal::NotYet`] if there is nothing.
    pub fn try_recv(&mut self) -> Result<u64, Refusal> {
        match self {
            Self::Spsc(receiver) => Ok(receiver.try_recv()?),
            Self::Stream(receiver) => {
                let mut bytes = [0; 8];
                let count = receiver.try_recv(&mut bytes)?;
                number(&bytes[..count])
            }
            Self::Mpmc(receiver) => Ok(receiver.try_recv()?),
            Self::Broadcast(receiver) => Ok(receiver.try_recv()?),
            Self::Frames(receiver) => number(&receiver.try_recv()?.to_vec()),
        }
    }

    /// Receives, waiting as long as `timeout`.
    ///
    /// # Errors
    /// [`Refusal::NotYet`] if nothing came.
    pub fn recv(&mut self, timeout: Duration) -> Result<u64, Refusal> {
        match self {
            Self::Spsc(receiver) => Ok(receiver.recv_timeout(timeout)?),
            Self::Stream(receiver) => {
                let mut bytes = [0; 8];
                let count = receiver.recv_timeout(&mut bytes, timeout)?;
                number(&bytes[..count])
            }
            Self::Mpmc(receiver) => Ok(receiver.recv_timeout(timeout)?),
            Self::Broadcast(receiver) => Ok(receiver.recv_timeout(timeout)?),
            Self::Frames(receiver) => number(&receiver.recv_timeout(timeout)?.to_vec()),
        }
    }

    /// As a member of a `WaitSet`, if it can be one.
    pub fn waitable(&mut self) -> Option<&mut dyn Waitable> {
        Some(match self {
            Self::Spsc(receiver) => receiver,
            Self::Stream(receiver) => receiver,
            Self::Mpmc(receiver) => &mut **receiver,
            Self::Broadcast(receiver) => receiver,
            Self::Frames(_) => return None,
        })
    }
}

/// Numbers are sent whole, so they come whole: of a stream too, whose positions are then
/// multiples of eight.
fn number(bytes: &[u8]) -> Result<u64, Refusal> {
    match bytes.try_into() {
        Ok(bytes) => Ok(u64::from_le_bytes(bytes)),
        Err(_) => Err(Refusal::Other(format!("torn: {} bytes of a number", bytes.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_carries_numbers_in_order_and_says_when_it_is_full_and_empty() {
        for kind in Kind::ALL {
            let shape = Shape {
                kind: *kind,
                method: WaitMethod::Futex,
                fenced: false,
                capacity: 2,
                slice: Duration::from_millis(5),
                polls: Duration::ZERO,
            };
            let ring = shape.create_memfd().unwrap();
            let again = shape.from_fd(ring.fd().try_clone_to_owned().unwrap()).unwrap();
            let (mut sender, mut receiver) = (ring.sender().unwrap(), again.receiver().unwrap());
            let soon = Duration::from_millis(1);
            assert_eq!(receiver.recv(soon), Err(Refusal::NotYet), "{kind:?}");
            for number in [7, 8] {
                assert_eq!(sender.try_send(number), Ok(()), "{kind:?}");
            }
            if kind.fills() {
                assert_eq!(sender.send(9, soon), Err(Refusal::NotYet), "{kind:?}");
            }
            assert_eq!((receiver.try_recv(), receiver.recv(soon)), (Ok(7), Ok(8)), "{kind:?}");
            assert_eq!(Kind::named(kind.name()), *kind);
            assert_eq!(ring.rescues().unwrap(), (0, 0));
        }
    }
}
