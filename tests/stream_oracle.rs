//! A stream is a queue of bytes, whatever is done to it, wherever it lives.

mod scale;
mod stream_oracles;
mod streams;
mod support;

use annulus::stream::Ring;
use proptest::prelude::Just;
use stream_oracles::a_stream_is_a_queue;
use streams::site::Place;

#[test]
fn a_stream_on_the_heap_is_a_queue_of_bytes() {
    a_stream_is_a_queue(400, Place::Heap, Just(0), |_| Ring::options());
}

#[test]
fn a_stream_in_shared_memory_is_a_queue_of_bytes() {
    a_stream_is_a_queue(200, Place::Shm, Just(0), |_| Ring::options());
}

#[test]
fn a_stream_in_a_file_is_a_queue_of_bytes() {
    a_stream_is_a_queue(200, Place::File, Just(0), |_| Ring::options());
}

#[test]
fn a_stream_in_a_memfd_is_a_queue_of_bytes() {
    a_stream_is_a_queue(200, Place::Memfd, Just(0), |_| Ring::options());
}
