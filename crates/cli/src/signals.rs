//! A command that is interrupted cleans up and dies by the very signal.
//!
//! ```text
//!   SIGINT, SIGTERM, SIGHUP ──▶ one thread ── notes it ── cancels what blocks
//!                                   │                        └─▶ the command ends, and dies by it
//!                                   └── half a second later, if it has not: last words, and dies by it
//! ```
//!
//! Signals that were ignored when the command began, as under `nohup`, stay ignored.
//! Imports: naming.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use annulus::CancelHandle;
use nix::sys::signal::{SigSet, Signal, raise};

use crate::exit::{Failure, Result};
use crate::naming::Named;

/// The signals that people and systems end a program with.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// How long the command may take to end by itself: it may be stuck in a write to a pipe
/// that nobody reads.
const PATIENCE: Duration = Duration::from_millis(500);

/// What has come, and what to do about it.
#[derive(Clone)]
pub struct Signals(Arc<Shared>);

struct Shared {
    /// The first that came; 0: none.
    caught: AtomicI32,
    stream: Mutex<Watched>,
}

/// What a signal interrupts.
#[derive(Default)]
struct Watched {
    cancel: Option<CancelHandle>,
    named: Option<Named>,
}

impl Signals {
    /// From now on signals are noted. Before any other thread is started: those begun
    /// later leave the signals to the one that waits for them.
    pub fn start() -> Result<Signals> {
        let mut set = SigSet::empty();
        for signal in ENDING.into_iter().filter(|signal| !is_ignored(*signal)) {
            set.add(signal);
        }
        let signals =
            Signals(Arc::new(Shared { caught: AtomicI32::new(0), stream: Mutex::default() }));
        let waiting = signals.clone();
        let failed =
            |error: std::io::Error| Failure::other(format!("waiting for signals: {error}"));
        set.thread_block().map_err(|error| failed(error.into()))?;
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || waiting.wait(set))
            .map_err(failed)?;
        Ok(signals)
    }

    /// Whether one has come: then it is time to end.
    pub fn caught(&self) -> bool {
        self.signal().is_some()
    }

    /// What to interrupt, and to remove if the command is stuck. To be followed by a look
    /// at [`caught`](Self::caught), since one may have come before.
    pub fn watch(&self, cancel: CancelHandle, named: Named) {
        *self.stream() = Watched { cancel: Some(cancel), named: Some(named) };
    }

    /// There is nothing more to interrupt. The handle kept the stream open.
    pub fn unwatch(&self) {
        self.stream().cancel = None;
    }

    /// Dies by the signal that has come, if one has.
    pub fn end(&self) {
        if let Some(signal) = self.signal() {
            die(signal);
        }
    }

    fn signal(&self) -> Option<Signal> {
        // Alone: whoever sees it needs to see nothing else.
        Signal::try_from(self.0.caught.load(Ordering::Relaxed)).ok()
    }

    fn stream(&self) -> MutexGuard<'_, Watched> {
        self.0.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, set: SigSet) {
        let signal = loop {
            if let Ok(signal) = set.wait() {
                break signal;
            }
        };
        self.0.caught.store(signal as i32, Ordering::Relaxed);
        if let Some(cancel) = &self.stream().cancel {
            cancel.cancel();
        }
        thread::sleep(PATIENCE);
        if let Some(named) = &self.stream().named {
            // The peer learns of it by the kernel, and needs the name no more.
            named.remove_in_use();
            named.tell_what_is_left(1);
        }
        die(signal);
    }
}

/// Whether a signal was ignored when this process began.
fn is_ignored(signal: Signal) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: changes nothing, and writes the struct that it is given.
    let asked = unsafe { libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: written, if the call succeeded.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Ends this process by a signal, so that whoever started it sees why it ended.
fn die(signal: Signal) -> ! {
    let set = SigSet::from(signal);
    // Its action is the default one: nobody here has set another.
    let _ = set.thread_unblock().and_then(|()| raise(signal));
    // Not reached, but for a signal that a tracer keeps from us: as a shell would say it.
    std::process::exit(128 + signal as i32)
}
