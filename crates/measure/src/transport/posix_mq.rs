//! A POSIX message queue. Opened by name; the name is gone before a peer starts.
#![allow(unsafe_code)]

use std::fs;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::mqueue::{
    MQ_OFlag, MqAttr, MqdT, mq_close, mq_open, mq_receive, mq_send, mq_set_nonblock, mq_unlink,
};
use nix::sys::stat::Mode;

use crate::Error;
use crate::spin::Spin;
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket, name};

/// `mq_open(3)`, as many messages as the system allows and the lane wants.
pub struct PosixMq;

const NAME: &str = "POSIX message queue";

impl Mechanism for PosixMq {
    fn create(size: usize, shape: Shape) -> Result<Route, Error> {
        let mut messages = limit("msg_max").map_or(10, |limit| limit.min(shape.capacity));
        let queue = loop {
            match open(size, messages) {
                // The user's share of memory for queues (RLIMIT_MSGQUEUE) is nearly spent.
                Err(Errno::EMFILE) if messages > 1 => messages /= 2,
                Err(Errno::EMFILE) => {
                    let reason = "mq_open: no more descriptors, or memory for queues (ulimit -q)";
                    return Err(Error::Unavailable(reason.into()));
                }
                Err(Errno::EINVAL) => return Err(too_long(size)),
                outcome => break outcome.map_err(Error::lacking("mq_open"))?,
            }
        };
        // On Linux a queue's number is a descriptor.
        let fd = || queue.as_fd().try_clone_to_owned().map_err(Error::lacking("dup"));
        let (send, recv) = (Ticket::inherited(fd()?), Ticket::inherited(fd()?));
        mq_close(queue).map_err(Error::system("mq_close"))?;
        Ok(Route { send, recv, keep: None })
    }

    fn sender(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Sends>, Error> {
        Ok(Box::new(QueueEnd::attach(ticket, site, size)?))
    }

    fn receiver(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Receives>, Error> {
        Ok(Box::new(QueueEnd::attach(ticket, site, size)?))
    }
}

fn open(size: usize, messages: usize) -> nix::Result<MqdT> {
    let name = format!("/{}", name::random());
    let attributes = MqAttr::new(0, messages as _, size as _, 0);
    let flags = MQ_OFlag::O_RDWR | MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_CLOEXEC;
    let queue = mq_open(name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&attributes))?;
    mq_unlink(name.as_str())?;
    Ok(queue)
}

fn limit(which: &str) -> Option<usize> {
    fs::read_to_string(format!("/proc/sys/fs/mqueue/{which}")).ok()?.trim().parse().ok()
}

fn too_long(size: usize) -> Error {
    let limit = limit("msgsize_max").map_or("a limit".into(), |limit| format!("{limit} bytes"));
    Error::Unavailable(format!(
        "a message of {size} bytes: the kernel allows {limit} (/proc/sys/fs/mqueue/msgsize_max)"
    ))
}

/// Either end.
struct QueueEnd {
    queue: MqdT,
    /// Closes it.
    _fd: OwnedFd,
    /// For a message shorter than the lane's: the kernel asks for room for the longest.
    room: Vec<u8>,
    spin: Spin,
}

impl QueueEnd {
    fn attach(ticket: Ticket, site: &Site, size: usize) -> Result<QueueEnd, Error> {
        let fd = ticket.into_fd()?;
        // SAFETY: the descriptor is a queue's, and stays open as long as this; an MqdT
        // does not close it.
        let queue = unsafe { MqdT::from_raw_fd(fd.as_raw_fd()) };
        if site.shape.polling {
            mq_set_nonblock(&queue).map_err(Error::system("O_NONBLOCK"))?;
        }
        Ok(QueueEnd { queue, _fd: fd, room: vec![0; size], spin: site.spin() })
    }
}

impl Sends for QueueEnd {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.spin.until(NAME, "mq_send", || mq_send(&self.queue, message, 0))
    }
}

impl Receives for QueueEnd {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        let (len, whole) = (message.len(), message.len() == self.room.len());
        let into = if whole { &mut *message } else { &mut self.room[..] };
        let got = self.spin.until(NAME, "mq_receive", || mq_receive(&self.queue, into, &mut 0))?;
        if got != len {
            let reason = format!("{got} bytes instead of {len}");
            return Err(Error::Transport { transport: NAME, reason });
        }
        if !whole {
            message.copy_from_slice(&self.room[..len]);
        }
        Ok(())
    }
}
