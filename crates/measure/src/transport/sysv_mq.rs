//! A System V message queue.
//!
//! Such a queue has no descriptor and outlives its users. The process that made it removes
//! it at the end; if that one is killed, the next who makes one removes what it left.
#![allow(unsafe_code)]

use std::fs;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::unistd::{Pid, Uid};
use zerocopy::IntoBytes;

use crate::Error;
use crate::spin::Spin;
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket, name};

/// `msgget(2)`, `msgsnd(2)`, `msgrcv(2)`.
pub struct SysvMq;

const NAME: &str = "System V message queue";

/// The upper half of the keys of this crate's queues.
const KEYS: u32 = 0xa54e_0000;
/// Their permissions: 0600, and bits without a meaning that nobody else has.
const MODE: i32 = 0o711;

impl Mechanism for SysvMq {
    fn create(size: usize, _: Shape) -> Result<Route, Error> {
        let limit = fs::read_to_string("/proc/sys/kernel/msgmax").unwrap_or_default();
        if limit.trim().parse().is_ok_and(|limit: usize| size > limit) {
            return Err(Error::Unavailable(format!(
                "a message of {size} bytes: the kernel allows {} bytes (/proc/sys/kernel/msgmax)",
                limit.trim()
            )));
        }
        remove_left_over();
        let queue = Arc::new(Queue::create().map_err(Error::lacking("msgget"))?);
        let ticket = || Ticket { own: Some(queue.clone()), ..Ticket::named(&queue.0.to_string()) };
        Ok(Route { send: ticket(), recv: ticket(), keep: None })
    }

    fn sender(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Sends>, Error> {
        Ok(Box::new(QueueEnd::attach(ticket, site, size)?))
    }

    fn receiver(ticket: Ticket, site: &Site, size: usize) -> Result<Box<dyn Receives>, Error> {
        Ok(Box::new(QueueEnd::attach(ticket, site, size)?))
    }
}

/// A queue's id; the queue goes when this is dropped.
struct Queue(i32);

impl Queue {
    fn create() -> nix::Result<Queue> {
        loop {
            let key = (KEYS | u32::from(name::number() as u16)) as i32;
            // SAFETY: takes and gives numbers.
            let id = unsafe { libc::msgget(key, libc::IPC_CREAT | libc::IPC_EXCL | MODE) };
            match Errno::result(id) {
                Err(Errno::EEXIST) => {}
                outcome => return outcome.map(Queue),
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // It is there unless somebody removed it by hand.
        // SAFETY: IPC_RMID looks at no buffer.
        let _ = unsafe { libc::msgctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

/// Removes this user's queues of killed measurements: with such a key and such
/// permissions, untouched for a minute, and the last who used them is dead.
fn remove_left_over() {
    let queues = fs::read_to_string("/proc/sysvipc/msg").unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    queues.lines().filter_map(|line| left_over(line, now)).for_each(|id| drop(Queue(id)));
}

/// The queue's id if that is what the line is about.
fn left_over(line: &str, now: u64) -> Option<i32> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let &[key, id, mode, _, _, sender, receiver, owner, _, _, _, sent, received, changed] =
        &fields[..]
    else {
        return None;
    };
    let key: i32 = key.parse().ok()?;
    let dead = |id: &str| id.parse().is_ok_and(|id| id == 0 || !lives(id));
    let old = |time: &str| time.parse().is_ok_and(|time: u64| time + 60 < now);
    let ours = key as u32 & 0xffff_0000 == KEYS
        && i32::from_str_radix(mode, 8) == Ok(MODE)
        && owner.parse() == Ok(Uid::effective().as_raw());
    let idle = [sent, received, changed].into_iter().all(old);
    if ours && idle && dead(sender) && dead(receiver) { id.parse().ok() } else { None }
}

fn lives(id: i32) -> bool {
    nix::sys::signal::kill(Pid::from_raw(id), None) != Err(Errno::ESRCH)
}

/// Either end.
struct QueueEnd {
    id: i32,
    /// The type that every message needs, then the message.
    buffer: Vec<u64>,
    flags: i32,
    spin: Spin,
    _own: Option<Arc<dyn std::any::Any>>,
}

impl QueueEnd {
    fn attach(mut ticket: Ticket, site: &Site, size: usize) -> Result<QueueEnd, Error> {
        let own = ticket.own.take();
        let id = ticket.into_name()?;
        let id = id.parse().map_err(|_| Error::Spec(format!("no queue: {id:?}")))?;
        let flags = if site.shape.polling { libc::IPC_NOWAIT } else { 0 };
        let buffer = vec![1; 1 + size / 8];
        Ok(QueueEnd { id, buffer, flags, spin: site.spin(), _own: own })
    }
}

/// A queue that was removed while nobody waited is EINVAL.
fn removed(errno: Errno) -> Errno {
    if errno == Errno::EINVAL { Errno::EIDRM } else { errno }
}

impl Sends for QueueEnd {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.buffer[1..].as_mut_bytes()[..message.len()].copy_from_slice(message);
        let (id, buffer, flags) = (self.id, self.buffer.as_ptr().cast(), self.flags);
        self.spin.until(NAME, "msgsnd", || {
            // SAFETY: the buffer holds the type and at least so many bytes behind it.
            let outcome = unsafe { libc::msgsnd(id, buffer, message.len(), flags) };
            Errno::result(outcome).map(drop).map_err(removed)
        })
    }
}

impl Receives for QueueEnd {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        let (id, buffer, flags) = (self.id, self.buffer.as_mut_ptr().cast(), self.flags);
        let got = self.spin.until(NAME, "msgrcv", || {
            // SAFETY: the buffer has room for the type and so many bytes behind it: no
            // message is longer than the lane's.
            let got = unsafe { libc::msgrcv(id, buffer, message.len(), 0, flags) };
            Errno::result(got).map_err(removed)
        })?;
        message.copy_from_slice(&self.buffer[1..].as_bytes()[..message.len()]);
        if got as usize != message.len() {
            let reason = format!("{got} bytes instead of {}", message.len());
            return Err(Error::Transport { transport: NAME, reason });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_queues_of_the_dead_with_our_marks_are_left_over() {
        let uid = Uid::effective();
        // No process has that id: it is above the kernel's limit.
        let line = |key: u32, mode: &str, sender: i32, sent: u64| {
            let key = key as i32;
            format!("{key} 17 {mode} 0 0 {sender} 0 {uid} 0 {uid} 0 {sent} 0 100")
        };
        let (now, dead, alive) = (1000, 1 << 23, std::process::id() as i32);
        assert_eq!(left_over(&line(KEYS | 5, "711", dead, 0), now), Some(17));
        assert_eq!(left_over(&line(KEYS | 5, "711", alive, 0), now), None);
        assert_eq!(left_over(&line(KEYS | 5, "711", dead, 950), now), None);
        assert_eq!(left_over(&line(KEYS | 5, "600", dead, 0), now), None);
        assert_eq!(left_over(&line(KEYS ^ (1 << 16), "711", dead, 0), now), None);
        assert_eq!(left_over("       key      msqid perms", now), None);
    }

    #[test]
    fn a_dropped_queue_is_gone() {
        let queue = Queue::create().expect("a queue");
        let id = queue.0;
        let listed = || {
            let queues = fs::read_to_string("/proc/sysvipc/msg").expect("the list");
            queues.lines().any(|line| line.split_whitespace().nth(1) == Some(&id.to_string()))
        };
        assert!(listed());
        drop(queue);
        assert!(!listed());
    }
}
