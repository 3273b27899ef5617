//! Processes that stay alive over many histories, and meet before each.
//!
//! ```text
//!   go = 2h   ──▶ all say that they are ready, and when all are, play history h ──▶
//!                 done[each] = 2h
//!   go = 2h+1 ──▶ receivers drain it ──▶ done[each] = 2h+1 ──▶ the parent reads the logs,
//!                                                              while h + 1 is played
//! ```

use std::time::{Duration, Instant};

use annulus_prove::fleet::{LastWords, Life, Note, Patience, Random, Shared, mix};

use crate::log::{Log, Part, Record};
use crate::players::Player;

/// Longest life of a process.
const LIFETIME: u32 = 1200;

/// How long it may be that nobody gets on.
pub const HANG: Duration = Duration::from_secs(10);

/// What a set of processes does.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Processes that send, and processes that receive.
    pub sides: [usize; 2],
    /// Least and most operations of each in a history.
    pub ops: [u64; 2],
    /// Where their choices begin.
    pub seed: u64,
    /// Whether one after the other is stopped where it is, and goes on a little later.
    pub stops: bool,
}

/// Makes a process's endpoint, in that process.
pub type Seating<'a> = &'a dyn Fn(usize) -> Box<dyn Player>;

/// The processes and what they share.
pub struct Stage<'a> {
    pub scene: Scene,
    seating: Seating<'a>,
    /// The order to play, what each has done, who is seated, and how many are ready.
    board: Shared<Note>,
    logs: [Vec<Log>; 2],
    words: Vec<LastWords>,
    pub lives: Vec<Option<Life>>,
    pub go: u64,
}

impl<'a> Stage<'a> {
    /// Begins all of them.
    pub fn new(scene: Scene, seating: Seating<'a>) -> Result<Self, String> {
        let count = scene.sides[0] + scene.sides[1];
        let entries = scene.ops[1] as usize + 4096;
        let logs = || (0..count).map(|_| Log::new(entries)).collect();
        let mut stage = Self {
            scene,
            seating,
            board: Shared::new(2 + 2 * count),
            logs: [logs(), logs()],
            words: (0..count).map(|_| LastWords::default()).collect(),
            lives: (0..count).map(|_| None).collect(),
            go: 1,
        };
        for who in 0..count {
            stage.begin(who)?;
        }
        Ok(stage)
    }

    /// Begins one, and waits until it has its seat.
    pub fn begin(&mut self, who: usize) -> Result<(), String> {
        let seated = 1 + self.lives.len() + who;
        self.board[seated].set(0);
        let stage = &*self;
        let life = Life::begin(LIFETIME, &stage.words[who], || {
            let mut player = (stage.seating)(who);
            stage.board[seated].set(1);
            stage.work(who, &mut *player);
        });
        self.lives[who] = Some(life);
        self.until("a seat", |stage| stage.board[seated].get() == 1)
    }

    fn work(&self, who: usize, player: &mut dyn Player) {
        let mut done = self.go;
        loop {
            let mut spins = 0;
            while self.board[0].get() <= done {
                spins += 1;
                if spins < 200 {
                    std::hint::spin_loop();
                } else {
                    std::thread::yield_now();
                }
            }
            done = self.board[0].get();
            let (history, [least, most]) = (done / 2, self.scene.ops);
            let log = &self.logs[(history % 2) as usize][who];
            let mut random = Random::new(mix(self.scene.seed ^ mix(8 * done + who as u64)));
            let ops = least + random.below(most - least + 1);
            let value = (who as u64) << 32;
            let mut part = Part { log, random, value, history, ops };
            if done.is_multiple_of(2) {
                self.ready().add(1);
                self.see_ready();
                player.play(&mut part);
            } else {
                player.drain(&mut part);
            }
            self.board[1 + who].set(done);
        }
    }

    fn ready(&self) -> &Note {
        &self.board[1 + 2 * self.lives.len()]
    }

    /// Waits until all are about to play, so that they do it at one time as far as there are
    /// processors for them.
    pub fn see_ready(&self) {
        let mut spins = 0_u32;
        while self.ready().get() < self.lives.len() as u64 {
            spins += 1;
            if spins.is_multiple_of(4096) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }

    /// How far all have come, as a number that grows.
    fn come(&self) -> u64 {
        let notes: u64 = self.board.iter().map(Note::get).sum();
        self.logs.iter().flatten().map(Log::len).sum::<u64>() + notes
    }

    /// Stops one and lets it go on a little later, if somebody still plays.
    fn harass(&self, random: &mut Random) {
        let who = random.below(self.lives.len() as u64) as usize;
        let Some(life) = &self.lives[who] else { return };
        spin(random, 3_000);
        life.stop();
        spin(random, *random.clone().pick(&[500, 5_000, 50_000]));
        life.go_on();
    }

    /// Waits for something: an end to that is when nobody gets on.
    pub fn until(&self, what: &str, there: impl Fn(&Self) -> bool) -> Result<(), String> {
        let (mut patience, mut spins) = (Patience::new(HANG), 0_u32);
        while !there(self) {
            spins += 1;
            if spins.is_multiple_of(64) {
                self.words.iter().find_map(LastWords::get).map_or(Ok(()), Err)?;
                if !patience.lasts(self.come()) {
                    return Err(format!("a hang: {what} does not come"));
                }
            }
            std::thread::yield_now();
        }
        self.words.iter().find_map(LastWords::get).map_or(Ok(()), Err)
    }

    /// Lets the next phase begin.
    pub fn next(&mut self) {
        self.go += 1;
        if self.go.is_multiple_of(2) {
            self.logs[(self.go / 2 % 2) as usize].iter().for_each(Log::clear);
            self.ready().set(0);
        }
        self.board[0].set(self.go);
    }

    /// The next history, without its drain.
    pub fn skip_drain(&mut self) {
        if self.go.is_multiple_of(2) {
            self.go += 1;
        }
    }

    /// Waits until all who live have done their part.
    pub fn finish(&self) -> Result<(), String> {
        let mut random = Random::new(mix(self.scene.seed ^ self.go));
        let plays = |stage: &Self| {
            let mut lives = (0..stage.lives.len()).filter(|who| stage.lives[*who].is_some());
            lives.any(|who| stage.board[1 + who].get() != stage.go)
        };
        if self.scene.stops && self.go.is_multiple_of(2) && random.once_in(2) {
            for _ in 0..1 + random.below(4) {
                if plays(self) {
                    self.harass(&mut random);
                }
            }
        }
        let there = |stage: &Self| {
            let alive = (0..stage.lives.len()).filter(|who| stage.lives[*who].is_some());
            alive.into_iter().all(|who| stage.board[1 + who].get() == stage.go)
        };
        self.until("the end of a history", there)
    }

    /// What all have noted of a history.
    pub fn records(&self, history: u64) -> Vec<Vec<Record>> {
        self.logs[(history % 2) as usize].iter().map(Log::records).collect()
    }
}

/// So many nanoseconds at most.
pub fn spin(random: &mut Random, most: u64) {
    let end = Instant::now() + Duration::from_nanos(random.below(most));
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}
