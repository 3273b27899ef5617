//! Lying memory: the target `broadcast_overwrite` of crates/prove/src/lies.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| annulus_prove::lies::fuzzed(
    "broadcast_overwrite",
    input
));
