//! What a process of a cell is to do, as words in its environment.

use std::time::Duration;

use annulus_prove::Options;
use annulus_prove::child;
use std::process::Command;

const TASK: &str = "ANNULUS_PROVE_ATTACK";

/// A child that has not ended by then hangs.
const SECONDS: u32 = 60;

pub const RINGS: [&str; 5] = ["stream", "spsc", "mpmc", "broadcast", "frames"];

pub const PLACES: [&str; 3] = ["memfd", "shm", "file"];

/// What a cell's processes share.
#[derive(Clone, Debug)]
pub struct Task {
    pub ring: String,
    pub place: String,
    pub attack: String,
    pub seed: u64,
    pub time: Duration,
    /// Where the segment is to be opened: an address, or a memfd's path in `/proc`.
    pub address: String,
    /// The same as a path.
    pub path: String,
}

impl Task {
    /// The command that starts a process of the cell.
    pub fn command(&self, role: &str, options: &Options) -> Command {
        let mut command = child::command(role, options, SECONDS);
        let Self { ring, place, attack, seed, time, address, path } = self;
        let time = time.as_millis();
        let words = format!("{ring} {place} {attack} {seed} {time} {address} {path}");
        command.env(TASK, words);
        command
    }

    /// In a child: its own.
    pub fn read() -> Self {
        let words = std::env::var(TASK).expect("a task");
        let mut words = words.split(' ').map(str::to_owned);
        let mut next = || words.next().expect("seven words");
        Self {
            ring: next(),
            place: next(),
            attack: next(),
            seed: next().parse().expect("a number"),
            time: Duration::from_millis(next().parse().expect("a number")),
            address: next(),
            path: next(),
        }
    }

    /// Its name.
    pub fn cell(&self) -> String {
        format!("{}/{}/{}", self.ring, self.place, self.attack)
    }
}

/// Random numbers that are the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}
