//! How far the demo is, on stderr: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Drawn between samples only: a thread of its own would disturb them.
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Nothing to show yet.
    pub fn new() -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{msg:32} {bar:32} {percent:>3} %");
            bar.set_style(style.expect("a valid template"));
            bar
        });
        Progress { bar }
    }

    /// Begins a part of so many steps.
    pub fn begin(&mut self, what: &str, steps: u64) {
        match &self.bar {
            None => eprintln!("{what} ..."),
            Some(bar) => {
                bar.set_length(steps.max(1));
                bar.set_position(0);
                bar.set_message(what.to_owned());
            }
        }
    }

    /// Shows that so many steps of the part are done.
    pub fn at(&mut self, steps: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(steps);
        }
    }

    /// Clears the bar.
    pub fn done(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
