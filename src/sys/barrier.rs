//! The asymmetric barrier: one side pays for both.
#![allow(unsafe_code)]

use std::io;
use std::sync::OnceLock;

/// Registers this process to take part: its threads are then ordered by the others'
/// [`heavy`]. Once a process; stays until `exec`. What failed is tried again the next time:
/// a kernel that has the call can be out of memory.
pub(crate) fn register() -> bool {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    let register = || call(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
    REGISTERED.get().is_some() || register().map(|()| REGISTERED.get_or_init(|| ())).is_ok()
}

/// A full barrier on every running thread of every registered process, and on the
/// caller: what a fence in each of them would do, at about the cost of an interrupt each.
pub(crate) fn heavy() -> io::Result<()> {
    call(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED)
}

fn call(command: libc::c_int) -> io::Result<()> {
    // SAFETY: I5: takes no memory.
    match unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
