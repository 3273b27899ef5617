//! Each model holds in every schedule that is tried.

#![cfg(loom)]

use annulus_shuttle_tests::{broadcast, check, frames, mpmc, spsc, stream, waiting};

macro_rules! check_each {
    ($($room:ident: $($name:ident),*;)*) => {$($(
        #[test]
        fn $name() {
            check(stringify!($name), $room::$name);
        }
    )*)*};
}

check_each! {
    spsc: successions;
    stream: pieces_and_deaths;
    mpmc: a_crowd, a_crowd_with_deaths, batches_with_deaths;
    broadcast: overwriting, lossless;
    frames: round_and_round, estates;
    waiting: a_crowd_sleeps, there_and_back, bytes_through_eight, a_cast_to_sleepers, one_buffer;
}
