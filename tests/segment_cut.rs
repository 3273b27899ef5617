//! Segments that a peer cuts off, of each kind of ring, with few seats and with many: whoever
//! guards himself and looks at what others have done is told, and does not take what is gone
//! for a new ring.

mod segments;
mod support;

use std::fs::File;
use std::time::Duration;

use annulus::{
    Error, Fault, Observer, Options, RecvError, RingKind, SendError, WaitError, broadcast, frames,
    mpmc, spsc, stream,
};
use segments::{SPOTS, Spot};

const CAPACITY: usize = 8;
const SLICE: Duration = Duration::from_millis(1);

/// Whoever waits is told when he looks around at the latest, which is long before this.
const LONG: Duration = Duration::from_secs(3);

/// How a call ended that was made when the segment was gone.
#[derive(Debug, PartialEq)]
enum Ended {
    /// It said that the memory can't be a ring's.
    Told,
    /// It went as if nothing had been.
    Unaware,
    /// It said something else of the ring.
    Deceived(String),
}

use Ended::{Told, Unaware};

/// What a result is to one whose segment is gone.
trait Ends {
    fn ended(self) -> Ended;
}

/// A counter of ones is past the last position.
fn faulted(fault: Fault) -> Ended {
    match fault {
        Fault::Corrupt(_) | Fault::PositionLimit => Told,
        other => Ended::Deceived(other.to_string()),
    }
}

impl<T, E: Ends> Ends for Result<T, E> {
    fn ended(self) -> Ended {
        self.map_or_else(Ends::ended, |_| Unaware)
    }
}

impl<M> Ends for SendError<M> {
    fn ended(self) -> Ended {
        match self {
            Self::Fault(_, fault) => faulted(fault),
            other => Ended::Deceived(format!("{other:?}")),
        }
    }
}

impl Ends for RecvError {
    fn ended(self) -> Ended {
        match self {
            Self::Fault(fault) => faulted(fault),
            other => Ended::Deceived(format!("{other:?}")),
        }
    }
}

impl Ends for WaitError {
    fn ended(self) -> Ended {
        match self {
            Self::Fault(fault) => faulted(fault),
            other => Ended::Deceived(format!("{other:?}")),
        }
    }
}

/// How many messages a ring has had, and how many are in it: in the first lap and later.
const FILLS: [(usize, usize); 6] = [(0, 0), (0, 3), (3, 0), (CAPACITY, 0), (20, 0), (20, CAPACITY)];

/// A kind of ring, and what its ends do.
struct Cell<R, S, V> {
    name: &'static str,
    options: Options<R>,
    come: fn(&R) -> Result<(S, V), Error>,
    send: fn(&mut S) -> Ended,
    recv: fn(&mut V) -> Ended,
    /// They look for each other, where they can.
    look: Option<fn(&mut S, &mut V) -> [Ended; 2]>,
}

/// A ring that was cut off, and who sat there.
struct Site<R, S, V> {
    spot: Spot,
    ring: R,
    ends: (S, V),
}

impl<R: RingKind, S, V> Cell<R, S, V> {
    fn cut(&self, spot: Spot, (passed, left): (usize, usize)) -> Site<R, S, V> {
        let options = self.options.clone().sigbus_guard(true).slice(SLICE);
        let ring = options.create_new(&spot.address).unwrap();
        let (mut sender, mut receiver) = (self.come)(&ring).unwrap();
        for n in 0..passed + left {
            assert_eq!((self.send)(&mut sender), Unaware, "{}", self.name);
            if n < passed {
                assert_eq!((self.recv)(&mut receiver), Unaware, "{}", self.name);
            }
        }
        File::options().write(true).open(&spot.path).unwrap().set_len(0).unwrap();
        Site { spot, ring, ends: (sender, receiver) }
    }

    /// Cuts it off before each of the verbs. `looks`: a sender looks at others' words.
    fn check(&self, looks: bool) {
        for (spot, fill) in SPOTS.into_iter().flat_map(|spot| FILLS.map(|fill| (spot, fill))) {
            let place = format!("{} with {fill:?}", self.name);
            // No more than there was, or a lap of room, goes as if nothing had been; then this
            // end is told, and stays so.
            let check = |known: usize, calls: usize, call: &mut dyn FnMut() -> Ended| {
                let mut unaware = 0;
                for n in 0..calls {
                    match call() {
                        Unaware if unaware == n => unaware += 1,
                        said => assert_eq!(said, Told, "{place}, call {n}"),
                    }
                }
                assert!(unaware <= known, "{place}: {unaware} of {known}");
            };
            let (_, left) = fill;
            let mut site = self.cut(spot(), fill);
            check(left, left + 3, &mut || (self.recv)(&mut site.ends.1));

            let mut site = self.cut(spot(), fill);
            let room = if looks { CAPACITY } else { usize::MAX };
            check(room, 2 * CAPACITY, &mut || (self.send)(&mut site.ends.0));

            let Site { spot, ring, ends: (mut sender, mut receiver) } = self.cut(spot(), fill);
            if let Some(look) = self.look {
                assert_eq!(look(&mut sender, &mut receiver), [Told, Told], "{place}");
            }
            // Whoever comes now: by the ring that is open, and by the name.
            drop((sender, receiver));
            if let Ok((_sender, mut receiver)) = (self.come)(&ring) {
                assert_eq!((self.recv)(&mut receiver), Told, "{place}");
            }
            assert!(self.options.open(&spot.address).is_err(), "{place}");
            assert!(Observer::open_guarded(&spot.address).is_err(), "{place}");
        }
    }
}

macro_rules! look {
    () => {
        Some(|sender, receiver| {
            [sender.wait_for_peer(Some(LONG)).ended(), receiver.wait_for_peer(Some(LONG)).ended()]
        })
    };
}

#[test]
fn a_ring_of_two_that_is_cut_off_is_no_new_one() {
    Cell {
        name: "spsc",
        options: spsc::Ring::<u64>::options().capacity(CAPACITY as u64),
        come: |ring| Ok((ring.sender()?, ring.receiver()?)),
        send: |sender| sender.send_timeout(7, LONG).ended(),
        recv: |receiver| receiver.recv_timeout(LONG).ended(),
        look: look!(),
    }
    .check(true);
    Cell {
        name: "stream",
        options: stream::Ring::options().capacity(CAPACITY as u64),
        come: |ring| Ok((ring.sender()?, ring.receiver()?)),
        send: |sender| sender.send_timeout(b"7", LONG).ended(),
        recv: |receiver| receiver.recv_timeout(&mut [0], LONG).ended(),
        look: look!(),
    }
    .check(true);
}

#[test]
fn an_mpmc_ring_that_is_cut_off_is_no_new_one() {
    for seats in [2, 5, 128] {
        Cell {
            name: "mpmc",
            options: mpmc::Ring::<u64>::options().capacity(CAPACITY as u64).seats(seats),
            come: |ring| Ok((ring.sender()?, ring.receiver()?)),
            send: |sender| sender.send_timeout(7, LONG).ended(),
            recv: |receiver| receiver.recv_timeout(LONG).ended(),
            look: look!(),
        }
        .check(true);
        Cell {
            name: "frames",
            options: frames::Ring::options().capacity(CAPACITY as u64).seats(seats).max_len(8),
            come: |ring| Ok((ring.sender()?, ring.receiver()?)),
            send: |sender| match sender.take_timeout(LONG) {
                Ok(frame) => frame.send_timeout(LONG).map_err(|error| error.reason).ended(),
                Err(error) => error.ended(),
            },
            recv: |receiver| receiver.recv_timeout(LONG).ended(),
            look: None,
        }
        .check(true);
    }
}

#[test]
fn a_broadcast_that_is_cut_off_is_no_new_one() {
    // A sender that overwrites looks at nobody's words to send.
    for (seats, lossless) in [2, 5, 64].into_iter().flat_map(|n| [(n, false), (n, true)]) {
        let options = broadcast::Ring::<u64>::options().capacity(CAPACITY as u64);
        Cell {
            name: if lossless { "lossless broadcast" } else { "broadcast" },
            options: options.seats(seats).lossless(lossless),
            come: |ring| Ok((ring.sender()?, ring.receiver()?)),
            send: |sender| sender.send_timeout(7, LONG).ended(),
            recv: |receiver| receiver.recv_timeout(LONG).ended(),
            look: look!(),
        }
        .check(lossless);
    }
}
