//! Ends a measurement that stands still, and says where it stood.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::control::Control;

/// How often it looks: rarely, since it shares this process's core.
const GLANCE: Duration = Duration::from_millis(200);

/// A thread that kills the peer when neither process gets anywhere, or notices that
/// the peer has ended; either way it tells this process to stop waiting.
pub(crate) struct Watchdog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn start(
        control: Arc<Control>,
        child: Arc<Mutex<Child>>,
        limit: Duration,
    ) -> Watchdog {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let watch = move || watch(&control, &child, limit, &stopped);
        let thread = std::thread::Builder::new().name("watchdog".into()).spawn(watch);
        // Without it a hang stays a hang; the measurement itself does not need it.
        Watchdog { stop, thread: thread.ok() }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn watch(control: &Control, child: &Mutex<Child>, limit: Duration, stopped: &AtomicBool) {
    let (mut last, mut since) = (control.state(), Instant::now());
    while !stopped.load(Ordering::Relaxed) {
        std::thread::park_timeout(GLANCE);
        let now = control.state();
        if now != last || !control.is_busy() {
            (last, since) = (now, Instant::now());
        }
        let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(child.try_wait(), Ok(None)) {
            return control.abort();
        }
        if since.elapsed() < limit {
            continue;
        }
        eprintln!("watchdog: nothing has moved for {limit:?}: {now}");
        control.fail("stood still and was killed by the watchdog");
        let _ = child.kill();
        drop(child);
        // The kill wakes whoever polls the control words or sleeps on a closed
        // descriptor. A transport that notices neither must not hang the command.
        for _ in 0..10 {
            std::thread::park_timeout(GLANCE);
            if stopped.load(Ordering::Relaxed) {
                return;
            }
        }
        eprintln!("watchdog: this process does not notice; giving up");
        std::process::exit(70);
    }
}
