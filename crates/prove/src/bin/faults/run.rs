//! One run: two rings with somebody at their other ends, a victim, one fault.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use annulus_prove::{Options, child};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::calls;
use crate::cell::{Backing, Cell, Home, LONG};
use crate::survivors::Pair;
use crate::tracer::{Answer, Fault, Seen, follow};
use crate::victim::{HAND_OFFS, TOLD};

/// Seconds after which a victim hangs: it makes a few waits of two seconds at most.
const HANGS: u32 = 30;

/// What came of it.
pub struct Outcome {
    pub seen: Seen,
    /// Violations.
    pub found: Vec<String>,
    /// Typed errors that the victim got.
    pub errors: usize,
    /// Names that were left, as the documents say that they are.
    pub left: usize,
}

/// Makes one run. An error: it could not be made.
pub fn run(cell: &Cell, fault: Option<&Fault>, options: &Options) -> Result<Outcome, String> {
    let home = Home { token: token() };
    if cell.backing == Backing::File {
        std::fs::create_dir(home.directory()).map_err(|error| error.to_string())?;
    }
    let pair = |names| Pair::new(*cell, &home, names).map_err(|error| error.to_string());
    let pairs = [pair(["there", "back"])?, pair(["there2", "back2"])?];
    let once = if fault.is_some_and(|fault| fault.nth.is_some()) { "once" } else { "each" };
    let mut told = vec![cell.to_string(), home.token.clone(), once.to_owned()];
    told.extend(pairs.iter().flat_map(Pair::passed));
    let mut command = child::command("victim", options, HANGS);
    let command = command.env(TOLD, told.join(" "));
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let seen = follow(child.id().cast_signed(), fault, cell.renamed)?;
    let words = words(&mut child);
    let end = match seen.end {
        Some(end) => end,
        None => waitpid(Pid::from_raw(child.id().cast_signed()), None)
            .map_err(|error| error.to_string())?,
    };

    let mut outcome = Outcome { seen, found: Vec::new(), errors: 0, left: 0 };
    outcome.judge_end(end, &words);
    outcome.judge_words(cell, fault, &words);
    let restless = outcome.seen.restless.iter();
    outcome.found.extend(restless.map(|what| format!("it does not sleep: {what}")));
    let seen = Seen { seated: true, seated_here: true, ..Seen::default() };
    let afterwards = Seen { sent: HAND_OFFS, got: HAND_OFFS, ..seen };
    let well = outcome.found.is_empty() && !outcome.seen.killed;
    let [first, second] = pairs;
    let wrong = first.account(&home, Some(&outcome.seen));
    outcome.found.extend(wrong.into_iter().map(|what| format!("survivor: {what}")));
    let wrong = second.account(&home, well.then_some(&afterwards));
    outcome.found.extend(wrong.into_iter().map(|what| format!("survivor afterwards: {what}")));
    outcome.judge_names(cell, fault, &words, &home);
    Ok(outcome)
}

impl Outcome {
    fn judge_end(&mut self, end: WaitStatus, words: &str) {
        match end {
            WaitStatus::Exited(_, 0) if !self.seen.killed => {}
            WaitStatus::Signaled(_, Signal::SIGKILL, _) if self.seen.killed => {}
            WaitStatus::Signaled(_, Signal::SIGALRM, _) => {
                self.found.push(format!("hang: {words}"));
            }
            WaitStatus::Exited(_, 101) => self.found.push(format!("panic: {words}")),
            other => self.found.push(format!("ended by {other:?}: {words}")),
        }
    }

    fn judge_words(&mut self, cell: &Cell, fault: Option<&Fault>, words: &str) {
        let answer = fault.map(|fault| (fault.kind, fault.answer));
        let unharmed = match answer {
            Some((kind, Answer::Error(error, _))) => calls::survives(kind, error, cell.fenced),
            _ => true,
        };
        for line in words.lines() {
            if line.starts_with("error: ") {
                self.errors += 1;
                if unharmed {
                    self.found.push(format!("not survived: {line}"));
                }
            } else if line.starts_with("leak: ") {
                // What could not be unmapped is still there.
                let stays = matches!(answer, Some(("munmap", _))) && line.contains(" x mapping");
                if !stays {
                    self.found.push(line.to_owned());
                }
            } else if line.starts_with("wrong: ") {
                self.found.push(line.to_owned());
            }
        }
    }

    /// What stands in the file system afterwards.
    fn judge_names(&mut self, cell: &Cell, fault: Option<&Fault>, words: &str, home: &Home) {
        // A kill leaves what it leaves, what can't be removed stays, and whoever could not
        // remove it was told.
        let unlink = fault.is_some_and(|fault| fault.kind == "unlink");
        let excused = self.seen.killed || unlink || words.contains("error: unlink: ");
        let own = cell.address(home, "own");
        let stands = home.leftovers().iter().any(|name| name == "own" || name.ends_with("-own"));
        if let (true, Some(address)) = (stands, own) {
            if excused {
                self.left += 1;
            } else {
                self.found.push("leak: its own ring's name".to_owned());
            }
            if let Err(why) = whole(cell, &address) {
                self.found.push(format!("its own ring is not whole: {why}"));
            }
            let _ = annulus::unlink(&address);
        }
        for name in home.leftovers() {
            if excused && name.starts_with(".annulus-") {
                self.left += 1;
            } else {
                self.found.push(format!("leak: {name}"));
            }
        }
        for name in &self.seen.semaphores {
            if Path::new(name).exists() {
                if excused {
                    self.left += 1;
                } else {
                    self.found.push(format!("leak: {name}"));
                }
                let _ = std::fs::remove_file(name);
            }
        }
    }
}

/// A name that stands is that of a whole ring, which works.
fn whole(cell: &Cell, address: &str) -> Result<(), String> {
    let open = || {
        let ring = cell.shape().open(address)?;
        Ok((ring.sender()?, ring.receiver()?))
    };
    match open() {
        Ok((mut sender, mut receiver)) => {
            // There may be numbers in it, as many as it holds.
            while receiver.try_recv().is_ok() {}
            sender.send(99, LONG).map_err(|why| why.to_string())?;
            receiver.recv(LONG).map(|_| ()).map_err(|why| why.to_string())
        }
        // A stream that was used is over; its semaphores go after its name.
        Err(annulus::Error::Over { .. }) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// All that the victim says, to its end.
fn words(child: &mut Child) -> String {
    let mut words = String::new();
    // What can't be read was not said.
    if let Some(mut out) = child.stdout.take() {
        let _ = out.read_to_string(&mut words);
    }
    if let Some(mut out) = child.stderr.take() {
        let _ = out.read_to_string(&mut words);
    }
    words
}

/// A name that no other run has.
pub fn token() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    use std::hash::{BuildHasher, RandomState};
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("annulus-prove-{:012x}-{count}", RandomState::new().hash_one(count) >> 16)
}
