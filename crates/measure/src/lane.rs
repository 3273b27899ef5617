//! Which transports there are, at which message sizes, and how a lane is made.

use std::fmt;
use std::sync::Arc;

pub use annulus::WaitMethod;

use crate::Error;
use crate::control::Control;
use crate::ends::{Ends, Runs};
use crate::transport::broadcast::{Broadcast, Lossless};
use crate::transport::eventfd::Eventfd;
use crate::transport::fifo::Fifo;
use crate::transport::futex::Futex;
use crate::transport::mmap_file::MmapFile;
use crate::transport::mutex_condvar::MutexCondvar;
use crate::transport::packets::{UnixDgram, UnixSeqpacket};
use crate::transport::pipe::Pipe;
use crate::transport::place::{File, Memfd, Named};
use crate::transport::posix_mq::PosixMq;
use crate::transport::raw::Raw;
use crate::transport::raw_sync::RawSync;
use crate::transport::ring::{Mpmc, Spsc};
use crate::transport::semaphore::PosixSemaphore;
use crate::transport::signal::Queued;
use crate::transport::stdio::Stdio;
use crate::transport::stream::Stream;
use crate::transport::sysv_mq::SysvMq;
use crate::transport::tcp::Tcp;
use crate::transport::unix::UnixStream;
use crate::transport::whole::Whole;
use crate::transport::{Route, Shape, Site, Ticket, Transport};

/// Lists every kind once: its name in tables and in the peer's description, and its
/// transport.
macro_rules! kinds {
    ($($(#[$about:meta])* $kind:ident $name:literal $transport:ty,)*) => {
        /// A transport with a name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$about])* $kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: [Kind; [$($name),*].len()] = [$(Kind::$kind),*];

            /// Its name in tables, and in the peer's description.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }
        }

        fn make(lane: &Lane) -> Result<Route, Error> {
            match lane.kind {
                $(Kind::$kind => make_sized::<$transport>(lane),)*
            }
        }

        fn take_ends(lane: &Lane, ends: Tickets, site: Site) -> Result<Box<dyn Runs>, Error> {
            match lane.kind {
                $(Kind::$kind => take_sized::<$transport>(lane.size, ends, site),)*
            }
        }
    };
}

kinds! {
    /// Bare `memcpy` through a ring of chunks: the limit.
    Raw "raw" Raw,
    /// annulus's ring of messages, in named shared memory.
    Ring "ring" Named<Spsc>,
    /// The same in a file.
    RingFile "ring-file" File<Spsc>,
    /// The same in a memfd.
    RingMemfd "ring-memfd" Memfd<Spsc>,
    /// annulus's byte stream, in named shared memory.
    Stream "stream" Named<Stream>,
    /// The same in a file.
    StreamFile "stream-file" File<Stream>,
    /// The same in a memfd.
    StreamMemfd "stream-memfd" Memfd<Stream>,
    /// annulus's ring of many, in named shared memory.
    Mpmc "mpmc" Named<Mpmc>,
    /// The same in a file.
    MpmcFile "mpmc-file" File<Mpmc>,
    /// The same in a memfd.
    MpmcMemfd "mpmc-memfd" Memfd<Mpmc>,
    /// annulus's broadcast, overwriting, in named shared memory: for round trips, since a
    /// receiver that falls behind ends the run.
    Broadcast "broadcast" Named<Broadcast>,
    /// The same in a file.
    BroadcastFile "broadcast-file" File<Broadcast>,
    /// The same in a memfd.
    BroadcastMemfd "broadcast-memfd" Memfd<Broadcast>,
    /// annulus's broadcast, lossless, in named shared memory.
    Lossless "lossless" Named<Lossless>,
    /// The same in a file.
    LosslessFile "lossless-file" File<Lossless>,
    /// The same in a memfd.
    LosslessMemfd "lossless-memfd" Memfd<Lossless>,
    /// An anonymous pipe.
    Pipe "pipe" Pipe,
    /// A named pipe.
    Fifo "fifo" Fifo,
    /// A Unix stream socket.
    UnixStream "unix-stream" UnixStream,
    /// A Unix socket that keeps messages apart.
    UnixSeqpacket "unix-seqpacket" Whole<UnixSeqpacket>,
    /// A Unix datagram socket.
    UnixDgram "unix-dgram" Whole<UnixDgram>,
    /// A TCP connection to the machine itself.
    Tcp "tcp" Tcp,
    /// A POSIX message queue.
    PosixMq "posix-mq" Whole<PosixMq>,
    /// A System V message queue.
    SysvMq "sysv-mq" Whole<SysvMq>,
    /// Queued signals: 8 bytes each.
    Signal "signal" Whole<Queued>,
    /// POSIX named semaphores beside shared memory.
    Semaphore "semaphore" Whole<PosixSemaphore>,
    /// Bare futexes beside shared memory.
    Futex "futex" Whole<Futex>,
    /// eventfds beside shared memory.
    Eventfd "eventfd" Whole<Eventfd>,
    /// The peer's standard input and output: one such lane a pair.
    Stdio "stdio" Whole<Stdio>,
    /// A memory-mapped file, polled.
    MmapFile "mmap-file" Whole<MmapFile>,
    /// A shared variable under a mutex and condition variables.
    MutexCondvar "mutex-condvar" Whole<MutexCondvar>,
    /// A ring of `shared_memory` and `raw_sync`; with the feature `raw-sync`.
    RawSync "raw-sync" Whole<RawSync>,
}

impl Kind {
    /// The mechanisms that annulus is measured against.
    pub fn baselines() -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| kind.is_baseline())
    }

    /// Whether it can sleep in the kernel, so that [`Lane::blocking`] makes a difference.
    /// annulus's rings wait as [`Lane::wait`] says.
    pub fn can_block(self) -> bool {
        self.is_baseline() && self != Kind::MmapFile
    }

    /// Whether a sender waits for its receiver, so that one-way runs come to their end.
    pub fn keeps_every_message(self) -> bool {
        !matches!(self, Kind::Broadcast | Kind::BroadcastFile | Kind::BroadcastMemfd)
    }

    /// Whether it is neither annulus's nor the limit.
    pub fn is_baseline(self) -> bool {
        self as usize >= Kind::Pipe as usize
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
        let wait = WaitMethod::default();
        let shape = Shape { capacity: default_capacity(size), polling: true, wait };
        Lane { kind, size, shape, both_ways: false }
    }

    /// Whether this machine has what the lane needs: [`Error::Unavailable`] says why not.
    pub fn probe(&self) -> Result<(), Error> {
        self.make().map(drop)
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

    /// With another way for annulus's rings to wait; the others have but their own.
    pub fn wait(self, wait: WaitMethod) -> Lane {
        Lane { shape: Shape { wait, ..self.shape }, ..self }
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
        let forward = make(self)?;
        let back = if self.both_ways { Some(make(self)?) } else { None };
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

    pub(crate) fn take(
        &self,
        ends: Tickets,
        control: &Arc<Control>,
    ) -> Result<Box<dyn Runs>, Error> {
        let site = Site { shape: self.shape, control: Arc::clone(control) };
        take_ends(self, ends, site)
    }
}

fn take<T: Transport, const W: usize>(ends: Tickets, site: Site) -> Result<Box<dyn Runs>, Error> {
    let sender = ends.sender.map(|ticket| T::sender::<W>(ticket, site.clone())).transpose()?;
    let receiver =
        ends.receiver.map(|ticket| T::receiver::<W>(ticket, site.clone())).transpose()?;
    Ok(Box::new(Ends::<_, _, W>::new(site.control, sender, receiver)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_have_the_names_that_reports_use() {
        let names = "pipe fifo unix-stream unix-seqpacket unix-dgram tcp posix-mq sysv-mq signal \
                     semaphore futex eventfd stdio mmap-file mutex-condvar raw-sync";
        assert!(Kind::baselines().map(Kind::name).eq(names.split_whitespace()));
    }

    #[test]
    fn no_two_kinds_have_one_name() {
        let names: std::collections::HashSet<_> =
            Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
