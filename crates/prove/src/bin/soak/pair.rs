//! Two spsc rings at once, each with a sender and a receiver that are killed and succeeded.
//!
//! A message is told by its position, so each life checks what it gets by itself; the notes
//! tell how far it had come when it was killed:
//!
//! ```text
//!   sender     start ..= reached ..= may       the successor begins in between
//!   receiver   start ..= got, reached ..= may  and is told what comes again
//! ```
#![allow(unsafe_code)]

use std::thread::sleep;
use std::time::{Duration, Instant};

use annulus::spsc::Ring;
use annulus_prove::fleet::{LastWords, Life, Note, Random, Shareable, Shared};
use annulus_prove::ground::{Place, Site};

use crate::Plan;
use crate::letters::{Letter, letter};
use crate::pair_lives::{marked_below, receive, send};
use crate::totals::Totals;
use crate::work::take;

const LIFETIME: u32 = 300;

/// What is sent.
pub type Message = Letter<6>;

/// The message of a position.
pub fn told(position: u64) -> Message {
    letter(position, 1)
}

/// What a life notes.
#[derive(Debug, Default)]
pub struct Notes {
    /// 1: the next two are noted.
    pub seated: Note,
    pub start: Note,
    /// What lies below was said to come again.
    pub marked: Note,
    /// The end of what the verb may commit or retire.
    pub may: Note,
    /// 1: the verb has a guard.
    pub guards: Note,
    /// The end of all that this life has exposed.
    pub exposed: Note,
    /// The end of what the application has got.
    pub got: Note,
    /// The end of what is surely committed, or retired.
    pub reached: Note,
    pub taken: Note,
    pub refused: Note,
}

// SAFETY: notes alone, of which zeros are a value.
unsafe impl Shareable for Notes {}

impl Notes {
    fn clear(&self) {
        let Self { seated, start, marked, may, guards, exposed, got, reached, taken, refused } =
            self;
        let all = [seated, start, marked, may, guards, exposed, got, reached, taken, refused];
        all.into_iter().for_each(|note| note.set(0));
    }
}

/// One ring, its lives and its account.
struct Lane {
    site: Site<Ring<Message>>,
    notes: Shared<Notes>,
    words: [LastWords; 2],
    lives: [Option<Life>; 2],
    totals: Totals,
    /// The tail, and the head, lie between these.
    tail: (u64, u64),
    head: (u64, u64),
    got: u64,
    guards: bool,
    exposed: u64,
    marked: u64,
}

/// Two rings, their kills and accounts.
pub fn turn(plan: &Plan, random: &mut Random) -> Result<Totals, String> {
    let mut lanes = [Lane::new(random)?, Lane::new(random)?];
    for lane in &mut lanes {
        [0, 1].into_iter().for_each(|side| lane.begin(side, random));
    }
    let kills = |lanes: &[Lane]| lanes.iter().map(|lane| lane.totals.kills()).sum::<u64>();
    while kills(&lanes) < plan.kills && Instant::now() < plan.deadline {
        let most = *random.pick(&[0, 60, 400, 1000, 2000, 4000, 8000]);
        if most > 0 {
            sleep(Duration::from_micros(random.below(most)));
        }
        let lane = &mut lanes[random.below(2) as usize];
        if random.once_in(8) {
            lane.see_progress(plan)?;
        }
        let sides: &[usize] = match random.below(7) {
            0..3 => &[0],
            3..6 => &[1],
            _ => &[1, 0],
        };
        lane.kill(sides)?;
        sides.iter().for_each(|side| lane.begin(*side, random));
    }
    let mut totals = Totals::default();
    for lane in &mut lanes {
        lane.kill(&[0, 1])?;
        lane.finish()?;
        totals.add(&lane.totals);
    }
    Ok(totals)
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

impl Lane {
    fn new(random: &mut Random) -> Result<Self, String> {
        let options = Ring::options().capacity(*random.pick(&[1, 8, 256, 1024, 4096]));
        let options = options.spin(Duration::from_nanos(200)).yielding(Duration::from_micros(5));
        let options = options.slice(Duration::from_millis(2));
        let site = Site::new(*random.pick(&Place::ALL), &options, random.next());
        Ok(Self {
            site: site.map_err(|error| error.to_string())?,
            notes: Shared::new(2),
            words: Default::default(),
            lives: [None, None],
            totals: Totals { rings: 1, ..Totals::default() },
            tail: (0, 0),
            head: (0, 0),
            got: 0,
            guards: false,
            exposed: 0,
            marked: 0,
        })
    }

    fn begin(&mut self, side: usize, random: &mut Random) {
        let (site, own, random) = (&self.site, &self.notes[side], Random::new(random.next()));
        own.clear();
        self.lives[side] = Some(Life::begin(LIFETIME, &self.words[side], || {
            let ring = site.open().unwrap_or_else(|error| panic!("no ring: {error}"));
            if side == 0 { send(&ring, own, random) } else { receive(&ring, own, random) }
        }));
    }

    fn kill(&mut self, sides: &[usize]) -> Result<(), String> {
        for life in sides.iter().filter_map(|side| self.lives[*side].as_ref()) {
            life.kill();
        }
        for side in sides {
            let Some(life) = self.lives[*side].take() else { continue };
            let buried = life.bury();
            self.words[*side].get().map_or(Ok(()), Err)?;
            buried?;
            let outcome = if *side == 0 { self.sender_died() } else { self.receiver_died() };
            outcome.map_err(|what| format!("{what}: {:?}", &self.notes[..]))?;
        }
        Ok(())
    }

    fn see_progress(&self, plan: &Plan) -> Result<(), String> {
        let (own, start) = (&self.notes[1], Instant::now());
        let first = own.got.get();
        while own.got.get() < first + 8 {
            self.words.iter().find_map(LastWords::get).map_or(Ok(()), Err)?;
            if start.elapsed() > plan.hang {
                return Err(format!("a hang: {:?}", &self.notes[..]));
            }
            sleep(Duration::from_micros(50));
        }
        Ok(())
    }

    fn died(&mut self, side: usize) -> bool {
        let own = &self.notes[side];
        self.totals.taken += own.taken.get();
        self.totals.refused += own.refused.get();
        self.totals.early += 1 - own.seated.get();
        own.seated.get() == 1
    }

    fn sender_came(&mut self, start: u64) -> Result<(), String> {
        let (low, high) = self.tail;
        check((low..=high).contains(&start), || {
            format!("the next sender began at {start}; {low}..={high} was committed")
        })?;
        self.totals.unawares += start - low;
        self.tail = (start, start);
        Ok(())
    }

    fn sender_died(&mut self) -> Result<(), String> {
        self.totals.senders += 1;
        if self.died(0) {
            self.sender_came(self.notes[0].start.get())?;
            let own = &self.notes[0];
            self.tail = (own.reached.get(), own.reached.get().max(own.may.get()));
        }
        Ok(())
    }

    fn receiver_came(&mut self, start: u64, marked: u64) -> Result<(), String> {
        let ((low, high), got) = (self.head, self.got);
        check((low..=high).contains(&start), || {
            format!("the next receiver began at {start}; {low}..={high} was retired")
        })?;
        check(start <= got || !self.guards, || format!("{got}..{start} was lost from a guard"))?;
        self.totals.doubt += start.saturating_sub(got);
        self.totals.may_doubt += high - low;
        check(got <= start || marked >= got, || {
            format!("{start}..{got} was read and comes again, marked below {marked} alone")
        })?;
        let most = self.marked.max(self.exposed);
        check(self.marked <= start || marked >= self.marked, || {
            format!("marks below {} shrank to {marked}", self.marked)
        })?;
        check(marked <= most, || format!("marked below {marked}, exposed below {most} alone"))?;
        self.totals.again += marked.saturating_sub(start);
        self.totals.may_again += most.saturating_sub(start);
        (self.head, self.got) = ((start, start), start);
        (self.guards, self.exposed, self.marked) = (false, marked, marked);
        Ok(())
    }

    fn receiver_died(&mut self) -> Result<(), String> {
        self.totals.receivers += 1;
        if self.died(1) {
            let own = &self.notes[1];
            self.receiver_came(own.start.get(), own.marked.get())?;
            let own = &self.notes[1];
            let (reached, got) = (own.reached.get(), own.got.get());
            self.head = (reached, got.max(own.may.get()));
            (self.got, self.guards) = (got, own.guards.get() == 1);
            self.exposed = self.exposed.max(own.exposed.get());
        }
        Ok(())
    }

    /// Takes both seats and what is left; the ring is good for two laps.
    fn finish(&mut self) -> Result<(), String> {
        let note = Note::default();
        let mut sender = take(&note, &note, || self.site.ring.sender());
        let mut receiver = take(&note, &note, || self.site.ring.receiver());
        self.sender_came(sender.position())?;
        self.receiver_came(receiver.position(), marked_below(&receiver))?;
        self.totals.messages = self.tail.0;
        let end = sender.position() + 2 * sender.capacity();
        while receiver.position() < end {
            while sender.position() < end {
                let message = told(sender.position());
                if sender.try_send(message).is_err() {
                    break;
                }
            }
            let position = receiver.position();
            let got = receiver.try_recv();
            check(got == Ok(told(position)), || format!("at {position}: {got:x?}"))?;
        }
        Ok(())
    }
}
