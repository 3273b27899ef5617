//! Somebody dies, or is stopped, in the midst of another's call to an mpmc ring: those who
//! come after them get on, as docs/mpmc.md says of each.

mod interleaving;
mod mpmcs;
mod support;

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use annulus::TrySendError;
use annulus::hooks::kill_before;
use annulus::mpmc::{Receiver, Ring, Sender};
use interleaving::{Actor, Op, in_midst};
use mpmcs::site::{Place, Site};
use mpmcs::{Words, words};

const CAPACITY: u64 = 4;

/// Long enough for anything that does not hang: the slice is a millisecond.
const LONG: Duration = Duration::from_secs(20);

/// A ring on which two senders died over one position: the one in seat `loser` had noted it,
/// the other had taken it too. A third has sent behind them.
fn dead_over_one(loser: usize) -> (Site<Words>, Sender<Words>, Receiver<Words>) {
    let options = Ring::options().capacity(CAPACITY).seats(3);
    let options = options.slice(Duration::from_millis(1));
    // How far somebody gets who notes it and does not take it.
    let noted = (1..100).find(|k| {
        let site = Site::<Words>::new(Place::Memfd, &options);
        let mut sender = site.one.sender().unwrap();
        kill_before(*k, move || sender.try_send(words(0)));
        site.seat(0).claim != 0
    });
    let site = Site::new(Place::Memfd, &options);
    let mut victims = [(); 2].map(|()| site.one.sender().unwrap());
    let mut third = site.one.sender().unwrap();
    if loser == 1 {
        victims.reverse();
    }
    for (mut victim, further) in victims.into_iter().zip(0..) {
        let killed = kill_before(noted.unwrap() + further, move || victim.try_send(words(0)));
        assert!(killed.is_none());
    }
    assert_eq!(site.seat(0).claim, site.seat(1).claim);
    third.try_send(words(1)).unwrap();
    let receiver = site.other.receiver().unwrap();
    (site, third, receiver)
}

/// Whoever settles one of them may be stopped meanwhile: if he has said that he does, others
/// settle the other one, and so the position.
#[test]
fn who_is_stopped_while_settling_one_of_two_dead_keeps_nobody_from_the_other() {
    for loser in [0, 1] {
        let (mut moments, mut got_on) = (0, 0);
        loop {
            let (site, mut third, mut receiver) = dead_over_one(loser);
            let (seats, got) = (site.file.as_ref().unwrap().try_clone().unwrap(), channel());
            let meanwhile = move || {
                let is_recovering = |seat| mpmcs::site::seat_in(&seats, seat).state == 2;
                let received =
                    [0, 1].into_iter().any(is_recovering).then(|| receiver.recv_timeout(LONG));
                got.0.send((received, receiver)).unwrap();
            };
            let settle = || third.wait_for_peer(Some(Duration::ZERO));
            let (_, left) = in_midst(moments + 1, settle, meanwhile);
            if left.is_some() {
                break;
            }
            moments += 1;
            let (received, mut receiver) = got.1.recv().unwrap();
            got_on += u64::from(received.is_some());
            let received = received.unwrap_or_else(|| receiver.recv_timeout(LONG));
            assert_eq!(received, Ok(words(1)), "stopped at {moments}");
        }
        println!("{got_on} of {moments} moments");
        assert!(got_on >= 5, "{got_on} of {moments}");
    }
}

/// Both do the same, to a ring on which so many messages wait.
#[derive(Clone, Copy, Debug)]
struct Pair {
    op: Op,
    cast: (usize, usize),
    waiting: u64,
}

const PAIRS: [Pair; 4] = [
    Pair { op: Op::Send, cast: (2, 1), waiting: CAPACITY - 1 },
    Pair { op: Op::SendMany(2), cast: (2, 1), waiting: 1 },
    Pair { op: Op::Recv, cast: (1, 2), waiting: 1 },
    Pair { op: Op::RecvMany(2), cast: (1, 2), waiting: 3 },
];

/// One of each pair is killed before every access, at every moment of the other's call.
fn everywhere(settled_at_once: bool) {
    let mut deaths = 0;
    for pair in PAIRS {
        for kill in 1.. {
            let (mut moments, mut killed) = (0, true);
            while let Some(was) = pair.dies_in_midst(kill, moments + 1, settled_at_once) {
                moments += 1;
                killed &= was;
                deaths += u64::from(was);
            }
            assert!(moments > 2, "{moments} moments of {pair:?}");
            if !killed {
                break;
            }
        }
    }
    println!("{deaths} deaths");
    assert!(deaths > 100, "only {deaths}");
}

/// One who is idle now, and was about to take what a dead one took: nothing of that is in
/// anybody's way, in two laps and more.
#[test]
fn who_dies_in_the_midst_of_anothers_call_is_settled_though_that_one_is_idle() {
    everywhere(false);
}

/// One who goes on afterwards has lost nothing, and nobody gets anything twice.
#[test]
fn who_dies_in_the_midst_of_anothers_call_and_is_settled_in_it_leaves_an_exact_account() {
    everywhere(true);
}

impl Pair {
    /// Whether one was killed, before access `kill`, at a moment of the other's call; `None`:
    /// there is no such moment.
    fn dies_in_midst(self, kill: u64, moment: u64, settled_at_once: bool) -> Option<bool> {
        let Self { op, cast: (senders, receivers), waiting } = self;
        let options = Ring::<u64>::options().capacity(CAPACITY).seats(3);
        let site = Site::new(Place::Memfd, &options.slice(Duration::from_millis(1)));
        let actor = |who| Actor::new(&site.one, who, who < senders);
        let mut actors: Vec<_> = (0..senders + receivers).map(actor).collect();
        for _ in 0..waiting {
            actors[0].act(Op::Send);
        }
        let (one, other) = if senders == 2 { (0, 1) } else { (1, 2) };
        let (mut victim, mut third) = (actors.remove(other), site.other.sender().unwrap());
        let done = channel();
        let dies = move || {
            let killed = kill_before(kill, move || victim.act(op)).is_none();
            if settled_at_once {
                let _ = third.wait_for_peer(Some(Duration::ZERO));
            }
            done.0.send(killed).unwrap();
        };
        let (said, left) = in_midst(moment, || actors[one].act(op), dies);
        if left.is_some() {
            return None;
        }
        let killed = done.1.recv().unwrap();
        let got = get_on(&site.other);
        let (sent, received) =
            if senders == 2 { (said.messages, vec![]) } else { (vec![], said.messages) };
        assert!(sent.iter().all(|message| got.contains_key(message)), "{sent:?} of {got:?}");
        let twice = received.iter().find(|message| got.get(message) == Some(&false));
        assert_eq!(twice, None, "twice unmarked");
        // By copy, what a dead one took may be gone with it.
        let lost =
            (0..waiting).filter(|it| !got.contains_key(it) && !received.contains(it)).count();
        let may = match op {
            Op::Recv => 1,
            Op::RecvMany(count) => count,
            _ => 0,
        };
        assert!(lost <= may, "{lost} lost: {got:?}, {received:?}");
        Some(killed)
    }
}

/// Newcomers send and receive some, behind whatever is there. What came, and whether marked.
fn get_on(ring: &Ring<u64>) -> BTreeMap<u64, bool> {
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let (began, first) = (Instant::now(), 1000);
    let (mut next, mut got) = (first, BTreeMap::new());
    while !got.contains_key(&(first + 3 * CAPACITY - 1)) {
        assert!(began.elapsed() < LONG, "held up, with {got:?}");
        if next < first + 3 * CAPACITY {
            match sender.try_send(next) {
                Ok(()) => next += 1,
                Err(TrySendError::Full(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        if let Ok(message) = receiver.recv_timeout(Duration::from_millis(2)) {
            let marked = receiver.last().redelivered;
            assert!(got.insert(message, marked).is_none() || marked, "{message} twice unmarked");
        }
    }
    assert!((first..next).all(|message| got.contains_key(&message)), "{got:?}");
    got
}
