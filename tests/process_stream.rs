//! Messages by the million between real processes, each checked, by every way to a
//! segment and every verb.
#![allow(unsafe_code)]

mod ground;
mod scale;
mod support;

use std::os::fd::AsFd;

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{Message, Options, Payload, RecvError, SeatState, Trust, Trusted};
use ground::{Ground, Kind};
use support::{Child, Family, Role};

support::roles! { sends, receives, sends_bytes, receives_bytes }

/// How a process comes by the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Shm,
    File,
    /// A memfd that it inherits.
    Inherited,
    /// A memfd that comes through a socket (`SCM_RIGHTS`).
    Passed,
}

/// How both sides move messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Single,
    Batched,
    InPlace,
    /// In place, without a copy: the peers trust one another.
    Lent,
}

const VERBS: [Verb; 4] = [Verb::Single, Verb::Batched, Verb::InPlace, Verb::Lent];

/// Accesses that are watched take their time.
const SLOWER: u64 = if cfg!(feature = "test-hooks") { 20 } else { 1 };

/// The arguments of every role, after the address.
const WAY: usize = 1;
const VERB: usize = 2;
const SIZE: usize = 3;
const COUNT: usize = 4;

/// The bytes of the message at a position.
fn fill(position: u64, bytes: &mut [u8]) {
    let mut state = position.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(31);
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
}

fn message<T: Message>(position: u64) -> T {
    let mut message = T::new_zeroed();
    fill(position, message.as_mut_bytes());
    message
}

fn check<T: Message>(position: u64, found: &T) {
    let expected = message::<T>(position);
    assert!(found.as_bytes() == expected.as_bytes(), "the message at {position} is another");
}

/// The ring that this role was led to.
fn come<M: Payload + ?Sized>(role: &mut Role) -> Ring<M, Trusted> {
    let options = Ring::options();
    // SAFETY: both peers are this test's, and keep the protocol.
    let options: Options<Ring<M, Trusted>> = unsafe { options.trust_peers() };
    if role.argument(WAY) == "Passed" {
        return options.from_fd(role.hear_with_fd().1).unwrap();
    }
    match role.argument(0) {
        "passed" => options.from_fd(role.inherited()).unwrap(),
        address => options.open(address).unwrap(),
    }
}

fn verb(role: &Role) -> Verb {
    let said = role.argument(VERB);
    VERBS.into_iter().find(|verb| format!("{verb:?}") == said).unwrap()
}

fn sends(role: &mut Role) {
    match role.parse(SIZE) {
        8 => sends_messages::<u64>(role),
        56 => sends_messages::<[u64; 7]>(role),
        57 => sends_messages::<[u8; 57]>(role),
        _ => sends_messages::<[u64; 512]>(role),
    }
}

fn sends_messages<T: Message>(role: &mut Role) {
    let ring = come::<T>(role);
    let (verb, count) = (verb(role), role.parse(COUNT));
    let done = role.counter("sent");
    if verb == Verb::Lent {
        let mut sender = ring.sender().unwrap();
        while sender.position() < count {
            let mut slot = sender.reserve().unwrap();
            fill(slot.position(), slot.as_mut_bytes());
            slot.commit();
            done.add(1);
        }
        return;
    }
    let mut sender = Ring::<T>::from(ring).sender().unwrap();
    while sender.position() < count {
        let sent = send_some(&mut sender, verb, count);
        done.add(sent);
    }
}

fn send_some<T: Message, A: Trust>(sender: &mut Sender<T, A>, verb: Verb, count: u64) -> u64 {
    let position = sender.position();
    match verb {
        Verb::Batched => {
            // From one message to more than the ring holds.
            let batch = (1 + position % 90).min(count - position);
            let messages: Vec<T> = (0..batch).map(|n| message(position + n)).collect();
            sender.send_many(&messages).unwrap();
            return batch;
        }
        Verb::Single => sender.send(message(position)).unwrap(),
        _ => {
            let (message, mut slot) = (message::<T>(position), sender.reserve().unwrap());
            let (first, rest) =
                message.as_bytes().split_at(position as usize % (size_of::<T>() + 1));
            assert_eq!(slot.append(first), first.len());
            assert_eq!(slot.append(rest), rest.len());
            assert_eq!(slot.commit(), position);
        }
    }
    1
}

fn receives(role: &mut Role) {
    match role.parse(SIZE) {
        8 => receives_messages::<u64>(role),
        56 => receives_messages::<[u64; 7]>(role),
        57 => receives_messages::<[u8; 57]>(role),
        _ => receives_messages::<[u64; 512]>(role),
    }
}

fn receives_messages<T: Message>(role: &mut Role) {
    let ring = come::<T>(role);
    let (verb, count) = (verb(role), role.parse(COUNT));
    let done = role.counter("received");
    let ended = if verb == Verb::Lent {
        let mut receiver = ring.receiver().unwrap();
        let mut position = 0;
        loop {
            match receiver.recv_ref() {
                Ok(guard) => check(position, &*guard),
                Err(error) => break (position, error),
            }
            position += 1;
            done.add(1);
        }
    } else {
        let mut receiver = Ring::<T>::from(ring).receiver().unwrap();
        loop {
            match recv_some(&mut receiver, verb) {
                Ok(received) => done.add(received),
                Err(error) => break (receiver.position(), error),
            }
        }
    };
    assert_eq!(ended, (count, RecvError::Closed));
}

fn recv_some<T: Message, A: Trust>(
    receiver: &mut Receiver<T, A>,
    verb: Verb,
) -> Result<u64, RecvError> {
    let position = receiver.position();
    match verb {
        Verb::Batched => {
            let mut messages: Vec<T> = (0..1 + position % 90).map(|_| T::new_zeroed()).collect();
            let received = receiver.recv_many(&mut messages)?;
            let positions = position..position + received as u64;
            positions.zip(&messages).for_each(|(position, message)| check(position, message));
            return Ok(received as u64);
        }
        Verb::Single => check(position, &receiver.recv()?),
        _ => {
            let guard = receiver.recv_ref()?;
            assert_eq!((guard.position(), guard.redelivered()), (position, false));
            let mut found = T::new_zeroed();
            let (first, rest) =
                found.as_mut_bytes().split_at_mut(position as usize % (size_of::<T>() + 1));
            assert_eq!(guard.read_at(0, first), first.len());
            assert_eq!(guard.read_at(first.len(), rest), rest.len());
            check(position, &found);
        }
    }
    Ok(1)
}

/// Length of the byte message at a position.
fn length(position: u64) -> usize {
    (position.wrapping_mul(0x9e37_79b9) >> 7) as usize % 301
}

fn sends_bytes(role: &mut Role) {
    let mut sender = Ring::<[u8]>::from(come(role)).sender().unwrap();
    let done = role.counter("sent");
    let mut bytes = [0; 300];
    for position in 0..role.parse(COUNT) {
        let message = &mut bytes[..length(position)];
        fill(position, message);
        match verb(role) {
            Verb::Single => sender.send(message).unwrap(),
            _ => {
                let mut slot = sender.reserve().unwrap();
                slot.append(message);
                assert_eq!(slot.commit(), position);
            }
        }
        done.add(1);
    }
}

fn receives_bytes(role: &mut Role) {
    let mut receiver = Ring::<[u8]>::from(come(role)).receiver().unwrap();
    let done = role.counter("received");
    let (mut bytes, mut expected) = ([0; 300], [0; 300]);
    for position in 0..role.parse(COUNT) {
        let expected = &mut expected[..length(position)];
        fill(position, expected);
        match verb(role) {
            Verb::Single => {
                let length = receiver.recv(&mut bytes).unwrap();
                assert!(bytes[..length] == *expected, "the message at {position} is another");
            }
            _ => {
                let guard = receiver.recv_ref().unwrap();
                assert!(guard.to_vec() == expected, "the message at {position} is another");
            }
        }
        done.add(1);
    }
    assert_eq!(receiver.recv(&mut bytes), Err(RecvError::Closed));
}

/// A ring, and how to start one who is led to it in some way.
struct Stream<'a> {
    family: &'a Family,
    ground: Ground,
    way: Way,
    verb: Verb,
    size: usize,
    count: u64,
}

impl<'a> Stream<'a> {
    fn start(&self, role: impl Fn(&mut Role)) -> Child<'a> {
        let spawn = match self.way {
            Way::Passed => self.family.child(role).arg("by a socket"),
            _ => self.ground.pass(self.family.child(role)),
        };
        let verb = format!("{:?}", self.verb);
        let spawn = spawn.arg(format!("{:?}", self.way)).arg(verb).arg(self.size);
        let mut child = spawn.arg(self.count).spawn();
        if self.way == Way::Passed {
            child.say_with_fd("here it is", self.ground.file(true).as_fd());
        }
        child
    }

    /// Everything that one sends the other receives.
    fn run(self, sends: impl Fn(&mut Role), receives: impl Fn(&mut Role)) {
        let seen = self.ground.observe();
        let (mut receiver, mut sender) = (self.start(receives), self.start(sends));
        for child in [&mut sender, &mut receiver] {
            child.set_deadline(std::time::Duration::from_secs(120));
            child.wait_ok();
        }
        assert_eq!((seen.head(), seen.len()), (self.count, 0));
        for seat in seen.seats().unwrap() {
            assert_eq!((seat.state, seat.held), (SeatState::Closed, false));
        }
        assert_eq!(seen.rescues(), (0, 0), "nobody was woken too late");
    }
}

fn ground<M: Payload + ?Sized>(way: Way, options: &Options<Ring<M>>) -> Ground {
    let kind = match way {
        Way::Shm => Kind::Shm,
        Way::File => Kind::File,
        Way::Inherited | Way::Passed => Kind::Memfd,
    };
    Ground::new(kind, options).0
}

/// So many messages of `T`, by every verb.
fn stream<T: Message>(way: Way, capacity: u64, counts: [u64; 4]) {
    let family = Family::new();
    for (verb, count) in VERBS.into_iter().zip(counts) {
        let ground = ground(way, &Ring::<T>::options().capacity(capacity));
        let (family, size, count) = (&family, size_of::<T>(), scale::scaled(count / SLOWER));
        Stream { family, ground, way, verb, size, count }.run(sends, receives);
    }
}

/// Words by the hundred thousand, lines and odd bytes, pages.
fn streams(way: Way) {
    stream::<u64>(way, 64, [300_000, 500_000, 150_000, 150_000]);
    stream::<[u64; 7]>(way, 1024, [100_000, 100_000, 50_000, 50_000]);
    stream::<[u8; 57]>(way, 16, [20_000, 50_000, 20_000, 20_000]);
    stream::<[u64; 512]>(way, 8, [2_000; 4]);
}

#[test]
fn all_messages_come_through_shared_memory() {
    streams(Way::Shm);
}

#[test]
fn all_messages_come_through_a_file() {
    streams(Way::File);
}

#[test]
fn all_messages_come_through_an_inherited_memfd() {
    streams(Way::Inherited);
}

#[test]
fn all_messages_come_through_a_memfd_that_was_passed_by_a_socket() {
    streams(Way::Passed);
}

#[test]
fn all_byte_messages_come_through_with_their_lengths() {
    let family = Family::new();
    for way in [Way::Shm, Way::File, Way::Inherited, Way::Passed] {
        for verb in [Verb::Single, Verb::InPlace] {
            let ground = ground(way, &Ring::<[u8]>::options().capacity(16).max_len(300));
            let count = scale::scaled(20_000 / SLOWER);
            let stream = Stream { family: &family, ground, way, verb, size: 0, count };
            stream.run(sends_bytes, receives_bytes);
        }
    }
}
