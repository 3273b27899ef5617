//! Runs a [`Script`] on the shipped ring, and compares what is seen with what may be.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use annulus::hooks::{Payload, kill_before, set_payload, weaken};
use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{Error, SeatState, TryRecvError, TrySendError};
use loom::thread;

use crate::spec::{Do, Got, Memory, Outcome, Role, Saw, Script, Seat, Thread, Why};
use crate::{Bounds, Found, explore, find_bug};

/// A script, and how far it is explored.
#[derive(Clone, Debug)]
pub struct Model {
    /// What is done.
    pub script: Script,
    /// How far executions are explored.
    pub bounds: Bounds,
    /// Executions that there must be at least, with either kind of payload.
    pub floor: usize,
    /// Words of a message: more than one shows torn ones.
    pub words: usize,
}

/// A way to seed a bug: wraps what the thread of that number does.
pub type Wrap = fn(usize, Box<dyn FnOnce() + '_>);

/// What a check came to.
#[derive(Debug)]
pub struct Checked {
    /// Executions, over all kills.
    pub executions: usize,
    /// Explorations, one for each way to kill.
    pub kills: usize,
    /// Different outcomes.
    pub outcomes: BTreeSet<Outcome>,
}

impl Model {
    /// Explores the model with messages as words and as cells: each execution must have
    /// a permitted outcome, and each permitted outcome an execution.
    ///
    /// # Panics
    /// If that is not so, or if there were fewer executions than the floor.
    pub fn check(&self, name: &str) {
        let sequential = self.script.outcomes(Memory::Sequential);
        let permitted = self.script.outcomes(Memory::Late);
        assert!(sequential.is_subset(&permitted), "the specification contradicts itself");
        for payload in [Payload::Words, Payload::Cells] {
            let began = std::time::Instant::now();
            let Checked { executions, kills, outcomes } = self.explore(payload, &permitted);
            println!(
                "{name}, {payload:?}: {executions} executions, {kills} kills, {} outcomes ({} sequential), {:.1?}",
                outcomes.len(),
                sequential.len(),
                began.elapsed(),
            );
            let missed: Vec<_> = permitted.difference(&outcomes).collect();
            assert!(missed.is_empty(), "{} outcomes not reached: {missed:#?}", missed.len());
            assert!(executions >= self.floor, "only {executions} executions");
        }
    }

    /// Explores it all.
    ///
    /// # Panics
    /// If an execution fails, or has an outcome that is not permitted.
    pub fn explore(&self, payload: Payload, permitted: &BTreeSet<Outcome>) -> Checked {
        let permitted = Arc::new(permitted.clone());
        let mut checked = Checked { executions: 0, kills: 0, outcomes: BTreeSet::new() };
        self.for_each_kill(|kills| {
            let explored = explore(self.bounds, self.runner(payload, kills, &permitted, None));
            checked.executions += explored.executions;
            checked.kills += 1;
            checked.outcomes.extend(explored.outcomes);
            true
        });
        checked
    }

    /// Explores until some execution fails or has an outcome that is not permitted.
    pub fn find(&self, payload: Payload, wrap: Option<Wrap>) -> Option<Found> {
        let permitted = Arc::new(self.script.outcomes(Memory::Late));
        let mut found = None;
        self.for_each_kill(|kills| {
            found = find_bug(self.bounds, self.runner(payload, kills, &permitted, wrap));
            found.is_none()
        });
        found
    }

    /// Goes through all ways to kill the mortal threads, each before each of its accesses
    /// and not at all, until `explore` says false.
    fn for_each_kill(&self, mut explore: impl FnMut(&Kills) -> bool) {
        let mortals = self.script.threads.iter().filter(|thread| thread.mortal).count();
        self.for_each_kill_from(&mut Vec::new(), mortals, &mut explore);
    }

    /// The same for the mortals that are not in `before` yet: whether to go on, and which
    /// of all mortals were killed in any execution.
    fn for_each_kill_from(
        &self,
        before: &mut Vec<u64>,
        mortals: usize,
        explore: &mut dyn FnMut(&Kills) -> bool,
    ) -> (bool, Vec<bool>) {
        if before.len() == mortals {
            let kills =
                Kills(Arc::new(before.iter().map(|at| (*at, AtomicBool::new(false))).collect()));
            let go_on = explore(&kills);
            return (go_on, kills.0.iter().map(|(_, killed)| killed.load(Relaxed)).collect());
        }
        let mut any = vec![false; mortals];
        for at in 1.. {
            before.push(at);
            let (go_on, killed) = self.for_each_kill_from(before, mortals, explore);
            before.pop();
            for (any, killed) in any.iter_mut().zip(&killed) {
                *any |= killed;
            }
            if !go_on || !killed[before.len()] {
                return (go_on, any);
            }
        }
        unreachable!("a script has an end")
    }

    /// One execution.
    fn runner(
        &self,
        payload: Payload,
        kills: &Kills,
        permitted: &Arc<BTreeSet<Outcome>>,
        wrap: Option<Wrap>,
    ) -> impl Fn() -> Outcome + Send + Sync + 'static {
        let (permitted, kills) = (Arc::clone(permitted), kills.clone());
        let (script, words) = (self.script.clone(), self.words);
        move || {
            set_payload(payload);
            // The notifier of the asymmetric form has no fence, and loom's would order
            // what the edges of the ring are for. Nobody sleeps in these models.
            weaken(Some("wake::NOTIFIER"));
            let outcome = match words {
                1 => Stage::<1>::run(&script, &kills, wrap),
                2 => Stage::<2>::run(&script, &kills, wrap),
                words => panic!("messages of {words} words are not provided for"),
            };
            assert!(permitted.contains(&outcome), "not permitted: {outcome:?}");
            outcome
        }
    }
}

/// For each mortal thread: before which of its accesses it is killed, and whether it was
/// in any execution.
#[derive(Clone)]
struct Kills(Arc<Vec<(u64, AtomicBool)>>);

impl Kills {
    fn kill<R>(&self, mortal: usize, call: impl FnOnce() -> R) -> Option<R> {
        let (at, killed) = &self.0[mortal];
        let result = kill_before(*at, call);
        if result.is_none() {
            killed.store(true, Relaxed);
        }
        result
    }
}

/// What a thread plays with: messages of `W` words.
struct Stage<const W: usize> {
    ring: Ring<[u64; W]>,
    sender: Option<Sender<[u64; W]>>,
    receiver: Option<Receiver<[u64; W]>>,
    saw: Arc<Mutex<Vec<Saw>>>,
}

impl<const W: usize> Stage<W> {
    fn run(script: &Script, kills: &Kills, wrap: Option<Wrap>) -> Outcome {
        let ring: Ring<_> =
            Ring::options().capacity(script.capacity).create_heap().expect("a ring").into();
        let stage = |begins: Option<Role>| Self {
            ring: ring.clone(),
            sender: (begins == Some(Role::Sender)).then(|| ring.sender().expect("the first")),
            receiver: (begins == Some(Role::Receiver)).then(|| ring.receiver().expect("the first")),
            saw: Arc::default(),
        };
        let mut mortals = 0..;
        let mut saws = Vec::new();
        let mut plays = Vec::new();
        for (number, Thread { begins, does, mortal }) in script.threads.iter().cloned().enumerate()
        {
            let stage = stage(begins);
            saws.push(Arc::clone(&stage.saw));
            let kills = kills.clone();
            let mortal = mortal.then(|| mortals.next().expect("endless"));
            plays.push(move || {
                let mut left = None;
                let kept = &mut left;
                let play: Box<dyn FnOnce()> = Box::new(move || {
                    *kept = match mortal {
                        Some(mortal) => kills.kill(mortal, || stage.play(&does)),
                        None => Some(stage.play(&does)),
                    }
                });
                match wrap {
                    Some(wrap) => wrap(number, play),
                    None => play(),
                }
                left
            });
        }
        let play_here = plays.remove(0);
        let threads: Vec<_> = plays.into_iter().map(thread::spawn).collect();
        let mut left = vec![play_here()];
        left.extend(threads.into_iter().map(|thread| thread.join().expect("it would have failed")));
        // Only now: endpoints that nobody left are left when all have ended.
        drop(left);
        let last = stage(None);
        saws.push(Arc::clone(&last.saw));
        drop(last.play(&script.last));
        saws.iter().map(|saw| std::mem::take(&mut *saw.lock().expect("never poisoned"))).collect()
    }

    /// Does all that, and gives back the endpoint that is left.
    fn play(mut self, does: &[Do]) -> Self {
        for operation in does {
            if let Some(saw) = self.act(*operation) {
                self.note(saw);
            }
        }
        self
    }

    fn note(&self, saw: Saw) {
        self.saw.lock().expect("no panic while it is held").push(saw);
    }

    fn act(&mut self, operation: Do) -> Option<Saw> {
        Some(match operation {
            Do::Attach(Role::Sender) => {
                let sender = attach(|| self.ring.sender());
                Saw::Attached(self.sender.insert(sender).position())
            }
            Do::Attach(Role::Receiver) => {
                let receiver = attach(|| self.ring.receiver());
                Saw::Attached(self.receiver.insert(receiver).position())
            }
            Do::Send(message) => match self.sender().try_send(words(message)) {
                Ok(()) => Saw::Sent(1),
                Err(error) => Saw::Not(no_room(&error)),
            },
            Do::SendMany(messages) => {
                let messages: Vec<_> = messages.iter().map(|message| words(*message)).collect();
                match self.sender().try_send_many(&messages) {
                    Ok(count) => Saw::Sent(count),
                    Err(error) => Saw::Not(no_room(&error)),
                }
            }
            Do::Commit(message) => match self.sender().try_reserve() {
                Ok(mut slot) => {
                    slot.write(&words(message));
                    slot.commit();
                    Saw::Sent(1)
                }
                Err(error) => Saw::Not(no_room(&error)),
            },
            Do::Abort(message) => match self.sender().try_reserve() {
                Ok(mut slot) => {
                    slot.write(&words(message));
                    Saw::Aborted
                }
                Err(error) => Saw::Not(no_room(&error)),
            },
            Do::Recv => match self.receiver().try_recv() {
                Ok(message) => {
                    let position = self.receiver().position() - 1;
                    Saw::Got(vec![self.got(position, &message)])
                }
                Err(error) => Saw::Not(no_message(error)),
            },
            Do::RecvMany(most) => {
                let mut out = vec![[0; W]; most];
                match self.receiver().try_recv_many(&mut out) {
                    Ok(count) => {
                        let first = self.receiver().position() - count as u64;
                        let got = (first..).zip(&out[..count]);
                        Saw::Got(
                            got.map(|(position, message)| self.got(position, message)).collect(),
                        )
                    }
                    Err(error) => Saw::Not(no_message(error)),
                }
            }
            Do::Guard | Do::Forget => {
                let saw = Arc::clone(&self.saw);
                match self.receiver().try_recv_ref() {
                    Ok(guard) => {
                        let message = message(&guard.read());
                        let got =
                            Got { position: guard.position(), message, again: guard.redelivered() };
                        // Before the drop: one who dies in it has seen the message.
                        saw.lock().expect("no panic while it is held").push(Saw::Got(vec![got]));
                        match operation {
                            Do::Forget => std::mem::forget(guard),
                            _ => drop(guard),
                        }
                        return None;
                    }
                    Err(error) => Saw::Not(no_message(error)),
                }
            }
            Do::Peer => {
                let state = match &self.sender {
                    Some(sender) => sender.peer(),
                    None => self.receiver().peer(),
                };
                Saw::Peer(seat(state.expect("nobody writes garbage")))
            }
            Do::Leave => {
                self.sender = None;
                self.receiver = None;
                return None;
            }
        })
    }

    fn sender(&mut self) -> &mut Sender<[u64; W]> {
        self.sender.as_mut().expect("the script's thread is a sender")
    }

    fn receiver(&mut self) -> &mut Receiver<[u64; W]> {
        self.receiver.as_mut().expect("the script's thread is a receiver")
    }

    fn got(&mut self, position: u64, words: &[u64; W]) -> Got {
        let again = self.receiver().is_redelivered(position);
        Got { position, message: message(words), again }
    }
}

/// Takes a seat as soon as it is free.
pub(crate) fn attach<E>(take: impl Fn() -> Result<E, Error>) -> E {
    loop {
        match take() {
            Ok(endpoint) => return endpoint,
            Err(Error::SeatTaken { .. }) => thread::yield_now(),
            Err(error) => panic!("attaching: {error}"),
        }
    }
}

/// A message of `W` words, all of which depend on the number.
fn words<const W: usize>(message: u64) -> [u64; W] {
    core::array::from_fn(|i| message << i)
}

/// The number that the words stand for.
fn message<const W: usize>(words: &[u64; W]) -> u64 {
    assert_eq!(*words, self::words(words[0]), "a torn message");
    words[0]
}

pub(crate) fn no_room<T>(error: &TrySendError<T>) -> Why {
    match error {
        TrySendError::Full(_) => Why::Full,
        TrySendError::Closed(_) => Why::Closed,
        TrySendError::Died(_) => Why::Died,
        TrySendError::Fault(_, fault) => panic!("sending: {fault}"),
        _ => unreachable!("all that there is"),
    }
}

pub(crate) fn no_message(error: TryRecvError) -> Why {
    match error {
        TryRecvError::Empty => Why::Empty,
        TryRecvError::Closed => Why::Closed,
        TryRecvError::Died => Why::Died,
        TryRecvError::Fault(fault) => panic!("receiving: {fault}"),
        _ => unreachable!("all that there is"),
    }
}

fn seat(state: SeatState) -> Seat {
    match state {
        SeatState::Vacant => Seat::Vacant,
        SeatState::Live => Seat::Live,
        SeatState::Closed => Seat::Closed,
        SeatState::Died => Seat::Died,
        SeatState::Recovering => panic!("nobody recovers in these rings"),
    }
}
