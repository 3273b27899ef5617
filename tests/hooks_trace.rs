//! The documented order of accesses, verb by verb: what commits comes after what it
//! commits, what exposes before what it exposes.

mod hooks;
mod oracles;
mod scale;
mod support;

use annulus::hooks::{Access, FORMAT, HEADER, Op, slot_shape, trace};
use annulus::spsc::Ring;
use hooks::account::offset;
use hooks::{Account, Words};
use oracles::place::{PLACES, Place, Site};

const CAPACITY: u64 = 4;
const M: Words = [7; 4];

/// A word of the segment, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Head,
    /// Of a receiver that sleeps, of a sender that sleeps.
    Flag(&'static str),
    Stamp(u64),
    State(&'static str),
    Pid(&'static str),
    Claim,
    Magic,
    Header,
    /// Message bytes: no word.
    Payload,
    /// In no segment: a heap ring's stand-in for the kernel's lock.
    Lock,
}

/// One access: what, by which edge, to which word, with which value.
type Step = (Op, &'static str, Word, u64);

/// A ring and the names of its words.
struct Map {
    site: Site<Words>,
    account: Account,
}

impl Map {
    fn new(place: Place) -> (Self, Vec<Step>) {
        let (site, made) = trace(|| Site::new(place, &Ring::options().capacity(CAPACITY)));
        let map = Self { site, account: Account::new(&made, 0) };
        let steps = made.iter().map(|access| map.name(access)).collect();
        (map, steps)
    }

    fn name(&self, access: &Access) -> Step {
        let word = match access.edge {
            "payload" => Word::Payload,
            _ => self.account.offset(access).map_or(Word::Lock, |at| self.word(at)),
        };
        (access.op, access.edge, word, access.value)
    }

    fn word(&self, at: usize) -> Word {
        let slots = offset("slots");
        let (stride, _) = slot_shape(32, 8);
        for seat in ["sender seat", "receiver seat"] {
            match at.checked_sub(offset(seat)) {
                Some(within) if within == offset("seat state") => return Word::State(seat),
                Some(within) if within == offset("seat pid") => return Word::Pid(seat),
                Some(within) if within == offset("seat claim") => return Word::Claim,
                _ => {}
            }
        }
        for event in ["not empty", "not full"] {
            if at == offset(event) + offset("event flag") {
                return Word::Flag(event);
            }
        }
        match at {
            0 => Word::Magic,
            at if HEADER.iter().any(|(known, _)| *known == at) => Word::Header,
            at if at == offset("head") => Word::Head,
            at => {
                let index = at.checked_sub(slots).expect("a known word");
                assert!(index.is_multiple_of(stride), "offset {at} is no known word");
                Word::Stamp((index / stride) as u64)
            }
        }
    }

    /// The accesses of a call, by name.
    fn steps<R>(&self, call: impl FnOnce() -> R) -> (R, Vec<Step>) {
        let (result, accesses) = trace(call);
        (result, accesses.iter().map(|access| self.name(access)).collect())
    }
}

const COPY_IN: Step = (Op::CopyIn, "payload", Word::Payload, 32);
const COPY_OUT: Step = (Op::CopyOut, "payload", Word::Payload, 32);

fn publishes(position: u64) -> Step {
    let word = Word::Stamp(position % CAPACITY);
    (Op::Store, "publish::RELEASE", word, position + 1)
}

/// Looks whether somebody sleeps, once what he sleeps for is done.
fn looks_for(event: &'static str) -> Step {
    (Op::Load, "relaxed::FENCED", Word::Flag(event), 0)
}

fn sees(position: u64) -> Step {
    (Op::Load, "publish::ACQUIRE", Word::Stamp(position % CAPACITY), position + 1)
}

fn retires(head: u64) -> Step {
    (Op::Store, "retire::RELEASE", Word::Head, head)
}

fn claims(end: u64) -> Step {
    (Op::Store, "relaxed::SOLE_WRITER", Word::Claim, end)
}

#[test]
fn a_message_is_written_before_its_stamp_and_read_before_the_head_passes_it() {
    for place in PLACES {
        let (map, _) = Map::new(place);
        let mut sender = map.site.one.sender().unwrap();
        let mut receiver = map.site.other.receiver().unwrap();
        for p in 0..2 * CAPACITY {
            let (_, steps) = map.steps(|| sender.try_send(M).unwrap());
            // A lap later the head is looked at first.
            let look = (Op::Load, "retire::ACQUIRE", Word::Head, p);
            let look = (p == CAPACITY).then_some(look);
            let expected: Vec<_> =
                look.into_iter().chain([COPY_IN, publishes(p), looks_for("not empty")]).collect();
            assert_eq!(steps, expected);
            let (_, steps) = map.steps(|| receiver.try_recv().unwrap());
            assert_eq!(steps, [sees(p), COPY_OUT, retires(p + 1), looks_for("not full")]);
        }
    }
}

#[test]
fn a_batch_is_stamped_in_ascending_order_after_the_bytes_of_its_run() {
    for place in PLACES {
        let (map, _) = Map::new(place);
        let mut sender = map.site.one.sender().unwrap();
        let mut receiver = map.site.other.receiver().unwrap();
        let (_, steps) = map.steps(|| sender.try_send_many(&[M; 3]).unwrap());
        let stamps = (0..3).map(publishes);
        let all: Vec<_> =
            [COPY_IN; 3].into_iter().chain(stamps).chain([looks_for("not empty")]).collect();
        assert_eq!(steps, all);
        // All are read before the head passes any.
        let mut out = [M; 3];
        let (_, steps) = map.steps(|| receiver.try_recv_many(&mut out).unwrap());
        let each = (0..3).flat_map(|p| [sees(p), COPY_OUT]);
        let all: Vec<_> =
            [sees(0)].into_iter().chain(each).chain([retires(3), looks_for("not full")]).collect();
        assert_eq!(steps, all);
    }
}

#[test]
fn a_reservation_is_stamped_last_and_an_abort_never() {
    for place in PLACES {
        let (map, _) = Map::new(place);
        let mut sender = map.site.one.sender().unwrap();
        let (_, steps) = map.steps(|| _ = sender.try_reserve().unwrap().append(&[1; 32]));
        assert_eq!(steps, [COPY_IN]);
        let commit = || {
            let mut slot = sender.try_reserve().unwrap();
            slot.append(&[1; 8]);
            slot.commit()
        };
        let (_, steps) = map.steps(commit);
        let copies = |len| (Op::CopyIn, "payload", Word::Payload, len);
        assert_eq!(steps, [copies(8), copies(24), copies(0), publishes(0), looks_for("not empty")]);
    }
}

#[test]
fn a_guard_is_claimed_before_it_is_read_and_released_by_the_head() {
    for place in PLACES {
        let (map, _) = Map::new(place);
        let mut sender = map.site.one.sender().unwrap();
        let mut receiver = map.site.other.receiver().unwrap();
        for p in 0..2 * CAPACITY {
            sender.try_send(M).unwrap();
            let (_, steps) = map.steps(|| receiver.try_recv_ref().unwrap().read());
            assert_eq!(
                steps,
                [sees(p), claims(p + 1), COPY_OUT, retires(p + 1), looks_for("not full")]
            );
        }
        sender.try_send(M).unwrap();
        std::mem::forget(receiver.try_recv_ref().unwrap());
        let (_, steps) = map.steps(|| drop(receiver));
        let closed = (Op::Store, "seat::RELEASE", Word::State("receiver seat"), 1 << 8 | 3);
        assert_eq!(
            steps,
            [
                retires(2 * CAPACITY + 1),
                looks_for("not full"),
                claims(0),
                closed,
                looks_for("not full")
            ]
        );
    }
}

#[test]
fn a_seat_is_taken_before_anything_is_read_and_left_after_all_is_written() {
    for place in PLACES {
        let (map, _) = Map::new(place);
        for incarnation in 1..4u64 {
            let (sender, steps) = map.steps(|| map.site.one.sender().unwrap());
            let seat = Word::State("sender seat");
            let (was, now) = match incarnation {
                1 => (0, 1 << 8 | 1),
                n => ((n - 1) << 8 | 3, n << 8 | 1),
            };
            let lock = (Op::Exchange, "seat::ACQUIRE", Word::Lock, 1);
            let steps = match steps.strip_prefix(&[lock]) {
                Some(rest) if place == Place::Heap => rest,
                _ => &steps,
            };
            let pid = u64::from(std::process::id());
            let expected = [
                (Op::Load, "seat::ACQUIRE", seat, was),
                (Op::Store, "relaxed::SOLE_WRITER", Word::Pid("sender seat"), pid),
                (Op::Exchange, "seat::RELEASE", seat, now),
                (Op::Load, "retire::ACQUIRE", Word::Head, 0),
            ];
            assert_eq!(steps[..4], expected);
            let (_, steps) = map.steps(|| drop(sender));
            let closed = (Op::Store, "seat::RELEASE", seat, incarnation << 8 | 3);
            assert_eq!(steps, [closed, looks_for("not empty")]);
        }
    }
}

#[test]
fn a_segment_is_whole_before_its_magic_and_an_opener_reads_the_magic_first() {
    let magic = FORMAT.iter().find(|(name, _)| *name == "magic").unwrap().1;
    for place in PLACES {
        let (_, steps) = Map::new(place);
        let made = steps.iter().position(|(_, edge, ..)| *edge == "format::RELEASE").unwrap();
        assert_eq!(steps[made], (Op::Store, "format::RELEASE", Word::Magic, magic));
        let (making, opening) = (&steps[..made], &steps[made + 1..]);
        // Nothing is written behind the magic.
        assert!(opening.iter().all(|(op, ..)| *op == Op::Load), "{opening:?}");
        let writes = |word| making.iter().filter(|step| step.2 == word).count();
        assert_eq!(writes(Word::Head), 1);
        assert_eq!(writes(Word::Header), HEADER.len() - 1);
        for index in 0..CAPACITY {
            assert_eq!(writes(Word::Stamp(index)), 1);
        }
        if place != Place::Heap {
            let first = (Op::Load, "format::ACQUIRE", Word::Magic, magic);
            assert_eq!(opening[0], first);
            // Each word of the header once: by the opener, then by the observer.
            let openings: Vec<_> = opening.split(|step| *step == first).skip(1).collect();
            assert_eq!(openings.len(), 2);
            for words in openings {
                assert!(
                    words.iter().all(|(op, _, word, _)| (*op, *word) == (Op::Load, Word::Header))
                );
                assert_eq!(words.len(), HEADER.len() - 1);
            }
        }
    }
}
