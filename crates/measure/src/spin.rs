//! Waiting by polling, without hanging when the other process has failed.

use std::sync::Arc;

use nix::errno::Errno;

use crate::Error;
use crate::control::Control;

/// One `pause` for each empty poll; after some 20 us in vain, as annulus does too, it
/// lets others run between polls, and looks whether the other side gave up.
pub(crate) struct Spin {
    empties: u32,
    control: Arc<Control>,
}

/// Empty polls before the first look around, and between two later ones.
const PATIENCE: u32 = 512;
const BETWEEN: u32 = 32;
/// What an empty poll by system call counts for, beside its own pause.
const CALL: u32 = 7;

impl Spin {
    pub(crate) fn new(control: &Arc<Control>) -> Spin {
        Spin { empties: 0, control: Arc::clone(control) }
    }

    /// To be called before the first poll.
    #[inline(always)]
    pub(crate) fn begin(&mut self) {
        self.empties = 0;
    }

    /// To be called after each empty poll.
    #[inline(always)]
    pub(crate) fn empty(&mut self) -> Result<(), Error> {
        std::hint::spin_loop();
        self.empties += 1;
        if self.empties >= PATIENCE { self.look_around() } else { Ok(()) }
    }

    /// Repeats a system call until it succeeds or fails for good: after each empty poll,
    /// and whenever a signal interrupts it.
    #[inline]
    pub(crate) fn until<T>(
        &mut self,
        transport: &'static str,
        what: &'static str,
        mut call: impl FnMut() -> nix::Result<T>,
    ) -> Result<T, Error> {
        self.begin();
        loop {
            match call() {
                Ok(value) => return Ok(value),
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMSG) => {
                    self.empties += CALL;
                    self.empty()?;
                }
                Err(Errno::EINTR) => self.control.check()?,
                Err(errno) if gone(errno) => return Err(Error::Disconnected { transport }),
                Err(errno) => return Err(Error::system(what)(errno)),
            }
        }
    }

    /// To be called when a sleep was cut short.
    pub(crate) fn interrupted(&self) -> Result<(), Error> {
        self.control.check()
    }

    #[cold]
    #[inline(never)]
    fn look_around(&mut self) -> Result<(), Error> {
        self.empties = PATIENCE - BETWEEN;
        std::thread::yield_now();
        self.control.check()
    }
}

/// Whether the kernel says that the other end, or the thing between, is no more.
fn gone(errno: Errno) -> bool {
    use Errno::{ECONNREFUSED, ECONNRESET, EIDRM, ENOTCONN, EPIPE, ESRCH};
    matches!(errno, ECONNREFUSED | ECONNRESET | EIDRM | ENOTCONN | EPIPE | ESRCH)
}
