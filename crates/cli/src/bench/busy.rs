//! A program that never leaves a core: a thread that does nothing, as fast as it can.
//!
//! Imports: nothing of the command's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use annulus_measure::cores;

/// It ends when this is dropped.
pub struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    /// Keeps this core busy from now on.
    pub fn start(core: usize) -> Busy {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            // Where it can't be pinned, it is busy nevertheless, wherever that is.
            let _ = cores::pin(core);
            while !stopped.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        Busy { stop, thread: thread::Builder::new().name("busy".into()).spawn(work).ok() }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
