//! Killed before any access to shared memory, in any verb of a stream: the survivor gets a
//! whole prefix of what was committed, then is told; nobody comes after the dead.

mod scale;
mod stream_worlds;
mod streams;
mod support;

use std::cell::Cell;
use std::io::{Read, Seek};

use annulus::{SeatState, SendError};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use stream_worlds::verb::{RECV_VERBS, SEND_VERBS};
use stream_worlds::{Kill, RecvVerb, SendVerb, World};
use streams::site::Place;

/// Where seats and locks differ.
const PLACES: [Place; 2] = [Place::Heap, Place::Memfd];

/// Each capacity with how full it is, all levels or those near the edges.
fn levels() -> impl Iterator<Item = (u64, u64)> {
    let all = [8, 16].into_iter().flat_map(|capacity| (0..=capacity).map(move |n| (capacity, n)));
    all.chain([0, 1, 31, 32, 33, 63, 64].map(|waiting| (64, waiting)))
}

/// A stream in which so many bytes wait, after some laps that end at an odd place, with
/// both ends there.
fn world(place: Place, (capacity, waiting): (u64, u64)) -> World {
    let mut world = World::new(place, capacity);
    world.attach_sender(None);
    world.attach_receiver(None);
    for _ in 0..5 {
        world.send(SendVerb::Try(2), None);
        world.recv(RecvVerb::Try(2), None);
    }
    // To the byte.
    let mut sender = world.sender.take().unwrap();
    if waiting > 0 {
        sender.try_send(&streams::bytes(world.tail, waiting as usize)).unwrap();
        world.tail += waiting;
    }
    world.sender = Some(sender);
    assert_eq!(world.waiting(), waiting);
    world
}

thread_local! {
    static KILLS: Cell<u64> = const { Cell::new(0) };
}

/// Does `step` with a kill before its first access, its second, and so on until it is
/// over, each time in a new world; then what the survivor does.
fn at_every_access(
    new: impl Fn(Place) -> World,
    mut step: impl FnMut(&mut World, Kill) -> u64,
    mut after: impl FnMut(&mut World),
) {
    for place in PLACES {
        for k in 1.. {
            let mut world = new(place);
            let accesses = step(&mut world, Some(k));
            after(&mut world);
            world.finish();
            if accesses < k {
                break;
            }
            KILLS.set(KILLS.get() + 1);
        }
    }
}

/// Runs a step and says how many accesses it made, the one it was killed before included.
fn counted(step: impl FnOnce()) -> u64 {
    annulus::hooks::count(step).1
}

fn send(verb: SendVerb) -> impl FnMut(&mut World, Kill) -> u64 {
    move |world, kill| killed_at(kill, |kill| _ = world.send(verb, kill))
}

fn recv(verb: RecvVerb) -> impl FnMut(&mut World, Kill) -> u64 {
    move |world, kill| killed_at(kill, |kill| _ = world.recv(verb, kill))
}

/// The count stands at the kill, since a dead one makes no accesses, or at the verb's last.
fn killed_at(kill: Kill, step: impl FnOnce(Kill)) -> u64 {
    counted(|| step(kill))
}

fn report(test: &str) {
    println!("{test}: {} kills", KILLS.take());
}

#[test]
fn a_streams_sender_killed_anywhere_in_a_verb_leaves_a_whole_prefix_and_is_told_of() {
    for verb in SEND_VERBS {
        for level in levels() {
            let new = |place| world(place, level);
            at_every_access(new, send(verb), |_| {});
            // The receiver notices first, and reads then.
            at_every_access(new, send(verb), |world| {
                world.recv(RecvVerb::Peer, None);
                world.recv(RecvVerb::Try(1), None);
                world.recv(RecvVerb::Half, None);
            });
            // It drains and finds nothing, and notices then.
            at_every_access(new, send(verb), |world| {
                while world.waiting() > 0 {
                    world.recv(RecvVerb::Try(2), None);
                }
                world.recv(RecvVerb::Try(1), None);
                world.recv(RecvVerb::Peer, None);
            });
        }
    }
    report("senders");
}

#[test]
fn a_streams_receiver_killed_anywhere_in_a_verb_is_told_of_and_has_no_successor() {
    for verb in RECV_VERBS {
        for level in levels() {
            let new = |place| world(place, level);
            at_every_access(new, recv(verb), |_| {});
            at_every_access(new, recv(verb), |world| {
                world.send(SendVerb::Peer, None);
                world.send(SendVerb::Try(1), None);
                world.send(SendVerb::Append, None);
            });
            // The sender fills it, and notices then.
            at_every_access(new, recv(verb), |world| {
                world.send(SendVerb::Try(12), None);
                world.send(SendVerb::Try(12), None);
                world.send(SendVerb::Peer, None);
                world.send(SendVerb::Received, None);
            });
        }
    }
    report("receivers");
}

#[test]
fn whoever_is_killed_while_coming_to_a_stream_has_come_or_not() {
    let sender_comes =
        |world: &mut World, kill| killed_at(kill, |kill| _ = world.attach_sender(kill));
    let receiver_comes =
        |world: &mut World, kill| killed_at(kill, |kill| _ = world.attach_receiver(kill));
    for capacity in [8, 64] {
        let empty = |place| World::new(place, capacity);
        at_every_access(empty, sender_comes, |_| {});
        at_every_access(empty, receiver_comes, |_| {});
        let one_there = |place| {
            let mut world = World::new(place, capacity);
            world.attach_receiver(None);
            world
        };
        at_every_access(one_there, sender_comes, |world| {
            world.recv(RecvVerb::Try(1), None);
            world.recv(RecvVerb::Peer, None);
        });
        let waits = |place| {
            let mut world = World::new(place, capacity);
            world.attach_sender(None);
            world.send(SendVerb::Try(3), None);
            world
        };
        at_every_access(waits, receiver_comes, |world| {
            world.send(SendVerb::Try(1), None);
            world.send(SendVerb::Peer, None);
        });
        // It came, received nothing, and died before there was a sender.
        let died_early = |place| {
            let mut world = World::new(place, capacity);
            world.attach_receiver(None);
            world.recv(RecvVerb::Try(1), Some(1));
            world
        };
        at_every_access(died_early, sender_comes, |_| {});
    }
    report("comers");
}

#[test]
fn a_survivor_killed_while_it_notices_a_death_leaves_a_stream_that_is_over() {
    for level in levels() {
        let died = |place| {
            let mut world = world(place, level);
            world.send(SendVerb::Try(2), Some(1));
            world
        };
        at_every_access(died, recv(RecvVerb::Peer), |_| {});
        let died = |place| {
            let mut world = world(place, level);
            world.recv(RecvVerb::Drop, Some(1));
            world
        };
        at_every_access(died, send(SendVerb::Peer), |_| {});
    }
    report("survivors");
}

#[test]
fn bytes_that_a_killed_drain_has_written_are_out_though_they_are_not_retired() {
    use annulus::hooks::{kill_before, trace};
    for place in PLACES {
        let drain = |world: &mut World, k| {
            let (mut file, mut receiver) =
                (tempfile::tempfile().unwrap(), world.receiver.take().unwrap());
            let sink = file.try_clone().unwrap();
            let run = move || kill_before(k, move || receiver.drain_to(&sink, 99).unwrap());
            let (done, accesses) = trace(run);
            let mut out = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut out).unwrap();
            (done, accesses, out)
        };
        let (done, accesses, out) = drain(&mut world(place, (16, 7)), u64::MAX);
        assert_eq!((done, out.len()), (Some(7), 7));
        let retire = accesses.iter().position(|access| access.edge == "retire::RELEASE").unwrap();
        let mut world = world(place, (16, 7));
        let (head, mut sender) = (world.head, world.sender.take().unwrap());
        let (done, _, out) = drain(&mut world, retire as u64 + 1);
        assert_eq!(done, None);
        streams::check(head, &out);
        assert_eq!(out.len(), 7);
        // For the sender they were never received.
        assert_eq!(sender.peer().unwrap(), SeatState::Died);
        assert_eq!(sender.wait_until_received(None), Err(SendError::Died(())));
        world.sender = Some(sender);
        world.recv_died();
        world.finish();
    }
}

/// One step of a walk, and where it is killed.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send(SendVerb, Kill),
    Recv(RecvVerb, Kill),
}

fn step() -> impl Strategy<Value = Step> {
    let kill = || prop_oneof![12 => Just(None), 1 => (1..30u64).prop_map(Some)];
    // Ends are rarer than they are many.
    let (sends, recvs) = (&SEND_VERBS[..10], &RECV_VERBS[..10]);
    prop_oneof![
        20 => (prop::sample::select(sends), kill()).prop_map(|(verb, kill)| Step::Send(verb, kill)),
        20 => (prop::sample::select(recvs), kill()).prop_map(|(verb, kill)| Step::Recv(verb, kill)),
        1 => prop::sample::select(&SEND_VERBS[10..]).prop_map(|verb| Step::Send(verb, None)),
        1 => prop::sample::select(&RECV_VERBS[10..]).prop_map(|verb| Step::Recv(verb, None)),
    ]
}

#[test]
fn a_kill_anywhere_in_any_program_of_a_stream_leaves_an_exact_account() {
    let cases = u32::try_from(scale::scaled(1500)).unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let place = prop::sample::select(PLACES.as_slice());
    let capacity = (3..=9u32).prop_map(|log| 1u64 << log);
    let walks = (place, capacity, prop::collection::vec(step(), 1..80));
    TestRunner::new(config)
        .run(&walks, |(place, capacity, steps)| {
            let mut world = World::new(place, capacity);
            world.attach_sender(None);
            world.attach_receiver(None);
            for step in steps {
                match step {
                    Step::Send(verb, kill) if world.sender.is_some() => world.send(verb, kill),
                    Step::Recv(verb, kill) if world.receiver.is_some() => world.recv(verb, kill),
                    _ => continue,
                };
            }
            world.finish();
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
