//! `annulus send ADDR --kind mpmc|broadcast`: standard input into messages.
//!
//! Imports: exit, naming, progress, signals, standard.

use std::io;
use std::time::Duration;

use annulus::{SendError, WaitError, broadcast, mpmc};
use nix::errno::Errno;

use super::company::Company;
use super::frame::Cutter;
use super::ring::{Joined, MessageRing, Outlet, join};
use super::{Kind, Stop, Wanted, broken, leave};
use crate::exit::{Failure, Result, shown};
use crate::progress::Progress;
use crate::signals::Signals;
use crate::standard;

/// How long a signal, or somebody who comes, may go unnoticed.
const SLICE: Duration = Duration::from_millis(100);

/// How much is read at once.
const PIECE: usize = 64 << 10;

/// Sends standard input to its end.
pub fn run(address: &str, wanted: &Wanted) -> Result {
    let signals = Signals::start()?;
    let result = match wanted.kind {
        Kind::Broadcast => transfer::<broadcast::Ring<[u8]>>(address, wanted, &signals),
        _ => transfer::<mpmc::Ring<[u8]>>(address, wanted, &signals),
    };
    signals.end();
    result
}

fn transfer<R: MessageRing>(address: &str, wanted: &Wanted, signals: &Signals) -> Result {
    let Some(joined) = join::<R>(address, wanted, "receiver", signals)? else { return Ok(()) };
    let Joined { ring, named, company } = joined;
    let outlet = match ring.outlet() {
        Ok(outlet) => outlet,
        Err(error) => return Err(Failure::refused(address, &error)),
    };
    drop(ring);
    signals.watch(outlet.cancel_handle(), named.clone());
    let cutter = Cutter::new(wanted.frame.unwrap_or_default(), outlet.longest());
    let mut sending = Sending { outlet, company, signals, address };
    let outcome = sending.all(cutter);
    drop(sending);
    leave(&named, signals, 0, outcome)
}

struct Sending<'a, O> {
    outlet: O,
    company: Company,
    signals: &'a Signals,
    address: &'a str,
}

impl<O: Outlet> Sending<'_, O> {
    fn all(&mut self, mut cutter: Cutter) -> std::result::Result<(), Stop> {
        let input = io::stdin();
        standard::widen(&input);
        let mut progress = Progress::new();
        let mut piece = vec![0; PIECE];
        while !self.signals.caught() {
            if !standard::is_readable(&input, SLICE).map_err(|error| unreadable(&error))? {
                continue;
            }
            match nix::unistd::read(&input, &mut piece) {
                Ok(0) => return cutter.end(|message| self.one(message)),
                Ok(bytes) => {
                    cutter.feed(&piece[..bytes], |message| self.one(message))?;
                    progress.add(bytes);
                }
                // Others read it too, or it does not block.
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(error) => return Err(unreadable(&error.into()).into()),
            }
        }
        Err(Stop::Signal)
    }

    fn one(&mut self, message: &[u8]) -> std::result::Result<(), Stop> {
        loop {
            if self.signals.caught() {
                return Err(Stop::Signal);
            }
            match self.outlet.send(message) {
                Ok(()) => return Ok(()),
                // Whoever cancelled has left word.
                Err(SendError::Cancelled(()) | SendError::Timeout(())) => {}
                // Those who left before this one came are as if they had never been there.
                Err(SendError::Closed(()) | SendError::Died(())) if !self.company.has_come() => {
                    if let Err(WaitError::Fault(fault)) = self.outlet.wait_for_peer(SLICE) {
                        return Err(broken(&fault).into());
                    }
                }
                Err(SendError::Closed(())) => return Err(Failure::quiet().into()),
                Err(SendError::Died(())) => {
                    return Err(Failure::peer(format!(
                        "{0}: the ring is full and its receivers died; `annulus recv` gets what \
                         was sent, `annulus inspect` shows it",
                        shown(self.address)
                    ))
                    .into());
                }
                Err(error) => return Err(broken(&error).into()),
            }
        }
    }
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::other(format!("reading standard input: {error}; what came before was sent"))
}
