//! Time stamps cheap enough to stand between two round trips.
#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The processor's time stamp counter, once everything before it has happened.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn ticks() -> u64 {
    use core::arch::x86_64::{_mm_lfence, _rdtsc};
    // The fence keeps the counter from being read before the polled load is over.
    // SAFETY: x86-64 always has SSE2, whose fence this is.
    unsafe { _mm_lfence() };
    // SAFETY: reads a counter that every x86-64 has; Linux leaves it open to users.
    unsafe { _rdtsc() }
}

/// Nanoseconds since the first call, where there is no counter to read.
#[cfg(not(target_arch = "x86_64"))]
pub fn ticks() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Nanoseconds in one tick, measured once against the system's monotonic clock.
pub fn nanos_per_tick() -> f64 {
    static RATE: OnceLock<f64> = OnceLock::new();
    *RATE.get_or_init(|| {
        // The best of three: an interruption between the two clocks spoils one.
        let mut rates: Vec<f64> = (0..3).map(|_| calibrate(Duration::from_millis(10))).collect();
        rates.sort_by(f64::total_cmp);
        rates[1]
    })
}

fn calibrate(span: Duration) -> f64 {
    let (start, first) = (Instant::now(), ticks());
    while start.elapsed() < span {
        std::hint::spin_loop();
    }
    let (nanos, last) = (start.elapsed().as_nanos() as f64, ticks());
    nanos / (last - first).max(1) as f64
}

/// Ticks as nanoseconds.
pub fn nanos(ticks: u64) -> f64 {
    ticks as f64 * nanos_per_tick()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_follow_the_monotonic_clock() {
        nanos_per_tick();
        let (start, first) = (Instant::now(), ticks());
        std::thread::sleep(Duration::from_millis(20));
        let (by_ticks, by_clock) = (nanos(ticks() - first), start.elapsed().as_nanos() as f64);
        // Not a timing: both clocks saw the same span, however long it was.
        assert!((by_ticks / by_clock - 1.0).abs() < 0.2, "{by_ticks} against {by_clock}");
    }
}
