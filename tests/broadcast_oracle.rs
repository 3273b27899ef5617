//! A broadcast is a log that each receiver reads from where it stands, whatever is done to
//! it, wherever it lives. The model keeps everything that was ever sent, and each receiver's
//! position; it knows no slots and no stamps.

mod casts;
mod scale;
mod support;

use casts::oracle::a_broadcast_is_a_log;
use casts::site::Place;
use scale::scaled;

#[test]
fn a_broadcast_on_the_heap_is_a_log() {
    a_broadcast_is_a_log::<u64>(scaled(300), Place::Heap);
    a_broadcast_is_a_log::<[u8]>(scaled(150), Place::Heap);
}

#[test]
fn a_broadcast_in_shared_memory_is_a_log() {
    a_broadcast_is_a_log::<u64>(scaled(150), Place::Shm);
    a_broadcast_is_a_log::<[u8]>(scaled(100), Place::Shm);
}

#[test]
fn a_broadcast_in_a_file_is_a_log() {
    a_broadcast_is_a_log::<u64>(scaled(100), Place::File);
    a_broadcast_is_a_log::<[u8]>(scaled(100), Place::File);
}

#[test]
fn a_broadcast_in_a_memfd_is_a_log() {
    a_broadcast_is_a_log::<u64>(scaled(150), Place::Memfd);
    a_broadcast_is_a_log::<[u8]>(scaled(100), Place::Memfd);
}
