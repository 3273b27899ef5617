//! Those at the other end: what they got, and what is left for who comes after.
//!
//! ```text
//!   there   victim ── 1, 2, 3, … ──▶ partner      all that the victim sent, in order, whole
//!   back    victim ◀── 1, 2, 3, … ── partner      what it had not received, for a successor
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use annulus::Error;
use annulus_prove::rings::{Kind, Receiver, Refusal, Ring, Sender};

use crate::cell::{Cell, Home, LONG, PAUSE, Passed, SLICE};
use crate::tracer::Seen;

/// Two rings, and somebody at the other end of both.
pub struct Pair {
    cell: Cell,
    there: Ring,
    back: Ring,
    names: [&'static str; 2],
    stop: Arc<AtomicBool>,
    partner: Option<JoinHandle<Partner>>,
}

struct Partner {
    receiver: Receiver,
    sender: Sender,
    got: Vec<u64>,
    sent: Vec<u64>,
    /// Now and then it lets the victim wait.
    pauses: bool,
    /// It was told that the victim has died.
    told_of_death: bool,
    wrong: Vec<String>,
}

impl Pair {
    /// Makes the rings, sits down at them, and answers.
    pub fn new(cell: Cell, home: &Home, names: [&'static str; 2]) -> Result<Self, Error> {
        let (there, back) = (cell.create(home, names[0])?, cell.create(home, names[1])?);
        let partner = Partner {
            receiver: there.receiver()?,
            sender: back.sender()?,
            got: Vec::new(),
            sent: Vec::new(),
            pauses: names[0] == "there",
            told_of_death: false,
            wrong: Vec::new(),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let partner = Some(std::thread::spawn(move || partner.answer(&stopped)));
        Ok(Self { cell, there, back, names, stop, partner })
    }

    /// How another process opens the two, besides their names.
    pub fn passed(&self) -> [String; 2] {
        [&self.there, &self.back].map(|ring| Passed::send(&self.cell, ring))
    }

    /// After the victim's end: whether all is as it should be.
    pub fn account(mut self, home: &Home, seen: Option<&Seen>) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let Ok(mut partner) = self.partner.take().expect("joined once").join() else {
            return vec!["panic: the partner".to_owned()];
        };
        if let Some(seen) = seen {
            partner.take_the_rest(seen);
            if partner.told_of_death && !seen.killed {
                partner.wrong.push("it was told of a death, and nobody died".to_owned());
            }
            self.check_there(&mut partner, seen);
            self.check_back(&mut partner, seen);
        }
        let mut wrong = partner.wrong;
        let addresses = self.names.map(|name| self.cell.address(home, name));
        drop((partner.receiver, partner.sender, self));
        for address in addresses.into_iter().flatten() {
            if let Err(error) = annulus::unlink_unused(&address) {
                wrong.push(format!("the other's ring, unused: {error}"));
            }
        }
        wrong
    }

    fn check_there(&self, partner: &mut Partner, seen: &Seen) {
        let count = partner.got.len() as u64;
        let in_order = partner.got.iter().copied().eq(1..=count);
        if !in_order || count < seen.sent || count > seen.sent + 1 {
            let got = &partner.got;
            partner.wrong.push(format!("{} numbers were sent, got {got:?}", seen.sent));
        }
        // Somebody else comes to the seat.
        let sender = self.there.sender();
        match (sender, self.cell.kind) {
            (Err(Error::Over { .. }), Kind::Stream) if seen.seated || seen.killed => {}
            (Err(error), _) => partner.wrong.push(format!("the seat there: {error}")),
            (Ok(mut sender), _) => {
                let sent = sender.send(99, LONG);
                let got = partner.receiver.recv(LONG);
                if (sent.clone(), got.clone()) != (Ok(()), Ok(99)) {
                    partner.wrong.push(format!("its successor: sent {sent:?}, got {got:?}"));
                }
            }
        }
    }

    fn check_back(&self, partner: &mut Partner, seen: &Seen) {
        let mut receiver = match (self.back.receiver(), self.cell.kind) {
            (Ok(receiver), _) => receiver,
            (Err(Error::Over { .. }), Kind::Stream) if seen.seated_here || seen.killed => return,
            (Err(error), _) => {
                partner.wrong.push(format!("the seat here: {error}"));
                return;
            }
        };
        let last = partner.sent.last().copied().unwrap_or(0);
        let sent = partner.sender.send(last + 1, LONG);
        if sent.is_err() {
            partner.wrong.push(format!("to its successor: {sent:?}"));
            return;
        }
        let mut got = Vec::new();
        while got.last() != Some(&(last + 1)) {
            match receiver.recv(LONG) {
                Ok(number) => got.push(number),
                Err(why) => {
                    partner.wrong.push(format!("its successor got {got:?}, then: {why}"));
                    return;
                }
            }
        }
        // A killed receiver may have one in doubt. A broadcast's newcomer gets all.
        let first = if matches!(self.cell.kind, Kind::Broadcast | Kind::Lossless) {
            [1, 1]
        } else {
            [seen.got + 1, (seen.got + 1 + u64::from(seen.killed)).min(last + 1)]
        };
        if !first.iter().any(|first| got.iter().copied().eq(*first..=last + 1)) {
            let (before, sent) = (seen.got, &partner.sent);
            partner.wrong.push(format!("of {sent:?} it got {before}, its successor {got:?}"));
        }
    }
}

impl Partner {
    fn answer(mut self, stop: &AtomicBool) -> Self {
        while !stop.load(Ordering::Relaxed) {
            match self.receiver.recv(Duration::from_millis(4)) {
                Ok(number) => self.answer_one(number),
                Err(Refusal::NotYet) => {}
                Err(why @ (Refusal::Closed | Refusal::Died)) => {
                    self.told_of_death |= why == Refusal::Died;
                    break;
                }
                Err(why) => {
                    self.wrong.push(format!("the partner: {why}"));
                    break;
                }
            }
        }
        self
    }

    fn answer_one(&mut self, number: u64) {
        self.got.push(number);
        // Time for the victim to fall asleep, and sometimes to look whether anybody lives.
        std::thread::sleep(match number {
            3 | 4 if self.pauses => PAUSE,
            _ => Duration::from_micros(500),
        });
        match self.sender.send(number, LONG) {
            Ok(()) => self.sent.push(number),
            Err(why @ (Refusal::Closed | Refusal::Died)) => {
                self.told_of_death |= why == Refusal::Died;
            }
            Err(why) => self.wrong.push(format!("the partner: {why}")),
        }
    }

    /// What the victim left in the ring; then, if it had ever come, that it is gone.
    fn take_the_rest(&mut self, seen: &Seen) {
        let began = Instant::now();
        loop {
            match self.receiver.recv(SLICE) {
                Ok(number) => self.got.push(number),
                Err(Refusal::NotYet) if !seen.seated => return,
                Err(Refusal::NotYet) if began.elapsed() < LONG => {}
                Err(why @ (Refusal::Closed | Refusal::Died)) => {
                    self.told_of_death |= why == Refusal::Died;
                    return;
                }
                Err(why) => {
                    self.wrong.push(format!("nobody noticed that it is gone: {why}"));
                    return;
                }
            }
        }
    }
}
