//! One broadcast with a sender and four receivers, killed and succeeded.
//!
//! A message is told by its position: each receiver gets every message from where it begins,
//! or is told exactly how many it has missed, which in a lossless ring are none.
#![allow(unsafe_code)]

use std::thread::sleep;
use std::time::{Duration, Instant};

use annulus::broadcast::{Receiver, Ring, Sender, Start};
use annulus::{RecvError, SendError, TryRecvError, TrySendError};
use annulus_prove::fleet::{LastWords, Life, Note, Random, Shareable, Shared};
use annulus_prove::ground::{Place, Site};

use crate::Plan;
use crate::letters::{Letter, letter};
use crate::totals::Totals;
use crate::work::{BATCH, take};

const LIVES: usize = 5;
const WAIT: Duration = Duration::from_millis(2);
const LIFETIME: u32 = 300;

#[derive(Debug, Default)]
struct Notes {
    seated: Note,
    start: Note,
    may: Note,
    reached: Note,
    /// Messages got, by all lives at this place.
    got: Note,
    /// Messages missed, by all.
    missed: Note,
    taken: Note,
    refused: Note,
}

// SAFETY: notes alone, of which zeros are a value.
unsafe impl Shareable for Notes {}

struct Round<'a, const N: usize> {
    site: &'a Site<Ring<Letter<N>>>,
    notes: Shared<Notes>,
    words: [LastWords; LIVES],
    lives: [Option<Life>; LIVES],
    totals: Totals,
    tail: (u64, u64),
}

/// Receivers are overwritten.
pub fn overwritten(plan: &Plan, random: &mut Random) -> Result<Totals, String> {
    turn(plan, random, false)
}

/// Receivers hold the sender back.
pub fn lossless(plan: &Plan, random: &mut Random) -> Result<Totals, String> {
    turn(plan, random, true)
}

fn turn(plan: &Plan, random: &mut Random, lossless: bool) -> Result<Totals, String> {
    if random.once_in(2) {
        one::<40>(plan, random, lossless)
    } else {
        one::<6>(plan, random, lossless)
    }
}

fn one<const N: usize>(plan: &Plan, random: &mut Random, lossless: bool) -> Result<Totals, String> {
    let options = Ring::<Letter<N>>::options().lossless(lossless).seats(LIVES as u64 + 1);
    let options = options.capacity(*random.pick(&[2, 16, 256, 1024, 4096]));
    let options = options.spin(Duration::from_nanos(200)).yielding(Duration::from_micros(5));
    let options = options.slice(Duration::from_millis(2));
    let site = Site::new(*random.pick(&Place::ALL), &options, random.next());
    let site = site.map_err(|error| error.to_string())?;
    let mut round = Round {
        site: &site,
        notes: Shared::new(LIVES),
        words: Default::default(),
        lives: Default::default(),
        totals: Totals { rings: 1, ..Totals::default() },
        tail: (0, 0),
    };
    round.run(plan, random)?;
    round.finish()?;
    Ok(round.totals)
}

impl<const N: usize> Round<'_, N> {
    fn begin(&mut self, who: usize, random: &mut Random) {
        let (site, own, random) = (self.site, &self.notes[who], Random::new(random.next()));
        for note in [&own.seated, &own.start, &own.may, &own.taken, &own.refused] {
            note.set(0);
        }
        self.lives[who] = Some(Life::begin(LIFETIME, &self.words[who], || {
            let ring = site.open().unwrap_or_else(|error| panic!("no ring: {error}"));
            if who == 0 { send(&ring, own, random) } else { receive(&ring, own, random) }
        }));
    }

    fn kill(&mut self, whom: &[usize]) -> Result<(), String> {
        for life in whom.iter().filter_map(|who| self.lives[*who].as_ref()) {
            life.kill();
        }
        for who in whom {
            let Some(life) = self.lives[*who].take() else { continue };
            let buried = life.bury();
            self.words[*who].get().map_or(Ok(()), Err)?;
            buried?;
            let own = &self.notes[*who];
            self.totals.taken += own.taken.get();
            self.totals.refused += own.refused.get();
            self.totals.early += 1 - own.seated.get();
            if *who > 0 {
                self.totals.receivers += 1;
                continue;
            }
            self.totals.senders += 1;
            if own.seated.get() == 1 {
                let (start, reached, may) = (own.start.get(), own.reached.get(), own.may.get());
                self.sender_came(start)?;
                self.tail = (reached, reached.max(may));
            }
        }
        Ok(())
    }

    fn sender_came(&mut self, start: u64) -> Result<(), String> {
        let (low, high) = self.tail;
        if !(low..=high).contains(&start) {
            return Err(format!("a sender began at {start}; {low}..={high} was committed"));
        }
        self.totals.unawares += start - low;
        self.tail = (start, start);
        Ok(())
    }

    fn see_progress(&self, plan: &Plan) -> Result<(), String> {
        let got = || -> Vec<u64> { self.notes[1..].iter().map(|own| own.got.get()).collect() };
        let (first, start) = (got(), Instant::now());
        while got().iter().zip(&first).any(|(now, first)| *now < first + 4) {
            self.words.iter().find_map(LastWords::get).map_or(Ok(()), Err)?;
            if start.elapsed() > plan.hang {
                return Err(format!("a hang: {:?}", &self.notes[..]));
            }
            sleep(Duration::from_micros(50));
        }
        Ok(())
    }

    fn run(&mut self, plan: &Plan, random: &mut Random) -> Result<(), String> {
        (0..LIVES).for_each(|who| self.begin(who, random));
        while self.totals.kills() < plan.kills && Instant::now() < plan.deadline {
            let most = *random.pick(&[0, 60, 400, 1000, 2000, 4000, 8000]);
            if most > 0 {
                sleep(Duration::from_micros(random.below(most)));
            }
            if random.once_in(8) {
                self.see_progress(plan)?;
            }
            let one = random.below(LIVES as u64) as usize;
            let all = [0, 1, 2, 3, 4];
            let whom = match random.below(8) {
                0 => &all[..],
                1 => &all[one..],
                2 => &all[..1],
                _ => &all[one..=one],
            };
            self.kill(whom)?;
            whom.iter().for_each(|who| self.begin(*who, random));
        }
        self.see_progress(plan)?;
        self.kill(&[0, 1, 2, 3, 4])
    }

    /// Every seat is to be had, and everything that is left.
    fn finish(&mut self) -> Result<(), String> {
        let (ring, note) = (&self.site.ring, Note::default());
        let mut sender: Sender<Letter<N>> = take(&note, &note, || ring.sender());
        let tail = sender.position();
        self.sender_came(tail)?;
        for position in tail..tail + 3 * ring.capacity() {
            // Nobody has noticed the last deaths: they do not hold it back.
            let said = sender.send_timeout(letter(position, 1), Duration::from_secs(10));
            said.map_err(|error| format!("the dead hold it back: {error}"))?;
        }
        let start = |_| take(&note, &note, || ring.receiver_from(Start::Oldest));
        let mut receivers: Vec<_> = (1..ring.seats()).map(start).collect();
        for receiver in &mut receivers {
            for position in receiver.position()..sender.position() {
                let got = receiver.try_recv();
                if got != Ok(letter(position, 1)) {
                    return Err(format!("at {position}: {got:x?}"));
                }
            }
        }
        self.totals.messages = self.notes[1..].iter().map(|own| own.got.get()).sum();
        self.totals.lagged = self.notes[1..].iter().map(|own| own.missed.get()).sum();
        Ok(())
    }
}

fn pause(random: &mut Random) {
    if random.once_in(300) {
        std::thread::sleep(Duration::from_micros(random.below(300)));
    }
}

fn send<const N: usize>(ring: &Ring<Letter<N>>, own: &Notes, mut random: Random) {
    let attach = || take(&own.taken, &own.refused, || ring.sender());
    let mut sender: Sender<Letter<N>> = attach();
    [&own.start, &own.reached, &own.may].into_iter().for_each(|note| note.set(sender.position()));
    own.seated.set(1);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let (p, verb) = (sender.position(), random.below(8));
        let count = if verb > 3 { 1 + random.below(64) } else { 1 };
        batch.clear();
        batch.extend((p..p + count).map(|position| letter::<N>(position, 1)));
        own.may.set(p + count);
        match verb {
            0 => sent(sender.send(batch[0])),
            1 => sent(sender.send_timeout(batch[0], WAIT)),
            2 | 3 => tried(sender.try_send(batch[0])),
            4 | 5 => sent(sender.send_many(&batch).map_err(|error| error.reason)),
            _ => tried(sender.try_send_many(&batch).map(|_| ())),
        }
        own.reached.set(sender.position());
        if random.once_in(2000) {
            drop(sender);
            sender = attach();
            assert_eq!(sender.position(), own.reached.get(), "after an orderly leave");
        }
        pause(&mut random);
    }
}

fn sent<T>(said: Result<(), SendError<T>>) {
    assert!(matches!(said, Ok(()) | Err(SendError::Timeout(_))), "a send failed");
}

fn tried<T>(said: Result<(), TrySendError<T>>) {
    assert!(matches!(said, Ok(()) | Err(TrySendError::Full(_))), "a send failed");
}

/// What a receive came to: so many messages, or so many missed.
enum Came {
    Messages(usize),
    Missed(u64),
    Nothing,
}

fn at_once(said: Result<usize, TryRecvError>) -> Came {
    match said {
        Ok(count) => Came::Messages(count),
        Err(TryRecvError::Lagged(missed)) => Came::Missed(missed),
        Err(TryRecvError::Empty | TryRecvError::Closed | TryRecvError::Died) => Came::Nothing,
        Err(other) => panic!("a receive met {other}"),
    }
}

fn waited(said: Result<usize, RecvError>) -> Came {
    match said {
        Ok(count) => Came::Messages(count),
        Err(RecvError::Lagged(missed)) => Came::Missed(missed),
        Err(RecvError::Timeout | RecvError::Closed | RecvError::Died) => Came::Nothing,
        Err(other) => panic!("a receive met {other}"),
    }
}

fn receive<const N: usize>(ring: &Ring<Letter<N>>, own: &Notes, mut random: Random) {
    let before = own.reached.get();
    let start = *random.pick(&[Start::Newest, Start::Oldest, Start::Position(before)]);
    let mut receiver: Receiver<Letter<N>> =
        take(&own.taken, &own.refused, || ring.receiver_from(start));
    let mut next = receiver.position();
    let mut may_miss = !ring.is_lossless();
    if let Start::Position(asked) = start
        && next > asked
    {
        // It asked too late, and is told so, once.
        (may_miss, next) = (true, asked);
    }
    own.reached.set(next);
    own.seated.set(1);
    let mut out = [[0; N]; 64];
    loop {
        let count = 1 + random.below(64) as usize;
        let mut one = |message| {
            out[0] = message;
            1
        };
        let came = match random.below(8) {
            0 => waited(receiver.recv().map(one)),
            1 => waited(receiver.recv_timeout(WAIT).map(one)),
            2 => at_once(receiver.try_recv().map(one)),
            3 => at_once(
                receiver
                    .try_recv_with(|view| {
                        assert_eq!(view.position(), next);
                        let mut message = [0; N];
                        view.read_at(0, zerocopy::IntoBytes::as_mut_bytes(&mut message));
                        message
                    })
                    .map(&mut one),
            ),
            4 => {
                if let Ok(newest) = receiver.latest() {
                    assert!(newest == letter(newest[0], 1), "torn, the newest: {newest:x?}");
                }
                Came::Messages(0)
            }
            _ => at_once(receiver.try_recv_many(&mut out[..count])),
        };
        match came {
            Came::Messages(count) => {
                for message in &out[..count] {
                    assert!(*message == letter(next, 1), "torn or not {next}: {message:x?}");
                    next += 1;
                }
                own.got.grow(count as u64);
            }
            Came::Missed(missed) => {
                assert!(may_miss && missed > 0, "missed {missed} of a lossless ring at {next}");
                may_miss = !ring.is_lossless();
                next += missed;
                own.missed.grow(missed);
            }
            Came::Nothing => {
                let _ = receiver.wait_for_peer(Some(WAIT));
            }
        }
        own.reached.set(next);
        if random.once_in(10_000) {
            drop(receiver);
            receiver = take(&own.taken, &own.refused, || ring.receiver_from(Start::Newest));
            next = receiver.position();
            may_miss = !ring.is_lossless();
        }
        pause(&mut random);
    }
}
