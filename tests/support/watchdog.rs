//! In a child: named counters of progress, and a watchdog that aborts without any.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::diagnose;

static COUNTERS: Mutex<Vec<&'static Counter>> = Mutex::new(Vec::new());

/// How far a child has come in one respect. Any change of any counter feeds the watchdog.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    value: AtomicU64,
}

impl Counter {
    /// The counter of that name in this process; made at its first use, and kept.
    pub fn named(name: &'static str) -> &'static Self {
        let mut counters = COUNTERS.lock().expect("nothing panics under this lock");
        if let Some(counter) = counters.iter().find(|counter| counter.name == name) {
            return counter;
        }
        let value = AtomicU64::new(0);
        let counter = Box::leak(Box::new(Self { name, value }));
        counters.push(counter);
        counter
    }

    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.value.fetch_add(n, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

fn values() -> Vec<(&'static str, u64)> {
    let counters = COUNTERS.lock().expect("nothing panics under this lock");
    let value = |counter: &&'static Counter| (counter.name, counter.get());
    counters.iter().map(value).collect()
}

/// Starts the watchdog: after `limit` without progress it prints the counters and what
/// each thread does, and aborts the process.
///
/// It counts its own ticks, not the clock: time that the process was stopped is no time
/// without progress.
pub fn start(role: &str, limit: Duration) {
    let role = role.to_string();
    let tick = (limit / 20).clamp(Duration::from_millis(2), Duration::from_millis(100));
    let watch = move || {
        let mut last = values();
        let mut idle = Duration::ZERO;
        while idle < limit {
            thread::sleep(tick);
            let now = values();
            idle = if now == last { idle + tick } else { Duration::ZERO };
            last = now;
        }
        let counters: Vec<_> = last.iter().map(|(name, n)| format!("{name}={n}")).collect();
        eprintln!(
            "watchdog: `{role}` made no progress for {limit:?}: {}\n{}",
            counters.join(" "),
            diagnose::describe("self")
        );
        std::process::abort();
    };
    thread::Builder::new().name("watchdog".into()).spawn(watch).expect("can't start the watchdog");
}
