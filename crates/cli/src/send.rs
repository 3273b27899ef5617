//! `annulus send ADDR`: standard input into a stream.
//!
//! ```text
//!   create ─ [ poll standard input ─ fill the ring ]* ─ all received? ─ finish ─ remove the name
//!                    └── is the receiver still there?
//! ```
//!
//! Imports: exit, naming, progress, signals, standard.

use std::io::{self, Stdin};
use std::time::{Duration, Instant};

use annulus::stream::Sender;
use annulus::{SeatState, SendError, WaitError};

use crate::exit::{Failure, Result};
use crate::naming::{self, GRACE, Named};
use crate::progress::Progress;
use crate::signals::Signals;
use crate::standard;

/// How long the receiver may be gone unnoticed while there is nothing to send.
const SLICE: Duration = Duration::from_millis(100);

/// Sends standard input to its end.
pub fn run(address: &str, capacity: u64, keep: bool) -> Result {
    let signals = Signals::start()?;
    let result = match naming::create(address, capacity, keep, &signals) {
        Ok(Some((sender, named))) => transfer(sender, &named, &signals),
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    signals.end();
    result
}

fn transfer(sender: Sender, named: &Named, signals: &Signals) -> Result {
    signals.watch(sender.cancel_handle(), named.clone());
    let mut sending = Sending { sender, signals, looked: Instant::now() };
    let result = match sending.all() {
        Ok(End::Finished) => sending.sender.finish().or_else(|error| ended(&error)),
        Ok(End::Interrupted) => {
            sending.sender.abort();
            Ok(())
        }
        Err(failure) => {
            sending.wait_for_somebody_to_tell();
            sending.sender.abort();
            Err(failure)
        }
    };
    signals.unwatch();
    // The transfer's own failure is the one to report.
    result.and(named.remove())
}

enum End {
    Finished,
    Interrupted,
}

struct Sending<'a> {
    sender: Sender,
    signals: &'a Signals,
    /// When the receiver was last asked for.
    looked: Instant,
}

impl Sending<'_> {
    fn all(&mut self) -> Result<End> {
        let input = io::stdin();
        standard::widen(&input);
        let mut progress = Progress::new();
        while !self.signals.caught() {
            match self.some(&input) {
                Ok(Some(0)) => return self.received(),
                Ok(Some(bytes)) => progress.add(bytes),
                Ok(None) => {}
                Err(failure) => return Err(failure),
            }
            // By the clock: input may come in drops.
            if self.looked.elapsed() >= SLICE {
                self.look()?;
            }
        }
        Ok(End::Interrupted)
    }

    /// What is there now, if anything is. 0: the end.
    fn some(&mut self, input: &Stdin) -> Result<Option<usize>> {
        if !standard::is_readable(input, SLICE).map_err(|error| unreadable(&error))? {
            return Ok(None);
        }
        let most = usize::try_from(self.sender.capacity()).unwrap_or(usize::MAX);
        let error = match self.sender.fill_from(input, most) {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) => error,
        };
        let typed = error.get_ref().and_then(|inner| inner.downcast_ref::<SendError<()>>());
        match (typed, error.kind()) {
            (Some(error), _) => ended(error).map(|()| None),
            // Others read it too, or it does not block.
            (None, io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => Ok(None),
            (None, _) => Err(unreadable(&error)),
        }
    }

    /// Waits until all has been received, and somebody is there to learn that it was all.
    fn received(&mut self) -> Result<End> {
        while self.sender.peer().map_err(|error| broken(&error))? == SeatState::Vacant {
            match self.sender.wait_for_peer(Some(SLICE)) {
                Err(WaitError::Fault(fault)) => return Err(broken(&fault)),
                Ok(()) | Err(_) if self.signals.caught() => return Ok(End::Interrupted),
                Ok(()) | Err(_) => {}
            }
        }
        while let Err(error) = self.sender.wait_until_received(None) {
            if self.signals.caught() {
                return Ok(End::Interrupted);
            }
            ended(&error)?;
        }
        // One who closes now has had all; one who died may not have used it.
        match self.sender.peer() {
            Ok(SeatState::Died) => Err(died()),
            _ => Ok(End::Finished),
        }
    }

    /// After a failure: a receiver that is on its way is to learn of it, and get what there
    /// is, instead of waiting for another sender.
    fn wait_for_somebody_to_tell(&mut self) {
        let until = Instant::now() + GRACE;
        while let Ok(SeatState::Vacant) = self.sender.peer()
            && !self.signals.caught()
            && Instant::now() < until
        {
            if let Err(WaitError::Fault(_)) = self.sender.wait_for_peer(Some(SLICE)) {
                break;
            }
        }
    }

    fn look(&mut self) -> Result {
        self.looked = Instant::now();
        match self.sender.peer().map_err(|error| broken(&error))? {
            SeatState::Closed => Err(Failure::quiet()),
            SeatState::Died => Err(died()),
            _ => Ok(()),
        }
    }
}

/// What it means that a send came to nothing.
fn ended(error: &SendError<()>) -> Result {
    match error {
        // Whoever cancelled has left word.
        SendError::Cancelled(()) | SendError::Timeout(()) => Ok(()),
        SendError::Closed(()) => Err(Failure::quiet()),
        SendError::Died(()) => Err(died()),
        error => Err(broken(error)),
    }
}

fn died() -> Failure {
    Failure::peer("the receiver died or was interrupted before the end; send all of it again")
}

fn broken(error: &impl std::fmt::Display) -> Failure {
    Failure::other(format!("{error}; send all of it again"))
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::other(format!("reading standard input: {error}; the receiver was told, send it again"))
}
