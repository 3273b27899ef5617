//! Standard input and output as bare descriptors: nothing is held back in between.
//!
//! Imports: exit.

use std::io::{self, Stdin, Stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What a pipe is made to hold, where it can be: as much as any user may ask for.
const PIPE: i32 = 1 << 20;

/// How long it may take to notice that somebody wants to stop.
const SLICE: Duration = Duration::from_millis(100);

/// Lets a pipe hold more than the usual 64 KiB, so that those at its ends wait less for one
/// another. What is no pipe, or may not be changed, stays as it is.
pub fn widen(file: &impl AsFd) {
    if fcntl(file, FcntlArg::F_GETPIPE_SZ).is_ok_and(|holds| holds < PIPE) {
        // It is a matter of speed alone.
        let _ = fcntl(file, FcntlArg::F_SETPIPE_SZ(PIPE));
    }
}

/// Waits until standard input has something to say, be it that it has ended.
pub fn is_readable(input: &Stdin, timeout: Duration) -> io::Result<bool> {
    is_ready(input.as_fd(), PollFlags::POLLIN, timeout)
}

/// Waits until standard output takes something, be it the news that nobody reads it.
pub fn is_writable(output: &Stdout, timeout: Duration) -> io::Result<bool> {
    is_ready(output.as_fd(), PollFlags::POLLOUT, timeout)
}

/// Writes all of some bytes, waiting where standard output does not block. `false`: it did
/// not take them yet, and `stop` says to give up.
pub fn write_all(output: &Stdout, bytes: &[u8], stop: impl Fn() -> bool) -> io::Result<bool> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match nix::unistd::write(output, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::EINTR | Errno::EAGAIN) if stop() => return Ok(false),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                is_writable(output, SLICE)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

fn is_ready(file: BorrowedFd<'_>, flags: PollFlags, timeout: Duration) -> io::Result<bool> {
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(file, flags)], timeout) {
        Ok(ready) => Ok(ready > 0),
        // Whoever asks will ask again.
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_made_to_hold_more_where_that_may_be() {
        let (other, _end) = io::pipe().unwrap();
        let may = fcntl(&other, FcntlArg::F_SETPIPE_SZ(PIPE)).is_ok();
        let (pipe, _end) = io::pipe().unwrap();
        let before = fcntl(&pipe, FcntlArg::F_GETPIPE_SZ).unwrap();
        widen(&pipe);
        let expected = if may { PIPE } else { before };
        assert_eq!(fcntl(&pipe, FcntlArg::F_GETPIPE_SZ).unwrap(), expected);
    }
}
