//! A broadcast's sender and receivers, killed before each access to shared memory in each
//! verb: what was committed stays as it was, what was not does not exist, the dead hold
//! nobody back, and their seats are taken again.

mod casts;
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annulus::broadcast::{Receiver, Ring, Sender, Start};
use annulus::hooks::{Bug, count, kill_before, lie, seed};
use annulus::{TryRecvError, TrySendError};
use casts::site::{PLACES, Place, Site};
use casts::{LONG, quiet};

/// A seeded bug is the whole process's: tests run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message: its position, and which life of a sender sent it, in each of its words.
type Words = [u64; 4];

fn words(position: u64, life: u64) -> Words {
    [position, life, !position, !life]
}

fn check(message: Words, position: u64) -> u64 {
    let life = message[1];
    assert_eq!(message, words(position, life), "torn or out of order");
    life
}

/// What the victim does when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    SenderComes,
    TrySend,
    Send,
    TrySendMany,
    SendMany,
    SenderLeaves,
    Comes(Start),
    TryRecv,
    Recv,
    TryRecvMany,
    RecvWith,
    Latest,
    Leaves,
}

const SENDERS: [Verb; 6] = [
    Verb::SenderComes,
    Verb::TrySend,
    Verb::Send,
    Verb::TrySendMany,
    Verb::SendMany,
    Verb::SenderLeaves,
];

const RECEIVERS: [Verb; 9] = [
    Verb::Comes(Start::Newest),
    Verb::Comes(Start::Oldest),
    Verb::Comes(Start::Position(0)),
    Verb::TryRecv,
    Verb::Recv,
    Verb::TryRecvMany,
    Verb::RecvWith,
    Verb::Latest,
    Verb::Leaves,
];

const CAPACITY: u64 = 4;

/// No life of a sender.
const MISSED: u64 = u64::MAX;

/// A ring on which `sent` messages were sent, and `waiting` of them wait for all.
struct World {
    site: Site<Words>,
    lossless: bool,
    sender: Option<Sender<Words>>,
    victim: Option<Receiver<Words>>,
    survivor: Receiver<Words>,
    /// Who sent each message that the survivor has got.
    seen: Vec<u64>,
}

impl World {
    fn new(place: Place, lossless: bool, sent: u64, waiting: u64) -> Self {
        let options = Ring::<Words>::options().capacity(CAPACITY).lossless(lossless).seats(4);
        let options = options.slice(Duration::from_millis(1));
        let site = Site::new(place, &options);
        let mut sender = site.open().sender().unwrap();
        let [mut victim, mut survivor] = [(); 2].map(|()| site.open().receiver().unwrap());
        let mut seen = Vec::new();
        for position in 0..sent {
            sender.try_send(words(position, 0)).unwrap();
            if position + waiting < sent {
                check(victim.try_recv().unwrap(), victim.position() - 1);
                seen.push(check(survivor.try_recv().unwrap(), survivor.position() - 1));
            }
        }
        Self { site, lossless, sender: Some(sender), victim: Some(victim), survivor, seen }
    }

    /// The survivor gets all that is there.
    fn survive(&mut self) {
        loop {
            let position = self.survivor.position();
            match self.survivor.try_recv() {
                Ok(message) => self.seen.push(check(message, position)),
                Err(TryRecvError::Lagged(missed)) => {
                    assert!(!self.lossless);
                    // Nobody knows who sent them.
                    self.seen.extend((0..missed).map(|_| MISSED));
                }
                Err(TryRecvError::Empty | TryRecvError::Closed | TryRecvError::Died) => break,
                Err(other) => panic!("{other}"),
            }
            assert_eq!(self.survivor.position(), self.seen.len() as u64);
        }
    }

    /// Whoever comes now gets the same as the survivor got.
    fn compare(&mut self) {
        let mut late = self.site.open().receiver_from(Start::Oldest).unwrap();
        for position in late.position()..self.seen.len() as u64 {
            let life = check(late.try_recv().unwrap(), position);
            let seen = self.seen[position as usize];
            assert!(seen == MISSED || life == seen, "{position} was written again");
        }
    }

    /// Everybody goes on: nobody waits for the dead.
    fn go_on(&mut self, life: u64) {
        let mut sender = match self.sender.take() {
            Some(sender) => sender,
            None => self.site.open().sender().unwrap(),
        };
        let position = sender.position();
        assert_eq!(position, self.seen.len() as u64, "behind what was committed");
        // One who lives and reads nothing would hold it back.
        drop(self.victim.take());
        for position in position..position + 3 * CAPACITY {
            sender.send_timeout(words(position, life), LONG).unwrap();
            self.survive();
            self.compare();
        }
        // All seats are there again.
        let others = [(); 2].map(|()| self.site.open().receiver());
        assert!(others.iter().all(Result::is_ok), "{others:?}");
        assert_eq!(sender.wait_for_peer(Some(LONG)), Ok(()));
        assert_eq!(sender.receivers().unwrap(), 3);
    }
}

/// Does it, killed before access `kill`; whether it was.
fn killed(world: &mut World, verb: Verb, kill: u64) -> bool {
    let ring = world.site.open();
    if verb == Verb::SenderComes {
        drop(world.sender.take());
        return kill_before(kill, move || drop(ring.sender().unwrap())).is_none();
    }
    if SENDERS.contains(&verb) {
        let mut sender = world.sender.take().unwrap();
        let first = sender.position();
        let batch: Vec<_> = (first..first + 3).map(|position| words(position, 1)).collect();
        let full = |outcome: Result<(), TrySendError<()>>| {
            assert!(matches!(outcome, Ok(()) | Err(TrySendError::Full(()))));
        };
        return kill_before(kill, move || match verb {
            Verb::TrySend => full(sender.try_send(batch[0]).map_err(|_| TrySendError::Full(()))),
            Verb::Send => _ = sender.send_timeout(batch[0], Duration::ZERO),
            Verb::TrySendMany => full(sender.try_send_many(&batch).map(|_| ())),
            Verb::SendMany if sender.try_send(batch[0]).is_ok() => {
                full(sender.try_send_many(&batch[1..]).map(|_| ()));
            }
            _ => drop(sender),
        })
        .is_none();
    }
    let mut victim = world.victim.take();
    if matches!(verb, Verb::Comes(_)) {
        drop(victim.take());
    }
    kill_before(kill, move || {
        if let Verb::Comes(start) = verb {
            drop(ring.receiver_from(start).unwrap());
            return;
        }
        let mut victim = victim.unwrap();
        let position = victim.position();
        let one = |outcome: Result<Words, TryRecvError>| {
            if let Ok(message) = outcome {
                check(message, position);
            }
        };
        match verb {
            Verb::TryRecv => one(victim.try_recv()),
            Verb::Recv => _ = victim.recv_timeout(Duration::ZERO),
            Verb::TryRecvMany => {
                let mut out = [[0; 4]; 3];
                if let Ok(count) = victim.try_recv_many(&mut out) {
                    for (message, position) in out[..count].iter().zip(position..) {
                        check(*message, position);
                    }
                }
            }
            Verb::RecvWith => _ = victim.try_recv_with(|view| assert_eq!(view.len(), 32)),
            Verb::Latest => _ = victim.latest().map(|message| check(message, message[0])),
            _ => {}
        }
    })
    .is_none()
}

/// A kill at every access of the verb, on rings that are empty, full, or, if they may be
/// overwritten, overrun, in the first lap and later. How many kills there were.
fn everywhere(place: Place, verbs: &[Verb]) -> u64 {
    quiet();
    let mut kills = 0;
    for (lossless, sent, waiting) in [
        (false, 0, 0),
        (false, 3, 1),
        (false, 7, 7),
        (false, 9, 4),
        (true, 0, 0),
        (true, 3, 1),
        (true, 9, 2),
        (true, 9, 4),
    ] {
        for verb in verbs {
            for kill in 1.. {
                let mut world = World::new(place, lossless, sent, waiting);
                let was = killed(&mut world, *verb, kill);
                world.survive();
                world.compare();
                world.go_on(2);
                if !was {
                    break;
                }
                kills += 1;
            }
        }
    }
    kills
}

#[test]
fn a_sender_killed_anywhere_commits_each_message_whole_or_not() {
    let _alone = alone();
    for place in PLACES {
        let kills = everywhere(place, &SENDERS);
        println!("{place:?}: {kills} kills");
        assert!(kills > 300, "only {kills}");
    }
}

/// Every death of a sender, and after it every death of its successor, who had come to send:
/// of two of them, each may have left one thing undone.
#[test]
fn senders_killed_anywhere_one_after_the_other_leave_each_message_whole_or_not() {
    let _alone = alone();
    quiet();
    let mut deaths = 0;
    for (lossless, sent, waiting) in [(false, 0, 0), (false, 7, 1), (true, 9, 2)] {
        'first: for first in 1.. {
            for second in 1.. {
                let mut world = World::new(Place::Heap, lossless, sent, waiting);
                if !killed(&mut world, Verb::TrySend, first) {
                    break 'first;
                }
                let (ring, lossless) = (world.site.open(), world.lossless);
                let successor = move || {
                    let mut sender = ring.sender().unwrap();
                    for _ in 0..2 {
                        let message = words(sender.position(), 1);
                        assert!(sender.try_send(message).is_ok() || lossless);
                    }
                };
                let was = kill_before(second, successor).is_none();
                world.survive();
                world.compare();
                world.go_on(2);
                if !was {
                    break;
                }
                deaths += 1;
            }
        }
    }
    println!("{deaths} pairs of deaths");
    assert!(deaths > 200, "only {deaths}");
}

#[test]
fn a_receiver_killed_anywhere_holds_nobody_back() {
    let _alone = alone();
    for place in PLACES {
        let kills = everywhere(place, &RECEIVERS);
        println!("{place:?}: {kills} kills");
        assert!(kills > 300, "only {kills}");
    }
}

#[test]
fn one_look_finds_everybody_who_has_died() {
    let _alone = alone();
    for (place, lossless) in PLACES.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let options = Ring::<Words>::options().capacity(CAPACITY).seats(5).lossless(lossless);
        let site = Site::new(place, &options);
        let mut sender = site.open().sender().unwrap();
        let [lives, mut others @ ..] = [(); 4].map(|()| Some(site.open().receiver().unwrap()));
        for _ in 0..CAPACITY {
            sender.try_send(words(sender.position(), 0)).unwrap();
        }
        for victim in &mut others {
            let mut victim = victim.take().unwrap();
            assert!(kill_before(2, move || victim.try_recv()).is_none());
        }
        let mut lives = lives.unwrap();
        check(lives.try_recv().unwrap(), 0);
        assert_eq!(sender.receivers().unwrap(), 4, "nobody has looked");
        assert_eq!(sender.wait_for_peer(Some(Duration::ZERO)), Ok(()));
        assert_eq!(sender.receivers().unwrap(), 1);
        // Nor does any of them hold it back.
        assert_eq!(sender.try_send(words(CAPACITY, 0)), Ok(()));
    }
}

/// Whether a message is torn if its sender is killed while it is written over: a half is
/// read before, a half after. It is killed behind the mark, if there is one, and the words.
fn is_torn(marked: bool) -> bool {
    type Long = [u64; 32];
    let ring = Ring::<Long>::options().capacity(2).create_memfd("cast").unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    for number in 0..2 {
        sender.try_send([number; 32]).unwrap();
    }
    let received = receiver.try_recv_with(|view| {
        let mut message: Long = [0; 32];
        let (first, second) = zerocopy::IntoBytes::as_mut_bytes(&mut message).split_at_mut(128);
        view.read_at(0, first);
        kill_before(if marked { 3 } else { 2 }, || sender.try_send([2; 32]).unwrap());
        view.read_at(128, second);
        message
    });
    match received {
        Ok(message) => message != [message[0]; 32],
        Err(TryRecvError::Lagged(_)) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_slot_that_is_written_without_a_mark_is_noticed() {
    let _alone = alone();
    quiet();
    assert!(!is_torn(true));
    seed(Some(Bug::NoWritingMark));
    let torn = is_torn(false);
    // Back to what the whole process was told to have.
    seed(std::env::var("ANNULUS_SEEDED_BUG").ok().and_then(|name| Bug::named(&name)));
    assert!(torn, "the net has a hole");
}

#[test]
fn a_send_takes_five_accesses_and_a_receive_three_whatever_the_capacity() {
    let _alone = alone();
    for (place, capacity) in PLACES.into_iter().flat_map(|it| [(it, 2), (it, 8), (it, 1024)]) {
        let options = Ring::<Words>::options().capacity(capacity).seats(3);
        for lossless in [false, true] {
            let site = Site::new(place, &options.clone().lossless(lossless));
            let (mut sender, mut receiver) =
                (site.ring.sender().unwrap(), site.open().receiver().unwrap());
            let flag = u64::from(lossless);
            let cadence = (capacity / 8).clamp(1, 32);
            for position in 0..2 * capacity {
                // The mark, the message, its stamp, the tail, the flag of sleepers.
                let (sent, accesses) = count(|| sender.try_send(words(position, 0)));
                // And in a lossless ring at most once in a cadence: the seats' states and the
                // position, the limit, the same again.
                assert!(sent.is_ok() && (accesses == 5 || (lossless && accesses <= 5 + 7)));
                // The stamp, the message, the stamp; what is told, and the flag of the sender.
                let told = if (position + 1).is_multiple_of(cadence) { 1 + flag } else { 0 };
                assert_eq!(count(|| receiver.try_recv().unwrap()), (words(position, 0), 3 + told));
            }
            // The stamp twice, the sender's seat.
            assert_eq!(count(|| receiver.try_recv()), (Err(TryRecvError::Empty), 3));
        }
    }
}

#[test]
fn one_who_lags_goes_on_where_messages_are_whatever_the_tail_says() {
    let _alone = alone();
    for place in PLACES {
        for far in [17, 1 << 20, 1 << 40, u64::MAX / 2] {
            let site = Site::new(place, &Ring::<Words>::options().capacity(8));
            let (mut sender, mut receiver) =
                (site.ring.sender().unwrap(), site.open().receiver().unwrap());
            for position in 0..20 {
                sender.try_send(words(position, 0)).unwrap();
            }
            // The tail is a hint: the slots know better.
            let liar = move |edge: &str, value: u64| match edge {
                "relaxed::HINT" => value.wrapping_add(far),
                _ => value,
            };
            let told = lie(Box::new(liar), || receiver.try_recv());
            assert_eq!(told, Err(TryRecvError::Lagged(receiver.position())));
            assert!(receiver.position() < 20, "{}", receiver.position());
            // It may be overrun there once more, and then is told by a tail that is true.
            if receiver.position() < 12 {
                assert!(matches!(receiver.try_recv(), Err(TryRecvError::Lagged(_))));
            }
            let position = receiver.position();
            assert_eq!(receiver.try_recv(), Ok(words(position, 0)));
        }
    }
}
