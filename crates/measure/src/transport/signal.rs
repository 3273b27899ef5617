//! Queued real-time signals: the value that goes with a signal is the message.
//!
//! As `sigqueue(3)` sends them, but to the receiving thread and not to any of its process:
//! threads that know nothing of it need not block the signal. The receiver writes its
//! numbers into a shared page.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::unistd::{getpid, gettid, getuid};

use crate::Error;
use crate::spin::Spin;
use crate::transport::slots::Slots;
use crate::transport::whole::{Mechanism, Receives, Sends};
use crate::transport::{Route, Shape, Site, Ticket};

/// `rt_tgsigqueueinfo(2)`, `sigwaitinfo(2)` or, polling, `sigtimedwait(2)` with no time.
pub struct Queued;

const NAME: &str = "signal";

/// In the shared page: which signal, and who receives it: process, then thread.
const NUMBER: usize = 0;
const WHO: usize = 8;

impl Mechanism for Queued {
    fn create(size: usize, _: Shape) -> Result<Route, Error> {
        if size != size_of::<usize>() {
            let reason =
                format!("a message of {size} bytes: a signal carries {}", size_of::<usize>());
            return Err(Error::Unavailable(reason));
        }
        let route = Slots::create(1, 8)?;
        let fd = route.send.fd.as_ref().map(std::os::fd::OwnedFd::try_clone);
        let fd = fd.ok_or_else(|| Error::Spec("a descriptor is missing".into()))?;
        let page = crate::shared::Shared::attach(fd.map_err(Error::lacking("dup"))?)?;
        page.word(NUMBER).store(next_number(), Ordering::Relaxed);
        Ok(route)
    }

    fn sender(ticket: Ticket, site: &Site, _: usize) -> Result<Box<dyn Sends>, Error> {
        Ok(Box::new(SignalSender(End::attach(ticket, site)?)))
    }

    fn receiver(ticket: Ticket, site: &Site, _: usize) -> Result<Box<dyn Receives>, Error> {
        let end = End::attach(ticket, site)?;
        block(end.number).map_err(Error::system("pthread_sigmask"))?;
        let who = (getpid().as_raw() as u64) << 32 | gettid().as_raw() as u64;
        // Pairs with the sender's first look: it sees a thread that blocks the signal.
        end.who().store(who, Ordering::Release);
        Ok(Box::new(SignalReceiver(end)))
    }
}

/// Lanes take the real-time signals in turn.
fn next_number() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // The first are left to others, as the C library leaves them to programs.
    let (first, last) = (libc::SIGRTMIN() as u64 + 4, libc::SIGRTMAX() as u64);
    first + COUNT.fetch_add(1, Ordering::Relaxed) % (last - first + 1)
}

fn only(number: i32) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: memory for a set, which the call fills.
    let _ = unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: filled just now.
    let mut set = unsafe { set.assume_init() };
    // SAFETY: a set, and a signal between SIGRTMIN and SIGRTMAX.
    let _ = unsafe { libc::sigaddset(&mut set, number) };
    set
}

fn block(number: i32) -> nix::Result<()> {
    let set = only(number);
    // SAFETY: a set, and nowhere to put the old one.
    let code = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    if code == 0 { Ok(()) } else { Err(Errno::from_raw(code)) }
}

struct End {
    page: Slots,
    number: i32,
    polling: bool,
    spin: Spin,
}

impl End {
    fn attach(ticket: Ticket, site: &Site) -> Result<End, Error> {
        let page = Slots::attach(ticket.into_fd()?, site, 8)?;
        let number = page.words().word(NUMBER).load(Ordering::Relaxed) as i32;
        Ok(End { page, number, polling: site.shape.polling, spin: site.spin() })
    }

    fn who(&self) -> &AtomicU64 {
        self.page.words().word(WHO)
    }
}

struct SignalSender(End);

/// `siginfo_t` as the kernel reads it from a sender: the head, then sender and value.
#[repr(C)]
struct Info {
    signal: i32,
    error: i32,
    code: i32,
    _align: i32,
    process: i32,
    user: u32,
    value: u64,
    _rest: [u64; 12],
}

const _: () = assert!(size_of::<Info>() == size_of::<libc::siginfo_t>());

impl Sends for SignalSender {
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        let &value = message.first_chunk::<8>().ok_or(Error::Size(message.len()))?;
        let SignalSender(end) = self;
        let who = end.who().load(Ordering::Acquire);
        let info = Info {
            signal: end.number,
            error: 0,
            code: libc::SI_QUEUE,
            _align: 0,
            process: getpid().as_raw(),
            user: getuid().as_raw(),
            value: u64::from_ne_bytes(value),
            _rest: [0; 12],
        };
        let (call, process, thread) = (libc::SYS_rt_tgsigqueueinfo, who >> 32, who as u32);
        let number = end.number;
        // Too many are queued (RLIMIT_SIGPENDING): EAGAIN, whichever way one waits.
        end.spin.until(NAME, "rt_tgsigqueueinfo", || {
            // SAFETY: `info` is as large as the kernel reads.
            Errno::result(unsafe { libc::syscall(call, process, thread, number, &info) }).map(drop)
        })
    }
}

struct SignalReceiver(End);

impl Receives for SignalReceiver {
    fn recv(&mut self, message: &mut [u8]) -> Result<(), Error> {
        let SignalReceiver(end) = self;
        let (set, mut info) = (only(end.number), MaybeUninit::<libc::siginfo_t>::uninit());
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let time = if end.polling { &raw const now } else { std::ptr::null() };
        end.spin.until(NAME, "sigtimedwait", || {
            // SAFETY: a set, memory for the answer, and a time or none.
            Errno::result(unsafe { libc::sigtimedwait(&set, info.as_mut_ptr(), time) }).map(drop)
        })?;
        // SAFETY: the call has filled it.
        let info = unsafe { info.assume_init() };
        // SAFETY: a queued signal has a value.
        let value = unsafe { info.si_value() }.sival_ptr.addr() as u64;
        message.copy_from_slice(&value.to_ne_bytes()[..message.len().min(8)]);
        Ok(())
    }
}
