//! Endpoints that come and leave, send and receive singly and in batches, hold reservations,
//! guards and frames, wait for messages, room and peers, alone or in a `WaitSet`, at random.
//!
//! ```text
//!   director ── one or two acts ──▶ actors ── nobody runs ──▶ poke: does anybody wake up?
//! ```
//!
//! Nobody has to be told what a ring should do: whoever a poke gets out of his call had been
//! asleep on a ready ring (quiet.rs). No slice ends meanwhile. One who is due by a `WaitSet`
//! and has not acted on it has a wake-up in hand: until he has done all there is to do, or has
//! left, nobody else is owed one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver as Acts};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use annulus::{CancelHandle, WaitMethod, WaitSet};
use annulus_prove::rings::{Kind, Receiver, Ring, Sender, Shape};

use crate::Random;
use crate::cell::End;
use crate::handoffs::NEVER;
use crate::quiet::{self, Watched};

/// What an actor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Come,
    Leave,
    /// One message, asleep until it can be done.
    One,
    /// A batch, the same.
    Many(usize),
    /// A batch, as much of it as can be done at once.
    Batch(usize),
    /// A reservation, a guard or a frame, kept in hand.
    Hold,
    /// It is committed and released, or given up.
    Finish(bool),
    /// Waits in a `WaitSet`, and does nothing about it.
    Due,
    /// Does what it is due for, until there is no more of it.
    Drain,
    Peer,
}

struct Actor {
    sends: bool,
    watched: Watched,
    /// Has a wake-up in hand.
    due: AtomicBool,
    cancel: Mutex<Option<CancelHandle>>,
}

/// Acts of a scene.
const ACTS: u64 = 40;

/// Runs one scene; what was found, with the acts before it. Adds to `acts`.
pub fn run(kind: Kind, fenced: bool, seed: u64, acts: &mut u64) -> Result<(), String> {
    let mut random = Random(seed);
    let fewest = if kind == Kind::Stream { 4 } else { 2 };
    let capacity = fewest << random.below(2);
    let method = WaitMethod::Futex;
    let shape = Shape { kind, method, fenced, capacity, slice: NEVER, polls: Duration::ZERO };
    let ring = shape.create_memfd().map_err(|error| error.to_string())?;
    let (senders, receivers) = match kind {
        Kind::Mpmc | Kind::Frames => (3, 3),
        Kind::Broadcast | Kind::Lossless => (1, 3),
        Kind::Spsc | Kind::Stream => (1, 1),
    };
    let mut stage = Stage { actors: Vec::new(), told: Vec::new() };
    for nth in 0..senders + receivers {
        let fd = ring.fd().try_clone_to_owned().map_err(|error| error.to_string())?;
        let ring = shape.from_fd(fd).map_err(|error| error.to_string())?;
        stage.enter(ring, nth < senders);
    }
    let outcome = stage.play(&mut random, capacity as usize, acts);
    stage.leave()?;
    outcome
}

/// An actor as the director sees it.
struct Role {
    actor: Arc<Actor>,
    tell: mpsc::Sender<Act>,
    thread: JoinHandle<()>,
    came: bool,
    comes: bool,
    holds: bool,
}

struct Stage {
    actors: Vec<Role>,
    told: Vec<String>,
}

impl Stage {
    fn enter(&mut self, ring: Ring, sends: bool) {
        let (watched, due, cancel) = (Watched::default(), AtomicBool::new(false), Mutex::new(None));
        let actor = Arc::new(Actor { sends, watched, due, cancel });
        let (tell, acts) = mpsc::channel();
        let me = Arc::clone(&actor);
        let thread = std::thread::spawn(move || {
            me.watched.begin();
            perform(&ring, &acts, &me);
        });
        self.actors.push(Role { actor, tell, thread, came: false, comes: false, holds: false });
    }

    fn watched(&self) -> Vec<&Watched> {
        self.actors.iter().map(|role| &role.actor.watched).collect()
    }

    fn play(&mut self, random: &mut Random, capacity: usize, acts: &mut u64) -> Result<(), String> {
        for _ in 0..ACTS {
            let idle = |role: &Role| !role.actor.watched.is_busy();
            let idle: Vec<_> =
                (0..self.actors.len()).filter(|it| idle(&self.actors[*it])).collect();
            if idle.is_empty() {
                break;
            }
            // Mostly one at a time; two at once race.
            let first = random.below(idle.len() as u64) as usize;
            let count = if random.below(3) == 0 { 2.min(idle.len()) } else { 1 };
            // Who has a wake-up in hand does mostly something about it.
            let due = |it: &usize| self.actors[*it].actor.due.load(Ordering::Acquire);
            let at = idle.iter().position(due).filter(|_| random.below(4) > 0);
            let first = at.unwrap_or(first);
            for nth in 0..count {
                self.tell(idle[(first + nth) % idle.len()], random, capacity);
                *acts += 1;
            }
            if !quiet::is_quiet(&self.watched()) {
                return Err(format!("somebody never stopped; {}", self.told.join(", ")));
            }
            if self.actors.iter().any(|role| role.actor.due.load(Ordering::Acquire)) {
                continue;
            }
            // One who comes, and is slow about it, sleeps on no ring.
            if self.actors.iter().any(|role| role.comes && role.actor.watched.is_busy()) {
                continue;
            }
            let woken = quiet::poke(&self.watched());
            if !woken.is_empty() {
                let told = self.told.join(", ");
                return Err(format!("{woken:?} asleep on a ready ring, after {told}"));
            }
        }
        Ok(())
    }

    fn tell(&mut self, which: usize, random: &mut Random, capacity: usize) {
        let sends = self.actors[which].actor.sends;
        let alone = !self.actors.iter().any(|role| role.came && role.actor.sends != sends);
        let role = &mut self.actors[which];
        let some = 1 + random.below(capacity as u64 + 2) as usize;
        let act = if !role.came {
            Act::Come
        } else if role.holds {
            Act::Finish(random.below(4) > 0)
        } else if role.actor.due.swap(false, Ordering::AcqRel) {
            if random.below(2) == 0 { Act::Leave } else { Act::Drain }
        } else if alone && random.below(3) == 0 {
            Act::Peer
        } else {
            match random.below(12) {
                0..=2 => Act::One,
                3 => Act::Many(some),
                4 | 5 => Act::Batch(some),
                6 | 7 => Act::Hold,
                8 | 9 => Act::Due,
                10 => Act::Peer,
                _ => Act::Leave,
            }
        };
        (role.came, role.holds) = (act != Act::Leave, act == Act::Hold);
        role.comes = act == Act::Come;
        let side = if role.actor.sends { "s" } else { "r" };
        self.told.push(format!("{side}{which} {act:?}"));
        role.actor.watched.tell();
        // It hears until the scene is over.
        let _ = role.tell.send(act);
    }

    /// Ends all calls.
    fn leave(self) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(20);
        for role in self.actors {
            drop(role.tell);
            while !role.thread.is_finished() {
                if Instant::now() > until {
                    return Err(format!("never ended; {}", self.told.join(", ")));
                }
                if let Some(cancel) =
                    &*role.actor.cancel.lock().unwrap_or_else(PoisonError::into_inner)
                {
                    cancel.cancel();
                }
                std::thread::sleep(Duration::from_micros(50));
            }
            role.thread.join().map_err(|_| format!("a panic; {}", self.told.join(", ")))?;
        }
        Ok(())
    }
}

/// The actor's thread. What its acts come to is of no interest here.
fn perform(ring: &Ring, acts: &Acts<Act>, me: &Actor) {
    let mut end = None;
    let mut next = acts.recv();
    while let Ok(act) = next {
        match act {
            Act::Come => {
                end = End::of(ring, me.sends).ok();
                let cancel = end.as_ref().map(cancel_handle);
                *me.cancel.lock().unwrap_or_else(PoisonError::into_inner) = cancel;
            }
            Act::Leave => end = None,
            Act::Hold => {
                next = hold(end.as_mut(), acts, me);
                continue;
            }
            _ => {
                if let Some(end) = &mut end {
                    once(end, act, me);
                }
            }
        }
        me.watched.end();
        next = acts.recv();
    }
}

fn cancel_handle(end: &End) -> CancelHandle {
    match end {
        End::Sender(sender) | End::Reserver(sender) => match sender {
            Sender::Spsc(it) => it.cancel_handle(),
            Sender::Stream(it) => it.cancel_handle(),
            Sender::Mpmc(it) => it.cancel_handle(),
            Sender::Broadcast(it) => it.cancel_handle(),
            Sender::Frames(it) => it.cancel_handle(),
        },
        End::Receiver(receiver) | End::Borrower(receiver) => match receiver {
            Receiver::Spsc(it) => it.cancel_handle(),
            Receiver::Stream(it) => it.cancel_handle(),
            Receiver::Mpmc(it) => it.cancel_handle(),
            Receiver::Broadcast(it) => it.cancel_handle(),
            Receiver::Frames(it) => it.cancel_handle(),
        },
    }
}

fn once(end: &mut End, act: Act, me: &Actor) {
    match act {
        Act::One => drop(end.asleep(1, false, NEVER)),
        Act::Due => {
            let member = match end {
                End::Sender(sender) | End::Reserver(sender) => sender.waitable(),
                End::Receiver(receiver) | End::Borrower(receiver) => receiver.waitable(),
            };
            if let Some(member) = member {
                let due = WaitSet::new().wait(&mut [member], Some(NEVER));
                me.due.store(due.is_ok(), Ordering::Release);
            }
        }
        // An overwriting sender could go on for ever.
        Act::Drain => drop((0..64).find(|_| end.at_once(1).is_err())),
        Act::Peer => peer(end),
        Act::Many(count) => many(end, &mut vec![1; count], true),
        Act::Batch(count) => many(end, &mut vec![1; count], false),
        // What it had in hand it did not get.
        Act::Finish(_) | Act::Come | Act::Leave | Act::Hold => {}
    }
}

fn peer(end: &mut End) {
    let time = Some(NEVER);
    let _ = match end {
        End::Sender(Sender::Spsc(it)) => it.wait_for_peer(time),
        End::Sender(Sender::Stream(it)) => it.wait_for_peer(time),
        End::Sender(Sender::Mpmc(it)) => it.wait_for_peer(time),
        End::Sender(Sender::Broadcast(it)) => it.wait_for_peer(time),
        End::Receiver(Receiver::Spsc(it)) => it.wait_for_peer(time),
        End::Receiver(Receiver::Stream(it)) => it.wait_for_peer(time),
        End::Receiver(Receiver::Mpmc(it)) => it.wait_for_peer(time),
        End::Receiver(Receiver::Broadcast(it)) => it.wait_for_peer(time),
        // Rings of frames have no such call.
        _ => Ok(()),
    };
}

/// A batch: what can be done at once, or all that there is, asleep until there is some.
fn many(end: &mut End, numbers: &mut [u64], asleep: bool) {
    match (end, asleep) {
        (End::Sender(Sender::Spsc(it)), true) => drop(it.send_many(numbers)),
        (End::Sender(Sender::Spsc(it)), false) => drop(it.try_send_many(numbers)),
        (End::Sender(Sender::Mpmc(it)), true) => drop(it.send_many(numbers)),
        (End::Sender(Sender::Mpmc(it)), false) => drop(it.try_send_many(numbers)),
        (End::Sender(Sender::Broadcast(it)), true) => drop(it.send_many(numbers)),
        (End::Sender(Sender::Broadcast(it)), false) => drop(it.try_send_many(numbers)),
        (End::Sender(Sender::Stream(it)), true) => drop(it.send(&vec![1; 8 * numbers.len()])),
        (End::Sender(Sender::Stream(it)), false) => drop(it.try_send(&vec![1; 5 * numbers.len()])),
        (End::Receiver(Receiver::Spsc(it)), true) => drop(it.recv_many(numbers)),
        (End::Receiver(Receiver::Spsc(it)), false) => drop(it.try_recv_many(numbers)),
        (End::Receiver(Receiver::Mpmc(it)), true) => drop(it.recv_many(numbers)),
        (End::Receiver(Receiver::Mpmc(it)), false) => drop(it.try_recv_many(numbers)),
        (End::Receiver(Receiver::Broadcast(it)), _) => drop(it.try_recv_many(numbers)),
        (End::Receiver(Receiver::Stream(it)), true) => {
            let _ = it.recv(&mut vec![0; 8 * numbers.len()]);
        }
        (End::Receiver(Receiver::Stream(it)), false) => {
            let _ = it.try_recv(&mut vec![0; 3 * numbers.len()]);
        }
        (end, asleep) => {
            for _ in numbers {
                let done = if asleep { end.asleep(1, false, NEVER) } else { end.at_once(1) };
                if done.is_err() {
                    break;
                }
            }
        }
    }
}

/// Keeps something in hand until the next act says what becomes of it.
fn hold(end: Option<&mut End>, acts: &Acts<Act>, me: &Actor) -> Result<Act, mpsc::RecvError> {
    // `Some`: what is done with what was got at once.
    macro_rules! keep {
        ($got:expr, $finish:expr) => {
            match $got {
                Ok(held) => {
                    me.watched.end();
                    let next = acts.recv()?;
                    let finish = $finish;
                    finish(held, next == Act::Finish(true));
                }
                Err(_) => {}
            }
        };
    }
    match end {
        Some(End::Sender(Sender::Spsc(it))) => {
            keep!(it.try_reserve(), |mut held: annulus::spsc::Reservation<'_, u64>,
                                     commits: bool| {
                held.write(&1);
                if commits {
                    held.commit();
                }
            })
        }
        Some(End::Sender(Sender::Mpmc(it))) => {
            keep!(it.try_reserve(), |mut held: annulus::mpmc::Reservation<'_, u64>,
                                     commits: bool| {
                held.write(&1);
                if commits {
                    held.commit();
                }
            })
        }
        Some(End::Sender(Sender::Stream(it))) => {
            keep!(it.try_reserve(8), |mut held: annulus::stream::Reservation<'_>, commits: bool| {
                held.append(&[1; 8]);
                if commits {
                    held.commit();
                }
            })
        }
        Some(End::Sender(Sender::Frames(it))) => {
            keep!(it.try_take(), |mut held: annulus::frames::Frame, commits: bool| {
                held.append(&[1; 8]);
                if commits {
                    drop(held.send())
                }
            })
        }
        Some(End::Receiver(Receiver::Spsc(it))) => keep!(it.try_recv_ref(), |held, _| drop(held)),
        Some(End::Receiver(Receiver::Mpmc(it))) => keep!(it.try_recv_ref(), |held, _| drop(held)),
        Some(End::Receiver(Receiver::Stream(it))) => keep!(it.try_recv_ref(), |held, _| drop(held)),
        Some(End::Receiver(Receiver::Frames(it))) => keep!(it.try_recv(), |held, _| drop(held)),
        // A broadcast lends nothing.
        _ => {}
    }
    me.watched.end();
    acts.recv()
}
