//! The mpmc ring against the plain queue that it is made from (Vyukov's, without claims or
//! recovery), and against a pipe, from as many processes as take part: one sender and one
//! receiver up to four of each, one by one and in batches of 32.
//!
//! Subjects take turns within each round, so that all see the same machine; figures are
//! medians of short samples with their tenth and ninetieth percentile, ratios are taken round
//! by round. The limit is a shared counter that every process adds to, once for each message
//! that it sends or receives. Every message is checked by the sum of all.
//!
//! `cargo bench --bench mpmc [-- ROUNDS]`
#![allow(missing_docs)]

mod crowd;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use annulus::mpmc::Ring;
use crowd::{Crowd, FREE, Member, Shared, insist, memory, now, shown};

const CAPACITY: u64 = 1024;
const BATCH: usize = 32;
/// Messages in a sample, all senders together.
const MESSAGES: u64 = 40_000;

const VYUKOV: u64 = 0;
const RING: u64 = 1;
const ADD: u64 = 2;
const RING_BATCH: u64 = 3;
const PIPE: u64 = 4;
const LATE_VYUKOV: u64 = 5;
const LATE_RING: u64 = 6;

/// Words of the queue: tail, head, slots of 16 bytes.
const TAIL: usize = FREE;
const HEAD: usize = FREE + 16;
const COUNTER: usize = FREE + 32;
const SLOTS: usize = FREE + 64;
/// Where receivers note how long messages were under way.
const LATENCIES: usize = SLOTS + 2 * CAPACITY as usize + 64;
const LATENCY_COUNT: usize = 4000;

/// Vyukov's bounded queue, in shared memory, of words.
#[derive(Clone, Copy)]
struct Vyukov(Shared);

impl Vyukov {
    fn slot(self, position: u64) -> (&'static AtomicU64, &'static AtomicU64) {
        let at = SLOTS + 2 * (position & (CAPACITY - 1)) as usize;
        (self.0.word(at), self.0.word(at + 1))
    }

    fn make(self) {
        for position in 0..CAPACITY {
            self.slot(position).0.store(position, Ordering::Relaxed);
        }
    }

    #[inline(always)]
    fn take(self, counter: usize, ready: u64) -> Option<u64> {
        let counter = self.0.word(counter);
        loop {
            let position = counter.load(Ordering::Relaxed);
            let stamp = self.slot(position).0.load(Ordering::Acquire);
            match stamp.wrapping_sub(position + ready) as i64 {
                0 => {
                    let next = position + 1;
                    let (done, other) = (Ordering::AcqRel, Ordering::Relaxed);
                    if counter.compare_exchange(position, next, done, other).is_ok() {
                        return Some(position);
                    }
                }
                ..0 => return None,
                _ => {}
            }
        }
    }

    #[inline(always)]
    fn send(self, message: u64) -> bool {
        let Some(position) = self.take(TAIL, 0) else { return false };
        let (stamp, slot) = self.slot(position);
        slot.store(message, Ordering::Relaxed);
        stamp.store(position + 1, Ordering::Release);
        true
    }

    #[inline(always)]
    fn recv(self) -> Option<u64> {
        let position = self.take(HEAD, 1)?;
        let (stamp, slot) = self.slot(position);
        let message = slot.load(Ordering::Relaxed);
        stamp.store(position + CAPACITY, Ordering::Release);
        Some(message)
    }
}

/// How many of `total` are this one's of `count`.
fn share(total: u64, number: usize, count: usize) -> u64 {
    let count = count as u64;
    total / count + u64::from((number as u64) < total % count)
}

fn member(me: Member) -> ! {
    let (senders, receivers) = me.config.split_once('x').expect("two numbers");
    let (senders, receivers): (usize, usize) =
        (senders.parse().expect("a number"), receivers.parse().expect("a number"));
    let own = |n: usize| me.fds[n].try_clone().expect("a descriptor");
    let ring = Ring::<u64>::from_fd(own(1)).expect("the ring");
    let (shared, vyukov) = (me.shared, Vyukov(me.shared));
    let counter = shared.word(COUNTER);
    let add = move |count: u64| {
        for _ in 0..count {
            counter.fetch_add(1, Ordering::AcqRel);
        }
        0
    };
    if me.number < senders {
        let number = me.number;
        let (mut sender, mut pipe) = (ring.sender().expect("a seat"), File::from(own(3)));
        me.serve(move |subject, total| {
            let count = share(total, number, senders);
            let mut batch = [0; BATCH];
            let mut sum = 0_u64;
            let mut next = |message: u64| {
                sum = sum.wrapping_add(message);
                message
            };
            match subject {
                VYUKOV => (1..=count).for_each(|n| {
                    let message = next(n);
                    insist(|| vyukov.send(message).then_some(()));
                }),
                RING => (1..=count).for_each(|n| {
                    let message = next(n);
                    insist(|| sender.try_send(message).ok());
                }),
                RING_BATCH => {
                    let mut n = 0;
                    while n < count {
                        let len = BATCH.min((count - n) as usize);
                        (1..=len).for_each(|i| batch[i - 1] = next(n + i as u64));
                        let mut sent = 0;
                        while sent < len {
                            sent += insist(|| sender.try_send_many(&batch[sent..len]).ok());
                        }
                        n += len as u64;
                    }
                }
                PIPE => (1..=count).for_each(|n| {
                    pipe.write_all(&next(n).to_le_bytes()).expect("a pipe");
                }),
                LATE_VYUKOV | LATE_RING => {
                    for _ in 0..count {
                        let due = now() + 3_000;
                        while now() < due {
                            std::hint::spin_loop();
                        }
                        insist(|| match subject {
                            LATE_VYUKOV => vyukov.send(now()).then_some(()),
                            _ => sender.try_send(now()).ok(),
                        });
                    }
                }
                _ => return add(count),
            }
            sum
        });
    }
    let number = me.number - senders;
    let (mut receiver, mut pipe) = (ring.receiver().expect("a seat"), File::from(own(2)));
    me.serve(move |subject, total| {
        let count = share(total, number, receivers);
        let mut sum = 0_u64;
        let mut batch = [0; BATCH];
        match subject {
            VYUKOV => (0..count).for_each(|_| sum = sum.wrapping_sub(insist(|| vyukov.recv()))),
            RING => {
                (0..count).for_each(|_| sum = sum.wrapping_sub(insist(|| receiver.try_recv().ok())))
            }
            RING_BATCH => {
                let mut got = 0;
                while got < count {
                    let len = BATCH.min((count - got) as usize);
                    let more = insist(|| receiver.try_recv_many(&mut batch[..len]).ok());
                    batch[..more].iter().for_each(|message| sum = sum.wrapping_sub(*message));
                    got += more as u64;
                }
            }
            PIPE => {
                let mut word = [0; 8];
                for _ in 0..count {
                    pipe.read_exact(&mut word).expect("a pipe");
                    sum = sum.wrapping_sub(u64::from_le_bytes(word));
                }
            }
            LATE_VYUKOV | LATE_RING => {
                for n in 0..count as usize {
                    let sent = insist(|| match subject {
                        LATE_VYUKOV => vyukov.recv(),
                        _ => receiver.try_recv().ok(),
                    });
                    let late = now().saturating_sub(sent);
                    shared.word(LATENCIES + n % LATENCY_COUNT).store(late, Ordering::Relaxed);
                }
            }
            _ => return add(count),
        }
        sum
    })
}

fn start(senders: usize, receivers: usize) -> Crowd {
    let memory = memory();
    let options = Ring::<u64>::options().capacity(CAPACITY).seats(8);
    let ring = options.create_memfd("mpmc").expect("a ring");
    let (read, write) = nix::unistd::pipe().expect("a pipe");
    let ring = ring.segment_fd().expect("a memfd").as_raw_fd();
    let fds = [memory.as_raw_fd(), ring, read.as_raw_fd(), write.as_raw_fd()];
    // Before anybody looks.
    let made = Crowd::start(0, "", &fds[..1]);
    Vyukov(made.shared).make();
    Crowd::start(senders + receivers, &format!("{senders}x{receivers}"), &fds)
}

fn main() {
    if let Some(member_of) = Member::enter() {
        member(member_of);
    }
    let rounds = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(200);
    println!(
        "ns a message, median (p10..p90) of {rounds} rounds; x: ratio of time within a round\n\
         | s x r | ring | plain Vyukov | x Vyukov | shared add | x add | batches of 32 | single / batch | pipe | x pipe |\n\
         |---|---|---|---|---|---|---|---|---|---|"
    );
    for (senders, receivers) in [(1, 1), (2, 1), (1, 2), (2, 2), (4, 4)] {
        let mut crowd = start(senders, receivers);
        let mut nanos: Vec<Vec<f64>> = vec![Vec::new(); 5];
        for round in 0..rounds + 3 {
            for subject in 0..5 {
                // Whoever is first in a round is another each time.
                let subject = (subject + round) % 5;
                let count = if subject == PIPE { MESSAGES / 8 } else { MESSAGES };
                // A pipe read by several may cut a word in two.
                if subject == PIPE && receivers > 1 {
                    continue;
                }
                let sample = crowd.sample(subject, count);
                assert_eq!(sample.checksum, 0, "what was received is what was sent");
                if round >= 3 {
                    nanos[subject as usize].push(sample.nanos / count as f64);
                }
            }
        }
        let of = |subject: u64| nanos[subject as usize].clone();
        let ratio = |one: u64, other: u64| {
            of(one).iter().zip(of(other)).map(|(one, other)| one / other).collect::<Vec<_>>()
        };
        let piped = |text: String| if receivers > 1 { "-".to_owned() } else { text };
        let pipe = if receivers > 1 { vec![0.0] } else { of(PIPE) };
        let beside = if receivers > 1 { vec![0.0] } else { ratio(RING, PIPE) };
        println!(
            "| {senders} x {receivers} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            shown(of(RING), 1),
            shown(of(VYUKOV), 1),
            shown(ratio(RING, VYUKOV), 2),
            shown(of(ADD), 1),
            shown(ratio(RING, ADD), 2),
            shown(of(RING_BATCH), 1),
            shown(ratio(RING, RING_BATCH), 1),
            piped(shown(pipe, 0)),
            piped(shown(beside, 3)),
        );
    }
    tails(rounds);
}

/// How long single messages are under way, one every 3 us.
fn tails(rounds: u64) {
    let mut crowd = start(1, 1);
    let mut late = [Vec::new(), Vec::new()];
    for _ in 0..rounds.div_ceil(4) {
        for (subject, late) in [LATE_VYUKOV, LATE_RING].into_iter().zip(&mut late) {
            crowd.sample(subject, LATENCY_COUNT as u64);
            let word = |n| crowd.shared.word(LATENCIES + n).load(Ordering::Relaxed);
            late.extend((0..LATENCY_COUNT).map(word));
        }
    }
    println!(
        "\n| ns under way, 1 x 1 | p50 | p90 | p99 | p99.9 | max |\n|---|---|---|---|---|---|"
    );
    for (name, late) in ["plain Vyukov", "ring"].into_iter().zip(&mut late) {
        late.sort_unstable();
        let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
        let [a, b, c, d, e] = [0.5, 0.9, 0.99, 0.999, 1.0].map(at);
        println!("| {name} | {a} | {b} | {c} | {d} | {e} |");
    }
}
