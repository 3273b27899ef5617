//! Lying memory: the target `broadcast_lossless` of crates/prove/src/lies.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| annulus_prove::lies::fuzzed(
    "broadcast_lossless",
    input
));
