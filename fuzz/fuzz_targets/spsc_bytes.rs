//! Lying memory: the target `spsc_bytes` of crates/prove/src/lies.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| annulus_prove::lies::fuzzed("spsc_bytes", input));
