//! Waiting by polling, without hanging when the other process has failed.

use std::sync::Arc;

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

    #[cold]
    #[inline(never)]
    fn look_around(&mut self) -> Result<(), Error> {
        self.empties = PATIENCE - BETWEEN;
        std::thread::yield_now();
        self.control.check()
    }
}
