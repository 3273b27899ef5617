//! Rings in memory that somebody else mapped.
#![allow(unsafe_code)]

mod segments;
mod support;

use std::any::Any;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annulus::spsc::Ring;
use annulus::{
    Corrupt, Error, Field, Found, Message, Options, SeatState, Segment, TryRecvError, WaitMethod,
};
use memmap2::MmapRaw;
use nix::sys::memfd::{MFdFlags, memfd_create};
use segments::{Refusal, refusal, too_short};

/// Memory of so many bytes, all zero, that can be mapped again.
fn memory(len: u64) -> File {
    let file = File::from(memfd_create("somebody-else", MFdFlags::MFD_CLOEXEC).unwrap());
    file.set_len(len).unwrap();
    file
}

/// Says when it is dropped.
struct Owner {
    _map: MmapRaw,
    dropped: Arc<AtomicBool>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
    }
}

/// A mapping of the memory as a segment, from `at` on; and whether its owner is gone.
fn adopt(
    memory: &File,
    at: usize,
    seats: Option<OwnedFd>,
) -> (Result<Segment, Error>, Arc<AtomicBool>) {
    let map = MmapRaw::map_raw(memory).unwrap();
    let dropped = Arc::new(AtomicBool::new(false));
    let (base, len) = (map.as_mut_ptr(), map.len());
    // SAFETY: `at` is within the mapping.
    let base = unsafe { NonNull::new(base).unwrap().add(at) };
    let owner: Box<dyn Any + Send + Sync> =
        Box::new(Owner { _map: map, dropped: Arc::clone(&dropped) });
    // SAFETY: mapped for as long as `owner` lives; nothing else here looks at it.
    let segment = unsafe { Segment::from_mapping(base, len - at, seats, owner) };
    (segment, dropped)
}

fn segment(memory: &File) -> Segment {
    adopt(memory, 0, Some(memory.try_clone().unwrap().into())).0.unwrap()
}

fn without_locks(memory: &File) -> Segment {
    adopt(memory, 0, None).0.unwrap()
}

fn options<M: Message>() -> Options<Ring<M>> {
    Ring::options().capacity(8).type_tag(1)
}

fn bytes(memory: &File) -> Vec<u8> {
    let map = MmapRaw::map_raw(memory).unwrap();
    // SAFETY: mapped, and nobody writes to it now.
    unsafe { std::slice::from_raw_parts(map.as_ptr(), map.len()) }.to_vec()
}

/// Sets some bytes.
fn write(memory: &File, at: u64, bytes: &[u8]) {
    std::os::unix::fs::FileExt::write_all_at(memory, bytes, at).unwrap();
}

#[test]
fn a_ring_is_made_in_one_mapping_and_opened_in_another() {
    let memory = memory(4096);
    let one = options::<u64>().create_in(segment(&memory)).unwrap();
    let other = options::<u64>().open_in(segment(&memory)).unwrap();
    let (mut sender, mut receiver) = (one.sender().unwrap(), other.receiver().unwrap());
    for lap in 0..20 {
        sender.send(lap).unwrap();
        assert_eq!(receiver.recv(), Ok(lap));
    }
    assert!(matches!(other.sender(), Err(Error::SeatTaken { role: "sender", .. })));
    assert_eq!(receiver.peer().unwrap(), SeatState::Live);
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(other.sender().unwrap().position(), 20);
}

#[test]
fn a_ring_may_stand_in_the_middle_of_a_mapping() {
    let memory = memory(8192);
    for at in [128, 4096] {
        let (segment, _) = adopt(&memory, at, None);
        let ring = options::<[u8; 100]>().create_in(segment.unwrap()).unwrap();
        ring.sender().unwrap().send([7; 100]).unwrap();
        let (segment, _) = adopt(&memory, at, None);
        let other = options::<[u8; 100]>().open_in(segment.unwrap()).unwrap();
        assert_eq!(other.receiver().unwrap().recv(), Ok([7; 100]));
    }
    assert_eq!(bytes(&memory)[..128], [0; 128]);
}

#[test]
fn memory_that_is_not_aligned_to_a_line_is_refused() {
    let memory = memory(4096);
    for at in [1, 8, 64, 127, 129] {
        let (segment, dropped) = adopt(&memory, at, None);
        assert!(matches!(segment, Err(Error::Unsupported(_))));
        assert!(dropped.load(Ordering::SeqCst));
    }
}

#[test]
fn a_ring_is_not_made_over_anything_in_the_first_line() {
    let len = options::<u64>().segment_len().unwrap();
    let fresh = memory(len);
    options::<u64>().create_in(segment(&fresh)).unwrap();
    let made = bytes(&fresh);
    let again = options::<u32>().create_in(segment(&fresh));
    assert_eq!(refusal(again), Refusal::AlreadyExists);
    assert_eq!(bytes(&fresh), made);
    for at in [0, 1, 7, 8, 100, 127] {
        let memory = memory(len);
        write(&memory, at, &[1]);
        let before = bytes(&memory);
        let made = options::<u64>().create_in(segment(&memory));
        assert_eq!(refusal(made), Refusal::AlreadyExists);
        assert_eq!(bytes(&memory), before);
    }
}

#[test]
fn what_was_behind_the_first_line_is_no_part_of_a_new_ring() {
    for byte in [1, 0x80, 0xff] {
        let memory = memory(4096);
        write(&memory, 128, &vec![byte; 4096 - 128]);
        let ring = options::<[u8; 100]>().create_in(without_locks(&memory)).unwrap();
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        assert_eq!((sender.position(), receiver.position()), (0, 0));
        assert!(!receiver.is_redelivered(0));
        assert_eq!((sender.rescues(), receiver.rescues()), (0, 0));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        // Not even as the rest of a message.
        let mut slot = sender.reserve().unwrap();
        slot.append(b"begun");
        slot.commit();
        let mut expected = [0; 100];
        expected[..5].copy_from_slice(b"begun");
        assert_eq!(receiver.try_recv(), Ok(expected));
    }
}

#[test]
fn memory_that_is_too_short_is_refused() {
    let needed = options::<u64>().segment_len().unwrap();
    for len in [1, 127, 128, 768, needed - 1] {
        let memory = memory(len);
        let made = options::<u64>().create_in(segment(&memory));
        let expected = Refusal::Mismatch(Field::Length, Found::Number(len), Found::Number(needed));
        assert_eq!(refusal(made), expected);
        assert!(bytes(&memory).iter().all(|byte| *byte == 0));
    }
    let whole = memory(needed);
    options::<u64>().create_in(segment(&whole)).unwrap();
    for len in [1, 127] {
        let memory = memory(len);
        write(&memory, 0, &bytes(&whole)[..len as usize]);
        assert_eq!(refusal(options::<u64>().open_in(segment(&memory))), too_short(len));
    }
    for len in [128, 768, needed - 1] {
        let memory = memory(len);
        write(&memory, 0, &bytes(&whole)[..len as usize]);
        let opened = options::<u64>().open_in(segment(&memory));
        let expected = Refusal::Mismatch(Field::Length, Found::Number(len), Found::Number(needed));
        assert_eq!(refusal(opened), expected);
    }
    // Longer is as good.
    let longer = memory(needed + 777);
    write(&longer, 0, &bytes(&whole));
    assert_eq!(options::<u64>().open_in(segment(&longer)).unwrap().capacity(), 8);
}

#[test]
fn what_is_opened_in_memory_is_checked_as_in_a_file() {
    let memory = memory(4096);
    let magic = Found::Bits(u64::from_le_bytes(*b"annulus\0"));
    let said = refusal(options::<u64>().open_in(segment(&memory)));
    assert_eq!(said, Refusal::Mismatch(Field::Magic, Found::Bits(0), magic));
    options::<u64>().create_in(segment(&memory)).unwrap();
    let mismatch = |field, found, expected| {
        Refusal::Mismatch(field, Found::Number(found), Found::Number(expected))
    };
    let said = refusal(options::<u32>().open_in(segment(&memory)));
    assert_eq!(said, mismatch(Field::MessageSize, 8, 4));
    let said = refusal(options::<u64>().capacity(4).open_in(segment(&memory)));
    assert_eq!(said, mismatch(Field::Capacity, 8, 4));
    let said = refusal(options::<u64>().type_tag(2).open_in(segment(&memory)));
    assert_eq!(said, Refusal::Mismatch(Field::TypeTag, Found::Bits(1), Found::Bits(2)));
}

#[test]
fn semaphores_need_a_name() {
    let memory = memory(4096);
    let options = options::<u64>().wait_method(WaitMethod::Semaphore);
    assert!(matches!(options.create_in(segment(&memory)), Err(Error::Unsupported(_))));
    assert!(matches!(options.create_heap(), Err(Error::Unsupported(_))));
    assert!(matches!(options.create_memfd("nameless"), Err(Error::Unsupported(_))));
    assert!(bytes(&memory).iter().all(|byte| *byte == 0));
}

#[test]
fn without_a_file_to_lock_a_seat_is_what_its_word_says() {
    let memory = memory(4096);
    let one = options::<u64>().create_in(without_locks(&memory)).unwrap();
    let other = options::<u64>().open_in(without_locks(&memory)).unwrap();
    let mut sender = one.sender().unwrap();
    for ring in [&one, &other] {
        assert!(matches!(ring.sender(), Err(Error::SeatTaken { role: "sender", .. })));
    }
    sender.send(1).unwrap();
    let mut receiver = other.receiver().unwrap();
    assert_eq!(receiver.peer().unwrap(), SeatState::Live);
    drop(sender);
    assert_eq!(receiver.peer().unwrap(), SeatState::Closed);
    let mut sender = other.sender().unwrap();
    sender.send(2).unwrap();
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
    // One who died there is not told from one who lives.
    write(&memory, 128, &[1, 9, 0, 0, 0, 0, 0, 0]);
    drop(receiver);
    let third = options::<u64>().open_in(without_locks(&memory)).unwrap();
    assert!(matches!(third.sender(), Err(Error::SeatTaken { .. })));
    assert_eq!(third.receiver().unwrap().peer().unwrap(), SeatState::Live);
}

#[test]
fn a_garbled_seat_is_refused_by_name() {
    let memory = memory(4096);
    let ring = options::<u64>().create_in(segment(&memory)).unwrap();
    for value in [5, 0xff, u64::MAX] {
        write(&memory, 128, &value.to_le_bytes());
        let corrupt = Corrupt { word: "seat state", value };
        assert!(matches!(ring.sender(), Err(Error::Corrupt(found)) if found == corrupt));
        let receiver = ring.receiver().unwrap();
        assert!(matches!(receiver.peer(), Err(Error::Corrupt(found)) if found == corrupt));
    }
}

#[test]
fn one_who_is_refused_by_what_it_finds_leaves_the_seat_as_it_was() {
    let memory = memory(4096);
    let ring = options::<u64>().create_in(segment(&memory)).unwrap();
    // The low byte of its word; how often it was taken goes up.
    let state = |seat: usize| bytes(&memory)[128 * (1 + seat)];
    // Vacant, closed, died stay so; one who lives no more has died.
    for (was, left) in [(0, 0), (3, 3), (4, 4), (1, 4)] {
        let was = [was, 9, 0, 0, 0, 0, 0, 0];
        write(&memory, 128, &was);
        // A stamp that is none.
        write(&memory, 768, &[0x55; 8]);
        assert!(matches!(ring.sender(), Err(Error::Corrupt(Corrupt { word: "stamp", .. }))));
        assert_eq!(state(0), left);
    }
    for (at, garbage, word) in [(384, u64::MAX, "head"), (272, u64::MAX, "claim")] {
        write(&memory, at, &garbage.to_le_bytes());
        let refused = ring.receiver();
        assert!(matches!(refused, Err(Error::Corrupt(found)) if found.word == word));
        assert_eq!(state(1), 0);
        write(&memory, at, &[0; 8]);
    }
    // And is free to come again.
    ring.receiver().unwrap();
    write(&memory, 768, &(-7i64).to_le_bytes());
    assert_eq!(ring.sender().unwrap().position(), 0);
}

#[test]
fn the_owner_is_dropped_with_the_last_handle() {
    let memory = memory(4096);
    let (segment, dropped) = adopt(&memory, 0, None);
    let gone = || dropped.load(Ordering::SeqCst);
    let ring = options::<u64>().create_in(segment.unwrap()).unwrap();
    let other = ring.clone();
    let (mut sender, receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    drop((ring, other, receiver));
    assert!(!gone());
    sender.send(1).unwrap();
    drop(sender);
    assert!(gone());
    // Refused: at once.
    let (segment, dropped) = adopt(&memory, 0, None);
    refusal(options::<u32>().open_in(segment.unwrap()));
    assert!(dropped.load(Ordering::SeqCst));
}
