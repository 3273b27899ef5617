//! docs/format.md says what the code does: every table against the constants, both ways,
//! and against the bytes of real segments.
#![allow(unsafe_code)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;

use annulus::hooks::{FORMAT, HEADER, checksum, slot_shape};
use annulus::spsc::Ring;
use annulus::{Error, Observer, WaitMethod};
use support::random_name;

const DOCUMENT: &str = include_str!("../docs/format.md");

/// The rows of the first table under a heading, each cell as it reads.
fn table(heading: &str, header: &str) -> Vec<Vec<String>> {
    let (_, section) = DOCUMENT.split_once(&format!("\n{heading}\n")).expect(heading);
    let lines = section.lines().skip_while(|line| *line != header).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|')).map(|line| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    });
    let rows: Vec<_> = rows.collect();
    assert!(!rows.is_empty(), "{heading}: no table {header}");
    rows
}

/// A number as people write it: 128, 0x80, 2^62.
fn number(text: &str) -> u64 {
    if let Some(digits) = text.strip_prefix("0x") {
        u64::from_str_radix(digits, 16).unwrap()
    } else if let Some(exponent) = text.strip_prefix("2^") {
        1 << exponent.parse::<u32>().unwrap()
    } else {
        text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
    }
}

/// The numbers of a table with the name in one column and the number in another.
fn numbers(heading: &str, header: &str, name: usize, value: usize) -> BTreeMap<String, u64> {
    let rows = table(heading, header);
    let count = rows.len();
    let numbers: BTreeMap<_, _> =
        rows.iter().map(|row| (row[name].clone(), number(&row[value]))).collect();
    assert_eq!(numbers.len(), count, "{heading}: a name twice");
    numbers
}

/// Every number of the document by its name.
fn documented() -> BTreeMap<String, u64> {
    let tables = [
        numbers("## Limits", "| name | value | why |", 0, 1),
        numbers("## Header", "| name | value |", 0, 1),
        numbers("## Kinds", "| kind | value | has |", 0, 1),
        numbers("## Wait methods", "| method | value | blocked participants |", 0, 1),
        numbers(
            "## Barrier forms",
            "| form | value | between a change of the ring and the look for sleepers |",
            0,
            1,
        ),
        numbers("## Lines", "| offset | line | written by |", 1, 0),
        numbers("### Control lines of an mpmc ring", "| offset | line | written by |", 1, 0),
        numbers("### Control lines of a broadcast", "| offset | line | written by |", 1, 0),
        numbers("### Seat line", "| offset | word | holds |", 1, 0),
        numbers("### Event line", "| offset | word | holds |", 1, 0),
    ];
    let mut all = BTreeMap::new();
    for (name, number) in tables.into_iter().flatten() {
        assert!(all.insert(name.clone(), number).is_none(), "{name} has two numbers");
    }
    all
}

fn header() -> Vec<(usize, String)> {
    let rows = table("## Header", "| offset | word | holds |");
    rows.into_iter().map(|row| (number(&row[0]) as usize, row[1].clone())).collect()
}

#[test]
fn every_constant_is_documented_and_nothing_else_is() {
    let mut documented = documented();
    // How the checksum is made is no constant of the layout: see below.
    assert!(documented.remove("offset basis").is_some() && documented.remove("prime").is_some());
    let known: BTreeMap<_, _> =
        FORMAT.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    assert_eq!(documented, known);
}

#[test]
fn the_header_table_is_the_header() {
    let known: Vec<_> = HEADER.iter().map(|(at, name)| (*at, (*name).to_owned())).collect();
    assert_eq!(header(), known);
}

#[test]
fn the_slot_table_is_the_layout_and_so_is_the_rule() {
    let rule = |size: usize, align: usize| {
        let message_at = if size < 1024 { align.max(8) } else { align.max(64) };
        let needed = (message_at + size).next_multiple_of(8);
        let stride = match needed {
            0..=64 => needed.next_power_of_two(),
            65..1024 => needed,
            _ => needed.next_multiple_of(64),
        };
        (stride.next_multiple_of(align.max(8)), message_at)
    };
    for row in table("## Slots", "| size | align | stride | message at |") {
        let [size, align, stride, at] = [0, 1, 2, 3].map(|column| number(&row[column]) as usize);
        assert_eq!(slot_shape(size, align), (stride, at), "{row:?}");
    }
    for align in [1, 2, 4, 8, 16, 32, 64, 128] {
        for size in (0..=2048).chain([4096, 65_536, 1 << 20]) {
            assert_eq!(slot_shape(size, align), rule(size, align), "{size} by {align}");
        }
    }
}

#[test]
fn the_checksum_is_as_documented() {
    let documented = documented();
    let hash = |words: &[u64]| {
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        bytes.fold(documented["offset basis"], |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(documented["prime"])
        })
    };
    for words in [&[][..], &[0], &[1, 2, 3], &[u64::MAX; 11]] {
        assert_eq!(checksum(words), hash(words));
    }
    // The magic is eight letters.
    assert_eq!(documented["magic"].to_le_bytes(), *b"annulus\0");
}

/// A ring's bytes, by nothing but the document.
struct Bytes(Vec<u8>);

impl Bytes {
    fn at(&self, offset: u64) -> u64 {
        let offset = offset as usize;
        u64::from_le_bytes(self.0[offset..offset + 8].try_into().unwrap())
    }

    fn header(&self, word: &str) -> u64 {
        let header = header();
        let (at, _) = header.iter().find(|(_, name)| name == word).unwrap();
        self.at(*at as u64)
    }
}

#[test]
fn a_ring_is_laid_out_as_documented() {
    let known = documented();
    let name = random_name();
    let path = format!("/dev/shm/{name}");
    let options = Ring::<[u8; 12]>::options().capacity(8).type_tag(0xfeed);
    let ring = options.create_new(&name.shm()).unwrap();
    let read = || Bytes(fs::read(&path).unwrap());
    let (stride, message_at) = slot_shape(12, 1);
    let slot = |position: u64| known["slots"] + (position % 8) * stride as u64;

    let new = read();
    assert_eq!(new.header("magic"), known["magic"]);
    assert_eq!(new.header("version"), known["version"]);
    assert_eq!(new.header("kind"), known["spsc"]);
    assert_eq!((new.header("message size"), new.header("message align")), (12, 1));
    assert_eq!((new.header("capacity"), new.header("type tag")), (8, 0xfeed));
    assert_eq!((new.header("seats"), new.header("wait method")), (2, known["futex"]));
    let forms = [known["asymmetric"], known["fenced"]];
    assert!(forms.contains(&new.header("barrier form")));
    assert_eq!(new.header("length"), known["slots"] + 8 * stride as u64);
    assert_eq!(new.header("length"), new.0.len() as u64);
    let seen = Observer::open(&name.shm()).unwrap();
    assert_eq!(new.header("creation id"), seen.creation_id());
    let words: Vec<_> = (8..96).step_by(8).map(|at| new.at(at)).collect();
    assert_eq!(new.header("checksum"), checksum(&words));
    // All other words of a new ring are zero but the stamps, each of its lap before.
    let stamps: Vec<_> = (0..8).map(slot).collect();
    for at in (104..new.0.len() as u64).step_by(8).filter(|at| !stamps.contains(at)) {
        assert_eq!(new.at(at), 0, "at {at}");
    }
    for position in 0..8 {
        assert_eq!(new.at(slot(position)), (position + 1).wrapping_sub(8));
    }

    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    for position in 0..11u8 {
        sender.send([position; 12]).unwrap();
        if position < 5 {
            receiver.recv().unwrap();
        }
    }
    let used = read();
    assert_eq!(used.at(known["head"]), 5);
    for position in 5..11 {
        assert_eq!(used.at(slot(position)), position + 1);
        let message = slot(position) as usize + message_at;
        assert_eq!(used.0[message..message + 12], [position as u8; 12]);
    }
    for position in 11..13 {
        assert_eq!(used.at(slot(position)), position + 1 - 8, "free for {position}");
    }
    for seat in ["sender seat", "receiver seat"] {
        // The first occupant, live.
        assert_eq!(used.at(known[seat] + known["seat state"]), 1 << 8 | 1);
        assert_eq!(used.at(known[seat] + known["seat pid"]), u64::from(std::process::id()));
    }
    let claim = known["receiver seat"] + known["seat claim"];
    let guard = receiver.recv_ref().unwrap();
    assert_eq!(read().at(claim), 6);
    drop(guard);
    drop((sender, receiver));
    let left = read();
    assert_eq!(left.at(claim), 0);
    for seat in ["sender seat", "receiver seat"] {
        assert_eq!(left.at(known[seat] + known["seat state"]), 1 << 8 | 3);
    }
    assert_eq!(new.0[..104], left.0[..104], "the header never changes");
}

#[test]
fn byte_messages_are_laid_out_as_documented() {
    let known = documented();
    let name = random_name();
    let ring = Ring::<[u8]>::options().capacity(2).max_len(20).create_new(&name.shm()).unwrap();
    ring.sender().unwrap().send(b"eleven long").unwrap();
    let bytes = Bytes(fs::read(format!("/dev/shm/{name}")).unwrap());
    assert_eq!(bytes.header("kind"), known["spsc bytes"]);
    assert_eq!((bytes.header("message size"), bytes.header("message align")), (20, 8));
    let (stride, at) = slot_shape(8 + 20, 8);
    assert_eq!(bytes.header("length"), known["slots"] + 2 * stride as u64);
    let message = known["slots"] + at as u64;
    assert_eq!(bytes.at(message), 11);
    assert_eq!(bytes.0[message as usize + 8..][..11], *b"eleven long");

    // Long ones: the bytes begin on a cache line.
    let name = random_name();
    let ring = Ring::<[u8]>::options().capacity(2).max_len(1024).create_new(&name.shm()).unwrap();
    ring.sender().unwrap().send(b"eleven long").unwrap();
    let bytes = Bytes(fs::read(format!("/dev/shm/{name}")).unwrap());
    assert_eq!(bytes.header("length"), known["slots"] + 2 * 1088);
    assert_eq!(bytes.at(known["slots"] + 56), 11);
    assert_eq!(bytes.0[known["slots"] as usize + 64..][..11], *b"eleven long");
}

#[test]
fn the_seat_states_are_the_documented_ones() {
    let states = numbers("#### Seat states", "| state | value | the seat |", 0, 1);
    let known = documented();
    let name = random_name();
    Ring::<u64>::options().capacity(2).create_new(&name.shm()).unwrap();
    let path = format!("/dev/shm/{name}");
    for value in 0..=255u64 {
        for incarnation in [0, 1, 1 << 40] {
            let mut bytes = fs::read(&path).unwrap();
            let at = (known["sender seat"] + known["seat state"]) as usize;
            bytes[at..at + 8].copy_from_slice(&(incarnation << 8 | value).to_le_bytes());
            fs::write(&path, bytes).unwrap();
            let seen = Observer::open(&name.shm()).unwrap().seats();
            match states.iter().find(|(_, known)| **known == value) {
                Some((state, _)) => {
                    let said = format!("{:?}", seen.unwrap()[0].state).to_lowercase();
                    assert_eq!(said, *state);
                }
                None => assert!(matches!(seen, Err(Error::Corrupt(_))), "{value}"),
            }
        }
    }
}

/// Whether somebody else holds a write lock on a byte.
fn is_locked(file: &fs::File, byte: i64) -> bool {
    // SAFETY: plain numbers, for which zero is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    (lock.l_type, lock.l_start, lock.l_len) = (libc::F_RDLCK as libc::c_short, byte, 1);
    // SAFETY: reads and writes one structure.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    assert_eq!(asked, 0);
    i32::from(lock.l_type) == libc::F_WRLCK
}

#[test]
fn the_seats_locks_are_on_the_documented_bytes() {
    assert!(DOCUMENT.contains("2^62 for the sender's seat and 2^62 + 1 for the receiver's"));
    let name = random_name();
    let ring = Ring::<u64>::options().capacity(2).create_new(&name.shm()).unwrap();
    let file = fs::File::open(format!("/dev/shm/{name}")).unwrap();
    let locked = || [-1, 0, 1, 2].map(|byte| is_locked(&file, (1 << 62) + byte));
    assert_eq!(locked(), [false, false, false, false]);
    let sender = ring.sender().unwrap();
    assert_eq!(locked(), [false, true, false, false]);
    let _receiver = ring.receiver().unwrap();
    drop(sender);
    assert_eq!(locked(), [false, false, true, false]);
}

#[test]
fn semaphores_have_the_documented_names() {
    let name = random_name();
    let options = Ring::<u64>::options().capacity(2).wait_method(WaitMethod::Semaphore);
    let ring = match options.create_new(&name.shm()) {
        Err(Error::Unsupported(why)) => support::skip!("{why}"),
        ring => ring.unwrap(),
    };
    let _ends = (ring.sender().unwrap(), ring.receiver().unwrap());
    let id = Observer::open(&name.shm()).unwrap().creation_id();
    // Where glibc keeps them.
    let there = [0, 1, 2].map(|event| {
        std::path::Path::new(&format!("/dev/shm/sem.annulus-{id:016x}-{event}")).exists()
    });
    annulus::unlink(&name.shm()).unwrap();
    assert_eq!(there, [true, true, false]);
}
