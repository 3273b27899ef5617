//! How far a transfer is, on stderr, if that is a terminal and it lasts.
//!
//! Imports: nothing of the command's.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A transfer that is over sooner shows nothing.
const QUIET: Duration = Duration::from_secs(1);

/// Between two looks at it.
const PERIOD: Duration = Duration::from_millis(100);

/// Counts a transfer's bytes.
pub struct Progress {
    bytes: u64,
    /// `None`: nobody looks.
    shown: Option<Shown>,
}

struct Shown {
    /// Made when there is something to show.
    bar: Option<ProgressBar>,
    /// When the first bytes had come.
    began: Instant,
    /// When and where it was last looked at.
    last: (Instant, u64),
    next: Instant,
    /// Bytes a second, smoothed over about a second.
    rate: f64,
}

impl Progress {
    /// Nothing moved yet.
    pub fn new() -> Progress {
        Progress { bytes: 0, shown: None }
    }

    /// What has been moved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// So many bytes more.
    pub fn add(&mut self, bytes: usize) {
        if self.bytes == 0 && std::io::stderr().is_terminal() {
            let now = Instant::now();
            let next = now + QUIET;
            self.shown = Some(Shown { bar: None, began: now, last: (now, 0), next, rate: 0.0 });
        }
        self.bytes += bytes as u64;
        if let Some(shown) = &mut self.shown {
            let now = Instant::now();
            if now >= shown.next {
                shown.draw(self.bytes, now);
            }
        }
    }
}

impl Shown {
    fn draw(&mut self, bytes: u64, now: Instant) {
        let (then, before) = self.last;
        let time = now.duration_since(then).as_secs_f64();
        // The share of what is new: most of it after a second.
        let share = 1.0 - (-time).exp();
        self.rate += share * ((bytes - before) as f64 / time - self.rate);
        self.last = (now, bytes);
        self.next = now + PERIOD;
        let bar = self.bar.get_or_insert_with(|| {
            self.rate = bytes as f64 / now.duration_since(self.began).as_secs_f64();
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(None, target);
            bar.set_style(ProgressStyle::with_template("{msg}").expect("a valid template"));
            bar
        });
        bar.set_message(format!("{}, {}/s", DecimalBytes(bytes), DecimalBytes(self.rate as u64)));
        bar.tick();
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
