//! Threads that are asleep, and a poke that tells them nothing.
//!
//! ```text
//!   quiet   each busy thread asleep, twice, and none ran in between: nobody runs
//!   poke    a signal: the sleeper looks at the ring once more, and sleeps on if all is well
//! ```
//!
//! Who ends his call because he was poked had been asleep on a ready ring.
#![allow(unsafe_code)]

use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Nobody runs for longer than that.
const SETTLES: Duration = Duration::from_secs(20);

/// A thread, and how far it is in what it was told.
#[derive(Default)]
pub struct Watched {
    thread: AtomicI32,
    told: AtomicU64,
    done: AtomicU64,
}

impl Watched {
    /// Said by the thread itself, first of all.
    pub fn begin(&self) {
        // SAFETY: I5: a plain call.
        self.thread.store(unsafe { libc::gettid() }, Ordering::Release);
    }

    /// Said before it is told something.
    pub fn tell(&self) {
        self.told.fetch_add(1, Ordering::AcqRel);
    }

    /// Said by the thread when that is done.
    pub fn end(&self) {
        self.done.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether it has something to do.
    pub fn is_busy(&self) -> bool {
        self.done.load(Ordering::Acquire) < self.told.load(Ordering::Acquire)
    }

    /// If it is asleep: how often it went to sleep. `None`: it runs.
    fn asleep(&self) -> Option<String> {
        let path = format!("/proc/self/task/{}/status", self.thread.load(Ordering::Acquire));
        let status = std::fs::read_to_string(path).ok()?;
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        line("State:")?.trim().starts_with('S').then_some(())?;
        line("voluntary_ctxt_switches:").map(str::to_owned)
    }

    fn poke(&self) {
        let thread = self.thread.load(Ordering::Acquire);
        // SAFETY: I5: a plain call with numbers; the thread is one of ours.
        unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, libc::SIGUSR1) };
    }
}

/// Waits until nobody runs. False: somebody never stopped.
pub fn is_quiet(threads: &[&Watched]) -> bool {
    let until = Instant::now() + SETTLES;
    let look = || -> Option<Vec<String>> {
        let busy = threads.iter().filter(|thread| thread.is_busy());
        busy.map(|thread| thread.asleep()).collect()
    };
    while Instant::now() < until {
        let (once, again) = (look(), look());
        if once.is_some() && once == again {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// Pokes all who sleep; gives those who ended their calls. Nobody may run when it is called.
pub fn poke(threads: &[&Watched]) -> Vec<usize> {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        extern "C" fn nothing(_: libc::c_int) {}
        let handler = SigHandler::Handler(nothing);
        let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
        // SAFETY: I5: the handler does nothing.
        unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("a signal of our own");
    });
    let sleepers: Vec<_> = (0..threads.len()).filter(|it| threads[*it].is_busy()).collect();
    for sleeper in &sleepers {
        threads[*sleeper].poke();
    }
    let quiet = is_quiet(threads);
    sleepers.into_iter().filter(|it| !quiet || !threads[*it].is_busy()).collect()
}
