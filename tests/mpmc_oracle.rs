//! An mpmc ring is a queue in which each message is somebody's, whatever is done to it by up
//! to three senders and three receivers that come and go, on the heap and in shared memory.
//! The model keeps messages by position and what each endpoint has in hand.

mod mpmc_oracles;
mod scale;

use mpmc_oracles::a_ring_is_its_model;
use proptest::prelude::Just;

#[test]
fn a_ring_of_words_is_its_model() {
    a_ring_is_its_model::<u64>(150, Just(0), |options, _| options);
}

#[test]
fn a_ring_of_three_words_each_is_its_model() {
    a_ring_is_its_model::<[u64; 3]>(100, Just(0), |options, _| options);
}

#[test]
fn a_ring_of_byte_messages_is_its_model() {
    a_ring_is_its_model::<[u8]>(250, Just(0), |options, _| options);
}

/// Wherever on the number line it begins, up to the last position.
#[cfg(feature = "test-hooks")]
mod positions {
    use super::a_ring_is_its_model;
    use super::mpmc_oracles::model::LIMIT;

    /// Claims say a position modulo this.
    const CLAIMS: u64 = 1 << 52;

    #[test]
    fn words_pass_2_to_the_52() {
        let starts = CLAIMS - 40..CLAIMS + 10;
        a_ring_is_its_model::<u64>(80, starts, |options, start| options.start(start));
    }

    #[test]
    fn byte_messages_pass_2_to_the_52() {
        let starts = CLAIMS - 40..CLAIMS + 10;
        a_ring_is_its_model::<[u8]>(120, starts, |options, start| options.start(start));
    }

    #[test]
    fn words_come_to_the_limit() {
        let starts = LIMIT - 40..LIMIT + 1;
        a_ring_is_its_model::<u64>(80, starts, |options, start| options.start(start));
    }

    #[test]
    fn byte_messages_come_to_the_limit() {
        let starts = LIMIT - 40..LIMIT + 1;
        a_ring_is_its_model::<[u8]>(120, starts, |options, start| options.start(start));
    }
}
