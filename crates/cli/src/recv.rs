//! `annulus recv ADDR`: a stream to standard output.
//!
//! ```text
//!   wait for the name ─ take the seat ─ [ drain the ring ]* ─ end ─ remove the name
//! ```
//!
//! Imports: exit, naming, progress, signals, standard.

use std::io;
use std::time::{Duration, Instant};

use annulus::stream::{Receiver, Ring};
use annulus::{Error, Field, Observer, RecvError, SeatState, SeatView};

use crate::exit::{Failure, Result, shown};
use crate::naming::{self, GRACE, Holds, Named, Pauses, Seen};
use crate::progress::Progress;
use crate::signals::Signals;
use crate::standard;

/// How long it may take to notice that standard output takes something again, where it
/// does not block.
const SLICE: Duration = Duration::from_millis(100);

/// Receives to the end of the stream.
pub fn run(address: &str, timeout: Option<Duration>, keep: bool) -> Result {
    let signals = Signals::start()?;
    let result = match find(address, timeout, keep, &signals) {
        Ok(Some((receiver, named))) => transfer(receiver, &named, &signals),
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    signals.end();
    result
}

/// Waits for a stream that somebody sends, or has sent, into. `None`: a signal came.
fn find(
    address: &str,
    timeout: Option<Duration>,
    keep: bool,
    signals: &Signals,
) -> Result<Option<(Receiver, Named)>> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut pauses = Pauses::new();
    let mut over = Over::default();
    while !signals.caught() {
        if let Some(seen) = Seen::look(address)?
            && over.allows(address, &seen)?
            && let Some(receiver) = take(address, seen.tag)?
        {
            // It may have been replaced since that look; as long as it is open it is not.
            let id = Observer::open_guarded(address).map_or(seen.id, |now| now.creation_id());
            let kept = keep || seen.is_kept();
            let holds = Holds::Transfer;
            let named = Named { address: address.to_owned(), id, kept, holds };
            return Ok(Some((receiver, named)));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(naming::nobody_came(address, timeout));
        }
        pauses.pause();
    }
    Ok(None)
}

/// Streams that have, or had, their receiver already.
#[derive(Default)]
struct Over {
    /// The last one met, and since when.
    since: Option<(u64, Instant)>,
}

impl Over {
    /// Whether a stream is to be received: otherwise it is waited for another. An error, if
    /// that would be in vain.
    fn allows(&mut self, address: &str, seen: &Seen) -> Result<bool> {
        let Seen { sender, receiver, .. } = seen;
        if receiver.state == SeatState::Vacant && !receiver.held {
            // One that nobody has sent into yet may be one whose maker was killed: then
            // another sender replaces it.
            return Ok(sender.held || sender.state != SeatState::Vacant);
        }
        match (sender.held, receiver.held) {
            (true, true) => Err(naming::in_use(address, receiver)),
            // The other one is gone, so this one is about to go.
            (true, false) => self.about_to_go(address, seen.id, sender),
            (false, true) => self.about_to_go(address, seen.id, receiver),
            (false, false) if seen.is_kept() => Err(Failure::unusable(format!(
                "{0}: a stream stands there that was kept and is over; remove it with \
                 `annulus rm {0}`",
                shown(address)
            ))),
            (false, false) => {
                // Left over. If that fails, the next sender will see to it.
                let _ = annulus::unlink_unused(address);
                Ok(false)
            }
        }
    }

    /// Refuses if he does not go in time.
    fn about_to_go(&mut self, address: &str, id: u64, who: &SeatView) -> Result<bool> {
        let now = Instant::now();
        let since = self.since.filter(|(last, _)| *last == id).map_or(now, |(_, since)| since);
        self.since = Some((id, since));
        if now.duration_since(since) >= GRACE {
            return Err(naming::in_use(address, who));
        }
        Ok(false)
    }
}

/// Takes the receiver's seat; `None`: something has come in between.
fn take(address: &str, tag: u64) -> Result<Option<Receiver>> {
    let opened = Ring::options().type_tag(tag).sigbus_guard(true).open(address);
    match opened.and_then(|ring| ring.receiver()) {
        Ok(receiver) => Ok(Some(receiver)),
        // Removed, replaced, or taken by somebody faster: the next look says which.
        Err(
            Error::NotFound { .. }
            | Error::InUse { .. }
            | Error::SeatTaken { .. }
            | Error::Over { .. }
            | Error::Mismatch { field: Field::TypeTag | Field::Kind, .. },
        ) => Ok(None),
        Err(error) => Err(Failure::refused(address, &error)),
    }
}

fn transfer(receiver: Receiver, named: &Named, signals: &Signals) -> Result {
    signals.watch(receiver.cancel_handle(), named.clone());
    let mut receiver = receiver;
    let (end, failure) = match drain(&mut receiver, signals) {
        Ok(end) => (end, Ok(())),
        Err((end, failure)) => (end, Err(failure)),
    };
    match end {
        End::Close => drop(receiver),
        End::Abort => receiver.abort(),
    }
    signals.unwatch();
    // The transfer's own failure is the one to report.
    failure.and(named.remove())
}

/// What the sender is told.
enum End {
    /// Nothing more is wanted.
    Close,
    /// Something went wrong here.
    Abort,
}

fn drain(receiver: &mut Receiver, signals: &Signals) -> std::result::Result<End, (End, Failure)> {
    let output = io::stdout();
    standard::widen(&output);
    let most = usize::try_from(receiver.capacity()).unwrap_or(usize::MAX);
    let mut progress = Progress::new();
    while !signals.caught() {
        let error = match receiver.drain_to(&output, most) {
            Ok(0) => return Ok(End::Close),
            Ok(bytes) => {
                progress.add(bytes);
                continue;
            }
            Err(error) => error,
        };
        let typed = error.get_ref().and_then(|inner| inner.downcast_ref::<RecvError>());
        match (typed, error.kind()) {
            // Whoever cancelled has left word.
            (Some(RecvError::Cancelled), _) | (None, io::ErrorKind::Interrupted) => {}
            (Some(RecvError::Died), _) => return Err((End::Close, died(progress.bytes()))),
            (Some(error), _) => {
                let failure = Failure::other(format!("{error}; have all of it sent again"));
                return Err((End::Abort, failure));
            }
            (None, io::ErrorKind::WouldBlock) => {
                standard::is_writable(&output, SLICE)
                    .map_err(|error| (End::Abort, Failure::output(&error)))?;
            }
            (None, io::ErrorKind::BrokenPipe) => return Err((End::Close, Failure::quiet())),
            (None, _) => return Err((End::Abort, Failure::output(&error))),
        }
    }
    Ok(End::Abort)
}

fn died(bytes: u64) -> Failure {
    Failure::peer(format!(
        "the sender died or was interrupted after {bytes} bytes, which were delivered; have all \
         of it sent again"
    ))
}
