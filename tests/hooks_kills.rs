//! Killed before any access to shared memory, in any verb: survivors and successors find
//! exactly what guarantee 2 says.

mod hooks;
mod oracles;
mod scale;
mod support;

use hooks::verb::{RECV_VERBS, SEND_VERBS};
use hooks::world::Kill;
use hooks::{RecvVerb, SendVerb, World};
use oracles::place::Place;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const CAPACITY: u64 = 4;

/// Where laps, seats and locks differ.
const PLACES: [Place; 2] = [Place::Heap, Place::Memfd];

/// A ring in which so many messages wait, after some laps, with both ends there.
fn world(place: Place, waiting: u64) -> World {
    let mut world = World::new(place, CAPACITY, 0);
    world.attach_sender(None);
    world.attach_receiver(None);
    for _ in 0..2 * CAPACITY + 1 {
        world.send(SendVerb::Try, None);
        world.recv(RecvVerb::Try, None);
    }
    for _ in 0..waiting {
        world.send(SendVerb::Try, None);
    }
    world
}

/// Does `step` with a kill before its first access, its second, and so on until it is
/// over, each time in a new world; then what the survivors do.
fn at_every_access(
    new: impl Fn(Place) -> World,
    mut step: impl FnMut(&mut World, Kill) -> bool,
    mut after: impl FnMut(&mut World),
) {
    for place in PLACES {
        for k in 1.. {
            let mut world = new(place);
            let lived = step(&mut world, Some(k));
            after(&mut world);
            world.finish();
            if lived {
                assert!(k > 1, "there was nothing to kill");
                break;
            }
        }
    }
}

#[test]
fn a_sender_killed_anywhere_in_a_verb_commits_each_message_whole_or_not() {
    for verb in SEND_VERBS {
        for waiting in 0..=CAPACITY {
            let (new, step) = (|place| world(place, waiting), |w: &mut World, k| w.send(verb, k));
            at_every_access(new, step, |_| {});
            // The receiver notices, drains and is told.
            at_every_access(new, step, |world| {
                world.ask_receiver(None);
                while world.account.waiting() > 0 {
                    world.recv(RecvVerb::Try, None);
                }
                world.recv(RecvVerb::Try, None);
            });
        }
    }
}

#[test]
fn a_receiver_killed_anywhere_in_a_verb_leaves_what_it_did_not_retire() {
    for verb in RECV_VERBS {
        for waiting in 0..=CAPACITY {
            let (new, step) = (|place| world(place, waiting), |w: &mut World, k| w.recv(verb, k));
            at_every_access(new, step, |_| {});
            // The sender notices, fills the ring and is told.
            at_every_access(new, step, |world| {
                world.ask_sender(None);
                for _ in 0..=CAPACITY {
                    world.send(SendVerb::Try, None);
                }
            });
        }
    }
}

#[test]
fn a_receiver_killed_after_it_forgot_a_guard_leaves_it_in_doubt_until_settled() {
    for verb in RECV_VERBS {
        for waiting in 1..=CAPACITY {
            let new = |place| {
                let mut world = world(place, waiting);
                world.recv(RecvVerb::Forget, None);
                world
            };
            at_every_access(new, |world, k| world.recv(verb, k), |_| {});
        }
    }
}

#[test]
fn whoever_is_killed_while_coming_leaves_the_seat_to_the_next() {
    for waiting in 0..=CAPACITY {
        let new = |place| {
            let mut world = world(place, waiting);
            world.leave_sender(None);
            world
        };
        at_every_access(new, World::attach_sender, |_| {});
        at_every_access(new, World::attach_sender, |world| {
            world.ask_receiver(None);
            world.recv(RecvVerb::Try, None);
        });
        let new = |place| {
            let mut world = world(place, waiting);
            world.leave_receiver(None);
            world
        };
        at_every_access(new, World::attach_receiver, |_| {});
        at_every_access(new, World::attach_receiver, |world| {
            world.ask_sender(None);
            world.send(SendVerb::Try, None);
        });
    }
}

#[test]
fn whoever_is_killed_while_leaving_has_left_or_died() {
    for waiting in 0..=CAPACITY {
        let new = |place| world(place, waiting);
        at_every_access(new, World::leave_sender, |_| {});
        at_every_access(new, World::leave_receiver, |_| {});
        let new = |place| {
            let mut world = world(place, waiting);
            world.recv(RecvVerb::Forget, None);
            world
        };
        at_every_access(new, World::leave_receiver, |_| {});
    }
}

/// A ring whose receiver was killed with a message exposed.
fn in_doubt(place: Place, waiting: u64) -> World {
    let mut world = world(place, waiting);
    // Killed in the release, the application having read the message.
    assert!(!world.recv(RecvVerb::Guard, Some(4)));
    assert_eq!(world.account.in_doubt, world.account.head + 1);
    world
}

#[test]
fn a_message_in_doubt_stays_marked_whatever_happens_to_the_next_receivers() {
    for waiting in 1..=CAPACITY {
        let new = |place| in_doubt(place, waiting);
        let taken = |place| {
            let mut world = in_doubt(place, waiting);
            world.attach_receiver(None);
            world
        };
        at_every_access(new, World::attach_receiver, |_| {});
        at_every_access(taken, World::leave_receiver, |_| {});
        at_every_access(taken, World::ask_receiver, |_| {});
        for verb in RECV_VERBS {
            at_every_access(taken, |world, k| world.recv(verb, k), |_| {});
        }
    }
}

#[test]
fn a_message_in_doubt_stays_marked_when_the_next_receiver_leaves_without_it() {
    for place in PLACES {
        let mut world = in_doubt(place, 2);
        world.attach_receiver(None);
        world.leave_receiver(None);
        // Looks at the marks of all that wait.
        world.attach_receiver(None);
        world.finish();
    }
}

#[test]
fn whoever_is_killed_while_noticing_a_death_leaves_it_to_be_noticed() {
    let new = |place| {
        let mut world = world(place, 2);
        assert!(!world.send(SendVerb::Try, Some(1)));
        world
    };
    at_every_access(new, World::ask_receiver, |_| {});
    let new = |place| in_doubt(place, 2);
    at_every_access(new, World::ask_sender, |_| {});
}

/// One step of a walk, and where it is killed.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send(SendVerb, Kill),
    Recv(RecvVerb, Kill),
    TurnSender(Kill),
    TurnReceiver(Kill),
    AskSender(Kill),
    AskReceiver(Kill),
}

fn step() -> impl Strategy<Value = Step> {
    let kill = || prop_oneof![3 => Just(None), 1 => (1..12u64).prop_map(Some)];
    let sends = prop::sample::select(SEND_VERBS.as_slice());
    let recvs = prop::sample::select(RECV_VERBS.as_slice());
    prop_oneof![
        4 => (sends, kill()).prop_map(|(verb, kill)| Step::Send(verb, kill)),
        4 => (recvs, kill()).prop_map(|(verb, kill)| Step::Recv(verb, kill)),
        2 => kill().prop_map(Step::TurnSender),
        2 => kill().prop_map(Step::TurnReceiver),
        1 => kill().prop_map(Step::AskSender),
        1 => kill().prop_map(Step::AskReceiver),
    ]
}

fn walk(world: &mut World, step: Step) {
    match (step, world.has_sender(), world.has_receiver()) {
        (Step::Send(verb, kill), true, _) => world.send(verb, kill),
        (Step::AskSender(kill), true, _) => world.ask_sender(kill),
        (Step::TurnSender(kill), true, _) => world.leave_sender(kill),
        (Step::Send(..) | Step::AskSender(_) | Step::TurnSender(_), false, _) => {
            let kill = if let Step::TurnSender(kill) = step { kill } else { None };
            world.attach_sender(kill)
        }
        (Step::Recv(verb, kill), _, true) => world.recv(verb, kill),
        (Step::AskReceiver(kill), _, true) => world.ask_receiver(kill),
        (Step::TurnReceiver(kill), _, true) => world.leave_receiver(kill),
        (Step::Recv(..) | Step::AskReceiver(_) | Step::TurnReceiver(_), _, false) => {
            let kill = if let Step::TurnReceiver(kill) = step { kill } else { None };
            world.attach_receiver(kill)
        }
    };
}

#[test]
fn any_number_of_kills_in_any_order_leaves_an_exact_account() {
    let cases = u32::try_from(scale::scaled(600)).unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let place = prop::sample::select(PLACES.as_slice());
    let start = prop_oneof![Just(0), (1u64 << 32) - 20..(1 << 32), Just((1 << 61) - 7)];
    let capacity = (0..=3u32).prop_map(|log| 1u64 << log);
    let walks = (place, capacity, start, prop::collection::vec(step(), 1..50));
    TestRunner::new(config)
        .run(&walks, |(place, capacity, start, steps)| {
            let mut world = World::new(place, capacity, start);
            for step in steps {
                walk(&mut world, step);
            }
            world.finish();
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
