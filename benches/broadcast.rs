//! The broadcast there and back against the bare cache line, and lossless against overwriting,
//! with one receiver and more, from as many processes as take part.
//!
//! Subjects take turns within each round, so that all see the same machine; figures are
//! medians of short samples with their tenth and ninetieth percentile, ratios are taken round
//! by round. Every message is checked.
//!
//! `cargo bench --bench broadcast [-- ROUNDS]`
#![allow(missing_docs)]

mod crowd;

use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;

use annulus::TryRecvError;
use annulus::broadcast::{Receiver, Ring, Sender};
use crowd::{Crowd, FREE, Member, insist, memory, shown};

const CAPACITY: u64 = 1024;
/// Messages in a sample.
const MESSAGES: u64 = 100_000;
/// There and back in a sample.
const TURNS: u64 = 5_000;

const RAW_TRIP: u64 = 0;
const TRIP: u64 = 1;
const OVERWRITE: u64 = 2;
const LOSSLESS: u64 = 3;

fn open(member: &Member, index: usize) -> Ring<u64> {
    Ring::from_fd(member.fds[index].try_clone().expect("a descriptor")).expect("a ring")
}

/// The next message; what was overwritten is counted.
fn next(receiver: &mut Receiver<u64>, missed: &mut u64) -> u64 {
    insist(|| match receiver.try_recv() {
        Ok(message) => Some(message),
        Err(TryRecvError::Lagged(n)) => {
            *missed += n;
            None
        }
        Err(TryRecvError::Empty) => None,
        Err(other) => panic!("{other}"),
    })
}

fn send(sender: &mut Sender<u64>, message: u64) {
    insist(|| sender.try_send(message).ok());
}

fn member(me: Member) -> ! {
    let (there, back) = (me.shared.word(FREE), me.shared.word(FREE + 16));
    let rings: Vec<_> = (1..5).map(|index| open(&me, index)).collect();
    let mut trips = 0;
    if me.number == 0 {
        let mut senders: Vec<_> = [0, 2, 3].map(|n| rings[n].sender().expect("a seat")).into();
        let mut answers = rings[1].receiver().expect("a seat");
        me.serve(move |subject, count| {
            match subject {
                RAW_TRIP => (0..count).for_each(|_| {
                    trips += 1;
                    there.store(trips, Ordering::Release);
                    insist(|| (back.load(Ordering::Acquire) == trips).then_some(()));
                }),
                TRIP => (0..count).for_each(|n| {
                    send(&mut senders[0], n);
                    assert_eq!(next(&mut answers, &mut 0), n);
                }),
                OVERWRITE => (0..count).for_each(|n| send(&mut senders[1], n)),
                _ => (0..count).for_each(|n| send(&mut senders[2], n)),
            }
            0
        });
    }
    let first = me.number == 1;
    let mut questions = rings[0].receiver().expect("a seat");
    let mut answers = first.then(|| rings[1].sender().expect("a seat"));
    let mut streams = [2, 3].map(|n| rings[n].receiver().expect("a seat"));
    me.serve(move |subject, count| {
        match (subject, &mut answers) {
            (RAW_TRIP, Some(_)) => (0..count).for_each(|_| {
                trips += 1;
                insist(|| (there.load(Ordering::Acquire) == trips).then_some(()));
                back.store(trips, Ordering::Release);
            }),
            (TRIP, Some(answers)) => (0..count).for_each(|n| {
                assert_eq!(next(&mut questions, &mut 0), n);
                send(answers, n);
            }),
            (RAW_TRIP | TRIP, None) => {}
            _ => {
                let stream = &mut streams[usize::from(subject == LOSSLESS)];
                let (mut at, mut missed) = (0, 0);
                while at < count {
                    let message = next(stream, &mut missed);
                    at += std::mem::take(&mut missed);
                    assert_eq!(message, at, "in order, and what is missing was told");
                    at += 1;
                }
                assert_eq!(at, count);
            }
        }
        0
    })
}

fn main() {
    if let Some(member_of) = Member::enter() {
        member(member_of);
    }
    let rounds = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(100);
    println!(
        "median (p10..p90) of {rounds} rounds; x: ratio of time within a round\n\
         | receivers | there and back, ns | bare line, ns | x line | overwriting, ns a message | lossless, ns a message | x overwriting |\n\
         |---|---|---|---|---|---|---|"
    );
    for receivers in [1, 2, 4] {
        let memory = memory();
        let ring = |lossless| {
            let options = Ring::<u64>::options().capacity(CAPACITY).seats(8).lossless(lossless);
            options.create_memfd("broadcast").expect("a ring")
        };
        let rings = [ring(false), ring(false), ring(false), ring(true)];
        let mut fds = vec![memory.as_raw_fd()];
        fds.extend(rings.iter().map(|ring| ring.segment_fd().expect("a memfd").as_raw_fd()));
        let mut crowd = Crowd::start(1 + receivers, "", &fds);
        let mut nanos: Vec<Vec<f64>> = vec![Vec::new(); 4];
        for round in 0..rounds + 3 {
            for subject in 0..4 {
                // Whoever is first in a round is another each time.
                let subject = (subject + round) % 4;
                let count = if subject <= TRIP { TURNS } else { MESSAGES };
                let sample = crowd.sample(subject, count);
                if round >= 3 {
                    nanos[subject as usize].push(sample.nanos / count as f64);
                }
            }
        }
        let of = |subject: u64| nanos[subject as usize].clone();
        let ratio = |one: u64, other: u64| {
            of(one).iter().zip(of(other)).map(|(one, other)| one / other).collect::<Vec<_>>()
        };
        println!(
            "| {receivers} | {} | {} | {} | {} | {} | {} |",
            shown(of(TRIP), 0),
            shown(of(RAW_TRIP), 0),
            shown(ratio(TRIP, RAW_TRIP), 2),
            shown(of(OVERWRITE), 1),
            shown(of(LOSSLESS), 1),
            shown(ratio(LOSSLESS, OVERWRITE), 2),
        );
    }
}
