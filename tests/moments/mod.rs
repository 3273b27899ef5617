//! Something done right before a thread makes a certain system call: a filter of system
//! calls hands the call to a second thread, which has it go on afterwards.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::mpsc;
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// System calls, each with its second argument if that matters.
pub type Calls = &'static [(libc::c_long, Option<libc::c_int>)];

/// Asks for a file lock, or lets it go.
pub const LOCK: Calls = &[(libc::SYS_fcntl, Some(libc::F_OFD_SETLK))];

/// Gives a file a name.
pub const LINK: Calls = &[(libc::SYS_linkat, None)];

/// Removes a name.
pub const UNLINK: Calls = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, None),
    (libc::SYS_unlinkat, None),
];

/// Runs `work` on a thread of its own, and `then` right before that thread makes one of the
/// calls for the first time. An error where there are no such filters.
///
/// # Panics
/// If `work` makes no such call, and as `work` and `then` do.
pub fn right_before<T: Send>(
    calls: Calls,
    work: impl FnOnce() -> T + Send,
    then: impl FnOnce(),
) -> io::Result<T> {
    let (say, hear) = mpsc::channel();
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let listener = listen(calls);
            let filtered = listener.is_ok();
            say.send(listener).expect("the other thread waits for it");
            drop(say);
            filtered.then(work)
        });
        let listener = hear.recv().expect("the worker says it first")?;
        let mut then = Some(then);
        while !worker.is_finished() {
            if !is_waiting(&listener) {
                continue;
            }
            let Some(call) = receive(&listener)? else { continue };
            if let Some(then) = then.take() {
                then();
            }
            let_go_on(&listener, call)?;
        }
        let done = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(then.is_none(), "the call was never made");
        Ok(done.expect("it had a filter"))
    })
}

/// A filter for the calling thread, which hands `calls` to whoever listens.
fn listen(calls: Calls) -> io::Result<OwnedFd> {
    let load = |at| libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: at };
    let unless = |k, jf| libc::sock_filter { code: 0x15, jt: 0, jf, k };
    let answer = |k| libc::sock_filter { code: 0x06, jt: 0, jf: 0, k };
    let mut filter = Vec::new();
    for (number, second) in calls {
        let number = u32::try_from(*number).expect("numbers of calls are small");
        // The call's number; then, if it matters, the low half of the second argument.
        filter.push(load(0));
        filter.push(unless(number, if second.is_some() { 3 } else { 1 }));
        if let Some(second) = second {
            filter.push(load(24));
            filter.push(unless(second.cast_unsigned(), 1));
        }
        filter.push(answer(libc::SECCOMP_RET_USER_NOTIF));
    }
    filter.push(answer(libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: touches no memory.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the program lives through the call, and the kernel checks it.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(listener as RawFd) })
}

/// Whether a call waits, now or within some milliseconds.
fn is_waiting(listener: &OwnedFd) -> bool {
    let mut asked = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    let found = poll(&mut asked, PollTimeout::from(5_u8)).unwrap_or(0);
    found > 0 && asked[0].revents().is_some_and(|seen| seen.contains(PollFlags::POLLIN))
}

/// The number of a waiting call; `None` if it waits no more.
fn receive(listener: &OwnedFd) -> io::Result<Option<u64>> {
    // SAFETY: plain numbers, for which zero is a value; the kernel asks for zeros.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one such structure.
    let done =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
    match io::Error::last_os_error() {
        _ if done == 0 => Ok(Some(call.id)),
        error if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
        error => Err(error),
    }
}

/// Has a call be made as if there were no filter.
fn let_go_on(listener: &OwnedFd, id: u64) -> io::Result<()> {
    let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
    let answer = libc::seccomp_notif_resp { id, val: 0, error: 0, flags };
    // SAFETY: the kernel reads one such structure.
    let done = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
