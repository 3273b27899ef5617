//! The two kinds of rings, as one: what they are made like, found like, and their ends.
//!
//! Imports: exit, naming, signals.

use std::mem;
use std::time::{Duration, Instant};

use annulus::{
    CancelHandle, Error, Field, Kind, Observer, Options, RecvError, RingKind, SeatView, SendError,
    WaitError, broadcast, mpmc,
};

use super::company::Company;
use super::{From, Wanted};
use crate::exit::{Failure, Result, shown};
use crate::naming::{GRACE, Holds, KEPT, Named, PASSING, Pauses};
use crate::signals::Signals;

/// What a new ring has if nobody says otherwise.
const CAPACITY: u64 = 1024;
const MAX_LEN: u64 = 16 << 10;

/// A kind of ring of messages.
pub trait MessageRing: RingKind {
    type Out: Outlet;
    type In: Inlet;
    /// What is left in it when nobody is there.
    const HOLDS: Holds;
    /// As people call it.
    const NAME: &'static str;

    /// Whether a ring that is found is one of these.
    fn is(kind: Kind) -> bool;
    fn options(wanted: &Wanted, capacity: Option<u64>, max_len: Option<u64>) -> Options<Self>;
    fn outlet(&self) -> std::result::Result<Self::Out, Error>;
    fn inlet(&self, from: From) -> std::result::Result<Self::In, Error>;
}

/// An end that sends.
pub trait Outlet {
    fn longest(&self) -> usize;
    fn send(&mut self, message: &[u8]) -> std::result::Result<(), SendError<()>>;
    fn wait_for_peer(&mut self, timeout: Duration) -> std::result::Result<(), WaitError>;
    fn cancel_handle(&self) -> CancelHandle;
}

/// An end that receives.
pub trait Inlet {
    /// Receives a message, and releases it when it has been dealt with: `false`, if that
    /// failed. The number is its position, if it comes a second time.
    fn take(
        &mut self,
        timeout: Option<Duration>,
        deal: &mut dyn FnMut(&[u8], Option<u64>) -> bool,
    ) -> std::result::Result<bool, RecvError>;
    fn wait_for_peer(&mut self, timeout: Duration) -> std::result::Result<(), WaitError>;
    fn cancel_handle(&self) -> CancelHandle;
    /// Leaves, with a message in hand that was not dealt with. How many seats are held on.
    fn abandon(self) -> usize;
}

impl MessageRing for mpmc::Ring<[u8]> {
    type Out = mpmc::Sender<[u8]>;
    type In = Worker;
    const HOLDS: Holds = Holds::Work;
    const NAME: &'static str = "mpmc";

    fn is(kind: Kind) -> bool {
        kind == Kind::MpmcBytes
    }

    fn options(_: &Wanted, capacity: Option<u64>, max_len: Option<u64>) -> Options<Self> {
        let options = capacity.into_iter().fold(Self::options(), Options::capacity);
        max_len.into_iter().fold(options, |options, bytes| options.max_len(bytes))
    }

    fn outlet(&self) -> std::result::Result<Self::Out, Error> {
        self.sender()
    }

    fn inlet(&self, _: From) -> std::result::Result<Self::In, Error> {
        Ok(Worker { receiver: self.receiver()?, message: Vec::new() })
    }
}

impl MessageRing for broadcast::Ring<[u8]> {
    type Out = broadcast::Sender<[u8]>;
    type In = Listener;
    const HOLDS: Holds = Holds::News;
    const NAME: &'static str = "broadcast";

    fn is(kind: Kind) -> bool {
        matches!(kind, Kind::BroadcastBytes | Kind::LosslessBytes)
    }

    fn options(wanted: &Wanted, capacity: Option<u64>, max_len: Option<u64>) -> Options<Self> {
        let options = capacity.into_iter().fold(Self::options(), Options::capacity);
        let options = max_len.into_iter().fold(options, |options, bytes| options.max_len(bytes));
        if wanted.lossless { options.lossless(true) } else { options }
    }

    fn outlet(&self) -> std::result::Result<Self::Out, Error> {
        self.sender()
    }

    fn inlet(&self, from: From) -> std::result::Result<Self::In, Error> {
        let start = match from {
            From::Newest => broadcast::Start::Newest,
            From::Oldest => broadcast::Start::Oldest,
        };
        let (receiver, message) = (self.receiver_from(start)?, vec![0; self.message_size()]);
        Ok(Listener { receiver, message })
    }
}

macro_rules! outlet {
    ($sender:ty) => {
        impl Outlet for $sender {
            fn longest(&self) -> usize {
                self.max_len()
            }

            fn send(&mut self, message: &[u8]) -> std::result::Result<(), SendError<()>> {
                <$sender>::send(self, message)
            }

            fn wait_for_peer(&mut self, timeout: Duration) -> std::result::Result<(), WaitError> {
                <$sender>::wait_for_peer(self, Some(timeout))
            }

            fn cancel_handle(&self) -> CancelHandle {
                <$sender>::cancel_handle(self)
            }
        }
    };
}

outlet!(mpmc::Sender<[u8]>);
outlet!(broadcast::Sender<[u8]>);

/// One of those who share a queue.
pub struct Worker {
    receiver: mpmc::Receiver<[u8]>,
    message: Vec<u8>,
}

impl Inlet for Worker {
    fn take(
        &mut self,
        timeout: Option<Duration>,
        deal: &mut dyn FnMut(&[u8], Option<u64>) -> bool,
    ) -> std::result::Result<bool, RecvError> {
        let guard = match timeout {
            Some(timeout) => self.receiver.recv_ref_timeout(timeout)?,
            None => self.receiver.recv_ref()?,
        };
        self.message.resize(guard.len(), 0);
        guard.read_at(0, &mut self.message);
        let dealt = deal(&self.message, guard.redelivered().then(|| guard.position()));
        if dealt {
            guard.release();
        } else {
            // To be abandoned: it is not received.
            mem::forget(guard);
        }
        Ok(dealt)
    }

    fn wait_for_peer(&mut self, timeout: Duration) -> std::result::Result<(), WaitError> {
        self.receiver.wait_for_peer(Some(timeout))
    }

    fn cancel_handle(&self) -> CancelHandle {
        self.receiver.cancel_handle()
    }

    fn abandon(self) -> usize {
        // As one who dies, when this process ends: the message comes again to another.
        mem::forget(self.receiver);
        1
    }
}

/// One of those who hear a broadcast.
pub struct Listener {
    receiver: broadcast::Receiver<[u8]>,
    message: Vec<u8>,
}

impl Inlet for Listener {
    fn take(
        &mut self,
        timeout: Option<Duration>,
        deal: &mut dyn FnMut(&[u8], Option<u64>) -> bool,
    ) -> std::result::Result<bool, RecvError> {
        let len = match timeout {
            Some(timeout) => self.receiver.recv_timeout(&mut self.message, timeout)?,
            None => self.receiver.recv(&mut self.message)?,
        };
        Ok(deal(&self.message[..len], None))
    }

    fn wait_for_peer(&mut self, timeout: Duration) -> std::result::Result<(), WaitError> {
        self.receiver.wait_for_peer(Some(timeout))
    }

    fn cancel_handle(&self) -> CancelHandle {
        self.receiver.cancel_handle()
    }

    fn abandon(self) -> usize {
        0
    }
}

/// A ring that is there, opened or made.
pub struct Joined<R> {
    pub ring: R,
    pub named: Named,
    pub company: Company,
}

/// Opens the ring under an address, or makes it. `other` is the role of the other side.
/// `None`: a signal came meanwhile.
pub fn join<R: MessageRing>(
    address: &str,
    wanted: &Wanted,
    other: &'static str,
    signals: &Signals,
) -> Result<Option<Joined<R>>> {
    let refused = |error: Error| Failure::refused(address, &error);
    let until = Instant::now() + GRACE;
    let mut pauses = Pauses::new();
    while !signals.caught() {
        let (opened, before) = match Observer::open_guarded(address) {
            Ok(seen) => {
                fits::<R>(address, &seen, wanted)?;
                let options = R::options(wanted, wanted.capacity, wanted.max_len);
                let options = options.type_tag(seen.type_tag()).sigbus_guard(true);
                (options.open(address), seen.seats().map_err(refused)?)
            }
            Err(Error::NotFound { .. }) => {
                let capacity = wanted.capacity.unwrap_or(CAPACITY);
                let max_len = wanted.max_len.unwrap_or(MAX_LEN);
                let options = R::options(wanted, Some(capacity), Some(max_len));
                let tag = if wanted.keep { KEPT } else { PASSING };
                (options.type_tag(tag).sigbus_guard(true).create_new(address), Vec::new())
            }
            Err(error) => return Err(refused(error)),
        };
        match opened {
            Ok(ring) => return joined(ring, address, wanted, (other, &before)).map(Some),
            // Somebody was faster; or is just removing it, or putting another in its place.
            Err(
                Error::AlreadyExists { .. }
                | Error::NotFound { .. }
                | Error::Mismatch { field: Field::TypeTag, .. },
            ) => {}
            Err(Error::InUse { .. }) if Instant::now() < until => {}
            Err(error) => return Err(refused(error)),
        }
        pauses.pause();
    }
    Ok(None)
}

fn joined<R: MessageRing>(
    ring: R,
    address: &str,
    wanted: &Wanted,
    (other, before): (&'static str, &[SeatView]),
) -> Result<Joined<R>> {
    // As long as it is open it is not replaced.
    let seen = Observer::open_guarded(address).map_err(|it| Failure::refused(address, &it))?;
    let named = Named {
        address: address.to_owned(),
        id: seen.creation_id(),
        kept: wanted.keep || seen.type_tag() == KEPT,
        holds: R::HOLDS,
    };
    Ok(Joined { ring, named, company: Company::new(seen, other, before) })
}

/// Refuses a ring that is not what was asked for.
fn fits<R: MessageRing>(address: &str, seen: &Observer, wanted: &Wanted) -> Result {
    let unfit = |what: String| Err(Failure::unusable(format!("{}: {what}", shown(address))));
    if !R::is(seen.kind()) {
        let kind = crate::facts::kind(seen.kind());
        return unfit(format!(
            "a ring of kind {kind} stands there, none for --kind {}; choose another name",
            R::NAME
        ));
    }
    if wanted.lossless && seen.kind() != Kind::LosslessBytes {
        return unfit(
            "a broadcast that overwrites stands there; give --lossless to whoever comes first"
                .to_owned(),
        );
    }
    let (capacity, max_len) = (seen.capacity(), seen.message_size());
    if wanted.capacity.is_some_and(|it| it != capacity)
        || wanted.max_len.is_some_and(|it| it != max_len)
    {
        return unfit(format!(
            "a ring of {capacity} messages of up to {max_len} bytes stands there; leave \
             --capacity and --max-len out, or choose another name"
        ));
    }
    Ok(())
}
