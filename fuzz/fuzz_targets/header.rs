//! Opens a sealed memfd whose header words are the fuzzer's.
//!
//! The first byte says whether the checksum is made to fit, so that the checks behind it
//! are reached; then come words, each as its place (one byte) and its value (eight).
//! Nothing may panic, and what opens is the ring that was made.

#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;

use annulus::spsc::Ring;
use annulus::{Observer, hooks};
use libfuzzer_sys::fuzz_target;

const CAPACITY: u64 = 8;

fuzz_target!(|input: &[u8]| {
    let Some((&fits, words)) = input.split_first() else {
        return;
    };
    let ring = Ring::<u64>::options().capacity(CAPACITY).create_memfd("fuzz");
    let ring = ring.expect("a ring that is as it should be");
    let memfd = || ring.segment_fd().expect("a memfd").try_clone_to_owned().expect("a free one");
    let file = File::from(memfd());
    for word in words.chunks_exact(9) {
        let (at, value) = (usize::from(word[0]) % hooks::HEADER.len(), &word[1..]);
        file.write_all_at(value, hooks::HEADER[at].0 as u64).expect("within the segment");
    }
    if fits & 1 == 1 {
        make_the_checksum_fit(&file);
    }
    if let Ok(observer) = Observer::from_fd(memfd()) {
        assert_eq!(observer.capacity(), CAPACITY);
        let _ = (observer.len(), observer.seats());
    }
    if let Ok(opened) = Ring::<u64>::from_fd(memfd()) {
        assert_eq!(opened.capacity(), CAPACITY);
        let mut sender = opened.sender().expect("nobody else has the seat");
        assert_eq!(sender.try_send(1), Ok(()));
    }
});

/// Stores the checksum of the words as they stand.
fn make_the_checksum_fit(file: &File) {
    let place = |name: &str| hooks::HEADER.iter().position(|(_, word)| *word == name);
    let (first, last) = (place("version").expect("a word"), place("creation id").expect("a word"));
    let read = |&(at, _): &(usize, _)| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at as u64).expect("within the segment");
        u64::from_le_bytes(bytes)
    };
    let words: Vec<_> = hooks::HEADER[first..=last].iter().map(read).collect();
    let (at, _) = hooks::HEADER[place("checksum").expect("a word")];
    let checksum = hooks::checksum(&words).to_le_bytes();
    file.write_all_at(&checksum, at as u64).expect("within the segment");
}
