//! What a campaign says, in lines that `cargo xtask prove` collects.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

/// The words of one campaign, on standard output as they come.
///
/// ```text
///   figure: kill points = 21344       a number, with its unit in the name
///   skipped: named/close: no tmpfs    what was left out, and why
///   found: spsc/send k=17: lost 4     a violation, with all that repeats it
/// ```
#[derive(Debug)]
pub struct Report {
    started: Instant,
    told: Cell<Instant>,
    found: Cell<u64>,
    first: RefCell<Option<String>>,
}

impl Default for Report {
    fn default() -> Self {
        let now = Instant::now();
        Self { started: now, told: Cell::new(now), found: Cell::new(0), first: RefCell::new(None) }
    }
}

impl Report {
    /// Nothing said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A number that goes into docs/verification.md.
    pub fn figure(&self, name: &str, value: impl Display) {
        say(format_args!("figure: {name} = {value}"));
    }

    /// A cell that this machine can't run, and why.
    pub fn skipped(&self, cell: &str, why: impl Display) {
        say(format_args!("skipped: {cell}: {why}"));
    }

    /// A violation.
    pub fn found(&self, what: impl Display) {
        self.found.set(self.found.get() + 1);
        // A broken ring can fail at every turn; the first hundred will do.
        if self.found.get() <= 100 {
            say(format_args!("found: {what}"));
        }
        self.first.borrow_mut().get_or_insert_with(|| what.to_string());
    }

    /// How many violations there were.
    pub fn findings(&self) -> u64 {
        self.found.get()
    }

    /// Progress, on standard error, at most twice a second.
    pub fn progress(&self, what: impl Display) {
        if self.told.get().elapsed().as_millis() >= 500 {
            self.told.set(Instant::now());
            eprintln!("  {:4} s  {what}", self.started.elapsed().as_secs());
        }
    }

    /// The last word: the exit code of the campaign.
    pub fn end(self) -> ExitCode {
        self.figure("found", self.found.get());
        self.figure("seconds", self.started.elapsed().as_secs());
        match self.first.into_inner() {
            None => ExitCode::SUCCESS,
            Some(what) => {
                eprintln!("found {}, first: {what}", self.found.get());
                ExitCode::FAILURE
            }
        }
    }
}

fn say(line: std::fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    // With nobody to read it, there is nothing left to do.
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(2);
    }
}
