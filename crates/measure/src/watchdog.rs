//! Ends a measurement that stands still, and says where it stood.
#![allow(unsafe_code)]

use std::process::Child;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{Pid, gettid};

use crate::control::Control;

/// How often it looks: rarely, since it shares this process's core.
const GLANCE: Duration = Duration::from_millis(200);
/// Glances that a step goes on after the peer's end, at most.
const PATIENCE: u32 = 50;

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
        let nudge = Nudge::of_this_thread();
        let watch = move || watch(&control, &child, limit, &stopped, &nudge);
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

/// Wakes the thread that measures from a sleep in the kernel which nobody else will end:
/// on a queue or a semaphore, for instance, whose other user was killed.
struct Nudge(Pid);

impl Nudge {
    fn of_this_thread() -> Nudge {
        static HANDLER: Once = Once::new();
        // No SA_RESTART: the interrupted call is to return. A signal that is ignored by
        // default, so that nothing happens where this fails.
        HANDLER.call_once(|| {
            let handler = SigHandler::Handler(nothing);
            let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
            // SAFETY: the handler does nothing.
            let _ = unsafe { sigaction(Signal::SIGURG, &action) };
        });
        Nudge(gettid())
    }

    /// The sleep may begin just after: to be repeated.
    fn wake(&self) {
        let (process, signal) = (std::process::id(), Signal::SIGURG as i32);
        // SAFETY: sends a signal to a thread of this process, or to none.
        let _ = unsafe { libc::syscall(libc::SYS_tgkill, process, self.0.as_raw(), signal) };
    }
}

extern "C" fn nothing(_: i32) {}

fn watch(
    control: &Control,
    child: &Mutex<Child>,
    limit: Duration,
    stopped: &AtomicBool,
    nudge: &Nudge,
) {
    let (mut last, mut since) = (control.state(), Instant::now());
    while !stopped.load(Ordering::Relaxed) {
        std::thread::park_timeout(GLANCE);
        let now = control.state();
        if now != last || !control.is_busy() {
            (last, since) = (now, Instant::now());
        }
        let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(child.try_wait(), Ok(None)) {
            drop(child);
            control.abort();
            return wake_until_stopped(control, stopped, nudge);
        }
        if since.elapsed() < limit {
            continue;
        }
        eprintln!("watchdog: nothing has moved for {limit:?}: {now}");
        control.fail("stood still and was killed by the watchdog");
        let _ = child.kill();
        drop(child);
        return wake_until_stopped(control, stopped, nudge);
    }
}

/// The peer is gone. That wakes whoever polls the control words or sleeps on a closed
/// descriptor; the nudge wakes other sleepers. A transport that notices nothing of it must
/// not hang the command.
fn wake_until_stopped(control: &Control, stopped: &AtomicBool, nudge: &Nudge) {
    let mut glances = 0;
    while !stopped.load(Ordering::Relaxed) {
        nudge.wake();
        std::thread::park_timeout(GLANCE);
        glances = if control.is_busy() { glances + 1 } else { 0 };
        if glances > PATIENCE {
            eprintln!("watchdog: this process does not notice; giving up");
            std::process::exit(70);
        }
    }
}
