//! Code and model are tied: what the shipped code does to shared memory and locks, recorded
//! access by access, is a path of the model in crates/explore.
//!
//! ```text
//!   verbs, kills, newcomers ── trace ──▶ Recorder ──▶ events ──▶ replay
//! ```
//!
//! On the heap, where the locks of seats are words too. One thread, so that the order in
//! which accesses took effect is the order of the record; what several do at once is made of
//! operations that are cut short by a kill, and of ones that keep what they have in hand.

mod mpmcs;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use annulus::hooks::{Access, HEADER, Op, forge, kill_before, trace, unlocks};
use annulus::mpmc::{Receiver, Ring, Sender};
use annulus_explore::access::{Setup, Word};
use annulus_explore::configs::PLAIN;
use annulus_explore::replay::{Event, Kind, replay};
use annulus_explore::words::Slot;
use mpmcs::verb::{RECV_VERBS, SEND_VERBS, SendVerb};
use mpmcs::world::quiet;
use mpmcs::{Random, Words, words};

const CAPACITY: u64 = 2;
/// Seats of either side.
const SEATS: u8 = 2;

const LINE: usize = 128;
/// Header and seats.
const CONTROL: usize = LINE * (1 + 2 * SEATS as usize);
/// From one slot to the next: the word and four words of message, on 64 bytes.
const STRIDE: usize = 64;

/// Makes events of accesses.
struct Recorder {
    base: usize,
    /// The first seat's lock word; the others follow.
    locks: usize,
    /// What the tail, the head and the locks hold.
    words: BTreeMap<usize, u64>,
    /// The claim that a seat noted last.
    claims: BTreeMap<u8, u64>,
    events: Vec<Event>,
}

impl Recorder {
    fn lock_of(&self, address: usize) -> Option<u8> {
        let seat = address.checked_sub(self.locks)? / 8;
        (seat < 2 * usize::from(SEATS)).then_some(seat as u8)
    }

    /// The word at an address, if it is one of the protocol's.
    fn word(&self, address: usize) -> Option<Word> {
        let at = address.checked_sub(self.base)?;
        let slots = CONTROL + 4 * LINE;
        if (LINE..CONTROL).contains(&at) {
            let seat = (at / LINE - 1) as u8;
            return match at % LINE {
                0 => Some(Word::State(seat)),
                16 => Some(Word::Claim(seat)),
                _ => None,
            };
        }
        match at {
            _ if at == CONTROL => Some(Word::Tail),
            _ if at == CONTROL + 3 * LINE => Some(Word::Head),
            _ if at >= slots && at < slots + STRIDE * CAPACITY as usize => (at - slots)
                .is_multiple_of(STRIDE)
                .then(|| Word::Slot(((at - slots) / STRIDE) as u64)),
            _ => None,
        }
    }

    /// Adds what one participant did: `own` is its seat; `None`, one who comes.
    fn add(
        &mut self,
        own: Option<u8>,
        accesses: &[Access],
        unlocks: &[(usize, usize)],
        killed: bool,
    ) {
        // One who comes is whoever's lock he has.
        let mut seat = own;
        let mut glance = false;
        for (n, access) in accesses.iter().enumerate() {
            self.unlock(own, &mut seat, unlocks, n);
            if let Some(lock) = self.lock_of(access.address) {
                let held = self.words.get(&access.address).copied().unwrap_or(0) != 0;
                let kind = match (access.op, held) {
                    (Op::Load, true) => Kind::Held,
                    (Op::Load, false) => Kind::Unheld,
                    (_, true) => Kind::Refused,
                    (_, false) => Kind::Locked,
                };
                if kind == Kind::Locked {
                    self.words.insert(access.address, 1);
                    seat = seat.or(Some(lock));
                }
                if let Some(seat) = seat {
                    self.push(seat, kind, None, u64::from(lock));
                }
                continue;
            }
            let hint = matches!(access.edge, "relaxed::HINT" | "relaxed::FENCED");
            let (Some(word), Some(seat)) = (self.word(access.address), seat) else { continue };
            let counter = matches!(word, Word::Tail | Word::Head);
            let passes_on = std::mem::replace(&mut glance, hint && counter);
            let kind = match access.op {
                // Decides nothing; nor does the slot's word, after a counter that was a hint:
                // whether there is somebody to be woken.
                Op::Load if hint || passes_on => continue,
                Op::Load => Kind::Load,
                Op::Store => Kind::Store,
                Op::Exchange if counter => {
                    let now = self.words.get(&access.address).copied().unwrap_or(0);
                    let start = self.claims[&seat] >> 12;
                    if now == start { Kind::Won } else { Kind::Lost }
                }
                // Nobody else is at it.
                Op::Exchange => Kind::Won,
                Op::CopyIn | Op::CopyOut => continue,
            };
            if let (Kind::Store, Word::Claim(of)) = (kind, word) {
                self.claims.insert(of, access.value);
            }
            if kind == Kind::Won {
                self.words.insert(access.address, access.value);
            }
            self.push(seat, kind, Some(word), access.value);
        }
        if killed {
            // What is unlocked from here on is by the kernel.
            if let Some(seat) = seat {
                self.push(seat, Kind::Killed, None, 0);
            }
            for (_, address) in unlocks {
                self.words.insert(*address, 0);
            }
        } else {
            self.unlock(own, &mut seat, unlocks, accesses.len());
        }
    }

    /// The locks that were given back after so many accesses.
    fn unlock(
        &mut self,
        own: Option<u8>,
        seat: &mut Option<u8>,
        unlocks: &[(usize, usize)],
        n: usize,
    ) {
        for (_, address) in unlocks.iter().filter(|(at, _)| *at == n) {
            let Some(lock) = self.lock_of(*address) else { continue };
            self.words.insert(*address, 0);
            if let Some(by) = *seat {
                self.push(by, Kind::Unlocked, None, u64::from(lock));
                if own.is_none() && lock == by {
                    *seat = None;
                }
            }
        }
    }

    fn push(&mut self, seat: u8, kind: Kind, word: Option<Word>, value: u64) {
        self.events.push(Event { seat, kind, word, value });
    }
}

fn setup() -> Setup {
    let (senders, receivers) = (SEATS, SEATS);
    Setup { capacity: CAPACITY, senders, receivers, batch: CAPACITY, ..PLAIN }
}

/// A ring whose every access is recorded.
struct Recorded {
    ring: Ring<Words>,
    recorder: Recorder,
    senders: [Option<Sender<Words>>; 2],
    receivers: [Option<Receiver<Words>>; 2],
}

impl Recorded {
    fn new() -> Self {
        quiet();
        let options = Ring::options().capacity(CAPACITY).seats(u64::from(SEATS));
        let options = options.spin(Duration::ZERO).yielding(Duration::ZERO);
        let (ring, made) = trace(|| options.slice(Duration::from_millis(1)).create_heap().unwrap());
        let (magic, _) = HEADER.iter().find(|(_, name)| *name == "magic").unwrap();
        let first = made.iter().find(|access| access.edge.starts_with("format::")).unwrap();
        let recorder = Recorder {
            base: first.address - magic,
            locks: 0,
            words: BTreeMap::new(),
            claims: BTreeMap::new(),
            events: Vec::new(),
        };
        let (senders, receivers) = ([None, None], [None, None]);
        let ring = ring.into();
        let mut this = Self { ring, recorder, senders, receivers };
        // The first who comes shows where the locks are: his is the first one outside.
        let (sender, came) = trace(|| this.ring.sender().unwrap());
        let outside = |access: &&Access| {
            access.op == Op::Exchange && this.recorder.word(access.address).is_none()
        };
        this.recorder.locks = came.iter().find(outside).unwrap().address;
        this.recorder.add(None, &came, &unlocks(), false);
        this.senders[0] = Some(sender);
        this
    }

    /// Does something as `own`, killed before access `k`.
    fn act<R>(&mut self, own: Option<u8>, k: u64, step: impl FnOnce() -> R) -> Option<R> {
        let (done, accesses) = trace(|| kill_before(k, step));
        let killed = done.is_none();
        self.recorder.add(own, &accesses, &unlocks(), killed);
        done
    }

    /// One step of a walk.
    fn step(&mut self, random: &mut Random) {
        let who = random.below(2) as usize;
        let k = if random.once_in(4) { 1 + random.below(16) } else { u64::MAX };
        let verb = random.below(8);
        if random.once_in(2) {
            let Some(mut sender) = self.senders[who].take() else {
                let ring = self.ring.clone();
                self.senders[who] = self.act(None, k, move || ring.sender().ok()).flatten();
                return;
            };
            let seat = Some(sender.seat() as u8);
            let send = SEND_VERBS[random.below(SEND_VERBS.len() as u64) as usize];
            self.senders[who] = self
                .act(seat, k, move || match verb {
                    0 => {
                        drop(sender);
                        None
                    }
                    1 => {
                        // Looks for the dead if it is full.
                        let _ = sender.send_timeout(words(0), Duration::from_millis(3));
                        Some(sender)
                    }
                    _ => {
                        // None that would wait.
                        let waits = matches!(send, SendVerb::Send | SendVerb::Many(_));
                        let _ = send.run(&mut sender, 0, if waits { 0 } else { usize::MAX });
                        Some(sender)
                    }
                })
                .flatten();
        } else {
            let Some(mut receiver) = self.receivers[who].take() else {
                let ring = self.ring.clone();
                self.receivers[who] = self.act(None, k, move || ring.receiver().ok()).flatten();
                return;
            };
            let seat = Some(receiver.seat() as u8);
            let recv = RECV_VERBS[random.below(RECV_VERBS.len() as u64) as usize];
            self.receivers[who] = self
                .act(seat, k, move || match verb {
                    0 => {
                        drop(receiver);
                        None
                    }
                    1 | 2 => {
                        // Finds what comes again.
                        let _ = receiver.recv_timeout(Duration::from_millis(3));
                        Some(receiver)
                    }
                    _ => {
                        let _ = recv.run(&mut receiver, |_| ());
                        Some(receiver)
                    }
                })
                .flatten();
        }
    }
}

/// How much of a record the model has words for: up to where a receiver gets what a dead one
/// left. In the model he delivers it at once and goes on with the seat; the shipped one may
/// leave it for later, as the model's senders do, and begins anew after each message.
fn modelled(record: &[Event]) -> usize {
    let estate = |event: &Event| {
        event.seat >= SEATS
            && matches!(event.word, Some(Word::Slot(_)))
            && matches!(event.kind, Kind::Won | Kind::Load)
            && matches!(Slot::of(event.value), Slot::Recl(..))
    };
    // Who comes to a seat in which something was left may become its heir.
    let heir = |event: &Event| {
        let own = event.word == Some(Word::State(event.seat));
        event.seat >= SEATS && own && event.kind == Kind::Load && event.value & 0xff == 2
    };
    let end = record.iter().position(heir).unwrap_or(record.len());
    let record = &record[..end];
    let Some(n) = record.iter().position(estate) else { return end };
    match record[n + 1..].iter().position(|event| event.seat == record[n].seat) {
        Some(next) if record[n + 1 + next].kind == Kind::Store => n + 2 + next,
        _ => n,
    }
}

/// A walk of so many steps, as it was recorded.
fn walk(seed: u64, steps: u64) -> Vec<Event> {
    let (mut recorded, mut random) = (Recorded::new(), Random::new(seed));
    for _ in 0..steps {
        recorded.step(&mut random);
    }
    std::mem::take(&mut recorded.recorder.events)
}

#[test]
fn what_the_code_does_is_a_path_of_the_model() {
    let (mut events, mut kills, mut estates) = (0, 0, 0);
    for seed in 0..400 {
        let mut record = walk(seed, 60);
        record.truncate(modelled(&record));
        if let Err(divergence) = replay(&setup(), &record) {
            let from = divergence.at.saturating_sub(30);
            let before: Vec<_> =
                record[from..=divergence.at].iter().map(|event| format!("{event:?}")).collect();
            panic!("seed {seed}: {divergence}\n{}", before.join("\n"));
        }
        events += record.len();
        kills += record.iter().filter(|event| event.kind == Kind::Killed).count();
        let again = |event: &&Event| {
            event.kind == Kind::Won
                && matches!(event.word, Some(Word::Slot(_)))
                && matches!(Slot::of(event.value), Slot::Recl(..))
        };
        estates += record.iter().filter(again).count();
    }
    println!("{events} events, {kills} kills, {estates} estates");
    assert!(events > 20_000 && kills > 500 && estates > 10);
}

#[test]
fn a_store_that_the_code_does_not_make_is_no_path_of_the_model() {
    // A claim that is lost on its way to memory.
    let mut recorded = Recorded::new();
    let mut sender = recorded.senders[0].take().unwrap();
    let lost = |edge: &'static str, _: usize, value: u64| (edge != "claim::NOTE").then_some(value);
    recorded.recorder.claims.insert(0, 1);
    recorded.act(Some(0), u64::MAX, || {
        forge(Box::new(lost), || sender.try_send(Words::default()).unwrap());
    });
    let divergence = replay(&setup(), &recorded.recorder.events).expect_err("no claim");
    assert_eq!(divergence.event.word, Some(Word::Tail), "{divergence}");
}
