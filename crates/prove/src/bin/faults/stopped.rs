//! A receiver that is stopped again and again, wherever it is: the others are refused in time,
//! get back what could not be sent, and lose nothing.
//!
//! ```text
//!   sender ──▶ [ ring of 4 ] ──▶ receiver ‖ stopped     every number sent is received once;
//!                          └───▶ another one            afterwards there is room as at first
//! ```
//!
//! Once by SIGSTOP at random times, once between two of its instructions, from the first of a
//! receive to the last in so many places.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use annulus::{SendError, WaitMethod, frames};
use annulus_prove::fleet::{LastWords, Life, Random, Shared};
use annulus_prove::rings::{Kind, Receiver, Refusal, Ring, Sender, Shape};
use annulus_prove::step::{Led, Step, marker};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};

use crate::cell::{Home, LONG};

const CAPACITY: u64 = 4;
const ROUNDS: u64 = 60;
/// In which it is stopped between two instructions.
const PLACES: u64 = 24;
/// Numbers at most.
const MOST: u64 = 1 << 20;
const SOON: Duration = Duration::from_millis(1);

/// How often each number was received.
type Counts = Shared<AtomicU8>;

/// The scene.
pub fn run(_: &Home) -> Vec<String> {
    let (mut words, mut refused) = (Vec::new(), 0);
    for kind in [Kind::Mpmc, Kind::Frames] {
        let by_signal = play(kind, &mut Random::new(kind as u64));
        for outcome in [by_signal, by_instruction(kind)] {
            match outcome {
                Ok(more) => refused += more,
                Err(what) => words.push(format!("wrong: {}: {what}", kind.name())),
            }
        }
    }
    words.push(format!("figure: sends refused beside one who is stopped = {refused}"));
    words
}

fn shape(kind: Kind) -> Shape {
    Shape {
        kind,
        method: WaitMethod::Futex,
        fenced: false,
        capacity: CAPACITY,
        slice: SOON,
        polls: Duration::from_micros(50),
    }
}

fn play(kind: Kind, random: &mut Random) -> Result<u64, String> {
    let shape = shape(kind);
    let ring = shape.create_memfd().map_err(|error| error.to_string())?;
    let (counts, end) = (Counts::new(MOST as usize), Counts::new(1));
    let words = LastWords::default();
    let life = Life::begin(30, &words, || {
        let memfd = ring.fd().try_clone_to_owned().expect("a descriptor");
        receive(&shape.from_fd(memfd).expect("the ring"), &counts, &end);
    });
    let mut table = Table::new(&ring, &counts)?;
    for _ in 0..ROUNDS {
        // At full speed, then without it.
        let began = Instant::now();
        let time = Duration::from_micros(50 + random.below(200));
        while began.elapsed() < time && table.next < MOST - 64 {
            table.send(Duration::ZERO)?;
        }
        kill(life.pid(), Signal::SIGSTOP).map_err(|error| error.to_string())?;
        let flags = Some(WaitPidFlag::WUNTRACED);
        waitpid(life.pid(), flags).map_err(|error| error.to_string())?;
        table.go_on()?;
        kill(life.pid(), Signal::SIGCONT).map_err(|error| error.to_string())?;
        table.send_kept()?;
    }
    table.settle()?;
    end[0].store(1, Ordering::SeqCst);
    life.join(LONG).map_err(|what| words.get().unwrap_or(what))?;
    match words.get() {
        Some(what) => Err(what),
        None => table.room(),
    }
}

fn by_instruction(kind: Kind) -> Result<u64, String> {
    let shape = shape(kind);
    let ring = shape.create_memfd().map_err(|error| error.to_string())?;
    let counts = Counts::new(MOST as usize);
    let role = || {
        let memfd = ring.fd().try_clone_to_owned().expect("a descriptor");
        let ring = shape.from_fd(memfd).expect("the ring");
        let mut receiver = ring.receiver().expect("a seat");
        loop {
            marker();
            match receiver.try_recv() {
                Ok(number) => count(&counts, number),
                Err(Refusal::NotYet) => {}
                Err(why) => panic!("the led one: {why}"),
            }
        }
    };
    // SAFETY: this process has one thread.
    let mut led = unsafe { Led::fork(role) };
    let mut table = Table::new(&ring, &counts)?;
    table.send(SOON)?;
    let mut steps = 0;
    while led.step() == Step::Stepped {
        steps += 1;
    }
    for place in 0..PLACES {
        match led.go(LONG) {
            Step::Marker => {}
            other => return Err(format!("one who was stopped does not go on: {other:?}")),
        }
        table.send_kept()?;
        table.drain()?;
        table.send(SOON)?;
        let outcome = led.steps_on(place * steps / PLACES);
        table.go_on().map_err(|what| format!("{what}; the other {outcome:?} at {place}"))?;
    }
    led.go(LONG);
    table.send_kept()?;
    table.drain()?;
    table.settle()?;
    led.kill();
    table.room()
}

/// The one who is stopped.
fn receive(ring: &Ring, counts: &Counts, end: &Counts) {
    let mut receiver = ring.receiver().expect("a seat");
    while end[0].load(Ordering::SeqCst) == 0 {
        match receiver.recv(SOON) {
            Ok(number) => count(counts, number),
            Err(Refusal::NotYet) => {}
            Err(why) => panic!("the stopped one: {why}"),
        }
    }
}

fn count(counts: &Counts, number: u64) {
    counts[number as usize].fetch_add(1, Ordering::SeqCst);
}

/// Where those sit who are not stopped.
struct Table<'a> {
    sender: Sender,
    receiver: Receiver,
    counts: &'a Counts,
    sent: Vec<u64>,
    /// A frame that came back, and its number.
    kept: Option<(frames::Frame, u64)>,
    next: u64,
    refused: u64,
}

impl<'a> Table<'a> {
    fn new(ring: &Ring, counts: &'a Counts) -> Result<Self, String> {
        Ok(Self {
            sender: ring.sender().map_err(|error| error.to_string())?,
            receiver: ring.receiver().map_err(|error| error.to_string())?,
            counts,
            sent: Vec::new(),
            kept: None,
            next: 0,
            refused: 0,
        })
    }

    /// Some laps, while the other one is stopped.
    fn go_on(&mut self) -> Result<(), String> {
        let mut patience = 2;
        for _ in 0..4 * CAPACITY {
            if !self.send(if patience > 0 { SOON } else { Duration::ZERO })? {
                patience -= i32::from(patience > 0);
                self.drain()?;
            }
        }
        self.drain()
    }

    /// Sends the next number; false: there was no room in this time.
    fn send(&mut self, time: Duration) -> Result<bool, String> {
        let number = self.next;
        self.next += 1;
        let sent = match &mut self.sender {
            Sender::Frames(sender) => {
                let Ok(mut frame) = sender.take_timeout(time) else { return Ok(false) };
                frame.append(&number.to_le_bytes());
                match frame.send_timeout(time) {
                    Ok(()) => true,
                    Err(error) if matches!(error.reason, SendError::Timeout(())) => {
                        self.refused += 1;
                        // One is sent later; others are given up.
                        self.kept.get_or_insert((error.frame, number));
                        false
                    }
                    Err(error) => return Err(format!("a frame: {error}")),
                }
            }
            sender => match sender.send(number, time) {
                Ok(()) => true,
                Err(Refusal::NotYet) => {
                    self.refused += 1;
                    false
                }
                Err(why) => return Err(format!("a send: {why}")),
            },
        };
        self.sent.extend(sent.then_some(number));
        Ok(sent)
    }

    /// What came back can be sent again, as it was.
    fn send_kept(&mut self) -> Result<(), String> {
        let Some((frame, number)) = self.kept.take() else { return Ok(()) };
        if frame.written() != 8 {
            return Err(format!("a frame came back with {} bytes", frame.written()));
        }
        frame.send_timeout(LONG).map_err(|error| format!("a frame, again: {error}"))?;
        self.sent.push(number);
        Ok(())
    }

    fn drain(&mut self) -> Result<(), String> {
        loop {
            match self.receiver.try_recv() {
                Ok(number) => count(self.counts, number),
                Err(Refusal::NotYet) => return Ok(()),
                Err(why) => return Err(format!("a receive: {why}")),
            }
        }
    }

    /// Everything that was sent has come, once, and nothing else.
    fn settle(&mut self) -> Result<(), String> {
        let began = Instant::now();
        let times = |number: &u64| self.counts[*number as usize].load(Ordering::SeqCst);
        while began.elapsed() < LONG && self.sent.iter().any(|number| times(number) == 0) {
            std::thread::sleep(SOON);
        }
        let lost = self.sent.iter().filter(|number| times(number) == 0).count();
        let all = (0..self.next).map(|number| u64::from(times(&number))).sum::<u64>();
        if lost > 0 || all != self.sent.len() as u64 {
            return Err(format!("{} were sent, {lost} lost, {all} received", self.sent.len()));
        }
        Ok(())
    }

    /// There is room as at first.
    fn room(&mut self) -> Result<u64, String> {
        self.drain()?;
        for number in 0..CAPACITY {
            if let Err(why) = self.sender.try_send(number) {
                return Err(format!("room for {number} of {CAPACITY}: {why}"));
            }
        }
        Ok(self.refused)
    }
}
