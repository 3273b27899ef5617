//! Standard input and output as bare descriptors: nothing is held back in between.
//!
//! Imports: exit.

use std::io::{self, Stdin, Stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits until standard input has something to say, be it that it has ended.
pub fn is_readable(input: &Stdin, timeout: Duration) -> io::Result<bool> {
    is_ready(input.as_fd(), PollFlags::POLLIN, timeout)
}

/// Waits until standard output takes something, be it the news that nobody reads it.
pub fn is_writable(output: &Stdout, timeout: Duration) -> io::Result<bool> {
    is_ready(output.as_fd(), PollFlags::POLLOUT, timeout)
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
