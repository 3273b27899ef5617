//! Endpoints of a stream that sleep: woken by bytes, by room, by the other's end however it
//! ends, by a cancellation; and never by the end of a slice where nobody has died.

mod scale;
mod streams;
mod support;

use std::thread::{self, JoinHandle};
use std::time::Duration;

use annulus::stream::{Receiver, Ring, Sender};
use annulus::{Options, RecvError, SendError, WaitMethod};
use scale::scaled;
use streams::site::{LONG, PLACES, Place, SHARED, Site, open, until_asleep};
use support::{Child, Family, Role};

support::roles! { keeps_a_seat, sends_a_storm, receives_a_storm, sleeps }

/// Asleep at once, and for so long that only a wake-up ends it in time.
fn eager(slice: Duration) -> Options<Ring> {
    Ring::options().capacity(8).slice(slice).spin(Duration::ZERO).yielding(Duration::ZERO)
}

/// A thread that does one thing, given back when it sleeps.
fn asleep<R: Send + 'static>(call: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    let (say, told) = std::sync::mpsc::channel();
    let running = thread::spawn(move || {
        say.send(nix::unistd::gettid()).unwrap();
        call()
    });
    until_asleep(&format!("/proc/self/task/{}", told.recv().unwrap()));
    running
}

/// What sleeps, and how it ended.
type Sleep<E, H> = fn(H) -> Result<(), E>;

/// What a sender with no room at all can sleep in, and how each ended.
const SENDER_SLEEPS: [Sleep<SendError<()>, Sender>; 4] = [
    |mut sender| sender.send(b"x").map(|_| ()),
    |mut sender| sender.reserve(3).map(|_| ()),
    |mut sender| sender.wait_until_received(None),
    |mut sender| {
        let said = sender.fill_from(std::fs::File::open("/dev/zero").unwrap(), 3);
        said.map(|_| ()).map_err(|error| *error.get_ref().unwrap().downcast_ref().unwrap())
    },
];

/// As above, of a receiver with nothing there.
const RECEIVER_SLEEPS: [Sleep<RecvError, Receiver>; 3] = [
    |mut receiver| receiver.recv(&mut [0; 3]).map(|_| ()),
    |mut receiver| receiver.recv_ref().map(|_| ()),
    |mut receiver| {
        let said = receiver.drain_to(std::fs::File::create("/dev/null").unwrap(), 3);
        match said {
            Ok(0) => Err(RecvError::Closed),
            Ok(_) => Ok(()),
            Err(error) => Err(*error.get_ref().unwrap().downcast_ref().unwrap()),
        }
    },
];

fn full(site: &Site) -> (Sender, Receiver) {
    let (mut sender, receiver) = (site.one.sender().unwrap(), site.other.receiver().unwrap());
    sender.try_send(b"12345678").unwrap();
    (sender, receiver)
}

#[test]
fn a_sender_asleep_on_a_full_stream_is_woken_by_room_by_an_end_and_by_a_cancellation() {
    for place in PLACES {
        for sleep in SENDER_SLEEPS {
            for why in 0..4 {
                let site = Site::new(place, &eager(LONG));
                let (sender, mut receiver) = full(&site);
                let cancel = sender.cancel_handle();
                let sleeping = asleep(move || sleep(sender));
                match why {
                    0 => _ = receiver.try_recv(&mut [0; 8]).unwrap(),
                    1 => drop(receiver),
                    2 => receiver.abort(),
                    _ => cancel.cancel(),
                }
                let ends = [None, Some(SendError::Closed(())), Some(SendError::Died(()))];
                let expected = ends.get(why).copied().unwrap_or(Some(SendError::Cancelled(())));
                assert_eq!(sleeping.join().unwrap().err(), expected);
            }
        }
    }
}

#[test]
fn a_receiver_asleep_on_an_empty_stream_is_woken_by_bytes_by_an_end_and_by_a_cancellation() {
    for place in PLACES {
        for sleep in RECEIVER_SLEEPS {
            for why in 0..4 {
                let site = Site::new(place, &eager(LONG));
                let (mut sender, receiver) =
                    (site.one.sender().unwrap(), site.other.receiver().unwrap());
                let cancel = receiver.cancel_handle();
                let sleeping = asleep(move || sleep(receiver));
                match why {
                    0 => _ = sender.try_send(b"x").unwrap(),
                    1 => sender.finish().unwrap(),
                    2 => sender.abort(),
                    _ => cancel.cancel(),
                }
                let ends = [None, Some(RecvError::Closed), Some(RecvError::Died)];
                let expected = ends.get(why).copied().unwrap_or(Some(RecvError::Cancelled));
                assert_eq!(sleeping.join().unwrap().err(), expected);
            }
        }
    }
}

/// Takes one seat and stays. A receiver takes nothing, a sender sends nothing.
fn keeps_a_seat(role: &mut Role) {
    let ring = open(role, &Ring::options());
    let receives = role.argument(1) == "receiver";
    let _receiver = receives.then(|| ring.receiver().unwrap());
    let _sender = (!receives).then(|| ring.sender().unwrap());
    role.say("here");
    role.hear();
}

fn occupant<'a>(family: &'a Family, site: &Site, which: &str) -> Child<'a> {
    let mut child = site.pass(family.child(keeps_a_seat)).arg(which).spawn();
    child.expect("here");
    child
}

#[test]
fn a_sender_asleep_on_a_full_stream_is_woken_by_the_receivers_death() {
    let family = Family::new();
    for place in SHARED {
        for sleep in SENDER_SLEEPS {
            // The slice is what notices a death.
            let site = Site::new(place, &eager(Duration::from_millis(30)));
            let mut sender = site.one.sender().unwrap();
            sender.try_send(b"12345678").unwrap();
            let mut child = occupant(&family, &site, "receiver");
            let sleeping = asleep(move || sleep(sender));
            child.kill();
            assert_eq!(sleeping.join().unwrap(), Err(SendError::Died(())));
        }
    }
}

#[test]
fn a_receiver_asleep_on_an_empty_stream_is_woken_by_the_senders_death() {
    let family = Family::new();
    for place in SHARED {
        for sleep in RECEIVER_SLEEPS {
            let site = Site::new(place, &eager(Duration::from_millis(30)));
            let receiver = site.other.receiver().unwrap();
            let mut child = occupant(&family, &site, "sender");
            let sleeping = asleep(move || sleep(receiver));
            child.kill();
            assert_eq!(sleeping.join().unwrap(), Err(RecvError::Died));
        }
    }
}

#[test]
fn a_stopped_peer_of_a_stream_is_never_taken_for_dead() {
    let family = Family::new();
    let slice = Duration::from_millis(10);
    for place in SHARED {
        let site = Site::new(place, &eager(slice));
        let mut sender = site.one.sender().unwrap();
        let receiver = occupant(&family, &site, "receiver");
        sender.try_send(b"12345678").unwrap();
        receiver.stop();
        assert_eq!(sender.send_timeout(b"x", 20 * slice), Err(SendError::Timeout(())));
        assert_eq!(sender.peer().unwrap(), annulus::SeatState::Live);
        receiver.resume();

        let site = Site::new(place, &eager(slice));
        let mut receiver = site.other.receiver().unwrap();
        let sender = occupant(&family, &site, "sender");
        sender.stop();
        assert_eq!(receiver.recv_timeout(&mut [0], 20 * slice), Err(RecvError::Timeout));
        assert_eq!(receiver.peer().unwrap(), annulus::SeatState::Live);
    }
}

#[test]
fn one_who_waits_for_a_peer_is_woken_when_it_comes_and_does_not_wait_for_one_who_is_gone() {
    for place in PLACES {
        let site = Site::new(place, &eager(LONG));
        let mut receiver = site.other.receiver().unwrap();
        let waiting = asleep(move || (receiver.wait_for_peer(None), receiver));
        let mut sender = site.one.sender().unwrap();
        sender.send(b"all").unwrap();
        sender.finish().unwrap();
        let (came, mut receiver) = waiting.join().unwrap();
        assert_eq!(came, Ok(()));
        // There will never be another.
        assert_eq!(receiver.wait_for_peer(None), Ok(()));
        assert_eq!(receiver.recv(&mut [0; 9]), Ok(3));
        assert_eq!(receiver.recv(&mut [0; 9]), Err(RecvError::Closed));

        let site = Site::new(place, &eager(LONG));
        let mut sender = site.one.sender().unwrap();
        let short = Some(Duration::from_millis(1));
        assert_eq!(sender.wait_for_peer(short), Err(annulus::WaitError::Timeout));
        let waiting = asleep(move || (sender.wait_for_peer(None), sender));
        site.other.receiver().unwrap().abort();
        let (came, mut sender) = waiting.join().unwrap();
        assert_eq!((came, sender.wait_for_peer(None)), (Ok(()), Ok(())));
        assert_eq!(sender.send(b"x"), Err(SendError::Died(())));
    }
}

/// Bytes of a storm: each hand-over is a sleep on one side or the other.
fn storm() -> u64 {
    scaled(if cfg!(feature = "test-hooks") { 40_000 } else { 200_000 })
}

fn send_storm(sender: &mut Sender, count: u64, mut progress: impl FnMut()) {
    while sender.position() < count {
        let position = sender.position();
        let most = (count - position).min(13) as usize;
        let bytes = streams::bytes(position, streams::piece(position, most));
        sender.send_timeout(&bytes, LONG / 2).unwrap();
        progress();
    }
    sender.wait_until_received(Some(LONG / 2)).unwrap();
    assert_eq!(sender.rescues(), 0);
}

fn receive_storm(receiver: &mut Receiver, count: u64, mut progress: impl FnMut()) {
    let mut out = [0; 11];
    while receiver.position() < count {
        let position = receiver.position();
        let most = streams::piece(position ^ 77, out.len());
        let got = receiver.recv_timeout(&mut out[..most], LONG / 2).unwrap();
        streams::check(position, &out[..got]);
        progress();
    }
    assert_eq!(receiver.rescues(), 0);
}

fn sends_a_storm(role: &mut Role) {
    let mut sender = open(role, &eager(LONG)).sender().unwrap();
    let (count, progress) = (role.parse(1), role.counter("sent"));
    send_storm(&mut sender, count, || progress.add(1));
}

fn receives_a_storm(role: &mut Role) {
    let mut receiver = open(role, &eager(LONG)).receiver().unwrap();
    let (count, progress) = (role.parse(1), role.counter("received"));
    receive_storm(&mut receiver, count, || progress.add(1));
}

fn storms_of(method: WaitMethod, fenced: bool, place: Place) {
    let family = Family::new();
    let site = Site::new(place, &eager(LONG).wait_method(method).fenced(fenced));
    let count = storm();
    let mut sender = site.pass(family.child(sends_a_storm)).arg(count).spawn();
    let mut receiver = site.pass(family.child(receives_a_storm)).arg(count).spawn();
    for child in [&mut sender, &mut receiver] {
        child.set_deadline(Duration::from_secs(120));
        child.wait_ok();
    }
    assert_eq!(site.observe().rescues(), (0, 0));
}

#[test]
fn no_byte_through_a_word_between_processes_is_stuck_or_rescued_by_a_slice() {
    storms_of(WaitMethod::Futex, false, Place::Memfd);
    storms_of(WaitMethod::Futex, true, Place::Shm);
    storms_of(WaitMethod::Futex, false, Place::File);
}

#[test]
fn no_byte_by_semaphore_through_a_word_is_stuck_or_rescued_by_a_slice() {
    if !cfg!(target_env = "gnu") {
        support::skip!("no sem_clockwait");
    }
    storms_of(WaitMethod::Semaphore, false, Place::Shm);
}

#[test]
fn no_byte_through_a_word_between_threads_is_stuck_or_rescued_by_a_slice() {
    for fenced in [false, true] {
        let site = Site::new(Place::Heap, &eager(LONG).fenced(fenced));
        let (mut sender, mut receiver) =
            (site.one.sender().unwrap(), site.other.receiver().unwrap());
        let count = storm();
        let receiving = thread::spawn(move || receive_storm(&mut receiver, count, || {}));
        send_storm(&mut sender, count, || {});
        receiving.join().unwrap();
    }
}

/// Sleeps in one call until it is killed.
fn sleeps(role: &mut Role) {
    let ring = open(role, &eager(LONG));
    role.say("here");
    if role.argument(1) == "receiver" {
        panic!("woken: {:?}", ring.receiver().unwrap().recv(&mut [0]));
    }
    let mut sender = ring.sender().unwrap();
    sender.try_send(b"12345678").unwrap();
    panic!("woken: {:?}", sender.send(b"9"));
}

#[test]
fn whoever_is_killed_asleep_in_a_stream_leaves_a_peer_that_is_told() {
    let family = Family::new();
    for place in SHARED {
        let site = Site::new(place, &eager(Duration::from_millis(30)));
        let mut child = site.pass(family.child(sleeps)).arg("sender").spawn();
        child.expect("here");
        until_asleep(&format!("/proc/{}/task", child.pid()));
        child.kill();
        // What it had committed, whoever comes late.
        let mut receiver = site.other.receiver().unwrap();
        let mut out = [0; 9];
        assert_eq!(receiver.recv(&mut out), Ok(8));
        assert_eq!(&out[..8], b"12345678");
        assert_eq!(receiver.recv(&mut out), Err(RecvError::Died));

        let site = Site::new(place, &eager(Duration::from_millis(30)));
        let mut child = site.pass(family.child(sleeps)).arg("receiver").spawn();
        child.expect("here");
        until_asleep(&format!("/proc/{}/task", child.pid()));
        child.kill();
        // It died before the sender came: unnoticed until the sender has to wait.
        let mut sender = site.one.sender().unwrap();
        assert_eq!(sender.send(b"12345678"), Ok(8));
        assert_eq!(sender.send(b"9"), Err(SendError::Died(())));
    }
}
