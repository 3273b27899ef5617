//! A ring is a queue, whatever is done to it, of whatever messages, wherever it lives.

mod oracles;
mod scale;
mod support;

use annulus::spsc::Ring;
use oracles::{Align16, Align128, a_ring_is_a_queue};
use proptest::prelude::Just;

macro_rules! queues {
    ($($name:ident: $message:ty;)*) => {$(
        #[test]
        fn $name() {
            a_ring_is_a_queue::<$message>(Just(0), |_| Ring::options());
        }
    )*};
}

queues! {
    a_ring_of_nothings_is_a_queue: ();
    a_ring_of_single_bytes_is_a_queue: u8;
    a_ring_of_3_bytes_is_a_queue: [u8; 3];
    a_ring_of_words_is_a_queue: u64;
    a_ring_of_12_bytes_is_a_queue: [u8; 12];
    a_ring_of_24_bytes_is_a_queue: [u64; 3];
    a_ring_of_48_bytes_is_a_queue: [u8; 48];
    a_ring_of_56_bytes_is_a_queue: [u32; 14];
    a_ring_of_57_bytes_is_a_queue: [u8; 57];
    a_ring_of_64_bytes_is_a_queue: [u8; 64];
    a_ring_of_100_bytes_is_a_queue: [u16; 50];
    a_ring_of_256_bytes_is_a_queue: [u8; 256];
    a_ring_of_257_bytes_is_a_queue: [u8; 257];
    a_ring_of_1000_bytes_is_a_queue: [u8; 1000];
    a_ring_of_pages_is_a_queue: [u8; 4096];
    a_ring_of_messages_aligned_to_16_is_a_queue: Align16;
    a_ring_of_messages_aligned_to_128_is_a_queue: Align128;
}
