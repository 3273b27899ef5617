//! Waiting by polling, without hanging when the other process has failed.

use std::sync::Arc;

use crate::Error;
use crate::control::Control;

/// One `pause` for each empty poll. Now and then it looks whether the other side
/// gave up, and lets it run where both share a core.
pub(crate) struct Spin {
    empties: u32,
    control: Arc<Control>,
}

/// Empty polls between two looks around: about 100 us.
const PATIENCE: u32 = 4096;

impl Spin {
    pub(crate) fn new(control: &Arc<Control>) -> Spin {
        Spin { empties: 0, control: Arc::clone(control) }
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
        // On a shared core only the kernel can let the other side go on.
        self.empties = if self.control.one_core() { PATIENCE - 16 } else { 0 };
        std::thread::yield_now();
        self.control.check()
    }
}
