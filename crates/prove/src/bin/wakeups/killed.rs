//! The process that was woken is killed before it looks: the others wait a slice at most.
//!
//! ```text
//!   first    asleep ──── woken ✗ (killed at its first instruction)
//!   second   asleep ─────────────────── its slice ends ──▶ takes it
//! ```

use std::process::Child;
use std::time::{Duration, Instant};

use annulus_prove::step::{self, Led, Step};
use annulus_prove::{Options, child};

use crate::cell::{Cell, End, Name};
use crate::handoffs::NEVER;
use crate::lockstep::{For, TOLD};

/// The slice of who is left.
pub const SLICE: Duration = Duration::from_millis(100);

/// Seconds after which it hangs.
const HANGS: u32 = 60;

/// What came of it.
pub struct Kill {
    /// From the notification until another had what it was about.
    pub delay: Duration,
    /// It was the first, who is killed, whom the notifier woke.
    pub woken: bool,
}

/// Kills `count` processes, one after the other.
pub fn run(cell: Cell, waits: For, count: usize, options: &Options) -> Result<Vec<Kill>, String> {
    let text = |error: annulus::Error| error.to_string();
    let (name, hello) = (Name::new(), Name::new());
    let ring = cell.shape(SLICE).create(name.address()).map_err(text)?;
    let told = cell.own().shape(NEVER).create(hello.address()).map_err(text)?;
    let mut told = End::of(&told, false).map_err(text)?;
    let mut notifier = End::of(&ring, waits == For::Message).map_err(text)?;
    let start = |role: &str| {
        let mut command = child::command(role, options, HANGS);
        let told = format!("{cell} {waits:?} {} {}", name.address(), hello.address());
        command.env(TOLD, told);
        command
    };
    let second = Killed(start("taker").spawn().map_err(|error| error.to_string())?);
    let long = Duration::from_secs(20);
    let heard = |told: &mut End| told.asleep(0, false, long).map_err(|why| why.to_string());
    heard(&mut told)?;
    let mut kills = Vec::new();
    for _ in 0..count {
        // The first to fall asleep is the first to be woken.
        let mut first = Led::spawn(&mut start("waiter")).map_err(|error| error.to_string())?;
        while first.step() == Step::Stepped {}
        // The second looks around again behind it.
        let behind = Instant::now();
        while behind.elapsed() < SLICE + SLICE / 2 || !step::sleeps(second.pid()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let began = Instant::now();
        notifier.at_once(1).map_err(|why| format!("the notifier: {why}"))?;
        let woken = first.wake(SLICE / 2) == Step::Stepped;
        first.kill();
        heard(&mut told)?;
        kills.push(Kill { delay: began.elapsed(), woken });
    }
    Ok(kills)
}

/// Waits, and says so each time that it was served; before all else, that it is there.
pub fn taker() {
    let told = std::env::var(TOLD).expect("what to do");
    let told: Vec<&str> = told.split(' ').collect();
    let (cell, room) = (Cell::named(told[0]), told[1] == "Room");
    let ring = cell.shape(SLICE).open(told[2]).expect("the campaign's ring");
    let hello = cell.own().shape(NEVER).open(told[3]).expect("the campaign's ring");
    let mut end = End::of(&ring, room).expect("a seat");
    let mut hello = End::of(&hello, true).expect("a seat");
    // One that waits for room has none.
    while room && end.at_once(1).is_ok() {}
    while hello.asleep(1, false, NEVER).is_ok() && end.asleep(1, cell.set, NEVER).is_ok() {}
}

/// A child; killed when it is dropped.
struct Killed(Child);

impl Killed {
    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
