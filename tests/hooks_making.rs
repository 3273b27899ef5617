//! Makers and openers killed before any access to shared memory: a name appears with a
//! whole segment or not at all, and one who opens changes nothing.
#![allow(unsafe_code)]

mod hooks;
mod oracles;
mod scale;
mod segments;
mod support;

use std::ptr::NonNull;

use annulus::hooks::{Op, kill_before, trace};
use annulus::spsc::Ring;
use annulus::{
    Error, Field, Observer, Options, RingKind, SeatState, Segment, broadcast, frames, mpmc, stream,
};
use memmap2::MmapMut;
use segments::{Refusal, SPOTS, refusal};

fn options() -> Options<Ring<u64>> {
    Ring::options().capacity(4)
}

#[test]
fn one_who_is_killed_while_making_leaves_nothing_under_the_name() {
    hooks::quiet();
    type Make = fn(&str) -> Result<Ring<u64>, Error>;
    let verbs: [Make; 2] =
        [|address| options().create_new(address), |address| options().open_or_create(address)];
    for (spot, make) in SPOTS.into_iter().flat_map(|spot| verbs.map(|make| (spot, make))) {
        for k in 1.. {
            let spot = spot();
            if let Some(made) = kill_before(k, || make(&spot.address)) {
                // Head, stamps, header.
                assert_eq!(k, 1 + 1 + 4 + 13);
                made.unwrap();
                break;
            }
            assert!(spot.neighbours().is_empty(), "killed before {k}");
            assert_eq!(refusal(spot.open()), Refusal::NotFound);
        }
    }
}

#[test]
fn what_is_made_has_never_been_anything_else() {
    for spot in SPOTS {
        let spot = spot();
        let (made, steps) = trace(|| options().create_new(&spot.address).unwrap());
        assert!(steps.iter().all(|access| access.op == Op::Store));
        assert_eq!(steps.last().unwrap().edge, "format::RELEASE");
        let seen = Observer::open(&spot.address).unwrap();
        assert_eq!((seen.head(), seen.len(), seen.rescues()), (0, 0, (0, 0)));
        assert!(seen.seats().unwrap().iter().all(|seat| seat.state == SeatState::Vacant));
        drop(made);
    }
}

#[test]
fn one_who_is_killed_while_opening_changes_nothing() {
    hooks::quiet();
    for spot in SPOTS {
        let spot = spot();
        options().create_new(&spot.address).unwrap();
        let bytes = spot.bytes();
        for k in 1.. {
            let opened = kill_before(k, || spot.open().unwrap());
            let seen = kill_before(k, || Observer::open(&spot.address).unwrap());
            assert_eq!(spot.bytes(), bytes);
            if opened.is_some() && seen.is_some() {
                // Each word of the header once.
                assert_eq!(k, 1 + 13);
                break;
            }
        }
    }
}

/// The memory as a segment; it must outlive it.
fn adopt(memory: &mut MmapMut) -> Segment {
    let base = NonNull::new(memory.as_mut_ptr()).unwrap();
    // SAFETY: the callers keep the memory for longer, and look at it only afterwards.
    unsafe { Segment::from_mapping(base, memory.len(), None, Box::new(())) }.unwrap()
}

/// Makes a ring in memory, killed before each of his accesses in turn; `works` uses one that
/// was made in the same memory afterwards.
fn killed_in_memory<R: RingKind>(options: &Options<R>, works: fn(&R)) {
    let len = usize::try_from(options.segment_len().unwrap()).unwrap();
    for k in 1.. {
        let mut memory = MmapMut::map_anon(len).unwrap();
        let segment = adopt(&mut memory);
        let made = kill_before(k, || options.create_in(segment).map(drop));
        let opened = options.open_in(adopt(&mut memory)).map(drop);
        if made.is_some() {
            opened.unwrap();
            break;
        }
        assert!(matches!(refusal(opened), Refusal::Mismatch(Field::Magic, ..)), "at {k}");
        // Whoever owns the memory may clear it and begin again.
        memory[..128].fill(0);
        works(&options.create_in(adopt(&mut memory)).unwrap());
        options.open_in(adopt(&mut memory)).unwrap();
    }
}

#[test]
fn memory_in_which_a_maker_was_killed_is_no_segment() {
    hooks::quiet();
    killed_in_memory(&options(), |ring| {
        ring.sender().unwrap().send(7).unwrap();
        assert_eq!(ring.receiver().unwrap().recv(), Ok(7));
    });
    killed_in_memory(&stream::Ring::options().capacity(16), |ring| {
        ring.sender().unwrap().send(b"7").unwrap();
        assert_eq!(ring.receiver().unwrap().recv(&mut [0; 4]), Ok(1));
    });
    killed_in_memory(&mpmc::Ring::<u64>::options().capacity(4).seats(2), |ring| {
        let mut receiver = ring.receiver().unwrap();
        ring.sender().unwrap().send(7).unwrap();
        assert_eq!(receiver.recv(), Ok(7));
    });
    killed_in_memory(&broadcast::Ring::<u64>::options().capacity(4).seats(2), |ring| {
        let mut receiver = ring.receiver().unwrap();
        ring.sender().unwrap().send(7).unwrap();
        assert_eq!(receiver.recv(), Ok(7));
    });
    killed_in_memory(&frames::Ring::options().capacity(4).seats(2).max_len(8), |ring| {
        let mut receiver = ring.receiver().unwrap();
        let mut sender = ring.sender().unwrap();
        let mut frame = sender.take().unwrap();
        frame.append(b"7");
        assert!(frame.send().is_ok());
        assert_eq!(receiver.recv().unwrap().to_vec(), b"7");
    });
}
