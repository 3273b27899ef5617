//! The campaign: kills at random moments, until there were enough or something is wrong.

use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use annulus::mpmc::Ring;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Random;
use super::journal::{AGAIN, GIVEN_UP, GOT, Journal, MESSAGES, SENT, Shared};
use super::life::{self, Letter, Reader, Side};
use super::site::{Place, Site};

/// How long all may go without a message: a hang.
const HANG: Duration = Duration::from_secs(10);

/// Most kills on one ring.
const ROUND: u64 = 250;

/// What has happened, for people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Kills of senders and of receivers.
    pub kills: [u64; 2],
    /// Kills that came before their victim had a seat.
    pub early: u64,
    /// Messages received.
    pub messages: u64,
    /// Committed by a death unawares.
    pub unawares: u64,
    /// That came marked, and those of them that were read before.
    pub again: [u64; 2],
    /// Copied by one who was killed before he could say so; and how many could have been.
    pub doubt: [u64; 2],
    /// Seats refused for a moment.
    pub refusals: u64,
    /// Rings.
    pub rings: u64,
}

impl Totals {
    fn all(&mut self) -> [&mut u64; 11] {
        let [sends, receives] = &mut self.kills;
        let [again, read] = &mut self.again;
        let [doubt, may] = &mut self.doubt;
        [
            sends,
            receives,
            &mut self.early,
            &mut self.messages,
            &mut self.unawares,
            again,
            read,
            doubt,
            may,
            &mut self.refusals,
            &mut self.rings,
        ]
    }

    fn add(&mut self, mut other: Self) {
        for (sum, more) in self.all().into_iter().zip(other.all()) {
            *sum += *more;
        }
    }

    /// All kills.
    pub fn all_kills(&self) -> u64 {
        self.kills[0] + self.kills[1]
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills ({} senders, {} receivers, {} before they had a seat) on {} rings, \
             {} messages: 0 lost, 0 torn, 0 twice unmarked; {} came marked ({} of them read \
             before), {} in doubt of {} that could be, {} committed by a death unawares; {} \
             seats refused for a moment",
            self.all_kills(),
            self.kills[0],
            self.kills[1],
            self.early,
            self.rings,
            self.messages,
            self.again[0],
            self.again[1],
            self.doubt[0],
            self.doubt[1],
            self.unawares,
            self.refusals,
        )
    }
}

/// What is wrong.
pub type Violation = String;

struct Round<'a> {
    open: &'a dyn Fn() -> Ring<Letter>,
    notes: &'a Shared,
    totals: Totals,
    random: Random,
    lives: Vec<(Side, Pid)>,
    /// Lives so far.
    born: u64,
    /// Numbers whose senders were killed and did not know.
    unknown: Vec<std::ops::Range<u64>>,
}

impl Round<'_> {
    fn begin(&mut self, who: usize) {
        let side = self.lives[who].0;
        let random = Random::new(self.random.next());
        self.born += 1;
        let of = (&**self.notes, &self.notes.lives[who], self.born);
        self.lives[who].1 = life::begin(side, self.open, of, random);
    }

    /// Kills some at once, settles their accounts and lets their successors begin.
    fn kill(&mut self, whom: &[usize]) -> Result<(), Violation> {
        for who in whom {
            kill(self.lives[*who].1, Signal::SIGKILL).unwrap();
        }
        for who in whom {
            self.bury(*who)?;
        }
        Ok(())
    }

    fn bury(&mut self, who: usize) -> Result<(), Violation> {
        let (side, pid) = self.lives[who];
        match waitpid(pid, None).unwrap() {
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => {}
            other => return Err(format!("{side:?} ended otherwise: {other:?}")),
        }
        let own = &self.notes.lives[who];
        if own.failed.get() != 0 {
            return Err(format!("{side:?} found something wrong"));
        }
        self.totals.kills[side as usize] += 1;
        self.totals.early += u64::from(own.attached.get() == 0);
        self.totals.refusals += own.refusals.get();
        self.totals.doubt[1] += own.doubt.get();
        if own.count.get() > 0 {
            self.unknown.push(own.first.get()..own.first.get() + own.count.get());
        }
        Ok(())
    }

    /// Waits until messages have gone through.
    fn see_progress(&self) -> Result<(), Violation> {
        let lives = || self.notes.lives.iter().zip(&self.lives).map(|(own, (side, _))| (side, own));
        let got = || -> u64 {
            let receivers = lives().filter(|(side, _)| **side == Side::Receives);
            receivers.map(|(_, own)| own.done.get()).sum()
        };
        let (first, start) = (got(), Instant::now());
        let enough = |now: u64| now >= first + 8 || self.notes.next.get() + 100 > MESSAGES as u64;
        while !enough(got()) {
            if lives().any(|(_, own)| own.failed.get() > 0) {
                return Err("somebody found something wrong".to_owned());
            }
            if start.elapsed() > HANG {
                let own: Vec<_> = lives().collect();
                return Err(format!("a hang: {own:#?}"));
            }
            sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    fn run(&mut self, kills: u64, progress: &dyn Fn()) -> Result<(), Violation> {
        for who in 0..self.lives.len() {
            self.begin(who);
        }
        while self.totals.all_kills() < kills {
            let most = [0, 60, 200, 1000, 2000, 4000, 4000, 8000][self.random.below(8) as usize];
            if most > 0 {
                sleep(Duration::from_micros(self.random.below(most)));
            }
            if self.random.once_in(8) {
                self.see_progress()?;
            }
            let all = self.lives.len() as u64;
            let mut whom = vec![self.random.below(all) as usize];
            while self.random.once_in(4) {
                let more = self.random.below(all) as usize;
                if !whom.contains(&more) {
                    whom.push(more);
                }
            }
            self.kill(&whom)?;
            for who in whom {
                self.begin(who);
            }
            progress();
        }
        self.see_progress()?;
        let everybody: Vec<_> = (0..self.lives.len()).collect();
        self.kill(&everybody)
    }

    /// Newcomers take what is left, and every message is accounted for.
    fn finish(&mut self, site: &Site<Letter>) -> Result<(), Violation> {
        let own = Journal::default();
        let mut receiver = life::take(&own, || site.one.receiver());
        let mut sender = life::take(&own, || site.one.sender());
        let (start, mut quiet) = (Instant::now(), 0);
        let mut reader = Reader::new(self.notes);
        let settled = |seat| matches!(site.seat(seat).state, 0 | 1 | 3 | 4);
        while quiet < 2 || !(0..2 * site.one.seats()).all(settled) {
            match receiver.recv_timeout(Duration::from_millis(5)) {
                Ok(message) => {
                    reader.got(&message, receiver.last().redelivered);
                    quiet = 0;
                }
                Err(_) => quiet += 1,
            }
            let _ = sender.wait_for_peer(Some(Duration::ZERO));
            if start.elapsed() > HANG {
                let seats: Vec<_> = (0..2 * site.one.seats()).map(|seat| site.seat(seat)).collect();
                return Err(format!("the dead are not settled: {seats:?}"));
            }
        }
        for _ in 0..2 {
            for n in 0..sender.capacity() {
                sender.try_send([n; 6]).map_err(|error| format!("a whole ring: {error}"))?;
            }
            for n in 0..sender.capacity() {
                let got = receiver.try_recv();
                if got != Ok([n; 6]) {
                    return Err(format!("a whole ring: {got:?}"));
                }
            }
        }
        self.check()
    }

    fn check(&mut self) -> Result<(), Violation> {
        let (mut lost, totals) = (Vec::new(), &mut self.totals);
        let end = self.notes.next.get().min(MESSAGES as u64);
        for number in 0..end {
            let fate = self.notes.fate(number);
            let got = fate & (GOT | AGAIN) != 0;
            totals.messages += u64::from(got);
            totals.again[0] += u64::from(fate & AGAIN != 0);
            totals.again[1] += u64::from(fate & (GOT | AGAIN) == GOT | AGAIN);
            match (fate & SENT != 0, got) {
                (true, false) => lost.push(number),
                (false, true) if fate & GIVEN_UP != 0 => {
                    return Err(format!("{number} was given up and came"));
                }
                (false, true) => {
                    totals.unawares += 1;
                    if !self.unknown.iter().any(|range| range.contains(&number)) {
                        return Err(format!("{number} was never sent and came"));
                    }
                }
                _ => {}
            }
        }
        totals.doubt[0] += lost.len() as u64;
        if lost.len() as u64 > totals.doubt[1] {
            return Err(format!("lost, and not in doubt: some of {lost:?}, {totals}"));
        }
        Ok(())
    }
}

/// Runs a campaign, on one ring after the other; the accounts must fit all along.
pub fn run(
    place: Place,
    kills: u64,
    seed: u64,
    progress: &mut dyn FnMut(&Totals),
) -> Result<Totals, Violation> {
    let (mut totals, mut random) = (Totals::default(), Random::new(seed));
    while totals.all_kills() < kills {
        let slice = Duration::from_millis(2);
        let seats = 2 + random.below(3);
        let options = Ring::options().capacity(1 << random.below(5)).seats(seats);
        let options = options.spin(Duration::from_nanos(200)).yielding(Duration::from_micros(5));
        let options = options.slice(slice);
        let site = Site::new(place, &options);
        let notes = Shared::new();
        let sides = [Side::Sends, Side::Receives];
        let of = |side| (0..2 + random.clone().below(seats.min(3) - 1)).map(move |_| side);
        let lives = sides.into_iter().flat_map(of).map(|side| (side, Pid::from_raw(0))).collect();
        let mut round = Round {
            open: &|| site.open(&options),
            notes: &notes,
            totals: Totals { rings: 1, ..Totals::default() },
            random: Random::new(random.next()),
            lives,
            born: 0,
            unknown: Vec::new(),
        };
        let some = ROUND.min(kills - totals.all_kills());
        let outcome = round.run(some, &|| ()).and_then(|()| round.finish(&site));
        if let Err(what) = outcome {
            for (_, pid) in round.lives.iter().filter(|(_, pid)| pid.as_raw() > 0) {
                // Some may have been waited for.
                let _ = kill(*pid, Signal::SIGKILL);
                let _ = waitpid(*pid, None);
            }
            return Err(what);
        }
        totals.add(round.totals);
        progress(&totals);
    }
    Ok(totals)
}
