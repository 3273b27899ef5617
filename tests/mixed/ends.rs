//! Rings of every kind behind one face: send the next number, receive one.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use annulus::{Error, Options, RingKind, broadcast, frames, mpmc, spsc, stream};
use zerocopy::{FromBytes, IntoBytes};

use super::{Tick, asleep};
use crate::support::Role;

/// All there are.
pub const KINDS: [&str; 7] = ["spsc", "bytes", "stream", "mpmc", "broadcast", "lossless", "frames"];

/// A ring of one of the kinds.
pub enum Opened {
    Spsc(spsc::Ring<Tick>),
    Bytes(spsc::Ring<[u8]>),
    Stream(stream::Ring),
    Mpmc(mpmc::Ring<Tick>),
    Broadcast(broadcast::Ring<Tick>),
    Frames(frames::Ring),
}

/// Sends the message of a number; the error's name.
pub type Send = Box<dyn FnMut(u64) -> Result<(), String>>;
/// Receives a message whole and gives its number; the error's name.
pub type Receive = Box<dyn FnMut() -> Result<u64, String>>;

/// As `come` says.
pub fn open(role: &mut Role) -> Opened {
    const SIZE: u64 = size_of::<Tick>() as u64;
    match role.argument(0) {
        "spsc" => Opened::Spsc(found(role, spsc::Ring::options().capacity(8))),
        "bytes" => {
            Opened::Bytes(found(role, spsc::Ring::<[u8]>::options().max_len(SIZE).capacity(8)))
        }
        "stream" => Opened::Stream(found(role, stream::Ring::options().capacity(128))),
        "mpmc" => Opened::Mpmc(found(role, mpmc::Ring::options().capacity(8))),
        "broadcast" => Opened::Broadcast(found(role, broadcast::Ring::options().capacity(8))),
        "lossless" => {
            Opened::Broadcast(found(role, broadcast::Ring::options().lossless(true).capacity(8)))
        }
        "frames" => Opened::Frames(found(role, frames::Ring::options().max_len(5000).capacity(8))),
        kind => panic!("no ring is {kind}"),
    }
}

fn found<R: RingKind>(role: &mut Role, options: Options<R>) -> R {
    // Both are patient, or a death is seen soon.
    let options = match role.argument(3) {
        "asleep" => asleep(options),
        _ => options.slice(Duration::from_millis(5)),
    };
    let ring: Result<R, Error> = match (role.argument(1), role.argument(2)) {
        ("memfd", "makes") => options.create_memfd("annulus-test"),
        ("memfd", _) => options.from_fd(role.inherited()),
        (address, "makes") => options.create_new(address),
        (address, _) => options.open(address),
    };
    ring.unwrap_or_else(|error| panic!("{error}"))
}

fn name(error: impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

impl Opened {
    /// The segment, of a memfd.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Spsc(ring) => ring.segment_fd(),
            Self::Bytes(ring) => ring.segment_fd(),
            Self::Stream(ring) => ring.segment_fd(),
            Self::Mpmc(ring) => ring.segment_fd(),
            Self::Broadcast(ring) => ring.segment_fd(),
            Self::Frames(ring) => ring.segment_fd(),
        }
    }

    /// Takes a sender's seat.
    pub fn sender(&self) -> Send {
        match self {
            Self::Spsc(ring) => {
                let mut sender = ring.sender().unwrap();
                Box::new(move |n| sender.send(Tick::of(n)).map_err(name))
            }
            Self::Bytes(ring) => {
                let mut sender = ring.sender().unwrap();
                Box::new(move |n| sender.send(part(n, Tick::of(n).as_bytes())).map_err(name))
            }
            Self::Stream(ring) => {
                let mut sender = ring.sender().unwrap();
                Box::new(move |n| {
                    let tick = Tick::of(n);
                    let mut left = tick.as_bytes();
                    while !left.is_empty() {
                        left = &left[sender.send(left).map_err(name)?..];
                    }
                    Ok(())
                })
            }
            Self::Mpmc(ring) => {
                let mut sender = ring.sender().unwrap();
                Box::new(move |n| sender.send(Tick::of(n)).map_err(name))
            }
            Self::Broadcast(ring) => {
                let mut sender = ring.sender().unwrap();
                Box::new(move |n| sender.send(Tick::of(n)).map_err(name))
            }
            Self::Frames(ring) => {
                let mut sender = ring.sender().unwrap();
                Box::new(move |n| {
                    let mut frame = sender.take().map_err(name)?;
                    let bytes = Tick::of(n).as_bytes().repeat(1 + n as usize % 200);
                    assert_eq!(frame.append(&bytes), bytes.len());
                    frame.send().map_err(name)
                })
            }
        }
    }

    /// Takes a receiver's seat.
    pub fn receiver(&self) -> Receive {
        match self {
            Self::Spsc(ring) => {
                let mut receiver = ring.receiver().unwrap();
                Box::new(move || receiver.recv().map(Tick::number).map_err(name))
            }
            Self::Bytes(ring) => {
                let mut receiver = ring.receiver().unwrap();
                Box::new(move || {
                    let guard = receiver.recv_ref().map_err(name)?;
                    let (n, bytes) = (guard.position(), guard.to_vec());
                    assert_eq!(bytes, part(n, Tick::of(n).as_bytes()), "torn");
                    Ok(n)
                })
            }
            Self::Stream(ring) => {
                let mut receiver = ring.receiver().unwrap();
                Box::new(move || {
                    let (mut bytes, mut filled) = ([0; size_of::<Tick>()], 0);
                    while filled < bytes.len() {
                        filled += receiver.recv(&mut bytes[filled..]).map_err(name)?;
                    }
                    Ok(Tick::read_from_bytes(&bytes).unwrap().number())
                })
            }
            Self::Mpmc(ring) => {
                let mut receiver = ring.receiver().unwrap();
                Box::new(move || receiver.recv().map(Tick::number).map_err(name))
            }
            Self::Broadcast(ring) => {
                let mut receiver = ring.receiver().unwrap();
                Box::new(move || receiver.recv().map(Tick::number).map_err(name))
            }
            Self::Frames(ring) => {
                let mut receiver = ring.receiver().unwrap();
                Box::new(move || {
                    let bytes = receiver.recv().map_err(name)?.to_vec();
                    let (first, _) = Tick::read_from_prefix(&bytes).unwrap();
                    let n = first.number();
                    assert_eq!(bytes, first.as_bytes().repeat(1 + n as usize % 200), "torn");
                    Ok(n)
                })
            }
        }
    }
}

/// Byte messages of every length that there is room for.
fn part(number: u64, bytes: &[u8]) -> &[u8] {
    &bytes[..number as usize % (bytes.len() + 1)]
}
