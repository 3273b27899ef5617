//! A header of which any word is wrong is refused by name, with what was found and what
//! was expected, and nothing is changed.

mod segments;
mod support;

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use annulus::spsc::Ring;
use annulus::{Field, Found, Observer};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use segments::words::constant;
use segments::{Refusal, SPOTS, Spot, Words, refusal};

/// The bytes of a ring of `u64` with 8 slots.
fn ring() -> Words {
    Words(Spot::file().with_ring().bytes())
}

/// A memfd of these bytes, private and sealed.
fn memfd(bytes: &[u8]) -> OwnedFd {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create("patched", flags).unwrap());
    file.write_all(bytes).unwrap();
    nix::sys::stat::fchmod(&file, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    file.into()
}

/// What everybody says of these bytes, in whatever they stand: the same.
fn said_of(words: &Words) -> Refusal {
    let said = refusal(Ring::<u64>::from_fd(memfd(&words.0)));
    for spot in SPOTS {
        let spot = spot().with_bytes(&words.0);
        let before = spot.traits();
        assert_eq!(refusal(spot.open()), said);
        assert_eq!(spot.traits(), before, "nothing is changed");
        let unfaulted = Ring::<u64>::options().prefault(false).open(&spot.address);
        assert_eq!(refusal(unfaulted), said);
        assert_eq!(refusal(Ring::<u64>::options().open_or_create(&spot.address)), said);
        assert_eq!(spot.traits(), before, "nothing is changed");
    }
    said
}

/// As above; an observer, who expects nothing, says so too.
fn said_by_all_of(words: &Words) -> Refusal {
    let said = said_of(words);
    assert_eq!(refusal(Observer::from_fd(memfd(&words.0))), said);
    for spot in SPOTS {
        let spot = spot().with_bytes(&words.0);
        assert_eq!(refusal(Observer::open(&spot.address)), said);
    }
    said
}

/// A ring with one word changed: with the checksum as it was, and made right.
fn patched(name: &str, value: u64) -> (Words, Words) {
    let mut stale = ring();
    assert_ne!(stale.get(name), value, "that is no change");
    stale.set(name, value);
    let mut signed = stale.clone();
    signed.sign();
    (stale, signed)
}

/// That word is refused before the checksum is looked at, and so in both cases.
fn refused_by_itself(name: &str, value: u64, expected: Refusal) {
    let (stale, signed) = patched(name, value);
    assert_eq!(said_by_all_of(&stale), expected);
    assert_eq!(said_by_all_of(&signed), expected);
}

/// That word is found wrong by the checksum alone if that was not made right.
fn refused_by_checksum(name: &str, value: u64) -> Words {
    let (stale, signed) = patched(name, value);
    let (found, expected) = (Found::Bits(stale.get("checksum")), Found::Bits(stale.checksum()));
    let checksum = Refusal::Mismatch(Field::Checksum, found, expected);
    assert_eq!(said_by_all_of(&stale), checksum);
    signed
}

const SOME: [u64; 3] = [1 << 33, 1 << 63, u64::MAX];

#[test]
fn the_ring_that_is_patched_here_opens_as_it_is() {
    let words = ring();
    assert_eq!(words.get("checksum"), words.checksum());
    Ring::<u64>::from_fd(memfd(&words.0)).unwrap();
    for spot in SPOTS {
        spot().with_bytes(&words.0).open().unwrap();
    }
}

#[test]
fn another_magic_is_refused() {
    let magic = constant("magic");
    for value in [0, magic + 1, magic.swap_bytes(), magic & 0xffff, u64::MAX] {
        let expected = Refusal::Mismatch(Field::Magic, Found::Bits(value), Found::Bits(magic));
        refused_by_itself("magic", value, expected);
    }
}

#[test]
fn another_version_is_refused() {
    for value in [0, 2, u64::MAX] {
        let (found, expected) = (Found::Number(value), Found::Number(constant("version")));
        refused_by_itself("version", value, Refusal::Mismatch(Field::Version, found, expected));
    }
}

#[test]
fn an_unknown_kind_is_refused() {
    for value in [0, 11, u64::MAX] {
        let (found, expected) = (Found::Number(value), Found::Text("a known kind"));
        refused_by_itself("kind", value, Refusal::Mismatch(Field::Kind, found, expected));
    }
}

#[test]
fn a_number_of_seats_that_is_not_the_kinds_is_refused() {
    for value in [0, 1, 3, u64::MAX] {
        let expected = Refusal::Mismatch(Field::Seats, Found::Number(value), Found::Number(2));
        refused_by_itself("seats", value, expected);
    }
}

#[test]
fn an_unknown_wait_method_is_refused() {
    for value in [0, 4, u64::MAX] {
        let (found, expected) = (Found::Number(value), Found::Text("a known method"));
        let refused = Refusal::Mismatch(Field::WaitMethod, found, expected);
        refused_by_itself("wait method", value, refused);
    }
    // Another known one is an accident, or a ring that is made so.
    let signed = refused_by_checksum("wait method", constant("spin"));
    Ring::<u64>::from_fd(memfd(&signed.0)).unwrap();
    // Semaphores are for those who ask for them.
    let signed = refused_by_checksum("wait method", constant("semaphore"));
    let (found, expected) = (Found::Text("semaphore"), Found::Text("anything but semaphores"));
    assert_eq!(said_of(&signed), Refusal::Mismatch(Field::WaitMethod, found, expected));
    Observer::from_fd(memfd(&signed.0)).unwrap();
}

#[test]
fn an_unknown_barrier_form_is_refused() {
    for value in [0, 3, u64::MAX] {
        let (found, expected) = (Found::Number(value), Found::Text("a known form"));
        let refused = Refusal::Mismatch(Field::BarrierForm, found, expected);
        refused_by_itself("barrier form", value, refused);
    }
    let other = constant("fenced") + constant("asymmetric") - ring().get("barrier form");
    let signed = refused_by_checksum("barrier form", other);
    Ring::<u64>::from_fd(memfd(&signed.0)).unwrap();
}

#[test]
fn an_impossible_message_size_is_refused_and_so_is_another() {
    for value in [(1 << 30) + 1, 1 << 33, u64::MAX] {
        refused_by_itself("message size", value, Refusal::Corrupt("message size", value));
    }
    // The slots are the same, the messages are not.
    for value in [1, 7] {
        let signed = refused_by_checksum("message size", value);
        let expected =
            Refusal::Mismatch(Field::MessageSize, Found::Number(value), Found::Number(8));
        assert_eq!(said_of(&signed), expected);
        assert_eq!(Observer::from_fd(memfd(&signed.0)).unwrap().message_size(), value);
    }
    // The slots can't be of that size in a segment of that length.
    for value in [0, 9, 16, 64, 1 << 30] {
        let signed = refused_by_checksum("message size", value);
        let len = signed.get("length");
        assert_eq!(said_by_all_of(&signed), Refusal::Corrupt("length", len));
    }
}

#[test]
fn an_impossible_alignment_is_refused_and_so_is_another() {
    for value in [129, 256, 1 << 33, u64::MAX] {
        refused_by_itself("message align", value, Refusal::Corrupt("message align", value));
    }
    for value in [0, 3, 6, 127] {
        let signed = refused_by_checksum("message align", value);
        assert_eq!(said_by_all_of(&signed), Refusal::Corrupt("message align", value));
    }
    for value in [1, 2] {
        let signed = refused_by_checksum("message align", value);
        let expected =
            Refusal::Mismatch(Field::MessageAlign, Found::Number(value), Found::Number(8));
        assert_eq!(said_of(&signed), expected);
    }
    // What 32-bit x86 calls the alignment of a `u64`; the slots are the same.
    Ring::<u64>::from_fd(memfd(&refused_by_checksum("message align", 4).0)).unwrap();
    for value in [16, 128] {
        let signed = refused_by_checksum("message align", value);
        assert_eq!(said_by_all_of(&signed), Refusal::Corrupt("length", signed.get("length")));
    }
}

#[test]
fn an_impossible_capacity_is_refused_and_so_is_another() {
    for value in [(1 << 32) + 1, 1 << 33, u64::MAX] {
        refused_by_itself("capacity", value, Refusal::Corrupt("capacity", value));
    }
    for value in [0, 3, 7, 9] {
        let signed = refused_by_checksum("capacity", value);
        assert_eq!(said_by_all_of(&signed), Refusal::Corrupt("capacity", value));
    }
    for value in [1, 4, 16, 1 << 32] {
        let signed = refused_by_checksum("capacity", value);
        assert_eq!(said_by_all_of(&signed), Refusal::Corrupt("length", signed.get("length")));
    }
    // Well-formed, of another capacity; the file is longer or shorter than it says.
    for (value, len) in [(4, 768 + 4 * 16), (16, 768 + 16 * 16)] {
        let mut words = ring();
        let found = words.0.len() as u64;
        words.set("capacity", value);
        words.set("length", len);
        words.sign();
        let expected = Refusal::Mismatch(Field::Length, Found::Number(found), Found::Number(len));
        assert_eq!(said_by_all_of(&words), expected);
        words.0.resize(len as usize, 0);
        let opened = Ring::<u64>::options().capacity(8).from_fd(memfd(&words.0));
        let expected = Refusal::Mismatch(Field::Capacity, Found::Number(value), Found::Number(8));
        assert_eq!(refusal(opened), expected);
        // Who names none takes what is there.
        assert_eq!(Ring::<u64>::from_fd(memfd(&words.0)).unwrap().capacity(), value);
    }
}

#[test]
fn another_length_than_the_slots_need_is_refused() {
    let len = ring().get("length");
    for value in [0, 1, len - 1, len + 1, len + 16, 2 * len].into_iter().chain(SOME) {
        let signed = refused_by_checksum("length", value);
        assert_eq!(said_by_all_of(&signed), Refusal::Corrupt("length", value));
    }
}

#[test]
fn another_type_tag_is_refused() {
    let tag = ring().get("type tag");
    for value in [0, tag ^ 1].into_iter().chain(SOME) {
        let signed = refused_by_checksum("type tag", value);
        let expected = Refusal::Mismatch(Field::TypeTag, Found::Bits(value), Found::Bits(tag));
        assert_eq!(said_of(&signed), expected);
        Ring::<u64>::options().type_tag(value).from_fd(memfd(&signed.0)).unwrap();
        assert_eq!(Observer::from_fd(memfd(&signed.0)).unwrap().type_tag(), value);
    }
}

#[test]
fn another_creation_id_is_an_accident_or_another_ring() {
    for value in [0].into_iter().chain(SOME) {
        let signed = refused_by_checksum("creation id", value);
        Ring::<u64>::from_fd(memfd(&signed.0)).unwrap();
        assert_eq!(Observer::from_fd(memfd(&signed.0)).unwrap().creation_id(), value);
    }
}

#[test]
fn another_checksum_is_refused() {
    for value in [0, 1].into_iter().chain(SOME) {
        let (stale, _) = patched("checksum", value);
        let right = stale.checksum();
        let expected = Refusal::Mismatch(Field::Checksum, Found::Bits(value), Found::Bits(right));
        assert_eq!(said_by_all_of(&stale), expected);
    }
}

#[test]
fn every_flipped_bit_of_the_header_is_refused() {
    let words = ring();
    let end = segments::words::offset("checksum") + 8;
    for bit in 0..end * 8 {
        let mut flipped = words.clone();
        flipped.0[bit / 8] ^= 1 << (bit % 8);
        // Of all that a flipped bit can mean, nothing is a ring of `u64`.
        let said = refusal(Ring::<u64>::from_fd(memfd(&flipped.0)));
        let typed = matches!(said, Refusal::Mismatch(..) | Refusal::Corrupt(..));
        assert!(typed, "bit {bit}: {said:?}");
    }
}
