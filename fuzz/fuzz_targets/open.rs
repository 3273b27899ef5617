//! Lying memory: the target `open` of crates/prove/src/lies.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| annulus_prove::lies::fuzzed("open", input));
