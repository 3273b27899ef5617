//! 32-bit and 64-bit processes share rings: every kind, in every segment, both ways, asleep
//! and awake; each notices the other's death and takes its seat. `cargo xtask bits32` runs it.

mod mixed;
mod support;

use std::time::Duration;

use annulus::spsc::Ring;
use annulus::{Error, Observer, RecvError, SeatState, SendError, WaitMethod, WaitSet};
use annulus::{broadcast, mpmc, stream};
use mixed::{KINDS, Spot, Tick, Who, asleep, come, other, start};
use support::{Child, Family, Role};

support::roles! {
    sends, receives, succeeds_senders, succeeds_receivers, outlives_receivers, outlives_senders,
    holds, watches, looks, asks_for_semaphores,
}

/// Leaves a test out where there is one build alone.
macro_rules! with_other {
    () => {
        if other().is_none() {
            support::skip!("no other build of this test: `cargo xtask bits32` makes one");
        }
    };
}

const MANY: u64 = 3_000;
const SOME: u64 = 300;
const EITHER: [Who; 2] = [Who::Own, Who::Other];
/// How often one side is killed.
const KILLS: usize = 24;

/// Sends so many, and says how it ended.
fn sends(role: &mut Role) {
    let ring = come(role);
    let (mut send, sent) = (ring.sender(), role.counter("sent"));
    role.say("sits");
    role.expect("go");
    for n in 0..role.parse(4) {
        if let Err(error) = send(n) {
            return role.say(&error);
        }
        sent.add(1);
    }
    role.say("all");
}

/// Receives to the end; says that it is half-way when it is, and at last which end it was and
/// after which message.
fn receives(role: &mut Role) {
    let ring = come(role);
    let (mut receive, received) = (ring.receiver(), role.counter("received"));
    // A broadcast overruns the slow.
    let (lossy, half) = (role.argument(0) == "broadcast", role.parse(4));
    role.say("sits");
    role.expect("go");
    let mut next = 0;
    loop {
        match receive() {
            Ok(n) if n == next || lossy && n > next => next = n + 1,
            Ok(n) => panic!("{n} comes instead of {next}"),
            Err(error) if error == "Lagged" && lossy => continue,
            Err(error) => return role.say(&format!("{error} after {next}")),
        }
        if next == half {
            role.say("half-way");
        }
        received.add(1);
    }
}

/// Two children of two widths share a ring; the first is the maker.
fn pair<'a>(
    family: &'a Family,
    (kind, spot): (&str, &Spot),
    (maker, sender): (Who, Who),
    (manner, count, half): (&str, u64, u64),
) -> (Child<'a>, Child<'a>) {
    let (count, half, mut made) = (count.to_string(), half.to_string(), None);
    let (to_send, to_receive) = ([manner, &count], [manner, &half]);
    let (what, receiver) = ((kind, spot), sender.other());
    let (mut sending, mut receiving);
    if maker == sender {
        sending = start((family, sender, sends), what, &mut made, &to_send);
        receiving = start((family, receiver, receives), what, &mut made, &to_receive);
    } else {
        receiving = start((family, receiver, receives), what, &mut made, &to_receive);
        sending = start((family, sender, sends), what, &mut made, &to_send);
    }
    for child in [&mut receiving, &mut sending] {
        // The watchdogs see to it that they come on, if slowly.
        child.set_deadline(Duration::from_secs(300));
        child.expect("sits");
        child.say("go");
    }
    (sending, receiving)
}

fn messages_cross(manner: &str, count: u64) {
    let family = Family::new();
    for kind in KINDS {
        for spot in Spot::all() {
            for (maker, sender) in EITHER.iter().flat_map(|one| EITHER.map(|two| (*one, two))) {
                let pair = pair(&family, (kind, &spot), (maker, sender), (manner, count, 0));
                let (mut sending, mut receiving) = pair;
                sending.expect("all");
                let said = receiving.hear();
                let lossy = kind == "broadcast" && said.starts_with("Closed after ");
                assert!(lossy || said == format!("Closed after {count}"), "{kind}: {said}");
                sending.wait_ok();
                receiving.wait_ok();
                // Whoever comes to that name next makes it anew.
                if spot.address() != "memfd" {
                    annulus::unlink(spot.address()).unwrap();
                }
            }
        }
    }
}

#[test]
fn every_message_crosses_in_order_and_whole_whoever_made_the_ring() {
    with_other!();
    messages_cross("busy", MANY);
}

#[test]
fn nobody_sleeps_through_what_the_other_width_does() {
    with_other!();
    messages_cross("asleep", SOME);
}

#[test]
fn a_death_is_seen_by_the_other_width() {
    with_other!();
    let family = Family::new();
    for kind in ["spsc", "bytes", "stream", "mpmc", "lossless", "frames"] {
        for (sender, sender_dies) in EITHER.iter().flat_map(|who| [(*who, true), (*who, false)]) {
            let spot = Spot::shm();
            let endless = ("busy", u64::MAX, SOME);
            let (mut sending, mut receiving) =
                pair(&family, (kind, &spot), (sender, sender), endless);
            receiving.expect("half-way");
            if sender_dies {
                sending.kill();
                let said = receiving.hear();
                assert!(said.starts_with("Died after "), "{kind}: {said}");
                receiving.wait_ok();
                continue;
            }
            receiving.kill();
            if kind != "lossless" {
                sending.expect("Died");
                sending.wait_ok();
                continue;
            }
            // The dead hold nobody back there: the sender goes on, a lap and more.
            let seen = Observer::open(spot.address()).unwrap();
            let before = seen.tail().unwrap();
            while seen.tail().unwrap() < before + SOME {
                std::thread::yield_now();
            }
        }
    }
}

/// The ring at argument 0, where a death is seen soon.
fn shared(role: &Role) -> Ring<Tick> {
    let options = Ring::<Tick>::options().slice(Duration::from_millis(5));
    options.open(role.argument(0)).unwrap()
}

/// Continues where the last sender was, up to position argument 1, or is killed.
fn succeeds_senders(role: &mut Role) {
    let (mut sender, sent) = (shared(role).sender().unwrap(), role.counter("sent"));
    role.say("sits");
    while sender.position() < role.parse(1) {
        sender.send(Tick::of(sender.position())).unwrap();
        sent.add(1);
    }
}

/// Receives whatever senders die, to the end, and says where that was.
fn outlives_senders(role: &mut Role) {
    let (mut receiver, received) = (shared(role).receiver().unwrap(), role.counter("received"));
    role.say("sits");
    loop {
        let position = receiver.position();
        match receiver.recv() {
            Ok(tick) => assert_eq!(tick.number(), position),
            Err(RecvError::Died) => receiver.wait_for_peer(None).unwrap(),
            Err(RecvError::Closed) => return role.say(&position.to_string()),
            Err(error) => panic!("{error}"),
        }
        received.add(1);
    }
}

/// Continues where the last receiver was, up to position argument 1, or is killed.
fn succeeds_receivers(role: &mut Role) {
    let (mut receiver, received) = (shared(role).receiver().unwrap(), role.counter("received"));
    role.say("sits");
    while receiver.position() < role.parse(1) {
        let position = receiver.position();
        assert_eq!(receiver.recv().unwrap().number(), position);
        received.add(1);
    }
}

/// Sends whatever receivers die, until one closes.
fn outlives_receivers(role: &mut Role) {
    let (mut sender, sent) = (shared(role).sender().unwrap(), role.counter("sent"));
    role.say("sits");
    loop {
        match sender.send(Tick::of(sender.position())) {
            Ok(()) => sent.add(1),
            Err(SendError::Died(_)) => sender.wait_for_peer(None).unwrap(),
            Err(SendError::Closed(_)) => return role.say("closed"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn seats_of_the_dead_are_taken_by_either_width() {
    with_other!();
    let family = Family::new();
    // Positions pass 2^32 meanwhile.
    let first = u64::from(u32::MAX) - 5000;
    for (survivor, senders_die) in EITHER.iter().flat_map(|who| [(*who, true), (*who, false)]) {
        let spot = Spot::shm();
        let ring = Ring::<Tick>::options().capacity(8).start(first);
        drop(ring.create_new(spot.address()).unwrap());
        let mortal = |who: Who, until: u64| {
            let child = match senders_die {
                true => who.child(&family, succeeds_senders),
                false => who.child(&family, succeeds_receivers),
            };
            let mut child = child.arg(spot.address()).arg(until).spawn();
            child.expect("sits");
            child
        };
        let stays = match senders_die {
            true => survivor.child(&family, outlives_senders),
            false => survivor.child(&family, outlives_receivers),
        };
        let mut stays = stays.arg(spot.address()).spawn();
        stays.expect("sits");
        let seen = Observer::open(spot.address()).unwrap();
        for kill in 0..KILLS {
            let mut dies = mortal(EITHER[kill % 2], u64::MAX);
            let enough = seen.head() + 100 + 37 * kill as u64;
            while seen.head() < enough {
                std::thread::yield_now();
            }
            dies.kill();
        }
        // All that was sent is received now, but for what is in the ring.
        let last = seen.head() + SOME;
        mortal(survivor.other(), last).wait_ok();
        stays.expect(&if senders_die { last.to_string() } else { "closed".into() });
        stays.wait_ok();
        assert!(last > 1 << 32, "{last}");
    }
}

/// Takes a message, or a place for one, of an mpmc ring, tells, and is killed.
fn holds(role: &mut Role) {
    let ring = mpmc::Ring::<Tick>::open(role.argument(0)).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    if role.argument(1) == "place" {
        let _place = sender.reserve().unwrap();
        role.say("holds");
        role.hear();
    } else {
        let _message = receiver.recv_ref().unwrap();
        role.say("holds");
        role.hear();
    }
}

#[test]
fn what_the_dead_held_is_settled_by_the_other_width() {
    with_other!();
    let family = Family::new();
    let options = mpmc::Ring::<Tick>::options().capacity(4).slice(Duration::from_millis(5));
    for what in ["place", "message"] {
        let spot = Spot::shm();
        let ring = options.create_new(spot.address()).unwrap();
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        if what == "message" {
            sender.send(Tick::of(1)).unwrap();
        }
        let holder = Who::Other.child(&family, holds).arg(spot.address()).arg(what);
        let mut holder = holder.spawn();
        holder.expect("holds");
        if what == "place" {
            sender.send(Tick::of(1)).unwrap();
        }
        sender.send(Tick::of(2)).unwrap();
        holder.kill();
        let mut came: Vec<_> = (0..2)
            .map(|_| (receiver.recv().unwrap().number(), receiver.last().redelivered))
            .collect();
        came.sort_unstable();
        assert_eq!(came, [(1, what == "message"), (2, false)]);
    }
}

/// Waits on three rings at once, and says which are due.
fn watches(role: &mut Role) {
    let spsc = asleep(Ring::<Tick>::options()).open(role.argument(0)).unwrap();
    let mpmc = asleep(mpmc::Ring::<Tick>::options()).open(role.argument(1)).unwrap();
    let stream = asleep(stream::Ring::options()).open(role.argument(2)).unwrap();
    let (mut one, mut two) = (spsc.receiver().unwrap(), mpmc.receiver().unwrap());
    let (mut three, mut set) = (stream.receiver().unwrap(), WaitSet::new());
    role.say("sits");
    for _ in 0..SOME {
        let due = set.wait(&mut [&mut one, &mut two, &mut three], None).unwrap();
        match due {
            0 => drop(one.try_recv().unwrap().number()),
            1 => drop(two.try_recv().unwrap().number()),
            _ => assert_eq!(three.try_recv(&mut [0; 8]), Ok(1)),
        }
        role.say(&due.to_string());
    }
}

#[test]
fn a_wait_on_many_rings_is_ended_by_the_other_width() {
    with_other!();
    let family = Family::new();
    let spots = [Spot::shm(), Spot::shm(), Spot::shm()];
    let [one, two, three] = &spots;
    let spsc = Ring::<Tick>::options().capacity(8).create_new(one.address()).unwrap();
    let mpmc = mpmc::Ring::<Tick>::options().capacity(8).create_new(two.address()).unwrap();
    let stream = stream::Ring::options().capacity(8).create_new(three.address()).unwrap();
    let mut child = Who::Other.child(&family, watches);
    for spot in &spots {
        child = child.arg(spot.address());
    }
    let mut child = child.spawn();
    child.expect("sits");
    let (mut one, mut two) = (spsc.sender().unwrap(), mpmc.sender().unwrap());
    let mut three = stream.sender().unwrap();
    for n in 0..SOME {
        match n % 3 {
            0 => one.send(Tick::of(n)).unwrap(),
            1 => two.send(Tick::of(n)).unwrap(),
            _ => assert_eq!(three.send(b"x"), Ok(1)),
        }
        child.expect(&(n % 3).to_string());
    }
    child.wait_ok();
}

/// Looks at a broadcast through a mapping that can only be read, and says what comes.
fn looks(role: &mut Role) {
    let mut observer = broadcast::Observer::<Tick>::open(role.argument(0)).unwrap();
    let facts = Observer::open(role.argument(0)).unwrap();
    role.say(&format!("{} {:?}", facts.segment_len(), facts.seats().unwrap()[0].state));
    for n in 0..SOME {
        role.say("next");
        role.expect("there");
        assert_eq!(observer.try_recv().unwrap().number(), n);
    }
}

#[test]
fn an_observer_reads_what_the_other_width_sends() {
    with_other!();
    let family = Family::new();
    let spot = Spot::shm();
    let options = broadcast::Ring::<Tick>::options().capacity(8);
    let ring = options.create_new(spot.address()).unwrap();
    let mut sender = ring.sender().unwrap();
    let mut child = Who::Other.child(&family, looks).arg(spot.address()).spawn();
    child.expect(&format!("{} {:?}", options.segment_len().unwrap(), SeatState::Live));
    for n in 0..SOME {
        child.expect("next");
        sender.send(Tick::of(n)).unwrap();
        child.say("there");
    }
    child.wait_ok();
}

/// Makes a ring that waits on semaphores, or opens one and says why not; holds a seat of
/// another ring meanwhile.
fn asks_for_semaphores(role: &mut Role) {
    let options = Ring::<Tick>::options().capacity(8).wait_method(WaitMethod::Semaphore);
    let made = options.create_new(role.argument(0)).unwrap();
    let refused = options.open(role.argument(1)).unwrap_err();
    role.say(&refused.to_string());
    let _sender = Ring::<Tick>::open(role.argument(2)).unwrap().sender().unwrap();
    role.say("sits");
    role.hear();
    drop(made);
    annulus::unlink(role.argument(0)).unwrap();
    role.say("done");
}

#[test]
fn semaphores_of_the_other_width_are_refused_and_its_seats_are_respected() {
    with_other!();
    let family = Family::new();
    let (own, theirs, third) = (Spot::shm(), Spot::shm(), Spot::shm());
    let semaphores = Ring::<Tick>::options().capacity(8).wait_method(WaitMethod::Semaphore);
    let _own = semaphores.create_new(own.address()).unwrap();
    let ring = Ring::<Tick>::options().capacity(8).create_new(third.address()).unwrap();
    let child = Who::Other.child(&family, asks_for_semaphores);
    let child = child.arg(theirs.address()).arg(own.address()).arg(third.address());
    let mut child = child.spawn();
    let why = "another width of words";
    let said = child.hear();
    assert!(said.contains(why), "{said}");
    child.expect("sits");
    let said = semaphores.open(theirs.address()).unwrap_err().to_string();
    assert!(said.contains(why), "{said}");
    assert!(matches!(ring.sender(), Err(Error::SeatTaken { role: "sender", .. })));
    assert_eq!(ring.receiver().unwrap().peer().unwrap(), SeatState::Live);
    drop(ring);
    assert!(matches!(annulus::unlink_unused(third.address()), Err(Error::InUse { .. })));
    child.say("enough");
    child.expect("done");
    child.wait_ok();
    annulus::unlink(own.address()).unwrap();
}
