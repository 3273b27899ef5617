//! Which transports there are, at which message sizes, and how a lane is made.

use std::fmt;
use std::sync::Arc;

use crate::Error;
use crate::control::Control;
use crate::ends::{Ends, Runs};
use crate::transport::pipe::Pipe;
use crate::transport::place::{Memfd, Named};
use crate::transport::raw::Raw;
use crate::transport::ring::Spsc;
use crate::transport::stream::Stream;
use crate::transport::unix::Unix;
use crate::transport::{Route, Shape, Site, Ticket, Transport};

/// A transport with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bare `memcpy` through a ring of chunks: the limit.
    Raw,
    /// annulus's ring of messages, in named shared memory.
    Ring,
    /// annulus's ring of messages, in a memfd.
    RingMemfd,
    /// annulus's byte stream, in named shared memory.
    Stream,
    /// annulus's byte stream, in a memfd.
    StreamMemfd,
    /// An anonymous pipe.
    Pipe,
    /// A Unix stream socket.
    Unix,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] = [
        Kind::Raw,
        Kind::Ring,
        Kind::RingMemfd,
        Kind::Stream,
        Kind::StreamMemfd,
        Kind::Pipe,
        Kind::Unix,
    ];

    /// Its name in tables, and in the peer's description.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Raw => "raw",
            Kind::Ring => "ring",
            Kind::RingMemfd => "ring-memfd",
            Kind::Stream => "stream",
            Kind::StreamMemfd => "stream-memfd",
            Kind::Pipe => "pipe",
            Kind::Unix => "unix",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A way between the two processes: one transport at one message size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Which transport.
    pub kind: Kind,
    /// Bytes in a message, one of [`SIZES`].
    pub size: usize,
    /// Capacity, and whether to poll.
    pub shape: Shape,
    /// Whether the peer can answer.
    pub both_ways: bool,
}

impl Lane {
    /// One way, polling, with a capacity that suits the size.
    pub fn new(kind: Kind, size: usize) -> Lane {
        let shape = Shape { capacity: default_capacity(size), polling: true };
        Lane { kind, size, shape, both_ways: false }
    }

    /// With an answer for each message.
    pub fn both_ways(self) -> Lane {
        Lane { both_ways: true, ..self }
    }

    /// With another capacity: a power of two.
    pub fn capacity(self, capacity: usize) -> Lane {
        Lane { shape: Shape { capacity, ..self.shape }, ..self }
    }

    /// Sleeping in the kernel where the transport can, instead of polling.
    pub fn blocking(self) -> Lane {
        Lane { shape: Shape { polling: false, ..self.shape }, ..self }
    }
}

/// A ring of 64 KiB for small messages, of 16 messages and at most 8 MiB for large.
fn default_capacity(size: usize) -> usize {
    match size {
        0..=16 => 4096,
        17..=4096 => 65536 / size.next_power_of_two(),
        4097..=524_288 => 16,
        _ => 8,
    }
}

/// Calls `$function::<transport, words>` for a size that is known at run time only.
/// This is the one table of sizes.
macro_rules! sizes {
    ($($size:literal)*) => {
        /// The message sizes that lanes can have, in bytes.
        pub const SIZES: &[usize] = &[$($size),*];

        fn make_sized<T: Transport>(lane: &Lane) -> Result<Route, Error> {
            match lane.size {
                $($size => T::create::<{ $size / 8 }>(lane.shape),)*
                size => Err(Error::Size(size)),
            }
        }

        fn take_sized<T: Transport>(size: usize, ends: Tickets, site: Site) -> Result<Box<dyn Runs>, Error> {
            match size {
                $($size => take::<T, { $size / 8 }>(ends, site),)*
                size => Err(Error::Size(size)),
            }
        }
    };
}

sizes!(8 56 64 256 1024 4096 16384 65536 262144 1048576);

/// The tickets of one process for one lane.
pub(crate) struct Tickets {
    pub(crate) sender: Option<Ticket>,
    pub(crate) receiver: Option<Ticket>,
}

/// A lane that both processes may now take their ends of.
pub(crate) struct Made {
    pub(crate) lead: Tickets,
    pub(crate) peer: Tickets,
    /// Kept until both ends are taken.
    pub(crate) keep: Vec<Box<dyn std::any::Any>>,
}

impl Lane {
    pub(crate) fn make(&self) -> Result<Made, Error> {
        let forward = self.route()?;
        let back = if self.both_ways { Some(self.route()?) } else { None };
        let (answer, question, kept) = match back {
            Some(back) => (Some(back.send), Some(back.recv), back.keep),
            None => (None, None, None),
        };
        Ok(Made {
            lead: Tickets { sender: Some(forward.send), receiver: question },
            peer: Tickets { sender: answer, receiver: Some(forward.recv) },
            keep: forward.keep.into_iter().chain(kept).collect(),
        })
    }

    fn route(&self) -> Result<Route, Error> {
        match self.kind {
            Kind::Raw => make_sized::<Raw>(self),
            Kind::Ring => make_sized::<Named<Spsc>>(self),
            Kind::RingMemfd => make_sized::<Memfd<Spsc>>(self),
            Kind::Stream => make_sized::<Named<Stream>>(self),
            Kind::StreamMemfd => make_sized::<Memfd<Stream>>(self),
            Kind::Pipe => make_sized::<Pipe>(self),
            Kind::Unix => make_sized::<Unix>(self),
        }
    }

    pub(crate) fn take(
        &self,
        ends: Tickets,
        control: &Arc<Control>,
    ) -> Result<Box<dyn Runs>, Error> {
        let site = Site { shape: self.shape, control: Arc::clone(control) };
        match self.kind {
            Kind::Raw => take_sized::<Raw>(self.size, ends, site),
            Kind::Ring => take_sized::<Named<Spsc>>(self.size, ends, site),
            Kind::RingMemfd => take_sized::<Memfd<Spsc>>(self.size, ends, site),
            Kind::Stream => take_sized::<Named<Stream>>(self.size, ends, site),
            Kind::StreamMemfd => take_sized::<Memfd<Stream>>(self.size, ends, site),
            Kind::Pipe => take_sized::<Pipe>(self.size, ends, site),
            Kind::Unix => take_sized::<Unix>(self.size, ends, site),
        }
    }
}

fn take<T: Transport, const W: usize>(ends: Tickets, site: Site) -> Result<Box<dyn Runs>, Error> {
    let sender = ends.sender.map(|ticket| T::sender::<W>(ticket, site.clone())).transpose()?;
    let receiver =
        ends.receiver.map(|ticket| T::receiver::<W>(ticket, site.clone())).transpose()?;
    Ok(Box::new(Ends::<_, _, W>::new(site.control, sender, receiver)))
}
