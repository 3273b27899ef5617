//! What stands under a name and is no segment, or not this process's: refused by name,
//! never truncated, written or trusted.

mod segments;
mod support;

use std::fs::{self, File};
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;

use annulus::spsc::Ring;
use annulus::{Error, Field, Found, Observer};
use nix::sys::stat::Mode;
use segments::{Refusal, SPOTS, Spot, no_file, refusal, too_short};
use support::{Family, Role};

support::roles! { meets_a_fifo }

/// What participants and observers say of what stands there: the same, and nothing
/// changes. Also, nobody makes anything over it.
fn said_of(spot: &Spot) -> Refusal {
    let before = spot.traits();
    let said = refusal(spot.open());
    assert_eq!(refusal(Ring::<u64>::options().prefault(false).open(&spot.address)), said);
    assert_eq!(refusal(Ring::<u64>::options().open_or_create(&spot.address)), said);
    assert_eq!(refusal(Observer::open(&spot.address)), said);
    not_made_over(spot);
    assert_eq!(spot.traits(), before, "nothing is changed");
    said
}

/// `create_new` says that something is there, and leaves nothing beside it.
fn not_made_over(spot: &Spot) {
    let before = spot.neighbours();
    let made = Ring::<u64>::options().capacity(8).create_new(&spot.address);
    assert_eq!(refusal(made), Refusal::AlreadyExists);
    assert_eq!(spot.neighbours(), before);
}

/// The bytes of a ring of `u64` with 8 slots.
fn ring() -> Vec<u8> {
    Spot::file().with_ring().bytes()
}

#[test]
fn what_is_too_short_for_a_header_is_refused() {
    let ring = ring();
    for spot in SPOTS {
        for len in [0, 1, 8, 104, 127] {
            let spot = spot().with_bytes(&ring[..len]);
            assert_eq!(said_of(&spot), too_short(len as u64));
        }
    }
}

#[test]
fn a_ring_that_was_cut_or_grew_is_refused() {
    let ring = ring();
    let whole = ring.len() as u64;
    for spot in SPOTS {
        for len in [128, 768, whole - 1, whole + 1, whole + 128, 4096, 4097] {
            let spot = spot().with_bytes(&ring);
            File::options().write(true).open(&spot.path).unwrap().set_len(len).unwrap();
            let (found, expected) = (Found::Number(len), Found::Number(whole));
            assert_eq!(said_of(&spot), Refusal::Mismatch(Field::Length, found, expected));
        }
    }
}

#[test]
fn zeros_and_garbage_are_refused() {
    let magic = u64::from_le_bytes(*b"annulus\0");
    for spot in SPOTS {
        for (byte, len) in [(0, 128), (0, 4096), (0xff, 128), (0xa5, 100_000)] {
            let spot = spot().with_bytes(&vec![byte; len]);
            let found = Found::Bits(u64::from_le_bytes([byte; 8]));
            let expected = Refusal::Mismatch(Field::Magic, found, Found::Bits(magic));
            assert_eq!(said_of(&spot), expected);
        }
        // The magic alone.
        let mut bytes = magic.to_le_bytes().to_vec();
        bytes.resize(4096, 0);
        let spot = spot().with_bytes(&bytes);
        let expected = Refusal::Mismatch(Field::Version, Found::Number(0), Found::Number(1));
        assert_eq!(said_of(&spot), expected);
    }
}

#[test]
fn a_sparse_file_is_refused_without_being_given_memory() {
    for spot in SPOTS {
        // A ring at its start; and a page of nothing, the file far larger than memory.
        for (bytes, len) in [(ring(), 1 << 30), (vec![0; 4096], 1 << 40)] {
            let spot = spot().with_bytes(&bytes);
            let file = File::options().write(true).open(&spot.path).unwrap();
            file.set_len(len).unwrap();
            // The traits hold the blocks.
            let said = said_of(&spot);
            assert!(matches!(said, Refusal::Mismatch(Field::Length | Field::Magic, ..)));
        }
    }
}

#[test]
fn a_file_longer_than_any_segment_is_refused() {
    let spot = Spot::shm().with_bytes(&ring());
    let file = File::options().write(true).open(&spot.path).unwrap();
    let most = 1 << 46;
    file.set_len(most + 1).unwrap();
    let (found, expected) = (Found::Number(most + 1), Found::AtMost(most));
    assert_eq!(said_of(&spot), Refusal::Mismatch(Field::Length, found, expected));
}

#[test]
fn a_ring_of_holes_is_a_ring_and_is_not_filled_by_being_opened() {
    // As a copy that leaves zeros out makes it: the words are there, the memory not yet. It is
    // for those who use it to fill, not for those who open it.
    type Large = [u64; 4096];
    let options = Ring::<Large>::options().capacity(8);
    for spot in SPOTS {
        let (whole, spot) = (spot(), spot());
        options.create_new(&whole.address).unwrap();
        let spot = spot.with_holes(&whole.bytes());
        let before = spot.traits();
        assert!(spot.memory() < options.segment_len().unwrap() / 2, "holes are holes");
        let ring = options.open(&spot.address).unwrap();
        let made = options.open_or_create(&spot.address).unwrap();
        let seen = Observer::open(&spot.address).unwrap();
        assert_eq!(spot.traits(), before, "nothing is changed");
        for n in 0..9 {
            ring.sender().unwrap().send([n; 4096]).unwrap();
            assert_eq!(seen.len(), 1);
            assert_eq!(made.receiver().unwrap().recv(), Ok([n; 4096]));
        }
    }
}

#[test]
fn what_is_no_file_is_refused() {
    for spot in SPOTS {
        let spot = spot();
        fs::create_dir(&spot.path).unwrap();
        assert_eq!(refusal(spot.open()), no_file("a directory, socket or device"));
        assert_eq!(refusal(Observer::open(&spot.address)), no_file("not a regular file"));
        assert_eq!(refusal(annulus::unlink(&spot.address)), no_file("not a regular file"));
        not_made_over(&spot);
        fs::remove_dir(&spot.path).unwrap();

        let socket = UnixListener::bind(&spot.path).unwrap();
        assert_eq!(said_of(&spot), no_file("a directory, socket or device"));
        drop(socket);
    }
    let device = "file:/dev/null";
    assert_eq!(refusal(Ring::<u64>::open(device)), no_file("not a regular file"));
    assert_eq!(refusal(Observer::open(device)), no_file("not a regular file"));
    assert_eq!(refusal(Ring::<u64>::options().create_new(device)), Refusal::AlreadyExists);
}

/// Meets a FIFO that nobody has open, with every verb. The watchdog ends one who waits.
fn meets_a_fifo(role: &mut Role) {
    // A process that has a ring elsewhere.
    let _own = Ring::<u64>::options().capacity(8).create_heap().unwrap();
    let spot = Spot::lent(role.argument(0));
    assert_eq!(said_of(&spot), no_file("not a regular file"));
    assert_eq!(refusal(Observer::open_guarded(&spot.address)), no_file("not a regular file"));
    assert_eq!(refusal(annulus::unlink_unused(&spot.address)), no_file("not a regular file"));
    assert_eq!(refusal(annulus::unlink(&spot.address)), no_file("not a regular file"));
    role.say("refused");
}

#[test]
fn a_fifo_is_refused_and_nobody_waits_for_its_other_end() {
    let family = Family::new();
    for spot in SPOTS {
        let spot = spot();
        nix::unistd::mkfifo(&spot.path, Mode::S_IRWXU).unwrap();
        let before = spot.traits();
        let mut child = family.child(meets_a_fifo).arg(&spot.address).spawn();
        child.expect("refused");
        child.wait_ok();
        assert_eq!(spot.traits(), before, "nothing is changed");
    }
}

#[test]
fn a_name_is_removed_if_a_segment_stands_there_of_whatever_sort_and_not_otherwise() {
    let removed = |spot: &Spot| annulus::unlink(&spot.address).map_err(Refusal::from);
    for spot in SPOTS {
        // Nothing, text, another file's beginning, zeros, and a segment's but for its magic.
        let tail = &ring()[8..];
        for bytes in [b"", &b"annulus"[..], b"annulus!", b"\x7fELF\x02\x01\x01\0", &[0; 4096], tail]
        {
            let spot = spot().with_bytes(bytes);
            let before = spot.traits();
            assert!(matches!(removed(&spot), Err(Refusal::Mismatch(Field::Magic, ..))));
            assert_eq!(spot.traits(), before, "nothing is changed");
        }
        // One that was cut off, and one of a version to come.
        let later = [&ring()[..8], &[9; 888]].concat();
        for bytes in [&ring(), &ring()[..100], &later] {
            let spot = spot().with_bytes(bytes);
            assert_eq!(removed(&spot), Ok(()));
            assert!(spot.neighbours().is_empty());
        }
        let spot = spot();
        fs::create_dir(&spot.path).unwrap();
        assert!(removed(&spot).is_err() && spot.path.is_dir());
        fs::remove_dir(&spot.path).unwrap();
        let socket = UnixListener::bind(&spot.path).unwrap();
        assert!(removed(&spot).is_err() && spot.path.exists());
        drop(socket);
    }
}

#[test]
fn a_link_is_not_followed_wherever_it_leads() {
    for spot in SPOTS {
        let there = Spot::file().with_ring();
        let before = there.traits();
        let nowhere = there.path.with_file_name("nowhere");
        for target in [&there.path, &nowhere] {
            let spot = spot();
            symlink(target, &spot.path).unwrap();
            assert_eq!(refusal(spot.open()), no_file("a symbolic link"));
            assert_eq!(refusal(Observer::open(&spot.address)), no_file("a symbolic link"));
            not_made_over(&spot);
            assert_eq!(fs::read_link(&spot.path).unwrap(), **target);
            assert_eq!(refusal(annulus::unlink(&spot.address)), no_file("a symbolic link"));
            assert_eq!(fs::read_link(&spot.path).unwrap(), **target);
        }
        assert!(!nowhere.exists());
        assert_eq!(there.traits(), before);
    }
}

#[test]
fn a_hard_link_is_the_ring_itself() {
    let (spot, other) = (Spot::file().with_ring(), Spot::file());
    fs::hard_link(&spot.path, &other.path).unwrap();
    let id = |spot: &Spot| Observer::open(&spot.address).unwrap().creation_id();
    assert_eq!(id(&spot), id(&other));
    let (one, two) = (spot.open().unwrap(), other.open().unwrap());
    let _sender = one.sender().unwrap();
    assert!(matches!(two.sender(), Err(Error::SeatTaken { .. })));
}

#[test]
fn nothing_is_refused_as_such() {
    for spot in SPOTS {
        let spot = spot();
        assert_eq!(refusal(spot.open()), Refusal::NotFound);
        assert_eq!(refusal(Observer::open(&spot.address)), Refusal::NotFound);
        assert_eq!(refusal(annulus::unlink(&spot.address)), Refusal::NotFound);
    }
    let (inside, below) = (Spot::file(), Spot::file().with_ring());
    let inside = format!("{}/nowhere/ring", inside.address);
    assert_eq!(refusal(Ring::<u64>::open(&inside)), Refusal::NotFound);
    let made = Ring::<u64>::options().create_new(&inside);
    assert_eq!(refusal(made), Refusal::Os(Some(libc::ENOENT)));
    // A file is no folder.
    let below = format!("{}/ring", below.address);
    assert_eq!(refusal(Ring::<u64>::open(&below)), Refusal::Os(Some(libc::ENOTDIR)));
    let made = Ring::<u64>::options().create_new(&below);
    assert_eq!(refusal(made), Refusal::Os(Some(libc::ENOTDIR)));
}

#[test]
fn a_file_that_grants_more_than_was_asked_for_is_refused() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        for mode in [0o601, 0o602, 0o604, 0o610, 0o640, 0o660, 0o666, 0o700, 0o777, 0o4600, 0o1600]
        {
            spot.chmod(mode);
            let expected = Refusal::Mismatch(Field::Mode, Found::Octal(mode), Found::Octal(0o600));
            let before = spot.traits();
            assert_eq!(refusal(spot.open()), expected);
            assert_eq!(refusal(Ring::<u64>::options().open_or_create(&spot.address)), expected);
            assert_eq!(spot.traits(), before, "nothing is changed");
            // One who changes nothing takes any.
            Observer::open(&spot.address).unwrap();
        }
        spot.chmod(0o640);
        Ring::<u64>::options().mode(0o640).open(&spot.address).unwrap();
        Ring::<u64>::options().mode(0o666).open(&spot.address).unwrap();
        let opened = Ring::<u64>::options().mode(0o604).open(&spot.address);
        let expected = Refusal::Mismatch(Field::Mode, Found::Octal(0o640), Found::Octal(0o604));
        assert_eq!(refusal(opened), expected);
    }
}

#[test]
fn a_file_of_another_owner_is_refused_unless_he_was_named() {
    if !nix::unistd::geteuid().is_root() {
        support::skip!("no right to give a file away");
    }
    for spot in SPOTS {
        let spot = spot().with_ring();
        chown(&spot.path, Some(65_534), None).unwrap();
        let expected = Refusal::Mismatch(Field::Owner, Found::Number(65_534), Found::Number(0));
        assert_eq!(said_of(&spot), expected);
        Ring::<u64>::options().owner(65_534).open(&spot.address).unwrap();
        Observer::open_owned_by(&spot.address, 65_534).unwrap();
        let opened = Ring::<u64>::options().owner(65_533).open(&spot.address);
        let expected =
            Refusal::Mismatch(Field::Owner, Found::Number(65_534), Found::Number(65_533));
        assert_eq!(refusal(opened), expected);
        chown(&spot.path, Some(0), None).unwrap();
        spot.open().unwrap();
        let opened = Ring::<u64>::options().owner(65_534).open(&spot.address);
        let expected = Refusal::Mismatch(Field::Owner, Found::Number(0), Found::Number(65_534));
        assert_eq!(refusal(opened), expected);
    }
}

#[test]
fn an_existing_ring_is_neither_made_again_nor_changed_by_being_opened() {
    for spot in SPOTS {
        let spot = spot().with_ring();
        let first = Observer::open(&spot.address).unwrap().creation_id();
        let ring = spot.open().unwrap();
        ring.sender().unwrap().send(7).unwrap();
        let bytes = spot.bytes();
        not_made_over(&spot);
        // Whatever is asked of a new one.
        let again = Ring::<u64>::options().mode(0o644).open_or_create(&spot.address).unwrap();
        Ring::<u64>::open(&spot.address).unwrap();
        Observer::open(&spot.address).unwrap();
        assert_eq!(spot.bytes(), bytes);
        assert_eq!(Observer::open(&spot.address).unwrap().creation_id(), first);
        assert_eq!(again.receiver().unwrap().recv(), Ok(7));
    }
}
