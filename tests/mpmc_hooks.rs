//! Killed before any access to shared memory, in any verb of the mpmc ring: survivors and
//! newcomers find exactly what guarantee 2 says, and the ring goes on.

mod mpmcs;
mod scale;
mod support;

use mpmcs::site::Place;
use mpmcs::verb::{RECV_VERBS, RecvVerb, SEND_VERBS, SendVerb};
use mpmcs::world::{Kill, World};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const CAPACITY: u64 = 4;
const FILLS: [u64; 4] = [0, 1, CAPACITY - 1, CAPACITY];

/// Who survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// One more of each side.
    Peers,
    /// Nobody of the dead one's side: a newcomer gets its seat.
    Heirs,
}

const OTHERS: [Others; 2] = [Others::Peers, Others::Heirs];

/// A ring in which so many messages wait, after some laps.
fn world(place: Place, others: Others, waiting: u64) -> World {
    let (seats, who) = if others == Others::Heirs { (1, (1, 1)) } else { (3, (2, 2)) };
    let mut world = World::new(place, CAPACITY, 0, seats, who);
    for _ in 0..2 * CAPACITY + 1 {
        world.send(0, SendVerb::Try, 1, None);
        world.recv(0, RecvVerb::Try, None);
    }
    for _ in 0..waiting {
        world.send(0, SendVerb::Try, 1, None);
    }
    world
}

/// Does `step` with a kill before its first access, its second, and so on until it is
/// over, each time in a new world; then what the survivors do.
fn at_every_access(
    new: impl Fn() -> World,
    mut step: impl FnMut(&mut World, Kill) -> bool,
    mut after: impl FnMut(&mut World),
) {
    for k in 1.. {
        let mut world = new();
        let lived = step(&mut world, Some(k));
        after(&mut world);
        world.finish();
        if lived {
            assert!(k > 1, "there was nothing to kill");
            break;
        }
    }
}

/// In all places, at all fills, whoever survives.
fn everywhere(mut each: impl FnMut(Place, Others, u64)) {
    for place in [Place::Heap, Place::Memfd] {
        for others in OTHERS {
            for waiting in FILLS {
                each(place, others, waiting);
            }
        }
    }
}

fn room(waiting: u64) -> usize {
    (CAPACITY - waiting) as usize
}

#[test]
fn a_sender_killed_anywhere_in_a_verb_leaves_messages_or_tombs() {
    everywhere(|place, others, waiting| {
        for verb in SEND_VERBS {
            let new = || world(place, others, waiting);
            at_every_access(new, |w, k| w.send(0, verb, room(waiting), k), |_| {});
        }
    });
}

#[test]
fn a_receiver_killed_anywhere_in_a_verb_leaves_what_it_did_not_retire() {
    everywhere(|place, others, waiting| {
        for verb in RECV_VERBS {
            let new = || world(place, others, waiting);
            at_every_access(new, |w, k| w.recv(0, verb, k), |_| {});
        }
    });
}

#[test]
fn what_was_forgotten_is_settled_by_whoever_survives() {
    everywhere(|place, others, waiting| {
        let forgot = || {
            let mut world = world(place, others, waiting);
            world.recv(0, RecvVerb::Forget, None);
            world.send(0, SendVerb::Forget, 1, None);
            world
        };
        for verb in RECV_VERBS {
            at_every_access(forgot, |w, k| w.recv(0, verb, k), |_| {});
        }
        for verb in [SendVerb::Try, SendVerb::TryMany(3), SendVerb::Forget] {
            at_every_access(forgot, |w, k| w.send(0, verb, usize::MAX, k), |_| {});
        }
        at_every_access(forgot, |w, k| w.leave_sender(0, k), |_| {});
        at_every_access(forgot, |w, k| w.leave_receiver(0, k), |_| {});
        at_every_access(forgot, |w, k| w.ask_sender(0, k), |_| {});
        at_every_access(forgot, |w, k| w.ask_receiver(0, k), |_| {});
    });
}

#[test]
fn who_is_killed_while_coming_or_leaving_leaves_a_seat_that_can_be_taken() {
    everywhere(|place, others, waiting| {
        let new = || world(place, others, waiting);
        at_every_access(new, |w, k| w.leave_sender(0, k), |_| {});
        at_every_access(new, |w, k| w.leave_receiver(0, k), |_| {});
        let left = || {
            let mut world = world(place, others, waiting);
            world.leave_sender(0, None);
            world.leave_receiver(0, None);
            world
        };
        at_every_access(left, |w, k| w.attach_sender(0, k), |_| {});
        at_every_access(left, |w, k| w.attach_receiver(0, k), |_| {});
    });
}

/// How far somebody was killed in a verb that makes the most of dying.
fn deaths(side: Side, others: Others) -> Vec<(SendVerb, RecvVerb, u64)> {
    let mut deaths = Vec::new();
    for (send, recv) in
        [(SendVerb::TryMany(3), RecvVerb::TryMany(3)), (SendVerb::Write, RecvVerb::Guard)]
    {
        for k in 1.. {
            let mut world = world(Place::Heap, others, 2);
            let lived = match side {
                Side::Sends => world.send(0, send, 2, Some(k)),
                Side::Receives => world.recv(0, recv, Some(k)),
            };
            if lived {
                break;
            }
            deaths.push((send, recv, k));
        }
    }
    deaths
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Sends,
    Receives,
}

/// A world in which one of a side has been killed.
fn dead(place: Place, others: Others, side: Side, death: (SendVerb, RecvVerb, u64)) -> World {
    let (send, recv, k) = death;
    let mut world = world(place, others, 2);
    let lived = match side {
        Side::Sends => world.send(0, send, 2, Some(k)),
        Side::Receives => world.recv(0, recv, Some(k)),
    };
    assert!(!lived);
    world
}

/// Every kill, and after it a kill before every access of what settles it.
fn settled_by(others: Others, side: Side, settle: impl Fn(&mut World, Kill) -> bool) {
    for death in deaths(side, others) {
        at_every_access(|| dead(Place::Heap, others, side, death), &settle, |_| {});
    }
}

#[test]
fn who_is_killed_while_settling_the_dead_leaves_it_to_the_next() {
    for side in [Side::Sends, Side::Receives] {
        settled_by(Others::Peers, side, |w, k| w.ask_sender(1, k));
        settled_by(Others::Peers, side, |w, k| w.ask_receiver(1, k));
    }
}

#[test]
fn who_takes_a_dead_ones_seat_and_is_killed_leaves_it_to_the_next() {
    settled_by(Others::Heirs, Side::Sends, |w, k| w.attach_sender(0, k));
    settled_by(Others::Heirs, Side::Receives, |w, k| w.attach_receiver(0, k));
}

/// A world in which the receiver has read a message and died under the guard.
fn estate(others: Others) -> World {
    let mut world = world(Place::Memfd, others, 2);
    world.recv(0, RecvVerb::Forget, None);
    assert!(!world.recv(0, RecvVerb::Try, Some(1)));
    world
}

#[test]
fn a_receiver_killed_anywhere_with_a_dead_ones_message_leaves_it_to_the_next_marked() {
    for verb in [RecvVerb::Wait(2_000), RecvVerb::WaitGuard(2_000)] {
        let alone = || {
            let mut world = estate(Others::Peers);
            // What waits is received first, so that the dead one's is what comes.
            world.recv(1, RecvVerb::Try, None);
            world
        };
        at_every_access(alone, |w, k| w.recv(1, verb, k), |_| {});
    }
}

#[test]
fn an_heir_killed_anywhere_leaves_its_estate_to_the_next_heir() {
    let heir = || {
        let mut world = estate(Others::Heirs);
        world.attach_receiver(0, None);
        world
    };
    for verb in RECV_VERBS {
        at_every_access(heir, |w, k| w.recv(0, verb, k), |_| {});
    }
    at_every_access(heir, |w, k| w.leave_receiver(0, k), |_| {});
    at_every_access(heir, |w, k| w.ask_receiver(0, k), |_| {});
    at_every_access(heir, |w, k| w.ask_sender(0, k), |_| {});
}

#[test]
fn both_sides_killed_at_once_leave_a_ring_that_goes_on() {
    for others in OTHERS {
        for send in deaths(Side::Sends, others) {
            let (_, recv, _) = send;
            let new = || dead(Place::Heap, others, Side::Sends, send);
            at_every_access(new, |w, k| w.recv(0, recv, k), |_| {});
        }
    }
}

/// One step of a walk, of participant so and so, and where it is killed.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send(usize, SendVerb, Kill),
    Recv(usize, RecvVerb, Kill),
    TurnSender(usize, Kill),
    TurnReceiver(usize, Kill),
    AskSender(usize, Kill),
    AskReceiver(usize, Kill),
}

fn step() -> impl Strategy<Value = Step> {
    let kill = || prop_oneof![3 => Just(None), 1 => (1..20u64).prop_map(Some)];
    let sends = prop::sample::select(SEND_VERBS.as_slice());
    let recvs = prop::sample::select(RECV_VERBS.as_slice());
    let who = || 0..2_usize;
    prop_oneof![
        4 => (who(), sends, kill()).prop_map(|(who, verb, kill)| Step::Send(who, verb, kill)),
        4 => (who(), recvs, kill()).prop_map(|(who, verb, kill)| Step::Recv(who, verb, kill)),
        2 => (who(), kill()).prop_map(|(who, kill)| Step::TurnSender(who, kill)),
        2 => (who(), kill()).prop_map(|(who, kill)| Step::TurnReceiver(who, kill)),
        1 => (who(), kill()).prop_map(|(who, kill)| Step::AskSender(who, kill)),
        1 => (who(), kill()).prop_map(|(who, kill)| Step::AskReceiver(who, kill)),
    ]
}

fn walk(world: &mut World, step: Step) {
    match step {
        Step::Send(who, verb, kill) if world.senders[who].is_some() => {
            // How much room there is is not known; none, for one that would wait.
            let waits = matches!(verb, SendVerb::Send | SendVerb::Many(_));
            world.send(who, verb, if waits { 0 } else { usize::MAX }, kill)
        }
        Step::AskSender(who, kill) if world.senders[who].is_some() => world.ask_sender(who, kill),
        Step::TurnSender(who, kill) if world.senders[who].is_some() => {
            world.leave_sender(who, kill)
        }
        Step::Send(who, _, kill) | Step::AskSender(who, kill) | Step::TurnSender(who, kill) => {
            world.attach_sender(who, kill)
        }
        Step::Recv(who, verb, kill) if world.receivers[who].is_some() => {
            world.recv(who, verb, kill)
        }
        Step::AskReceiver(who, kill) if world.receivers[who].is_some() => {
            world.ask_receiver(who, kill)
        }
        Step::TurnReceiver(who, kill) if world.receivers[who].is_some() => {
            world.leave_receiver(who, kill)
        }
        Step::Recv(who, _, kill) | Step::AskReceiver(who, kill) | Step::TurnReceiver(who, kill) => {
            world.attach_receiver(who, kill)
        }
    };
}

#[test]
fn any_number_of_kills_of_anybody_in_any_order_leaves_an_exact_account() {
    let cases = u32::try_from(scale::scaled(200)).unwrap();
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Default::default()
    };
    let place = prop::sample::select([Place::Heap, Place::Memfd].as_slice());
    let start = prop_oneof![Just(0), (1u64 << 52) - 20..(1 << 52), Just((1 << 61) - 7)];
    let capacity = (0..=3u32).prop_map(|log| 1u64 << log);
    let steps = prop::collection::vec(step(), 1..50);
    let walks = (place, capacity, start, 1..4u64, steps);
    TestRunner::new(config)
        .run(&walks, |(place, capacity, start, seats, steps)| {
            let both = if seats == 1 { 1 } else { 2 };
            let mut world = World::new(place, capacity, start, seats, (both, both));
            world.senders.resize_with(2, || None);
            world.receivers.resize_with(2, || None);
            for step in steps {
                walk(&mut world, step);
            }
            world.finish();
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
