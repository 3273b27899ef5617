//! How far a run is, on stderr: a bar on a terminal, nothing elsewhere.
//!
//! Imports: nothing of the command's.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two looks at it.
const PERIOD: Duration = Duration::from_millis(200);

/// Drawn between samples only: a thread of its own would disturb them.
pub struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
    next: Instant,
}

impl Progress {
    /// Of a run that takes about so long.
    pub fn new(time: Duration) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(Some(time.as_millis() as u64), target);
            let style = ProgressStyle::with_template("{msg:32} {bar:32} {percent:>3} %  {elapsed}");
            bar.set_style(style.expect("a valid template"));
            bar
        });
        let now = Instant::now();
        Progress { bar, began: now, next: now }
    }

    /// Names what comes now.
    pub fn begin(&mut self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
        self.next = Instant::now();
        self.tick();
    }

    /// Time has passed.
    pub fn tick(&mut self) {
        let Some(bar) = &self.bar else { return };
        let now = Instant::now();
        if now >= self.next {
            self.next = now + PERIOD;
            bar.set_position((now - self.began).as_millis() as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
