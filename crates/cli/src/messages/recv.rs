//! `annulus recv ADDR --kind mpmc|broadcast`: messages to standard output.
//!
//! ```text
//!   take ─▶ write ─▶ release          killed in between: it comes again, to another
//!             └─ failed: not released, but left as by one who died
//! ```
//!
//! Imports: exit, naming, progress, signals, standard.

use std::io::{self, Stdout, Write};
use std::time::{Duration, Instant};

use annulus::{RecvError, WaitError, broadcast, mpmc};

use super::company::Company;
use super::frame::Frame;
use super::ring::{Inlet, Joined, MessageRing, join};
use super::{From, Kind, Manner, Stop, Wanted, broken, leave};
use crate::exit::{Failure, Result};
use crate::naming;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::standard;

/// How long somebody who comes may go unnoticed.
const SLICE: Duration = Duration::from_millis(100);

/// Receives until all senders have ended.
pub fn run(address: &str, wanted: &Wanted, manner: &Manner) -> Result {
    let signals = Signals::start()?;
    let result = match wanted.kind {
        Kind::Broadcast => transfer::<broadcast::Ring<[u8]>>(address, wanted, manner, &signals),
        _ => transfer::<mpmc::Ring<[u8]>>(address, wanted, manner, &signals),
    };
    signals.end();
    result
}

fn transfer<R: MessageRing>(
    address: &str,
    wanted: &Wanted,
    manner: &Manner,
    signals: &Signals,
) -> Result {
    let Some(joined) = join::<R>(address, wanted, "sender", signals)? else { return Ok(()) };
    let Joined { ring, named, company } = joined;
    let inlet = match ring.inlet(manner.from.unwrap_or(From::Newest)) {
        Ok(inlet) => inlet,
        Err(error) => return Err(Failure::refused(address, &error)),
    };
    drop(ring);
    signals.watch(inlet.cancel_handle(), named.clone());
    let output = Output {
        output: io::stdout(),
        frame: wanted.frame.unwrap_or_default(),
        verbose: manner.verbose,
        bytes: Vec::new(),
        progress: Progress::new(),
    };
    let deadline = manner.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut receiving = Receiving { inlet, company, signals, address, manner, deadline };
    let outcome = receiving.all(output);
    match outcome {
        Ok(Written::All) => {
            drop(receiving);
            leave(&named, signals, 0, Ok(()))
        }
        Ok(Written::AllButOne(stop)) => {
            let own = receiving.inlet.abandon();
            leave(&named, signals, own, Err(stop))
        }
        Err(stop) => {
            drop(receiving);
            leave(&named, signals, 0, Err(stop))
        }
    }
}

/// What became of what was taken.
enum Written {
    All,
    /// The last one is still in hand.
    AllButOne(Stop),
}

struct Receiving<'a, I> {
    inlet: I,
    company: Company,
    signals: &'a Signals,
    address: &'a str,
    manner: &'a Manner,
    /// Until when a sender has to have come.
    deadline: Option<Instant>,
}

impl<I: Inlet> Receiving<'_, I> {
    fn all(&mut self, mut output: Output) -> std::result::Result<Written, Stop> {
        standard::widen(&output.output);
        let mut count = 0;
        while self.manner.count != Some(count) {
            if self.signals.caught() {
                return Err(Stop::Signal);
            }
            let mut stop = None;
            let patience = self.patience()?;
            let taken = self.inlet.take(patience, &mut |message, again| {
                stop = output.write(message, again, self.signals).err();
                stop.is_none()
            });
            if let Some(stop) = stop {
                return Ok(Written::AllButOne(stop));
            }
            match taken {
                Ok(_) => {
                    count += 1;
                    self.company.has_shown();
                }
                // Whoever cancelled has left word.
                Err(RecvError::Cancelled | RecvError::Timeout) => {}
                Err(lagged @ RecvError::Lagged(_)) => {
                    self.company.has_shown();
                    say(&lagged.to_string());
                }
                Err(RecvError::Closed | RecvError::Died)
                    if self.manner.follow || !self.company.has_come() =>
                {
                    if let Err(WaitError::Fault(fault)) = self.inlet.wait_for_peer(SLICE) {
                        return Err(broken(&fault).into());
                    }
                }
                Err(RecvError::Closed) => break,
                Err(RecvError::Died) => return Err(died().into()),
                Err(error) => return Err(broken(&error).into()),
            }
        }
        Ok(Written::All)
    }

    /// How long the next message may take: a sender may have to come first.
    fn patience(&mut self) -> Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.deadline = None;
            if !self.company.has_come() {
                return Err(naming::nobody_came(self.address, self.manner.timeout));
            }
            return Ok(None);
        }
        Ok(Some(left))
    }
}

/// Where messages go.
struct Output {
    output: Stdout,
    frame: Frame,
    verbose: bool,
    /// A message as it is written.
    bytes: Vec<u8>,
    progress: Progress,
}

impl Output {
    /// Writes a message, past every buffer of this process.
    fn write(
        &mut self,
        message: &[u8],
        again: Option<u64>,
        signals: &Signals,
    ) -> std::result::Result<(), Stop> {
        if let Some(position) = again
            && self.verbose
        {
            say(&format!("message {position} comes again: one who received it died"));
        }
        self.frame.wrap(message, &mut self.bytes);
        let written = standard::write_all(&self.output, &self.bytes, || signals.caught());
        if !written.map_err(|error| Failure::output(&error))? {
            return Err(Stop::Signal);
        }
        self.progress.add(self.bytes.len());
        Ok(())
    }
}

/// A word for people, on standard error.
fn say(what: &str) {
    // Nobody left to tell: no matter.
    let _ = writeln!(io::stderr(), "annulus: {what}");
}

fn died() -> Failure {
    Failure::peer(
        "a sender died and the others have ended; all that was sent was received; have the rest \
         sent again",
    )
}
