//! One call in the midst of another, in one process: at each moment of the one, all of the
//! other. What both say, and what is left, must be what one sequence of their steps gives; a
//! batch may be sent and received in parts. In a broadcast each message comes at its own
//! position, or is told to be missed; in a lossless one none is.

mod interleaving;

use annulus::broadcast::Start;
use annulus::{broadcast, frames, mpmc, spsc, stream};
use interleaving::{Cast, Kind, Op, Scene, Tally};

const SENDS: [Op; 6] = [Op::Send, Op::SendMany(2), Op::Reserve, Op::Abort, Op::Comes, Op::Leaves];
const RECVS: [Op; 5] = [Op::Recv, Op::RecvMany(2), Op::Guard, Op::Comes, Op::Leaves];

/// What another one does meanwhile: each step alone, before leaving, after coming, and twice
/// if it is of one message.
fn parts(ops: &[Op]) -> Vec<Vec<Op>> {
    let some = ops.iter().filter(|op| !matches!(op, Op::Abort | Op::Comes | Op::Leaves));
    let single = |op: &Op| !matches!(op, Op::SendMany(_) | Op::RecvMany(_));
    let mut parts: Vec<_> = ops.iter().map(|op| vec![*op]).collect();
    for op in some {
        parts.extend([vec![*op, Op::Leaves], vec![Op::Comes, *op]]);
        parts.extend(single(op).then(|| vec![*op; 2]));
    }
    parts
}

/// A ring on which so many messages wait, in its second lap.
struct Ground<'a, K: Kind> {
    ring: &'a dyn Fn() -> K,
    cast: (usize, usize),
    capacity: usize,
    waiting: usize,
}

impl<K: Kind> Ground<'_, K> {
    /// Every call by `one` with every part of `other` in its midst.
    fn play(
        &self,
        (one, calls): (usize, &[Op]),
        (other, parts): (usize, &[Vec<Op>]),
        sequence: bool,
    ) -> Tally {
        let receiver = self.cast.0;
        let mut laps = [(0, Op::Send), (receiver, Op::Recv)].repeat(self.capacity + 1);
        laps.extend((0..self.waiting).map(|_| (0, Op::Send)));
        let mut tally = Tally::default();
        for call in calls {
            for part in parts {
                let mut before = laps.clone();
                // Who is to come has been there.
                let comes = [(one, *call), (other, part[0])].into_iter();
                let comes = comes.filter(|(_, op)| *op == Op::Comes);
                before.extend(comes.map(|(who, _)| (who, Op::Leaves)));
                let (one, other) = ((one, *call), (other, part.clone()));
                let scene = Scene { cast: self.cast, before, one, other, sequence };
                tally.add(scene.play(self.ring));
            }
        }
        tally
    }

    /// Whoever is the first sender, and the first receiver; each in the midst of the other.
    fn ends(&self, (sends, recvs): (&[Op], &[Op])) -> Tally {
        let receiver = self.cast.0;
        let mut tally = self.play((0, sends), (receiver, &parts(recvs)), true);
        tally.add(self.play((receiver, recvs), (0, &parts(sends)), true));
        tally
    }
}

/// It was not for nothing.
fn at_least(what: &str, tally: Tally, least: u64) {
    println!("{what}: {tally:?}");
    assert!(tally.moments >= least && tally.races * 4 >= tally.scenes, "{what}: {tally:?}");
}

#[test]
fn two_at_an_spsc_ring_say_what_some_sequence_of_their_steps_gives() {
    let ring = || spsc::Ring::from(spsc::Ring::options().capacity(4).create_heap().unwrap());
    let mut tally = Tally::default();
    for waiting in [0, 3, 4] {
        let ground = Ground { ring: &ring, cast: (1, 1), capacity: 4, waiting };
        tally.add(ground.ends((&SENDS, &RECVS)));
    }
    at_least("spsc", tally, 1000);
}

#[test]
fn two_at_a_stream_say_what_some_sequence_of_their_steps_gives() {
    let ring = || stream::Ring::from(stream::Ring::options().capacity(8).create_heap().unwrap());
    let mut tally = Tally::default();
    for waiting in [0, 7, 8] {
        let ground = Ground { ring: &ring, cast: (1, 1), capacity: 8, waiting };
        tally.add(ground.ends((&SENDS, &RECVS)));
    }
    at_least("stream", tally, 1000);
}

fn many() -> mpmc::Ring<u64> {
    mpmc::Ring::from(mpmc::Ring::options().capacity(4).seats(3).create_heap().unwrap())
}

#[test]
fn two_at_an_mpmc_ring_say_what_some_sequence_of_their_steps_gives() {
    let mut tally = Tally::default();
    for waiting in [0, 3, 4] {
        let ground = Ground { ring: &many, cast: (1, 1), capacity: 4, waiting };
        tally.add(ground.ends((&SENDS, &RECVS)));
    }
    at_least("mpmc", tally, 1000);
}

#[test]
fn two_of_a_side_of_an_mpmc_ring_say_what_some_sequence_of_their_steps_gives() {
    let mut tally = Tally::default();
    for waiting in [0, 3, 4] {
        let ground = Ground { ring: &many, cast: (2, 1), capacity: 4, waiting };
        tally.add(ground.play((1, &SENDS), (0, &parts(&SENDS)), true));
        let ground = Ground { ring: &many, cast: (1, 2), capacity: 4, waiting };
        tally.add(ground.play((2, &RECVS), (1, &parts(&RECVS)), true));
    }
    at_least("mpmc, of a side", tally, 1000);
}

const FRAME_SENDS: [Op; 4] = [Op::Send, Op::Abort, Op::Comes, Op::Leaves];
const FRAME_RECVS: [Op; 3] = [Op::Recv, Op::Comes, Op::Leaves];

#[test]
fn two_at_a_ring_of_frames_say_what_some_sequence_of_their_steps_gives() {
    let ring = || {
        let options = <frames::Ring>::options().capacity(4).max_len(8).seats(3);
        options.create_heap().unwrap()
    };
    let mut tally = Tally::default();
    for waiting in [0, 3, 4] {
        let two = Ground { ring: &ring, cast: (1, 1), capacity: 4, waiting };
        tally.add(two.ends((&FRAME_SENDS, &FRAME_RECVS)));
        let senders = Ground { cast: (2, 1), ..two };
        tally.add(senders.play((1, &FRAME_SENDS), (0, &parts(&FRAME_SENDS)), true));
        let receivers = Ground { cast: (1, 2), ..two };
        tally.add(receivers.play((2, &FRAME_RECVS), (1, &parts(&FRAME_RECVS)), true));
    }
    at_least("frames", tally, 1000);
}

/// A sender of a broadcast may go on for a lap and more meanwhile.
fn laps(capacity: usize) -> Vec<Vec<Op>> {
    let mut parts: Vec<_> = (1..=capacity + 1).map(|count| vec![Op::Send; count]).collect();
    parts.extend([vec![Op::SendMany(2)], vec![Op::Leaves], vec![Op::Send, Op::Leaves]]);
    parts.extend([vec![Op::Comes], vec![Op::Comes, Op::Send]]);
    parts
}

const CAST_SENDS: [Op; 4] = [Op::Send, Op::SendMany(2), Op::Comes, Op::Leaves];

/// All that two can do at a broadcast.
fn cast(lossless: bool, start: Start) -> Tally {
    let ring = || {
        let options = broadcast::Ring::options().capacity(4).seats(3).lossless(lossless);
        Cast(options.create_heap().unwrap(), start)
    };
    let mut tally = Tally::default();
    for waiting in [0, 3, 4] {
        let ground = Ground { ring: &ring, cast: (1, 1), capacity: 4, waiting };
        // One who comes to a lossless ring holds its sender back for a moment.
        let coming = |part: &Vec<Op>| part.contains(&Op::Comes);
        let (come, stay): (Vec<_>, Vec<_>) = parts(&RECVS).into_iter().partition(coming);
        tally.add(ground.play((0, &CAST_SENDS), (1, &stay), true));
        tally.add(ground.play((0, &CAST_SENDS), (1, &come), !lossless));
        let staying: Vec<_> = RECVS.into_iter().filter(|op| *op != Op::Comes).collect();
        tally.add(ground.play((1, &staying), (0, &laps(4)), true));
        tally.add(ground.play((1, &[Op::Comes]), (0, &laps(4)), !lossless));
    }
    tally
}

#[test]
fn a_broadcast_overwritten_in_the_midst_of_a_receive_gives_each_message_at_its_position() {
    for start in [Start::Newest, Start::Oldest] {
        at_least("broadcast", cast(false, start), 1000);
    }
}

#[test]
fn a_lossless_broadcast_overruns_nobody_who_reads_comes_or_leaves() {
    for start in [Start::Newest, Start::Oldest] {
        at_least("lossless", cast(true, start), 1000);
    }
}
