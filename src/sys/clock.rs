//! Absolute times for the kernel, on the monotonic clock.
#![allow(unsafe_code)]

use std::time::{Duration, Instant};

/// A time on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until(libc::timespec);

impl Until {
    /// The time of an instant; now if it has passed.
    #[allow(deprecated, reason = "musl's `time_t` is about to change its width")]
    pub(crate) fn instant(instant: Instant) -> Self {
        let left = instant.saturating_duration_since(Instant::now());
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: I5: writes one private structure. This clock can always be read.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        let now = Duration::new(now.tv_sec as u64, now.tv_nsec as u32);
        let then = now.saturating_add(left);
        Self(libc::timespec {
            tv_sec: libc::time_t::try_from(then.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: then.subsec_nanos() as libc::c_long,
        })
    }

    /// As the C library takes it.
    #[cfg(target_env = "gnu")]
    pub(super) fn timespec(self) -> libc::timespec {
        self.0
    }

    /// Seconds and nanoseconds as the younger calls take them on every target.
    #[allow(clippy::useless_conversion, reason = "32 bits wide on 32-bit targets")]
    pub(super) fn wide(self) -> [i64; 2] {
        [i64::from(self.0.tv_sec), i64::from(self.0.tv_nsec)]
    }
}
