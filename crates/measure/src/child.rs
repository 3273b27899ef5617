//! Starting this executable again as the peer process.
#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};

use crate::Error;

/// Where the peer finds its description.
pub(crate) const PEER: &str = "ANNULUS_MEASURE_PEER";

/// Starts the peer with its description in the environment and these descriptors
/// open under the numbers they have here. It is killed when the calling thread ends.
pub(crate) fn start(description: &str, args: &[String], fds: Vec<RawFd>) -> Result<Child, Error> {
    let lead = getpid();
    let mut command = Command::new("/proc/self/exe");
    command.args(args).env(PEER, description).stdin(Stdio::null()).stdout(Stdio::null());
    let prepare = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        // It may have ended before the line above: then nobody would send the signal.
        if getppid() != lead {
            return Err(std::io::Error::other("the measuring process is gone"));
        }
        for &fd in &fds {
            // SAFETY: the caller holds these descriptors open until the start is over.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: runs after fork in a copy of a process with threads; it makes system
    // calls only (prctl, getppid, fcntl) and allocates nothing unless it fails.
    unsafe { command.pre_exec(prepare) };
    command.spawn().map_err(Error::io("starting the peer process"))
}

/// The descriptor that the peer inherited under this number.
pub(crate) fn inherited(number: RawFd) -> OwnedFd {
    // SAFETY: the description names each inherited descriptor once, and the peer reads
    // its description once, before it opens anything.
    unsafe { OwnedFd::from_raw_fd(number) }
}
