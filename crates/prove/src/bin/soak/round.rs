//! One mpmc ring with two or three senders and as many receivers: kills, drain, account.

use std::thread::sleep;
use std::time::{Duration, Instant};

use annulus::mpmc::{Receiver, Ring, Sender};
use annulus_prove::fleet::{Life, Patience, Random};
use annulus_prove::ground::{Place, Site};

use crate::Plan;
use crate::ledger::{AGAIN, BLOCK, BLOCKS, GOT, Ledger};
use crate::letters::Letter;
use crate::totals::Totals;
use crate::work::{self, Diet, Reader};

/// Longest life of a process, if the campaign forgets it.
const LIFETIME: u32 = 300;

struct Round<'a, const N: usize> {
    site: &'a Site<Ring<Letter<N>>>,
    ledger: Ledger,
    /// Lives now; the first `senders` of them send.
    lives: Vec<Option<Life>>,
    senders: usize,
    /// Lives so far.
    born: u64,
    random: Random,
    totals: Totals,
    plan: Plan,
    diet: Diet,
}

/// A ring, its kills and its account.
pub fn turn(plan: &Plan, random: &mut Random) -> Result<Totals, String> {
    if random.once_in(6) { one::<40>(plan, random) } else { one::<6>(plan, random) }
}

fn one<const N: usize>(plan: &Plan, random: &mut Random) -> Result<Totals, String> {
    let place = *random.pick(&Place::ALL);
    let seats = 2 + random.below(3);
    let sides = [2 + random.below(2), 2 + random.below(2)].map(|lives| lives.min(seats));
    let capacity = *random.pick(&[1, 1, 2, 2, 4, 64, 1024, 1024, 4096, 4096]);
    let diet = *random.pick(&[Diet::All, Diet::All, Diet::Guards, Diet::Singles]);
    let options = Ring::<Letter<N>>::options().capacity(capacity).seats(seats);
    let options = options.spin(Duration::from_nanos(200)).yielding(Duration::from_micros(5));
    let options = options.slice(Duration::from_millis(2));
    let site = Site::new(place, &options, random.next()).map_err(|error| error.to_string())?;
    let mut round = Round {
        site: &site,
        ledger: Ledger::new(),
        lives: (0..sides[0] + sides[1]).map(|_| None).collect(),
        senders: sides[0] as usize,
        born: 0,
        random: Random::new(random.next()),
        totals: Totals { rings: 1, ..Totals::default() },
        plan: *plan,
        diet,
    };
    let outcome = round.run().and_then(|()| round.finish()).and_then(|()| round.check());
    let totals = round.totals;
    let ring = format!("{place:?}, {sides:?} lives, {seats} seats, capacity {capacity}, {N} words");
    let what = |what| format!("{what}; {ring}, {diet:?}; {totals}");
    outcome.map(|()| totals).map_err(what)
}

impl<const N: usize> Round<'_, N> {
    fn begin(&mut self, who: usize) {
        let (site, ledger) = (self.site, &self.ledger);
        let (life, random) = (self.born, Random::new(self.random.next()));
        let diet = self.diet;
        let sends = who < self.senders;
        self.born += 1;
        ledger.journals[who].clear();
        self.lives[who] = Some(Life::begin(LIFETIME, &ledger.words[who], || {
            let ring = site.open().unwrap_or_else(|error| panic!("no ring: {error}"));
            if sends {
                work::send(&ring, (ledger, who, life), random);
            } else {
                work::receive(&ring, (ledger, who), diet, random);
            }
        }));
    }

    /// Kills some at once, and settles what they noted.
    fn kill(&mut self, whom: &[usize]) -> Result<(), String> {
        for life in whom.iter().filter_map(|who| self.lives[*who].as_ref()) {
            life.kill();
        }
        for who in whom {
            let Some(life) = self.lives[*who].take() else { continue };
            let buried = life.bury();
            if let Some(words) = self.ledger.words[*who].get() {
                return Err(words);
            }
            buried?;
            let (own, totals) = (&self.ledger.journals[*who], &mut self.totals);
            totals.early += u64::from(own.seated.get() == 0);
            totals.taken += own.taken.get();
            totals.refused += own.refused.get();
            if *who < self.senders {
                totals.senders += 1;
            } else {
                totals.receivers += 1;
                totals.may_doubt += own.doubt.get();
                totals.may_again += own.again.get();
                totals.again += own.marked.get();
            }
        }
        Ok(())
    }

    /// Messages sent and received by those who live.
    fn done(&self) -> u64 {
        self.ledger.journals.iter().map(|own| own.done.get()).sum()
    }

    /// Waits until somebody gets on.
    fn see_progress(&self) -> Result<(), String> {
        let (first, mut patience) = (self.done(), Patience::new(self.plan.hang));
        while self.done() < first + 8 && self.ledger.next().get() < BLOCKS {
            self.see_words()?;
            if !patience.lasts(self.done()) {
                return Err(format!("a hang: {}", self.standing()));
            }
            sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    fn see_words(&self) -> Result<(), String> {
        self.ledger.words.iter().find_map(|words| words.get()).map_or(Ok(()), Err)
    }

    /// Each seat's state and claim.
    fn standing(&self) -> String {
        let seats = 2 * self.site.ring.seats();
        let seats: Vec<_> = (0..seats).map(|seat| self.site.seat(seat)).collect();
        format!("seats {seats:x?}, {:?}", &self.ledger.journals[..self.lives.len()])
    }

    fn some(&mut self, times: u64) -> Vec<usize> {
        let all = self.lives.len() as u64;
        let mut whom = vec![self.random.below(all) as usize];
        while self.random.once_in(times) {
            let more = self.random.below(all) as usize;
            if !whom.contains(&more) {
                whom.push(more);
            }
        }
        whom
    }

    /// Stops, now and then, some of those who are not to be killed, wherever they are.
    fn stop_others(&mut self, whom: &[usize]) -> Vec<usize> {
        if !self.random.once_in(3) {
            return Vec::new();
        }
        let mut stopped = self.some(2);
        stopped.retain(|who| !whom.contains(who));
        for life in stopped.iter().filter_map(|who| self.lives[*who].as_ref()) {
            life.stop();
        }
        if !stopped.is_empty() && self.random.once_in(2) {
            sleep(Duration::from_micros(self.random.below(300)));
        }
        self.totals.stopped += stopped.len() as u64;
        stopped
    }

    fn run(&mut self) -> Result<(), String> {
        for who in 0..self.lives.len() {
            self.begin(who);
        }
        while self.totals.kills() < self.plan.kills
            && self.ledger.next().get() < BLOCKS
            && Instant::now() < self.plan.deadline
        {
            let most = *self.random.pick(&[0, 60, 400, 1000, 2000, 4000, 8000]);
            if most > 0 {
                sleep(Duration::from_micros(self.random.below(most)));
            }
            if self.random.once_in(4) {
                self.see_progress()?;
            }
            let whom = self.some(5);
            let stopped = self.stop_others(&whom);
            self.kill(&whom)?;
            if !stopped.is_empty() && self.random.once_in(2) {
                // The dead are looked for, and found, while those are stopped.
                sleep(Duration::from_micros(self.random.below(8000)));
            }
            for &who in &whom {
                self.begin(who);
            }
            if !stopped.is_empty() && self.random.once_in(2) {
                sleep(Duration::from_micros(self.random.below(4000)));
            }
            for life in stopped.iter().filter_map(|who| self.lives[*who].as_ref()) {
                life.go_on();
            }
        }
        if self.ledger.next().get() < BLOCKS {
            self.see_progress()?;
        }
        Ok(())
    }

    /// Some die and the others rest, alive; a newcomer gets everything that is left. Then they
    /// die too, and the ring is good for two laps.
    fn finish(&mut self) -> Result<(), String> {
        self.ledger.pause().set(1);
        let whom = self.some(2);
        self.kill(&whom)?;
        let (site, note) = (self.site, annulus_prove::fleet::Note::default());
        if self.lives.len() as u64 <= site.ring.seats() || self.random.once_in(2) {
            // The rest die as well.
            let all: Vec<_> = (0..self.lives.len()).collect();
            self.kill(&all)?;
        } else {
            // Both sides have a seat for the newcomer.
            let first = [0, self.senders].map(|first| vec![first]);
            first.iter().try_for_each(|who| self.kill(who))?;
        }
        let receiver = work::take(&note, &note, || site.ring.receiver());
        let sender = work::take(&note, &note, || site.ring.sender());
        let mut ends = (sender, receiver);
        self.drain(&mut ends)?;
        let all: Vec<_> = (0..self.lives.len()).collect();
        self.kill(&all)?;
        // What those have left who died at rest: a message whose guard was forgotten.
        self.drain(&mut ends)?;
        laps(&mut ends)
    }

    /// Receives all that is left, until the seats of the dead are settled.
    fn drain(&mut self, (sender, receiver): &mut Ends<N>) -> Result<(), String> {
        let (site, alive) = (self.site, self.lives.iter().flatten().count());
        let settled = |seat| matches!(site.seat(seat).0, 0 | 1 | 3 | 4);
        let mut reader = Reader::new(&self.ledger);
        let (mut patience, mut quiet, mut come) = (Patience::new(self.plan.hang), 0, 0);
        while quiet < 3 || self.unrest(alive) || !(0..2 * site.ring.seats()).all(settled) {
            match receiver.recv_timeout(Duration::from_millis(5)) {
                Ok(message) => {
                    let marked = receiver.last().redelivered;
                    self.totals.again += u64::from(marked);
                    reader.got(&message, marked);
                    (quiet, come) = (0, come + 1);
                }
                Err(_) => quiet += 1,
            }
            let _ = sender.wait_for_peer(Some(Duration::ZERO));
            self.see_words()?;
            if !patience.lasts(come) {
                return Err(format!("the dead are not settled, {alive} live: {}", self.standing()));
            }
        }
        Ok(())
    }

    /// Whether somebody who lives has not come to rest, and could: one who waits for a message
    /// without an end does not.
    fn unrest(&self, alive: usize) -> bool {
        let senders = (0..self.senders).filter(|who| self.lives[*who].is_some());
        alive > 0 && senders.into_iter().any(|who| self.ledger.journals[who].idle.get() == 0)
    }

    /// Every message is accounted for.
    fn check(&mut self) -> Result<(), String> {
        let (ledger, totals) = (&self.ledger, &mut self.totals);
        let mut lost = Vec::new();
        for block in 0..ledger.next().get().min(BLOCKS) {
            let notes = &ledger.blocks[block as usize];
            let (sent, may, first) = (notes.sent.get(), notes.may.get(), block * BLOCK);
            let got = |at: u64| ledger.fate(first + at) & (GOT | AGAIN) != 0;
            // Batches commit in order: what lies below one that came was sent too.
            let end = (0..BLOCK).rev().find(|at| got(*at)).map_or(0, |last| last + 1);
            if end > may {
                return Err(format!("{} was never sent and came", first + end - 1));
            }
            totals.unawares += end.saturating_sub(sent);
            let count = (0..end.max(sent)).filter(|at| got(*at)).count() as u64;
            totals.messages += count;
            if count < end.max(sent) {
                lost.extend((0..end.max(sent)).filter(|at| !got(*at)).map(|at| first + at));
            }
        }
        totals.doubt += lost.len() as u64;
        if totals.doubt > totals.may_doubt {
            lost.truncate(20);
            return Err(format!("lost, and not in doubt: some of {lost:?}"));
        }
        if totals.again > totals.may_again {
            return Err("more came again than the dead had in hand".to_owned());
        }
        Ok(())
    }
}

type Ends<const N: usize> = (Sender<Letter<N>>, Receiver<Letter<N>>);

/// Nobody else is there: two laps, each of all slots.
fn laps<const N: usize>((sender, receiver): &mut Ends<N>) -> Result<(), String> {
    for _ in 0..2 {
        for n in 0..sender.capacity() {
            sender.try_send([n; N]).map_err(|error| format!("a whole ring: {error}"))?;
        }
        for n in 0..sender.capacity() {
            let got = receiver.try_recv();
            if got != Ok([n; N]) {
                return Err(format!("a whole ring: {got:?}"));
            }
        }
    }
    Ok(())
}
